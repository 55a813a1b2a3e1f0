"""Exercise `high_frequency_share`: how much of the latents' power lies in the high half of the frequencies."""

import math

import torch
from torch import Tensor

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise

SHAPES = ((3, 2, 4, 4), (2, 3, 8, 8), (5, 1, 2, 2))


def _high_frequency_share(latents: Tensor, basis: Tensor) -> Tensor:
    """Coefficient by coefficient: each is the scalar product of a latent with a product of two cosines."""
    side = len(basis)
    low = high = latents.new_zeros(())
    for k in range(side):
        for line in range(side):
            wave = basis[k][:, None] * basis[line][None]
            power = (latents * wave).sum((2, 3)).pow(2).sum()
            low, high = (low, high + power) if max(k, line) >= side / 2 else (low + power, high)
    return high / (low + high)


def _block(latents: Tensor, basis: Tensor) -> Tensor:
    power = _power(latents, basis)
    half = len(basis) // 2
    return 1 - power[:half, :half].sum() / power.sum()


def _basis(side: int) -> Tensor:
    position = torch.arange(side, dtype=torch.float64)
    rows = torch.cos(math.pi * position[:, None] * (position + 0.5) / side) * math.sqrt(2 / side)
    rows[0] /= math.sqrt(2)
    return rows


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in SHAPES:
        side = shape[-1]
        # stronger in the low frequencies, unlike in the two directions, unlike from latent to latent, and with a mean
        fall = (
            draw.uniform(side, side, low=0.3, high=1.0) / (1 + torch.arange(side, dtype=draw.dtype, device=draw.device))[:, None]
        )
        basis = draw.tensor(_basis(side))
        coefficients = draw.normal(*shape) * fall * draw.uniform(*shape[:2], 1, 1, low=0.4, high=2.0)
        latents = basis.T @ coefficients @ basis + 0.3
        cases.append(Case(f"latents {list(shape)} {draw.dtype_name}, basis {[side, side]}", (latents, basis)))
    return cases


HIGH_FREQUENCY_SHARE = Exercise(
    "high_frequency_share", points=0, difficulty=2, minutes=5, oracle=_high_frequency_share, cases=_cases, block=_block
)


def _power(latents: Tensor, basis: Tensor) -> Tensor:
    """The power of each pair of frequencies, [h, h]."""
    return (basis @ latents @ basis.T).square().sum((0, 1))


def _low(power: Tensor, half: int) -> Tensor:
    return power[:half, :half].sum() / power.sum()


@HIGH_FREQUENCY_SHARE.mistake("This is the share of the low frequencies. Subtract it from 1.")
def low_share(latents: Tensor, basis: Tensor) -> Tensor:
    return _low(_power(latents, basis), len(basis) // 2)


@HIGH_FREQUENCY_SHARE.mistake(
    "Only where both frequencies are high is counted. A coefficient is high where at least one of its two frequencies is."
)
def both_high(latents: Tensor, basis: Tensor) -> Tensor:
    power, half = _power(latents, basis), len(basis) // 2
    return power[half:, half:].sum() / power.sum()


@HIGH_FREQUENCY_SHARE.mistake(
    "Only the rows' frequency is looked at. High is also a coefficient whose columns' frequency is high."
)
def rows_only(latents: Tensor, basis: Tensor) -> Tensor:
    power, half = _power(latents, basis), len(basis) // 2
    return power[half:].sum() / power.sum()


@HIGH_FREQUENCY_SHARE.mistake(
    "Only the columns' frequency is looked at. High is also a coefficient whose rows' frequency is high."
)
def columns_only(latents: Tensor, basis: Tensor) -> Tensor:
    power, half = _power(latents, basis), len(basis) // 2
    return power[:, half:].sum() / power.sum()


@HIGH_FREQUENCY_SHARE.mistake("The basis is applied to one axis only. Transform rows and columns: basis @ latents @ basis.T.")
def one_axis(latents: Tensor, basis: Tensor) -> Tensor:
    return 1 - _low((basis @ latents).square().sum((0, 1)), len(basis) // 2)


@HIGH_FREQUENCY_SHARE.mistake("The basis is transposed. Its rows are the frequencies: basis @ latents @ basis.T.")
def transposed(latents: Tensor, basis: Tensor) -> Tensor:
    return 1 - _low(_power(latents, basis.T), len(basis) // 2)


@HIGH_FREQUENCY_SHARE.mistake("The second basis is not transposed: basis @ latents @ basis.T.")
def not_transposed(latents: Tensor, basis: Tensor) -> Tensor:
    return 1 - _low((basis @ latents @ basis).square().sum((0, 1)), len(basis) // 2)


@HIGH_FREQUENCY_SHARE.mistake("The latents are not transformed at all: these are shares of positions, not of frequencies.")
def of_positions(latents: Tensor, basis: Tensor) -> Tensor:
    return 1 - _low(latents.square().sum((0, 1)), len(basis) // 2)


@HIGH_FREQUENCY_SHARE.mistake("These are shares of the amplitudes. Power is the square of a coefficient.")
def amplitudes(latents: Tensor, basis: Tensor) -> Tensor:
    return 1 - _low((basis @ latents @ basis.T).abs().sum((0, 1)), len(basis) // 2)


@HIGH_FREQUENCY_SHARE.mistake("The coefficients are added before they are squared, so that opposite signs cancel. Square first.")
def summed_first(latents: Tensor, basis: Tensor) -> Tensor:
    return 1 - _low((basis @ latents @ basis.T).sum((0, 1)).square(), len(basis) // 2)


@HIGH_FREQUENCY_SHARE.mistake("The shares of the single maps are averaged. Add up all power first, then divide once.")
def mean_of_shares(latents: Tensor, basis: Tensor) -> Tensor:
    power, half = (basis @ latents @ basis.T).square(), len(basis) // 2
    return 1 - (power[:, :, :half, :half].sum((2, 3)) / power.sum((2, 3))).mean()


@HIGH_FREQUENCY_SHARE.mistake("The mean is taken out before. Frequency 0 belongs to the low half, and its power counts.")
def without_the_mean(latents: Tensor, basis: Tensor) -> Tensor:
    return _block(latents - latents.mean((2, 3), keepdim=True), basis)


@HIGH_FREQUENCY_SHARE.mistake("The frequency h/2 is counted as low. The high half begins with it: the low half is [: h // 2].")
def one_too_many(latents: Tensor, basis: Tensor) -> Tensor:
    return 1 - _low(_power(latents, basis), len(basis) // 2 + 1)


@HIGH_FREQUENCY_SHARE.mistake("This is high power ÷ low power. A share is divided by all of the power.")
def ratio(latents: Tensor, basis: Tensor) -> Tensor:
    low = low_share(latents, basis)
    return (1 - low) / low
