"""How good are generated images? Distances between sets of images, fidelity of pairs, and confidence intervals for both.

Set metrics (Fréchet distance, KID, precision and recall) compare *features* [N, D], for instance
`Classifier.features(images)`; N should be several times D. They compute in float64 on the device of their input
(on the CPU where the device has no float64). PSNR and SSIM compare pairs of images [B, C, H, W] in [-1, 1],
with torchmetrics.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


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
    root_a, root_b = _root(a.T.cov()), _root(b.T.cov())
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
    alone = reference is None
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
    return torch.cat([(torch.cdist(part, support) <= radii).any(1) for part in points.split(chunk)])


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

    An 11×11 Gaussian window of σ 1.5, mirrored at the border. Arguments as for `psnr`; H and W at least 6.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    x, y = _image_pairs(x, y)
    if min(x.shape[-2:]) < 6:
        raise ValueError(f"The images are {x.shape[-2]}×{x.shape[-1]}, but SSIM's window needs at least 6×6 pixels.")
    few = max(1, 2**17 // x.shape[1:].numel())  # what fits a processor's cache: all at once may take four times as long
    values = []
    for pair in zip(x.split(few), y.split(few), strict=True):
        value = structural_similarity_index_measure(*pair, data_range=2.0, reduction="none")
        assert isinstance(value, Tensor)  # a tuple only where the full map is returned as well
        values.append(value)
    return _reduce(torch.cat(values), reduction)


def class_agreement(predicted: Tensor, wanted: Tensor) -> float:
    """Fraction of samples whose predicted class is the wanted one, 0..1.

    Args: predicted: labels [N], or logits [N, K] (the largest counts). wanted: labels [N].
    """
    labels = predicted.argmax(1) if predicted.ndim == 2 else predicted
    if labels.shape != wanted.shape or wanted.ndim != 1 or len(wanted) == 0:
        raise ValueError(
            f"class_agreement was given {tuple(predicted.shape)} and {tuple(wanted.shape)}, but takes labels [N] or "
            "logits [N, K], and the wanted labels [N]."
        )
    return (labels == wanted).float().mean().item()


def calibration_error(logits: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Expected calibration error, 0..1: how far confidence lies from accuracy (Guo et al. 2017, eq. 3).

    Args: logits: [N, K]. labels: [N]. bins: equal bins of confidence over 0..1.
    """
    from torchmetrics.functional.classification import multiclass_calibration_error

    return multiclass_calibration_error(logits.float().softmax(1), labels, logits.shape[1], n_bins=bins).item()


def reliability_diagram(logits: Tensor, labels: Tensor, bins: int = 15) -> tuple[Tensor, Tensor, Tensor]:
    """The reliability diagram (Guo et al. 2017, fig. 1): mean confidence, accuracy and fraction of the samples in each bin.

    Returns three tensors [non-empty bins], float64 on the CPU, in order of confidence. The sum of |accuracy - confidence|
    weighted by the fractions is ``calibration_error``. Args as there.
    """
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
    if n < 2 or not 0 < confidence < 1:
        raise ValueError(f"bootstrap was given n={n} and confidence={confidence}, but needs n >= 2 and 0 < confidence < 1.")
    if paired and len({len(x) for x in samples}) > 1:
        raise ValueError(f"The samples have {[len(x) for x in samples]} rows, but paired samples must have equally many.")
    values = []
    for _ in range(n):
        rows = [_draw(x, generator) for x in (samples[:1] if paired else samples)]
        rows = rows * len(samples) if paired else rows
        values.append(float(statistic(*(x[i.to(x.device)] for x, i in zip(samples, rows, strict=True)))))
    spread = torch.tensor(values, dtype=torch.float64)
    value, tail = float(statistic(*samples)), (1 - confidence) / 2
    low, high = (value + (spread - spread.mean()).quantile(q).item() for q in (tail, 1 - tail))
    return Interval(value, low, high, spread.std().item())


def off_mps(x: Tensor) -> Tensor:
    """Return the tensor, moved to the CPU if it is on an Apple GPU, which has no float64."""
    return x.cpu() if x.device.type == "mps" else x


def _features(a: Tensor, b: Tensor, rows: int = 1) -> tuple[Tensor, Tensor]:
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
    if x.shape != y.shape or x.ndim != 4:
        raise ValueError(f"The images are {tuple(x.shape)} and {tuple(y.shape)}, but pairs must have equal shapes [B, C, H, W].")
    return x.float(), y.float()


def _reduce(values: Tensor, reduction: str) -> Tensor:
    if reduction not in ("mean", "none"):
        raise ValueError(f'reduction is {reduction!r}, but must be "mean" or "none".')
    return values.mean() if reduction == "mean" else values


def _draw(x: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randint(len(x), (len(x),), generator=generator, device=_generator_device(generator))


def _generator_device(generator: torch.Generator | None) -> torch.device:
    return generator.device if generator is not None else torch.device("cpu")
