"""The experiments of chapter 4 that run in the notebook: schedules, latent scaling, what a denoiser knows, and its walks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from course_lib import recipes
from course_lib.codec import Codec, VAECodec, decode_all
from course_lib.device import Machine
from course_lib.diffusion import Denoiser, add_noise, loss
from course_lib.dit import DiT
from course_lib.experiments.evaluator import Evaluator, Score
from course_lib.experiments.generate import DenoiserFactory, balanced, conditional, generate, noise
from course_lib.samplers import dpmpp_2m
from course_lib.schedule import Level, Schedule
from course_lib.training import LossFn, TrainConfig, train

# ------------------------------------------------------------------------------------------------- schedules


def decibels(level: Level) -> float:
    """Signal-to-noise ratio of a level in decibels, 20 log10(alpha / sigma), for data of spread 1; inf for clean data."""
    return 20 / math.log(10) * level.half_log_snr


def level_at(schedule: Schedule, db: float) -> Level:
    """The step of a schedule whose signal-to-noise ratio is nearest to so many decibels."""
    return min((schedule.level(t) for t in range(1, schedule.T)), key=lambda level: abs(decibels(level) - db))


def noised(x0: Tensor, eps: Tensor, schedule: Schedule, dbs: Sequence[float]) -> Tensor:
    """One picture [1, C, H, W] at these signal-to-noise ratios [len(dbs), C, H, W], divided by √(alpha² + sigma²), so that
    schedules which let the variance sink can be compared with those which keep it."""
    levels = [level_at(schedule, db) for db in dbs]
    return torch.cat([add_noise(x0, eps, level) / math.hypot(level.alpha, level.sigma) for level in levels])


def snr_offset_db(std: float) -> float:
    """By how many decibels data of this spread lies above data of spread 1, at every level: 20 log10(std).

    x_t = alpha · std · u + sigma · eps, for u of spread 1, has std² times the signal-to-noise ratio that the schedule was
    made for.
    """
    return 20 * math.log10(std)


def equivalent_timestep(schedule: Schedule, t: int, std: float) -> int:
    """The step at which data of spread 1 is as noisy as data of this spread is at t."""
    return level_at(schedule, decibels(schedule.level(t)) + snr_offset_db(std)).t


# ------------------------------------------------------------------------------------------------- latent scaling


@dataclass(frozen=True)
class Scaling:
    """One way to scale latents: its name, the codec whose statistics do it, the latents' spread after it, and what training gave.

    std: [C]. images: what was drawn [n, C, H, W].
    """

    name: str
    codec: VAECodec
    std: Tensor
    score: Score
    images: Tensor


def scaling_codecs(codec: VAECodec, latents: Tensor, stretch: float = 5.0) -> dict[str, VAECodec]:
    """The same VAE with its latents scaled in several ways; the codec's statistics *are* the scaling.

    latents: unit latents [N, C, h, w] of the given codec. "one number" divides by the standard deviation of all numbers
    together and moves nothing, as latent diffusion does (Rombach et al. 2022, appendix G). stretch: how many times too large, or
    too small, the latents of the last two are.
    """
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
    return {name: VAECodec(codec.vae, *numbers) for name, numbers in statistics.items()}


def global_std(codec: VAECodec, latents: Tensor) -> float:
    """Standard deviation of all the VAE's own numbers together; 1 over it is the ``scaling_factor`` of Stable Diffusion."""
    return (latents * codec.latents_std + codec.latents_mean).std().item()


def scaling(codec: VAECodec, latents: Tensor, labels: Tensor, judge: Evaluator, steps: int = 200, n: int = 400) -> list[Scaling]:
    """Train the same small denoiser on the same latents in several units, equally long, and judge what each draws."""
    wanted, results, levels = balanced(n, judge.machine), [], recipes.make_schedule().grid(10)
    for name, other in scaling_codecs(codec, latents).items():
        scaled = rescaled(latents, codec, other)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            net = DiT(latents.shape[1], latents.shape[2], dim=64, depth=2)
        config = TrainConfig(steps=steps, batch_size=64, lr=3e-3, betas=(0.9, 0.99), ema_decay=0.99, progress=False)
        result = train(net, objective(), (scaled, labels), config, machine=judge.machine)
        shape = tuple(latents.shape[1:])
        images = generate(conditional(result.ema, judge.machine), wanted, other, shape, judge.machine, levels=levels)
        results.append(Scaling(name, other, scaled.std(dim=(0, 2, 3)), judge.score(images, wanted), images))
    return results


def rescaled(latents: Tensor, codec: VAECodec, other: VAECodec) -> Tensor:
    """Latents of one codec in the units of another codec of the same VAE, same shape."""
    return (latents * codec.latents_std + codec.latents_mean - other.latents_mean) / other.latents_std


def scaling_factor(codec: VAECodec) -> float:
    """The ``scaling_factor`` of a VAE, 1 over the spread of all its numbers, from the statistics of its channels alone.

    The variance of a mixture: the mean of the channels' variances, and the variance of their means.
    """
    mean, std = codec.latents_mean, codec.latents_std
    return (std.square().mean() + mean.var(correction=0)).rsqrt().item()


def objective(kind: str | None = None) -> LossFn:
    """The loss that the workbook's denoisers minimise (of another kind, where given), as `course_lib.training.train` calls it."""
    schedule = recipes.make_schedule()

    def objective(net: nn.Module, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
        return loss(net, *batch, schedule, kind or recipes.PREDICTION_TYPE, generator=generator, null_label=recipes.NUM_CLASSES)

    return objective


# ------------------------------------------------------------------------------------------------- samples


@dataclass(frozen=True)
class Walk:
    """One walk of the sampler, decoded: at each step its level, x_t and the clean data expected from there.

    levels: S of them, noisiest first, the last is clean. x_t, x0_hat: images [S, B, C, H, W] in [-1, 1].
    """

    levels: list[Level]
    x_t: Tensor
    x0_hat: Tensor


def walk(denoise: Denoiser, x_T: Tensor, levels: list[Level], codec: Codec) -> Walk:
    """Follow DPM-Solver++(2M) from x_T [B, C, h, w] and decode what it sees at each step, and where it ends."""
    seen: list[tuple[Level, Tensor, Tensor]] = []
    end = dpmpp_2m(denoise, x_T, levels, callback=lambda i, *rest: seen.append(rest))
    visited = [level for level, _, _ in seen] + [levels[-1]]
    x_t = torch.stack([codec.decode(x) for _, x, _ in seen] + [codec.decode(end)])
    return Walk(visited, x_t, torch.stack([codec.decode(x0) for _, _, x0 in seen] + [codec.decode(end)]))


def decode_prior(codec: VAECodec, n: int, shape: tuple[int, ...], machine: Machine, seed: int = 0) -> Tensor:
    """n images decoded from the VAE's own prior N(0, I), which is in the VAE's units, not in unit latents: [n, C, H, W]."""
    z = noise(n, shape, machine, seed)
    return decode_all(codec, (z - codec.latents_mean) / codec.latents_std)


def errors_by_level(make: DenoiserFactory, latents: Tensor, labels: Tensor, ts: Sequence[int], seed: int = 0) -> list[float]:
    """Share of the latents' variance that the denoiser leaves unexplained at each step t: mean squared error of x0_hat,
    0 (knows all) to about 1 (knows nothing)."""
    schedule = recipes.make_schedule()
    eps = torch.randn(latents.shape, generator=torch.Generator().manual_seed(seed)).to(latents)
    denoise = make(labels)
    with torch.no_grad():
        rows = [schedule.level(t) for t in ts]
        return [(denoise(add_noise(latents, eps, level), level) - latents).square().mean().item() for level in rows]
