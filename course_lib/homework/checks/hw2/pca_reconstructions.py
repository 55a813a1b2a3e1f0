"""PCA reconstructions: points projected on the principal axes of other points."""

import numpy as np
import torch
from torch import Tensor

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise


def _oracle(train: Tensor, test: Tensor, k: int) -> Tensor:
    x, y = (points.detach().cpu().double().numpy() for points in (train, test))
    axes = np.linalg.eigh(np.cov(x, rowvar=False))[1][:, ::-1][:, :k]
    return torch.from_numpy(x.mean(0) + (y - x.mean(0)) @ axes @ axes.T).to(test)


def _axes(x: Tensor, k: int) -> Tensor:
    """The first k right singular vectors, [k, D]."""
    return torch.linalg.svd(x, full_matrices=False).Vh[:k]


def _block(train: Tensor, test: Tensor, k: int) -> Tensor:
    mean = train.mean(0)
    axes = _axes(train - mean, k)
    return mean + (test - mean) @ axes.T @ axes


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for n, m, d, k, why in ((40, 5, 8, 3, "more points than axes"), (9, 4, 14, 2, "fewer points than axes")):
        widths = draw.tensor([1.5 * 0.7**i for i in range(d)])
        rotation = torch.linalg.qr(draw.normal(d, d))[0]
        mean, shift = draw.normal(d, std=0.8), draw.normal(d, std=0.4)
        train, test = (
            mean + (draw.normal(n, d) * widths) @ rotation.T,
            mean + shift + (draw.normal(m, d) * widths) @ rotation.T,
        )
        cases.append(Case(f"train [{n}, {d}], test [{m}, {d}] ({why}), k = {k}; {draw.dtype_name}", (train, test, k)))
    return cases


def _projected(train: Tensor, test: Tensor, basis: Tensor) -> Tensor:
    """Reconstructions from the columns of a basis [D, k], centred by train's mean."""
    mean = train.mean(0)
    return mean + (test - mean) @ basis @ basis.T


PCA_RECONSTRUCTIONS = Exercise(
    "pca_reconstructions", points=4, difficulty=3, minutes=20, oracle=_oracle, cases=_cases, block=_block, tolerance=1e-3
)


@PCA_RECONSTRUCTIONS.mistake(
    "Nothing is centred: PCA measures directions from the mean point. Subtract train's mean before fitting and before "
    "encoding, and add it at the end."
)
def nothing_centred(train: Tensor, test: Tensor, k: int) -> Tensor:
    axes = _axes(train, k)
    return test @ axes.T @ axes


@PCA_RECONSTRUCTIONS.mistake(
    "A single number was subtracted, the mean of all values. The mean *point* has D values: train.mean(0)."
)
def scalar_mean(train: Tensor, test: Tensor, k: int) -> Tensor:
    mean = train.mean()
    axes = _axes(train - mean, k)
    return mean + (test - mean) @ axes.T @ axes


@PCA_RECONSTRUCTIONS.mistake(
    "The mean is subtracted from test and added again, but the axes were fitted to points that are not centred."
)
def fitted_uncentred(train: Tensor, test: Tensor, k: int) -> Tensor:
    mean = train.mean(0)
    axes = _axes(train, k)
    return mean + (test - mean) @ axes.T @ axes


@PCA_RECONSTRUCTIONS.mistake("The mean is not added at the end: these are reconstructions of the centred points.")
def mean_not_added(train: Tensor, test: Tensor, k: int) -> Tensor:
    return _block(train, test, k) - train.mean(0)


@PCA_RECONSTRUCTIONS.mistake("The mean is added at the end, but was not subtracted from test before encoding.")
def test_not_centred(train: Tensor, test: Tensor, k: int) -> Tensor:
    mean = train.mean(0)
    axes = _axes(train - mean, k)
    return mean + test @ axes.T @ axes


@PCA_RECONSTRUCTIONS.mistake("The axes were fitted to centred points, but test was encoded and decoded without any mean.")
def encoded_without_mean(train: Tensor, test: Tensor, k: int) -> Tensor:
    axes = _axes(train - train.mean(0), k)
    return test @ axes.T @ axes


@PCA_RECONSTRUCTIONS.mistake("Test is centred by its own mean. The decoder knows only train: use train's mean for both.")
def test_centred_by_itself(train: Tensor, test: Tensor, k: int) -> Tensor:
    mean = test.mean(0)
    axes = _axes(train - train.mean(0), k)
    return mean + (test - mean) @ axes.T @ axes


@PCA_RECONSTRUCTIONS.mistake("Test is centred by its own mean, and train's is added at the end. Use train's mean for both.")
def two_means(train: Tensor, test: Tensor, k: int) -> Tensor:
    mean = train.mean(0)
    axes = _axes(train - mean, k)
    return mean + (test - test.mean(0)) @ axes.T @ axes


@PCA_RECONSTRUCTIONS.mistake("The axes and the mean were fitted to test. They come from train; test is only encoded.")
def fitted_to_test(train: Tensor, test: Tensor, k: int) -> Tensor:
    return _block(test, test, k)


@PCA_RECONSTRUCTIONS.mistake("The axes and the mean were fitted to train and test together. They come from train alone.")
def fitted_to_both(train: Tensor, test: Tensor, k: int) -> Tensor:
    return _block(torch.cat([train, test]), test, k)


@PCA_RECONSTRUCTIONS.mistake("These are reconstructions of train. Return reconstructions of test.")
def train_reconstructed(train: Tensor, test: Tensor, k: int) -> Tensor:
    return _block(train, train, k)


@PCA_RECONSTRUCTIONS.mistake(
    "These are the k axes with the least variance: eigh sorts in ascending order. Take the last k columns."
)
def smallest_axes(train: Tensor, test: Tensor, k: int) -> Tensor:
    centred = train - train.mean(0)
    return _projected(train, test, torch.linalg.eigh(centred.T @ centred)[1][:, :k])


@PCA_RECONSTRUCTIONS.mistake("Rows and columns of V are mixed up: torch.linalg.svd returns Vh, whose *rows* are the axes.")
def columns_of_vh(train: Tensor, test: Tensor, k: int) -> Tensor:
    centred = train - train.mean(0)
    return _projected(train, test, torch.linalg.svd(centred, full_matrices=False).Vh[:, :k])


@PCA_RECONSTRUCTIONS.mistake("Rows and columns of the eigenvectors are mixed up: torch.linalg.eigh returns them as *columns*.")
def rows_of_eigenvectors(train: Tensor, test: Tensor, k: int) -> Tensor:
    centred = train - train.mean(0)
    return _projected(train, test, torch.linalg.eigh(centred.T @ centred)[1][-k:].T)


@PCA_RECONSTRUCTIONS.mistake("The vectors in U belong to the points. The axes in pixel space are the rows of Vh.")
def left_singular_vectors(train: Tensor, test: Tensor, k: int) -> Tensor:
    centred = train - train.mean(0)
    return _projected(train, test, torch.linalg.svd(centred, full_matrices=False).U[:, :k])


@PCA_RECONSTRUCTIONS.mistake(
    "The k coordinates are multiplied by the singular values. The axes have length 1: project on them and nothing more."
)
def scaled_by_singular_values(train: Tensor, test: Tensor, k: int) -> Tensor:
    mean = train.mean(0)
    _, s, v = torch.linalg.svd(train - mean, full_matrices=False)
    return mean + (test - mean) @ v[:k].T * s[:k] @ v[:k]


@PCA_RECONSTRUCTIONS.mistake(
    "The k coordinates are divided by the singular values (whitened) and not multiplied again when decoding."
)
def whitened(train: Tensor, test: Tensor, k: int) -> Tensor:
    mean = train.mean(0)
    _, s, v = torch.linalg.svd(train - mean, full_matrices=False)
    return mean + (test - mean) @ v[:k].T / s[:k] @ v[:k]


@PCA_RECONSTRUCTIONS.mistake("These are the latents, [M, k]. Decode them: back into pixel space, and add the mean.")
def latents(train: Tensor, test: Tensor, k: int) -> Tensor:
    mean = train.mean(0)
    return (test - mean) @ _axes(train - mean, k).T


@PCA_RECONSTRUCTIONS.mistake("One axis too few.")
def one_axis_too_few(train: Tensor, test: Tensor, k: int) -> Tensor:
    return _block(train, test, k - 1)


@PCA_RECONSTRUCTIONS.mistake("One axis too many.")
def one_axis_too_many(train: Tensor, test: Tensor, k: int) -> Tensor:
    return _block(train, test, k + 1)


@PCA_RECONSTRUCTIONS.mistake(
    "Each point was centred by the mean of its own values. Subtract the mean *point* of train: train.mean(0)."
)
def centred_per_point(train: Tensor, test: Tensor, k: int) -> Tensor:
    mean = test.mean(1, keepdim=True)
    axes = _axes(train - train.mean(1, keepdim=True), k)
    return mean + (test - mean) @ axes.T @ axes


@PCA_RECONSTRUCTIONS.mistake(
    "The first k coordinates of each point were used. Principal axes are rotated: take them from the SVD of the centred points."
)
def first_coordinates(train: Tensor, test: Tensor, k: int) -> Tensor:
    mean = train.mean(0)
    return torch.cat([test[:, :k], mean[k:].expand(len(test), -1)], 1)


@PCA_RECONSTRUCTIONS.mistake("The reconstructions are clamped to [-1, 1]. PCA does not know this range; leave them as they are.")
def clamped(train: Tensor, test: Tensor, k: int) -> Tensor:
    return _block(train, test, k).clamp(-1, 1)


@PCA_RECONSTRUCTIONS.mistake("The axes come from test, and the mean from train. Both come from train; test is only encoded.")
def axes_of_test(train: Tensor, test: Tensor, k: int) -> Tensor:
    return _projected(train, test, _axes(test - test.mean(0), k).T)


@PCA_RECONSTRUCTIONS.mistake("The axes are fitted to test minus train's mean. They come from train; test is only encoded.")
def axes_of_test_with_trains_mean(train: Tensor, test: Tensor, k: int) -> Tensor:
    return _projected(train, test, _axes(test - train.mean(0), k).T)


@PCA_RECONSTRUCTIONS.mistake("The mean is subtracted at the end. It was subtracted before encoding: add it again.")
def mean_subtracted_at_the_end(train: Tensor, test: Tensor, k: int) -> Tensor:
    return _block(train, test, k) - 2 * train.mean(0)


@PCA_RECONSTRUCTIONS.mistake("The mean is added twice.")
def mean_added_twice(train: Tensor, test: Tensor, k: int) -> Tensor:
    return _block(train, test, k) + train.mean(0)


@PCA_RECONSTRUCTIONS.mistake("This is what PCA leaves out, test minus its reconstruction. Return the reconstruction.")
def residual(train: Tensor, test: Tensor, k: int) -> Tensor:
    return test - _block(train, test, k)


@PCA_RECONSTRUCTIONS.mistake("This is the mean plus what PCA leaves out. Return the mean plus what it holds.")
def residual_and_mean(train: Tensor, test: Tensor, k: int) -> Tensor:
    return train.mean(0) + test - _block(train, test, k)


@PCA_RECONSTRUCTIONS.mistake("These are the last k rows of Vh. torch.linalg.svd sorts in descending order: take the first k.")
def last_axes(train: Tensor, test: Tensor, k: int) -> Tensor:
    return _projected(train, test, torch.linalg.svd(train - train.mean(0), full_matrices=False).Vh[-k:].T)


@PCA_RECONSTRUCTIONS.mistake(
    "The coordinates are divided by their std first and multiplied again. The directions of most variance are then "
    "others: only subtract the mean."
)
def standardised(train: Tensor, test: Tensor, k: int) -> Tensor:
    mean, std = train.mean(0), train.std(0)
    axes = _axes((train - mean) / std, k)
    return mean + (test - mean) / std @ axes.T @ axes * std


@PCA_RECONSTRUCTIONS.mistake("The coordinates are divided by their std and not multiplied again. Only subtract the mean.")
def standardised_one_way(train: Tensor, test: Tensor, k: int) -> Tensor:
    mean, std = train.mean(0), train.std(0)
    axes = _axes((train - mean) / std, k)
    return mean + (test - mean) / std @ axes.T @ axes


@PCA_RECONSTRUCTIONS.mistake("The mean is that of train and test together. It comes from train alone.")
def mean_of_both(train: Tensor, test: Tensor, k: int) -> Tensor:
    mean = torch.cat([train, test]).mean(0)
    axes = _axes(train - mean, k)
    return mean + (test - mean) @ axes.T @ axes


@PCA_RECONSTRUCTIONS.mistake("Every reconstruction is the mean: the k coordinates are missing.")
def mean_alone(train: Tensor, test: Tensor, k: int) -> Tensor:
    return train.mean(0).expand_as(test)


@PCA_RECONSTRUCTIONS.mistake("This is test minus the mean. Project it on the k axes, and add the mean again.")
def centred_test(train: Tensor, test: Tensor, k: int) -> Tensor:
    return test - train.mean(0)


@PCA_RECONSTRUCTIONS.mistake("Only the k-th axis is used. Use the first k.")
def kth_axis_alone(train: Tensor, test: Tensor, k: int) -> Tensor:
    return _projected(train, test, _axes(train - train.mean(0), k)[k - 1 :].T)


@PCA_RECONSTRUCTIONS.mistake("All axes are used. Use the first k.")
def all_axes(train: Tensor, test: Tensor, k: int) -> Tensor:
    return _projected(train, test, torch.linalg.svd(train - train.mean(0), full_matrices=False).Vh.T)


@PCA_RECONSTRUCTIONS.mistake("The projection is subtracted from test. The reconstruction is the mean plus the projection.")
def projection_subtracted(train: Tensor, test: Tensor, k: int) -> Tensor:
    return test - _block(train, test, k) + 2 * train.mean(0)
