"""What runs once a step copies nothing between host and device, and reads no value back: on a GPU each would make Python wait.

The steps run on torch's "meta" device under the detector of tests/support/host_copies.py; what fills a cache runs before.

Out of reach here: torch's own optimizers, random generators (meta has none, so that all draw from None), CUDA graphs and streams,
and autocast, which meta does not know; tests/gpu covers these on a GPU.
"""

import contextlib
import functools
import importlib
import itertools
from collections.abc import Callable, Iterable
from types import SimpleNamespace

import pytest
import torch
from host_copies import META, HostCopyError, no_host_copies
from oracles import SCHEDULES, toy
from torch import Tensor, nn

from course_lib import adversarial, autoencoder, diffusion, guidance, samplers, schedule, teddies, text, vae
from course_lib.autoencoder import Autoencoder
from course_lib.codec import VAECodec
from course_lib.contrastive import ImageTextPair, contrastive_loss
from course_lib.dit import DiT
from course_lib.judges import classifier, factor_reader
from course_lib.perceptual import perceptual_distance
from course_lib.recipes import losses
from course_lib.schedule import BatchLevel
from course_lib.text import TextDenoiser
from course_lib.training import TrainConfig
from course_lib.training.determinism import BatchSampler
from course_lib.training.ema import Ema
from course_lib.training.fabric import LossModule
from course_lib.training.loop import training_step
from course_lib.training.muon import Muon
from course_lib.unet import UNet
from course_lib.vae import VAE

FACTORS = teddies.NUM_VALUES
Step = Callable[[], object]


@pytest.fixture(autouse=True)
def autocast_on_meta(monkeypatch):
    """Leave out autocast on meta, which torch does not have: it changes dtypes and nothing else."""
    autocast = torch.autocast

    def stand_in(device_type, *args, **options):
        return contextlib.nullcontext() if device_type == META else autocast(device_type, *args, **options)

    monkeypatch.setattr(torch, "autocast", stand_in)


# ------------------------------------------------------------------------------------------------------------ the detector

Y = torch.zeros(4, dtype=torch.int64, device=META)
OFFENDERS = {
    "torch.tensor": lambda: torch.tensor(3.0, device=META),
    "torch.tensor of a list": lambda: torch.tensor([1, 2], device=META),
    "torch.as_tensor": lambda: torch.as_tensor(10, device=META),
    "torch.as_tensor of a list": lambda: torch.as_tensor([1.0], device=META),
    "new_tensor": lambda: Y.new_tensor([1, 2]),
    "to the device": lambda: torch.ones(3).to(META),
    "to the device, one number": lambda: torch.ones(()).to(META),
    "copy_": lambda: torch.ones(4, device=META).copy_(torch.ones(4)),
    "to the host": lambda: Y.cpu(),
    "a table of the host": lambda: Y.float() + torch.ones(4),
    "an index of the host": lambda: Y[torch.tensor([0, 1])],
    "item": lambda: Y.sum().item(),
    "tolist": lambda: Y.tolist(),
    "bool": lambda: bool((Y > 0).any()),
    "int": lambda: int(Y.max()),
    "equal": lambda: torch.equal(Y, Y),
    "nonzero": lambda: Y.nonzero(),
    "a mask as an index": lambda: Y[Y > 0],
    "unique": lambda: Y.unique(),
    "what drop_labels once did": lambda: torch.where(Y > 0, torch.as_tensor(10, device=Y.device), Y),
    "what an unlabelled network once did": lambda: torch.tensor([3, 5], device=Y.device).expand(4, -1),
}
HARMLESS = {
    "full": lambda: torch.full((4,), 10, device=META),
    "arange": lambda: torch.arange(4, device=META) + Y,
    "rand": lambda: torch.rand(4, device=META) < 0.1,
    "arithmetic with numbers": lambda: 2.5 * Y + 1,
    "a number in a tensor of the CPU": lambda: Y * torch.ones(()),
    "a shape": lambda: len(Y) + Y.shape[0] + Y.numel(),
    "work on the host alone": lambda: torch.tensor([1.0, 2.0]).sum().item(),
    "a change of dtype": lambda: Y.float().to(torch.float64),
    "setting one value": lambda: torch.zeros(4, device=META).index_fill_(0, Y, 3.0),
}


@pytest.mark.parametrize("name", OFFENDERS)
def test_the_detector_sees(name):
    with pytest.raises((HostCopyError, NotImplementedError, RuntimeError)), no_host_copies():
        OFFENDERS[name]()


@pytest.mark.parametrize("name", HARMLESS)
def test_the_detector_lets_pass(name):
    with no_host_copies():
        HARMLESS[name]()


# ---------------------------------------------------------------------------------------------------------------- the steps


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.zeros(*shape, dtype=dtype, device=META)


def labels(*shape: int) -> Tensor:
    return meta(*shape, dtype=torch.int64)


def small_unet(num_classes: object = 10) -> UNet:
    return UNet(4, 8, (1, 2), blocks=1, attention=(1,), heads=2, num_classes=num_classes).to(META)


def small_dit(num_classes: object = 10) -> DiT:
    return DiT(dim=16, depth=1, heads=2, num_classes=num_classes).to(META)


def small_text_denoiser() -> TextDenoiser:
    shape = {"in_channels": 4, "width": 8, "multipliers": (1,), "blocks": 1, "attention": (0,), "heads": 2}
    return TextDenoiser(16, 1, **shape).to(META)


NETS = {"unet": small_unet, "dit": small_dit}
COSINE, FLOW = schedule.cosine(50), schedule.flow(50)
for table in (COSINE, FLOW):
    table.at(labels(1))  # from here on it has a table for this device
LEVEL = COSINE.level(30)
STEPS: dict[str, Callable[[], Step]] = {}
"""name → what builds a step."""


def step(name: str, **cases: Iterable) -> Callable[[Callable[..., Step]], None]:
    """Register the decorated function, which builds a step, for every combination of these arguments."""

    def register(build: Callable[..., Step]) -> None:
        for values in itertools.product(*cases.values()):
            options = dict(zip(cases, values, strict=True))
            STEPS[", ".join([name, *map(str, values)])] = functools.partial(build, **options)

    return register


def backward(loss: Callable[[], Tensor]) -> Step:
    """A step of training: the loss and its gradients."""
    return lambda: loss().backward()


def second(run: Step) -> Step:
    """The step's second call: the first may fill a cache."""
    run()
    return run


@step("schedule.at", table=SCHEDULES)
def _(table):
    rates = SCHEDULES[table](50)
    rates.at(labels(5))
    return lambda: rates.at(labels(5))


@step("loss", kind=diffusion.PREDICTION_TYPES, net=NETS)
def _(kind, net):
    made = NETS[net]()
    return backward(lambda: diffusion.loss(made, meta(5, 4, 4, 4), labels(5), FLOW, kind, null_label=10))


@step("loss with five labels each", net=NETS)
def _(net):
    made = NETS[net](FACTORS)
    return backward(lambda: diffusion.loss(made, meta(5, 4, 4, 4), labels(5, 5), COSINE, "v", null_label=FACTORS))


@step("loss with captions")
def _():
    net = small_text_denoiser()
    return backward(lambda: diffusion.loss(net, meta(3, 4, 4, 4), labels(3, 16), COSINE, "v", null_label=net.null_label))


LABELS = {"labels": labels(5), "one label": 3, "no label": None}
FIVE_LABELS = {"five labels each": labels(5, 5), "five labels": FACTORS, "none of five": None}


@step("denoiser", kind=diffusion.PREDICTION_TYPES, net=NETS)
def _(kind, net):
    denoise = diffusion.denoiser(NETS[net](), kind, 3)
    return lambda: denoise(meta(5, 4, 4, 4), LEVEL)


@step("denoiser with", net=NETS, y=[*LABELS, *FIVE_LABELS])
def _(net, y):
    made = NETS[net](FACTORS if y in FIVE_LABELS else 10)
    denoise = diffusion.denoiser(made, "v", (LABELS | FIVE_LABELS)[y])
    return lambda: denoise(meta(5, 4, 4, 4), LEVEL)


@step("text denoiser with", y=("captions", "the empty caption", "no caption"))
def _(y):
    net = small_text_denoiser()
    denoise = diffusion.denoiser(net, "v", {"captions": labels(3, 16), "the empty caption": net.null_label}.get(y))
    return lambda: denoise(meta(3, 4, 4, 4), LEVEL)


@step("tokens of labels")
def _():
    text.tokenise_labels(labels(3, 5))
    return lambda: text.tokenise_labels(labels(3, 5))


@step("arithmetic of", kind=diffusion.PREDICTION_TYPES, level=("one level", "a batch of levels"))
def _(kind, level):
    x = meta(5, 4, 4, 4)
    level = LEVEL if level == "one level" else BatchLevel(labels(5), meta(5, 1, 1, 1), meta(5, 1, 1, 1))

    def run() -> None:
        diffusion.add_noise(x, x, level)
        diffusion.target(kind, x, x, level)
        diffusion.to_x0(kind, x, x, level)
        diffusion.to_eps(kind, x, x, level)
        diffusion.convert(kind, "velocity", x, x, level)

    return run


def log_prob(x_t: Tensor, level: object) -> Tensor:
    return -x_t.square().flatten(1).sum(1)


def guided(kind: str) -> diffusion.Denoiser:
    net = small_unet()
    cond, null = (diffusion.denoiser(net, "v", y) for y in (labels(5), 10))
    interval = guidance.guidance_interval(3.0, 0.2, 5.0)
    return {
        "unguided": cond,
        "clamped": diffusion.clamp_x0(cond),
        "guided": guidance.guide(cond, null, 3.0),
        "in an interval, rescaled": guidance.guide(cond, null, interval, rescale=0.7),
        "in one batch": guidance.classifier_free_guide(net, "v", labels(5), 10, 3.0, rescale=0.5),
        "by a classifier": guidance.classifier_guide(null, log_prob, interval),
    }[kind]


GUIDED = ("unguided", "clamped", "guided", "in an interval, rescaled", "in one batch", "by a classifier")


@step("heun", kind=GUIDED)
def _(kind):
    denoise, levels = guided(kind), COSINE.grid(2)
    return lambda: samplers.heun(denoise, meta(5, 4, 4, 4), levels)


@step("sampler", sampler=("ddim", "ddpm", "dpmpp_2m"))
def _(sampler):
    denoise, levels = guided("in an interval, rescaled"), COSINE.grid(3)
    return lambda: getattr(samplers, sampler)(denoise, meta(5, 4, 4, 4), levels)


@step("guidance of a large batch")
def _():
    denoise = guidance.classifier_free_guide(small_unet(), "v", labels(40), 10, 3.0)
    return lambda: denoise(meta(40, 4, 4, 4), LEVEL)


@step("the exact mixture")
def _():
    mixture, x = toy().to(META), meta(5, 2, 1, 1)

    def run() -> None:
        for y in (None, 1, labels(5)):
            mixture.denoiser(y)(x, LEVEL)
            mixture.score(x, LEVEL, y)
        mixture.class_log_prob(x, LEVEL)

    return run


# ---------------------------------------------------------------------------------------------------- the other networks


def small_vae() -> VAE:
    return VAE(1, width=8).to(META)


@step("autoencoder's loss")
def _():
    net = Autoencoder(1, width=8).to(META)
    return backward(lambda: autoencoder.reconstruction_loss(net, meta(3, 1, 16, 16)))


@step("VAE's losses")
def _():
    net = small_vae()

    def run() -> None:
        vae.elbo_loss(net, meta(3, 1, 16, 16), beta=2.0).backward()
        vae.free_bits(net.encode(meta(3, 1, 16, 16)).kl_per_dim(), 0.1).backward()
        vae.iwae(vae.log_weights(net, meta(3, 1, 16, 16), 4), 2)

    return run


@step("codec")
def _():
    codec = VAECodec(VAE(1, width=8), torch.zeros(4), torch.ones(4))  # made on the CPU: it looks at its statistics once
    codec.vae.to(META)
    codec.latents_mean, codec.latents_std = codec.latents_mean.to(META), codec.latents_std.to(META)
    return lambda: codec.decode(codec.encode(meta(3, 1, 16, 16)))


@step("contrastive pair")
def _():
    pair = ImageTextPair(8, 8, 16, 1).to(META)
    return backward(lambda: contrastive_loss(*pair(meta(3, 4, 8, 8), labels(3, 16)), pair.scale))


@step("adversarial loss")
def _():
    net, last = adversarial.PatchDiscriminator(3, 8).to(META), meta(3, 3, 8, 8).requires_grad_()

    def run() -> Tensor:
        fake, real = net(last.tanh()), net(meta(3, 3, 8, 8))
        weight = adversarial.adaptive_weight(last.square().mean(), adversarial.generator_loss(fake), last)
        return adversarial.discriminator_loss(real, fake) + weight * adversarial.generator_loss(fake)

    return backward(run)


@step("perceptual distance")
def _():
    reader, x = factor_reader.FactorReader(8).to(META), meta(2, 3, 64, 64).requires_grad_()
    return backward(lambda: perceptual_distance(reader, x, meta(2, 3, 64, 64)).mean())


@step("classifier's loss")
def _():
    net, batch = classifier.Classifier(widths=(8, 8, 8)).to(META), (meta(3, 1, 32, 32, dtype=torch.uint8), labels(3))
    return backward(lambda: classifier.classifier_loss(net, batch, None))


@step("reader's loss")
def _():
    net, batch = factor_reader.FactorReader(8).to(META), (meta(2, 3, 64, 64, dtype=torch.uint8), labels(2, 6), meta(2, 8))
    return backward(lambda: factor_reader.reader_loss(net, batch, None))


# --------------------------------------------------------------------------------------------------------------- training


@step("recipe's loss of a VAE")
def _():
    net = small_vae()
    return backward(lambda: losses.autoencoder_loss(net, (meta(3, 1, 16, 16, dtype=torch.uint8),), None))


@step("recipe's loss of a denoiser")
def _():
    net, loss = small_unet(), losses.denoising_loss(10)
    return second(backward(lambda: loss(net, (meta(3, 4, 4, 4), labels(3)), None)))


@step("recipe's loss of captions")
def _():
    net, loss = small_text_denoiser(), losses.text_denoising_loss()
    return second(backward(lambda: loss(net, (meta(3, 4, 4, 4), labels(3, 5)), None)))


@step("moving average")
def _():
    average = Ema(small_unet(), 0.99)
    return lambda: average.update(3)


@step("Muon")
def _():
    net = small_unet()
    optimizer = Muon(net.parameters(), 0.1)
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    return optimizer.step


class OnMeta:
    """Fabric as far as a step of one process uses it."""

    device, global_rank, world_size = torch.device(META), 0, 1

    def no_backward_sync(self, objective: nn.Module, enabled: bool) -> contextlib.AbstractContextManager:
        return contextlib.nullcontext()

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def clip_gradients(self, objective: nn.Module, optimizer: object, max_norm: float, error_if_nonfinite: bool) -> None:
        nn.utils.clip_grad_norm_(objective.parameters(), max_norm, error_if_nonfinite=error_if_nonfinite)


@step("the training loop's step")
def _():
    net, config = small_unet(), TrainConfig(steps=20, batch_size=4, shards=2, progress=False)
    objective = LossModule(
        net,
        lambda net, batch, _: diffusion.loss(net, *batch, COSINE, "v", null_label=10),
        (meta(12, 4, 4, 4), labels(12)),
    )
    trainer = SimpleNamespace(
        fabric=OnMeta(),
        net=net,
        objective=objective,
        optimizer=Muon(net.parameters(), config.lr),
        average=Ema(net, 0.99),
        sampler=BatchSampler(12, 4, 0, META),
        generator=SimpleNamespace(manual_seed=lambda seed: None),  # meta has no generators
    )
    trainer.sampler.rows(1)  # the order of this epoch is made on the CPU
    return lambda: training_step(trainer, config, 1, 0.1)


@step("drawing teddies", activity=range(len(teddies.VALUES["activity"])))
def _(activity):
    """What `teddies.render` does for each group of images, after it has looked at the factors once."""
    factors, count = teddies.sample_factors(3, 0).to(META), 2 if activity == 0 else 1
    draw = torch.no_grad()(importlib.import_module("course_lib.teddies.render")._draw)
    return second(lambda: draw(factors, count, activity, meta(3, 64, 64, 3)))


@pytest.mark.parametrize("name", STEPS)
def test_a_step_copies_nothing_and_reads_nothing(name):
    run = STEPS[name]()
    with no_host_copies():
        run()


def test_the_first_call_of_a_schedule_copies_its_table():
    table = schedule.cosine(50)
    with pytest.raises(HostCopyError), no_host_copies():
        table.at(labels(5))
