"""The experiments of chapter 4 that run in the notebook: noise schedules, latent scaling, and what a denoiser knows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from course_lib import recipes
from course_lib.arguments import check_finite, check_integer, check_integers, check_number, check_numbers, check_tensor
from course_lib.codec import Codec, VAECodec, decode_all
from course_lib.device import Machine
from course_lib.diffusion import Denoiser, add_noise
from course_lib.dit import DiT
from course_lib.experiments.evaluator import Evaluator, Score
from course_lib.experiments.generate import DenoiserFactory, balanced_labels, conditional_factory, generate, seeded_noise
from course_lib.experiments.limits import seeded_generator
from course_lib.recipes.losses import denoising_loss
from course_lib.recipes.store import build
from course_lib.samplers import dpmpp_2m
from course_lib.schedule import Level, Schedule, check_level
from course_lib.training import TrainConfig, train
from course_lib.training.config import MAX_SEED, MIN_SEED

# ------------------------------------------------------------------------------------------------- schedules


def snr_db(level: Level) -> float:
    """Return the signal-to-noise ratio of a level in decibels, 20 log10(alpha / sigma), for unit-variance data; inf if clean."""
    check_level(level)
    return 20 / math.log(10) * level.half_log_snr


def level_at_snr(schedule: Schedule, db: float) -> Level:
    """Return the level of a schedule whose signal-to-noise ratio is nearest to this many decibels."""
    db = check_number("db", db)
    return min((schedule.level(t) for t in range(1, schedule.T)), key=lambda level: abs(snr_db(level) - db))


def noised(x0: Tensor, eps: Tensor, schedule: Schedule, dbs: Sequence[float]) -> Tensor:
    """Add noise to one image [1, C, H, W] at each of these signal-to-noise ratios: [len(dbs), C, H, W].

    The images are divided by √(alpha² + sigma²), so that schedules with and without constant variance can be compared.
    """
    check_tensor("x0", x0, "[1, C, H, W]", "float")
    levels = [level_at_snr(schedule, db) for db in check_numbers("dbs", dbs)]
    return torch.cat([add_noise(x0, eps, level) / math.hypot(level.alpha, level.sigma) for level in levels])


def snr_offset_db(std: float) -> float:
    """Return by how many decibels data of this standard deviation exceeds unit-variance data at every level: 20 log10(std).

    x_t = alpha · std · u + sigma · eps, with u of unit variance, has std² times the signal-to-noise ratio that the schedule
    was made for.
    """
    return 20 * math.log10(check_number("std", std, above=0))


def equivalent_timestep(schedule: Schedule, t: int, std: float) -> int:
    """Return the timestep at which unit-variance data is as noisy as data of this standard deviation is at t."""
    check_integer("t", t, 1, schedule.T)
    return level_at_snr(schedule, snr_db(schedule.level(t)) + snr_offset_db(std)).t


# ------------------------------------------------------------------------------------------------- latent scaling


@dataclass(frozen=True)
class ScalingResult:
    """One way to scale latents and what a short training made of it.

    name: of the scaling. codec: whose statistics are the scaling. std: of the scaled latents, per channel [C]. score: of the
    samples. images: the samples [n, C, H, W].
    """

    name: str
    codec: VAECodec
    std: Tensor
    score: Score
    images: Tensor


def scaling_codecs(codec: VAECodec, latents: Tensor, stretch: float = 5.0) -> dict[str, VAECodec]:
    """Return codecs of the same VAE that scale its latents in several ways; a codec's statistics *are* the scaling.

    latents: unit-variance latents [N, C, h, w] of the given codec. "one number" divides by the standard deviation of all
    latent values together and shifts nothing, as in latent diffusion (Rombach et al. 2022, appendix G). stretch: by what
    factor the latents of the last two codecs are too large or too small.
    """
    stretch = check_number("stretch", stretch, above=0)
    mean, std = codec.latents_mean.flatten(), codec.latents_std.flatten()
    one = torch.full_like(std, global_std(codec, latents))
    zero = torch.zeros_like(std)
    statistics = {
        "none": (zero, torch.ones_like(std)),
        "one number": (zero, one),
        "per channel": (mean, std),
        f"{stretch:g}× too large": (mean, std / stretch),
        f"{stretch:g}× too small": (mean, std * stretch),
    }
    return {name: VAECodec(codec.vae, *mean_and_std) for name, mean_and_std in statistics.items()}


def global_std(codec: VAECodec, latents: Tensor) -> float:
    """Return the standard deviation of all the VAE's unscaled latent values together: 1 / ``scaling_factor`` of Stable Diffusion.

    latents: unit-variance latents [N, C, h, w] of the codec.
    """
    _check_latents(latents, codec)
    check_finite("latents", latents)
    return (latents * codec.latents_std + codec.latents_mean).std().item()


def compare_scalings(
    codec: VAECodec, latents: Tensor, labels: Tensor, evaluator: Evaluator, steps: int = 200, n: int = 400
) -> list[ScalingResult]:
    """Train the same small denoiser on the same latents in several scalings, equally long, and score n samples of each.

    latents: unit-variance latents [N, C, h, w] of the codec, with labels [N].
    """
    wanted, results, levels = balanced_labels(n, evaluator.machine), [], recipes.make_schedule().grid(10)
    for name, other in scaling_codecs(codec, latents).items():
        scaled = rescale_latents(latents, codec, other)
        net, training = small_denoiser(latents, steps)
        result = train(net, denoising_loss(recipes.NUM_CLASSES), (scaled, labels), training, machine=evaluator.machine)
        factory, shape = conditional_factory(result.ema, evaluator.machine), tuple(latents.shape[1:])
        images = generate(factory, wanted, other, shape, evaluator.machine, levels=levels)
        results.append(ScalingResult(name, other, scaled.std(dim=(0, 2, 3)), evaluator.score(images, wanted), images))
    return results


def small_denoiser(latents: Tensor, steps: int = 200, seed: int = 0) -> tuple[DiT, TrainConfig]:
    """Return a small DiT for latents [N, C, S, S] before its training, and how to train it: some seconds on two cores."""
    check_tensor("latents", latents, "[N, C, S, S]", "float")
    shape = {"in_channels": latents.shape[1], "size": latents.shape[2], "dim": 64, "depth": 2}
    net = build(DiT, shape, check_integer("seed", seed, MIN_SEED, MAX_SEED))
    return net, TrainConfig(steps=steps, batch_size=64, lr=3e-3, betas=(0.9, 0.99), ema_decay=0.99, seed=seed, progress=False)


def rescale_latents(latents: Tensor, codec: VAECodec, other: VAECodec) -> Tensor:
    """Convert latents of one codec to the scaling of another codec of the same VAE; the shape stays."""
    _check_latents(latents, codec)
    _check_latents(latents, other)
    return (latents * codec.latents_std + codec.latents_mean - other.latents_mean) / other.latents_std


def _check_latents(latents: Tensor, codec: VAECodec) -> None:
    check_tensor("latents", latents, f"[N, {codec.vae.latent_channels}, h, w]", "float")


def scaling_factor(codec: VAECodec) -> float:
    """Return the ``scaling_factor`` of a VAE, 1 over the standard deviation of all its latent values.

    It follows from the channels' statistics: the variance of a mixture is the mean of the channels' variances plus the
    variance of their means.
    """
    mean, std = codec.latents_mean, codec.latents_std
    return (std.square().mean() + mean.var(correction=0)).rsqrt().item()


# ------------------------------------------------------------------------------------------------- samples


@dataclass(frozen=True)
class Trajectory:
    """The decoded trajectory of a sampler: at each step its level, x_t and the expected clean data x0_hat.

    levels: S levels, noisiest first, the last one clean. x_t, x0_hat: images [S, B, C, H, W] in [-1, 1].
    """

    levels: list[Level]
    x_t: Tensor
    x0_hat: Tensor


def record_trajectory(denoise: Denoiser, x_T: Tensor, levels: list[Level], codec: Codec) -> Trajectory:
    """Run DPM-Solver++(2M) from x_T [B, C, h, w] and decode x_t and x0_hat at each step, and the result."""
    steps: list[tuple[Level, Tensor, Tensor]] = []
    result = dpmpp_2m(denoise, x_T, levels, callback=lambda i, level, x_t, x0_hat: steps.append((level, x_t, x0_hat)))
    visited = [level for level, _, _ in steps] + [levels[-1]]
    x_t = torch.stack([codec.decode(x) for _, x, _ in steps] + [codec.decode(result)])
    return Trajectory(visited, x_t, torch.stack([codec.decode(x0) for _, _, x0 in steps] + [codec.decode(result)]))


def decode_prior(codec: VAECodec, n: int, shape: tuple[int, ...], machine: Machine, seed: int = 0) -> Tensor:
    """Decode n samples of the VAE's prior N(0, I), which is in the VAE's own scaling, not the codec's: images [n, C, H, W]."""
    z = seeded_noise(n, shape, machine, seed)
    _check_latents(z, codec)
    return decode_all(codec, (z - codec.latents_mean) / codec.latents_std)


def unexplained_variance(
    factory: DenoiserFactory, latents: Tensor, labels: Tensor, ts: Sequence[int], seed: int = 0
) -> list[float]:
    """Return the fraction of the latents' variance that the denoiser leaves unexplained, at each timestep t.

    This is the mean squared error of x0_hat on unit-variance latents [N, C, h, w] with labels [N]: 0 if the denoiser knows
    everything, about 1 if it knows nothing.
    """
    schedule = recipes.make_schedule()
    check_tensor("latents", latents, "[N, C, h, w]", "float")
    check_tensor("labels", labels, f"[{len(latents)}]", "integer")
    ts = check_integers("ts", ts)
    eps = torch.randn(latents.shape, generator=seeded_generator(seed)).to(latents)
    denoise = factory(labels)
    with torch.no_grad():
        levels = [schedule.level(t) for t in ts]
        return [(denoise(add_noise(latents, eps, level), level) - latents).square().mean().item() for level in levels]
