"""Exercise `two_steps_as_one`: the target of progressive distillation, as the clean data that one step would need."""

from itertools import pairwise

import torch
from torch import Tensor

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise

Rate = float | Tensor
OWN_LEVELS, TO_NO_NOISE = "rates [B, 1, 1, 1]", "the end without noise (sigma_end = 0)"
SHAPES = {(3, 2, 1, 1): "sigma_end between 0.2 and 0.3", (2, 4, 3, 5): OWN_LEVELS, (2, 1, 2, 2): TO_NO_NOISE}


def _two_steps_as_one(x_t: Tensor, x_end: Tensor, alpha: Rate, sigma: Rate, alpha_end: Rate, sigma_end: Rate) -> Tensor:
    """Two equations for two unknowns of each image, x0 and eps, solved as such."""
    rates = [torch.as_tensor(rate, device=x_t.device).double().flatten() for rate in (alpha, sigma, alpha_end, sigma_end)]
    system = torch.stack([rate.expand(len(x_t)) for rate in rates], dim=1).view(-1, 2, 2)
    both = torch.stack([x_t.flatten(1), x_end.flatten(1)], dim=1).double()
    return torch.linalg.solve(system, both)[:, 0].view(x_t.shape).to(x_t.dtype)


def _block(x_t: Tensor, x_end: Tensor, alpha: Rate, sigma: Rate, alpha_end: Rate, sigma_end: Rate) -> Tensor:
    ratio = sigma_end / sigma
    return (x_end - ratio * x_t) / (alpha_end - ratio * alpha)


def _cases(draw: Draw) -> list[Case]:
    """Two DDIM steps of the exact denoiser of a Gaussian N(mean, std²): to noise, at levels of each image's own, and to none."""
    cases = []
    for shape, where in SHAPES.items():
        mean, std = draw.number(0.5, 1.0), draw.number(0.4, 0.8)
        sigmas: list[Rate] = [
            draw.number(0.8, 0.9),
            draw.number(0.5, 0.6),
            0.0 if where == TO_NO_NOISE else draw.number(0.2, 0.3),
        ]
        if where == OWN_LEVELS:
            sigmas = [draw.uniform(shape[0], 1, 1, 1, low=low, high=low + 0.1) for low in (0.8, 0.5, 0.2)]
        levels = [((1 - sigma**2) ** 0.5, sigma) for sigma in sigmas]
        x_t = x = levels[0][0] * mean + draw.normal(*shape)
        for (alpha, sigma), (alpha_next, sigma_next) in pairwise(levels):
            x0 = mean + alpha * std**2 / (alpha**2 * std**2 + sigma**2) * (x - alpha * mean)
            x = alpha_next * x0 + sigma_next * (x - alpha * x0) / sigma
        cases.append(Case(f"x_t, x_end {list(shape)}, {where}, {draw.dtype_name}", (x_t, x, *levels[0], *levels[2])))
    return cases


TWO_STEPS_AS_ONE = Exercise(
    "two_steps_as_one", points=0, difficulty=3, minutes=6, oracle=_two_steps_as_one, cases=_cases, block=_block
)


@TWO_STEPS_AS_ONE.mistake(
    "This is x_end, where the two steps lead. Return the x0 with which one step leads there: eliminate eps."
)
def the_end_itself(x_t: Tensor, x_end: Tensor, alpha: Rate, sigma: Rate, alpha_end: Rate, sigma_end: Rate) -> Tensor:
    return x_end.clone()


@TWO_STEPS_AS_ONE.mistake("The noise that is left in x_end is ignored: x_end / alpha_end. Subtract sigma_end · eps first.")
def noise_of_the_end_ignored(x_t: Tensor, x_end: Tensor, alpha: Rate, sigma: Rate, alpha_end: Rate, sigma_end: Rate) -> Tensor:
    return x_end / alpha_end


@TWO_STEPS_AS_ONE.mistake(
    "It is divided by alpha_end alone. x_t contains x0, too: what is left of it is alpha_end - sigma_end / sigma · alpha."
)
def signal_of_x_t_ignored(x_t: Tensor, x_end: Tensor, alpha: Rate, sigma: Rate, alpha_end: Rate, sigma_end: Rate) -> Tensor:
    return (x_end - sigma_end / sigma * x_t) / alpha_end


@TWO_STEPS_AS_ONE.mistake("The ratio of the sigmas is inverted: x_t contains sigma of the noise and x_end sigma_end of it.")
def ratio_inverted(x_t: Tensor, x_end: Tensor, alpha: Rate, sigma: Rate, alpha_end: Rate, sigma_end: Rate) -> Tensor:
    return (sigma_end * x_end - sigma * x_t) / (sigma_end * alpha_end - sigma * alpha)


@TWO_STEPS_AS_ONE.mistake("The division is missing: this is x0 times alpha_end - sigma_end / sigma · alpha.")
def division_missing(x_t: Tensor, x_end: Tensor, alpha: Rate, sigma: Rate, alpha_end: Rate, sigma_end: Rate) -> Tensor:
    return x_end - sigma_end / sigma * x_t


@TWO_STEPS_AS_ONE.mistake("The noise is added. Subtract sigma_end / sigma · x_t, so that eps drops out.")
def noise_added(x_t: Tensor, x_end: Tensor, alpha: Rate, sigma: Rate, alpha_end: Rate, sigma_end: Rate) -> Tensor:
    return (x_end + sigma_end / sigma * x_t) / (alpha_end + sigma_end / sigma * alpha)


@TWO_STEPS_AS_ONE.mistake("The sign in the denominator is wrong: alpha_end - sigma_end / sigma · alpha.")
def sign_of_the_denominator(x_t: Tensor, x_end: Tensor, alpha: Rate, sigma: Rate, alpha_end: Rate, sigma_end: Rate) -> Tensor:
    return (x_end - sigma_end / sigma * x_t) / (alpha_end + sigma_end / sigma * alpha)


@TWO_STEPS_AS_ONE.mistake("alpha and alpha_end are exchanged: x_end contains alpha_end of x0.")
def alphas_exchanged(x_t: Tensor, x_end: Tensor, alpha: Rate, sigma: Rate, alpha_end: Rate, sigma_end: Rate) -> Tensor:
    return (x_end - sigma_end / sigma * x_t) / (alpha - sigma_end / sigma * alpha_end)


@TWO_STEPS_AS_ONE.mistake("x0 is eliminated and eps is left. Eliminate eps: multiply x_t by sigma_end / sigma and subtract it.")
def the_noise(x_t: Tensor, x_end: Tensor, alpha: Rate, sigma: Rate, alpha_end: Rate, sigma_end: Rate) -> Tensor:
    return (x_end - alpha_end / alpha * x_t) / (sigma_end - alpha_end / alpha * sigma)


@TWO_STEPS_AS_ONE.mistake(
    "x_t is multiplied by the ratio of the alphas in the numerator. The noise drops out with sigma_end / sigma."
)
def ratio_of_alphas(x_t: Tensor, x_end: Tensor, alpha: Rate, sigma: Rate, alpha_end: Rate, sigma_end: Rate) -> Tensor:
    return (x_end - alpha_end / alpha * x_t) / (alpha_end - sigma_end / sigma * alpha)


@TWO_STEPS_AS_ONE.mistake("The numerator has the wrong sign, so the result is -x0.")
def negative(x_t: Tensor, x_end: Tensor, alpha: Rate, sigma: Rate, alpha_end: Rate, sigma_end: Rate) -> Tensor:
    return (sigma_end / sigma * x_t - x_end) / (alpha_end - sigma_end / sigma * alpha)


@TWO_STEPS_AS_ONE.mistake("This divides by sigma_end, which is 0 in the last step. Divide by sigma: it is above 0 in every step.")
def division_by_sigma_end(x_t: Tensor, x_end: Tensor, alpha: Rate, sigma: Rate, alpha_end: Rate, sigma_end: Rate) -> Tensor:
    ratio = torch.as_tensor(sigma, dtype=x_t.dtype, device=x_t.device) / sigma_end
    return (ratio * x_end - x_t) / (ratio * alpha_end - alpha)
