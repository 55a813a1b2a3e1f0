"""Homework 1, pixel space: what its checks compare with, and what people get wrong."""

import math

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor
from torch.nn import functional as F

from course_lib import dimension
from course_lib.homework.checks.case import Case, Mistake
from course_lib.homework.checks.exercise import Draw, Exercise, Homework, Written


def _says(draw: Draw, text: str) -> str:
    return f"{text} {draw.dtype}".replace("torch.", "")


def _answer(value: float, like: Tensor) -> Tensor:
    """One number in the inputs' own precision, so that it is compared as exactly as they allow."""
    return torch.tensor(float(value), dtype=like.dtype, device=like.device)


# --- patch_statistics ----------------------------------------------------------------------------------------------


def _patch_statistics(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    pixels = images.detach().cpu().double().numpy()
    _, _, height, width = pixels.shape
    corners = [(i, j) for i in range(0, height, size) for j in range(0, width, size)]
    rows = np.stack([image[:, i : i + size, j : j + size].ravel() for image in pixels for i, j in corners])
    return tuple(torch.from_numpy(x).to(images) for x in (rows.mean(0), np.cov(rows, rowvar=False)))


def _rows(images: Tensor, size: int, stride: int | None = None) -> Tensor:
    """Patches [N, D], image by image."""
    return F.unfold(images, size, stride=stride or size).transpose(1, 2).flatten(0, 1)


def _moments(rows: Tensor, correction: int = 1) -> tuple[Tensor, Tensor]:
    centred = rows - rows.mean(0)
    return rows.mean(0), centred.T @ centred / (len(rows) - correction)


def _block_patch_statistics(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    return _moments(_rows(images, size))


def _cut(images: Tensor, size: int, order: tuple[int, ...]) -> Tensor:
    """Patches [N, D], their six axes (image, channel, row of patches, row in it, column of patches, column in it) in this order."""
    b, c, h, w = images.shape
    return images.view(b, c, h // size, size, w // size, size).permute(order).reshape(-1, c * size**2)


def _patch_statistics_cases(draw: Draw) -> list[Case]:
    cases = []
    for shape, size in (((2, 3, 6, 10), 2), ((3, 1, 8, 12), 4), ((4, 2, 9, 6), 3)):
        brightness = draw.normal(shape[0], 1, 1, 1, std=0.4)  # images differ in brightness, as photographs do
        images = 0.3 + brightness + draw.normal(*shape, std=0.5)
        cases.append(Case(_says(draw, f"images {list(shape)}, size {size};"), (images, size)))
    return cases


PATCH_STATISTICS = Exercise(
    "patch_statistics", 4, 3, 20, _patch_statistics, _patch_statistics_cases, block=_block_patch_statistics,
    mistakes=(
        Mistake("The mean patch is not subtracted: this is the mean of the products. Centre the patches first.",
                lambda x, s: (_rows(x, s).mean(0), _rows(x, s).T @ _rows(x, s) / (len(_rows(x, s)) - 1))),
        Mistake("The mean patch is not subtracted, and it is divided by N: this is the mean of the products. Centre the patches first.",
                lambda x, s: (_rows(x, s).mean(0), _rows(x, s).T @ _rows(x, s) / len(_rows(x, s)))),
        Mistake("It is divided by N. The mean was taken from the same N patches, so the unbiased covariance divides by N - 1.",
                lambda x, s: _moments(_rows(x, s), 0)),
        Mistake("It is not divided yet: this is the sum over all patches, N - 1 times too large.",
                lambda x, s: (_rows(x, s).mean(0), _moments(_rows(x, s), len(_rows(x, s)) - 1)[1])),
        Mistake("These are correlations, with ones on the diagonal. A covariance is not divided by the standard deviations.",
                lambda x, s: (_rows(x, s).mean(0), torch.corrcoef(_rows(x, s).T))),
        Mistake("These are the variances alone. The covariance has a row and a column for each number of a patch, [D, D].",
                lambda x, s: (_rows(x, s).mean(0), _rows(x, s).var(0))),
        Mistake("The patches overlap: they start at every pixel. Start one at every size-th pixel, down and across.", lambda x, s: _moments(_rows(x, s, 1))),
        Mistake("The columns of F.unfold were taken for rows: it gives [B, D, L], a patch in each column. Swap the last two axes before you join the batch.",
                lambda x, s: _moments(F.unfold(x, s, stride=s).reshape(-1, x.shape[1] * s * s))),
        Mistake("These are strips, not squares: a reshape takes the numbers as they lie in memory, along the rows of the image.",
                lambda x, s: _moments(x.reshape(-1, x.shape[1] * s * s))),
        Mistake("The axes of patches and of pixels within a patch are mixed: split H into (H / size, size), W likewise, and bring both sizes to the end before you reshape.",
                lambda x, s: _moments(x.reshape(x.shape[0], x.shape[1], s, x.shape[2] // s, s, x.shape[3] // s).permute(0, 3, 5, 1, 2, 4)
                                      .reshape(-1, x.shape[1] * s * s))),
        Mistake("The channel stands last within a patch. Channel first: all of red, then all of green.", lambda x, s: _moments(_cut(x, s, (0, 2, 4, 3, 5, 1)))),
        Mistake("Rows and columns within a patch are swapped: row by row is asked for.", lambda x, s: _moments(_cut(x, s, (0, 2, 4, 1, 5, 3)))),
        Mistake("Each channel became a patch of its own. A patch holds all channels: D = C · size².",
                lambda x, s: _moments(_rows(x.reshape(-1, 1, *x.shape[2:]), s))),
        Mistake("Only the first image is used.", lambda x, s: _moments(_rows(x[:1], s))),
        Mistake("A covariance within each image, then their average: that loses what differs between images. One mean and one covariance over all patches.",
                lambda x, s: tuple(torch.stack(part).mean(0) for part in zip(*(_moments(_rows(one[None], s)) for one in x), strict=True))),
        Mistake("Each patch lost its own mean brightness first. Subtract the mean over the patches, one for each of the D numbers.",
                lambda x, s: (_rows(x, s).mean(0), _moments(_rows(x, s) - _rows(x, s).mean(1, keepdim=True))[1])),
        Mistake("This compares patches with patches, [N, N]: torch.cov takes the variables as rows, so give it the transposed patches.",
                lambda x, s: (_rows(x, s).mean(0), torch.cov(_rows(x, s)))),
        Mistake("The mean is over the wrong axis: [D], one mean for each number of a patch, over all N patches.",
                lambda x, s: (_rows(x, s).mean(1), _moments(_rows(x, s))[1])),
        Mistake("The two are in the wrong order: first the mean, then the covariance.", lambda x, s: _moments(_rows(x, s))[::-1]),
    ),
)  # fmt: skip


# --- explained, participation_ratio --------------------------------------------------------------------------------


def _variances(x: Tensor) -> np.ndarray:
    """Along the principal axes, descending, by numpy in float64."""
    return np.linalg.eigvalsh(np.atleast_2d(np.cov(x.detach().cpu().double().numpy(), rowvar=False)))[::-1]


def _explained(x: Tensor, k: int) -> Tensor:
    values = _variances(x)
    return _answer(values[:k].sum() / values.sum(), x)


def _block_explained(x: Tensor, k: int) -> float:
    spectrum = dimension.pca_spectrum(x)
    return (spectrum[:k].sum() / spectrum.sum()).item()


def _eigen(x: Tensor) -> Tensor:
    return torch.linalg.eigvalsh(torch.cov(x.T)).flip(0)


def _share(values: Tensor, k: int) -> Tensor:
    return values[:k].sum() / values.sum()


def _cloud(draw: Draw, n: int, d: int) -> Tensor:
    """Correlated coordinates of different widths, far from zero: [n, d]."""
    widths = draw.tensor([3.0 * 0.75**i for i in range(d)])
    mixing = draw.normal(d, d) / d**0.5
    return draw.uniform(d, low=1.0, high=3.0) + (draw.normal(n, d) * widths) @ mixing


def _explained_cases(draw: Draw) -> list[Case]:
    kinds = ((7, 12, 2, "fewer points than axes"), (40, 6, 3, "more points than axes"), (25, 9, 4, "more points than axes"))
    cases = [Case(_says(draw, f"x [{n}, {d}] ({why}), k = {k}"), (_cloud(draw, n, d), k)) for n, d, k, why in kinds]
    # Axes that are the columns already, in whole numbers, the narrowest first: a solver that does not sort leaves them so.
    pairs = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    signs = torch.kron(torch.kron(pairs, pairs), pairs)[:, 1:]
    widths = torch.tensor([1.0 + draw.whole(0, 2) + 2 * i for i in range(7)])
    return [*cases, Case(_says(draw, "x [8, 7] (columns at right angles), k = 3"), (draw.tensor(3 + signs * widths), 3))]


_UNCENTRED = "The mean is not subtracted, so the first axis points from zero to the middle of the data and holds nearly everything. Centre over the points first."
_TRANSPOSED = (
    "Points and coordinates are swapped: the mean is taken within each point. The points are the rows: centre each column, with the mean over axis 0. "
    "(torch.cov takes the variables as rows: give it x.T.)"
)
_COORDINATES = (
    "These are the variances of the coordinates themselves. Principal axes are turned: take the eigenvalues of the covariance."
)
_STANDARD = "The coordinates were divided by their standard deviations. Variances are asked for in the units that the data have: only subtract the mean."

EXPLAINED = Exercise(
    "explained", 2, 2, 10, _explained, _explained_cases, block=_block_explained, tolerance=1e-3,
    mistakes=(
        Mistake(_UNCENTRED, lambda x, k: _share(torch.linalg.svdvals(x).square(), k)),
        Mistake("Singular values are standard deviations (times √(N - 1)). A variance is their square.",
                lambda x, k: _share(torch.linalg.svdvals(x - x.mean(0)), k)),
        Mistake("The mean is not subtracted, and the singular values are not squared: a variance is the square, about the mean.",
                lambda x, k: _share(torch.linalg.svdvals(x), k)),
        Mistake("The eigenvalues of a covariance are variances already, and were squared once more.", lambda x, k: _share(_eigen(x).square(), k)),
        Mistake("torch.linalg.eigvals promises no order. A covariance is symmetric: torch.linalg.eigvalsh, which sorts upwards, and the last k of it.",
                lambda x, k: _share(torch.linalg.eigvals(torch.cov(x.T)).real, k)),
        Mistake("torch.linalg.eigvals gives complex numbers. A covariance is symmetric: torch.linalg.eigvalsh, which gives real ones and sorts upwards.",
                lambda x, k: _share(torch.linalg.eigvals(torch.cov(x.T)), k)),
        Mistake("These are the k smallest: eigh and eigvalsh sort upwards. Turn them round, or take the last k.", lambda x, k: _share(_eigen(x).flip(0), k)),
        Mistake("This is the variance along the k-th axis. Add up the first k, and divide by all.", lambda x, k: _eigen(x)[k - 1]),
        Mistake("This is the share of the k-th axis alone. Add up the first k.", lambda x, k: _eigen(x)[k - 1] / _eigen(x).sum()),
        Mistake("One axis too few: x[:k] has k entries, x[:k - 1] one less.", lambda x, k: _share(_eigen(x), k - 1)),
        Mistake("One axis too many: Python counts from 0, so the first k are [:k].", lambda x, k: _share(_eigen(x), k + 1)),
        Mistake("This is what the first k axes leave out. What they hold is asked for: 1 minus this.", lambda x, k: 1 - _share(_eigen(x), k)),
        Mistake("This is in percent. A share lies between 0 and 1.", lambda x, k: 100 * _share(_eigen(x), k)),
        Mistake("This is the variance that the first k axes hold. For the share, divide by the variance of all of them.", lambda x, k: _eigen(x)[:k].sum()),
        Mistake("This is the whole curve, for every k. One number is asked for.", lambda x, k: _eigen(x).cumsum(0) / _eigen(x).sum()),
        Mistake("The mean is taken instead of the sum: of k axes above, of all axes below.", lambda x, k: _eigen(x)[:k].mean() / _eigen(x).mean()),
        Mistake(_COORDINATES, lambda x, k: _share(x.var(0).sort(descending=True).values, k)),
        Mistake("These are the first k columns of the data, not the first k principal axes: take the eigenvalues of the covariance.", lambda x, k: _share(x.var(0), k)),
        Mistake(_STANDARD, lambda x, k: _share(torch.linalg.eigvalsh(torch.corrcoef(x.T)).flip(0), k)),
        Mistake(_TRANSPOSED, lambda x, k: _share(torch.linalg.eigvalsh(torch.cov(x)).flip(0), k)),
        Mistake("One mean of all numbers was subtracted. Each of the D columns has its own: x.mean(0).",
                lambda x, k: _share(torch.linalg.svdvals(x - x.mean()).square(), k)),
    ),
)  # fmt: skip


def _participation_ratio(x: Tensor) -> Tensor:
    covariance = np.cov(x.detach().cpu().double().numpy(), rowvar=False)
    return _answer(np.trace(covariance) ** 2 / np.square(covariance).sum(), x)  # trace and norm: no eigenvalue is needed


def _block_participation_ratio(x: Tensor) -> float:
    return dimension.participation_ratio(dimension.pca_spectrum(x))


def _ratio(values: Tensor) -> Tensor:
    return values.sum().square() / values.square().sum()


def _participation_ratio_cases(draw: Draw) -> list[Case]:
    kinds = ((7, 12, "fewer points than axes"), (40, 6, "more points than axes"), (25, 9, "more points than axes"))
    return [Case(_says(draw, f"x [{n}, {d}] ({why})"), (_cloud(draw, n, d),)) for n, d, why in kinds]


PARTICIPATION_RATIO = Exercise(
    "participation_ratio", 2, 2, 10, _participation_ratio, _participation_ratio_cases, block=_block_participation_ratio, tolerance=1e-3,
    mistakes=(
        Mistake(_UNCENTRED, lambda x: _ratio(torch.linalg.svdvals(x).square())),
        Mistake("Singular values of the data are standard deviations (times √(N - 1)); λ is a variance, their square.",
                lambda x: _ratio(torch.linalg.svdvals(x - x.mean(0)))),
        Mistake("The mean is not subtracted, and the singular values are not squared: λ is the square, about the mean.",
                lambda x: _ratio(torch.linalg.svdvals(x))),
        Mistake("The eigenvalues of a covariance are the λ already, and were squared once too often.", lambda x: _ratio(_eigen(x).square())),
        Mistake("Numerator and denominator are swapped: (Σλ)² stands above.", lambda x: 1 / _ratio(_eigen(x))),
        Mistake("The sum in the numerator is not squared: (Σλ)².", lambda x: _eigen(x).sum() / _eigen(x).square().sum()),
        Mistake("The squares in the denominator are missing: this is only Σλ, the total variance.", lambda x: _eigen(x).sum()),
        Mistake("It is the square of a sum above, and the sum of squares below. Here both are the sum of squares, or both the square of the sum.",
                lambda x: _eigen(x).square().sum() / _eigen(x).square().sum()),
        Mistake("It is divided by the number of axes. Sums are asked for, not means: the result counts axes, from 1 to D.",
                lambda x: _eigen(x).mean().square() / _eigen(x).square().mean()),
        Mistake("This compares with the largest eigenvalue, Σλ / max λ. The denominator is Σλ².", lambda x: _eigen(x).sum() / _eigen(x).max()),
        Mistake("This is the exponential of the spectrum's entropy, another way to count axes. Here it is (Σλ)² / Σλ².",
                lambda x: torch.special.entr(_eigen(x).clamp(min=0) / _eigen(x).sum()).sum().exp()),
        Mistake(_COORDINATES, lambda x: _ratio(x.var(0))),
        Mistake(_STANDARD, lambda x: _ratio(torch.linalg.eigvalsh(torch.corrcoef(x.T)))),
        Mistake(_TRANSPOSED, lambda x: _ratio(torch.linalg.eigvalsh(torch.cov(x)))),
        Mistake("One mean of all numbers was subtracted. Each of the D columns has its own: x.mean(0).",
                lambda x: _ratio(torch.linalg.svdvals(x - x.mean()).square())),
        Mistake("This is made of the numbers of the data themselves, not of the variances along the principal axes.", _ratio),
    ),
)  # fmt: skip


# --- two_nn --------------------------------------------------------------------------------------------------------


def _two_nn(x: Tensor) -> Tensor:
    points = x.detach().cpu().double().numpy()
    near = KDTree(points).query(points, k=3)[0]  # the first of the three is the point itself
    return _answer((len(points) - 1) / np.log(near[:, 2] / near[:, 1]).sum(), x)


def _block_two_nn(x: Tensor) -> float:
    return dimension.two_nn(x, discard=0, method="mle").dimension


def _near(x: Tensor, power: float = 2.0) -> tuple[Tensor, Tensor, Tensor]:
    """Distances of each point, ascending: to itself (0), r1, r2."""
    return tuple((x[:, None] - x[None]).abs().pow(power).sum(-1).pow(1 / power).sort(1).values[:, :3].T)


def _logs(x: Tensor, power: float = 2.0) -> Tensor:
    _, r1, r2 = _near(x, power)
    return (r2 / r1).log()


def _far(x: Tensor) -> Tensor:
    """Distances of each point to all, the farthest first."""
    return (x[:, None] - x[None]).norm(dim=-1).sort(1, descending=True).values


def _two_nn_cases(draw: Draw) -> list[Case]:
    cases = []
    for n, d in ((23, 4), (31, 2), (17, 6)):
        x = draw.normal(n, d) + draw.uniform(d, low=-2.0, high=2.0)
        cases.append(Case(_says(draw, f"x [{n}, {d}], no two points alike"), (x,)))
    return cases


TWO_NN = Exercise(
    "two_nn", 4, 3, 20, _two_nn, _two_nn_cases, block=_block_two_nn, tolerance=1e-3,
    mistakes=(
        Mistake("Each point was taken for its own nearest neighbour, at distance 0. Leave it out: the first of the sorted distances is the point itself.",
                lambda x: (len(x) - 1) / (_near(x)[1] / _near(x)[0]).log().sum()),
        Mistake("Neighbours 2 and 3 were compared: one place too far. Sorted distances begin with the point itself, then come r1 and r2.",
                lambda x: (len(x) - 1) / (x[:, None] - x[None]).norm(dim=-1).sort(1).values[:, 2:4].log().diff(dim=1).sum()),
        Mistake("Squared distances double every logarithm, so the dimension comes out half as large: take their root.", lambda x: (len(x) - 1) / (2 * _logs(x)).sum()),
        Mistake("The ratio is upside down, r1 / r2: its logarithm is negative.", lambda x: -(len(x) - 1) / _logs(x).sum()),
        Mistake("The logarithm is missing: the law is exponential in log(r2 / r1), not in r2 / r1.", lambda x: (len(x) - 1) / _logs(x).exp().sum()),
        Mistake("The logarithm is missing: the law is exponential in log(r2 / r1), not in r2 / r1 or in how far it is above 1.",
                lambda x: (len(x) - 1) / (_logs(x).exp() - 1).sum()),
        Mistake("It is one over the dimension: the mean logarithm itself. Large dimension means small ratios; turn it over.",
                lambda x: _logs(x).sum() / (len(x) - 1)),
        Mistake("It is one over the dimension: the mean logarithm itself. Turn it over, with N - 1 above.", lambda x: _logs(x).mean()),
        Mistake("N stands above: that is the plain maximum likelihood, a little too large on average. The statement asks for N - 1.",
                lambda x: len(x) / _logs(x).sum()),
        Mistake("N counts the points, len(x), not the columns.", lambda x: (x.shape[1] - 1) / _logs(x).sum()),
        Mistake("These are the *farthest* points: topk takes the largest unless it is told largest=False.",
                lambda x: (len(x) - 1) / _far(x)[:, [0, 1]].log().diff(dim=1).sum()),
        Mistake("These are the *farthest* points: topk takes the largest unless it is told largest=False.",
                lambda x: (len(x) - 1) / _far(x)[:, [1, 0]].log().diff(dim=1).sum()),
        Mistake("These are the *farthest* points: topk takes the largest unless it is told largest=False.",
                lambda x: (len(x) - 1) / _far(x)[:, [1, 2]].log().diff(dim=1).sum()),
        Mistake("These are the *farthest* points: topk takes the largest unless it is told largest=False.",
                lambda x: (len(x) - 1) / _far(x)[:, [2, 1]].log().diff(dim=1).sum()),
        Mistake("The number of points is counted twice: divided by a mean, it is in the mean already. (N - 1) over the *sum*.",
                lambda x: (len(x) - 1) / _logs(x).mean()),
        Mistake("The number of points is missing: (N - 1) / Σ, not 1 / Σ.", lambda x: 1 / _logs(x).sum()),
        Mistake("The logarithm is to the base 2. The natural one is asked for: torch.log.", lambda x: (len(x) - 1) / (_logs(x) / math.log(2)).sum()),
        Mistake("The logarithm is to the base 10. The natural one is asked for: torch.log.", lambda x: (len(x) - 1) / (_logs(x) / math.log(10)).sum()),
        Mistake("The distances are sums of absolute differences. Euclidean ones are asked for.", lambda x: (len(x) - 1) / _logs(x, 1.0).sum()),
        Mistake("This averages one over each logarithm. First sum the logarithms, then divide: a single near tie would rule the average.",
                lambda x: (1 / _logs(x)).mean()),
        Mistake("The distances are averaged before the ratio is taken. Each point has its own ratio r2 / r1.",
                lambda x: 1 / (_near(x)[2].mean() / _near(x)[1].mean()).log()),
        Mistake("The ratios are averaged before the logarithm. The logarithm of each point's ratio is summed.", lambda x: 1 / _logs(x).exp().mean().log()),
        Mistake("This is made of the median. The statement's formula sums all logarithms.", lambda x: math.log(2) / _logs(x).median()),
        Mistake("Neighbours were sought among the D columns. The points are the rows.", lambda x: (x.shape[1] - 1) / _logs(x.T).sum()),
        Mistake("This is the fit of a line, as in the paper. The statement's formula uses the sum of all logarithms.",
                lambda x: dimension.two_nn(x, discard=0).dimension),
        Mistake("This is the workbook's block with what it leaves out by default. The statement's formula uses every point.", lambda x: dimension.two_nn(x).dimension),
    ),
)  # fmt: skip


# --- triplets_wrong ------------------------------------------------------------------------------------------------


def _triplets_wrong(anchor: Tensor, like: Tensor, unlike: Tensor) -> Tensor:
    a, p, n = (x.detach().cpu().double().numpy() for x in (anchor, like, unlike))
    wrong = sum(float(((x - z) ** 2).mean()) < float(((x - y) ** 2).mean()) for x, y, z in zip(a, p, n, strict=True))
    return _answer(wrong / len(a), anchor)


def _block_triplets_wrong(anchor: Tensor, like: Tensor, unlike: Tensor) -> float:
    return _triplets_wrong(anchor, like, unlike).item()


def _pairs(draw: Draw, shape: tuple[int, ...]) -> dict[str, tuple[Tensor, Tensor]]:
    """How a like and an unlike picture may differ from their anchor, [C, H, W] each, so that each wrong distance is caught."""

    def even(size: float) -> Tensor:
        return size * draw.uniform(*shape, low=0.9, high=1.1)

    channel = draw.tensor([1.0] + [0.0] * (shape[0] - 1)).view(-1, 1, 1)
    few, one = torch.zeros_like(even(1)), torch.zeros_like(even(1))
    few.view(-1)[:: shape[0] * shape[1]] = 1.5
    one.view(-1)[3] = 1.2
    signs = torch.ones_like(few)
    signs.view(-1)[::2] = -1
    tie = even(0.5)
    return {
        "right": (even(0.2), even(0.6)),
        "wrong": (even(0.6), even(0.2)),
        "a few large differences": (few, even(0.9 * few.square().mean().sqrt().item())),
        "the first channel the other way round": (even(0.5) * (1 - channel) + even(0.1) * channel, even(0.2) * channel),
        "differences that cancel": (even(0.5) * signs, even(0.2)),
        "one large difference": (one, even(1.3 * one.square().mean().sqrt().item())),
        "a tie": (tie, tie),
    }


def _triplets_wrong_cases(draw: Draw) -> list[Case]:
    cases = []
    for shape, counts in (((4, 5, 6), (2, 2, 1, 2, 3, 2, 1)), ((2, 7, 4), (8, 1, 3, 2, 1, 3, 2))):
        kinds = [pair for pair, count in zip(_pairs(draw, shape).values(), counts, strict=True) for _ in range(count)]
        order = torch.randperm(len(kinds), generator=draw.generator).tolist()
        anchor = draw.normal(len(kinds), *shape, std=0.5)
        like, unlike = (anchor + torch.stack([kinds[i][j] for i in order]) for j in (0, 1))
        for tied in [i for i, kind in enumerate(order) if kinds[kind][0] is kinds[kind][1]]:
            unlike[tied] = like[tied]
        cases.append(
            Case(_says(draw, f"anchor, like, unlike {list(anchor.shape)}, with a tie among them"), (anchor, like, unlike))
        )
    return cases


def _errors(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().flatten(1).mean(1)


def _mean(wrong: Tensor) -> float:
    return wrong.double().mean().item()


TRIPLETS_WRONG = Exercise(
    "triplets_wrong", 2, 2, 10, _triplets_wrong, _triplets_wrong_cases, block=_block_triplets_wrong, tolerance=1e-2,
    mistakes=(
        Mistake("The comparison is turned round: wrong is a triplet whose unlike picture is nearer to the anchor.",
                lambda a, p, n: _mean(_errors(a, p) < _errors(a, n))),
        Mistake("The comparison is turned round, and ties are counted: wrong is a triplet whose unlike picture is nearer to the anchor.",
                lambda a, p, n: _mean(_errors(a, p) <= _errors(a, n))),
        Mistake("Ties are counted as wrong. Nearer means strictly smaller: <, not <=.", lambda a, p, n: _mean(_errors(a, n) <= _errors(a, p))),
        Mistake("This is how many triplets are wrong. For the share, divide by how many there are.",
                lambda a, p, n: (_errors(a, n) < _errors(a, p)).sum().item()),
        Mistake("This is in percent. A share lies between 0 and 1.", lambda a, p, n: 100 * _mean(_errors(a, n) < _errors(a, p))),
        Mistake("The batch was averaged before comparing. Each triplet is judged by itself: one distance for each picture, [B].",
                lambda a, p, n: float((a - n).square().mean() < (a - p).square().mean())),
        Mistake("Single pixels were compared. First average the squared differences of a whole picture, then compare.",
                lambda a, p, n: _mean((a - n).square() < (a - p).square())),
        Mistake("Each channel was compared by itself. Average over channels, rows and columns, then compare.",
                lambda a, p, n: _mean((a - n).square().mean((2, 3)) < (a - p).square().mean((2, 3)))),
        Mistake("The average ran over the batch: axis 0 holds the triplets. Average over the other three.",
                lambda a, p, n: _mean((a - n).square().mean(0) < (a - p).square().mean(0))),
        Mistake("Only the channels are averaged: rows and columns count as well.", lambda a, p, n: _mean((a - n).square().mean(1) < (a - p).square().mean(1))),
        Mistake("These are absolute differences. MSE squares them: a few large ones weigh more than many small ones.",
                lambda a, p, n: _mean((a - n).abs().flatten(1).mean(1) < (a - p).abs().flatten(1).mean(1))),
        Mistake("Only the first channel is compared: x[:, 0] is red alone.", lambda a, p, n: _mean(_errors(a[:, 0], n[:, 0]) < _errors(a[:, 0], p[:, 0]))),
        Mistake("The differences were averaged before they were squared, so that bright and dark ones cancel. First square, then average.",
                lambda a, p, n: _mean((a - n).flatten(1).mean(1).square() < (a - p).flatten(1).mean(1).square())),
        Mistake("The largest difference is compared. MSE averages over all of them.",
                lambda a, p, n: _mean((a - n).abs().flatten(1).amax(1) < (a - p).abs().flatten(1).amax(1))),
        Mistake("The like picture was compared with the unlike one. Both distances start from the anchor.",
                lambda a, p, n: _mean(_errors(p, n) < _errors(a, p))),
        Mistake("True and False have no mean. Make numbers of them first: .float().mean().", lambda a, p, n: (_errors(a, n) < _errors(a, p)).mean()),
        Mistake("This is a mask, one True or False for each triplet. Their mean is the share.", lambda a, p, n: _errors(a, n) < _errors(a, p)),
    ),
)  # fmt: skip

hw1 = Homework(
    "hw1", "Pixel space", PATCH_STATISTICS, EXPLAINED, PARTICIPATION_RATIO, TWO_NN, TRIPLETS_WRONG, Written("far_and_near", 3, 2, 15)
)  # fmt: skip
