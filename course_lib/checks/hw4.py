"""Homework 4, latent DDPM: what its checks compare with, and what people get wrong."""

import math

import torch
from torch import Tensor

from course_lib import diffusion
from course_lib.checks.exercise import Draw, Exercise, Homework, Written
from course_lib.checks.verdict import Case, Mistake
from course_lib.grading.standins import Net
from course_lib.schedule import Level


def _says(text: str, draw: Draw) -> str:
    return f"{text}, {draw.dtype}".replace("torch.", "")


def _table(draw: Draw, T: int) -> Tensor:
    """alphas_cumprod [T]: falls from about 0.97 to about 0.05, by uneven steps."""
    drops = draw.uniform(T, low=0.5, high=1.5).double()
    return draw.tensor(0.97 - 0.92 * (drops.cumsum(0) - drops[0]) / (drops.sum() - drops[0]))


def _shaped(x: Tensor) -> Tensor:
    """[B] → [B, 1, 1, 1]."""
    return x.view(-1, 1, 1, 1)


def _rates(t: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    cumulative = _shaped(table[t - 1])
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
        given = (draw.normal(*shape, std=1.2, mean=0.5), torch.tensor(steps, device=draw.device), draw.normal(*shape), _table(draw, T))
        cases.append(Case(_says(what, draw), given))
    return cases


def _mixed(x0: Tensor, eps: Tensor, rates: tuple[Tensor, Tensor]) -> Tensor:
    return rates[0] * x0 + rates[1] * eps


ADD_NOISE = Exercise(
    "add_noise", 2, 2, 15, _add_noise, _add_noise_cases,
    mistakes=(
        Mistake("The table is read one entry too late: entry 0 belongs to t = 1, so step t stands at index t - 1. With t = T this index would not even exist.",
                lambda x, t, e, a: _mixed(x, e, _rates(t + 1, a))),
        Mistake("The table is read one entry too late, and held inside its end: entry 0 belongs to t = 1, so step t stands at index t - 1.",
                lambda x, t, e, a: _mixed(x, e, _rates((t + 1).clamp(max=len(a)), a))),
        Mistake("Neither rate has its root: the table holds squares. alpha² is the entry, and sigma² is what it lacks to 1.",
                lambda x, t, e, a: _shaped(a[t - 1]) * x + _shaped(1 - a[t - 1]) * e),
        Mistake("sigma lacks its root: 1 - alphas_cumprod is the variance of the noise, sigma its standard deviation.",
                lambda x, t, e, a: _shaped(a[t - 1]).sqrt() * x + _shaped(1 - a[t - 1]) * e),
        Mistake("alpha lacks its root: the table holds alpha², the signal's share of the variance.",
                lambda x, t, e, a: _shaped(a[t - 1]) * x + _shaped(1 - a[t - 1]).sqrt() * e),
        Mistake("The table's entries were taken for alpha itself, and squared once more for sigma: they are alpha² already.",
                lambda x, t, e, a: _shaped(a[t - 1]) * x + (1 - _shaped(a[t - 1]) ** 2).sqrt() * e),
        Mistake("sigma is 1 - alpha. It is the squares that add up to 1: sigma² = 1 - alpha².",
                lambda x, t, e, a: _shaped(a[t - 1]).sqrt() * x + (1 - _shaped(a[t - 1]).sqrt()) * e),
        Mistake("alpha and sigma have changed places: at small t there should be hardly any noise.", lambda x, t, e, a: _mixed(e, x, _rates(t, a))),
        Mistake("The noise is missing: only the signal was turned down.", lambda x, t, e, a: _rates(t, a)[0] * x),
        Mistake("The signal is not turned down: noise is only added. DDPM multiplies x0 by alpha, so that the variance stays 1.",
                lambda x, t, e, a: x + _rates(t, a)[1] * e),
        Mistake("The noise is not turned down: eps has to be multiplied by sigma.", lambda x, t, e, a: _rates(t, a)[0] * x + e),
        Mistake("All pictures got the level of the first one. t holds a step for each picture.", lambda x, t, e, a: _mixed(x, e, _rates(t[:1], a))),
        Mistake("The rates, one for each picture, were spread along the columns: [B] meets the last axis. Give them the shape [B, 1, 1, 1].",
                lambda x, t, e, a: a[t - 1].sqrt() * x + (1 - a[t - 1]).sqrt() * e),
        Mistake("The noise is subtracted. That is as random, but not the x_t that eps stands for.", lambda x, t, e, a: _mixed(x, -e, _rates(t, a))),
        Mistake("The table was multiplied up once more: alphas_cumprod is already the product of all (1 - beta) up to a step.",
                lambda x, t, e, a: _mixed(x, e, _rates(t, a.cumprod(0)))),
        Mistake("1 - table was multiplied up: that takes the entries for betas. alphas_cumprod is already the finished product.",
                lambda x, t, e, a: _mixed(x, e, _rates(t, (1 - a).cumprod(0)))),
    ),
)  # fmt: skip


# --- target --------------------------------------------------------------------------------------------------------

SHAPES = ((3, 4, 2, 5), (2, 1, 3, 6))


def _levels(draw: Draw, batch: int) -> tuple[Tensor, Tensor]:
    """alpha, sigma [batch, 1, 1, 1] with alpha² + sigma² = 1, neither near 0 nor alike."""
    angle = _shaped(draw.uniform(batch, low=0.25, high=0.6).double())
    angle[0] += 0.7
    return draw.tensor(angle.cos()), draw.tensor(angle.sin())


def _target(kind: str, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    if kind == "v":  # x_t turns as its angle, atan(sigma / alpha), grows: v is its speed (Salimans & Ho 2022, appendix D)
        angle = torch.atan2(sigma, alpha)
        return torch.sin(angle + math.pi / 2) * eps + torch.cos(angle + math.pi / 2) * x0
    return {"eps": eps, "x0": x0}[kind].clone()


def _target_cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in SHAPES:
        for kind in ("v", "eps", "x0"):
            given = (draw.normal(*shape, std=1.2, mean=0.4), draw.normal(*shape), *_levels(draw, shape[0]))
            cases.append(Case(_says(f'kind "{kind}", x0, eps {list(shape)}, alpha, sigma [{shape[0]}, 1, 1, 1]', draw), (kind, *given)))
    return cases


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
        Mistake("The noise is returned whatever the kind: look at `kind`.", _kinds(v=lambda x, e, a, s: e, x0=lambda x, e, a, s: e)),
        Mistake("v is returned whatever the kind: look at `kind`.", lambda kind, *given: _target("v", *given)),
    ),
)  # fmt: skip


# --- to_x0 ---------------------------------------------------------------------------------------------------------


def _to_x0(kind: str, out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """x0 from the two linear equations that x_t and out are, for every picture, in float64."""
    rows = []
    for o, x, a, s in zip(*(v.double().cpu() for v in (out, x_t, alpha, sigma)), strict=True):
        second = {"eps": (0.0, 1.0), "x0": (1.0, 0.0), "v": (-s.item(), a.item())}[kind]
        system = torch.tensor([[a.item(), s.item()], second], dtype=torch.float64)
        rows.append(torch.linalg.solve(system, torch.stack([x.flatten(), o.flatten()]))[0].view_as(x))
    return torch.stack(rows).to(x_t)


def _to_x0_cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in SHAPES:
        for kind in ("v", "eps", "x0"):
            # What a network says need not fit x_t exactly, so `out` is drawn by itself.
            given = (draw.normal(*shape, std=1.3, mean=0.3), draw.normal(*shape, mean=0.2), *_levels(draw, shape[0]))
            cases.append(Case(_says(f'kind "{kind}", out, x_t {list(shape)}, alpha, sigma [{shape[0]}, 1, 1, 1]', draw), (kind, *given)))
    return cases


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


# --- ddim_step -----------------------------------------------------------------------------------------------------


def _ddim_step(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, alpha_next: float, sigma_next: float, eta: float, noise: Tensor) -> Tensor:
    """Song et al. 2021, eq. 12 and 16, in the paper's own symbols: its alphas are cumulative products."""
    now, then = alpha**2, alpha_next**2
    fresh = eta * math.sqrt((1 - then) / (1 - now)) * math.sqrt(1 - now / then)
    eps = (x_t - math.sqrt(now) * x0_hat) / math.sqrt(1 - now)
    return math.sqrt(then) * x0_hat + math.sqrt(max(1 - then - fresh**2, 0.0)) * eps + fresh * noise


def _ddim_step_cases(draw: Draw) -> list[Case]:
    cases = []
    for shape, last in (((3, 4, 2, 5), False), ((2, 1, 3, 6), False), ((2, 1, 3, 6), True)):
        angle = draw.number(1.0, 1.15)  # sigma between 0.84 and 0.91, then 0.64 to 0.72; or the last step, to clean data
        there = 0.0 if last else draw.number(0.7, 0.8)
        rates = (math.cos(angle), math.sin(angle), math.cos(there), math.sin(there))
        x_t, x0_hat, noise = draw.normal(*shape), draw.normal(*shape, std=1.2, mean=0.3), draw.normal(*shape)
        for eta in (1.0,) if last else (0.0, 0.5, 1.0):
            step = "the last step, to alpha_next = 1 and sigma_next = 0" if last else "four rates as floats"
            cases.append(Case(_says(f"x_t, x0_hat, noise {list(shape)}, {step}, eta = {eta:g}", draw), (x_t, x0_hat, *rates, eta, noise)))
    return cases


def _fresh(a: float, s: float, a2: float, s2: float, eta: float) -> float:
    """Eq. 16: the standard deviation of the fresh noise."""
    return eta * s2 / s * math.sqrt(1 - (a / a2) ** 2)


def _walk(x0=None, eps=None, direction=None, fresh=None):
    """A step that is right but for the parts that are given, each a function of what it may need."""

    def step(x: Tensor, clean: Tensor, a: float, s: float, a2: float, s2: float, eta: float, noise: Tensor) -> Tensor:
        f = (fresh or _fresh)(a, s, a2, s2, eta)
        kept = direction(s2, f, s) if direction else math.sqrt(max(s2**2 - f**2, 0.0))
        old = eps(x, clean, a, s, a2, s2) if eps else (x - a * clean) / s
        return (x0(clean, a, a2) if x0 else a2 * clean) + kept * old + f * noise

    return step


def _of_a_float(*_: object) -> Tensor:
    return torch.sqrt(1.0)


DDIM_STEP = Exercise(
    "ddim_step", 4, 4, 25, _ddim_step, _ddim_step_cases,
    mistakes=(
        Mistake("The direction term lacks eta: with fresh noise coming in, less of the old may stay, sqrt(sigma_next² - fresh²). Else there is more noise "
                "than the level allows.", _walk(direction=lambda s2, f, s: s2)),
        Mistake("x0_hat is multiplied by alpha, the level that is left. It goes in with alpha_next.", _walk(x0=lambda c, a, a2: a * c)),
        Mistake("x0_hat is not multiplied by alpha_next.", _walk(x0=lambda c, a, a2: c)),
        Mistake("In the noise that x0_hat implies, alpha is forgotten: eps = (x_t - alpha · x0_hat) / sigma.", _walk(eps=lambda x, c, a, s, a2, s2: (x - c) / s)),
        Mistake("The noise that x0_hat implies is not divided by sigma: x_t - alpha · x0_hat is sigma · eps.", _walk(eps=lambda x, c, a, s, a2, s2: x - a * c)),
        Mistake("The noise that x0_hat implies is divided by sigma_next. It was mixed into x_t at the level that is left: divide by sigma.",
                _walk(eps=lambda x, c, a, s, a2, s2: (x - a * c) / s2 if s2 else (x - a * c) / s)),
        Mistake("The noise that x0_hat implies takes alpha_next. x_t stands at the level that is left: alpha.", _walk(eps=lambda x, c, a, s, a2, s2: (x - a2 * c) / s)),
        Mistake("x_t itself is carried on in the place of eps, the noise that x0_hat implies: (x_t - alpha · x0_hat) / sigma.", _walk(eps=lambda x, c, a, s, a2, s2: x)),
        Mistake("The sign of the implied noise is turned round: x_t minus alpha · x0_hat.", _walk(eps=lambda x, c, a, s, a2, s2: (a * c - x) / s)),
        Mistake("eta has no effect, and fresh noise comes in even at eta = 0: multiply the standard deviation of eq. 16 by eta.",
                _walk(fresh=lambda a, s, a2, s2, eta: _fresh(a, s, a2, s2, 1.0))),
        Mistake("There is never any fresh noise: this is right at eta = 0 alone. Eq. 16 tells how much comes in.", _walk(fresh=lambda *_: 0.0)),
        Mistake("The fresh noise itself is missing: the old noise was made less to make room for it, now add it.",
                lambda x, c, a, s, a2, s2, eta, n: _walk()(x, c, a, s, a2, s2, eta, 0 * n)),
        Mistake("eta alone is the standard deviation of the fresh noise. It is a share: multiply it by the rest of eq. 16.",
                _walk(fresh=lambda a, s, a2, s2, eta: eta)),
        Mistake("eta · sigma_next is the standard deviation of the fresh noise: the second root of eq. 16 is missing.",
                _walk(fresh=lambda a, s, a2, s2, eta: eta * s2)),
        Mistake("The variance of the fresh noise multiplies it; its standard deviation should.",
                lambda x, c, a, s, a2, s2, eta, n: _walk()(x, c, a, s, a2, s2, eta, _fresh(a, s, a2, s2, eta) * n)),
        Mistake("The fresh noise has eq. 16 squared, a variance, everywhere: take the root.", _walk(fresh=lambda *g: _fresh(*g) ** 2)),
        Mistake("eta is squared: it multiplies the standard deviation, not the variance.", _walk(fresh=lambda a, s, a2, s2, eta: _fresh(a, s, a2, s2, eta**2))),
        Mistake("The fresh noise is subtracted from sigma_next as it is. Variances add, standard deviations do not: sqrt(sigma_next² - fresh²).",
                _walk(direction=lambda s2, f, s: s2 - f)),
        Mistake("Under the direction's root the fresh noise is not squared: sqrt(sigma_next² - fresh²).", _walk(direction=lambda s2, f, s: math.sqrt(max(s2**2 - f, 0.0)))),
        Mistake("The direction term lacks its root: sqrt(sigma_next² - fresh²).", _walk(direction=lambda s2, f, s: s2**2 - f**2)),
        Mistake("The direction term takes sigma: the new level allows sigma_next.", _walk(direction=lambda s2, f, s: math.sqrt(s**2 - f**2))),
        Mistake("In eq. 16 the rates of the paper are cumulative products, the squares of alpha: 1 - (alpha / alpha_next)².",
                _walk(fresh=lambda a, s, a2, s2, eta: eta * s2 / s * math.sqrt(1 - a / a2))),
        Mistake("The rates were put under one more root: alpha and sigma are roots already; the paper's alpha is their square.",
                lambda x, c, a, s, a2, s2, eta, n: _ddim_step(x, c, math.sqrt(a), math.sqrt(1 - a), math.sqrt(a2), math.sqrt(1 - a2), eta, n)),
        Mistake("The step ends at the clean guess: x0_hat is returned as it is. Mix it with noise again, at the next level.", lambda x, c, *_: c),
        Mistake("The rates are plain floats, and torch.sqrt takes tensors: math.sqrt.", _of_a_float),
    ),
)  # fmt: skip


# --- training_loss -------------------------------------------------------------------------------------------------


def _training_loss(net, x0: Tensor, y: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor, drop: Tensor, null_label: int) -> Tensor:
    """Picture by picture, in plain numbers."""
    total = 0.0
    for i in range(len(x0)):
        a = alphas_cumprod[int(t[i]) - 1].item()
        label = torch.full_like(y[:1], null_label) if bool(drop[i]) else y[i : i + 1]
        x_t = math.sqrt(a) * x0[i : i + 1] + math.sqrt(1 - a) * eps[i : i + 1]
        v = math.sqrt(a) * eps[i : i + 1] - math.sqrt(1 - a) * x0[i : i + 1]
        total = total + (net(x_t, t[i : i + 1], label) - v).square().sum()
    return total / x0.numel()


def _training_loss_cases(draw: Draw) -> list[Case]:
    cases = []
    for shape, steps, dropped, T in (((5, 4, 2, 3), (6, 1, 3, 5, 2), (0, 3), 8), ((4, 1, 6, 5), (7, 2, 12, 4), (2,), 12)):
        # A network that leans on each of its three inputs, so that a wrong step or a wrong label shows.
        net = Net(draw.number(0.3, 0.6), draw.number(120.0, 180.0), draw.number(0.1, 0.2))
        drop = torch.zeros(shape[0], dtype=torch.bool, device=draw.device)
        drop[list(dropped)] = True
        x0, eps = draw.normal(*shape, std=1.1, mean=0.3), draw.normal(*shape)
        given = (net, x0, draw.integers(0, 4, shape[0]), torch.tensor(steps, device=draw.device), eps, _table(draw, T), drop, 10)
        what = f"a net, x0, eps {list(shape)}, t {list(steps)}, alphas_cumprod [{T}], drop {list(map(int, drop))}, null_label 10"
        cases.append(Case(_says(what, draw), given))
    return cases


def _shown(net, x0, y, t, eps, table, drop, null):
    """The network's answer and v, where everything is right."""
    a, s = _rates(t, table)
    return net(a * x0 + s * eps, t, torch.where(drop, null, y)), a * eps - s * x0


def _error(out: Tensor, v: Tensor) -> Tensor:
    return (out - v).square().mean()


def _loss(given=None, want=None, reduce=None):
    """The loss, right but for the parts that are given. given: arguments → arguments for all. want: (x0, eps, a, s) → target."""

    def loss(*args):
        args = given(*args) if given else args
        out, v = _shown(*args)
        if want:
            v = want(args[1], args[4], *_rates(args[3], args[5]))
        return (reduce or _error)(out, v)

    return loss


def _told(change):
    """The network is told something else; noise and target are right. change: (x_t, t, y, null, drop, x0) → (x_t, t, y)."""

    def loss(net, x0, y, t, eps, table, drop, null):
        a, s = _rates(t, table)
        return _error(net(*change(a * x0 + s * eps, t, y, null, drop, x0)), a * eps - s * x0)

    return loss


TRAINING_LOSS = Exercise(
    "training_loss", 4, 3, 20, _training_loss, _training_loss_cases, differentiable=True,
    mistakes=(
        Mistake("The mask is turned round: labels are hidden where drop is True, and stay where it is False.",
                _told(lambda x, t, y, null, drop, x0: (x, t, torch.where(drop, y, null)))),
        Mistake("No label is hidden: where drop is True the network must be told null_label.", _told(lambda x, t, y, null, drop, x0: (x, t, y))),
        Mistake("All labels are hidden: only where drop is True.", _told(lambda x, t, y, null, drop, x0: (x, t, torch.full_like(y, null)))),
        Mistake("Where drop is True the label became 0, which is a class like the others: use null_label.",
                _told(lambda x, t, y, null, drop, x0: (x, t, torch.where(drop, 0, y)))),
        Mistake("Null is added to the labels instead of taking their place.", _told(lambda x, t, y, null, drop, x0: (x, t, y + null * drop))),
        Mistake("The network is told t - 1. Only the table is read at t - 1; the network counts from 1 to T, as t does.",
                _told(lambda x, t, y, null, drop, x0: (x, t - 1, torch.where(drop, null, y)))),
        Mistake("The network is shown the clean x0: it must be shown x_t.", _told(lambda x, t, y, null, drop, x0: (x0, t, torch.where(drop, null, y)))),
        Mistake("The table is read one entry too late: entry 0 belongs to t = 1, so step t stands at index t - 1.",
                lambda net, x0, y, t, eps, table, drop, null: _error(
                    net(_mixed(x0, eps, _rates(t + 1, table)), t, torch.where(drop, null, y)),
                    _rates(t + 1, table)[0] * eps - _rates(t + 1, table)[1] * x0)),
        Mistake("The error is summed over everything. Take the mean, or the learning rate would depend on batch and size.",
                _loss(reduce=lambda out, v: (out - v).square().sum())),
        Mistake("The error is summed over each picture and averaged over the batch. The mean over everything is asked for.",
                _loss(reduce=lambda out, v: (out - v).square().flatten(1).sum(1).mean())),
        Mistake("One error for each picture is returned: average the batch as well, training needs one number.",
                _loss(reduce=lambda out, v: (out - v).square().flatten(1).mean(1))),
        Mistake("Nothing is averaged yet: these are the squared errors of every number.", _loss(reduce=lambda out, v: (out - v).square())),
        Mistake("A root was taken: the mean squared error itself is asked for.", _loss(reduce=lambda out, v: (out - v).square().mean().sqrt())),
        Mistake("The absolute error stands where its square belongs.", _loss(reduce=lambda out, v: (out - v).abs().mean())),
        Mistake("A half is too much: the plain mean of the squares.", _loss(reduce=lambda out, v: _error(out, v) / 2)),
        Mistake("The target is the noise. This network predicts v = alpha · eps - sigma · x0.", _loss(want=lambda x, e, a, s: e)),
        Mistake("The target is the clean data. This network predicts v = alpha · eps - sigma · x0.", _loss(want=lambda x, e, a, s: x)),
        Mistake("The target is -v: alpha · eps minus sigma · x0.", _loss(want=lambda x, e, a, s: s * x - a * e)),
        Mistake("In the target v the rates have changed places: alpha goes with eps, sigma with x0.", _loss(want=lambda x, e, a, s: s * e - a * x)),
        Mistake("In the target v the two parts are added; sigma · x0 is subtracted.", _loss(want=lambda x, e, a, s: a * e + s * x)),
        Mistake("The rates lack their roots: the table holds alpha².",
                lambda net, x0, y, t, eps, table, drop, null: _error(
                    net(_shaped(table[t - 1]) * x0 + _shaped(1 - table[t - 1]) * eps, t, torch.where(drop, null, y)),
                    _shaped(table[t - 1]) * eps - _shaped(1 - table[t - 1]) * x0)),
        Mistake("The value is right, but the network's answer was cut off from its weights (.detach(), torch.no_grad() around the network): nothing would be learned.",
                lambda net, *rest: _training_loss(lambda *given: net(*given).detach(), *rest)),
    ),
)  # fmt: skip


# --- unscale -------------------------------------------------------------------------------------------------------


def _unscale(z: Tensor, latents: Tensor) -> Tensor:
    out = []
    for c in range(latents.shape[1]):
        numbers = latents[:, c].double()
        mean = numbers.sum() / numbers.numel()
        std = ((numbers - mean).square().sum() / (numbers.numel() - 1)).sqrt()
        out.append(z[:, c].double() * std + mean)
    return torch.stack(out, 1).to(z)


def _unscale_cases(draw: Draw) -> list[Case]:
    cases = []
    # In the second the latent has as many columns as channels, so that a [C] broadcasts over the wrong axis without a word.
    for n, (b, c, h, w) in ((7, (3, 4, 2, 5)), (6, (2, 3, 4, 3))):
        spread, centre = (_shaped(draw.tensor(v[:c])).transpose(0, 1) for v in ((0.4, 2.5, 1.3, 5.0), (1.5, -2.0, 0.7, 3.0)))
        # Each place of a latent has a mean of its own, and so has each picture: statistics over too few axes differ.
        raw = centre + spread * (draw.normal(n, c, h, w) + 0.5 * draw.normal(1, c, h, w) + 0.5 * draw.normal(n, c, 1, 1))
        cases.append(Case(_says(f"z {[b, c, h, w]}, latents {[n, c, h, w]}", draw), (draw.normal(b, c, h, w), raw)))
    return cases


def _by(axes, op=lambda z, m, s: z * s + m, of=lambda z, x: x, unbiased=True):
    """Statistics over these axes of z or latents, then op."""

    def unscaled(z: Tensor, latents: Tensor) -> Tensor:
        x = of(z, latents)
        return op(z, x.mean(axes, keepdim=True), x.std(axes, keepdim=True, correction=int(unbiased)))

    return unscaled


EACH, ALL = (0, 2, 3), (0, 1, 2, 3)

UNSCALE = Exercise(
    "unscale", 2, 2, 10, _unscale, _unscale_cases,
    mistakes=(
        Mistake("One mean and one std for all channels. Each channel of a latent has a unit of its own: measure over every axis but the channels.", _by(ALL)),
        Mistake("One std for all channels: each has its own.", lambda z, x: z * x.std() + x.mean(EACH, keepdim=True)),
        Mistake("The statistics are over the batch only, so every place has its own. A channel has one unit for all its rows and columns: "
                "measure over batch, rows and columns.", _by((0,))),
        Mistake("The statistics are over rows and columns of each latent by itself. Measure over the batch as well.", _by((2, 3))),
        Mistake("The statistics are those of z, which has unit variance by itself. Measure the latents of the training set.", _by(EACH, of=lambda z, x: z)),
        Mistake("The variance multiplies z. A standard deviation is its root.", _by(EACH, lambda z, m, s: z * s**2 + m)),
        Mistake("This is the way to unit variance, (z - mean) / std: what is wanted is the way back.", _by(EACH, lambda z, m, s: (z - m) / s)),
        Mistake("z is divided by the std; on the way back it is multiplied.", _by(EACH, lambda z, m, s: z / s + m)),
        Mistake("The mean is subtracted; on the way back it is added.", _by(EACH, lambda z, m, s: z * s - m)),
        Mistake("The mean is missing: the channels have the right spread about the wrong centre.", _by(EACH, lambda z, m, s: z * s)),
        Mistake("The std is missing: the channels have the right centre and the wrong spread.", _by(EACH, lambda z, m, s: z + m)),
        Mistake("The mean is added first and multiplied as well. Undo things in the opposite order: first times std, then plus mean.",
                _by(EACH, lambda z, m, s: (z + m) * s)),
        Mistake("Mean and std have changed places.", _by(EACH, lambda z, m, s: z * m + s)),
        Mistake("z comes back as it went in: the decoder wants the VAE's own units.", lambda z, x: z.clone()),
        Mistake("Nearly: this std divides by n. torch.std as it comes divides by n - 1, and so does the check.", _by(EACH, unbiased=False)),
        Mistake("The root mean square stands in for the std: subtract the mean before you square.",
                lambda z, x: z * x.square().mean(EACH, keepdim=True).sqrt() + x.mean(EACH, keepdim=True)),
        Mistake("[C] met the last axis: the channels' numbers were spread along the columns. Give them the shape [1, C, 1, 1].",
                lambda z, x: z * x.std(EACH) + x.mean(EACH)),
    ),
)  # fmt: skip

hw4 = Homework("hw4", "Latent DDPM", ADD_NOISE, TARGET, TO_X0, DDIM_STEP, TRAINING_LOSS, UNSCALE, Written("diagnosis", 3, 3, 15))
