"""Data whose diffusion is known exactly: Gaussian mixtures, with their denoiser, score and classifier in closed form.

A network can only be compared with another network; these can be compared with the truth. If a component of the data
is N(m, S), then x_t = alpha · x0 + sigma · eps of it is N(alpha · m, alpha² · S + sigma² · I), and the rest follows from
Bayes' rule (for instance Karras et al. 2024, appendix C, whose toy is such a mixture).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from course_lib.arguments import can_look_at, check_finite, check_float_dtype, check_integer, check_tensor
from course_lib.schedule import AnyLevel, Level, check_any_level

CLEAN = Level(0, 1.0, 0.0)
MAX_POINTS = 10_000_000
Label: TypeAlias = Tensor | int | None
"""Labels [B], one label for all, or None for any class."""


@dataclass(frozen=True)
class GaussianMixture:
    """K Gaussians over data of a shape (C, H, W), D = C·H·W dimensions, each of a class. Made by `gaussian_mixture`.

    means: [K, D]. variances: [K, D], along the principal axes. axes: [K, D, D], their columns; None where they are the
    coordinate axes. weights: [K], summing to 1. labels: [K], the class of each Gaussian. Wherever a label ``y`` is
    expected, None and ``null_label`` mean the full mixture, as with the networks. Where the data has variance 0, the
    density needs a level with noise.
    """

    means: Tensor
    variances: Tensor
    axes: Tensor | None
    weights: Tensor
    labels: Tensor
    num_classes: int
    shape: tuple[int, int, int]

    @property
    def null_label(self) -> int:
        """The label of no class in particular: the last class index, as in the networks."""
        return self.num_classes

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "GaussianMixture":
        """The same mixture on another device, or computing in another precision."""
        check_float_dtype("dtype", dtype)
        axes = None if self.axes is None else self.axes.to(device=device, dtype=dtype)
        means, variances, weights = (x.to(device=device, dtype=dtype) for x in (self.means, self.variances, self.weights))
        labels = self.labels.to(device=device)
        return replace(self, means=means, variances=variances, axes=axes, weights=weights, labels=labels)

    def sample(self, n: int, generator: torch.Generator | None = None, y: Label = None) -> tuple[Tensor, Tensor]:
        """Sample clean data x0 [n, C, H, W] and its classes [n], of class y where given. generator: on the means' device."""
        n = check_integer("n", n, 1, MAX_POINTS)
        probabilities = self._log_weights(y, n).exp().expand(n, -1)
        k = torch.multinomial(probabilities, 1, generator=generator)[:, 0]
        noise = torch.randn(n, self.means.shape[1], generator=generator, dtype=self.means.dtype, device=k.device)
        offset = self.variances[k].sqrt() * noise
        if self.axes is not None:
            offset = (self.axes[k] @ offset[:, :, None])[:, :, 0]
        return (self.means[k] + offset).view(n, *self.shape), self.labels[k]

    def log_prob(self, x_t: Tensor, level: AnyLevel = CLEAN, y: Label = None) -> Tensor:
        """log p(x_t | y) at this level (default: of clean data), in nats: [B]; differentiable."""
        return self._joint(x_t, level, y)[0].logsumexp(1)

    def class_log_prob(self, x_t: Tensor, level: AnyLevel = CLEAN) -> Tensor:
        """log p(y | x_t) of every class [B, num_classes]: the Bayes-optimal classifier of noisy data, differentiable."""
        responsibilities = self._joint(x_t, level, None)[0].log_softmax(1)  # log p(k | x_t) [B, K]
        in_class = self.labels == torch.arange(self.num_classes, device=self.labels.device)[:, None]  # [num_classes, K]
        return responsibilities[:, None].masked_fill(~in_class, -torch.inf).logsumexp(2)

    def score(self, x_t: Tensor, level: AnyLevel, y: Label = None) -> Tensor:
        """The gradient of log p(x_t | y) with respect to x_t: [B, C, H, W]."""
        joint, offset, variance = self._joint(x_t, level, y)
        return self._posterior_mean(joint, self._from_axes(-offset / variance), x_t)

    def denoise(self, x_t: Tensor, level: AnyLevel, y: Label = None) -> Tensor:
        """E[x0 | x_t, y], which a perfect network would predict: [B, C, H, W], in x_t's precision."""
        joint, offset, variance = self._joint(x_t, level, y)
        shrink = _per_gaussian(level.alpha) * self.variances / variance  # Wiener's filter along each axis
        return self._posterior_mean(joint, self.means + self._from_axes(shrink * offset), x_t)

    def denoiser(self, y: Label = None) -> Callable[[Tensor, AnyLevel], Tensor]:
        """The perfect Denoiser (x_t, level) → x0_hat, of class y where given. Raises ValueError where y is no class."""
        self._check_label(y)
        return lambda x_t, level: self.denoise(x_t, level, y)

    def _check_label(self, y: Label, n: int | None = None) -> None:
        """Check a label, or those of n points."""
        if y is None:
            return
        if isinstance(y, Tensor):
            check_tensor("y", y, "[B]", "integer", least=0)
            if n is not None and len(y) not in (1, n):
                raise ValueError(f"y has {len(y)} labels for {n} points, but must have one for each.")
            lowest, highest = (int(y.min()), int(y.max())) if can_look_at(y) and len(y) else (0, 0)
        else:
            lowest = highest = check_integer("y", y)
        if not 0 <= lowest <= highest <= self.num_classes:
            found = lowest if lowest < 0 else highest
            raise ValueError(
                f"y is {found}, but this mixture has classes 0 to {self.num_classes - 1}, and {self.num_classes} for any."
            )

    def _log_weights(self, y: Label, n: int) -> Tensor:
        """log p(k | y), the weight of each Gaussian among those of class y, for n points: [1, K] or [n, K]."""
        self._check_label(y, n)
        weights = self.weights[None].log()
        if y is None:
            return weights
        y = y[:, None] if isinstance(y, Tensor) else torch.full_like(self.labels[None, :1], y)
        in_class = (self.labels == y) | (y == self.null_label)
        return weights.masked_fill(~in_class, -torch.inf).log_softmax(1)

    def _joint(self, x_t: Tensor, level: AnyLevel, y: Label) -> tuple[Tensor, Tensor, Tensor]:
        """log p(x_t, k | y) [B, K]; x_t minus each noisy mean, along its axes [B, K, D]; the variances along them."""
        check_tensor("x_t", x_t, "[B, ...]", "float", least=0)
        if x_t[0:1].numel() != self.means.shape[1] and len(x_t):
            raise ValueError(
                f"x_t has shape {tuple(x_t.shape)}, but this mixture is of images [B, {', '.join(map(str, self.shape))}]."
            )
        check_any_level(level, len(x_t))
        alpha, sigma = _per_gaussian(level.alpha), _per_gaussian(level.sigma)
        offset = x_t.flatten(1)[:, None].to(self.means.dtype) - alpha * self.means
        if self.axes is not None:
            offset = torch.einsum("bkd,kde->bke", offset, self.axes)
        variance = alpha**2 * self.variances + sigma**2
        log_p = -(offset**2 / variance + (2 * torch.pi * variance).log()).sum(2) / 2
        return self._log_weights(y, len(x_t)) + log_p, offset, variance

    def _from_axes(self, offset: Tensor) -> Tensor:
        """Offsets [B, K, D] along the principal axes, in the coordinates of the data."""
        return offset if self.axes is None else torch.einsum("bke,kde->bkd", offset, self.axes)

    @staticmethod
    def _posterior_mean(joint: Tensor, values: Tensor, x_t: Tensor) -> Tensor:
        """The mean over Gaussians of values [B, K, D], weighted by p(k | x_t); shaped like x_t."""
        return (joint.softmax(1)[:, None] @ values).view_as(x_t).to(x_t.dtype)


def gaussian_mixture(
    means: Tensor, spread: Tensor | float, weights: Tensor | None = None, labels: Tensor | None = None
) -> GaussianMixture:
    """Build a mixture of K Gaussians.

    means: [K, D] for points, which are then treated as images [B, D, 1, 1]; or [K, C, H, W]. The mixture has their device
    and precision.
    spread: one standard deviation for all, one each [K], one for each dimension [K, D], or covariances [K, D, D]; 0 is a
    single point. weights: [K], above 0, in any units (default: all equal). labels: integer [K], the class of each
    Gaussian, 0, 1, … without a gap (default: each its own class). Raises ValueError where these do not fit.
    """
    check_tensor("means", means)
    check_finite("means", means)
    if means.ndim not in (2, 4) or not means.is_floating_point() or len(means) == 0:
        raise ValueError(f"means is {means.dtype} {tuple(means.shape)}, but floats [K, D] or [K, C, H, W] are expected.")
    channels, height, width = means.shape[1:] if means.ndim == 4 else (means.shape[1], 1, 1)
    means = means.flatten(1)
    K, D = means.shape
    weights = means.new_ones(K) if weights is None else _tensor("weights", weights, means.dtype).to(means.device)
    labels = torch.arange(K) if labels is None else _tensor("labels", labels)
    check_tensor("labels", labels, f"[{K}]", "integer")
    if weights.shape != (K,) or not bool(((weights > 0) & weights.isfinite()).all()):
        raise ValueError(f"weights is {weights.tolist()}, but each of the {K} Gaussians needs a weight above 0.")
    classes = sorted(set(labels.tolist()))
    if classes != list(range(len(classes))):
        raise ValueError(f"labels is {labels.tolist()}, but each of the {K} Gaussians needs a class, 0, 1, … without a gap.")
    spread = _tensor("spread", spread, means.dtype).to(means.device)
    check_finite("spread", spread)
    variances, axes = _principal_axes(spread, K, D)
    return GaussianMixture(
        means, variances, axes, weights / weights.sum(), labels.to(means.device), len(classes), (channels, height, width)
    )


def _tensor(name: str, values: Any, dtype: torch.dtype | None = None) -> Tensor:
    """Numbers, or lists of them, as a tensor."""
    try:
        return torch.as_tensor(values, dtype=dtype)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} is a {type(values).__name__} that is no tensor of numbers: {error}.") from error


def _principal_axes(spread: Tensor, K: int, D: int) -> tuple[Tensor, Tensor | None]:
    """Variances [K, D] along the principal axes, and the axes [K, D, D] where they are not the coordinate axes."""
    axes = None
    if spread.shape in ((), (K,)):
        variances = (spread**2).expand(K)[:, None].expand(K, D)
    elif spread.shape == (K, D):
        variances = spread**2
    elif spread.shape == (K, D, D):
        if not torch.allclose(spread, spread.mT, rtol=1e-4, atol=1e-6 * float(spread.detach().abs().max())):
            raise ValueError("spread holds covariances that are not symmetric: entry [i, j] must equal entry [j, i].")
        precise = spread.to(torch.promote_types(spread.dtype, torch.float32))
        variances, axes = (x.to(spread.dtype) for x in torch.linalg.eigh(precise))
    else:
        raise ValueError(
            f"spread is {tuple(spread.shape)}, but for {K} Gaussians in {D} dimensions it is one number, [{K}], "
            f"[{K}, {D}], or covariances [{K}, {D}, {D}]."
        )
    rounding = 1e-6 * float(variances.detach().abs().max())  # may put a zero just below 0
    if bool((variances < -rounding).any()) or (axes is None and bool((spread < 0).any())):
        raise ValueError("spread has a negative value: standard deviations are 0 or more, covariances positive semi-definite.")
    return variances.clamp(min=0), axes


def _per_gaussian(rate: float | Tensor) -> float | Tensor:
    """A level's rate, reshaped to broadcast over [B, K, D]."""
    return rate.flatten()[:, None, None] if isinstance(rate, Tensor) else rate
