"""Homework 4, latent DDPM: what its checks compare with, and what people get wrong. Its first half is in `hw4_forward`."""

import math

import torch
from torch import Tensor

from course_lib import diffusion
from course_lib.homework.answers.standins import Net
from course_lib.homework.checks.case import Case, Mistake
from course_lib.homework.checks.exercise import Draw, Exercise, Homework, Written
from course_lib.homework.checks.hw4_forward import ADD_NOISE, TARGET, TO_X0, mixed, rates, says, shaped, table
from course_lib.schedule import Level

# --- ddim_step -----------------------------------------------------------------------------------------------------


def _ddim_step(
    x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, alpha_next: float, sigma_next: float, eta: float, noise: Tensor
) -> Tensor:
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
            cases.append(
                Case(says(f"x_t, x0_hat, noise {list(shape)}, {step}, eta = {eta:g}", draw), (x_t, x0_hat, *rates, eta, noise))
            )
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
        Mistake("The old noise's term lacks eta: with fresh noise coming in, less of the old may stay, sqrt(sigma_next² - s²). Else there is more noise "
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
        Mistake("eta has no effect, and fresh noise comes in even at eta = 0: multiply s by eta.",
                _walk(fresh=lambda a, s, a2, s2, eta: _fresh(a, s, a2, s2, 1.0))),
        Mistake("There is never any fresh noise: this is right at eta = 0 alone. s tells how much comes in.", _walk(fresh=lambda *_: 0.0)),
        Mistake("The fresh noise itself is missing: the old noise was made less to make room for it, now add it.",
                lambda x, c, a, s, a2, s2, eta, n: _walk()(x, c, a, s, a2, s2, eta, 0 * n)),
        Mistake("eta alone is the standard deviation of the fresh noise. It is a share: multiply it by the rest of s.",
                _walk(fresh=lambda a, s, a2, s2, eta: eta)),
        Mistake("eta · sigma_next is the standard deviation of the fresh noise: the second root in s is missing.",
                _walk(fresh=lambda a, s, a2, s2, eta: eta * s2)),
        Mistake("The variance of the fresh noise multiplies it; its standard deviation should.",
                lambda x, c, a, s, a2, s2, eta, n: _walk()(x, c, a, s, a2, s2, eta, _fresh(a, s, a2, s2, eta) * n)),
        Mistake("s is squared everywhere, a variance: take the root, it is a standard deviation.", _walk(fresh=lambda *g: _fresh(*g) ** 2)),
        Mistake("eta is squared: it multiplies the standard deviation, not the variance.", _walk(fresh=lambda a, s, a2, s2, eta: _fresh(a, s, a2, s2, eta**2))),
        Mistake("s lacks its root: eta · (sigma_next / sigma) · sqrt(1 - (alpha / alpha_next)²).",
                _walk(fresh=lambda a, s, a2, s2, eta: eta * s2 / s * (1 - (a / a2) ** 2))),
        Mistake("In s the two sigmas have changed places: sigma_next / sigma.",
                _walk(fresh=lambda a, s, a2, s2, eta: eta * s / s2 * math.sqrt(1 - (a / a2) ** 2) if s2 else 0.0, direction=lambda s2, f, s: math.sqrt(max(s2**2 - f**2, 0.0)))),
        Mistake("The given noise takes the place of the old one, the one that x_t and x0_hat imply. Both are in the formula.", 
                lambda x, c, a, s, a2, s2, eta, n: a2 * c + math.sqrt(s2**2 - _fresh(a, s, a2, s2, eta) ** 2) * n + _fresh(a, s, a2, s2, eta) * n),
        Mistake("The fresh noise is subtracted from sigma_next as it is. Variances add, standard deviations do not: sqrt(sigma_next² - s²).",
                _walk(direction=lambda s2, f, s: s2 - f)),
        Mistake("Under the root of the old noise s is not squared: sqrt(sigma_next² - s²).", _walk(direction=lambda s2, f, s: math.sqrt(max(s2**2 - f, 0.0)))),
        Mistake("The factor of the old noise lacks its root: sqrt(sigma_next² - s²).", _walk(direction=lambda s2, f, s: s2**2 - f**2)),
        Mistake("The factor of the old noise takes sigma: the new level allows sigma_next.", _walk(direction=lambda s2, f, s: math.sqrt(s**2 - f**2))),
        Mistake("Under the second root of s stand the squares: 1 - (alpha / alpha_next)².",
                _walk(fresh=lambda a, s, a2, s2, eta: eta * s2 / s * math.sqrt(1 - a / a2))),
        Mistake("The rates were put under one more root: alpha and sigma are roots already; the paper's alpha is their square.",
                lambda x, c, a, s, a2, s2, eta, n: _ddim_step(x, c, math.sqrt(a), math.sqrt(1 - a), math.sqrt(a2), math.sqrt(1 - a2), eta, n)),
        Mistake("The step ends at the clean guess: x0_hat is returned as it is. Mix it with noise again, at the next level.", lambda x, c, *_: c),
        Mistake("The rates are plain floats, and torch.sqrt takes tensors: math.sqrt.", _of_a_float),
    ),
)  # fmt: skip


# --- training_loss -------------------------------------------------------------------------------------------------


def _training_loss(
    net, x0: Tensor, y: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor, drop: Tensor, null_label: int
) -> Tensor:
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
        given = (net, x0, draw.integers(0, 4, shape[0]), torch.tensor(steps, device=draw.device), eps, table(draw, T), drop, 10)
        what = f"a net, x0, eps {list(shape)}, t {list(steps)}, alphas_cumprod [{T}], drop {list(map(int, drop))}, null_label 10"
        cases.append(Case(says(what, draw), given))
    return cases


def _block(net, x0: Tensor, y: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor, drop: Tensor, null_label: int) -> Tensor:
    """The same from the workbook's parts, the whole batch at once."""
    level = Level(t, *rates(t, alphas_cumprod))
    out = net(diffusion.add_noise(x0, eps, level), t, torch.where(drop, null_label, y))
    return torch.nn.functional.mse_loss(out.float(), diffusion.target("v", x0, eps, level))


def _shown(net, x0, y, t, eps, alphas_cumprod, drop, null):
    """The network's answer and v, where everything is right."""
    a, s = rates(t, alphas_cumprod)
    return net(a * x0 + s * eps, t, torch.where(drop, null, y)), a * eps - s * x0


def _error(out: Tensor, v: Tensor) -> Tensor:
    return (out - v).square().mean()


def _loss(given=None, want=None, reduce=None):
    """The loss, right but for the parts that are given. given: arguments → arguments for all. want: (x0, eps, a, s) → target."""

    def loss(*args):
        args = given(*args) if given else args
        out, v = _shown(*args)
        if want:
            v = want(args[1], args[4], *rates(args[3], args[5]))
        return (reduce or _error)(out, v)

    return loss


def _told(change):
    """The network is told something else; noise and target are right. change: (x_t, t, y, null, drop, x0) → (x_t, t, y)."""

    def loss(net, x0, y, t, eps, alphas_cumprod, drop, null):
        a, s = rates(t, alphas_cumprod)
        return _error(net(*change(a * x0 + s * eps, t, y, null, drop, x0)), a * eps - s * x0)

    return loss


TRAINING_LOSS = Exercise(
    "training_loss", 4, 3, 20, _training_loss, _training_loss_cases, differentiable=True, block=_block,
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
                lambda net, x0, y, t, eps, alphas_cumprod, drop, null: _error(
                    net(mixed(x0, eps, rates(t + 1, alphas_cumprod)), t, torch.where(drop, null, y)),
                    rates(t + 1, alphas_cumprod)[0] * eps - rates(t + 1, alphas_cumprod)[1] * x0)),
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
                lambda net, x0, y, t, eps, alphas_cumprod, drop, null: _error(
                    net(shaped(alphas_cumprod[t - 1]) * x0 + shaped(1 - alphas_cumprod[t - 1]) * eps, t, torch.where(drop, null, y)),
                    shaped(alphas_cumprod[t - 1]) * eps - shaped(1 - alphas_cumprod[t - 1]) * x0)),
        Mistake("The loss is cut off from the network's weights, so nothing would be learned: .item() or float(…) at the end, or .detach() or torch.no_grad() around the network.",
                lambda net, *rest: _training_loss(lambda *given: net(*given).detach(), *rest)),
    ),
)  # fmt: skip


# --- unscale -------------------------------------------------------------------------------------------------------


def _unscale(z: Tensor, latents: Tensor) -> Tensor:
    out = []
    for c in range(latents.shape[1]):
        numbers = latents[:, c].cpu().double()
        mean = numbers.sum() / numbers.numel()
        std = ((numbers - mean).square().sum() / (numbers.numel() - 1)).sqrt()
        out.append(z[:, c].cpu().double() * std + mean)
    return torch.stack(out, 1).to(z)


def _unscale_cases(draw: Draw) -> list[Case]:
    cases = []
    # In the second the latent has as many columns as channels, so that a [C] broadcasts over the wrong axis without a word.
    for n, (b, c, h, w) in ((7, (3, 4, 2, 5)), (6, (2, 3, 4, 3))):
        spread, centre = (shaped(draw.tensor(v[:c])).transpose(0, 1) for v in ((0.4, 2.5, 1.3, 5.0), (1.5, -2.0, 0.7, 3.0)))
        # Each place of a latent has a mean of its own, and so has each picture: statistics over too few axes differ.
        raw = centre + spread * (draw.normal(n, c, h, w) + 0.5 * draw.normal(1, c, h, w) + 0.5 * draw.normal(n, c, 1, 1))
        cases.append(Case(says(f"z {[b, c, h, w]}, latents {[n, c, h, w]}", draw), (draw.normal(b, c, h, w), raw)))
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
        Mistake("Every latent has statistics of its own. A channel's unit is the same for all of them: keep the channels apart and join batch, rows and columns, dim=(0, 2, 3).", _by((2, 3))),
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
