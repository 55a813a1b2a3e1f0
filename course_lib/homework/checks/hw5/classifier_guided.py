"""Exercise `classifier_guided`: classifier guidance as a step of the clean prediction."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib.homework.answers.standins import LogProb
from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise


def _gradient(log_prob: LogProb, x: Tensor) -> Tensor:
    """The gradient of the stand-in's parabola, in closed form."""
    return (log_prob.centre - x) / log_prob.width**2


def _classifier_guided(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return x0_hat + scale * sigma**2 / alpha * _gradient(log_prob, x_t)


def _terms(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> dict[str, object]:
    return {"x0_hat": x0_hat, "x_t": x_t, "the gradient": _gradient(log_prob, x_t)}


def _with_grad(x: Tensor) -> Tensor:
    return x.detach().requires_grad_()


def _block(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: Callable, scale: float) -> Tensor:
    with torch.enable_grad():
        x = _with_grad(x_t)
        (gradient,) = torch.autograd.grad(log_prob(x).sum(), x)
    return x0_hat + scale * sigma**2 / alpha * gradient


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape, low, high in (((3, 2, 4, 3), 0.3, 0.5), ((2, 1, 3, 5), 0.75, 0.9)):
        alpha = draw.number(low, high)
        # The parabola is wide enough for the probability itself not to vanish: its gradient is one of the mistakes.
        log_prob = LogProb(draw.normal(*shape[1:]), draw.number(3.0, 4.0))
        x_t, x0_hat = draw.normal(*shape), draw.normal(*shape, mean=0.5)
        given = (x_t, x0_hat, alpha, math.sqrt(1 - alpha**2), log_prob, draw.number(2.0, 4.0))
        numbers = f"alpha between {low} and {high}, sigma = √(1 - alpha²), a parabola as log p, a scale between 2 and 4"
        cases.append(Case(f"x_t, x0_hat {list(shape)}, {numbers}, {draw.dtype_name}", given))
    return cases


CLASSIFIER_GUIDED = Exercise(
    "classifier_guided", points=4, difficulty=3, minutes=20, oracle=_classifier_guided, cases=_cases, block=_block, terms=_terms
)


# --- autograd ------------------------------------------------------------------------------------------------------


@CLASSIFIER_GUIDED.mistake(
    "autograd.grad needs a single number, but log_prob returns one for each image: add them up first, .sum(). "
    "Each image's gradient stays its own."
)
def not_summed(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> tuple[Tensor, ...]:
    return torch.autograd.grad(log_prob(_with_grad(x_t)), _with_grad(x_t))


@CLASSIFIER_GUIDED.mistake("Autograd does not track x_t: write x = x_t.detach().requires_grad_() before log_prob(x).")
def requires_grad_missing(
    x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float
) -> tuple[Tensor, ...]:
    return torch.autograd.grad(log_prob(x_t).sum(), x_t)


@CLASSIFIER_GUIDED.mistake(
    "log_prob was computed from another tensor than the one the gradient is taken with respect to. "
    "Make x, then log_prob(x), then the gradient with respect to the same x."
)
def another_tensor(
    x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float
) -> tuple[Tensor, ...]:
    return torch.autograd.grad(log_prob(_with_grad(x_t)).sum(), _with_grad(x_t))


# --- the factor of the gradient ------------------------------------------------------------------------------------


@CLASSIFIER_GUIDED.mistake("sigma is used instead of sigma²: the factor of the gradient is sigma² / alpha.")
def sigma_not_squared(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return x0_hat + scale * sigma / alpha * _gradient(log_prob, x_t)


@CLASSIFIER_GUIDED.mistake(
    "The step is not divided by alpha. sigma² · gradient is the step of alpha · x0, which x_t contains; "
    "the step of x0_hat itself is 1 / alpha times as long."
)
def not_divided_by_alpha(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return x0_hat + scale * sigma**2 * _gradient(log_prob, x_t)


@CLASSIFIER_GUIDED.mistake("The step is multiplied by alpha where it should be divided.")
def multiplied_by_alpha(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return x0_hat + scale * sigma**2 * alpha * _gradient(log_prob, x_t)


@CLASSIFIER_GUIDED.mistake("The step is divided by alpha². The factor of the gradient is sigma² / alpha.")
def divided_by_alpha_twice(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return x0_hat + scale * (sigma / alpha) ** 2 * _gradient(log_prob, x_t)


@CLASSIFIER_GUIDED.mistake("The factor sigma² / alpha is missing: the gradient alone is a score, not a step of x0_hat.")
def bare_gradient(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return x0_hat + scale * _gradient(log_prob, x_t)


@CLASSIFIER_GUIDED.mistake("The sign is reversed: log p should increase, so x0_hat moves along its gradient.")
def sign_reversed(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return _classifier_guided(x_t, x0_hat, alpha, sigma, log_prob, -scale)


@CLASSIFIER_GUIDED.mistake(
    "This is x0_hat - sigma · gradient, the formula for the predicted noise (Dhariwal & Nichol, algorithm 2). "
    "x0_hat moves by + sigma² / alpha · gradient."
)
def formula_for_noise(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return x0_hat - scale * sigma * _gradient(log_prob, x_t)


# --- another gradient ----------------------------------------------------------------------------------------------


@CLASSIFIER_GUIDED.mistake(
    "This is the gradient of the mean over the batch, too small by a factor of the batch size: "
    "an image's step would depend on what else is in the batch. Take the gradient of the sum."
)
def gradient_of_the_mean(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return _classifier_guided(x_t, x0_hat, alpha, sigma, log_prob, scale / len(x_t))


@CLASSIFIER_GUIDED.mistake("The gradient is taken at x0_hat. This classifier expects noisy latents: take it at x_t.")
def gradient_at_x0_hat(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return x0_hat + scale * sigma**2 / alpha * _gradient(log_prob, x0_hat)


@CLASSIFIER_GUIDED.mistake(
    "This is the gradient of the probability itself. Bayes' rule needs that of its logarithm, "
    "which log_prob returns already: no exp."
)
def gradient_of_p(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return x0_hat + scale * sigma**2 / alpha * _gradient(log_prob, x_t) * log_prob(x_t).exp().view(-1, 1, 1, 1)


# --- a wrong combination -------------------------------------------------------------------------------------------


@CLASSIFIER_GUIDED.mistake("This is the step alone. Return x0_hat plus the step.")
def step_alone(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return scale * sigma**2 / alpha * _gradient(log_prob, x_t)


@CLASSIFIER_GUIDED.mistake("The step is added to x_t. Add it to x0_hat, the clean prediction that the sampler continues with.")
def added_to_x_t(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return x_t + scale * sigma**2 / alpha * _gradient(log_prob, x_t)


@CLASSIFIER_GUIDED.mistake("The scale is missing.")
def scale_missing(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return _classifier_guided(x_t, x0_hat, alpha, sigma, log_prob, 1.0)


@CLASSIFIER_GUIDED.mistake(
    "1 is subtracted from the scale. In this convention 0 is off and 1 is Bayes' rule: multiply the gradient by the scale itself."
)
def scale_minus_1(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return _classifier_guided(x_t, x0_hat, alpha, sigma, log_prob, scale - 1)


@CLASSIFIER_GUIDED.mistake("There is no guidance: this returns x0_hat unchanged.")
def unguided(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return x0_hat.clone()


@CLASSIFIER_GUIDED.mistake(
    "The gradient of each image is normalised to length 1. Its length matters: it says how confident the classifier is."
)
def normalised_gradient(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    gradient = _gradient(log_prob, x_t)
    return x0_hat + scale * sigma**2 / alpha * gradient / gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)


@CLASSIFIER_GUIDED.mistake(
    "The gradient is that of log_prob(x)[0], so only the first image moves. Sum over the batch: log_prob(x).sum()."
)
def gradient_of_the_first_image(
    x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float
) -> Tensor:
    first = _gradient(log_prob, x_t) * (torch.arange(len(x_t), device=x_t.device) == 0).view(-1, 1, 1, 1)
    return x0_hat + scale * sigma**2 / alpha * first


@CLASSIFIER_GUIDED.mistake("The gradient is divided by its norm. Its length matters: it says how confident the classifier is.")
def gradient_normalised_over_the_batch(
    x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float
) -> Tensor:
    gradient = _gradient(log_prob, x_t)
    return x0_hat + scale * sigma**2 / alpha * gradient / gradient.norm()


@CLASSIFIER_GUIDED.mistake(
    "The gradient is normalised along the channels. Its length matters: it says how confident the classifier is."
)
def gradient_normalised_over_channels(
    x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float
) -> Tensor:
    return x0_hat + scale * sigma**2 / alpha * F.normalize(_gradient(log_prob, x_t), dim=1)


@CLASSIFIER_GUIDED.mistake("Only the sign of the gradient is used. Its size matters: it says how confident the classifier is.")
def sign_of_the_gradient(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return x0_hat + scale * sigma**2 / alpha * _gradient(log_prob, x_t).sign()


@CLASSIFIER_GUIDED.mistake("The scale is added. It multiplies the step: x0_hat + scale · sigma² / alpha · gradient.")
def scale_added(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return x0_hat + scale + sigma**2 / alpha * _gradient(log_prob, x_t)


@CLASSIFIER_GUIDED.mistake("The factor is upside down: sigma² / alpha, not alpha / sigma².")
def factor_upside_down(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return x0_hat + scale * alpha / sigma**2 * _gradient(log_prob, x_t)


@CLASSIFIER_GUIDED.mistake("The scale multiplies x0_hat. It multiplies the step alone.")
def scale_on_x0_hat(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return scale * x0_hat + sigma**2 / alpha * _gradient(log_prob, x_t)


@CLASSIFIER_GUIDED.mistake("The scale multiplies x0_hat as well. It multiplies the step alone.")
def scale_on_both(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return scale * (x0_hat + sigma**2 / alpha * _gradient(log_prob, x_t))


@CLASSIFIER_GUIDED.mistake("All values move by the mean gradient. Each has its own.")
def mean_gradient(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return x0_hat + scale * sigma**2 / alpha * _gradient(log_prob, x_t).mean()


@CLASSIFIER_GUIDED.mistake("log p itself is used. The step is along its gradient: torch.autograd.grad(log_prob(x).sum(), x)[0].")
def log_prob_for_gradient(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return x0_hat + scale * sigma**2 / alpha * log_prob(x_t).view(-1, 1, 1, 1)


@CLASSIFIER_GUIDED.mistake("The factor scale · sigma² / alpha is missing: this adds the gradient as it is.")
def bare_gradient_unscaled(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return x0_hat + _gradient(log_prob, x_t)


@CLASSIFIER_GUIDED.mistake("The gradient is multiplied by x_t. Add the step as it is.")
def gradient_times_x_t(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return x0_hat + scale * sigma**2 / alpha * _gradient(log_prob, x_t) * x_t


@CLASSIFIER_GUIDED.mistake("The gradient is squared, so its sign is lost.")
def gradient_squared(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return x0_hat + scale * sigma**2 / alpha * _gradient(log_prob, x_t).square()


@CLASSIFIER_GUIDED.mistake("The logarithm is taken again: log_prob returns log p already.")
def log_of_log_prob(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return x0_hat + scale * sigma**2 / alpha * _gradient(log_prob, x_t) / log_prob(x_t).view(-1, 1, 1, 1)


@CLASSIFIER_GUIDED.mistake("The factor sigma² is missing: scale / alpha · gradient is not the step of x0_hat.")
def sigma_over_alpha_missing(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return x0_hat + scale / alpha * _gradient(log_prob, x_t)


@CLASSIFIER_GUIDED.mistake(
    "This is (x_t + sigma² · gradient) / alpha: the step is right, but it starts from x_t / alpha. Add it to x0_hat."
)
def tweedie(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return (x_t + scale * sigma**2 * _gradient(log_prob, x_t)) / alpha


@CLASSIFIER_GUIDED.mistake(
    "The step is added to x_t, and not divided by alpha. x0_hat moves by scale · sigma² / alpha · gradient."
)
def added_to_x_t_without_alpha(
    x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float
) -> Tensor:
    return x_t + scale * sigma**2 * _gradient(log_prob, x_t)


@CLASSIFIER_GUIDED.mistake("The gradient is taken at alpha · x0_hat. This classifier expects noisy latents: take it at x_t.")
def gradient_at_alpha_x0_hat(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    return x0_hat + scale * sigma**2 / alpha * _gradient(log_prob, alpha * x0_hat)


@CLASSIFIER_GUIDED.mistake(
    "The gradient is taken at x_t / alpha. This classifier expects the noisy latents themselves: take it at x_t."
)
def gradient_at_x_t_over_alpha(
    x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float
) -> Tensor:
    return x0_hat + scale * sigma**2 / alpha * _gradient(log_prob, x_t / alpha)


@CLASSIFIER_GUIDED.mistake("All images move by the gradient of the first. Each has its own.")
def gradient_of_one_image_for_all(
    x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float
) -> Tensor:
    return x0_hat + scale * sigma**2 / alpha * _gradient(log_prob, x_t)[:1]
