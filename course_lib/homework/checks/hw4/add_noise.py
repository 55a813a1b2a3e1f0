"""Exercise `add_noise`: the forward process in one jump."""

import math

import torch
from torch import Tensor

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise
from course_lib.homework.checks.hw4.inputs import draw_alphas_cumprod, per_image, rates


def _add_noise(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """Image by image, with plain numbers."""
    squared = [alphas_cumprod[int(step) - 1].item() for step in t]
    return torch.stack([math.sqrt(a) * x + math.sqrt(1 - a) * e for a, x, e in zip(squared, x0, eps, strict=True)])


def _cases(draw: Draw) -> list[Case]:
    cases = []
    # In the first, a table read one entry too late still has an answer for every step. The second has as many images as
    # columns, so that rates [B] silently broadcast over the wrong axis, and it goes up to T.
    for shape, steps, T in (((3, 4, 2, 5), (6, 1, 3), 8), ((3, 2, 4, 3), (1, 11, 5), 11)):
        given = (
            draw.normal(*shape, std=1.2, mean=0.5),
            torch.tensor(steps, device=draw.device),
            draw.normal(*shape),
            draw_alphas_cumprod(draw, T),
        )
        cases.append(Case(f"x0, eps {list(shape)}, t {list(steps)}, alphas_cumprod [{T}], {draw.dtype_name}", given))
    return cases


ADD_NOISE = Exercise("add_noise", points=3, difficulty=2, minutes=15, oracle=_add_noise, cases=_cases)


def _mix(x0: Tensor, eps: Tensor, alpha_and_sigma: tuple[Tensor, Tensor]) -> Tensor:
    return alpha_and_sigma[0] * x0 + alpha_and_sigma[1] * eps


# --- the wrong entry of the table ----------------------------------------------------------------------------------


@ADD_NOISE.mistake(
    "The table is read one entry too late: entry 0 belongs to t = 1, so step t has index t - 1. (Index T does not even exist.)"
)
def one_entry_late(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    return _mix(x0, eps, rates(t + 1, alphas_cumprod))


@ADD_NOISE.mistake(
    "The table is read one entry too late, and the index is clamped to its end: "
    "entry 0 belongs to t = 1, so step t has index t - 1."
)
def one_entry_late_clamped(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    return _mix(x0, eps, rates((t + 1).clamp(max=len(alphas_cumprod)), alphas_cumprod))


# --- wrong rates ---------------------------------------------------------------------------------------------------


@ADD_NOISE.mistake("Both roots are missing: the table holds squares. alpha² is the entry, and sigma² is 1 minus the entry.")
def both_roots_missing(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    squared = per_image(alphas_cumprod[t - 1])
    return squared * x0 + (1 - squared) * eps


@ADD_NOISE.mistake("sigma lacks its root: 1 - alphas_cumprod is the variance of the noise, sigma its standard deviation.")
def sigma_without_root(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    squared = per_image(alphas_cumprod[t - 1])
    return squared.sqrt() * x0 + (1 - squared) * eps


@ADD_NOISE.mistake("alpha lacks its root: the table holds alpha², the fraction of the variance that is signal.")
def alpha_without_root(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    squared = per_image(alphas_cumprod[t - 1])
    return squared * x0 + (1 - squared).sqrt() * eps


@ADD_NOISE.mistake("The table's entries are used as alpha, and squared again for sigma. They are alpha² already.")
def entries_as_alpha(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    alpha = per_image(alphas_cumprod[t - 1])
    return alpha * x0 + (1 - alpha**2).sqrt() * eps


@ADD_NOISE.mistake("sigma is computed as 1 - alpha. It is the squares that add up to 1: sigma² = 1 - alpha².")
def rates_add_up_to_one(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    alpha = per_image(alphas_cumprod[t - 1]).sqrt()
    return alpha * x0 + (1 - alpha) * eps


@ADD_NOISE.mistake("alpha and sigma are swapped: at small t there should be hardly any noise.")
def rates_swapped(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    return _mix(eps, x0, rates(t, alphas_cumprod))


@ADD_NOISE.mistake("The noise is missing: x0 is only multiplied by alpha.")
def noise_missing(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    return rates(t, alphas_cumprod)[0] * x0


@ADD_NOISE.mistake("x0 is not multiplied by alpha. DDPM shrinks the signal as it adds noise, so that the variance stays 1.")
def signal_not_scaled(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    return x0 + rates(t, alphas_cumprod)[1] * eps


@ADD_NOISE.mistake("eps is not multiplied by sigma.")
def noise_not_scaled(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    return rates(t, alphas_cumprod)[0] * x0 + eps


# --- everything else -----------------------------------------------------------------------------------------------


@ADD_NOISE.mistake("All images get the noise level of the first one. t holds a step for each image.")
def one_step_for_all(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    return _mix(x0, eps, rates(t[:1], alphas_cumprod))


@ADD_NOISE.mistake(
    "The rates, one for each image, broadcast along the columns: [B] is matched with the last axis. "
    "Give them the shape [B, 1, 1, 1]."
)
def rates_along_columns(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    return alphas_cumprod[t - 1].sqrt() * x0 + (1 - alphas_cumprod[t - 1]).sqrt() * eps


@ADD_NOISE.mistake("The noise is subtracted. The result is equally random, but it is not the x_t for this eps.")
def noise_subtracted(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    return _mix(x0, -eps, rates(t, alphas_cumprod))


@ADD_NOISE.mistake(
    "The cumulative product is taken again: alphas_cumprod is already the product of all (1 - beta) up to each step."
)
def product_of_table(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    return _mix(x0, eps, rates(t, alphas_cumprod.cumprod(0)))


@ADD_NOISE.mistake(
    "The cumulative product of 1 - table is taken, which treats the entries as betas. alphas_cumprod is the finished product."
)
def entries_as_betas(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    return _mix(x0, eps, rates(t, (1 - alphas_cumprod).cumprod(0)))


@ADD_NOISE.mistake(
    "The table is read one entry too early, with t - 2. Step t has index t - 1. (At t = 1 the index -1 is the last entry.)"
)
def one_entry_early(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    return _mix(x0, eps, rates(t - 1, alphas_cumprod))


@ADD_NOISE.mistake("The table is turned round: its first entry, with hardly any noise, belongs to t = 1.")
def table_turned_round(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    return _mix(x0, eps, rates(t, alphas_cumprod.flip(0)))


@ADD_NOISE.mistake("sigma is the root of 1 minus the entry, which is alpha² already. Do not square it again.")
def sigma_from_squared_entry(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    squared = per_image(alphas_cumprod[t - 1])
    return squared.sqrt() * x0 + (1 - squared**2).sqrt() * eps


@ADD_NOISE.mistake("sigma is computed as the root of 1 - alpha. It is the squares that add up to 1: sigma² = 1 - alpha².")
def sigma_from_alpha(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    alpha = per_image(alphas_cumprod[t - 1]).sqrt()
    return alpha * x0 + (1 - alpha).sqrt() * eps


@ADD_NOISE.mistake("Both terms have the factor alpha. eps has the factor sigma.")
def alpha_for_both(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    alpha, _ = rates(t, alphas_cumprod)
    return alpha * (x0 + eps)


@ADD_NOISE.mistake("Both terms have the factor sigma. x0 has the factor alpha.")
def sigma_for_both(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    _, sigma = rates(t, alphas_cumprod)
    return sigma * (x0 + eps)


@ADD_NOISE.mistake("Brackets in the wrong place: the noise is multiplied by alpha too. alpha · x0 + sigma · eps.")
def everything_times_alpha(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    alpha, sigma = rates(t, alphas_cumprod)
    return alpha * (x0 + sigma * eps)


@ADD_NOISE.mistake("Neither x0 nor eps is multiplied by its rate: alpha · x0 + sigma · eps.")
def neither_scaled(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    return x0 + eps


@ADD_NOISE.mistake(
    "eps is multiplied by sigma / alpha, and x0 not at all: that is the variance-exploding convention, x0 + (sigma "
    "/ alpha) · eps."
)
def signal_to_noise_ratio(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    alpha, sigma = rates(t, alphas_cumprod)
    return x0 + sigma / alpha * eps


@ADD_NOISE.mistake("This takes noise away: (x_t - sigma · eps) / alpha. Add it: alpha · x0 + sigma · eps.")
def reverse_process(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    alpha, sigma = rates(t, alphas_cumprod)
    return (x0 - sigma * eps) / alpha


@ADD_NOISE.mistake("Both roots are missing, and the rates are swapped: alpha, the root of the entry, goes with x0.")
def squares_and_rates_swapped(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    squared = per_image(alphas_cumprod[t - 1])
    return (1 - squared) * x0 + squared * eps


@ADD_NOISE.mistake("The rates follow from t / T here. They are in the table: alpha² = alphas_cumprod[t - 1].")
def t_over_T(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    squared = per_image(1 - t / len(alphas_cumprod)).to(x0)
    return squared.sqrt() * x0 + (1 - squared).sqrt() * eps


@ADD_NOISE.mistake("Every image gets the last entry of the table, the level of t = T. t holds a step for each image.")
def last_entry_for_all(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    return _mix(x0, eps, rates(torch.full_like(t, len(alphas_cumprod)), alphas_cumprod))


@ADD_NOISE.mistake("All images get the noise of the first one. eps holds noise for each image.")
def one_eps_for_all(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    return _mix(x0, eps[:1], rates(t, alphas_cumprod))
