"""Chapter 5 in the plane, where everything is known: the density that guidance samples, and the one that it is said to sample."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from course_lib import recipes
from course_lib.diffusion import Denoiser, target, to_eps
from course_lib.gaussian_mixture import GaussianMixture, gaussian_mixture
from course_lib.guidance import guide
from course_lib.samplers import heun
from course_lib.schedule import Level


def two_classes() -> GaussianMixture:
    """A toy with two classes in the plane, two Gaussians each, partly over one another, in float64."""
    means = torch.tensor([[-1.0, 0.9], [-0.5, -0.9], [1.0, 0.9], [0.5, -0.9]], dtype=torch.float64)
    spread = torch.tensor([[0.3, 0.3], [0.5, 0.25], [0.3, 0.3], [0.5, 0.25]], dtype=torch.float64)
    return gaussian_mixture(means, spread, weights=torch.tensor([1.0, 2.0, 1.0, 2.0]), labels=torch.tensor([0, 0, 1, 1]))


@dataclass(frozen=True)
class Grid:
    """A square of the plane cut into cells: points [cells, 2, 1, 1], side cells a side, half the square's width."""

    points: Tensor
    side: int
    half: float

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """left, right, bottom, top: for an image of the cells."""
        return -self.half, self.half, -self.half, self.half

    @property
    def area(self) -> float:
        """Of one cell."""
        return (2 * self.half / self.side) ** 2

    def shares(self, x: Tensor) -> Tensor:
        """Share of the points x [N, 2, 1, 1] in each cell: [side, side], rows from bottom up; those outside count too."""
        index = ((x.flatten(1) + self.half) / (2 * self.half) * self.side).floor().long()
        inside = ((index >= 0) & (index < self.side)).all(1)
        flat = index[inside, 1] * self.side + index[inside, 0]
        return (torch.bincount(flat, minlength=self.side**2).double() / len(x)).view(self.side, self.side)

    def mean(self, shares: Tensor) -> Tensor:
        """The mean place (x, y) [2] of shares [side, side], which need not sum to 1."""
        return (shares.flatten() / shares.sum()) @ self.points.flatten(1)


def plane(side: int = 64, half: float = 3.2) -> Grid:
    """Cells over [-half, half]², the points in their middles, rows from bottom to top."""
    line = (torch.arange(side, dtype=torch.float64) + 0.5) / side * 2 * half - half
    y, x = torch.meshgrid(line, line, indexing="ij")
    return Grid(torch.stack([x, y], dim=-1).view(-1, 2, 1, 1), side, half)


def sharpened(mixture: GaussianMixture, grid: Grid, y: int, scale: float) -> Tensor:
    """The density that guidance is often said to sample, p(x) · p(y | x)^scale, as shares of the cells [side, side].

    Closed form on clean data, normalised over the grid. Scale 1 is p(x | y) itself.
    """
    log_p = mixture.log_prob(grid.points) + scale * mixture.class_log_prob(grid.points)[:, y]
    return log_p.softmax(0).view(grid.side, grid.side)


def cfg(mixture: GaussianMixture, y: int, scale: float) -> Denoiser:
    """Classifier-free guidance towards class y where nothing is learned: both denoisers are exact."""
    return guide(mixture.denoiser(y), mixture.denoiser(), scale)


def log_density(denoise: Denoiser, x0: Tensor, steps: int = 24, start: float = 2e-3) -> Tensor:
    """log of the density at x0 [N, D, 1, 1] of what a deterministic sampler makes of unit noise, in nats: float64 [N].

    The sampler's walk, taken backwards: with alpha = cos(a) and sigma = sin(a) the probability flow is dx/da = v, and along
    it the log density changes by minus the divergence of v (change of variables; Song et al. 2021, eq. 39). So we follow x0
    up to pure noise at 90°, whose density is a Gaussian's, and add the divergence up on the way. In the angle both ends are
    tame: any schedule walks the same path, and none is needed. Runge-Kutta of order 4. The divergence is exact, one
    gradient for each of the D numbers, so D must be small.

    steps: of equal angle. start: the first angle, in radians; where it is 0 there is no noise to tell.
    """

    def rates(x: Tensor, angle: float) -> tuple[Tensor, Tensor]:
        level = Level(0, max(math.cos(angle), 0.0), math.sin(angle))
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            clean = denoise(x, level)
            v = target("v", clean, to_eps(clean, x, level), level)
            rows = v.flatten(1)
            gradients = [torch.autograd.grad(column.sum(), x, retain_graph=True)[0].flatten(1) for column in rows.T]
        return v.detach(), sum(gradient[:, i] for i, gradient in enumerate(gradients))

    x, gained, h = x0.double(), 0.0, (math.pi / 2 - start) / steps
    for i in range(steps):
        angle = start + i * h
        v1, d1 = rates(x, angle)
        v2, d2 = rates(x + h / 2 * v1, angle + h / 2)
        v3, d3 = rates(x + h / 2 * v2, angle + h / 2)
        v4, d4 = rates(x + h * v3, angle + h)
        x, gained = x + h / 6 * (v1 + 2 * v2 + 2 * v3 + v4), gained + h / 6 * (d1 + 2 * d2 + 2 * d3 + d4)
    return gained - (x.flatten(1).square() + math.log(2 * math.pi)).sum(1) / 2


def sampled(denoise: Denoiser, grid: Grid, steps: int = 24) -> Tensor:
    """The density that a denoiser's samples have, as shares of the cells [side, side]: density in the middle · area.

    They are not normalised: that they sum to 1, where nothing lies outside, checks the integration.
    """
    return (log_density(denoise, grid.points, steps).exp() * grid.area).view(grid.side, grid.side)


def guided_points(denoise: Denoiser, n: int = 20_000, steps: int = 50, seed: int = 0) -> Tensor:
    """What a sampler draws with this denoiser [n, 2, 1, 1], in many steps of Heun's: the picture of ``sampled`` in dots."""
    levels = recipes.make_schedule().grid(steps)
    generator = torch.Generator().manual_seed(seed)
    x_T = levels[0].sigma * torch.randn(n, 2, 1, 1, dtype=torch.float64, generator=generator)
    return heun(denoise, x_T, levels)


def total_variation(p: Tensor, q: Tensor) -> float:
    """Half the summed difference of two sets of shares: 0 where they agree, 1 where they share no cell."""
    return ((p - q).abs().sum() / 2).item()


def beyond(p: Tensor, q: Tensor, share: float = 0.99) -> float:
    """How much of the shares p lies outside the densest cells of q that hold this share of q: 0…1; of q itself, 1 - share."""
    densest = q.flatten().argsort(descending=True)
    inner = densest[: int((q.flatten()[densest].cumsum(0) < share).sum()) + 1]
    return (p.sum() - p.flatten()[inner].sum()).item()


def pull(mixture: GaussianMixture, points: Tensor, y: int, level: Level) -> Tensor:
    """Where a perfect classifier of noisy points [N, 2, 1, 1] wants them: the gradient of log p(y | x_t) [N, 2]."""
    x = points.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(mixture.class_log_prob(x, level)[:, y].sum(), x)
    return gradient.flatten(1)
