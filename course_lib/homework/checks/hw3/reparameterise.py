"""Exercise `reparameterise`: a sample from the posterior through which gradients pass."""

from torch import Tensor
from torch.nn import functional as F

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise
from course_lib.homework.checks.hw3.latents import SHAPES, draw_posterior


def _reparameterise(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean + logvar.exp().sqrt() * eps


def _cases(draw: Draw) -> list[Case]:
    return [
        Case(f"mean, logvar, eps {list(shape)} {draw.dtype_name}", (*draw_posterior(draw, shape), draw.normal(*shape)))
        for shape in SHAPES
    ]


REPARAMETERISE = Exercise(
    "reparameterise",
    points=1,
    difficulty=1,
    minutes=5,
    oracle=_reparameterise,
    cases=_cases,
    differentiable=True,
)


@REPARAMETERISE.mistake("The log-variance itself multiplies the noise. The standard deviation is exp(logvar / 2).")
def log_variance_as_std(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean + logvar * eps


@REPARAMETERISE.mistake(
    "exp(logvar) is the variance, but the noise must be multiplied by the standard deviation: a half is missing in the exponent."
)
def variance_as_std(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean + logvar.exp() * eps


@REPARAMETERISE.mistake("This takes the root of the log-variance. Undo the logarithm first, then take the root: exp(logvar / 2).")
def root_of_absolute_log_variance(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean + logvar.abs().sqrt() * eps


@REPARAMETERISE.mistake(
    "This takes the root of the log-variance, and a logarithm may be negative. The standard deviation is exp(logvar / 2)."
)
def root_of_log_variance(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean + logvar.sqrt() * eps


@REPARAMETERISE.mistake("This is exp(2 · logvar): the half in the exponent became a two.")
def doubled_exponent(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean + (2 * logvar).exp() * eps


@REPARAMETERISE.mistake("exp(-logvar / 2) is one over the standard deviation. Reverse the sign of the exponent.")
def inverse_std(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean + (-logvar / 2).exp() * eps


@REPARAMETERISE.mistake("This halves exp(logvar). The half belongs in the exponent: exp(logvar / 2).")
def half_outside_exponent(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean + logvar.exp() / 2 * eps


@REPARAMETERISE.mistake("The log-variance is halved, but the logarithm is not undone: exp(logvar / 2).")
def half_log_variance_as_std(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean + logvar / 2 * eps


@REPARAMETERISE.mistake("This squares the log-variance. It is a logarithm: the standard deviation is exp(logvar / 2).")
def squared_log_variance(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean + logvar.square() * eps


@REPARAMETERISE.mistake("eps is missing: the standard deviation itself is added to the mean.")
def eps_missing(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean + (logvar / 2).exp()


@REPARAMETERISE.mistake("The standard deviation multiplies the mean. It should multiply eps: mean + std · eps.")
def mean_scaled_not_eps(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean * (logvar / 2).exp() + eps


@REPARAMETERISE.mistake("The noise is missing: this is the mean (the mode of the posterior), not a sample from it.")
def mode(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean


@REPARAMETERISE.mistake("The mean is missing: this is noise with the right standard deviation, but centred on zero.")
def mean_missing(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return (logvar / 2).exp() * eps


@REPARAMETERISE.mistake("The standard deviation multiplies the mean as well. It should multiply eps alone.")
def mean_and_eps_scaled(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return (logvar / 2).exp() * (mean + eps)


@REPARAMETERISE.mistake(
    "The noise is subtracted. The result is equally random, but it is not the sample for this eps: mean + std · eps."
)
def noise_subtracted(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean - (logvar / 2).exp() * eps


@REPARAMETERISE.mistake("The standard deviation is added to eps. Multiply the two: mean + std · eps.")
def std_plus_eps(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean + (logvar / 2).exp() + eps


@REPARAMETERISE.mistake(
    "Brackets in the wrong place: (mean + std) · eps multiplies the mean by the noise as well. Write mean + std · eps."
)
def mean_plus_std_times_eps(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return (mean + (logvar / 2).exp()) * eps


@REPARAMETERISE.mistake("eps multiplies the mean. It should multiply the standard deviation: mean + std · eps.")
def mean_times_eps(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean * eps + (logvar / 2).exp()


@REPARAMETERISE.mistake("All three are multiplied. The mean is added: mean + std · eps.")
def all_multiplied(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean * (logvar / 2).exp() * eps


@REPARAMETERISE.mistake("All images get the noise of the first one. eps holds noise for each image.")
def one_eps_for_all(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean + (logvar / 2).exp() * eps[:1]


@REPARAMETERISE.mistake("A single standard deviation, of the mean log-variance, is used for all values. Each value has its own.")
def one_std_for_all(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean + (logvar.mean() / 2).exp() * eps


@REPARAMETERISE.mistake("One half is added to the log-variance. Multiply it by one half: exp(logvar / 2).")
def half_added(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean + (logvar + 0.5).exp() * eps


@REPARAMETERISE.mistake("The base is 2. The log-variance is a natural logarithm: torch.exp(logvar / 2).")
def base_2(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean + 2 ** (logvar / 2) * eps


@REPARAMETERISE.mistake(
    "The exponent is halved twice: exp(logvar / 2) is the standard deviation already, no further root is needed."
)
def quarter(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean + (logvar / 4).exp() * eps


@REPARAMETERISE.mistake("The logarithm is taken once more. logvar is the logarithm already: undo it with exp(logvar / 2).")
def logarithm_taken_again(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean + logvar.abs().log() / 2 * eps


@REPARAMETERISE.mistake(
    "The standard deviation is softplus(logvar). That is another convention; here logvar is log σ²: exp(logvar / 2)."
)
def softplus(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mean + F.softplus(logvar) * eps
