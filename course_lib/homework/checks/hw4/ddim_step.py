"""Exercise `ddim_step`: one step of the DDIM sampler, with fresh noise."""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise


def _ddim_step(
    x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, alpha_next: float, sigma_next: float, eta: float, noise: Tensor
) -> Tensor:
    """Song et al. 2021, eq. 12 and 16, in the paper's own symbols: its alphas are cumulative products."""
    now, then = alpha**2, alpha_next**2
    fresh = eta * math.sqrt((1 - then) / (1 - now)) * math.sqrt(1 - now / then)
    eps = (x_t - math.sqrt(now) * x0_hat) / math.sqrt(1 - now)
    return math.sqrt(then) * x0_hat + math.sqrt(max(1 - then - fresh**2, 0.0)) * eps + fresh * noise


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape, last in (((3, 4, 2, 5), False), ((2, 1, 3, 6), False), ((2, 1, 3, 6), True)):
        angle = draw.number(1.0, 1.15)  # sigma between 0.84 and 0.91, then 0.64 to 0.72; or the last step, to clean data
        angle_next = 0.0 if last else draw.number(0.7, 0.8)
        rates = (math.cos(angle), math.sin(angle), math.cos(angle_next), math.sin(angle_next))
        x_t, x0_hat, noise = draw.normal(*shape), draw.normal(*shape, std=1.2, mean=0.3), draw.normal(*shape)
        step = "the last step, to alpha_next = 1 and sigma_next = 0" if last else "four rates as floats"
        for eta in (1.0,) if last else (0.0, 0.5, 1.0):
            what = f"x_t, x0_hat, noise {list(shape)}, {step}, eta = {eta:g}, {draw.dtype_name}"
            cases.append(Case(what, (x_t, x0_hat, *rates, eta, noise), "eta = 0" if eta == 0 else "eta > 0"))
    return cases


DDIM_STEP = Exercise("ddim_step", points=5, difficulty=4, minutes=25, oracle=_ddim_step, cases=_cases)


@dataclass(frozen=True)
class _Step:
    """The arguments of a step, and its correct parts. A mistake replaces one part and mixes the rest."""

    x_t: Tensor
    x0_hat: Tensor
    alpha: float
    sigma: float
    alpha_next: float
    sigma_next: float
    eta: float
    noise: Tensor

    @property
    def second_root(self) -> float:
        return math.sqrt(1 - (self.alpha / self.alpha_next) ** 2)

    @property
    def fresh_std(self) -> float:
        """The standard deviation s of the fresh noise, eq. 16."""
        return self.eta * self.sigma_next / self.sigma * self.second_root

    def mix(
        self,
        x0: Tensor | None = None,
        old_noise: Tensor | None = None,
        old_std: float | None = None,
        fresh_std: float | None = None,
    ) -> Tensor:
        """x_next, correct except for the parts that are given."""
        x0 = self.alpha_next * self.x0_hat if x0 is None else x0
        old_noise = (self.x_t - self.alpha * self.x0_hat) / self.sigma if old_noise is None else old_noise
        fresh_std = self.fresh_std if fresh_std is None else fresh_std
        old_std = math.sqrt(max(self.sigma_next**2 - fresh_std**2, 0.0)) if old_std is None else old_std
        return x0 + old_std * old_noise + fresh_std * self.noise


# --- x0_hat and the implied noise ----------------------------------------------------------------------------------


@DDIM_STEP.mistake(
    "The term of the old noise ignores eta. Where fresh noise comes in, less of the old noise may stay, sqrt(sigma_next² - s²); "
    "otherwise there is more noise than the level allows."
)
def old_noise_not_reduced(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(old_std=step.sigma_next)


@DDIM_STEP.mistake("x0_hat is multiplied by alpha, which belongs to the current level. Multiply it by alpha_next.")
def x0_with_current_alpha(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(x0=step.alpha * step.x0_hat)


@DDIM_STEP.mistake("x0_hat is not multiplied by alpha_next.")
def x0_not_scaled(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(x0=step.x0_hat)


@DDIM_STEP.mistake("alpha is missing from the implied noise: eps = (x_t - alpha · x0_hat) / sigma.")
def implied_noise_without_alpha(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(old_noise=(step.x_t - step.x0_hat) / step.sigma)


@DDIM_STEP.mistake("The implied noise is not divided by sigma: x_t - alpha · x0_hat is sigma · eps.")
def implied_noise_not_divided(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(old_noise=step.x_t - step.alpha * step.x0_hat)


@DDIM_STEP.mistake("The implied noise is divided by sigma_next. x_t is at the current level: divide by sigma.")
def implied_noise_divided_by_sigma_next(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(old_noise=(step.x_t - step.alpha * step.x0_hat) / (step.sigma_next or step.sigma))


@DDIM_STEP.mistake("The implied noise is computed with alpha_next. x_t is at the current level: use alpha.")
def implied_noise_with_alpha_next(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(old_noise=(step.x_t - step.alpha_next * step.x0_hat) / step.sigma)


@DDIM_STEP.mistake("x_t itself is used in place of eps, the noise that x_t and x0_hat imply: (x_t - alpha · x0_hat) / sigma.")
def x_t_for_implied_noise(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(old_noise=step.x_t)


@DDIM_STEP.mistake("The sign of the implied noise is reversed: it is x_t minus alpha · x0_hat.")
def implied_noise_negated(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(old_noise=(step.alpha * step.x0_hat - step.x_t) / step.sigma)


# --- fresh noise ---------------------------------------------------------------------------------------------------


@DDIM_STEP.mistake("eta has no effect, so fresh noise is added even at eta = 0. Multiply s by eta.")
def eta_ignored(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(fresh_std=replace(step, eta=1.0).fresh_std)


@DDIM_STEP.mistake("Fresh noise is never added, which is right only at eta = 0. Add fresh noise of standard deviation s.")
def always_deterministic(*args: Any) -> Tensor:
    return _Step(*args).mix(fresh_std=0.0)


@DDIM_STEP.mistake("The fresh noise is missing: the old noise was reduced to make room for it, so add it.")
def fresh_noise_missing(*args: Any) -> Tensor:
    step = _Step(*args)
    return replace(step, noise=0 * step.noise).mix()


@DDIM_STEP.mistake(
    "eta alone is used as the standard deviation of the fresh noise. It is a factor: multiply it by the rest of s."
)
def eta_as_fresh_std(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(fresh_std=step.eta)


@DDIM_STEP.mistake(
    "eta · sigma_next is used as the standard deviation of the fresh noise: the second root in s is missing, or "
    "holds sigma, 1 - alpha²."
)
def second_root_missing(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(fresh_std=step.eta * step.sigma_next)


@DDIM_STEP.mistake("The fresh noise is multiplied by its variance. Multiply it by its standard deviation.")
def fresh_noise_times_variance(*args: Any) -> Tensor:
    step = _Step(*args)
    return replace(step, noise=step.fresh_std * step.noise).mix()


@DDIM_STEP.mistake("s is squared everywhere, so it is a variance. It is a standard deviation: take the root.")
def variance_for_fresh_std(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(fresh_std=step.fresh_std**2)


@DDIM_STEP.mistake("eta is squared. It multiplies the standard deviation, not the variance.")
def eta_squared(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(fresh_std=replace(step, eta=step.eta**2).fresh_std)


@DDIM_STEP.mistake("s lacks its root: eta · (sigma_next / sigma) · sqrt(1 - (alpha / alpha_next)²).")
def fresh_std_without_root(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(fresh_std=step.eta * step.sigma_next / step.sigma * (1 - (step.alpha / step.alpha_next) ** 2))


@DDIM_STEP.mistake("In s the two sigmas are swapped: it contains sigma_next / sigma.")
def sigmas_swapped(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(fresh_std=step.eta * step.sigma / step.sigma_next * step.second_root if step.sigma_next else 0.0)


# --- both noises together ------------------------------------------------------------------------------------------


@DDIM_STEP.mistake("The given noise replaces the old noise, which x_t and x0_hat imply. The formula contains both.")
def fresh_for_old_noise(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(old_noise=step.noise)


@DDIM_STEP.mistake(
    "s is subtracted from sigma_next. Variances add, standard deviations do not: the factor is sqrt(sigma_next² - s²)."
)
def stds_subtracted(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(old_std=step.sigma_next - step.fresh_std)


@DDIM_STEP.mistake("In the factor of the old noise s is not squared: sqrt(sigma_next² - s²).")
def fresh_std_not_squared(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(old_std=math.sqrt(max(step.sigma_next**2 - step.fresh_std, 0.0)))


@DDIM_STEP.mistake("The factor of the old noise lacks its root: sqrt(sigma_next² - s²).")
def old_std_without_root(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(old_std=step.sigma_next**2 - step.fresh_std**2)


@DDIM_STEP.mistake("The factor of the old noise contains sigma. The new level allows sigma_next: sqrt(sigma_next² - s²).")
def old_std_with_current_sigma(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(old_std=math.sqrt(step.sigma**2 - step.fresh_std**2))


# --- confusions about the rates ------------------------------------------------------------------------------------


@DDIM_STEP.mistake("The second root of s contains the ratio of the squares: 1 - (alpha / alpha_next)².")
def ratio_not_squared(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(fresh_std=step.eta * step.sigma_next / step.sigma * math.sqrt(1 - step.alpha / step.alpha_next))


@DDIM_STEP.mistake(
    "The roots of the rates are taken again. alpha and sigma are roots already; the paper's alpha is the square of ours."
)
def roots_of_the_rates(*args: Any) -> Tensor:
    step = _Step(*args)
    now, then = step.alpha, step.alpha_next
    rates = math.sqrt(now), math.sqrt(1 - now), math.sqrt(then), math.sqrt(1 - then)
    return _ddim_step(step.x_t, step.x0_hat, *rates, step.eta, step.noise)


@DDIM_STEP.mistake("This returns x0_hat unchanged. Mix it with noise again, for the next level.")
def no_noise_added(*args: Any) -> Tensor:
    return _Step(*args).x0_hat


@DDIM_STEP.mistake("The rates are plain floats, but torch.sqrt takes tensors. Use math.sqrt.")
def torch_sqrt_of_a_float(*args: Any) -> Tensor:
    return torch.sqrt(1.0)  # type: ignore[arg-type]  # the mistake itself: TypeError


@DDIM_STEP.mistake(
    "The second root of s is taken of a negative number, as with the ratio upside down: 1 - (alpha_next / alpha)². "
    "It is 1 - (alpha / alpha_next)²."
)
def ratio_inverted(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(fresh_std=step.eta * math.sqrt(1 - (step.alpha_next / step.alpha) ** 2))


@DDIM_STEP.mistake(
    "The implied noise is computed with alpha_next and sigma_next. x_t is at the current level: (x_t - alpha · x0_hat) / sigma."
)
def implied_noise_at_the_next_level(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(old_noise=(step.x_t - step.alpha_next * step.x0_hat) / (step.sigma_next or 1e-8))


@DDIM_STEP.mistake(
    "eta multiplies the fresh noise only. s contains eta, and both places contain s: the old noise is reduced by eta as well."
)
def eta_on_fresh_noise_only(*args: Any) -> Tensor:
    step = _Step(*args)
    full = replace(step, eta=1.0)
    return replace(step, noise=step.eta * step.noise).mix(fresh_std=full.fresh_std)


@DDIM_STEP.mistake("s² is added under the root. It makes room for the fresh noise: sqrt(sigma_next² - s²).")
def variances_added(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(old_std=math.sqrt(step.sigma_next**2 + step.fresh_std**2))


@DDIM_STEP.mistake("s lacks its factor sigma_next / sigma: eta · (sigma_next / sigma) · sqrt(1 - (alpha / alpha_next)²).")
def first_factor_missing(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(fresh_std=step.eta * step.second_root)


@DDIM_STEP.mistake("In s the ratio sigma_next / sigma has an extra root. The rates are roots already.")
def root_of_first_factor(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(fresh_std=step.eta * math.sqrt(step.sigma_next / step.sigma) * step.second_root)


@DDIM_STEP.mistake("The second root of s is missing: eta · (sigma_next / sigma) · sqrt(1 - (alpha / alpha_next)²).")
def second_root_of_s_missing(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(fresh_std=step.eta * step.sigma_next / step.sigma)


@DDIM_STEP.mistake("In s the difference is squared: (1 - alpha / alpha_next)². The ratio is squared: 1 - (alpha / alpha_next)².")
def difference_squared_in_s(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(fresh_std=step.eta * step.sigma_next / step.sigma * (1 - step.alpha / step.alpha_next))


@DDIM_STEP.mistake("In the second root of s there is a plus: sqrt(1 - (alpha / alpha_next)²).")
def sum_in_second_root(*args: Any) -> Tensor:
    step = _Step(*args)
    root = math.sqrt(1 + (step.alpha / step.alpha_next) ** 2)
    return step.mix(fresh_std=step.eta * step.sigma_next / step.sigma * root)


@DDIM_STEP.mistake("In the second root of s only alpha is squared: 1 - (alpha / alpha_next)².")
def only_alpha_next_squared_less(*args: Any) -> Tensor:
    step = _Step(*args)
    root = math.sqrt(1 - step.alpha**2 / step.alpha_next)
    return step.mix(fresh_std=step.eta * step.sigma_next / step.sigma * root)


@DDIM_STEP.mistake(
    "The second root of s holds the sigmas: sqrt(1 - (sigma_next / sigma)²). It holds the alphas: sqrt(1 - (alpha "
    "/ alpha_next)²)."
)
def sigmas_in_second_root(*args: Any) -> Tensor:
    step = _Step(*args)
    root = math.sqrt(1 - (step.sigma_next / step.sigma) ** 2)
    return step.mix(fresh_std=step.eta * step.sigma_next / step.sigma * root)


@DDIM_STEP.mistake("In s the ratio sigma_next / sigma is squared. The rates are roots already.")
def first_factor_squared(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(fresh_std=step.eta * (step.sigma_next / step.sigma) ** 2 * step.second_root)


@DDIM_STEP.mistake(
    "This is s², with eta: the variance of the fresh noise. Its standard deviation is the root of the rest, times eta."
)
def variance_of_eq_16(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(fresh_std=step.eta * (step.sigma_next / step.sigma * step.second_root) ** 2)


@DDIM_STEP.mistake("1 - eta is used in place of eta: at eta = 0 there is no fresh noise.")
def eta_reversed(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(fresh_std=replace(step, eta=1 - step.eta).fresh_std)


@DDIM_STEP.mistake("The root of eta is taken. It multiplies the standard deviation as it is.")
def root_of_eta(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(fresh_std=replace(step, eta=math.sqrt(step.eta)).fresh_std)


@DDIM_STEP.mistake("The fresh noise is not multiplied by s.")
def fresh_noise_not_scaled(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix() + (1 - step.fresh_std) * step.noise


@DDIM_STEP.mistake("The fresh noise is subtracted. The result is equally random, but it is not the step for this noise.")
def fresh_noise_subtracted(*args: Any) -> Tensor:
    step = _Step(*args)
    return replace(step, noise=-step.noise).mix()


@DDIM_STEP.mistake("The two noises have changed places: s belongs to the fresh noise, sqrt(sigma_next² - s²) to the implied one.")
def noises_swapped(*args: Any) -> Tensor:
    step = _Step(*args)
    return replace(step, noise=(step.x_t - step.alpha * step.x0_hat) / step.sigma).mix(old_noise=step.noise)


@DDIM_STEP.mistake(
    "All of the new noise is fresh: alpha_next · x0_hat + sigma_next · noise. Part of it is the noise that x_t contains."
)
def only_fresh_noise(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.alpha_next * step.x0_hat + step.sigma_next * step.noise


@DDIM_STEP.mistake("alpha_next multiplies x_t. It multiplies the clean prediction: alpha_next · x0_hat.")
def x_t_for_x0_hat(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(x0=step.alpha_next * step.x_t)


@DDIM_STEP.mistake("alpha_next is squared: the paper's alpha is the square of ours. Multiply x0_hat by alpha_next.")
def alpha_next_squared(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(x0=step.alpha_next**2 * step.x0_hat)


@DDIM_STEP.mistake("The root of alpha_next is taken. It is a root already; the paper's alpha is the square of ours.")
def root_of_alpha_next(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(x0=math.sqrt(step.alpha_next) * step.x0_hat)


@DDIM_STEP.mistake(
    "Brackets are missing: in x_t - alpha * x0_hat / sigma only x0_hat is divided. (x_t - alpha · x0_hat) / sigma."
)
def brackets_of_implied_noise(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(old_noise=step.x_t - step.alpha * step.x0_hat / step.sigma)


@DDIM_STEP.mistake("The implied noise is divided by sigma². x_t - alpha · x0_hat is sigma · eps: divide by sigma.")
def implied_noise_divided_twice(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(old_noise=(step.x_t - step.alpha * step.x0_hat) / step.sigma**2)


@DDIM_STEP.mistake("The implied noise is multiplied by sigma. x_t - alpha · x0_hat is sigma · eps: divide by sigma.")
def implied_noise_multiplied(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(old_noise=(step.x_t - step.alpha * step.x0_hat) * step.sigma)


@DDIM_STEP.mistake("The implied noise is computed with alpha². alpha is a root already: (x_t - alpha · x0_hat) / sigma.")
def implied_noise_with_alpha_squared(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(old_noise=(step.x_t - step.alpha**2 * step.x0_hat) / step.sigma)


@DDIM_STEP.mistake("In the implied noise the rates are swapped: (x_t - alpha · x0_hat) / sigma.")
def implied_noise_rates_swapped(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(old_noise=(step.x_t - step.sigma * step.x0_hat) / step.alpha)


@DDIM_STEP.mistake("In the implied noise alpha · x0_hat is added. Subtract it: (x_t - alpha · x0_hat) / sigma.")
def implied_noise_summed(*args: Any) -> Tensor:
    step = _Step(*args)
    return step.mix(old_noise=(step.x_t + step.alpha * step.x0_hat) / step.sigma)


@DDIM_STEP.mistake("This stays at the current level: alpha · x0_hat + sigma · eps is x_t. Use alpha_next and sigma_next.")
def same_level(*args: Any) -> Tensor:
    return _Step(*args).x_t.clone()


@DDIM_STEP.mistake("The brackets are wrong: the old noise's factor multiplies the fresh noise too.")
def old_noise_in_the_sum(*args: Any) -> Tensor:
    step = _Step(*args)
    old = math.sqrt(max(step.sigma_next**2 - step.fresh_std**2, 0.0))
    return replace(step, noise=old * step.noise).mix()
