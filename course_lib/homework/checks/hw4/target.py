"""Exercise `target`: what a network of each prediction type should output."""

import math

import torch
from torch import Tensor

from course_lib import diffusion
from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise
from course_lib.homework.checks.hw4.inputs import prediction_type_cases, wrong_for
from course_lib.schedule import BatchLevel


def _target(prediction_type: str, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """v as the derivative of x_t by the angle atan(sigma / alpha) (Salimans & Ho 2022, appendix D)."""
    if prediction_type == "v":
        angle = torch.atan2(sigma, alpha)
        return torch.sin(angle + math.pi / 2) * eps + torch.cos(angle + math.pi / 2) * x0
    return {"eps": eps, "x0": x0}[prediction_type].clone()


def _block(prediction_type: str, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return diffusion.target(prediction_type, x0, eps, BatchLevel(torch.zeros(len(alpha)), alpha, sigma))


def _cases(draw: Draw) -> list[Case]:
    return prediction_type_cases(draw, ("x0", "eps"), ({"std": 1.2, "mean": 0.4}, {}))


TARGET = Exercise("target", points=1, difficulty=1, minutes=5, oracle=_target, cases=_cases, block=_block)


# --- v -------------------------------------------------------------------------------------------------------------


@TARGET.mistake("The sign of v is reversed. Both signs are in use; in this course v is alpha · eps - sigma · x0.")
@wrong_for("v", _target)
def v_negated(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return sigma * x0 - alpha * eps


@TARGET.mistake("In v the rates are swapped: alpha goes with eps and sigma with x0, the opposite of x_t.")
@wrong_for("v", _target)
def v_rates_swapped(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return sigma * eps - alpha * x0


@TARGET.mistake(
    "In v the rates are swapped and the sign is reversed: this is alpha · x0 - sigma · eps. "
    "It should be alpha · eps - sigma · x0."
)
@wrong_for("v", _target)
def v_rates_swapped_and_negated(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return alpha * x0 - sigma * eps


@TARGET.mistake("In v the two terms are added. sigma · x0 is subtracted.")
@wrong_for("v", _target)
def v_terms_added(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return alpha * eps + sigma * x0


@TARGET.mistake("For v this returns x_t itself, alpha · x0 + sigma · eps. v is perpendicular to it: alpha · eps - sigma · x0.")
@wrong_for("v", _target)
def v_is_x_t(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return alpha * x0 + sigma * eps


@TARGET.mistake(
    "This is eps - x0, the velocity of flow matching (rectified flow): a convention of its own, and right for networks that "
    "predict it. This exercise asks for v = alpha · eps - sigma · x0. Each of the two follows from the other and x_t: "
    "x0 = (x_t - sigma · velocity) / (alpha + sigma), and eps = x0 + velocity; diffusion.convert does it."
)
@wrong_for("v", _target)
def v_is_velocity(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return eps - x0


@TARGET.mistake(
    "This is x0 - eps, the velocity of flow matching in papers whose time runs from noise to data. "
    "This exercise asks for v = alpha · eps - sigma · x0. With the other sign, eps - x0, diffusion.convert converts it."
)
@wrong_for("v", _target)
def v_is_velocity_to_the_data(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return x0 - eps


@TARGET.mistake("alpha is missing from v: it multiplies eps.")
@wrong_for("v", _target)
def v_without_alpha(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return eps - sigma * x0


@TARGET.mistake("sigma is missing from v: it multiplies x0.")
@wrong_for("v", _target)
def v_without_sigma(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return alpha * eps - x0


@TARGET.mistake("This v has squared rates. alpha and sigma are roots already: use them as they are.")
@wrong_for("v", _target)
def v_with_squared_rates(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return alpha**2 * eps - sigma**2 * x0


# --- eps and x0 ----------------------------------------------------------------------------------------------------


@TARGET.mistake('"eps" and "x0" are swapped.')
def eps_and_x0_swapped(prediction_type: str, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return _target(prediction_type, x0, eps, alpha, sigma) if prediction_type == "v" else {"eps": x0, "x0": eps}[prediction_type]


@TARGET.mistake('For "eps" the noise is multiplied by sigma. The target is the unit noise itself.')
@wrong_for("eps", _target)
def eps_scaled(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return sigma * eps


@TARGET.mistake('For "x0" the data is multiplied by alpha. The target is the clean data itself.')
@wrong_for("x0", _target)
def x0_scaled(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return alpha * x0


@TARGET.mistake('For "eps" this is the score, -eps / sigma. The target is the unit noise itself.')
@wrong_for("eps", _target)
def eps_is_score(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return -eps / sigma


# --- prediction types forgotten ------------------------------------------------------------------------------------

_NOTHING = (
    'For "{}" nothing is returned. Each of the three prediction types needs its own answer, and its name must be spelt as above.'
)


@TARGET.mistake(_NOTHING.format("v"))
@wrong_for("v", _target)
def nothing_for_v(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> None:
    return None


@TARGET.mistake(_NOTHING.format("eps"))
@wrong_for("eps", _target)
def nothing_for_eps(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> None:
    return None


@TARGET.mistake(_NOTHING.format("x0"))
@wrong_for("x0", _target)
def nothing_for_x0(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> None:
    return None


@TARGET.mistake("Nothing is returned: the last line lacks `return`.")
def return_missing(prediction_type: str, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> None:
    return None


@TARGET.mistake("The noise is returned for every prediction type. Use `prediction_type`.")
def always_eps(prediction_type: str, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return _target("eps", x0, eps, alpha, sigma)


@TARGET.mistake("v is returned for every prediction type. Use `prediction_type`.")
def always_v(prediction_type: str, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return _target("v", x0, eps, alpha, sigma)


@TARGET.mistake("In v alpha multiplies both terms: brackets in the wrong place. alpha · eps - sigma · x0.")
@wrong_for("v", _target)
def v_with_common_alpha(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return alpha * (eps - sigma * x0)


@TARGET.mistake("In v both terms have the factor alpha. x0 has the factor sigma: alpha · eps - sigma · x0.")
@wrong_for("v", _target)
def v_with_alpha_only(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return alpha * (eps - x0)


@TARGET.mistake("In v both terms have the factor sigma. eps has the factor alpha: alpha · eps - sigma · x0.")
@wrong_for("v", _target)
def v_with_sigma_only(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return sigma * (eps - x0)


@TARGET.mistake("In v sigma multiplies x_t. It multiplies the clean data: alpha · eps - sigma · x0.")
@wrong_for("v", _target)
def v_from_x_t(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return alpha * eps - sigma * (alpha * x0 + sigma * eps)


@TARGET.mistake("In v the second term is missing: alpha · eps - sigma · x0.")
@wrong_for("v", _target)
def v_only_noise(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return alpha * eps


@TARGET.mistake("In v the first term is missing: alpha · eps - sigma · x0.")
@wrong_for("v", _target)
def v_only_data(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return -sigma * x0


@TARGET.mistake('For "v" the noise is returned: alpha · eps - sigma · x0.')
@wrong_for("v", _target)
def v_is_eps(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return eps


@TARGET.mistake("In v the two terms are multiplied or divided. Subtract them: alpha · eps - sigma · x0.")
@wrong_for("v", _target)
def v_terms_multiplied(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return alpha * eps / sigma * x0


@TARGET.mistake('For "eps" this is x_t. The target is the unit noise itself.')
@wrong_for("eps", _target)
def eps_is_x_t(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return alpha * x0 + sigma * eps


@TARGET.mistake('For "eps" the sign is reversed. The target is the unit noise itself.')
@wrong_for("eps", _target)
def eps_negated(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return -eps


@TARGET.mistake('For "x0" this is x_t. The target is the clean data itself.')
@wrong_for("x0", _target)
def x0_is_x_t(x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return alpha * x0 + sigma * eps


@TARGET.mistake("x0 is returned for every prediction type. Use `prediction_type`.")
def always_x0(prediction_type: str, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return x0.clone()
