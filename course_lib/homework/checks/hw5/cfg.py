"""Exercise `cfg`: classifier-free guidance."""

import torch
from torch import Tensor

from course_lib.guidance import guide
from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise
from course_lib.schedule import Level


def _cfg(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return torch.lerp(null, cond, scale)


def _block(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return guide(lambda x, level: cond, lambda x, level: null, scale)(cond, Level(0, 1.0, 0.0))


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in ((2, 4, 3, 5), (3, 1, 4, 4)):
        # The scales 1 and 0.5 are part of the statement; the drawn one is above 2, so it never equals them by chance.
        for name, scale in (("a scale between 2 and 5", draw.number(2.0, 5.0)), ("scale 1", 1.0), ("scale 0.5", 0.5)):
            what = f"cond, null {list(shape)}, {name}, {draw.dtype_name}"
            cases.append(Case(what, (draw.normal(*shape, mean=0.3), draw.normal(*shape), scale)))
    return cases


CFG = Exercise("cfg", points=1, difficulty=1, minutes=5, oracle=_cfg, cases=_cases, differentiable=True, block=_block)


@CFG.mistake("Below scale 1 guidance is switched off. It is off at 1 only: 0.5 is halfway from null to cond.")
def off_below_1(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return _cfg(cond, null, scale) if scale > 1 else cond


@CFG.mistake(
    "Parentheses are missing: in scale · cond - null the scale multiplies cond alone. "
    "It multiplies the difference, (cond - null), and the starting point is null."
)
def parentheses_missing(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return scale * cond - null


@CFG.mistake(
    "The two predictions are swapped: this moves from cond towards null, so a large scale generates anything but what the "
    "prompt asks for. Start at null and move towards cond (and check which half of a doubled batch is which)."
)
def predictions_swapped(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return cond + scale * (null - cond)


@CFG.mistake("This is off at scale 0: it uses the paper's w, (1 + w) · cond - w · null. Here scale 1 must give cond itself.")
def papers_convention(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return cond + scale * (cond - null)


@CFG.mistake("1 is subtracted from the scale, so that scale 1 gives null. It must give cond.")
def scale_minus_1(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return null + (scale - 1) * (cond - null)


@CFG.mistake("The sign of the step is reversed: it moves from null away from cond.")
def step_reversed(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return null - scale * (cond - null)


@CFG.mistake(
    "Only the first three channels are guided, and the others are those of cond. "
    "An image has three channels, but a latent has four: guide all of them."
)
def fourth_channel_of_cond(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return torch.cat([_cfg(cond, null, scale)[:, :3], cond[:, 3:]], 1)


@CFG.mistake(
    "Only the first three channels are guided, and the others are those of null. "
    "An image has three channels, but a latent has four: guide all of them."
)
def fourth_channel_of_null(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return torch.cat([_cfg(cond, null, scale)[:, :3], null[:, 3:]], 1)


@CFG.mistake("This is only the step, scale · (cond - null). Add it to its starting point: at scale 1 the result is cond.")
def step_alone(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return scale * (cond - null)


@CFG.mistake("null is added in full. At scale 1 the result must be cond, without any null.")
def null_in_full(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return null + scale * cond


@CFG.mistake("The scale has no effect: this is cond, as if there were no guidance.")
def scale_ignored(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return 0 * null + cond


@CFG.mistake("cond is multiplied by the scale, and null is not used.")
def null_ignored(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return scale * cond + 0 * null


@CFG.mistake("One sign is wrong: scale · cond + (scale - 1) · null. The two weights must add up to 1.")
def sign_of_null(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return scale * cond + (scale - 1) * null


@CFG.mistake("The result is clamped to [-1, 1]. These are latents, which have no such range.")
def clamped(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return _cfg(cond, null, scale).clamp(-1, 1)


@CFG.mistake("null is added with the weight scale - 1. The weights are scale and 1 - scale.")
def cond_plus_null(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return cond + (scale - 1) * null


@CFG.mistake("null is multiplied by the scale, and added to cond. The weights are scale for cond and 1 - scale for null.")
def cond_plus_scaled_null(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return cond + scale * null


@CFG.mistake("Both are multiplied by the scale. The weights must add up to 1: scale and 1 - scale.")
def both_scaled(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return scale * (cond + null)


@CFG.mistake("The sign of the difference is reversed: this moves from cond towards null.")
def away_from_cond(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return cond + (scale - 1) * (null - cond)


@CFG.mistake("This is the mean of the two, whatever the scale is.")
def average(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return (cond + null) / 2


@CFG.mistake("A scale of 2 is written into the program. Use the argument `scale`.")
def scale_of_2(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return null + 2 * (cond - null)


@CFG.mistake("A scale of 7.5 is written into the program. Use the argument `scale`.")
def scale_of_75(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return null + 7.5 * (cond - null)


@CFG.mistake("The scale is rounded down. Scales such as 1.5 are among the most useful ones.")
def scale_cut_off(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return null + int(scale) * (cond - null)


@CFG.mistake("The difference is divided by the scale. Multiply it.")
def divided_by_scale(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return null + (cond - null) / scale


@CFG.mistake("The absolute value of the difference is taken, so its direction is lost.")
def absolute_difference(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return null + scale * (cond - null).abs()


@CFG.mistake("null is returned: as if the scale were 0.")
def null_returned(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return null + 0 * cond


@CFG.mistake("The larger of the two is taken for each value. Move from null towards cond: null + scale · (cond - null).")
def larger_of_the_two(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return torch.where(cond > null, cond, null)
