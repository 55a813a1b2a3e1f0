"""No step of a training or of a sampler copies between host and device: on a GPU Python would wait for it there, and a CUDA graph
could not be recorded. Tried on torch's device "meta", which has no values to read."""

from itertools import pairwise

import pytest
import torch
from oracles import stays_on_the_device

from course_lib import diffusion, guidance, samplers, schedule, teddies, text, vae
from course_lib.autoencoder import Autoencoder, reconstruction_loss
from course_lib.codec import VAECodec
from course_lib.dit import DiT
from course_lib.images import to_float
from course_lib.judges.classifier import Classifier, classifier_loss
from course_lib.recipes.losses import denoising_loss, text_denoising_loss
from course_lib.text_denoiser import TextDenoiser
from course_lib.training.ema import Ema
from course_lib.training.muon import Muon
from course_lib.unet import UNet
from course_lib.vae import VAE

META = torch.device("meta")
X = torch.zeros(8, 4, 8, 8, device=META)
COSINE = schedule.cosine()
COSINE.at(torch.zeros(1, dtype=torch.int64, device=META))  # makes the device's table, once


def labels(*shape):
    return torch.zeros(*shape, dtype=torch.int64, device=META)


NETWORKS = {  # a network, the labels that it takes
    "unet": (lambda: UNet(width=16, multipliers=(1, 2), blocks=1, heads=1), labels(8)),
    "unet of factors": (lambda: UNet(width=16, blocks=1, heads=1, num_classes=(3, 5)), labels(8, 2)),
    "dit": (lambda: DiT(size=8, patch=2, dim=32, depth=1), labels(8)),
    "text": (lambda: TextDenoiser(32, 1, width=16, blocks=1, heads=1), labels(8, 16)),
}
each_network = pytest.mark.parametrize("name", NETWORKS)


@pytest.mark.parametrize(
    "offence",
    [
        lambda: torch.tensor(3.0, device=META),
        lambda: torch.as_tensor([1, 2], device=META),
        lambda: X.new_tensor((1, 2)),
        lambda: torch.zeros(8, 4, 8, 8).to(META),
        lambda: X + torch.zeros(8),
        lambda: X.sum().item(),
        lambda: bool((X > 0).any()),
        lambda: labels(3).tolist(),
        lambda: X[torch.zeros(8, dtype=torch.bool, device=META)],
    ],
)
def test_the_detector_sees_what_waits(offence):
    with pytest.raises((AssertionError, RuntimeError, NotImplementedError)), stays_on_the_device():
        offence()


@each_network
@pytest.mark.parametrize("optimizer", [lambda p: torch.optim.AdamW(p, foreach=True), lambda p: Muon(p, 1e-3)])
def test_a_training_step(name, optimizer):
    make, y = NETWORKS[name]
    net = make().to(META)
    step, average = optimizer(list(net.parameters())), Ema(net, 0.99)
    for number in range(2):
        with stays_on_the_device():
            value = diffusion.loss(net, X, y, COSINE, "v", null_label=net.null_label)
            value.backward()
            step.step()
            step.zero_grad()
            average.update(number)


def test_the_recipes_losses():
    factors = labels(8, 5)
    text.tokenise_labels(factors)  # makes the device's table, once
    words, unet = NETWORKS["text"][0]().to(META), UNet(width=16, blocks=1, heads=1, num_classes=teddies.NUM_VALUES).to(META)
    for loss, net in ((text_denoising_loss(), words), (denoising_loss(teddies.NUM_VALUES), unet)):
        loss(net, (X, factors), None)  # the table of the recipe's schedule
        with stays_on_the_device():
            loss(net, (X, factors), None).backward()


def test_the_steps_of_autoencoders_and_of_the_judge():
    images = torch.zeros(4, 1, 32, 32, dtype=torch.uint8, device=META)
    variational, plain, judge = VAE(width=8).to(META), Autoencoder(width=8).to(META), Classifier().to(META)
    with stays_on_the_device():
        vae.elbo_loss(variational, to_float(images), beta=0.5).backward()
        reconstruction_loss(plain, to_float(images)).backward()
        classifier_loss(judge, (images, labels(4)), None).backward()


@each_network
@pytest.mark.parametrize("prediction_type", diffusion.PREDICTION_TYPES)
def test_a_denoiser_with_labels_with_one_for_all_and_without(name, prediction_type):
    make, y = NETWORKS[name]
    net, level = make().to(META).requires_grad_(False), COSINE.level(500)
    with stays_on_the_device():
        for condition in (y, net.null_label, None):
            diffusion.denoiser(net, prediction_type, condition)(X, level)


GUIDED = {
    "classifier-free": lambda net, y: guidance.classifier_free_guide(net, "v", y, net.null_label, 3.0, rescale=0.5),
    "separate": lambda net, y: guidance.guide(
        diffusion.denoiser(net, "v", y), diffusion.denoiser(net, "v"), guidance.guidance_interval(3.0, 0.2, 5.0), rescale=0.7
    ),
    "classifier": lambda net, y: guidance.classifier_guide(
        diffusion.denoiser(net, "v", y), lambda x, level: x.flatten(1).square().sum(1), 2.0
    ),
    "clamped": lambda net, y: diffusion.clamp_x0(diffusion.denoiser(net, "x0", y)),
}


@pytest.mark.parametrize("sampler", [samplers.ddim, samplers.ddpm, samplers.dpmpp_2m, samplers.heun])
@pytest.mark.parametrize("how", GUIDED)
def test_a_guided_sampling_run(sampler, how):
    make, y = NETWORKS["unet"]
    net = make().to(META).requires_grad_(False)
    codec = VAECodec(VAE(width=8).to(META), torch.zeros(4), torch.ones(4))
    with stays_on_the_device():
        codec.decode(sampler(GUIDED[how](net, y), X, COSINE.grid(4)))


def test_the_levels_of_a_grid_are_python_numbers():
    for here, there in pairwise(COSINE.grid(5)):
        assert {type(value) for level in (here, there) for value in level} == {int, float}
