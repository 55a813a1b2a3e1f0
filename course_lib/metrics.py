"""How good are generated images? Distances between sets of images, fidelity of pairs, and confidence intervals for both.

Set metrics (Fréchet distance, KID, precision and recall) compare *features* [N, D], for instance
`Classifier.features(images)`; N should be several times D. They compute in float64 on the device of their input
(on the CPU where the device has no float64). PSNR and SSIM compare pairs of images [B, C, H, W] in [-1, 1].
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.arguments import check_finite, check_flag, check_integer, check_labels, check_number, check_tensor


class PrecisionRecall(NamedTuple):
    """Precision: fraction of fakes that look real. Recall: fraction of reals that the fakes cover. Both 0..1."""

    precision: float
    recall: float


class Interval(NamedTuple):
    """A value, the ends of its confidence interval, and its standard error."""

    value: float
    low: float
    high: float
    error: float


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Fréchet distance between Gaussians fitted to two sets of features: the FID, with features of your choice.

    |mean_a - mean_b|² + tr(A + B - 2 (A B)^½), A and B the covariances (Heusel et al. 2017, eq. 6; Dowson and
    Landau 1982). It is biased upwards, more so for fewer samples: compare only values computed with equal N.

    Args: a, b: [N, D] and [M, D], any float type, at least two rows each.
    Raises: ValueError for other shapes, or values that are not finite.
    """
    a, b = _features(a, b, rows=2)
    shift = (a.mean(0) - b.mean(0)).square().sum()
    root_a, root_b = (_root(x.T.cov().reshape(x.shape[1], x.shape[1])) for x in (a, b))  # of one feature it is a number
    # tr((A B)^½) is the sum of the singular values of A^½ B^½: symmetric roots and an SVD stay accurate where
    # one covariance is singular, and need no eigenvalues of the unsymmetric A B.
    overlap = torch.linalg.svdvals(root_a @ root_b).sum()
    distance = shift + root_a.square().sum() + root_b.square().sum() - 2 * overlap
    return distance.clamp(min=0).item()


def kid(a: Tensor, b: Tensor) -> float:
    """Kernel inception distance (KID, Bińkowski et al. 2018), with features of your choice; it can be negative.

    The unbiased squared maximum mean discrepancy (Gretton et al. 2012, eq. 3) with the kernel (x·y / D + 1)³. Holds
    [N, N], [M, M] and [N, M] in memory at once. `bootstrap` gives it an error that is somewhat too large, since
    it repeats rows: by about 15 % for 500 samples in 5 dimensions.

    Args: a, b: [N, D] and [M, D], at least two rows each.
    Raises: ValueError for other shapes, or values that are not finite.
    """
    a, b = _features(a, b, rows=2)

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def off_diagonal_mean(k: Tensor) -> Tensor:  # a point paired with itself would bias the estimate
        return (k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1))

    return (off_diagonal_mean(kernel(a, a)) + off_diagonal_mean(kernel(b, b)) - 2 * kernel(a, b).mean()).item()


def nearest_neighbours(x: Tensor, reference: Tensor | None = None, k: int = 1, chunk: int = 1024) -> tuple[Tensor, Tensor]:
    """Find the k nearest rows of `reference` for each row of `x`, exactly, without storing the full distance matrix.

    Args:
        x: [N, ...], flattened to [N, D].
        reference: [M, ...], or None for `x` itself, where no row is its own neighbour.
        k: how many, 1..M (1..N-1 against itself). chunk: rows of `x` at a time.
    Returns: Euclidean distances [N, k], ascending, float64; indices into the reference [N, k].
    """
    check_points(x)
    k = check_integer("k", k)
    chunk = check_integer("chunk", chunk, at_least=1)
    alone = reference is None
    if reference is not None:
        check_tensor("reference", reference, f"[M, {', '.join(map(str, x.shape[1:]))}]")
    x, reference = _features(x.flatten(1), (x if reference is None else reference).flatten(1))
    others = len(reference) - alone
    if not 1 <= k <= others:
        raise ValueError(f"k is {k}, but each point has {others} other points: k must be 1 to {others}.")
    centre = reference.mean(0)  # near the origin the matrix-multiply form of the distance is most accurate
    x, reference = x - centre, reference - centre
    distances, indices = [], []
    for start in range(0, len(x), chunk):
        rows = x[start : start + chunk]
        table = torch.cdist(rows, reference)
        if alone:
            table[:, start : start + len(rows)].fill_diagonal_(torch.inf)
        found = table.topk(k, largest=False).indices
        # computed again as a difference, so that identical rows are at distance exactly 0
        exact, order = torch.stack([(rows - reference[column]).norm(dim=1) for column in found.T], 1).sort(1)
        distances.append(exact)
        indices.append(found.gather(1, order))
    return torch.cat(distances), torch.cat(indices)


def neighbour_agreement(a: Tensor, b: Tensor, k: int = 10, chunk: int = 1024) -> float:
    """Fraction of each point's k nearest neighbours that are the same in two spaces, 0..1; by chance k / (N - 1).

    Args: a, b: [N, ...] and [N, ...], row i of both the same item, for instance images and their latents.
    """
    check_tensor("a", a, "[N, ...]")
    check_tensor("b", b, "[N, ...]")
    if len(a) != len(b):
        raise ValueError(f"There are {len(a)} and {len(b)} rows, but row i of both must be the same item.")
    in_a, in_b = nearest_neighbours(a, k=k, chunk=chunk)[1], nearest_neighbours(b, k=k, chunk=chunk)[1]
    return (in_a[:, :, None] == in_b[:, None, :]).any(2).double().mean().item()


def precision_recall(real: Tensor, fake: Tensor, k: int = 3, chunk: int = 1024) -> PrecisionRecall:
    """Improved precision and recall (Kynkäänniemi et al. 2019, eq. 1 and 2).

    The support of a set is the union of balls around its points, each as wide as the distance to the point's
    k-th neighbour. Precision is the fraction of fakes inside the support of the reals, recall the reverse.

    Args: real, fake: [N, D] and [M, D], more than k rows each; use equal N and M: balls shrink as a set grows.
    """
    k = check_integer("k", k, at_least=1)
    real, fake = _features(real, fake, rows=k + 1)
    realistic, covered = in_support(fake, real, k, chunk), in_support(real, fake, k, chunk)
    return PrecisionRecall(realistic.double().mean().item(), covered.double().mean().item())


def in_support(points: Tensor, support: Tensor, k: int = 3, chunk: int = 1024) -> Tensor:
    """Which points lie in the support of another set, as defined in `precision_recall`: bool [N].

    Args: points, support: [N, D] and [M, D], M more than k.
    """
    points, support = _features(points, support)
    points, support = points - support.mean(0), support - support.mean(0)
    radii = nearest_neighbours(support, k=k, chunk=chunk)[0][:, -1]
    rounding = 1e-6 * max(points.abs().max(), support.abs().max()).item()  # of a distance by matrix products
    inside = []
    for part in points.split(int(chunk)):
        margin = torch.cdist(part, support) - radii
        found = (margin < -rounding).any(1)
        row, column = (margin.abs() <= rounding).nonzero(as_tuple=True)  # too close to tell: computed again as a difference
        at_the_edge = (part[row] - support[column]).norm(dim=1) <= radii[column]
        found[row[at_the_edge]] = True
        inside.append(found)
    return torch.cat(inside)


def psnr(x: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
    """Peak signal-to-noise ratio of each image, 10 log10(2² / MSE) dB, then averaged; infinite for equal ones.

    Args: x, y: [B, C, H, W] in [-1, 1]. reduction: "mean" -> scalar, "none" -> [B].
    """
    from torchmetrics.functional.image import peak_signal_noise_ratio

    x, y = _image_pairs(x, y)
    values = peak_signal_noise_ratio(x, y, data_range=2.0, reduction="none", dim=(1, 2, 3))
    return _reduce(values, reduction)


def ssim(x: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
    """Structural similarity of each image, then averaged; 1 for equal images (Wang et al. 2004, eq. 13).

    An 11×11 Gaussian window of σ 1.5 at all positions where it fits into the image, as in the authors' code; constants 0.01 and
    0.03 of the range 2. Arguments as for `psnr`; H and W at least 11.
    """
    x, y = _image_pairs(x, y)
    if min(x.shape[-2:]) < 11:
        raise ValueError(f"The images are {x.shape[-2]}×{x.shape[-1]}, but SSIM's window needs at least 11×11 pixels.")
    few = max(1, 2**17 // x.shape[1:].numel())  # what fits a processor's cache: all at once may take four times as long
    return _reduce(torch.cat([_ssim(*pair) for pair in zip(x.split(few), y.split(few), strict=True)]), reduction)


def _ssim(x: Tensor, y: Tensor) -> Tensor:
    """SSIM of each pair [B]: the mean over positions and channels of eq. 13, with moments weighted by the window."""
    rows, columns = (_window(side, x) for side in x.shape[-2:])
    mean_x, mean_y, xx, yy, xy = (rows @ z @ columns.T for z in (x, y, x * x, y * y, x * y))
    c1, c2 = 0.02**2, 0.06**2
    similarity = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    similarity *= (2 * (xy - mean_x * mean_y) + c2) / ((xx - mean_x**2) + (yy - mean_y**2) + c2)
    return similarity.mean((1, 2, 3))


def _window(side: int, like: Tensor) -> Tensor:
    """The Gaussian window at each of its positions along a side, as a matrix [side − 10, side] whose rows sum to 1."""
    offset = torch.arange(side, device=like.device) - torch.arange(5, side - 5, device=like.device)[:, None]
    weight = torch.exp(-(offset.to(like.dtype) ** 2) / (2 * 1.5**2)).masked_fill(offset.abs() > 5, 0)
    return weight / weight.sum(1, keepdim=True)


def class_agreement(predicted: Tensor, wanted: Tensor) -> float:
    """Fraction of samples whose predicted class is the wanted one, 0..1.

    Args: predicted: labels [N], or logits [N, K] (the largest counts). wanted: labels [N].
    Raises: ValueError for other shapes, logits that are not finite, and wanted labels that there are not.
    """
    check_tensor("predicted", predicted)
    check_tensor("wanted", wanted, "", "integer", least=0)
    check_finite("predicted", predicted)
    if predicted.is_floating_point() != (predicted.ndim == 2):
        raise ValueError(
            f"predicted holds {predicted.dtype} {tuple(predicted.shape)}, but class_agreement takes integer labels [N] or "
            "logits [N, K]."
        )
    labels = predicted.argmax(1) if predicted.ndim == 2 else predicted
    if labels.shape != wanted.shape or wanted.ndim != 1 or len(wanted) == 0:
        raise ValueError(
            f"class_agreement was given {tuple(predicted.shape)} and {tuple(wanted.shape)}, but takes labels [N] or "
            "logits [N, K], and the wanted labels [N]."
        )
    if predicted.ndim == 2:
        check_labels("wanted", wanted.cpu(), predicted.shape[1])
    return (labels == wanted).double().mean().item()


def calibration_error(logits: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Expected calibration error, 0..1: how far confidence lies from accuracy (Guo et al. 2017, eq. 3).

    Args: logits: [N, K]. labels: [N]. bins: equal bins of confidence over 0..1.
    """
    from torchmetrics.functional.classification import multiclass_calibration_error

    _check_predictions(logits, labels, bins)
    return multiclass_calibration_error(logits.float().softmax(1), labels, logits.shape[1], n_bins=int(bins)).item()


def reliability_diagram(logits: Tensor, labels: Tensor, bins: int = 15) -> tuple[Tensor, Tensor, Tensor]:
    """The reliability diagram (Guo et al. 2017, fig. 1): mean confidence, accuracy and fraction of the samples in each bin.

    Returns three tensors [non-empty bins], float64 on the CPU, in order of confidence. The sum of |accuracy - confidence|
    weighted by the fractions is ``calibration_error``. Args as there.
    """
    _check_predictions(logits, labels, bins)
    confidence, predicted = (x.cpu() for x in logits.double().softmax(1).max(1))
    bin_of = (confidence * bins).ceil().long().clamp(1, bins) - 1  # closed above, as in torchmetrics
    correct = (predicted == labels.cpu()).double()
    weights = (torch.ones_like(confidence), confidence, correct)
    count, confidences, hits = (torch.bincount(bin_of, w, minlength=bins) for w in weights)
    filled = count > 0
    return confidences[filled] / count[filled], hits[filled] / count[filled], count[filled] / len(confidence)


def bootstrap(
    statistic: Callable[..., float | Tensor],
    *samples: Tensor,
    generator: torch.Generator | None = None,
    n: int = 200,
    confidence: float = 0.95,
    paired: bool = False,
) -> Interval:
    """A bootstrap confidence interval for any statistic of one or more samples, by resampling rows (Efron 1979).

    The interval is the spread of the resampled values *about their own mean*, centred on the value: resampling
    repeats rows, which biases a Fréchet distance upwards, and the plain percentile interval could miss the value
    itself.

    Args:
        statistic: called with tensors like `samples`, returns a scalar.
        samples: tensors whose first dimension is resampled.
        generator: for the resampling. n: number of resamples. confidence: of the interval, in (0, 1).
        paired: draw the same rows from all samples (logits with their labels); otherwise independently.
    """
    n = check_integer("n", n, 2, 10_000_000)
    confidence = check_number("confidence", confidence, above=0, below=1)
    for x in samples:
        check_tensor("a sample", x, "[N, ...]", "any")
    if not samples:
        raise ValueError("bootstrap was given no sample, but needs the tensors whose rows are resampled.")
    check_flag("paired", paired)
    if paired and len({len(x) for x in samples}) > 1:
        raise ValueError(f"The samples have {[len(x) for x in samples]} rows, but paired samples must have equally many.")
    values = []
    for _ in range(n):
        rows = [_draw(x, generator) for x in (samples[:1] if paired else samples)]
        rows = rows * len(samples) if paired else rows
        values.append(float(statistic(*(x[i.to(x.device)] for x, i in zip(samples, rows, strict=True)))))
    spread = torch.tensor(values, dtype=torch.float64)
    value, tail = float(statistic(*samples)), (1 - confidence) / 2
    if math.isnan(value) or bool(spread.isnan().any()):
        raise ValueError("The statistic is NaN for these samples or for resampled ones: look at its inputs.")
    low, high = (value + (spread - spread.mean()).quantile(q).item() for q in (tail, 1 - tail))
    return Interval(value, low, high, spread.std().item())


def check_points(x: Tensor) -> None:
    """Check points [N, ...]: at least one number each, on an axis of their own."""
    check_tensor("x", x, "[N, ...]")
    if x.ndim < 2:
        raise ValueError(f"x has shape {tuple(x.shape)}, but must be [N, ...] with at least two axes: x[:, None] for numbers.")


def off_mps(x: Tensor) -> Tensor:
    """Return the tensor, moved to the CPU if it is on an Apple GPU, which has no float64."""
    return x.cpu() if x.device.type == "mps" else x


def _check_predictions(logits: Tensor, labels: Tensor, bins: int) -> None:
    check_tensor("logits", logits, "[N, K]", "float")
    check_finite("logits", logits)
    check_labels("labels", labels.cpu() if isinstance(labels, Tensor) else labels, logits.shape[1], len(logits))
    check_integer("bins", bins, 1, 10_000)


def _features(a: Tensor, b: Tensor, rows: int = 1) -> tuple[Tensor, Tensor]:
    for name, x in (("the first set of features", a), ("the second set of features", b)):
        check_tensor(name, x, "", least=0)
    if a.ndim == b.ndim == 2 and a.shape[1] == 0:
        raise ValueError("The sets of features have 0 features each, but need at least one.")
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < rows:
        raise ValueError(
            f"The sets of features are {tuple(a.shape)} and {tuple(b.shape)}, but must be [N, D] and [M, D] "
            f"with the same D and at least {rows} rows each."
        )
    a, b = off_mps(a).double(), off_mps(b).double()
    if not (a.sum() + b.sum()).isfinite():
        raise ValueError("The features contain NaN or infinite values: look for the first layer that produces them.")
    return a, b


def _root(covariance: Tensor) -> Tensor:
    """The symmetric square root of a positive semi-definite matrix."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def _image_pairs(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    check_tensor("x", x, "", "float")
    check_tensor("y", y, "", "float")
    if x.shape != y.shape or x.ndim != 4:
        raise ValueError(f"The images are {tuple(x.shape)} and {tuple(y.shape)}, but pairs must have equal shapes [B, C, H, W].")
    check_finite("x", x)
    check_finite("y", y)
    dtype = torch.promote_types(torch.promote_types(x.dtype, y.dtype), torch.float32)
    return x.to(dtype), y.to(dtype)


def _reduce(values: Tensor, reduction: str) -> Tensor:
    if reduction not in ("mean", "none"):
        raise ValueError(f'reduction is {reduction!r}, but must be "mean" or "none".')
    return values.mean() if reduction == "mean" else values


def _draw(x: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randint(len(x), (len(x),), generator=generator, device=_generator_device(generator))


def _generator_device(generator: torch.Generator | None) -> torch.device:
    if not isinstance(generator, torch.Generator | None):
        raise TypeError(
            f"generator is {generator!r:.60}, but must be a torch.Generator, such as torch.Generator().manual_seed(0)."
        )
    return generator.device if generator is not None else torch.device("cpu")
