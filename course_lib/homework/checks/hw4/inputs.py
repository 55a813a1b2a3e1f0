"""Inputs that exercises of homework 4 share: a noise schedule as a table, the rates of a level, prediction types."""

from collections.abc import Callable
from functools import wraps

from torch import Tensor

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw

SHAPES = ((3, 4, 2, 5), (2, 1, 3, 6))


def draw_alphas_cumprod(draw: Draw, T: int) -> Tensor:
    """Draw alphas_cumprod [T]: it falls from about 0.97 to about 0.05, by uneven steps."""
    drops = draw.uniform(T, low=0.5, high=1.5).cpu().double()  # not every device has float64
    return draw.tensor(0.97 - 0.92 * (drops.cumsum(0) - drops[0]) / (drops.sum() - drops[0]))


def per_image(values: Tensor) -> Tensor:
    """[B] → [B, 1, 1, 1]."""
    return values.view(-1, 1, 1, 1)


def rates(t: Tensor, alphas_cumprod: Tensor) -> tuple[Tensor, Tensor]:
    """alpha, sigma [B, 1, 1, 1] of the steps t [B], from 1 to T."""
    alpha_squared = per_image(alphas_cumprod[t - 1])
    return alpha_squared.sqrt(), (1 - alpha_squared).sqrt()


def draw_rates(draw: Draw, batch: int) -> tuple[Tensor, Tensor]:
    """Draw alpha, sigma [batch, 1, 1, 1] with alpha² + sigma² = 1, neither of them near 0 nor equal to the other."""
    angle = per_image(draw.uniform(batch, low=0.25, high=0.6).cpu().double())
    angle[0] += 0.7
    return draw.tensor(angle.cos()), draw.tensor(angle.sin())


def prediction_type_cases(draw: Draw, names: tuple[str, str], moments: tuple[dict, dict]) -> list[Case]:
    """Make a case for each shape and prediction type: two normal tensors with these names and moments, and a level's rates."""
    cases = []
    for shape in SHAPES:
        for prediction_type in ("v", "eps", "x0"):
            given = (*(draw.normal(*shape, **m) for m in moments), *draw_rates(draw, shape[0]))
            tensors = f"{', '.join(names)} {list(shape)}, alpha, sigma [{shape[0]}, 1, 1, 1]"
            what = f'prediction_type "{prediction_type}", {tensors}, {draw.dtype_name}'
            cases.append(Case(what, (prediction_type, *given), f'"{prediction_type}"'))
    return cases


def wrong_for(wrong_type: str, oracle: Callable[..., Tensor]) -> Callable[[Callable], Callable]:
    """Use the decorated function's answer for one prediction type, and the oracle's for the others."""

    def decorate(wrong: Callable) -> Callable:
        @wraps(wrong)
        def function(prediction_type: str, *given: Tensor) -> Tensor:
            return wrong(*given) if prediction_type == wrong_type else oracle(prediction_type, *given)

        return function

    return decorate
