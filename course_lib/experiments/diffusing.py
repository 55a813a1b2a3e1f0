"""The experiments of chapter 4: samplers against the truth, latent scaling, quality against steps, pixels against latents."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from course_lib import recipes
from course_lib.codec import Codec, VAECodec, decode_all
from course_lib.device import Machine
from course_lib.diffusion import Denoiser, add_noise, loss
from course_lib.dit import DiT
from course_lib.exact import GaussianMixture, gaussian_mixture
from course_lib.experiments.quality import SAMPLERS, Judge, Maker, Score, balanced, conditional, draw, noise
from course_lib.samplers import dpmpp_2m
from course_lib.schedule import Level
from course_lib.train import LossFn, TrainConfig, train

if TYPE_CHECKING:
    import numpy as np

# ------------------------------------------------------------------------------------------------- the exact denoiser


def toy() -> GaussianMixture:
    """Three tilted Gaussians in the plane, in float64: data whose denoiser is known in closed form."""
    means = torch.tensor([[1.2, 0.8], [-1.2, 0.6], [0.1, -1.3]], dtype=torch.float64)
    roots = torch.tensor([[[0.3, 0.0], [0.15, 0.1]], [[0.12, 0.0], [-0.05, 0.35]], [[0.4, 0.0], [0.0, 0.12]]])
    return gaussian_mixture(means, (roots @ roots.mT).double())


def exact_flow(mixture: GaussianMixture, x_t: Tensor, here: Level, there: Level) -> Tensor:
    """Where the probability flow carries x_t, to about eight digits.

    dy/dr = -r · score(y; r) for y = x / alpha and r = sigma / alpha (Karras et al. 2022, eq. 1), by SciPy's Runge-Kutta
    method of order 8. Towards clean data it stops at r = 1e-5 and takes the denoiser's word from there.
    """
    from scipy.integrate import solve_ivp

    def slope(log_r: float, y: "np.ndarray") -> "np.ndarray":  # against log r: the same curve, at an even pace
        r = math.exp(log_r)
        return (-(r**2) * mixture.score(torch.from_numpy(y).view_as(x_t), Level(0, 1.0, r))).flatten().numpy()

    last = max(there.ratio, 1e-5)
    y = (x_t / here.alpha).flatten().numpy()
    found = solve_ivp(slope, (math.log(here.ratio), math.log(last)), y, method="DOP853", rtol=1e-9, atol=1e-9)
    y = torch.from_numpy(found.y[:, -1].copy()).view_as(x_t)
    return there.alpha * y if there.sigma > 0 else mixture.denoise(y, Level(0, 1.0, last))


def sampler_errors(steps: Sequence[int], first: int = 1000, last: int = 0, n: int = 200, seed: int = 0) -> dict[str, list[float]]:
    """Root-mean-square distance between where each sampler ends and where the exact flow ends, from the same points.

    All use the toy's exact denoiser, so that all error is the sampler's. They walk from t = first to t = last in equal
    strides; 1000 to 0 is the whole way. Returns name → one number for each of steps.
    """
    mixture, schedule = toy(), recipes.SCHEDULE()
    generator = torch.Generator().manual_seed(seed)
    here, there = schedule.level(first), schedule.level(last)
    x0 = mixture.sample(n, generator)[0]
    x_t = add_noise(x0, torch.randn(x0.shape, dtype=x0.dtype, generator=generator), here)
    truth = exact_flow(mixture, x_t, here, there)
    denoise = mixture.denoiser()

    def error(name: str, count: int) -> float:
        levels = [schedule.level(round(first + (last - first) * i / count)) for i in range(count + 1)]
        return (SAMPLERS[name](denoise, x_t, levels) - truth).square().mean().sqrt().item()

    return {name: [error(name, count) for count in steps] for name in ("DDIM", "DPM-Solver++(2M)", "Heun")}


def set_errors(steps: Sequence[int], n: int = 10_000, seed: int = 0) -> tuple[dict[str, list[float]], float]:
    """How far each sampler's *set* of points is from the toy's own, also for DDPM, which follows no single path.

    The distance is the Wasserstein distance of projections on 32 directions, averaged, in the toy's own unit. Returns name →
    one number for each of steps, and the distance between two sets of true points: no sampler can be told from the
    truth below it.
    """
    mixture, schedule = toy().to(dtype=torch.float32), recipes.SCHEDULE()
    generator = torch.Generator().manual_seed(seed)
    truth, other = (mixture.sample(n, generator)[0].flatten(1) for _ in range(2))
    x_T = schedule.level(schedule.T).sigma * torch.randn(n, 2, 1, 1, generator=generator)
    denoise = mixture.denoiser()

    def error(name: str, count: int) -> float:
        options = {"generator": torch.Generator().manual_seed(seed)} if name == "DDPM" else {}
        return sliced_distance(SAMPLERS[name](denoise, x_T, schedule.grid(count), **options).flatten(1), truth)

    names = ("DDPM", "DDIM", "DPM-Solver++(2M)")
    return {name: [error(name, count) for count in steps] for name in names}, sliced_distance(truth, other)


def sliced_distance(a: Tensor, b: Tensor, directions: int = 32) -> float:
    """Wasserstein-1 distance of two sets of points [N, 2], averaged over evenly spread directions of projection."""
    angles = torch.arange(directions, dtype=a.dtype) * torch.pi / directions
    onto = torch.stack([angles.cos(), angles.sin()])
    return ((a @ onto).sort(0).values - (b @ onto).sort(0).values).abs().mean().item()


def order(steps: Sequence[int], errors: Sequence[float], last: int = 4) -> float:
    """The order of a method: minus the slope of log error against log steps, fitted to the last few points."""
    x, y = (torch.tensor(values, dtype=torch.float64)[-last:].log() for values in (list(steps), list(errors)))
    return (-((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()).item()


# ------------------------------------------------------------------------------------------------- latent scaling


@dataclass(frozen=True)
class Scaling:
    """One way to scale latents: its name, the statistics it uses, the latents' spread after it, and what training gave."""

    name: str
    codec: VAECodec
    std: Tensor
    score: Score
    seconds: float


def scaling_codecs(codec: VAECodec, latents: Tensor, stretch: float = 5.0) -> dict[str, VAECodec]:
    """The same VAE with its latents scaled in several ways; the codec's statistics *are* the scaling.

    latents: unit latents [N, C, h, w] of the given codec. "one number" divides by the standard deviation of all numbers
    together and moves nothing, as latent diffusion does (Rombach et al. 2022, appendix G). stretch: how many times too large, or
    too small, the latents of the last two are.
    """
    mean, std = codec.latents_mean.flatten(), codec.latents_std.flatten()
    one = torch.full_like(std, spread(codec, latents))
    zero = torch.zeros_like(std)
    statistics = {
        "none": (zero, torch.ones_like(std)),
        "one number": (zero, one),
        "per channel": (mean, std),
        f"{stretch:g}× too large": (mean, std / stretch),
        f"{stretch:g}× too small": (mean, std * stretch),
    }
    return {name: VAECodec(codec.vae, *numbers) for name, numbers in statistics.items()}


def spread(codec: VAECodec, latents: Tensor) -> float:
    """Standard deviation of all the VAE's own numbers together; 1 over it is the ``scaling_factor`` of Stable Diffusion."""
    return (latents * codec.latents_std + codec.latents_mean).std().item()


def scaling(codec: VAECodec, latents: Tensor, labels: Tensor, judge: Judge, steps: int = 200, n: int = 400) -> list[Scaling]:
    """Train the same small denoiser on the same latents in several units, equally long, and judge what each draws."""
    wanted, results, levels = balanced(n, judge.machine), [], recipes.SCHEDULE().grid(10)
    for name, other in scaling_codecs(codec, latents).items():
        scaled = (latents * codec.latents_std + codec.latents_mean - other.latents_mean) / other.latents_std
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            net = DiT(latents.shape[1], latents.shape[2], dim=64, depth=2)
        config = TrainConfig(steps=steps, batch_size=64, lr=3e-3, betas=(0.9, 0.99), ema=0.99, progress=False)
        result = train(net, objective(), (scaled, labels), config, machine=judge.machine)
        shape = tuple(latents.shape[1:])
        images = draw(conditional(result.ema, judge.machine), wanted, other, shape, judge.machine, levels=levels)
        results.append(Scaling(name, other, scaled.std(dim=(0, 2, 3)), judge.score(images, wanted), result.seconds))
    return results


def objective() -> LossFn:
    """The loss that the workbook's denoisers minimise, as `course_lib.train.train` calls it."""
    schedule = recipes.SCHEDULE()

    def objective(net: nn.Module, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
        return loss(net, *batch, schedule, recipes.KIND, generator=generator, null_label=recipes.NUM_CLASSES)

    return objective


# ------------------------------------------------------------------------------------------------- samples


def quality_against_steps(
    make: Maker, codec: Codec, judge: Judge, shape: tuple[int, ...], grid: dict[str, Sequence[int]], n: int = 500
) -> dict[str, list[Score]]:
    """Score n samples of each sampler for each number of steps, all from the same noise.

    grid: name in SAMPLERS → numbers of steps.
    """
    wanted, schedule = balanced(n, judge.machine), recipes.SCHEDULE()

    def score(name: str, steps: int) -> Score:
        levels = schedule.grid(steps)
        return judge.score(draw(make, wanted, codec, shape, judge.machine, levels=levels, sampler=name), wanted)

    return {name: [score(name, count) for count in steps] for name, steps in grid.items()}


def calls(name: str, steps: int) -> int:
    """How often a sampler asks the network in so many steps; Heun twice, but once in its last step."""
    return 2 * steps - 1 if name == "Heun" else steps


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


def read_prior(codec: VAECodec, n: int, shape: tuple[int, ...], machine: Machine, seed: int = 0) -> Tensor:
    """n images decoded from the VAE's own prior N(0, I), which is in the VAE's units, not in unit latents: [n, C, H, W]."""
    z = noise(n, shape, machine, seed)
    return decode_all(codec, (z - codec.latents_mean) / codec.latents_std)


def errors_by_level(make: Maker, latents: Tensor, labels: Tensor, ts: Sequence[int], seed: int = 0) -> list[float]:
    """Share of the latents' variance that the denoiser leaves unexplained at each step t: mean squared error of x0_hat,
    0 (knows all) to about 1 (knows nothing)."""
    schedule = recipes.SCHEDULE()
    eps = torch.randn(latents.shape, generator=torch.Generator().manual_seed(seed)).to(latents)
    denoise = make(labels)
    with torch.no_grad():
        rows = [schedule.level(t) for t in ts]
        return [(denoise(add_noise(latents, eps, level), level) - latents).square().mean().item() for level in rows]
