"""Chapter 1's experiments: what a step in pixels costs, how redundant pixels are, how few numbers an image needs, and where
noise, averages and densities lead. `experiments.meaning` holds those on meaning.

Nothing here is random by itself: every function takes a seed or a `torch.Generator`.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from course_lib import dimension, metrics, teddies
from course_lib.device import Machine
from course_lib.dit import DiT
from course_lib.images import of_length, to_float
from course_lib.judges import classifier
from course_lib.unet import UNet

# One picture of teddies but for place and tilt: what `teddy_bank` and `teddy_walk` hold fixed.
SCENE = {"count": "one", "fur": "pink", "activity": "waving", "scarf": "green", "background": "meadow", "grain": 7}
SCENE |= {"fabric": "dots", **dict.fromkeys(set(teddies.CONTINUOUS) - {"x", "tilt"}, 0.0)}


class Dimensions(NamedTuple):
    """What the three estimators say: axes for 95 % of the variance, participation ratio, TwoNN with its standard error."""

    pca: int
    participation: float
    two_nn: float
    error: float


class Redundancy(NamedTuple):
    """correlation: by distance in pixels. r2: of a pixel from four neighbours. bits, raw: a pixel packed, and before."""

    correlation: Tensor
    r2: float
    bits: float
    raw: int


class KernelDensityFit(NamedTuple):
    """A kernel density: its bandwidth; log-likelihood of held-out points and of its own training points (nats for a point);
    how many kernels share a held-out point."""

    bandwidth: float
    log_likelihood: float
    own: float
    kernels: float


class Walk(NamedTuple):
    """S equal steps from B images, by a factor and by noise: images [S, B, C, H, W]; lengths, to the bank [S, B]."""

    moved: Tensor
    noisy: Tensor
    distance: Tensor
    moved_to_bank: Tensor
    noisy_to_bank: Tensor


def convolution(side: int) -> nn.Module:
    """A denoiser of RGB images made of convolutions alone: the UNet with its attention left out; any multiple of 4 will do."""
    return UNet(in_channels=3, width=32, multipliers=(1, 2, 4), blocks=1, attention=(), heads=0, num_classes=None)


def attention(side: int) -> nn.Module:
    """A denoiser of RGB images in which every pixel attends to every pixel: the DiT with patches of one pixel."""
    return DiT(in_channels=3, size=side, patch=1, dim=32, depth=2, heads=1, num_classes=None)


def step_flops(make: Callable[[int], nn.Module], side: int) -> int:
    """Floating-point operations of one denoising step for one image, counted without computing: a sum is one, a product one.

    Counted on torch's "meta" device, where tensors have shapes and no numbers, so that 1024×1024 costs nothing. (On a CPU the
    same counter would miss the fused attention kernel.) Only convolutions and matrix products count, as usual.
    """
    with torch.device("meta"):
        net, x, t = make(side), torch.empty(1, 3, side, side), torch.ones(1, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(x, t)
    return counter.get_total_flops()


@torch.no_grad()
def step_seconds(make: Callable[[int], nn.Module], side: int, machine: Machine, at_least: float = 0.3) -> float:
    """Seconds of one denoising step for one image: the best of several, after one to warm up, for at least so many seconds.

    A first step that takes ten times as long is taken as it is: what warming up adds is nothing beside it.
    """
    net = make(side).to(machine.device).eval()
    x = torch.zeros(1, 3, side, side, device=machine.device)
    t = torch.ones(1, dtype=torch.int64, device=machine.device)
    took = []
    while len(took) < 2 or sum(took[1:]) < at_least:
        start = time.perf_counter()
        with machine.autocast():
            net(x, t)
        machine.synchronize()
        took.append(time.perf_counter() - start)
        if took[0] > 10 * at_least:
            break
    return min(took[1:] or took)


def exponent(sides: Sequence[float], costs: Sequence[float]) -> float:
    """p in cost = c · side^p, by least squares on logarithms."""
    x, y = (torch.tensor(v, dtype=torch.float64).log() for v in (list(sides), list(costs)))
    x = x - x.mean()
    return ((x * y).sum() / x.square().sum()).item()


def as_time(seconds: float) -> str:
    """Seconds as people say them: 0.2 s, 14 minutes, 13 hours, 2.6 years."""
    units = (("years", 31_557_600), ("days", 86_400), ("hours", 3600), ("minutes", 60))
    for name, length in units:
        if seconds >= 2 * length:
            count = seconds / length
            return f"{count:.1f} {name}" if count < 10 else f"{count:,.0f} {name}"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"


def redundancy(images: Tensor, reach: int) -> Redundancy:
    """How much of a pixel its surroundings tell. images: uint8 [B, C, H, W]; reach: pixels, the largest distance."""
    return Redundancy(
        dimension.neighbour_correlation(images, reach).cpu(),
        dimension.linear_prediction(images).r2,
        dimension.lossless_bits_per_pixel(images),
        8 * images.shape[1],
    )


def centre(image: Tensor, side: int) -> Tensor:
    """The central square [1, C, side, side] of a picture [C, H, W], its pixels as they are."""
    top, left = ((n - side) // 2 for n in image.shape[-2:])
    return image[None, :, top : top + side, left : left + side]


def dimensions(x: Tensor) -> Dimensions:
    """The three estimates for points [N, ...]."""
    spectrum, near = dimension.pca_spectrum(x), dimension.two_nn(x)
    share = dimension.pca_dimension(spectrum, 0.95)
    return Dimensions(share, dimension.participation_ratio(spectrum), near.dimension, near.error)


def known(kind: str, d: int, n: int, seed: int, ambient: int = 64, noise: float = 0.0) -> Tensor:
    """n points [n, ambient] of a known dimension d, laid into the larger space by random orthonormal axes: lengths are kept.

    kind: "subspace" (Gaussian of scale 1 in d of the axes), "sphere" (the surface of radius 1, in d + 1 of them) or "swiss roll"
    (d = 2 only: a sheet rolled up in 3 of them, Tenenbaum et al. 2000). noise: standard deviation of white noise in all the
    axes, with which the set is d-dimensional at lengths well above noise · √(2 · ambient) only.
    """
    if kind not in ("subspace", "sphere", "swiss roll") or (kind == "swiss roll" and d != 2):
        raise ValueError(f'kind is {kind!r}, d is {d}; expected "subspace", "sphere", or "swiss roll" with d = 2.')
    generator = torch.Generator().manual_seed(seed)
    wide = d + (kind != "subspace")
    axes = torch.linalg.qr(torch.randn(ambient, wide, generator=generator, dtype=torch.float64)).Q
    x = torch.randn(n, wide, generator=generator, dtype=torch.float64)
    if kind == "sphere":
        x = F.normalize(x)
    elif kind == "swiss roll":
        turn, height = torch.rand(2, n, generator=generator, dtype=torch.float64)
        angle = 1.5 * math.pi * (1 + 2 * turn)
        x = torch.stack([angle * angle.cos(), 21 * height, angle * angle.sin()], 1)
    return x @ axes.T + noise * torch.randn(n, ambient, generator=generator, dtype=torch.float64)


def free_teddies(k: int, n: int, seed: int, size: int = 32) -> Tensor:
    """n teddies [n, 3, size, size] of which k continuous factors vary, 0 to 8, and nothing else does."""
    order = ("tilt", "x", "size", "light", "y", "warmth", "brightness", "saturation")
    held = {name: value for name, value in SCENE.items() if name not in order}
    held |= {name: 0.0 for name in order[k:]}
    return teddies.render(teddies.sample_factors(n, seed, **held), size)


def to_bank(images: Tensor, bank: Tensor, rows: int = 10_000) -> Tensor:
    """Euclidean distance from each image [B, ...], floats in [-1, 1], to the nearest of a bank, uint8 or floats [M, ...]: [B].

    The bank is read `rows` at a time: 60,000 images as float64 would not fit a small machine.
    """
    parts = (to_float(part) if part.dtype == torch.uint8 else part for part in bank.split(rows))
    return torch.stack([metrics.nearest(images, part)[0][:, 0] for part in parts]).amin(0)


def teddy_bank(n: int, seed: int, size: int = 64) -> Tensor:
    """n teddies [n, 3, size, size] that differ in place and tilt only."""
    return teddies.render(teddies.sample_factors(n, seed, **SCENE), size)


def teddy_walk(steps: Sequence[float], n: int, bank: Tensor, seed: int) -> Walk:
    """From n teddies: step by step in tilt, and in white noise over exactly the same Euclidean distance.

    steps: changes of tilt, 0..1 (it runs from -1 to 1, and each teddy leans towards the middle). bank: as of `teddy_bank`.
    """
    size, generator = bank.shape[-1], torch.Generator().manual_seed(seed)
    start = teddies.sample_factors(n, generator, **SCENE)
    towards = -torch.where(start.tilt < 0, -1.0, 1.0)
    x0 = teddies.render(start, size)
    direction = torch.randn(x0.shape, generator=generator)  # one for all steps: the slider then only turns it up
    moved = torch.stack([teddies.render(start.replace(tilt=start.tilt + towards * s), size) for s in steps])
    distance = (moved - x0).flatten(2).norm(dim=2)
    noisy = torch.stack([x0 + of_length(direction, d) for d in distance])
    near = [to_bank(x.flatten(0, 1), bank).view(distance.shape) for x in (moved, noisy)]
    return Walk(moved, noisy, distance, *near)


def shifted(images: Tensor, pixels: int) -> Tensor:
    """Images [B, C, H, W] moved to the right; black (-1) comes in from the left."""
    return F.pad(images, (pixels, 0), value=-1.0)[..., : images.shape[-1]]


def readings(net: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """The judge's mean confidence in whatever it reads, and the share that it reads as labelled; both 0..1."""
    probabilities = classifier.read(net, images)[1].softmax(1)
    return probabilities.amax(1).mean().item(), metrics.agreement(probabilities, labels)


def kernel_density_fit(train: Tensor, validation: Tensor, test: Tensor) -> KernelDensityFit:
    """A Gaussian kernel on every training point [N, d]; the bandwidth that makes the validation points most likely.

    `kernels` is the perplexity of a test point's shares in the kernels (median over test points): how many of them
    hold a new image up. 1 means that the density is a heap of separate spikes. `own` is of as many training points as there
    are test points: what it lies above the held-out log-likelihood was learned by heart.
    """
    d = train.shape[1]
    scale = train.std(0).square().mean().sqrt()
    widths = scale * torch.logspace(-1.5, 0.3, 28, dtype=train.dtype, device=train.device)

    def log_density(squared: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        exponents = squared / (-2 * width**2)
        normal = math.log(len(train)) + d * (width.log() + math.log(2 * math.pi) / 2)
        return exponents.logsumexp(1) - normal, exponents

    squared = torch.cdist(validation, train).square()
    scores = torch.stack([log_density(squared, width)[0].mean() for width in widths])
    width = widths[scores.argmax()]
    density, exponents = log_density(torch.cdist(test, train).square(), width)
    own = log_density(torch.cdist(train[: len(test)], train).square(), width)[0]
    shared = torch.special.entr(exponents.softmax(1)).sum(1).exp().median()
    return KernelDensityFit(width.item(), density.mean().item(), own.mean().item(), shared.item())


def one_gaussian(train: Tensor, test: Tensor) -> float:
    """Mean log-likelihood (nats for a point) of test points [M, d] under one Gaussian, fitted to the training points [N, d]."""
    fitted = torch.distributions.MultivariateNormal(train.mean(0), train.T.cov().reshape(train.shape[1], -1))
    return fitted.log_prob(test).mean().item()


def gaussian_points(d: int, counts: Sequence[int], seed: int) -> list[Tensor]:
    """Draws from N(0, I) in d dimensions, one set [count, d] for each count."""
    generator = torch.Generator().manual_seed(seed)
    return list(torch.randn(sum(counts), d, generator=generator, dtype=torch.float64).split(list(counts)))


def principal_points(images: Tensor, d: int, counts: Sequence[int]) -> list[Tensor]:
    """The first d principal coordinates of images [N, ...], cut into sets [count, d]; the axes are those of the first set."""
    x = images[: sum(counts)].flatten(1).double()
    x = x - x[: counts[0]].mean(0)
    axes = torch.linalg.eigh(x[: counts[0]].T @ x[: counts[0]]).eigenvectors.flip(1)
    return list((x @ axes[:, :d]).split(list(counts)))
