"""How good are generated images? Distances between sets, fidelity of pairs, and how sure we are of either.

Set metrics (Fréchet, KID, precision and recall) compare *features* [N, D], for instance
`Classifier.features(images)`; N should be several times D. They sum in float64 on the device of their input
(on the CPU where the device has no float64). PSNR and SSIM compare pairs of images [B, C, H, W] in [-1, 1],
by torchmetrics.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Estimate(NamedTuple):
    """A value and its standard error."""

    value: float
    error: float


class PrecisionRecall(NamedTuple):
    """Precision: share of fakes that look real. Recall: share of reals that the fakes cover. Both 0..1."""

    precision: float
    recall: float


class Interval(NamedTuple):
    """A value, the ends of its confidence interval, and its standard error."""

    value: float
    low: float
    high: float
    error: float


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Fréchet distance between Gaussians fitted to two sets of features: FID, with features of your choice.

    |mean_a - mean_b|² + tr(A + B - 2 (A B)^½), A and B the covariances (Heusel et al. 2017, eq. 6; Dowson and
    Landau 1982). It is biased upwards, the more so the fewer the samples: compare only figures taken with
    equal N.

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


def polynomial_mmd(a: Tensor, b: Tensor) -> Tensor:
    """Unbiased squared maximum mean discrepancy (Gretton et al. 2012, eq. 3); it can be negative.

    With the kernel of KID, (x·y / D + 1)³ (Bińkowski et al. 2018). Holds [N, N], [M, M] and [N, M] at once.

    Args: a, b: [N, D] and [M, D], at least two rows each.
    Returns: a scalar, float64.
    """
    a, b = _features(a, b, rows=2)

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def off_diagonal_mean(k: Tensor) -> Tensor:  # a point paired with itself is what would bias the estimate
        return (k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1))

    return off_diagonal_mean(kernel(a, a)) + off_diagonal_mean(kernel(b, b)) - 2 * kernel(a, b).mean()


def kid(a: Tensor, b: Tensor, subsets: int = 10, generator: torch.Generator | None = None) -> Estimate:
    """Kernel distance of two sets of features (KID, Bińkowski et al. 2018) with an honest standard error.

    Both sets are shuffled and cut into `subsets` *disjoint* parts; the value is the mean of the parts'
    unbiased MMD², the error their standard deviation / √subsets. (The usual recipe draws overlapping subsets
    of 1000 and reports their spread, which says little about the error of the mean: they are not independent.)

    Args:
        a, b: [N, D] and [M, D]; N and M at least 2 · subsets.
        subsets: at least 2. generator: for the shuffle.
    """
    if subsets < 2 or min(len(a), len(b)) < 2 * subsets:
        raise ValueError(
            f"KID over {subsets} subsets of {len(a)} and {len(b)} samples: it needs at least 2 subsets, each with "
            "at least 2 samples of both sets; give more samples or fewer subsets."
        )
    a, b = (_shuffled(x, generator).tensor_split(subsets) for x in (a, b))
    values = torch.stack([polynomial_mmd(x, y) for x, y in zip(a, b, strict=True)])
    return Estimate(values.mean().item(), (values.std() / subsets**0.5).item())


def nearest(x: Tensor, reference: Tensor | None = None, k: int = 1, chunk: int = 1024) -> tuple[Tensor, Tensor]:
    """The k nearest rows of `reference` for each row of `x`, exact; never holds the full distance matrix.

    Args:
        x: [N, ...], flattened to [N, D].
        reference: [M, ...], or None for `x` itself, where no row is its own neighbour.
        k: how many, 1..M (1..N-1 against itself). chunk: rows of `x` at a time.
    Returns: Euclidean distances [N, k], ascending, float64; indices into the reference [N, k].
    """
    alone = reference is None
    x, reference = _features(x.flatten(1), x.flatten(1) if alone else reference.flatten(1))
    if not 1 <= k <= len(reference) - alone:
        raise ValueError(f"{k} nearest neighbours were asked for, among {len(reference) - alone} other points.")
    centre = reference.mean(0)  # near the origin the matrix-multiply form of the distance loses fewest digits
    x, reference = x - centre, reference - centre
    distances, indices = [], []
    for start in range(0, len(x), chunk):
        rows = x[start : start + chunk]
        table = torch.cdist(rows, reference)
        if alone:
            table[:, start : start + len(rows)].fill_diagonal_(torch.inf)
        found = table.topk(k, largest=False).indices
        # Taken again as a difference: so identical rows are at distance 0 exactly.
        exact, order = torch.stack([(rows - reference[column]).norm(dim=1) for column in found.T], 1).sort(1)
        distances.append(exact)
        indices.append(found.gather(1, order))
    return torch.cat(distances), torch.cat(indices)


def neighbour_agreement(a: Tensor, b: Tensor, k: int = 10, chunk: int = 1024) -> float:
    """Share of each point's k nearest neighbours that are the same in two spaces, 0..1; chance is k / (N - 1).

    Args: a, b: [N, ...] and [N, ...], row i of both the same item, for instance images and their latents.
    """
    if len(a) != len(b):
        raise ValueError(f"Row i of both must be the same item, but there are {len(a)} and {len(b)} rows.")
    in_a, in_b = nearest(a, k=k, chunk=chunk)[1], nearest(b, k=k, chunk=chunk)[1]
    return (in_a[:, :, None] == in_b[:, None, :]).any(2).double().mean().item()


def precision_recall(real: Tensor, fake: Tensor, k: int = 3, chunk: int = 1024) -> PrecisionRecall:
    """Improved precision and recall (Kynkäänniemi et al. 2019, eq. 1 and 2).

    The support of a set is the union of balls around its points, each as wide as the distance to the point's
    k-th neighbour. Precision is the share of fakes inside the support of the reals, recall the reverse.

    Args: real, fake: [N, D] and [M, D], more than k rows each; use equal N and M: balls shrink as a set grows.
    """
    real, fake = _features(real, fake, rows=k + 1)
    shares = (in_support(fake, real, k, chunk), in_support(real, fake, k, chunk))
    return PrecisionRecall(*(share.double().mean().item() for share in shares))


def in_support(points: Tensor, support: Tensor, k: int = 3, chunk: int = 1024) -> Tensor:
    """Which points lie in the support of another set, as `precision_recall` has it: bool [N].

    Args: points, support: [N, D] and [M, D], M more than k.
    """
    points, support = _features(points, support)
    points, support = points - support.mean(0), support - support.mean(0)
    radii = nearest(support, k=k, chunk=chunk)[0][:, -1]
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
        raise ValueError(f"SSIM was given images of {x.shape[-2]}×{x.shape[-1]}: its window needs at least 6×6 pixels.")
    few = max(1, 2**17 // x.shape[1:].numel())  # what fits a processor's cache: all at once may take four times as long
    pairs = zip(x.split(few), y.split(few), strict=True)
    values = torch.cat([structural_similarity_index_measure(*pair, data_range=2.0, reduction="none") for pair in pairs])
    return _reduce(values, reduction)


def agreement(predicted: Tensor, wanted: Tensor) -> float:
    """Share of samples whose predicted class is the wanted one, 0..1.

    Args: predicted: labels [N], or logits [N, K] (the largest counts). wanted: labels [N].
    """
    labels = predicted.argmax(1) if predicted.ndim == 2 else predicted
    if labels.shape != wanted.shape or wanted.ndim != 1 or len(wanted) == 0:
        raise ValueError(
            f"Agreement was given {tuple(predicted.shape)} and {tuple(wanted.shape)}: expected labels [N] or logits "
            "[N, K], and the wanted labels [N]."
        )
    return (labels == wanted).float().mean().item()


def calibration_error(logits: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Expected calibration error, 0..1: how far confidence lies from accuracy (Guo et al. 2017, eq. 3).

    Args: logits: [N, K]. labels: [N]. bins: equal bins of confidence over 0..1.
    """
    from torchmetrics.functional.classification import multiclass_calibration_error

    return multiclass_calibration_error(logits.float().softmax(1), labels, logits.shape[1], n_bins=bins).item()


def reliability(logits: Tensor, labels: Tensor, bins: int = 15) -> tuple[Tensor, Tensor, Tensor]:
    """The reliability diagram (Guo et al. 2017, fig. 1): mean confidence, accuracy and share of the samples in each bin.

    Three tensors [filled bins], float64 on the CPU, in the order of confidence; bins that hold nothing are left out. The
    shares' sum of |accuracy - confidence| is ``calibration_error``. Args as there.
    """
    sure, guess = (x.cpu() for x in logits.double().softmax(1).max(1))
    bin_of = (sure * bins).ceil().long().clamp(1, bins) - 1  # closed above, as torchmetrics has them
    right = (guess == labels.cpu()).double()
    count, confident, correct = (torch.bincount(bin_of, w, minlength=bins) for w in (torch.ones_like(sure), sure, right))
    filled = count > 0
    return confident[filled] / count[filled], correct[filled] / count[filled], count[filled] / len(sure)


def bootstrap(
    statistic: Callable[..., float | Tensor],
    *samples: Tensor,
    generator: torch.Generator | None = None,
    n: int = 200,
    level: float = 0.95,
    paired: bool = False,
) -> Interval:
    """A confidence interval for any statistic of one or more samples, by resampling rows (Efron 1979).

    The interval is the spread of the resampled values *about their own mean*, laid around the value:
    resampling repeats rows, which biases a Fréchet distance upwards, and the plain percentile interval could
    miss the value itself.

    Args:
        statistic: called with tensors like `samples`, returns a number.
        samples: tensors whose first dimension is resampled.
        generator: for the resampling. n: resamples. level: of confidence, 0..1.
        paired: draw the same rows from all samples (logits with their labels); otherwise each by itself.
    """
    if n < 2 or not 0 < level < 1:
        raise ValueError(f"bootstrap needs n >= 2 and 0 < level < 1, and was given n={n}, level={level}.")
    if paired and len({len(x) for x in samples}) > 1:
        raise ValueError(f"Paired samples must have equally many rows, not {[len(x) for x in samples]}.")
    values = []
    for _ in range(n):
        rows = [_draw(x, generator) for x in (samples[:1] if paired else samples)]
        rows = rows * len(samples) if paired else rows
        values.append(float(statistic(*(x[i.to(x.device)] for x, i in zip(samples, rows, strict=True)))))
    spread = torch.tensor(values, dtype=torch.float64)
    value, tail = float(statistic(*samples)), (1 - level) / 2
    low, high = (value + (spread - spread.mean()).quantile(q).item() for q in (tail, 1 - tail))
    return Interval(value, low, high, spread.std().item())


def _double(x: Tensor) -> Tensor:
    return (x.cpu() if x.device.type == "mps" else x).double()


def _features(a: Tensor, b: Tensor, rows: int = 1) -> tuple[Tensor, Tensor]:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < rows:
        raise ValueError(
            f"Two sets of features were given as {tuple(a.shape)} and {tuple(b.shape)}: expected [N, D] and [M, D] "
            f"with the same D and at least {rows} rows each."
        )
    a, b = _double(a), _double(b)
    if not (a.sum() + b.sum()).isfinite():
        raise ValueError("The features hold NaN or infinite values; look for the first layer that makes them.")
    return a, b


def _root(covariance: Tensor) -> Tensor:
    """The symmetric square root of a positive semi-definite matrix."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def _image_pairs(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    if x.shape != y.shape or x.ndim != 4:
        raise ValueError(f"Pairs of images were given as {tuple(x.shape)} and {tuple(y.shape)}: expected equal [B, C, H, W].")
    return x.float(), y.float()


def _reduce(values: Tensor, reduction: str) -> Tensor:
    if reduction not in ("mean", "none"):
        raise ValueError(f'reduction is "mean" or "none", not {reduction!r}.')
    return values.mean() if reduction == "mean" else values


def _shuffled(x: Tensor, generator: torch.Generator | None) -> Tensor:
    return x[torch.randperm(len(x), generator=generator, device=_home(generator)).to(x.device)]


def _draw(x: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randint(len(x), (len(x),), generator=generator, device=_home(generator))


def _home(generator: torch.Generator | None) -> torch.device:
    return generator.device if generator is not None else torch.device("cpu")
