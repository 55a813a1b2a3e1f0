"""How many dimensions does an image really need? Spectrum, intrinsic dimension and redundancy of pixels.

Everything is computed in float64, on the device of its input (on the CPU where the device has no float64).
"""

import lzma
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.arguments import check_choice, check_finite, check_integer, check_number, check_tensor
from course_lib.metrics import check_points, nearest_neighbours, off_mps


class TwoNN(NamedTuple):
    """The dimension, its standard error, points used, duplicates removed, and log(r2 / r1) of the points used, ascending."""

    dimension: float
    error: float
    points: int
    duplicates: int
    log_ratios: Tensor


class LinearPrediction(NamedTuple):
    """r2: fraction of variance explained. residual_std: in the image's units. weights [4]: W, NW, N, NE."""

    r2: float
    residual_std: float
    weights: Tensor


def pca_spectrum(x: Tensor, chunk: int = 4096) -> Tensor:
    """Variances along the principal axes, descending: [min(N, D)], float64; their sum is the total variance.

    Exact: eigenvalues of the covariance [D, D], or of the Gram matrix [N, N] where that is smaller (the
    non-zero ones are equal), accumulated in chunks, so that only a chunk of the data is in float64 at a time.

    Args: x: [N, ...], flattened to [N, D]; N at least 2; any dtype.
    """
    chunk = check_integer("chunk", chunk, at_least=1)
    x = _points(x)
    n, d = x.shape
    if n < 2:
        raise ValueError(f"x has {n} rows, but a spectrum needs at least 2 points.")
    mean = x.mean(0, dtype=torch.float64)
    if d <= n:
        matrix = x.new_zeros(d, d, dtype=torch.float64)
        for rows in x.split(chunk):
            centred = rows.double() - mean
            matrix += centred.T @ centred
    else:
        matrix = x.new_zeros(n, n, dtype=torch.float64)
        for i in range(0, d, chunk):
            centred = x[:, i : i + chunk].double() - mean[i : i + chunk]
            matrix += centred @ centred.T
    return torch.linalg.eigvalsh(matrix / (n - 1)).flip(0).clamp(min=0)


def pca_dimension(spectrum: Tensor, fraction: float = 0.95) -> int:
    """The fewest principal axes that explain `fraction` (0..1) of the variance of a descending spectrum [D]."""
    fraction = check_number("fraction", fraction, above=0, at_most=1)
    spectrum = _spectrum(spectrum)
    if bool((spectrum.diff() > 1e-9 * spectrum[0]).any()):
        raise ValueError("The spectrum is not in descending order: sort it, or compute it with pca_spectrum.")
    explained = spectrum.cumsum(0)
    return min(int((explained < fraction * explained[-1]).sum()) + 1, int((spectrum > 0).sum()))


def participation_ratio(spectrum: Tensor) -> float:
    """(Σλ)² / Σλ²: D where all axes have equal variance, 1 where one has all of it (Gao et al. 2017)."""
    spectrum = _spectrum(spectrum)
    return (spectrum.sum().square() / spectrum.square().sum()).item()


def two_nn(x: Tensor, discard: float = 0.1, method: str = "fit", chunk: int = 1024) -> TwoNN:
    """Intrinsic dimension from the ratio of each point's two nearest distances (Facco et al. 2017).

    Where the density is constant over the two nearest neighbours, log(r2 / r1) is exponential with rate d.
    Both methods leave out the largest `discard` fraction, where that assumption fails first and outliers lie:

    - "fit" (the paper's method): the slope through the origin of -log(1 - F) over log(r2 / r1), F the
      empirical distribution.
    - "mle": the maximum likelihood estimate of d for a sample censored there; smaller variance if the law
      holds exactly.

    The error is that of the likelihood, d / √points; it does not include the bias, which grows with d: 2,000
    points in a cube of 8 dimensions are nearly all near a face. Duplicates have r1 = 0 and no ratio: all but
    one of each are removed and counted.

    Args: x: [N, ...], flattened; at least 3 distinct points. discard: in [0, 1).
    """
    check_choice("method", method, ("fit", "mle"))
    discard = check_number("discard", discard, at_least=0, below=1)
    points = _points(x).unique(dim=0)
    if len(points) < 3:
        raise ValueError(f"There are {len(points)} distinct points among {len(x)}, but two_nn needs at least 3.")
    distances, _ = nearest_neighbours(points, k=2, chunk=chunk)
    log_ratios = (distances[:, 1] / distances[:, 0]).log().sort().values
    n = len(log_ratios)
    last = n - 1 if method == "fit" else n  # at the last of all points -log(1 - F) is infinite
    k = max(2, min(last, round(n * (1 - discard))))
    used = log_ratios[:k]
    if used[-1] == 0:
        raise ValueError("Every point has its two nearest neighbours at one distance, as on a lattice: their ratio says nothing.")
    if method == "fit":
        survival = -torch.log1p(-torch.arange(1, k + 1, dtype=used.dtype, device=used.device) / n)
        dimension = ((used * survival).sum() / used.square().sum()).item()
    else:
        dimension = ((k - 1) / (used.sum() + (n - k) * used[-1])).item()
    return TwoNN(dimension, dimension / k**0.5, k, len(x) - n, used)


def neighbour_correlation(images: Tensor, max_distance: int) -> Tensor:
    """Pearson correlation of two pixels of one channel against their distance: [max_distance + 1], float64.

    Index r holds the mean over channels, and over horizontal and vertical pairs, of the correlation at r
    pixels; index 0 is 1.

    Args: images: [B, C, H, W], any range. max_distance: in pixels, less than H and W.
    Raises: ValueError where the images are too small, or a channel does not vary.
    """
    x = _images(images)
    check_integer("max_distance", max_distance)
    if not 0 <= max_distance < min(x.shape[-2:]):
        raise ValueError(
            f"max_distance is {max_distance}, but must be 0 or more and below the sides {x.shape[-2]}×{x.shape[-1]}."
        )

    def pearson(a: Tensor, b: Tensor) -> Tensor:
        a, b = (z - z.mean((0, 2, 3), keepdim=True) for z in (a, b))
        norms = a.square().sum((0, 2, 3)) * b.square().sum((0, 2, 3))
        if bool((norms == 0).any()):
            raise ValueError(f"At a distance of {r} pixels only pixels of one value are left: give a smaller max_distance.")
        return ((a * b).sum((0, 2, 3)) / norms.sqrt()).mean()

    values = [torch.ones((), dtype=x.dtype, device=x.device)]
    for r in range(1, max_distance + 1):
        values.append((pearson(x[..., :-r], x[..., r:]) + pearson(x[..., :-r, :], x[..., r:, :])) / 2)
    return torch.stack(values)


def linear_prediction(images: Tensor) -> LinearPrediction:
    """Predict each pixel linearly from the four neighbours before it in raster order (W, NW, N, NE), by least squares.

    One set of weights for all channels, each centred on its own mean; pixels without all four are left out.

    Args: images: [B, C, H, W], H at least 2, W at least 3, any range.
    Raises: ValueError where the images are too small, or a channel does not vary.
    """
    x = _images(images)
    if x.shape[-2] < 2 or x.shape[-1] < 3:
        raise ValueError(f"The images are {x.shape[-2]}×{x.shape[-1]}, but four neighbours need at least 2×3 pixels.")
    above, here = x[..., :-1, :], x[..., 1:, :]
    shifted = (here[..., 1:-1], here[..., :-2], above[..., :-2], above[..., 1:-1], above[..., 2:])
    rows = torch.stack([(z - z.mean((0, 2, 3), keepdim=True)).flatten() for z in shifted])
    covariance = (rows @ rows.T / rows.shape[1]).cpu()  # 5×5: the pixel itself, then its neighbours
    cross, variance = covariance[1:, 0], covariance[0, 0]
    if variance == 0:
        raise ValueError("All pixels that have four neighbours before them have one value: there is nothing to predict.")
    # pinv, not solve: in a regular pattern neighbours can be identical, and the matrix singular
    weights = torch.linalg.pinv(covariance[1:, 1:], hermitian=True) @ cross
    r2 = ((weights @ cross) / variance).clamp(0, 1)
    return LinearPrediction(r2.item(), ((1 - r2) * variance).sqrt().item(), weights)


def lossless_bits_per_pixel(images: Tensor) -> float:
    """Bits per pixel, all channels together, after lossless compression (8 · C before).

    The error of JPEG-LS's predictor (`prediction_error`), compressed with LZMA from the standard library, all
    images in one stream. That is an upper bound on the information in a pixel, as tight as PNG at its best or
    slightly tighter.

    Args: images: uint8 [B, C, H, W].
    """
    compressed = lzma.compress(prediction_error(images).cpu().numpy().tobytes(), preset=6)
    b, _, h, w = images.shape
    return len(compressed) * 8 / (b * h * w)


def prediction_error(images: Tensor) -> Tensor:
    """Pixel minus the median of (left, above, left + above - upper left), modulo 256: uint8 [B, C, H, W].

    Reversible. The "MED" predictor of Weinberger et al. 2000, eq. 1: it follows an edge where there is one, and
    otherwise a plane through the three neighbours. Outside the image everything is 0.
    """
    check_tensor("images", images, "", "any")
    if images.dtype != torch.uint8 or images.ndim != 4:
        raise ValueError(f"The images are {images.dtype} {tuple(images.shape)}, but must be uint8 [B, C, H, W].")
    x = torch.nn.functional.pad(images.short(), (1, 0, 1, 0))
    left, above, corner = x[..., 1:, :-1], x[..., :-1, 1:], x[..., :-1, :-1]
    guess = torch.stack([left, above, left + above - corner]).median(0).values
    return (x[..., 1:, 1:] - guess).remainder(256).to(torch.uint8)


def _points(x: Tensor) -> Tensor:
    """Points [N, ...] as [N, D], finite, on a device that has float64."""
    check_points(x)
    check_finite("x", x)
    return off_mps(x).flatten(1)


def _spectrum(spectrum: Tensor) -> Tensor:
    """A spectrum [D] in float64: variances, 0 or more, and not all 0."""
    check_tensor("spectrum", spectrum, "[D]")
    check_finite("spectrum", spectrum)
    values = off_mps(spectrum).double()
    if bool((values < 0).any()) or not bool((values > 0).any()):
        raise ValueError("A spectrum holds variances: 0 or more, and at least one above 0. Constant data have none.")
    return values


def _images(images: Tensor) -> Tensor:
    check_tensor("images", images, "", least=0)
    if images.ndim != 4 or len(images) == 0:
        raise ValueError(f"The images are {tuple(images.shape)}, but must be [B, C, H, W] with B at least 1.")
    check_finite("images", images)
    x = off_mps(images).double()
    if (x.amax((0, 2, 3)) == x.amin((0, 2, 3))).any():
        raise ValueError("A channel has the same value in every pixel, so its correlation is undefined: leave it out.")
    return x
