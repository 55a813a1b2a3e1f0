"""Exercise `rescaled`: guidance rescale."""

import numpy as np
import torch
from torch import Tensor

from course_lib.guidance import guide
from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise
from course_lib.schedule import Level

PER_IMAGE = (1, 2, 3)


def _rescaled(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    """Image by image, in numpy's double precision."""
    images = []
    for g, c in zip(guided.double().cpu().numpy(), cond.double().cpu().numpy(), strict=True):
        images.append(rescale * (g * np.std(c) / np.std(g)) + (1 - rescale) * g)
    return torch.from_numpy(np.stack(images)).to(guided)


def _block(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    """The workbook's `guide` at scale 2: with the reference 2 · cond - guided, its unrescaled result is guided."""
    return guide(lambda x, level: cond, lambda x, level: 2 * cond - guided, 2.0, rescale)(cond, Level(0, 1.0, 0.0))


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in ((3, 4, 2, 5), (2, 1, 6, 4)):
        # Images differ in contrast and channels in brightness, so that statistics over the wrong axes show.
        contrast = draw.tensor([1.5, 3.0, 2.2])[: shape[0]].view(-1, 1, 1, 1)
        brightness = draw.tensor([0.8, -0.5, 1.6, 0.1])[: shape[1]].view(1, -1, 1, 1)
        guided, cond = (contrast * (draw.normal(*shape) + brightness), draw.normal(*shape, std=0.8) + brightness * 0.7)
        for name, rescale in (("a rescale between 0.6 and 0.8", draw.number(0.6, 0.8)), ("rescale 0", 0.0), ("rescale 1", 1.0)):
            cases.append(Case(f"guided, cond {list(shape)}, {name}, {draw.dtype_name}", (guided, cond, rescale)))
    return cases


RESCALED = Exercise("rescaled", points=2, difficulty=3, minutes=10, oracle=_rescaled, cases=_cases, block=_block)


def _std(x: Tensor, axes: tuple[int, ...] = PER_IMAGE, correction: int = 1) -> Tensor:
    return x.std(dim=axes, keepdim=True, correction=correction)


def _mean(x: Tensor) -> Tensor:
    return x.mean(PER_IMAGE, keepdim=True)


def _mix(guided: Tensor, factor: Tensor | float, rescale: float) -> Tensor:
    """Eq. 15 and 16, with this factor in place of the ratio of the standard deviations."""
    return rescale * (guided * factor) + (1 - rescale) * guided


# --- statistics over the wrong axes --------------------------------------------------------------------------------


@RESCALED.mistake("One standard deviation is taken over the full batch. Each image has its own: keep axis 0.")
def one_std_for_the_batch(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return _mix(guided, cond.std() / guided.std(), rescale)


@RESCALED.mistake(
    "Each channel has its own standard deviation here, which changes the colours. Take one over C, H and W together."
)
def one_std_per_channel(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return _mix(guided, _std(cond, (2, 3)) / _std(guided, (2, 3)), rescale)


@RESCALED.mistake("The standard deviation is taken over the batch, axis 0. Take it within each image, over C, H and W.")
def std_over_batch(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return _mix(guided, _std(cond, (0,)) / _std(guided, (0,)), rescale)


@RESCALED.mistake("The standard deviation is taken over the channels alone. Take it over C, H and W together.")
def std_over_channels(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return _mix(guided, _std(cond, (1,), correction=0) / _std(guided, (1,), correction=0), rescale)


# --- a wrong factor ------------------------------------------------------------------------------------------------


@RESCALED.mistake("This is the ratio of the variances. Use the ratio of the standard deviations.")
def ratio_of_variances(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return _mix(guided, (_std(cond) / _std(guided)) ** 2, rescale)


@RESCALED.mistake("The ratio is inverted, which increases a contrast that is too strong already. It is std(cond) / std(guided).")
def ratio_inverted(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return _mix(guided, _std(guided) / _std(cond), rescale)


@RESCALED.mistake("The two are mixed the wrong way round: rescale 0 must leave guided unchanged.")
def mixed_the_wrong_way(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return _mix(guided, _std(cond) / _std(guided), 1 - rescale)


@RESCALED.mistake("rescale has no effect: the full correction is always applied.")
def always_in_full(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return _mix(guided, _std(cond) / _std(guided), 1.0)


@RESCALED.mistake("The mean is subtracted before scaling and added back afterwards. Equation 15 multiplies guided as it is.")
def scaled_about_the_mean(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return _mix(guided - _mean(guided), _std(cond) / _std(guided), rescale) + _mean(guided)


@RESCALED.mistake("The mean is subtracted and never added back, so the image loses its brightness.")
def mean_subtracted(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return rescale * (guided - _mean(guided)) * _std(cond) / _std(guided) + (1 - rescale) * guided


@RESCALED.mistake("This uses the root mean square (or the norm). A standard deviation is taken about the mean.")
def root_mean_square(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return _mix(guided, (_mean(cond.square()) / _mean(guided.square())).sqrt(), rescale)


# --- a wrong combination -------------------------------------------------------------------------------------------


@RESCALED.mistake("The result is mixed with cond. Equation 16 mixes the rescaled prediction with guided.")
def mixed_with_cond(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return rescale * guided * _std(cond) / _std(guided) + (1 - rescale) * cond


@RESCALED.mistake("cond is rescaled. Rescale guided to the standard deviation of cond.")
def cond_rescaled(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return _mix(cond, _std(guided) / _std(cond), rescale)


@RESCALED.mistake("The standard deviation is brought to 1. Bring it to that of cond.")
def unit_std(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return _mix(guided, 1 / _std(guided), rescale)


@RESCALED.mistake("Nothing is rescaled: this returns guided unchanged.")
def unchanged(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return guided.clone()


@RESCALED.mistake("The difference of the standard deviations is added to guided. Multiply guided by their ratio.")
def difference_added(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return guided + rescale * (_std(cond) - _std(guided))


@RESCALED.mistake("guided is multiplied by std(cond), but not divided by its own std: the factor is std(cond) / std(guided).")
def ratio_missing(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return _mix(guided, _std(cond), rescale)


@RESCALED.mistake("guided is multiplied by its own std. The factor is std(cond) / std(guided).")
def multiplied_by_own_std(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return _mix(guided, _std(guided), rescale)


@RESCALED.mistake("The two standard deviations are multiplied. Take their ratio, std(cond) / std(guided).")
def stds_multiplied(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return _mix(guided, _std(cond) * _std(guided), rescale)


@RESCALED.mistake("The factor is the difference of the standard deviations. Take their ratio, std(cond) / std(guided).")
def difference_as_factor(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return _mix(guided, _std(cond) - _std(guided), rescale)


@RESCALED.mistake("The second factor is 1 + rescale. The two must add up to 1: rescale and 1 - rescale.")
def one_plus_rescale(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return rescale * guided * _std(cond) / _std(guided) + (1 + rescale) * guided


@RESCALED.mistake("guided is added in full. The two factors must add up to 1: rescale and 1 - rescale.")
def guided_in_full(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return rescale * guided * _std(cond) / _std(guided) + guided


@RESCALED.mistake("The second term is missing: + (1 - rescale) · guided.")
def second_term_missing(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return rescale * guided * _std(cond) / _std(guided)


@RESCALED.mistake("The second term is subtracted. Add it: + (1 - rescale) · guided.")
def second_term_subtracted(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return rescale * guided * _std(cond) / _std(guided) - (1 - rescale) * guided


@RESCALED.mistake("cond is multiplied by the ratio. Multiply guided by it.")
def rescaled_cond_mixed_in(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return rescale * cond * _std(cond) / _std(guided) + (1 - rescale) * guided


@RESCALED.mistake("cond itself is mixed in. Mix in guided, rescaled: guided · std(cond) / std(guided).")
def cond_mixed_in(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return rescale * cond + (1 - rescale) * guided


@RESCALED.mistake("The rescaled prediction is mixed with cond, and the wrong way round. Mix it with guided.")
def mixed_with_cond_the_wrong_way(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return (1 - rescale) * guided * _std(cond) / _std(guided) + rescale * cond


@RESCALED.mistake(
    "The ratio is raised to the power rescale. Equation 16 mixes two predictions: rescale · rescaled + (1 - rescale) · guided."
)
def power_of_the_ratio(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return guided * (_std(cond) / _std(guided)) ** rescale


@RESCALED.mistake("The root of the ratio is taken. A standard deviation is a root already.")
def root_of_the_ratio(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return _mix(guided, (_std(cond) / _std(guided)).sqrt(), rescale)


@RESCALED.mistake("std(cond) is taken over the full batch. Each image has its own: keep axis 0.")
def std_of_cond_over_the_batch(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return _mix(guided, cond.std() / _std(guided), rescale)


@RESCALED.mistake("std(guided) is taken over the full batch. Each image has its own: keep axis 0.")
def std_of_guided_over_the_batch(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return _mix(guided, _std(cond) / guided.std(), rescale)


@RESCALED.mistake("std(cond) has one value for each channel. Take it over C, H and W together.")
def std_of_cond_per_channel(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return _mix(guided, _std(cond, (2, 3)) / _std(guided), rescale)


@RESCALED.mistake("The mean absolute values are used. A standard deviation is the root of the mean squared deviation.")
def ratio_of_mean_sizes(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return _mix(guided, _mean(cond.abs()) / _mean(guided.abs()), rescale)


@RESCALED.mistake("The largest values are used. Take the standard deviations.")
def ratio_of_maxima(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return _mix(guided, cond.amax(PER_IMAGE, True) / guided.amax(PER_IMAGE, True), rescale)


@RESCALED.mistake("A rescale of 0.7 is written into the program. Use the argument `rescale`.")
def rescale_of_07(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return _mix(guided, _std(cond) / _std(guided), 0.7)


@RESCALED.mistake("The mean is replaced by that of cond. Equation 15 multiplies guided as it is.")
def mean_of_cond(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    moved = (guided - _mean(guided)) * _std(cond) / _std(guided) + _mean(cond)
    return rescale * moved + (1 - rescale) * guided


@RESCALED.mistake("The result is clamped to [-1, 1]. These are latents, which have no such range.")
def clamped(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return _mix(guided, _std(cond) / _std(guided), rescale).clamp(-1, 1)


@RESCALED.mistake("cond is returned: without any guidance.")
def cond_returned(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    return cond.clone()
