"""Experiments of the further notebook on sharpness: why squared error blurs, and what two other losses improve and cost."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.adversarial import PatchDiscriminator, adaptive_weight, discriminator_loss, generator_loss
from course_lib.arguments import check_integer, check_number, check_same_shape, check_tensor
from course_lib.codec import posterior
from course_lib.device import Machine
from course_lib.experiments.limits import MAX_STEPS, seeded_generator
from course_lib.images import as_float, patches, scale_to_norm
from course_lib.judges.factor_reader import FactorReader
from course_lib.metrics import frechet_distance, psnr, ssim
from course_lib.perceptual import perceptual_distance
from course_lib.recipes.store import build
from course_lib.training import TrainConfig, train
from course_lib.vae import ELBO, VAE, log_likelihood

MAX_SIDE = 255  # of the square of a blur


class OnePixelLosses(NamedTuple):
    """One pixel that is about -1 or about +1, and the latent does not say which: its density, and three losses of an answer.

    Everything [K], for answers a on an even grid: the density p(a); the expected squared error; the expected squared distance in
    the feature |x|; and -log p(a), which is what a perfect discriminator leaves to minimise.
    """

    answer: Tensor
    density: Tensor
    squared: Tensor
    features: Tensor
    discriminator: Tensor


def one_pixel_losses(std: float = 0.1, upper: float = 0.5) -> OnePixelLosses:
    """Compute the losses in closed form. std: standard deviation around each of the two values; upper: probability of +1.

    A discriminator that knows the densities p (real) and q (answers) reports log p − log q (Goodfellow et al. 2014, prop. 1). A
    single answer cannot change its own density q, so only the first term matters.
    """
    std, upper = check_number("std", std, above=0), check_number("upper", upper, at_least=0, at_most=1)
    a = torch.arange(-300, 301, dtype=torch.float64) / 200
    modes = [torch.distributions.Normal(torch.tensor(m, dtype=torch.float64), std) for m in (-1.0, 1.0)]
    weights = torch.tensor([1 - upper, upper], dtype=torch.float64)
    log_p = torch.stack([mode.log_prob(a) + w.log() for mode, w in zip(modes, weights, strict=True)]).logsumexp(0)
    p = log_p.exp() / log_p.exp().sum()
    errors = {f: ((f(a)[:, None] - f(a)[None]).square() * p).sum(1) for f in (torch.positive, torch.abs)}
    return OnePixelLosses(a, log_p.exp(), errors[torch.positive], errors[torch.abs], -log_p)


def horizontal_shifts(images: Tensor, reach: int = 2) -> Tensor:
    """Shift images [N, C, H, W] sideways by -reach … reach pixels: [2·reach + 1, N, C, H, W].

    What comes in at a side repeats the outermost column.
    """
    check_tensor("images", images, "[N, C, H, W]", "float")
    check_integer("reach", reach, 0, images.shape[-1])
    wide = F.pad(images, (reach, reach, 0, 0), mode="replicate")
    return torch.stack([wide[..., i : i + images.shape[-1]] for i in range(2 * reach + 1)])


class ExpectedDistance(NamedTuple):
    """Expected distance of two answers to the truth: of the mean of all possible images, and of one of them at random."""

    mean: float
    sharp: float


@torch.no_grad()
def expected_distance(possible: Tensor, distance: Callable[[Tensor, Tensor], Tensor]) -> ExpectedDistance:
    """Average both answers' distances to a truth that is any of the `possible` images [K, N, C, H, W] with equal probability.

    distance: of pairs of images [N, C, H, W], giving [N]. For squared error `sharp` is twice `mean`, whatever the images: the
    variance is half the mean square of the difference of two samples.
    """
    check_tensor("possible", possible, "[K, N, C, H, W]", "float")
    mean_image = possible.mean(0)
    mean = torch.stack([distance(mean_image, truth).mean() for truth in possible])
    sharp = torch.stack([distance(answer, truth).mean() for answer in possible for truth in possible])
    return ExpectedDistance(mean.mean().item(), sharp.mean().item())


def box_blur(images: Tensor, side: int) -> Tensor:
    """Replace every pixel by the mean of the side × side (odd) pixels around it; beyond the border the outermost ones repeat."""
    check_tensor("images", images, "[N, C, H, W]", "float")
    if check_integer("side", side, 1, MAX_SIDE) % 2 == 0:
        raise ValueError(f"side is {side}, but must be odd, so that the square has a pixel in its middle.")
    reach = side // 2
    return F.avg_pool2d(F.pad(images, (reach,) * 4, mode="replicate"), side, stride=1)


def distort(images: Tensor, error: float, seed: int = 0) -> dict[str, Tensor]:
    """Distort images [N, C, H, W] in three ways, each exactly `error` (root mean square) away: lighter, blurred, noisy."""
    check_tensor("images", images, "[N, C, H, W]", "float")
    error = check_number("error", error, at_least=0)
    noise = torch.randn(images.shape, generator=seeded_generator(seed)).to(images.device)
    changes = {"lighter": torch.ones_like(images), "blurred": box_blur(images, 7) - images, "noisy": noise}
    length = torch.full((len(images),), error * images[0].numel() ** 0.5, device=images.device)
    return {name: images + scale_to_norm(change, length) for name, change in changes.items()}


_CONFIG = TrainConfig(
    batch_size=16, lr=5e-4, betas=(0.5, 0.99), warmup_steps=20, grad_clip=1.0, ema_decay=0.98, channels_last=True, progress=False
)


class VAEWithDiscriminator(nn.Module):
    """A VAE and the discriminator of its reconstructions in one module, so that one training loop updates both."""

    def __init__(self, vae: VAE, discriminator: PatchDiscriminator) -> None:
        super().__init__()
        self.vae, self.discriminator = vae, discriminator


@torch.no_grad()
def reconstruct(vae: VAE, images: Tensor, batch: int = 100) -> Tensor:
    """Decode the posterior means of images [N, C, H, W], uint8 or floats: reconstructions clamped to [-1, 1]."""
    check_tensor("images", images, "[N, C, H, W]")
    batch = check_integer("batch", batch, at_least=1)
    return torch.cat([vae(as_float(x)).clamp(-1, 1) for x in images.split(batch)])


def train_discriminator(
    real: Tensor,
    fake: Tensor,
    machine: Machine,
    steps: int = 150,
    seed: int = 0,
    loss: Callable[[Tensor, Tensor], Tensor] = discriminator_loss,
) -> PatchDiscriminator:
    """Train a discriminator from scratch to distinguish the patches of real images [N, 3, H, W] from those of fake ones.

    loss: of the scores of real and of fake patches, a scalar.
    """
    check_tensor("real", real, "[N, 3, H, W]")
    check_tensor("fake", fake, "[N, 3, H, W]")
    check_same_shape("real", real, "fake", fake)
    check_integer("steps", steps, 1, MAX_STEPS)
    config = replace(_CONFIG, steps=steps, lr=2e-3, seed=seed, ema_decay=None)
    discriminator = build(PatchDiscriminator, {"in_channels": real.shape[1]}, seed)

    def objective(net: PatchDiscriminator, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
        return loss(*(net(as_float(x)).float() for x in batch))

    return train(discriminator, objective, (real, fake), config, machine=machine).net


@torch.no_grad()
def discriminator_accuracy(discriminator: PatchDiscriminator, real: Tensor, fake: Tensor) -> float:
    """Return the fraction of patches, real and fake in equal parts, that are scored on the correct side of 0; 0.5 is guessing."""
    check_tensor("real", real, "[N, 3, H, W]")
    check_tensor("fake", fake, "[N, 3, H, W]")
    correct = (discriminator(as_float(real)) > 0).double().mean() + (discriminator(as_float(fake)) < 0).double().mean()
    return (correct / 2).item()


def adversarial_losses(
    discriminator: PatchDiscriminator, x: Tensor, decoded: Tensor, reconstruction: Tensor, last: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the decoder's adversarial loss at its adaptive weight, and the discriminator's own loss, for images x [B, C, H, W].

    reconstruction: the other losses, a scalar. last: the weights of the decoder's last layer (see `adaptive_weight`).
    """
    discriminator.requires_grad_(False)  # in the decoder's loss the discriminator judges, and does not learn
    for_decoder = generator_loss(discriminator(decoded).float())
    discriminator.requires_grad_(True)
    weighted = adaptive_weight(reconstruction, for_decoder, last) * for_decoder
    return weighted, discriminator_loss(discriminator(x).float(), discriminator(decoded.detach()).float())


def finetune(
    vae: VAE,
    images: Tensor,
    machine: Machine,
    reader: FactorReader | None = None,
    perceptual: float = 0.0,
    adversarial: float = 0.0,
    steps: int = 300,
    seed: int = 0,
) -> VAE:
    """Train a copy of the VAE further on images (uint8 [N, 3, 64, 64]) and return it.

    The loss is the negative ELBO per dimension of the image, plus `perceptual` times the distance in the reader's features, plus
    `adversarial` times the adversarial loss at its adaptive weight (Esser et al. 2021, eq. 5 to 7). Raises ValueError for a
    perceptual weight without a reader.
    """
    check_tensor("images", images, "[N, 3, 64, 64]")
    check_integer("steps", steps, 1, MAX_STEPS)
    for name, weight in (("perceptual", perceptual), ("adversarial", adversarial)):
        check_number(name, weight, at_least=0)
    config = replace(_CONFIG, steps=steps, seed=seed)
    if perceptual and reader is None:
        raise ValueError(f"perceptual is {perceptual}, but the perceptual distance needs a reader: give one, or set it to 0.")
    vae = copy.deepcopy(vae).requires_grad_(True)
    if adversarial:
        discriminator = train_discriminator(images, reconstruct(vae, images), machine, seed=seed)
    else:
        discriminator = PatchDiscriminator()
    dims, last = images[0].numel(), vae.decoder[-1].get_parameter("weight")

    def objective(both: VAEWithDiscriminator, batch: tuple[Tensor], generator: torch.Generator) -> Tensor:
        x = as_float(batch[0])
        q = both.vae.encode(x)
        decoded = both.vae.decode(q.sample(generator))
        loss = ELBO(log_likelihood(x, decoded.float(), vae.noise_std), q.kl()).loss() / dims
        if perceptual and reader is not None:
            loss = loss + perceptual * perceptual_distance(reader, decoded, x).mean()
        if adversarial:
            for_decoder, for_discriminator = adversarial_losses(both.discriminator, x, decoded, loss, last)
            loss = loss + adversarial * for_decoder + for_discriminator
        return loss

    return train(VAEWithDiscriminator(vae, discriminator), objective, (images,), config, machine=machine).ema.vae


def interpolate_weights(one: VAE, other: VAE, fraction: float) -> VAE:
    """Return a VAE whose every weight lies `fraction` of the way (0..1) from one VAE's to the other's; both stay unchanged.

    It works for two that were trained further from the same weights ("network interpolation", Wang et al. 2018, ESRGAN, section
    3.4).
    """
    fraction = check_number("fraction", fraction, at_least=0, at_most=1)
    if [w.shape for w in one.parameters()] != [w.shape for w in other.parameters()]:
        raise ValueError("one and other have weights of different shapes, but only VAEs of one architecture can be interpolated.")
    between = copy.deepcopy(one)
    for weight, goal in zip(between.parameters(), other.parameters(), strict=True):
        weight.data.lerp_(goal.data, fraction)
    return between


def high_frequency_rms(images: Tensor) -> float:
    """Return the root mean square of what a blur over 3×3 pixels removes from images [N, C, H, W]."""
    return (images - box_blur(images, 3)).square().mean().sqrt().item()


@dataclass(frozen=True)
class SharpnessReport:
    """The quality of a VAE's reconstructions of images that it has not seen, and the statistics of its latents.

    psnr: in dB. features: mean perceptual distance. patch_frechet: Fréchet distance of the 4×4 patches' 48 values. detail: high
    frequencies (see `high_frequency_rms`) as a fraction of the originals'. discriminator_accuracy: of a discriminator trained on
    other images; 0.5 is guessing. kl: in nats per image. latents_std: of the latent means, by channel.
    """

    psnr: float
    ssim: float
    features: float
    patch_frechet: float
    detail: float
    discriminator_accuracy: float
    kl: float
    latents_std: tuple[float, ...]


@torch.no_grad()
def sharpness_report(
    vae: VAE, reader: FactorReader, images: Tensor, machine: Machine, training_images: Tensor
) -> SharpnessReport:
    """Measure one VAE on images, uint8 [N, 3, 64, 64]; training_images: others, on which the new discriminator is trained."""
    x, fake, q = as_float(images), reconstruct(vae, images), posterior(vae, images)
    with torch.enable_grad():
        discriminator = train_discriminator(training_images, reconstruct(vae, training_images), machine, seed=1)
    return SharpnessReport(
        psnr(fake, x).item(),
        ssim(fake, x).item(),
        torch.cat([perceptual_distance(reader, *pair) for pair in zip(fake.split(100), x.split(100), strict=True)]).mean().item(),
        frechet_distance(patches(fake, 4), patches(x, 4)),
        high_frequency_rms(fake) / high_frequency_rms(x),
        discriminator_accuracy(discriminator, x, fake),
        q.kl().mean().item(),
        tuple(q.mean.std((0, 2, 3)).tolist()),
    )
