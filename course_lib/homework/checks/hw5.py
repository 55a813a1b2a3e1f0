"""Homework 5, guidance: what its checks compare with, and what people get wrong."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from course_lib.guidance import guide
from course_lib.homework.answers.standins import LogProb
from course_lib.homework.checks.case import Case, Mistake
from course_lib.homework.checks.exercise import Draw, Exercise, Homework, Written
from course_lib.schedule import Level


def _said(text: str, draw: Draw) -> str:
    return f"{text}, {draw.dtype}".replace("torch.", "")


# --- cfg -----------------------------------------------------------------------------------------------------------


def _cfg(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return torch.lerp(null, cond, scale)


def _cfg_block(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    return guide(lambda x, level: cond, lambda x, level: null, scale)(cond, Level(0, 1.0, 0.0))


def _cfg_cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in ((2, 4, 3, 5), (3, 1, 4, 4)):
        # The scales have one decimal: 1.0 and 0.5 belong to what is asked, and no drawn number hits them by chance.
        for name, scale in (("a scale between 2 and 5", draw.number(2.0, 5.0)), ("scale 1", 1.0), ("scale 0.5", 0.5)):
            cases.append(
                Case(
                    _said(f"cond, null {list(shape)}, {name}", draw), (draw.normal(*shape, mean=0.3), draw.normal(*shape), scale)
                )
            )
    return cases


def _some_channels(rest: Callable[[Tensor, Tensor], Tensor]) -> Callable:
    return lambda c, n, s: torch.cat([_cfg(c, n, s)[:, :3], rest(c, n)[:, 3:]], 1)


CFG = Exercise(
    "cfg", 2, 1, 5, _cfg, _cfg_cases, differentiable=True, block=_cfg_block,
    mistakes=(
        Mistake("Below scale 1 guidance is switched off. It is off at 1 alone: a half means half the way from null to cond.",
                lambda c, n, s: _cfg(c, n, s) if s > 1 else c),
        Mistake("Brackets are missing: scale · cond - null multiplies cond alone. The scale multiplies the difference, (cond - null), and null is where the walk begins.",
                lambda c, n, s: s * c - n),
        Mistake("The two predictions have changed places: this walks from cond towards null, so a large scale draws anything but what is asked for. Start at "
                "null and walk towards cond (and mind which half of a doubled batch is which).",
                lambda c, n, s: c + s * (n - c)),
        Mistake("This is off at scale 0: it is the paper's w, (1 + w) · cond - w · null. Here scale 1 must give cond itself.",
                lambda c, n, s: c + s * (c - n)),
        Mistake("The scale is lowered by 1 first, so that scale 1 gives null. It must give cond.", lambda c, n, s: n + (s - 1) * (c - n)),
        Mistake("The sign of the step is turned round: it walks from null away from cond.", lambda c, n, s: n - s * (c - n)),
        Mistake("Only the first three channels are guided, the others are cond's own. A picture has three channels, a latent four: guide them all.",
                _some_channels(lambda c, n: c)),
        Mistake("Only the first three channels are guided, the others are null's own. A picture has three channels, a latent four: guide them all.",
                _some_channels(lambda c, n: n)),
        Mistake("This is only the step, scale · (cond - null). It has to start somewhere: at scale 1 the result is cond.", lambda c, n, s: s * (c - n)),
        Mistake("null is added whole: at scale 1 the result must be cond, without any null.", lambda c, n, s: n + s * c),
        Mistake("The scale does nothing: this is cond, as if there were no guidance.", lambda c, n, s: 0 * n + c),
        Mistake("cond is only multiplied by the scale, and null plays no part.", lambda c, n, s: s * c + 0 * n),
        Mistake("One sign is wrong: scale · cond + (scale - 1) · null. The two weights must add up to 1.", lambda c, n, s: s * c + (s - 1) * n),
        Mistake("The result is clamped to [-1, 1]. These are latents: nothing holds them in that range.", lambda c, n, s: _cfg(c, n, s).clamp(-1, 1)),
    ),
)  # fmt: skip


# --- to_guidance_scale ---------------------------------------------------------------------------------------------

OURS = ("imagen", "glide")  # 1 is off
PAPER = "ho-salimans"  # 0 is off


def _to_scale(value: float, convention: str) -> float:
    """Both forms are lines in the value: where guidance is off (the result is cond), and one more than that."""
    off = 0.0 if convention == PAPER else 1.0
    return float(np.interp(value, [off - 1000, off + 1000], [-999, 1001]))


def _to_scale_cases(draw: Draw) -> list[Case]:
    cases = [Case(f'value between 1.5 and 8, "{name}"', (draw.number(1.5, 8.0), name)) for name in (PAPER, *OURS)]
    return cases + [Case(f'value {value:g}, "{name}"', (value, name)) for name in (PAPER, *OURS) for value in (0.0, 0.25, 1.0)]


def _silent_for(name: str) -> Callable:
    return lambda v, c: None if c == name else _to_scale(v, c)


TO_SCALE = Exercise(
    "to_guidance_scale", 2, 2, 10, _to_scale, _to_scale_cases,
    mistakes=(
        Mistake('"imagen" is taken for off at 0. Put 1 into its formula: only cond is left, as with our scale 1.', lambda v, c: v if c == "glide" else 1 + v),
        Mistake('"glide" is taken for off at 0. Put 1 into its formula: only cond is left, as with our scale 1.', lambda v, c: v if c == "imagen" else 1 + v),
        *(Mistake(f'For "{name}" nothing is returned. Each of the three names needs its own answer.', _silent_for(name)) for name in (PAPER, *OURS)),
        Mistake("Nothing is returned: the last line lacks `return`.", lambda v, c: None),
        Mistake('"ho-salimans" goes the wrong way: value - 1 leads from our scale to their w. At w = 0 only cond is left, and that is our scale 1.',
                lambda v, c: v - 1 if c == PAPER else v),
        Mistake("The value is handed back as it is for every convention. Which value switches guidance off in each of them?", lambda v, c: v),
        Mistake("1 is added for every convention. Put 1 into Imagen's formula: what is left?", lambda v, c: 1 + v),
        Mistake("1 is taken away for every convention.", lambda v, c: v - 1),
        Mistake('Imagen\'s and GLIDE\'s values are converted, and that of "ho-salimans" is not: it is the other way round.', lambda v, c: v if c == PAPER else 1 + v),
        Mistake('"ho-salimans" has a wrong sign: the weight of cond is 1 + w, not 1 - w.', lambda v, c: 1 - v if c == PAPER else v),
        Mistake("It is rounded to a whole number. Scales such as 1.5 are the most useful ones.", lambda v, c: int(_to_scale(v, c))),
        Mistake("It never falls below 1. Less than 1 is a scale as well: between null and cond.", lambda v, c: max(1.0, _to_scale(v, c))),
        Mistake('"ho-salimans" is multiplied: the weight of cond is 1 + w.', lambda v, c: 2 * v if c == PAPER else v),
    ),
)  # fmt: skip


# --- classifier_guided ---------------------------------------------------------------------------------------------


def _classifier_guided(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: LogProb, scale: float) -> Tensor:
    """The gradient of the stand-in's parabola in closed form."""
    return x0_hat + scale * sigma**2 / alpha * _pull(log_prob, x_t)


def _pull(log_prob: LogProb, x: Tensor) -> Tensor:
    return (log_prob.centre - x) / log_prob.width**2


def _asking(x: Tensor) -> Tensor:
    return x.detach().requires_grad_()


def _classifier_block(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob: Callable, scale: float) -> Tensor:
    with torch.enable_grad():
        x = _asking(x_t)
        (gradient,) = torch.autograd.grad(log_prob(x).sum(), x)
    return x0_hat + scale * sigma**2 / alpha * gradient


def _classifier_cases(draw: Draw) -> list[Case]:
    cases = []
    for shape, low, high in (((3, 2, 4, 3), 0.3, 0.5), ((2, 1, 3, 5), 0.75, 0.9)):
        alpha = draw.number(low, high)
        # So wide a parabola that the probability itself is no tiny number: its gradient is one of the mistakes.
        log_prob = LogProb(draw.normal(*shape[1:]), draw.number(3.0, 4.0))
        what = f"x_t, x0_hat {list(shape)}, alpha between {low} and {high}, sigma = √(1 - alpha²), a parabola as log p, a scale between 2 and 4"
        given = (
            draw.normal(*shape),
            draw.normal(*shape, mean=0.5),
            alpha,
            math.sqrt(1 - alpha**2),
            log_prob,
            draw.number(2.0, 4.0),
        )
        cases.append(Case(_said(what, draw), given))
    return cases


CLASSIFIER = Exercise(
    "classifier_guided", 4, 3, 15, _classifier_guided, _classifier_cases, block=_classifier_block,
    mistakes=(
        Mistake("A gradient is taken of one number, and log_prob gives one for each picture: add them up first, .sum(). A picture's own gradient stays its own.",
                lambda x, x0, a, s, p, w: torch.autograd.grad(p(_asking(x)), _asking(x))),
        Mistake("Autograd was not told that x is of interest: x = x_t.detach().requires_grad_() before log_prob(x).",
                lambda x, x0, a, s, p, w: torch.autograd.grad(p(x).sum(), x)),
        Mistake("log_prob was computed from another tensor than the one whose gradient is asked for. Make x, then log_prob(x), then the gradient at this same x.",
                lambda x, x0, a, s, p, w: torch.autograd.grad(p(_asking(x)).sum(), _asking(x))),
        Mistake("sigma stands where sigma² belongs: the factor before the gradient is sigma² / alpha.", lambda x, x0, a, s, p, w: x0 + w * s / a * _pull(p, x)),
        Mistake("The step is not divided by alpha. sigma² · gradient moves alpha · x0, which is what x_t holds; x0_hat itself moves 1 / alpha times as far.",
                lambda x, x0, a, s, p, w: x0 + w * s**2 * _pull(p, x)),
        Mistake("It is multiplied by alpha where it must be divided.", lambda x, x0, a, s, p, w: x0 + w * s**2 * a * _pull(p, x)),
        Mistake("It is divided by alpha², but one alpha is right: the factor is sigma² / alpha.", lambda x, x0, a, s, p, w: x0 + w * (s / a) ** 2 * _pull(p, x)),
        Mistake("The factor sigma² / alpha is missing: the bare gradient is a score, not a move of x0_hat.", lambda x, x0, a, s, p, w: x0 + w * _pull(p, x)),
        Mistake("The sign is turned round: log p must rise, so x0_hat moves along its gradient.", lambda x, x0, a, s, p, w: _classifier_guided(x, x0, a, s, p, -w)),
        Mistake("It is x0_hat - sigma · gradient: that is how the predicted noise moves (Dhariwal & Nichol, algorithm 2). x0_hat moves by + sigma² / alpha.",
                lambda x, x0, a, s, p, w: x0 - w * s * _pull(p, x)),
        Mistake("The gradient is that of the mean over the batch, too small by the number of pictures: a picture's step would depend on who else is in "
                "the batch. Take the gradient of the sum.",
                lambda x, x0, a, s, p, w: _classifier_guided(x, x0, a, s, p, w / len(x))),
        Mistake("The gradient is taken at x0_hat. This classifier reads noisy pictures: take it at x_t.",
                lambda x, x0, a, s, p, w: x0 + w * s**2 / a * _pull(p, x0)),
        Mistake("This is the gradient of the probability itself. Bayes' rule wants that of its logarithm: log_prob gives it already, no exp.",
                lambda x, x0, a, s, p, w: x0 + w * s**2 / a * _pull(p, x) * p(x).exp().view(-1, 1, 1, 1)),
        Mistake("This is the step alone: x0_hat plus the step is asked for.", lambda x, x0, a, s, p, w: w * s**2 / a * _pull(p, x)),
        Mistake("The step is added to x_t. It belongs to x0_hat, the clean picture that the sampler goes on with.",
                lambda x, x0, a, s, p, w: x + w * s**2 / a * _pull(p, x)),
        Mistake("The scale is missing.", lambda x, x0, a, s, p, w: _classifier_guided(x, x0, a, s, p, 1.0)),
        Mistake("1 is taken from the scale. In this convention 0 is off and 1 is Bayes' rule: it multiplies the gradient as it is.",
                lambda x, x0, a, s, p, w: _classifier_guided(x, x0, a, s, p, w - 1)),
        Mistake("Nothing was guided: this is x0_hat as it came in.", lambda x, x0, a, s, p, w: x0.clone()),
        Mistake("The gradient is brought to length 1 for each picture. How long it is matters: that is how sure the classifier is.",
                lambda x, x0, a, s, p, w: x0 + w * s**2 / a * _pull(p, x) / _pull(p, x).flatten(1).norm(dim=1).view(-1, 1, 1, 1)),
    ),
)  # fmt: skip


# --- interval_scale ------------------------------------------------------------------------------------------------


def _interval_scale(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    """np.digitize with right=True counts the edges that lie below a value: 1 of (lo, hi] is inside."""
    return scale if np.digitize(sigma / alpha, [lo, hi], right=True) == 1 else 1.0


def _interval_cases(draw: Draw) -> list[Case]:
    """Quarters and sixteenths, so that no way of writing the comparison rounds; one of two intervals of noise over signal."""
    lo, hi = ((0.5, 3.0), (0.75, 2.5))[draw.whole(0, 2)]
    scale = draw.number(2.0, 6.0)
    at = {
        "below lo": (0.875, 0.4375 * 0.875), "exactly on lo": (0.5, 0.5 * lo), "inside": (0.375, 0.375), "inside, with more noise": (0.375, 2.25 * 0.375),
        "exactly on hi": (0.25, 0.25 * hi), "above hi": (0.25, 0.96875), "far above hi": (0.0625, 0.9375),
    }  # fmt: skip
    return [
        Case(f"a scale between 2 and 6, sigma / alpha {where}", (scale, alpha, sigma, lo, hi))
        for where, (alpha, sigma) in at.items()
    ]


def _where(inside: Callable[[float, float, float, float], bool], outside: float = 1.0) -> Callable:
    return lambda w, a, s, lo, hi: w if inside(a, s, lo, hi) else outside


def _in(a: float, s: float, lo: float, hi: float) -> bool:
    return lo < s / a <= hi


INTERVAL = Exercise(
    "interval_scale", 2, 2, 10, _interval_scale, _interval_cases,
    mistakes=(
        Mistake("lo itself lies outside the interval (lo, hi]: at sigma / alpha = lo there is no guidance.", _where(lambda a, s, lo, hi: lo <= s / a <= hi)),
        Mistake("hi itself belongs to the interval (lo, hi]: at sigma / alpha = hi there is guidance.", _where(lambda a, s, lo, hi: lo < s / a < hi)),
        Mistake("The ends have changed places: lo itself lies outside, hi itself inside, (lo, hi].", _where(lambda a, s, lo, hi: lo <= s / a < hi)),
        Mistake("The upper end is not looked at: above hi there is no guidance.", _where(lambda a, s, lo, hi: lo < s / a)),
        Mistake("The lower end is not looked at: at lo and below there is no guidance.", _where(lambda a, s, lo, hi: s / a <= hi)),
        Mistake("The squares are compared, sigma² / alpha². lo and hi are bounds of sigma / alpha.", _where(lambda a, s, lo, hi: lo < (s / a) ** 2 <= hi)),
        Mistake("sigma itself is compared. lo and hi are noise over signal, sigma / alpha, and may be above 1.", _where(lambda a, s, lo, hi: lo < s <= hi)),
        Mistake("alpha / sigma is compared: noise over signal is sigma / alpha.", _where(lambda a, s, lo, hi: lo < a / s <= hi)),
        Mistake("alpha is compared. lo and hi are bounds of noise over signal, sigma / alpha.", _where(lambda a, s, lo, hi: lo < a <= hi)),
        Mistake("Outside it gives 0, which is the unconditional model. No guidance is 1.", _where(_in, 0.0)),
        Mistake("There is guidance everywhere: the level is not looked at.", lambda w, a, s, lo, hi: w),
        Mistake("It is turned inside out: guided outside the interval, and not inside.", _where(lambda a, s, lo, hi: not _in(a, s, lo, hi))),
        Mistake("It tells whether the level lies inside. The scale for this level is asked for: `scale`, or 1.", lambda w, a, s, lo, hi: _in(a, s, lo, hi)),
        Mistake("Outside the interval nothing is returned: `else` 1.", lambda w, a, s, lo, hi: w if _in(a, s, lo, hi) else None),
        Mistake("Inside, 1 is added to the scale. It is in our convention already: 1 is off.", lambda w, a, s, lo, hi: 1 + w if _in(a, s, lo, hi) else 1.0),
    ),
)  # fmt: skip


# --- rescaled ------------------------------------------------------------------------------------------------------


def _rescaled(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    """Picture by picture, in numpy's double precision."""
    pictures = []
    for g, c in zip(guided.double().cpu().numpy(), cond.double().cpu().numpy(), strict=True):
        pictures.append(rescale * (g * np.std(c) / np.std(g)) + (1 - rescale) * g)
    return torch.from_numpy(np.stack(pictures)).to(guided)


def _rescaled_block(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    """The workbook's `guide` at scale 2: it guides from 2 · cond - guided, and lands on guided."""
    return guide(lambda x, level: cond, lambda x, level: 2 * cond - guided, 2.0, rescale)(cond, Level(0, 1.0, 0.0))


def _rescaled_cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in ((3, 4, 2, 5), (2, 1, 6, 4)):
        # Pictures differ in contrast, channels in brightness: so it shows what is measured over which axes.
        spread = draw.tensor([1.5, 3.0, 2.2])[: shape[0]].view(-1, 1, 1, 1)
        bright = draw.tensor([0.8, -0.5, 1.6, 0.1])[: shape[1]].view(1, -1, 1, 1)
        guided, cond = (spread * (draw.normal(*shape) + bright), draw.normal(*shape, std=0.8) + bright * 0.7)
        for name, rescale in (("a rescale between 0.6 and 0.8", draw.number(0.6, 0.8)), ("rescale 0", 0.0), ("rescale 1", 1.0)):
            cases.append(Case(_said(f"guided, cond {list(shape)}, {name}", draw), (guided, cond, rescale)))
    return cases


def _std(x: Tensor, *axes: int) -> Tensor:
    return x.std(dim=axes or (1, 2, 3), keepdim=True)


def _mixed(guided: Tensor, factor: Tensor, rescale: float) -> Tensor:
    return rescale * (guided * factor) + (1 - rescale) * guided


RESCALED = Exercise(
    "rescaled", 3, 3, 10, _rescaled, _rescaled_cases, block=_rescaled_block,
    mistakes=(
        Mistake("One standard deviation is taken over the whole batch. Each picture has its own: keep axis 0.",
                lambda g, c, r: _mixed(g, c.std() / g.std(), r)),
        Mistake("Each channel has its own standard deviation here, which changes colours. Take one over C, H and W together.",
                lambda g, c, r: _mixed(g, _std(c, 2, 3) / _std(g, 2, 3), r)),
        Mistake("The standard deviation runs over the batch, axis 0. Take it within each picture, over C, H and W.",
                lambda g, c, r: _mixed(g, _std(c, 0) / _std(g, 0), r)),
        Mistake("The standard deviation runs over the channels alone. Take it over C, H and W together.",
                lambda g, c, r: _mixed(g, c.std(1, correction=0, keepdim=True) / g.std(1, correction=0, keepdim=True), r)),
        Mistake("The ratio of the variances was taken: it is that of the standard deviations.", lambda g, c, r: _mixed(g, (_std(c) / _std(g)) ** 2, r)),
        Mistake("The ratio is upside down: it makes too strong a contrast stronger. std(cond) / std(guided).", lambda g, c, r: _mixed(g, _std(g) / _std(c), r)),
        Mistake("The two are mixed the wrong way round: rescale 0 must leave guided as it is.", lambda g, c, r: _mixed(g, _std(c) / _std(g), 1 - r)),
        Mistake("rescale plays no part: the whole correction is made, always.", lambda g, c, r: _mixed(g, _std(c) / _std(g), 1.0)),
        Mistake("The mean was taken away before scaling and put back after it. Equation 15 multiplies guided as it is.",
                lambda g, c, r: _mixed(g - g.mean((1, 2, 3), keepdim=True), _std(c) / _std(g), r) + g.mean((1, 2, 3), keepdim=True)),
        Mistake("The mean was taken away and not put back: the picture loses its brightness.",
                lambda g, c, r: r * (g - g.mean((1, 2, 3), keepdim=True)) * _std(c) / _std(g) + (1 - r) * g),
        Mistake("The root mean square (or the norm) was taken: a standard deviation is about the mean.",
                lambda g, c, r: _mixed(g, (c.square().mean((1, 2, 3), keepdim=True) / g.square().mean((1, 2, 3), keepdim=True)).sqrt(), r)),
        Mistake("The mixing is with cond itself: equation 16 mixes the rescaled guided with guided.", lambda g, c, r: r * g * _std(c) / _std(g) + (1 - r) * c),
        Mistake("It is cond that was rescaled. Bring guided to cond's contrast.", lambda g, c, r: _mixed(c, _std(g) / _std(c), r)),
        Mistake("The contrast is brought to 1: it must be brought to cond's.", lambda g, c, r: _mixed(g, 1 / _std(g), r)),
        Mistake("Nothing was rescaled: this is guided as it came in.", lambda g, c, r: g.clone()),
        Mistake("guided is moved by the difference of the standard deviations. It is multiplied by their ratio.", lambda g, c, r: g + r * (_std(c) - _std(g))),
    ),
)  # fmt: skip


# --- frontier ------------------------------------------------------------------------------------------------------


def _frontier(distance: Tensor, agreement: Tensor) -> Tensor:
    """By definition, one pair of runs at a time."""
    runs = list(zip(distance.tolist(), agreement.tolist(), strict=True))

    def beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
        return one != other and one[0] <= other[0] and one[1] >= other[1]

    return torch.tensor([not any(beats(other, run) for other in runs) for run in runs], device=distance.device)


#: Distance and agreement: strictly beaten runs, ties in one of the two, twins on the frontier and off it. The last three of the first
#: stay last: there the worse one of equal distance comes first, on which a sweep by distance alone stumbles.
RUNS = (
    ((4.0, 0.9), (1.5, 0.1), (6.0, 0.9), (1.0, 0.2), (5.0, 0.6), (3.0, 0.5), (5.0, 0.6), (2.0, 0.4), (2.0, 0.5), (2.0, 0.5)),
    ((3.0, 0.3), (2.0, 0.2), (1.0, 0.8), (2.0, 0.7), (4.0, 0.75), (1.0, 0.8)),
    ((3.0, 0.6), (1.0, 0.2), (4.0, 0.9), (2.0, 0.5)),
)
KEEP_LAST = (3, 0, 0)
WHAT = ("10 runs, with ties and twins", "6 runs, two of them alike and better than all others", "4 runs, each good at something")


def _frontier_cases(draw: Draw) -> list[Case]:
    cases = []
    for runs, last, what in zip(RUNS, KEEP_LAST, WHAT, strict=True):
        free = len(runs) - last
        order = [*torch.randperm(free, generator=draw.generator).tolist(), *range(free, len(runs))]
        distance, agreement = draw.tensor([runs[i] for i in order]).T.contiguous()
        distance, agreement = draw.number(2.0, 9.0) * distance, draw.number(0.6, 1.0) * agreement
        cases.append(Case(_said(f"distance, agreement [{len(runs)}]: {what}", draw), (distance, agreement)))
    return cases


def _beaten(d: Tensor, a: Tensor, beats: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> Tensor:
    """Which runs are not beaten by another, beats(their distance and agreement, the other's) over all pairs but a run and itself."""
    pairs = beats(d[:, None], a[:, None], d[None], a[None])
    return ~(pairs & ~torch.eye(len(d), dtype=torch.bool, device=d.device)).any(1)


def _first_of_twins(d: Tensor, a: Tensor) -> Tensor:
    twin = (d[:, None] == d[None]) & (a[:, None] == a[None])
    return _frontier(d, a) & ~twin.tril(-1).any(1)


def _swept(d: Tensor, a: Tensor) -> Tensor:
    """From the least distance on, in the order given where it is equal: those that agree more than all before."""
    kept, most = torch.zeros_like(d, dtype=torch.bool), -math.inf
    for i in d.argsort(stable=True).tolist():
        kept[i] = a[i] > most
        most = max(most, a[i].item())
    return kept


FRONTIER = Exercise(
    "frontier", 4, 4, 20, _frontier, _frontier_cases,
    mistakes=(
        Mistake("The distance is read the wrong way round: low is good.", lambda d, a: _frontier(-d, a)),
        Mistake("The agreement is read the wrong way round: high is good.", lambda d, a: _frontier(d, -a)),
        Mistake("Both are read the wrong way round, or the table of comparisons was asked along the wrong axis: this is the frontier of the worst runs.", lambda d, a: _frontier(-d, -a)),
        Mistake("The mask is turned round: it tells which runs are dominated.", lambda d, a: ~_frontier(d, a)),
        Mistake("A run is kept unless another is better in both. Equal in one and better in the other is enough to dominate.",
                lambda d, a: _beaten(d, a, lambda d, a, e, b: (e < d) & (b > a))),
        Mistake("Two equal runs throw each other out. To dominate, a run must also be better in at least one of the two.",
                lambda d, a: _beaten(d, a, lambda d, a, e, b: (e <= d) & (b >= a))),
        Mistake("Better in one of the two is not enough to dominate: it must not be worse in the other.",
                lambda d, a: _beaten(d, a, lambda d, a, e, b: (e < d) | (b > a))),
        Mistake("Every run is thrown out by itself: it is as good as itself in both. To dominate, a run must also be better in at least one of the two.",
                lambda d, a: torch.zeros_like(d, dtype=torch.bool)),
        Mistake("Of two equal runs only the first is kept. Neither is better than the other in anything, so neither is dominated.", _first_of_twins),
        Mistake("In a sweep from the least distance on, ties go wrong: of runs at the same distance the one that agrees most must come first, and its twins stay.",
                _swept),
        Mistake("Only the run with the least distance is kept. A run with more of it stays if its agreement is higher than that of all nearer ones.",
                lambda d, a: d == d.min()),
        Mistake("Only the run with the highest agreement is kept. One with less of it stays if it is nearer than all that agree more.", lambda d, a: a == a.max()),
        Mistake("Only the best run in each of the two is kept: the frontier also holds what lies between them.", lambda d, a: (d == d.min()) | (a == a.max())),
        Mistake("The mask is in the order of rising distance. It must be in the order in which the runs were given.",
                lambda d, a: _frontier(d, a)[d.argsort(stable=True)]),
        Mistake("These are the places of the runs. A mask is asked for: True or False for each run.", lambda d, a: _frontier(d, a).nonzero()[:, 0]),
        Mistake("The mask holds numbers 0 and 1. It must be bool, so that it can pick runs: distance[mask].", lambda d, a: _frontier(d, a).to(d)),
        Mistake("The distances of the frontier's runs are returned. A mask is asked for: True or False for each run.", lambda d, a: d[_frontier(d, a)]),
    ),
)  # fmt: skip

hw5 = Homework("hw5", "Guidance", CFG, TO_SCALE, CLASSIFIER, INTERVAL, RESCALED, FRONTIER, Written("choice", 3, 3, 15))
