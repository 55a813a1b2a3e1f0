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


TO_X0 = Exercise("to_x0", points=2, difficulty=2, minutes=15, oracle=_to_x0, cases=_cases, block=_block)


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


@TO_X0.mistake('For "eps" only the noise is divided by alpha: brackets are missing, (x_t - sigma · eps) / alpha.')
@wrong_for("eps", _to_x0)
def eps_only_noise_divided(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return x_t - sigma * out / alpha


@TO_X0.mistake('For "eps" the rates have changed places: (x_t - sigma · eps) / alpha.')
@wrong_for("eps", _to_x0)
def eps_roles_swapped(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return (x_t - alpha * out) / sigma


@TO_X0.mistake('For "eps" the sign of the result is reversed: x_t minus sigma · eps.')
@wrong_for("eps", _to_x0)
def eps_negated(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return (sigma * out - x_t) / alpha


@TO_X0.mistake('For "eps" this divides by alpha². alpha is a root already: divide by alpha.')
@wrong_for("eps", _to_x0)
def eps_divided_by_alpha_squared(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return (x_t - sigma * out) / alpha**2


@TO_X0.mistake('For "eps" sigma is squared. It is a root already: x_t - sigma · eps.')
@wrong_for("eps", _to_x0)
def eps_sigma_squared(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return (x_t - sigma**2 * out) / alpha


@TO_X0.mistake('For "eps" this solves for the noise, as if the output were x0: (x_t - alpha · out) is sigma · eps. Solve for x0.')
@wrong_for("eps", _to_x0)
def eps_of_x_0(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return (out - sigma * x_t) / alpha


@TO_X0.mistake('For "eps" both rates are missing: (x_t - sigma · eps) / alpha.')
@wrong_for("eps", _to_x0)
def eps_without_rates(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return x_t - out


@TO_X0.mistake('For "eps" the output is returned as it is. It is the noise: solve x_t = alpha · x0 + sigma · eps for x0.')
@wrong_for("eps", _to_x0)
def eps_returned(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return out


@TO_X0.mistake('For "eps" this divides by 1 - sigma. alpha² + sigma² is 1, not alpha + sigma: divide by alpha.')
@wrong_for("eps", _to_x0)
def eps_divided_by_1_minus_sigma(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return (x_t - sigma * out) / (1 - sigma)


@TO_X0.mistake('For "v" alpha multiplies both terms. It multiplies x_t alone: alpha · x_t - sigma · v.')
@wrong_for("v", _to_x0)
def v_everything_times_alpha(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return alpha * (x_t - sigma * out)


@TO_X0.mistake('For "v" the rates are squared. They are roots already: alpha · x_t - sigma · v.')
@wrong_for("v", _to_x0)
def v_squared_rates(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return alpha**2 * x_t - sigma**2 * out


@TO_X0.mistake('For "v" sigma is missing: alpha · x_t - sigma · v.')
@wrong_for("v", _to_x0)
def v_without_sigma(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return alpha * x_t - out


@TO_X0.mistake('For "v" the output is returned as it is: x0 = alpha · x_t - sigma · v.')
@wrong_for("v", _to_x0)
def v_returned(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return out


@TO_X0.mistake('For "v" alpha multiplies the output and nothing multiplies x_t: alpha · x_t - sigma · v.')
@wrong_for("v", _to_x0)
def v_alpha_with_v(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return x_t - alpha * out


@TO_X0.mistake('For "x0" the output is multiplied by alpha. It is the clean data already: return it unchanged.')
@wrong_for("x0", _to_x0)
def x0_times_alpha(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return alpha * out


@TO_X0.mistake('For "x0" x_t is subtracted. The output is the clean data already: return it unchanged.')
@wrong_for("x0", _to_x0)
def x0_minus_x_t(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return out - x_t


@TO_X0.mistake('For "x0" the formula for v is used. Such a network outputs the clean data itself.')
@wrong_for("x0", _to_x0)
def x0_by_the_formula_for_v(out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return alpha * x_t - sigma * out


@TO_X0.mistake('The formula for "v" is used for every prediction type. Use `prediction_type`.')
def always_v(prediction_type: str, out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return alpha * x_t - sigma * out


@TO_X0.mistake("The output is returned for every prediction type. Use `prediction_type`.")
def always_out(prediction_type: str, out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return out.clone()


@TO_X0.mistake('For "eps" the result is clamped to [-1, 1]. Pixels have that range, but latents have none: leave x0 as it is.')
def eps_clamped(prediction_type: str, out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    x0 = _to_x0(prediction_type, out, x_t, alpha, sigma)
    return x0.clamp(-1, 1) if prediction_type == "eps" else x0
