"""Exercise `to_x0`: the clean data that a network's output stands for."""

import torch
from torch import Tensor

from course_lib import diffusion
from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise
from course_lib.homework.checks.hw4.inputs import prediction_type_cases, wrong_for
from course_lib.schedule import BatchLevel


def _to_x0(prediction_type: str, out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Solve the two linear equations for x_t and out, image by image, in float64."""
    rows = []
    for o, x, a, s in zip(*(v.cpu().double() for v in (out, x_t, alpha, sigma)), strict=True):
        second = {"eps": (0.0, 1.0), "x0": (1.0, 0.0), "v": (-s.item(), a.item())}[prediction_type]
        system = torch.tensor([[a.item(), s.item()], second], dtype=torch.float64)
        rows.append(torch.linalg.solve(system, torch.stack([x.flatten(), o.flatten()]))[0].view_as(x))
    return torch.stack(rows).to(x_t)


def _block(prediction_type: str, out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return diffusion.to_x0(prediction_type, out, x_t, BatchLevel(torch.zeros(len(alpha)), alpha, sigma))


def _cases(draw: Draw) -> list[Case]:
    # A network's output need not be consistent with x_t, so `out` is drawn independently.
    return prediction_type_cases(draw, ("out", "x_t"), ({"std": 1.3, "mean": 0.3}, {"mean": 0.2}))


TO_X0 = Exercise("to_x0", points=3, difficulty=2, minutes=15, oracle=_to_x0, cases=_cases, block=_block)


# --- eps -----------------------------------------------------------------------------------------------------------


@TO_X0.mistake('For "eps" the division by alpha is missing: x_t - sigma · eps is alpha · x0.')
@wrong_for("eps", _to_x0)
def eps_not_divided_by_alpha(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return x_t - sigma * out


@TO_X0.mistake('For "eps" this divides by sigma. After subtracting the noise, alpha · x0 is left: divide by alpha.')
@wrong_for("eps", _to_x0)
def eps_divided_by_sigma(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return (x_t - sigma * out) / sigma


@TO_X0.mistake('For "eps" this multiplies by alpha where it should divide.')
@wrong_for("eps", _to_x0)
def eps_multiplied_by_alpha(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return (x_t - sigma * out) * alpha


@TO_X0.mistake('For "eps" the noise is added a second time. Subtract it from x_t.')
@wrong_for("eps", _to_x0)
def eps_added(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return (x_t + sigma * out) / alpha


@TO_X0.mistake('For "eps" sigma is missing: x_t contains sigma · eps, not eps.')
@wrong_for("eps", _to_x0)
def eps_without_sigma(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return (x_t - out) / alpha


@TO_X0.mistake('For "eps" this is the formula for v, alpha · x_t - sigma · out. Solve x_t = alpha · x0 + sigma · eps for x0.')
@wrong_for("eps", _to_x0)
def eps_by_the_formula_for_v(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return alpha * x_t - sigma * out


@TO_X0.mistake('For "eps" only x_t is divided by alpha: a pair of parentheses is missing.')
@wrong_for("eps", _to_x0)
def eps_without_parentheses(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return x_t / alpha - sigma * out


# --- v -------------------------------------------------------------------------------------------------------------


@TO_X0.mistake('For "v" the sign is wrong: sigma · v is subtracted from alpha · x_t.')
@wrong_for("v", _to_x0)
def v_added(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return alpha * x_t + sigma * out


@TO_X0.mistake('For "v" the sign of the result is reversed.')
@wrong_for("v", _to_x0)
def v_result_negated(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return sigma * out - alpha * x_t


@TO_X0.mistake('For "v" the rates are swapped: alpha goes with x_t and sigma with v.')
@wrong_for("v", _to_x0)
def v_rates_swapped(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return sigma * x_t - alpha * out


@TO_X0.mistake('For "v", x_t and the output are swapped.')
@wrong_for("v", _to_x0)
def v_and_x_t_swapped(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return alpha * out - sigma * x_t


@TO_X0.mistake('For "v" this is the formula for "eps", (x_t - sigma · out) / alpha, but the output is not the noise.')
@wrong_for("v", _to_x0)
def v_by_the_formula_for_eps(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return (x_t - sigma * out) / alpha


@TO_X0.mistake(
    'For "v" this divides by alpha at the end. alpha · x_t - sigma · v is (alpha² + sigma²) · x0, and alpha² + sigma² is 1.'
)
@wrong_for("v", _to_x0)
def v_divided_by_alpha(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return (alpha * x_t - sigma * out) / alpha


@TO_X0.mistake(
    'For "v" this is x_t - sigma · out, which is right for flow matching\'s velocity, eps - x0, on its straight line. '
    "For v alpha multiplies x_t: alpha · x_t - sigma · v."
)
@wrong_for("v", _to_x0)
def v_without_alpha(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return x_t - sigma * out


@TO_X0.mistake('For "v" this is the noise, sigma · x_t + alpha · v. Return the clean data.')
@wrong_for("v", _to_x0)
def v_to_noise(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return sigma * x_t + alpha * out


# --- x0 and all of them --------------------------------------------------------------------------------------------


@TO_X0.mistake('For "x0" the output is treated as noise. Such a network outputs the clean data itself.')
@wrong_for("x0", _to_x0)
def x0_by_the_formula_for_eps(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return (x_t - sigma * out) / alpha


@TO_X0.mistake('For "x0" the output is divided by alpha. It is the clean data already: return it unchanged.')
@wrong_for("x0", _to_x0)
def x0_divided_by_alpha(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return out / alpha


@TO_X0.mistake('For "x0" this returns x_t. The network\'s output is the clean data.')
@wrong_for("x0", _to_x0)
def x0_is_x_t(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return x_t


@TO_X0.mistake("The result is clamped to [-1, 1]. Pixels have that range, but latents have none: leave x0 as it is.")
def clamped(prediction_type: str, out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return _to_x0(prediction_type, out, x_t, alpha, sigma).clamp(-1, 1)


@TO_X0.mistake('The formula for "eps" is used for every prediction type. Use `prediction_type`.')
def always_eps(prediction_type: str, out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return _to_x0("eps", out, x_t, alpha, sigma) if prediction_type == "eps" else (x_t - sigma * out) / alpha
