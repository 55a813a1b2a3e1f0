"""Noise schedules: how much signal and how much noise an image holds at each time step.

Every schedule is one table: at step t the noisy image is ``x_t = alpha · x0 + sigma · eps`` with unit Gaussian noise ``eps``.
Index 0 is clean data (alpha 1, sigma 0), so t runs 1…T as in the DDPM paper and no "previous step" is a special case.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from course_lib.arguments import can_look_at, check_finite, check_integer, check_number, check_same_shape, check_tensor

MAX_STEPS = 1_000_000


class Level(NamedTuple):
    """One noise level, ``x_t = alpha · x0 + sigma · eps``, as Python numbers: what a sampler steps through.

    With floats no sampling step waits for the GPU.
    """

    t: int
    alpha: float
    sigma: float

    @property
    def ratio(self) -> float:
        """Noise over signal, sigma / alpha: EDM's ``sigma`` (Karras et al. 2022), k-diffusion's too; inf where alpha is 0."""
        return self.sigma / self.alpha if self.alpha > 0 else math.inf

    @property
    def half_log_snr(self) -> float:
        """lambda = log(alpha / sigma), DPM-Solver's time variable (Lu et al. 2022, section 3.1); ±inf at the ends.

        The signal-to-noise ratio is alpha² / sigma², so this is half its logarithm.
        """
        if self.alpha == 0:
            return -math.inf
        return math.log(self.alpha / self.sigma) if self.sigma > 0 else math.inf


def check_level(level: Level) -> None:
    """Raise TypeError for what is no Level, such as a bare sigma, and ValueError for rates that are negative or not finite."""
    if not isinstance(level, Level):
        raise TypeError(
            f"The level is {level!r:.60}, but must be a Level, from schedule.level(t) or schedule.grid(steps); "
            "Level(t, 1.0, sigma) is one of k-diffusion's sigmas."
        )
    if not (0 <= level.alpha < math.inf and 0 <= level.sigma < math.inf and level.alpha + level.sigma > 0):
        raise ValueError(f"The level is {level}, but alpha and sigma must be finite numbers from 0 on, and not both 0.")


def check_levels(levels: Sequence[Level]) -> None:
    """Check that these are levels to sample at: two or more, the noisiest first."""
    if not isinstance(levels, Sequence):
        raise TypeError(f"levels is a {type(levels).__name__}, but must be a list of Level, as schedule.grid(steps) makes it.")
    for level in levels:
        check_level(level)
    if len(levels) < 2 or any(a.ratio <= b.ratio for a, b in pairwise(levels)):
        raise ValueError(
            "A sampler needs at least two levels, noisiest first, but was given "
            f"t = {[level.t for level in levels][:8]}; schedule.grid(steps) makes them."
        )


class BatchLevel(NamedTuple):
    """The noise levels of a batch in training, one for each image.

    t: integers [B]. alpha, sigma: float32 [B, 1, 1, 1], which broadcast over images [B, C, H, W].
    """

    t: Tensor
    alpha: Tensor
    sigma: Tensor

    @property
    def ratio(self) -> Tensor:
        """Noise over signal, sigma / alpha, as `Level.ratio`."""
        return self.sigma / self.alpha

    @property
    def half_log_snr(self) -> Tensor:
        """log(alpha / sigma), as `Level.half_log_snr`."""
        return torch.log(self.alpha) - torch.log(self.sigma)


AnyLevel: TypeAlias = Level | BatchLevel
"""For arithmetic that is the same for one level and for those of a batch."""


def check_any_level(level: AnyLevel, n: int) -> None:
    """Check one level, or those of a batch of n images: raises as `check_level` does, and ValueError for another number."""
    n = check_integer("n", n, at_least=0)
    if not isinstance(level, BatchLevel):
        check_level(level)
    elif any(rate.shape != (n, 1, 1, 1) for rate in (level.alpha, level.sigma)):
        raise ValueError(
            f"The level has {len(level.t)} steps with rates {tuple(level.alpha.shape)}, but must have one for each of {n} "
            f"images, with rates [{n}, 1, 1, 1]."
        )


@dataclass(frozen=True)
class Schedule:
    """Signal and noise rates of T steps.

    alphas, sigmas: float64 [T + 1], 0 or more; index 0 is clean data. Raises ValueError for other tables.
    """

    alphas: Tensor
    sigmas: Tensor
    _tables: dict[torch.device, Tensor] = field(init=False, default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, table in (("alphas", self.alphas), ("sigmas", self.sigmas)):
            check_tensor(name, table, "[T + 1]", "float", least=2)
            check_finite(name, table)
            if bool((table < 0).any()):
                raise ValueError(f"{name} has a negative value, but rates of signal and noise are 0 or more.")
        check_same_shape("alphas", self.alphas, "sigmas", self.sigmas)

    @property
    def T(self) -> int:
        """The number of steps."""
        return len(self.alphas) - 1

    def at(self, t: Tensor) -> BatchLevel:
        """The levels of a batch of steps, for training: t integer [B] in 0…T → rates that broadcast over [B, C, H, W].

        Raises ValueError for steps outside 0…T, where they are on the CPU.
        """
        check_tensor("t", t, "[B]", "integer")
        if can_look_at(t) and not 0 <= int(t.min()) <= int(t.max()) <= self.T:
            raise ValueError(f"t has steps from {int(t.min())} to {int(t.max())}, but this schedule has steps 0 to {self.T}.")
        if t.device not in self._tables:  # one float32 table for each device: MPS has no float64
            self._tables[t.device] = torch.stack([self.alphas, self.sigmas]).float().to(t.device)
        alpha, sigma = self._tables[t.device][:, t.long()].view(2, -1, 1, 1, 1)
        return BatchLevel(t, alpha, sigma)

    def level(self, t: int) -> Level:
        """The level of one step. Raises ValueError outside 0…T."""
        t = check_integer("t", t)
        if not 0 <= t <= self.T:
            raise ValueError(f"t is {t}, but this schedule has steps 0 to {self.T}; 0 is clean data, {self.T} pure noise.")
        return Level(t, self.alphas[t].item(), self.sigmas[t].item())

    def grid(self, steps: int) -> list[Level]:
        """The levels that a sampler visits, from T down to 0: steps + 1 of them, evenly spaced in t.

        "Trailing" spacing (Lin et al. 2023, table 2): it starts at pure noise and ends at clean data for any number of steps.
        Raises ValueError unless 1 <= steps <= T.
        """
        steps = check_integer("steps", steps)
        if not 1 <= steps <= self.T:
            raise ValueError(f"steps is {steps}, but this schedule of {self.T} steps allows 1 to {self.T} sampling steps.")
        return [self.level(round(self.T * (steps - i) / steps)) for i in range(steps + 1)]


def _from_betas(betas: Tensor) -> Schedule:
    alphas_cumprod = torch.cat([betas.new_ones(1), torch.cumprod(1 - betas, 0)])
    return Schedule(alphas_cumprod.sqrt(), (1 - alphas_cumprod).sqrt())


def _spaced(low: float, high: float, T: int) -> Tensor:
    """T evenly spaced values from low to high; a single one is high, so that even one step ends in noise."""
    return torch.linspace(low if T > 1 else high, high, T, dtype=torch.float64)


def linear(T: int = 1000) -> Schedule:
    """DDPM's schedule (Ho et al. 2020, section 4): betas evenly spaced from 1e-4 to 0.02 at T = 1000, scaled for other T."""
    check_integer("T", T, 1, MAX_STEPS)
    scale = 1000 / T
    return _from_betas(_spaced(1e-4 * scale, min(0.02 * scale, 0.999), T))


def cosine(T: int = 1000) -> Schedule:
    """Improved DDPM's schedule (Nichol & Dhariwal 2021, eq. 17, s = 0.008): betas capped at 0.999."""
    check_integer("T", T, 1, MAX_STEPS)
    u = torch.arange(T + 1, dtype=torch.float64) / T
    f = torch.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2
    return _from_betas((1 - f[1:] / f[:-1]).clamp(max=0.999))


def scaled_linear(T: int = 1000) -> Schedule:
    """Latent diffusion's schedule (Rombach et al. 2022): square roots of beta evenly spaced, 0.00085 to 0.012 at T = 1000."""
    check_integer("T", T, 1, MAX_STEPS)
    scale = math.sqrt(1000 / T)
    low, high = math.sqrt(0.00085) * scale, min(math.sqrt(0.012) * scale, 0.999)
    return _from_betas(_spaced(low, high, T) ** 2)


def flow(T: int = 1000) -> Schedule:
    """The straight line of rectified flow and flow matching (Liu et al. 2022; Lipman et al. 2023): alpha = 1 − t/T, sigma = t/T.

    Along it ``d x_t / d sigma`` is the velocity, eps − x0. It does not preserve variance: alpha² + sigma² falls to 1/2 midway.
    """
    check_integer("T", T, 1, MAX_STEPS)
    u = torch.arange(T + 1, dtype=torch.float64) / T
    return Schedule(1 - u, u)


def shifted(schedule: Schedule, factor: float) -> Schedule:
    """The same schedule with ``factor`` times as much noise over signal at every step: half the log SNR falls by log(factor).

    On `flow` this is SD3's resolution shift, t' = s t / (1 + (s − 1) t) (Esser et al. 2024, eq. 23), and the result stays a
    straight line, alpha + sigma = 1. Of any other schedule alpha² + sigma² stays at each step. Raises ValueError for a factor
    that is not above 0.
    """
    factor = check_number("factor", factor, above=0)
    alphas, sigmas = schedule.alphas, factor * schedule.sigmas
    if torch.allclose(schedule.alphas + schedule.sigmas, torch.ones_like(alphas)):
        size = alphas + sigmas
    else:
        size = (alphas**2 + sigmas**2).sqrt() / (schedule.alphas**2 + schedule.sigmas**2).sqrt()
    return Schedule(alphas / size, sigmas / size)
