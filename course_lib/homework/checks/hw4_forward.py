"""Homework 4, the exercises of the forward process: what their checks compare with, and what people get wrong."""

import math

import torch
from torch import Tensor

from course_lib import diffusion
from course_lib.homework.checks.case import Case, Mistake
from course_lib.homework.checks.exercise import Draw, Exercise
from course_lib.schedule import Level


def says(text: str, draw: Draw) -> str:
    return f"{text}, {draw.dtype}".replace("torch.", "")


def table(draw: Draw, T: int) -> Tensor:
    """alphas_cumprod [T]: falls from about 0.97 to about 0.05, by uneven steps."""
    drops = draw.uniform(T, low=0.5, high=1.5).cpu().double()  # not every device has float64
    return draw.tensor(0.97 - 0.92 * (drops.cumsum(0) - drops[0]) / (drops.sum() - drops[0]))


def shaped(x: Tensor) -> Tensor:
    """[B] → [B, 1, 1, 1]."""
    return x.view(-1, 1, 1, 1)


def rates(t: Tensor, alphas_cumprod: Tensor) -> tuple[Tensor, Tensor]:
    cumulative = shaped(alphas_cumprod[t - 1])
    return cumulative.sqrt(), (1 - cumulative).sqrt()


# --- add_noise -----------------------------------------------------------------------------------------------------


def _add_noise(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    kept = [alphas_cumprod[int(step) - 1].item() for step in t]
    return torch.stack([math.sqrt(a) * x + math.sqrt(1 - a) * e for a, x, e in zip(kept, x0, eps, strict=True)])


def _add_noise_cases(draw: Draw) -> list[Case]:
    cases = []
    # The first holds steps at which a table read one entry too far still answers; the second has as many pictures as columns,
    # so that rates [B] broadcast over the wrong axis without a word, and goes up to T.
    for shape, steps, T in (((3, 4, 2, 5), (6, 1, 3), 8), ((3, 2, 4, 3), (1, 11, 5), 11)):
        what = f"x0, eps {list(shape)}, t {list(steps)}, alphas_cumprod [{T}]"
        given = (
            draw.normal(*shape, std=1.2, mean=0.5),
            torch.tensor(steps, device=draw.device),
            draw.normal(*shape),
            table(draw, T),
        )
        cases.append(Case(says(what, draw), given))
    return cases


def mixed(x0: Tensor, eps: Tensor, both: tuple[Tensor, Tensor]) -> Tensor:
    return both[0] * x0 + both[1] * eps


ADD_NOISE = Exercise(
    "add_noise", 2, 2, 15, _add_noise, _add_noise_cases,
    mistakes=(
        Mistake("The table is read one entry too late: entry 0 belongs to t = 1, so step t stands at index t - 1. With t = T this index would not even exist.",
                lambda x, t, e, a: mixed(x, e, rates(t + 1, a))),
        Mistake("The table is read one entry too late, and held inside its end: entry 0 belongs to t = 1, so step t stands at index t - 1.",
                lambda x, t, e, a: mixed(x, e, rates((t + 1).clamp(max=len(a)), a))),
        Mistake("Neither rate has its root: the table holds squares. alpha² is the entry, and sigma² is what it lacks to 1.",
                lambda x, t, e, a: shaped(a[t - 1]) * x + shaped(1 - a[t - 1]) * e),
        Mistake("sigma lacks its root: 1 - alphas_cumprod is the variance of the noise, sigma its standard deviation.",
                lambda x, t, e, a: shaped(a[t - 1]).sqrt() * x + shaped(1 - a[t - 1]) * e),
        Mistake("alpha lacks its root: the table holds alpha², the signal's share of the variance.",
                lambda x, t, e, a: shaped(a[t - 1]) * x + shaped(1 - a[t - 1]).sqrt() * e),
        Mistake("The table's entries were taken for alpha itself, and squared once more for sigma: they are alpha² already.",
                lambda x, t, e, a: shaped(a[t - 1]) * x + (1 - shaped(a[t - 1]) ** 2).sqrt() * e),
        Mistake("sigma is 1 - alpha. It is the squares that add up to 1: sigma² = 1 - alpha².",
                lambda x, t, e, a: shaped(a[t - 1]).sqrt() * x + (1 - shaped(a[t - 1]).sqrt()) * e),
        Mistake("alpha and sigma have changed places: at small t there should be hardly any noise.", lambda x, t, e, a: mixed(e, x, rates(t, a))),
        Mistake("The noise is missing: only the signal was turned down.", lambda x, t, e, a: rates(t, a)[0] * x),
        Mistake("The signal is not turned down: noise is only added. DDPM multiplies x0 by alpha, so that the variance stays 1.",
                lambda x, t, e, a: x + rates(t, a)[1] * e),
        Mistake("The noise is not turned down: eps has to be multiplied by sigma.", lambda x, t, e, a: rates(t, a)[0] * x + e),
        Mistake("All pictures got the level of the first one. t holds a step for each picture.", lambda x, t, e, a: mixed(x, e, rates(t[:1], a))),
        Mistake("The rates, one for each picture, were spread along the columns: [B] meets the last axis. Give them the shape [B, 1, 1, 1].",
                lambda x, t, e, a: a[t - 1].sqrt() * x + (1 - a[t - 1]).sqrt() * e),
        Mistake("The noise is subtracted. That is as random, but not the x_t that eps stands for.", lambda x, t, e, a: mixed(x, -e, rates(t, a))),
        Mistake("The table was multiplied up once more: alphas_cumprod is already the product of all (1 - beta) up to a step.",
                lambda x, t, e, a: mixed(x, e, rates(t, a.cumprod(0)))),
        Mistake("1 - table was multiplied up: that takes the entries for betas. alphas_cumprod is already the finished product.",
                lambda x, t, e, a: mixed(x, e, rates(t, (1 - a).cumprod(0)))),
    ),
)  # fmt: skip


# --- target --------------------------------------------------------------------------------------------------------

SHAPES = ((3, 4, 2, 5), (2, 1, 3, 6))


def _levels(draw: Draw, batch: int) -> tuple[Tensor, Tensor]:
    """alpha, sigma [batch, 1, 1, 1] with alpha² + sigma² = 1, neither near 0 nor alike."""
    angle = shaped(draw.uniform(batch, low=0.25, high=0.6).cpu().double())
    angle[0] += 0.7
    return draw.tensor(angle.cos()), draw.tensor(angle.sin())


def _target(kind: str, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    if kind == "v":  # x_t turns as its angle, atan(sigma / alpha), grows: v is its speed (Salimans & Ho 2022, appendix D)
        angle = torch.atan2(sigma, alpha)
        return torch.sin(angle + math.pi / 2) * eps + torch.cos(angle + math.pi / 2) * x0
    return {"eps": eps, "x0": x0}[kind].clone()


def _cases(draw: Draw, first: str, second: str, moments: tuple[dict, dict]) -> list[Case]:
    """A case for each shape and kind: two normal tensors of these names, means and spreads, and the rates of a level."""
    cases = []
    for shape in SHAPES:
        for kind in ("v", "eps", "x0"):
            given = (*(draw.normal(*shape, **m) for m in moments), *_levels(draw, shape[0]))
            told = f'kind "{kind}", {first}, {second} {list(shape)}, alpha, sigma [{shape[0]}, 1, 1, 1]'
            cases.append(Case(says(told, draw), (kind, *given)))
    return cases


def _target_cases(draw: Draw) -> list[Case]:
    return _cases(draw, "x0", "eps", ({"std": 1.2, "mean": 0.4}, {}))


def _kinds(**ways):
    """A function of (kind, …) that is right for every kind but those in ways."""
    return lambda kind, *given: ways[kind](*given) if kind in ways else _target(kind, *given)


TARGET = Exercise(
    "target", 2, 1, 10, _target, _target_cases, block=lambda kind, x0, eps, alpha, sigma: diffusion.target(kind, x0, eps, Level(0, alpha, sigma)),
    mistakes=(
        Mistake("The sign of v is turned round: it is alpha · eps minus sigma · x0.", _kinds(v=lambda x, e, a, s: s * x - a * e)),
        Mistake("In v the rates have changed places: alpha goes with eps and sigma with x0, the other way round than in x_t.",
                _kinds(v=lambda x, e, a, s: s * e - a * x)),
        Mistake("In v both the rates and the sign are turned round: this is alpha · x0 - sigma · eps. It is alpha · eps - sigma · x0.",
                _kinds(v=lambda x, e, a, s: a * x - s * e)),
        Mistake("In v the two parts are added; sigma · x0 is subtracted.", _kinds(v=lambda x, e, a, s: a * e + s * x)),
        Mistake("For v this returns x_t itself, alpha · x0 + sigma · eps. v is at a right angle to it: alpha · eps - sigma · x0.",
                _kinds(v=lambda x, e, a, s: a * x + s * e)),
        Mistake("This v is eps - x0, the velocity of rectified flow. Under a schedule that keeps the variance the rates belong to it: alpha · eps - sigma · x0.",
                _kinds(v=lambda x, e, a, s: e - x)),
        Mistake("v lacks alpha in front of eps.", _kinds(v=lambda x, e, a, s: e - s * x)),
        Mistake("v lacks sigma in front of x0.", _kinds(v=lambda x, e, a, s: a * e - x)),
        Mistake("v with squared rates: alpha and sigma are roots already, and go in as they are.", _kinds(v=lambda x, e, a, s: a**2 * e - s**2 * x)),
        Mistake("'eps' and 'x0' have changed places.", _kinds(eps=lambda x, e, a, s: x, x0=lambda x, e, a, s: e)),
        Mistake("For 'eps' the noise is multiplied by sigma. The unit noise itself is the target.", _kinds(eps=lambda x, e, a, s: s * e)),
        Mistake("For 'x0' the data is multiplied by alpha. The clean data itself is the target.", _kinds(x0=lambda x, e, a, s: a * x)),
        Mistake("For 'eps' this is the score, -eps / sigma. The unit noise itself is the target.", _kinds(eps=lambda x, e, a, s: -e / s)),
        *(Mistake(f'For "{kind}" nothing is returned. Each of the three kinds needs its own answer, and its name as it is written above.',
                  _kinds(**{kind: lambda *_: None})) for kind in ("v", "eps", "x0")),
        Mistake("Nothing is returned: the last line lacks `return`.", lambda *_: None),
        Mistake("The noise is returned whatever the kind: look at `kind`.", _kinds(v=lambda x, e, a, s: e, x0=lambda x, e, a, s: e)),
        Mistake("v is returned whatever the kind: look at `kind`.", lambda kind, *given: _target("v", *given)),
    ),
)  # fmt: skip


# --- to_x0 ---------------------------------------------------------------------------------------------------------


def _to_x0(kind: str, out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """x0 from the two linear equations that x_t and out are, for every picture, in float64."""
    rows = []
    for o, x, a, s in zip(*(v.cpu().double() for v in (out, x_t, alpha, sigma)), strict=True):
        second = {"eps": (0.0, 1.0), "x0": (1.0, 0.0), "v": (-s.item(), a.item())}[kind]
        system = torch.tensor([[a.item(), s.item()], second], dtype=torch.float64)
        rows.append(torch.linalg.solve(system, torch.stack([x.flatten(), o.flatten()]))[0].view_as(x))
    return torch.stack(rows).to(x_t)


def _to_x0_cases(draw: Draw) -> list[Case]:
    # What a network says need not fit x_t exactly, so `out` is drawn by itself.
    return _cases(draw, "out", "x_t", ({"std": 1.3, "mean": 0.3}, {"mean": 0.2}))


def _outs(**ways):
    return lambda kind, *given: ways[kind](*given) if kind in ways else _to_x0(kind, *given)


TO_X0 = Exercise(
    "to_x0", 3, 2, 15, _to_x0, _to_x0_cases, block=lambda kind, out, x_t, alpha, sigma: diffusion.to_x0(kind, out, x_t, Level(0, alpha, sigma)),
    mistakes=(
        Mistake("For 'eps' the division by alpha is missing: x_t - sigma · eps is alpha · x0, still turned down.", _outs(eps=lambda o, x, a, s: x - s * o)),
        Mistake("For 'eps' this divides by sigma: what is left after taking the noise away is alpha · x0.", _outs(eps=lambda o, x, a, s: (x - s * o) / s)),
        Mistake("For 'eps' this multiplies by alpha where it should divide.", _outs(eps=lambda o, x, a, s: (x - s * o) * a)),
        Mistake("For 'eps' the noise is added again: take it away from x_t.", _outs(eps=lambda o, x, a, s: (x + s * o) / a)),
        Mistake("For 'eps' sigma is missing: x_t holds sigma · eps, not eps.", _outs(eps=lambda o, x, a, s: (x - o) / a)),
        Mistake("For 'eps' this is v's formula, alpha · x_t - sigma · out. Solve x_t = alpha · x0 + sigma · eps for x0.", _outs(eps=lambda o, x, a, s: a * x - s * o)),
        Mistake("For 'eps' only x_t is divided by alpha: a pair of brackets is missing.", _outs(eps=lambda o, x, a, s: x / a - s * o)),
        Mistake("For 'v' the sign is wrong: sigma · v is taken away from alpha · x_t.", _outs(v=lambda o, x, a, s: a * x + s * o)),
        Mistake("For 'v' the whole sign is turned round.", _outs(v=lambda o, x, a, s: s * o - a * x)),
        Mistake("For 'v' the rates have changed places: alpha goes with x_t and sigma with v.", _outs(v=lambda o, x, a, s: s * x - a * o)),
        Mistake("For 'v' x_t and the output have changed places.", _outs(v=lambda o, x, a, s: a * o - s * x)),
        Mistake("For 'v' this is the formula of 'eps', (x_t - sigma · out) / alpha: the output is not the noise.", _outs(v=lambda o, x, a, s: (x - s * o) / a)),
        Mistake("For 'v' this divides by alpha once more: in alpha · x_t - sigma · v stands (alpha² + sigma²) · x0, and the bracket is 1.",
                _outs(v=lambda o, x, a, s: (a * x - s * o) / a)),
        Mistake("For 'v' alpha in front of x_t is missing.", _outs(v=lambda o, x, a, s: x - s * o)),
        Mistake("For 'v' this is the noise, sigma · x_t + alpha · v. The clean data is asked for.", _outs(v=lambda o, x, a, s: s * x + a * o)),
        Mistake("For 'x0' the output is treated as noise. Such a network says the clean data itself.", _outs(x0=lambda o, x, a, s: (x - s * o) / a)),
        Mistake("For 'x0' the output is divided by alpha. It is the clean data itself, nothing is left to do.", _outs(x0=lambda o, x, a, s: o / a)),
        Mistake("For 'x0' x_t is returned: the network's output is the clean data.", _outs(x0=lambda o, x, a, s: x)),
        Mistake("The result is held inside [-1, 1]. Pixels have that box, latents have none: leave x0 as it is.", lambda *given: _to_x0(*given).clamp(-1, 1)),
        Mistake("The formula of 'eps' is used whatever the kind: look at `kind`.",
                _outs(v=lambda o, x, a, s: (x - s * o) / a, x0=lambda o, x, a, s: (x - s * o) / a)),
    ),
)  # fmt: skip
