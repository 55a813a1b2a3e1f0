"""Exercise `to_guidance_scale`: three papers' conventions for the guidance scale."""

import numpy as np

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise

HO_SALIMANS = "ho-salimans"  # guidance is off at 0
CONVENTIONS = (HO_SALIMANS, "imagen", "glide")  # in the other two it is off at 1, as in the workbook


def _to_guidance_scale(value: float, convention: str) -> float:
    """Each conversion is a straight line with slope 1, given by the value at which guidance is off (the result is cond)."""
    off = 0.0 if convention == HO_SALIMANS else 1.0
    return float(np.interp(value, [off - 1000, off + 1000], [-999, 1001]))


def _cases(draw: Draw) -> list[Case]:
    drawn = [Case(f'value between 1.5 and 8, "{name}"', (draw.number(1.5, 8.0), name), f'"{name}"') for name in CONVENTIONS]
    written = [(value, name) for name in CONVENTIONS for value in (0.0, 0.25, 1.0)]
    return drawn + [Case(f'value {value:g}, "{name}"', (value, name), f'"{name}"') for value, name in written]


TO_GUIDANCE_SCALE = Exercise("to_guidance_scale", points=2, difficulty=2, minutes=10, oracle=_to_guidance_scale, cases=_cases)

_OFF_AT_1 = '"{}" is treated as off at 0. Put 1 into its formula: only cond is left, as with our scale 1.'
_NOTHING = 'For "{}" nothing is returned. Each of the three conventions needs its own answer.'


@TO_GUIDANCE_SCALE.mistake(_OFF_AT_1.format("imagen"))
def imagen_off_at_0(value: float, convention: str) -> float:
    return value if convention == "glide" else 1 + value


@TO_GUIDANCE_SCALE.mistake(_OFF_AT_1.format("glide"))
def glide_off_at_0(value: float, convention: str) -> float:
    return value if convention == "imagen" else 1 + value


@TO_GUIDANCE_SCALE.mistake(_NOTHING.format("ho-salimans"))
def nothing_for_ho_salimans(value: float, convention: str) -> float | None:
    return None if convention == "ho-salimans" else _to_guidance_scale(value, convention)


@TO_GUIDANCE_SCALE.mistake(_NOTHING.format("imagen"))
def nothing_for_imagen(value: float, convention: str) -> float | None:
    return None if convention == "imagen" else _to_guidance_scale(value, convention)


@TO_GUIDANCE_SCALE.mistake(_NOTHING.format("glide"))
def nothing_for_glide(value: float, convention: str) -> float | None:
    return None if convention == "glide" else _to_guidance_scale(value, convention)


@TO_GUIDANCE_SCALE.mistake("Nothing is returned: the last line lacks `return`.")
def return_missing(value: float, convention: str) -> None:
    return None


@TO_GUIDANCE_SCALE.mistake(
    '"ho-salimans" is converted in the wrong direction: value - 1 goes from our scale to their w. '
    "At w = 0 only cond is left, and that is our scale 1."
)
def wrong_direction(value: float, convention: str) -> float:
    return value - 1 if convention == HO_SALIMANS else value


@TO_GUIDANCE_SCALE.mistake(
    "The value is returned unchanged for every convention. Which value switches guidance off in each of them?"
)
def never_converted(value: float, convention: str) -> float:
    return value


@TO_GUIDANCE_SCALE.mistake("1 is added for every convention. Put 1 into Imagen's formula: what is left?")
def always_plus_1(value: float, convention: str) -> float:
    return 1 + value


@TO_GUIDANCE_SCALE.mistake("1 is subtracted for every convention.")
def always_minus_1(value: float, convention: str) -> float:
    return value - 1


@TO_GUIDANCE_SCALE.mistake(
    'The values of "imagen" and "glide" are converted, and that of "ho-salimans" is not. It should be the other way round.'
)
def wrong_ones_converted(value: float, convention: str) -> float:
    return value if convention == HO_SALIMANS else 1 + value


@TO_GUIDANCE_SCALE.mistake('For "ho-salimans" a sign is wrong: the weight of cond is 1 + w, not 1 - w.')
def sign_of_w(value: float, convention: str) -> float:
    return 1 - value if convention == HO_SALIMANS else value


@TO_GUIDANCE_SCALE.mistake("The result is rounded to an integer. Scales such as 1.5 are among the most useful ones.")
def rounded(value: float, convention: str) -> float:
    return int(_to_guidance_scale(value, convention))


@TO_GUIDANCE_SCALE.mistake("The result never falls below 1. A scale below 1 is valid: it lies between null and cond.")
def at_least_1(value: float, convention: str) -> float:
    return max(1.0, _to_guidance_scale(value, convention))


@TO_GUIDANCE_SCALE.mistake('"ho-salimans" is multiplied by 2. The weight of cond is 1 + w.')
def doubled(value: float, convention: str) -> float:
    return 2 * value if convention == HO_SALIMANS else value


@TO_GUIDANCE_SCALE.mistake('For "imagen" 1 is subtracted. Put 1 into its formula: only cond is left, as with our scale 1.')
def imagen_minus_1(value: float, convention: str) -> float:
    return value - 1 if convention == "imagen" else _to_guidance_scale(value, convention)


@TO_GUIDANCE_SCALE.mistake('For "glide" 1 is subtracted. Put 1 into its formula: only cond is left, as with our scale 1.')
def glide_minus_1(value: float, convention: str) -> float:
    return value - 1 if convention == "glide" else _to_guidance_scale(value, convention)


@TO_GUIDANCE_SCALE.mistake(
    'For "imagen" this is 1 minus the value. Put 1 into its formula: only cond is left, as with our scale 1.'
)
def imagen_reversed(value: float, convention: str) -> float:
    return 1 - value if convention == "imagen" else _to_guidance_scale(value, convention)


@TO_GUIDANCE_SCALE.mistake(
    'For "glide" this is 1 minus the value. Put 1 into its formula: only cond is left, as with our scale 1.'
)
def glide_reversed(value: float, convention: str) -> float:
    return 1 - value if convention == "glide" else _to_guidance_scale(value, convention)


@TO_GUIDANCE_SCALE.mistake('For "imagen" the value is doubled. Put 1 into its formula: only cond is left, as with our scale 1.')
def imagen_doubled(value: float, convention: str) -> float:
    return 2 * value if convention == "imagen" else _to_guidance_scale(value, convention)


@TO_GUIDANCE_SCALE.mistake('For "glide" the value is doubled. Put 1 into its formula: only cond is left, as with our scale 1.')
def glide_doubled(value: float, convention: str) -> float:
    return 2 * value if convention == "glide" else _to_guidance_scale(value, convention)


@TO_GUIDANCE_SCALE.mistake('For "ho-salimans" the sign is reversed: the weight of cond is 1 + w.')
def negative_w(value: float, convention: str) -> float:
    return -value if convention == HO_SALIMANS else _to_guidance_scale(value, convention)


@TO_GUIDANCE_SCALE.mistake('For "ho-salimans" 2 is added. At w = 0 only cond is left, and that is our scale 1.')
def two_added(value: float, convention: str) -> float:
    return value + 2 if convention == HO_SALIMANS else _to_guidance_scale(value, convention)


@TO_GUIDANCE_SCALE.mistake('For "ho-salimans" this is a ratio of the weights. Our scale is the weight of cond, 1 + w.')
def weight_of_null(value: float, convention: str) -> float:
    return value / (1 + value) if convention == HO_SALIMANS else _to_guidance_scale(value, convention)


@TO_GUIDANCE_SCALE.mistake('For "ho-salimans" this is one over w. Our scale is the weight of cond, 1 + w.')
def reciprocal(value: float, convention: str) -> float:
    return 1 / value if value else 0.0 if convention == HO_SALIMANS else _to_guidance_scale(value, convention)


@TO_GUIDANCE_SCALE.mistake("The value is doubled for every convention. Which value switches guidance off in each of them?")
def always_doubled(value: float, convention: str) -> float:
    return 2 * value


@TO_GUIDANCE_SCALE.mistake("This returns 1, no guidance, whatever the value is.")
def always_1(value: float, convention: str) -> float:
    return 1.0
