"""The ways of making latents that notebook 12 compares: each gives an encoder and a decoder, trained from one seed.

Every way starts at the same recipe, so that a row of the comparison differs from its control in one thing. The control of all
that is trained further is "beta 1": the plain VAE, trained further for as many steps with its own loss.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Protocol, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib import recipes
from course_lib.arguments import check_choice, check_flag, check_integer, check_number, check_tensor
from course_lib.autoencoder import at_least_float32, make_decoder, reconstruction_loss
from course_lib.codec import posterior
from course_lib.data import fashion_mnist
from course_lib.device import Machine
from course_lib.experiments.fashion_variants import (
    STEPS,
    fine_tune,
    load_or_train_base,
    load_or_train_classifier,
    train_autoencoder,
    train_beta_vae,
)
from course_lib.experiments.latents import Decoder, Encoder, decode, encode
from course_lib.experiments.limits import MAX_STEPS
from course_lib.images import as_float
from course_lib.judges.classifier import Classifier
from course_lib.training import LossFn, train
from course_lib.training.config import MAX_SEED, MIN_SEED
from course_lib.vae import ELBO, VAE, log_likelihood

FITTED = 10_000  # training images from which a codec's statistics are computed


class Net(Encoder, Decoder, Protocol):
    """What every way gives: ``encode``, images [B, 1, H, W] in [-1, 1] → latents or a `Posterior`; and ``decode``, back."""

    def eval(self) -> Self: ...


class LatentCodec:
    """The codec of any encoder and decoder: each channel of its latents has mean 0 and standard deviation 1 on the images given.

    net: with ``encode`` and ``decode``; of a VAE, the posterior means are the latents. images: [N, 1, H, W], uint8 or in [-1, 1].
    Raises ValueError where a channel does not vary.
    """

    def __init__(self, net: Net, images: Tensor) -> None:
        self.net = net.eval()
        latents = encode(self.net, images)
        self.mean, self.std = latents.mean((0, 2, 3), keepdim=True), latents.std((0, 2, 3), keepdim=True)
        if not bool((self.std > 0).all()):
            raise ValueError(f"The latents' standard deviations are {self.std.flatten().tolist()}, but every channel must vary.")

    def encode(self, images: Tensor) -> Tensor:
        """Images [B, 1, H, W] → latents [B, c, h, w]."""
        return (encode(self.net, images) - self.mean) / self.std

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, c, h, w] → images in [-1, 1]."""
        check_tensor("latents", latents, f"[B, {self.std.shape[1]}, h, w]", "float")
        return decode(self.net, latents * self.std + self.mean)


# ------------------------------------------------------------------------------------------------ trained further


def equivariant_loss(weight: float) -> LossFn[VAE]:
    """Return the negative ELBO plus ``weight`` times the error of halved latents decoded, compared with halved images.

    Scale equivariance (Kouzelis et al. 2025, EQ-VAE, 2502.09509; Skorokhodov et al. 2025, 2502.14831): what is large in the image
    should be large in the latent. Both are halved by averaging 2×2; the error is −log N(half image; decoded, noise_std²) in nats,
    so that it has the units of the ELBO.
    """
    weight = check_number("weight", weight, at_least=0)

    def objective(net: VAE, batch: tuple[Tensor], generator: torch.Generator) -> Tensor:
        x = as_float(batch[0])
        q = net.encode(x)
        z = q.sample(generator)
        full = ELBO(log_likelihood(x, at_least_float32(net.decode(z)), net.noise_std), q.kl()).loss()
        half = log_likelihood(F.avg_pool2d(x, 2), at_least_float32(net.decode(F.avg_pool2d(z, 2))), net.noise_std)
        return full - weight * half.mean()

    return objective


def noised_loss(noise: float, scale: Tensor, encoder_too: bool = False) -> LossFn[VAE]:
    """Return the loss of a decoder that sees latents with extra noise: the squared error's log-likelihood, in nats per image.

    noise: the largest standard deviation, in units of the latents' own, ``scale`` [1, C, 1, 1]; that of each image is uniform
    from 0 to it, as in the code of RAE (Zheng et al. 2025, 2510.11690). encoder_too: train the encoder as well, with the KL, as
    l-DeTok does (Yang et al. 2025, 2507.15856); otherwise the latents stay exactly as they are.
    """
    noise = check_number("noise", noise, at_least=0)
    check_tensor("scale", scale, "[1, C, 1, 1]", "float")
    check_flag("encoder_too", encoder_too)

    def objective(net: VAE, batch: tuple[Tensor], generator: torch.Generator) -> Tensor:
        x = as_float(batch[0])
        with torch.set_grad_enabled(encoder_too):
            q = net.encode(x)
        z = q.sample(generator)
        level = noise * torch.rand(len(z), 1, 1, 1, device=z.device, generator=generator)
        noisy = z + level * scale * torch.randn(z.shape, device=z.device, generator=generator)
        fit = log_likelihood(x, at_least_float32(net.decode(noisy)), net.noise_std)
        return ELBO(fit, q.kl()).loss()

    return objective


# ------------------------------------------------------------------------------------------------ frozen features


class FeatureAutoencoder(nn.Module):
    """A small representation autoencoder (Zheng et al. 2025): a classifier's frozen features, reduced linearly, and a decoder.

    classifier: its last map before the pooling is used, normalised and before the ReLU: 64 channels of 1/8 of the side. images:
    [N, 1, H, W], from which the principal axes of these channels are computed; the latents are the first ``channels`` of them,
    scaled to variance 1. seed: of the decoder's weights, which are not trained yet.
    """

    def __init__(self, classifier: Classifier, images: Tensor, channels: int, seed: int = 0) -> None:
        super().__init__()
        check_tensor("images", images, "[N, 1, H, W]")
        self.features = deepcopy(classifier.body[:7]).requires_grad_(False).eval()
        with torch.no_grad():
            maps = torch.cat([self.features(as_float(x)) for x in images.split(500)])
        values = maps.permute(0, 2, 3, 1).flatten(0, 2).double()  # [N·h·w, 64]
        check_integer("channels", channels, 1, values.shape[1])
        variances, axes = torch.linalg.eigh(values.T.cov())
        first = axes[:, -channels:].flip(1) / variances[-channels:].flip(0).clamp(min=1e-12).sqrt()
        self.axes, self.mean = nn.Buffer(first.float()), nn.Buffer(values.mean(0).float())
        shape = {"out_channels": 1, "width": 16, "factor": 8, "in_channels": channels, "blocks": 1}
        seed = check_integer("seed", seed, MIN_SEED, MAX_SEED)
        self.decoder = recipes.build(make_decoder, shape, seed).to(images.device)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Images [B, 1, H, W], sides multiples of 8 → latents [B, channels, H/8, W/8]."""
        check_tensor("images", images, "[B, 1, H, W]", "float", least=0)
        if any(side % 8 for side in images.shape[-2:]):
            raise ValueError(f"The images are {tuple(images.shape)}, but their sides must be multiples of 8: pad or resize them.")
        maps = self.features(images.to(self.axes.dtype))
        return torch.einsum("bkhw,kc->bchw", maps - self.mean.view(1, -1, 1, 1), self.axes)

    def decode(self, latents: Tensor) -> Tensor:
        """Latents → images, roughly in [-1, 1]."""
        check_tensor("latents", latents, f"[B, {self.axes.shape[1]}, h, w]", "float")
        return self.decoder(latents.to(self.axes.dtype))


def train_feature_autoencoder(
    classifier: Classifier, channels: int, machine: Machine, steps: int | None = None, seed: int = 0, progress: bool = True
) -> FeatureAutoencoder:
    """Train a decoder on a classifier's frozen features: the recipe ``fashion-autoencoder`` but for its encoder."""
    images, _ = fashion_mnist("train", machine.device)
    net = FeatureAutoencoder(classifier.to(machine.device), images[:FITTED], channels, seed)
    _, training = recipes.untrained_network("fashion-autoencoder", seed, steps, progress)
    latents = encode(net, images)

    def objective(decoder: nn.Module, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
        return reconstruction_loss(lambda _: decoder(batch[0]), as_float(batch[1]))

    net.decoder = train(net.decoder, objective, (latents, images), training, machine=machine).ema
    return net.eval()


# ------------------------------------------------------------------------------------------------ the ways

Make = Callable[[Machine, int, int | None], Net]
"""(machine, seed, steps) → the trained encoder and decoder; steps: None for as many as the way takes."""


@dataclass(frozen=True)
class Way:
    """One way of making latents. family: the ways that differ in one number only. setting: that number, as text."""

    family: str
    setting: str
    make: Make


def _beta(beta: float, machine: Machine, seed: int, steps: int | None) -> VAE:
    return train_beta_vae(beta, load_or_train_base(machine, seed, steps, False), machine, steps or STEPS, seed, False)


def _bottleneck(factor: int, channels: int, machine: Machine, seed: int, steps: int | None) -> Net:
    return train_autoencoder(factor, channels, machine, steps, seed, False)


def _equivariant(weight: float, machine: Machine, seed: int, steps: int | None) -> VAE:
    base = load_or_train_base(machine, seed, steps, False)
    return fine_tune(base, equivariant_loss(weight), machine, steps or STEPS, seed, False)


def _noised(noise: float, encoder_too: bool, machine: Machine, seed: int, steps: int | None) -> VAE:
    base = load_or_train_base(machine, seed, steps, False)
    scale = posterior(base, fashion_mnist("train", machine.device)[0][:FITTED]).mean.std((0, 2, 3), keepdim=True)
    return fine_tune(base, noised_loss(noise, scale, encoder_too), machine, steps or STEPS, seed, False)


def _features(channels: int, of_judge: bool, machine: Machine, seed: int, steps: int | None) -> Net:
    """The judge's own seed is 0, so that of another classifier is seed + 1: a judge of its own features would be biased."""
    judge = recipes.load_or_train("fashion-classifier", machine) if of_judge else None
    classifier = judge or load_or_train_classifier(machine, seed + 1, steps, False)
    return train_feature_autoencoder(classifier, channels, machine, steps, seed, False)


BETAS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
SHAPES = ((8, 1), (8, 2), (8, 4), (8, 8), (8, 16), (4, 1), (16, 16))  # factor, channels

WAYS: dict[str, Way] = {
    **{f"beta {b:g}": Way("beta", f"{b:g}", partial(_beta, b)) for b in BETAS},
    **{f"f{f} c{c}": Way("bottleneck", f"f{f} c{c}", partial(_bottleneck, f, c)) for f, c in SHAPES},
    **{f"equivariant {w:g}": Way("equivariant", f"{w:g}", partial(_equivariant, w)) for w in (0.25, 1.0)},
    **{f"noisy decoder {n:g}": Way("noisy decoder", f"{n:g}", partial(_noised, n, False)) for n in (0.2, 0.5, 1.0)},
    "noisy both 0.5": Way("noisy both", "0.5", partial(_noised, 0.5, True)),
    **{f"features c{c}": Way("features", f"c{c}", partial(_features, c, False)) for c in (4, 16)},
    "judge's features c16": Way("judge's features", "c16", partial(_features, 16, True)),
}
REFERENCE = "beta 1"  # the plain VAE, and the control of all that is trained further


def make_codec(name: str, machine: Machine, seed: int = 0, steps: int | None = None, images: Tensor | None = None) -> LatentCodec:
    """Train the encoder and decoder of one of `WAYS` from this seed, and return their codec.

    Some seconds on one core where a VAE of this seed is saved already, a minute or two for a bottleneck. steps: of each training,
    instead of the way's own number. images: the training images, where they are loaded already. Raises ValueError for an unknown
    name.
    """
    check_choice("name", name, WAYS)
    if steps is not None:
        check_integer("steps", steps, 1, MAX_STEPS)
    net = WAYS[name].make(machine, check_integer("seed", seed, 0), steps)
    return LatentCodec(net, (fashion_mnist("train", machine.device)[0] if images is None else images)[:FITTED])
