"""Chapter 5 in the plane, where everything is known: the density that guidance samples, and the one it is said to sample."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from course_lib import recipes
from course_lib.arguments import check_finite, check_integer, check_number, check_same_shape, check_tensor
from course_lib.diffusion import Denoiser, target, to_eps, x0_hat
from course_lib.experiments.limits import MAX_SAMPLES, seeded_generator
from course_lib.gaussian_mixture import GaussianMixture, gaussian_mixture
from course_lib.guidance import guide
from course_lib.samplers import heun
from course_lib.schedule import Level

MAX_DIMENSIONS = 10_000


def two_class_mixture() -> GaussianMixture:
    """Build a toy with two overlapping classes in the plane, two Gaussians each, in float64."""
    means = torch.tensor([[-1.0, 0.9], [-0.5, -0.9], [1.0, 0.9], [0.5, -0.9]], dtype=torch.float64)
    stds = torch.tensor([[0.3, 0.3], [0.5, 0.25], [0.3, 0.3], [0.5, 0.25]], dtype=torch.float64)
    return gaussian_mixture(means, stds, weights=torch.tensor([1.0, 2.0, 1.0, 2.0]), labels=torch.tensor([0, 0, 1, 1]))


def two_gaussians(dimensions: int, distance: float) -> GaussianMixture:
    """Build two classes, one standard Gaussian each, in float64: their means are 0 but for the first coordinate, ± distance.

    Class 0 is at +distance. All that guidance adds lies along the first coordinate, in any number of dimensions.
    """
    check_integer("dimensions", dimensions, 1, MAX_DIMENSIONS)
    means = torch.zeros(2, dimensions, dtype=torch.float64)
    means[:, 0] = torch.tensor([1.0, -1.0]) * check_number("distance", distance)
    return gaussian_mixture(means, torch.ones(2, dimensions, dtype=torch.float64), labels=torch.tensor([0, 1]))


@dataclass(frozen=True)
class PlaneGrid:
    """A square of the plane, divided into cells.

    points: the cells' centres [cells, 2, 1, 1], rows from bottom to top. side: cells along a side. half: half the square's width.
    """

    points: Tensor
    side: int
    half: float

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top, as ``imshow`` takes them."""
        return -self.half, self.half, -self.half, self.half

    @property
    def area(self) -> float:
        """Area of one cell."""
        return (2 * self.half / self.side) ** 2

    def histogram(self, x: Tensor) -> Tensor:
        """Return the fraction of the points x [N, 2, 1, 1] in each cell: [side, side], rows from bottom to top.

        Points outside the square count in N, so the fractions may add up to less than 1.
        """
        check_tensor("x", x, "[N, 2, 1, 1]", "float")
        check_finite("x", x)
        index = ((x.flatten(1) + self.half) / (2 * self.half) * self.side).floor().long()
        inside = ((index >= 0) & (index < self.side)).all(1)
        flat = index[inside, 1] * self.side + index[inside, 0]
        return (torch.bincount(flat, minlength=self.side**2).double() / len(x)).view(self.side, self.side)

    def mean(self, masses: Tensor) -> Tensor:
        """Return the mean position (x, y) [2] of probability masses [side, side], which need not add up to 1."""
        check_tensor("masses", masses, f"[{self.side}, {self.side}]", "float")
        if not masses.sum() > 0:
            raise ValueError(f"masses adds up to {masses.sum().item():g}, but must add up to more than 0.")
        return (masses.double().flatten() / masses.double().sum()) @ self.points.flatten(1)


def plane_grid(side: int = 64, half: float = 3.2) -> PlaneGrid:
    """Divide [-half, half]² into side × side cells."""
    check_integer("side", side, 1, 1000)
    half = check_number("half", half, above=0)
    line = (torch.arange(side, dtype=torch.float64) + 0.5) / side * 2 * half - half
    y, x = torch.meshgrid(line, line, indexing="ij")
    return PlaneGrid(torch.stack([x, y], dim=-1).view(-1, 2, 1, 1), side, half)


def sharpened_density(mixture: GaussianMixture, grid: PlaneGrid, y: int, scale: float) -> Tensor:
    """Return the density that guidance is often said to sample, p(x) · p(y | x)^scale, as masses of the cells [side, side].

    Closed form on clean data, normalised over the grid. Scale 1 is p(x | y) itself.
    """
    y, scale = check_integer("y", y, 0, mixture.num_classes - 1), check_number("scale", scale)
    log_p = mixture.log_prob(grid.points) + scale * mixture.class_log_prob(grid.points)[:, y]
    return log_p.softmax(0).view(grid.side, grid.side)


def exact_guidance(mixture: GaussianMixture, y: int, scale: float) -> Denoiser:
    """Return classifier-free guidance towards class y with the mixture's exact denoisers."""
    return guide(mixture.denoiser(y), mixture.denoiser(), scale)


def log_density(denoise: Denoiser, x0: Tensor, steps: int = 24, start: float = 2e-3) -> Tensor:
    """Return the log density at x0 [N, D, 1, 1] of what a deterministic sampler makes of unit noise, in nats: float64 [N].

    The sampler's trajectory, integrated backwards: with alpha = cos(a) and sigma = sin(a) the probability flow is dx/da = v,
    and along it the log density changes by minus the divergence of v (change of variables; Song et al. 2021, eq. 39). So we
    follow x0 up to pure noise at 90°, whose density is Gaussian, and add up the divergence on the way. As a function of the
    angle both ends are well behaved: every schedule follows the same path, and none is needed. Runge-Kutta of order 4. The
    divergence is exact and takes one gradient per dimension, so D must be small.

    steps: of equal angle. start: the first angle, in radians; at 0 there would be no noise to predict.
    """
    check_tensor("x0", x0, "[N, D, 1, 1]", "float")
    check_integer("steps", steps, 1, 1000)
    start = check_number("start", start, above=0, below=math.pi / 2)

    def derivatives(x: Tensor, angle: float) -> tuple[Tensor, Tensor]:
        level = Level(0, max(math.cos(angle), 0.0), math.sin(angle))
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            x0 = x0_hat(denoise, x, level)
            v = target("v", x0, to_eps("x0", x0, x, level), level)
            columns = v.flatten(1).T
            gradients = [torch.autograd.grad(column.sum(), x, retain_graph=True)[0].flatten(1) for column in columns]
        return v.detach(), torch.stack([gradient[:, i] for i, gradient in enumerate(gradients)]).sum(0)

    x, h = x0.double(), (math.pi / 2 - start) / steps
    divergence = x.new_zeros(len(x))
    for i in range(steps):
        angle = start + i * h
        v1, d1 = derivatives(x, angle)
        v2, d2 = derivatives(x + h / 2 * v1, angle + h / 2)
        v3, d3 = derivatives(x + h / 2 * v2, angle + h / 2)
        v4, d4 = derivatives(x + h * v3, angle + h)
        x, divergence = x + h / 6 * (v1 + 2 * v2 + 2 * v3 + v4), divergence + h / 6 * (d1 + 2 * d2 + 2 * d3 + d4)
    return divergence - (x.flatten(1).square() + math.log(2 * math.pi)).sum(1) / 2


def sampled_density(denoise: Denoiser, grid: PlaneGrid, steps: int = 24) -> Tensor:
    """Return the density of a denoiser's samples as masses of the cells [side, side]: density at the centre · area.

    The masses are not normalised: if they add up to 1 where nothing lies outside, this confirms the integration.
    """
    return (log_density(denoise, grid.points, steps).exp() * grid.area).view(grid.side, grid.side)


def sample_points(denoise: Denoiser, n: int = 20_000, steps: int = 50, seed: int = 0, dimensions: int = 2) -> Tensor:
    """Sample n points [n, dimensions, 1, 1] with Heun's method in many steps.

    They are draws from the density that `log_density` computes.
    """
    check_integer("n", n, 1, MAX_SAMPLES)
    check_integer("dimensions", dimensions, 1, MAX_DIMENSIONS)
    levels, generator = recipes.make_schedule().grid(steps), seeded_generator(seed)
    x_T = levels[0].sigma * torch.randn(n, dimensions, 1, 1, dtype=torch.float64, generator=generator)
    return heun(denoise, x_T, levels)


def total_variation(p: Tensor, q: Tensor) -> float:
    """Return half the sum of absolute differences of two sets of masses: 0 where they agree, 1 where they share no cell."""
    _check_masses(p, q)
    return ((p - q).abs().sum() / 2).item()


def _check_masses(p: Tensor, q: Tensor) -> None:
    check_tensor("p", p, "[S, S]", "float")
    check_tensor("q", q, "[S, S]", "float")
    check_same_shape("p", p, "q", q)


def mass_outside(p: Tensor, q: Tensor, fraction: float = 0.99) -> float:
    """Return the mass of p outside the densest cells of q that hold this fraction of q: 0…1; for q itself 1 - fraction."""
    _check_masses(p, q)
    check_number("fraction", fraction, at_least=0, at_most=1)
    densest = q.flatten().argsort(descending=True)
    inner = densest[: int((q.flatten()[densest].cumsum(0) < fraction).sum()) + 1]
    return (p.sum() - p.flatten()[inner].sum()).item()


def classifier_gradient(mixture: GaussianMixture, points: Tensor, y: int, level: Level) -> Tensor:
    """Return the gradient of log p(y | x_t) [N, 2] at noisy points [N, 2, 1, 1]: that of a perfect classifier."""
    check_tensor("points", points, "[N, 2, 1, 1]", "float")
    y = check_integer("y", y, 0, mixture.num_classes - 1)
    x = points.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(mixture.class_log_prob(x, level)[:, y].sum(), x)
    return gradient.flatten(1)
