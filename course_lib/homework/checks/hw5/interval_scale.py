"""Exercise `interval_scale`: guidance in an interval of noise levels."""

import math

import numpy as np

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise


def _interval_scale(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    """np.digitize with right=True counts the edges that lie below a value: 1 of (lo, hi] is inside."""
    return scale if np.digitize(sigma / alpha, [lo, hi], right=True) == 1 else 1.0


def _cases(draw: Draw) -> list[Case]:
    """Quarters and sixteenths, so that no way of writing the comparison rounds; one of two intervals of noise over signal."""
    lo, hi = ((0.5, 3.0), (0.75, 2.5))[draw.integer(0, 2)]
    scale = draw.number(2.0, 6.0)
    rates = {
        "below lo": (0.875, 0.4375 * 0.875),
        "exactly at lo": (0.5, 0.5 * lo),
        "inside, near lo": (0.625, 1.25 * 0.625),
        "inside": (0.375, 0.375),
        "inside, with more noise": (0.375, 2.25 * 0.375),
        "exactly at hi": (0.25, 0.25 * hi),
        "above hi": (0.25, 0.96875),
        "far above hi": (0.0625, 0.9375),
    }
    return [
        Case(f"a scale between 2 and 6, sigma / alpha {where}", (scale, alpha, sigma, lo, hi))
        for where, (alpha, sigma) in rates.items()
    ]


INTERVAL_SCALE = Exercise("interval_scale", points=1, difficulty=2, minutes=5, oracle=_interval_scale, cases=_cases)


# --- the ends of the interval --------------------------------------------------------------------------------------


@INTERVAL_SCALE.mistake("lo itself lies outside the interval (lo, hi]: at sigma / alpha = lo there is no guidance.")
def closed_interval(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    return scale if lo <= sigma / alpha <= hi else 1.0


@INTERVAL_SCALE.mistake("hi itself belongs to the interval (lo, hi]: at sigma / alpha = hi there is guidance.")
def open_interval(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    return scale if lo < sigma / alpha < hi else 1.0


@INTERVAL_SCALE.mistake("The ends are swapped: lo itself lies outside, hi itself inside, (lo, hi].")
def ends_swapped(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    return scale if lo <= sigma / alpha < hi else 1.0


@INTERVAL_SCALE.mistake("The upper end is ignored: above hi there is no guidance.")
def hi_ignored(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    return scale if lo < sigma / alpha else 1.0


@INTERVAL_SCALE.mistake("The lower end is ignored: at lo and below there is no guidance.")
def lo_ignored(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    return scale if sigma / alpha <= hi else 1.0


# --- what is compared with them ------------------------------------------------------------------------------------


@INTERVAL_SCALE.mistake("The squares are compared, sigma² / alpha². lo and hi are bounds of sigma / alpha.")
def squares_compared(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    return scale if lo < (sigma / alpha) ** 2 <= hi else 1.0


@INTERVAL_SCALE.mistake(
    "sigma (or its square, or its share of alpha + sigma) is compared. lo and hi are bounds of noise over signal, "
    "sigma / alpha, and may exceed 1."
)
def sigma_compared(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    return scale if lo < sigma <= hi else 1.0


@INTERVAL_SCALE.mistake("alpha / sigma is compared. Noise over signal is sigma / alpha.")
def inverse_ratio_compared(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    return scale if lo < alpha / sigma <= hi else 1.0


@INTERVAL_SCALE.mistake("alpha is compared. lo and hi are bounds of noise over signal, sigma / alpha.")
def alpha_compared(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    return scale if lo < alpha <= hi else 1.0


# --- what is returned ----------------------------------------------------------------------------------------------


@INTERVAL_SCALE.mistake("Outside the interval this returns 0, which is the unconditional model. No guidance is 1.")
def zero_outside(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    return scale if lo < sigma / alpha <= hi else 0.0


@INTERVAL_SCALE.mistake("Guidance is on everywhere: the noise level is ignored.")
def always_on(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    return scale


@INTERVAL_SCALE.mistake("The condition is inverted: guidance is on outside the interval and off inside.")
def inverted(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    return 1.0 if lo < sigma / alpha <= hi else scale


@INTERVAL_SCALE.mistake("This returns whether the level lies inside. Return the scale for this level: `scale`, or 1.")
def condition_returned(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> bool:
    return lo < sigma / alpha <= hi


@INTERVAL_SCALE.mistake("Outside the interval nothing is returned. Return 1 there.")
def nothing_outside(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float | None:
    return scale if lo < sigma / alpha <= hi else None


@INTERVAL_SCALE.mistake("Inside, 1 is added to the scale. It is in our convention already: 1 is off.")
def scale_plus_1(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    return 1 + scale if lo < sigma / alpha <= hi else 1.0


@INTERVAL_SCALE.mistake("The logarithm of sigma / alpha is compared. lo and hi are bounds of sigma / alpha itself.")
def logarithm_compared(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    return scale if lo < math.log(sigma / alpha) <= hi else 1.0


@INTERVAL_SCALE.mistake("The logarithm of sigma² / alpha² is compared. lo and hi are bounds of sigma / alpha itself.")
def log_of_squares_compared(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    return scale if lo < 2 * math.log(sigma / alpha) <= hi else 1.0


@INTERVAL_SCALE.mistake("The root of sigma / alpha is compared. lo and hi are bounds of sigma / alpha itself.")
def root_compared(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    return scale if lo < math.sqrt(sigma / alpha) <= hi else 1.0


@INTERVAL_SCALE.mistake("Guidance is off everywhere. Inside the interval, lo < sigma / alpha <= hi, return `scale`.")
def always_off(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    return 1.0


@INTERVAL_SCALE.mistake("Inside this returns 1 and outside 0. Return `scale` inside and 1 outside.")
def one_inside_zero_outside(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    return 1.0 if lo < sigma / alpha <= hi else 0.0


@INTERVAL_SCALE.mistake("Guidance is on below lo and nowhere else. It is on inside: lo < sigma / alpha <= hi.")
def below_lo_only(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    return scale if sigma / alpha <= lo else 1.0


@INTERVAL_SCALE.mistake("Guidance is on above hi and nowhere else. It is on inside: lo < sigma / alpha <= hi.")
def above_hi_only(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    return scale if sigma / alpha > hi else 1.0


@INTERVAL_SCALE.mistake("Inside, 1 is subtracted from the scale. It is in our convention already: 1 is off.")
def one_subtracted(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    return scale - 1 if lo < sigma / alpha <= hi else 1.0


@INTERVAL_SCALE.mistake("Outside, the scale is only halved. No guidance is 1.")
def halved_outside(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    return scale if lo < sigma / alpha <= hi else scale / 2


@INTERVAL_SCALE.mistake("Outside, one over the scale is returned. No guidance is 1.")
def reciprocal_outside(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    return scale if lo < sigma / alpha <= hi else 1 / scale


@INTERVAL_SCALE.mistake("Inside, the sign of the scale is reversed.")
def negated(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    return -scale if lo < sigma / alpha <= hi else 1.0
