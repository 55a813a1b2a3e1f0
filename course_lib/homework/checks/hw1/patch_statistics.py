"""Mean and covariance of image patches."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise


def _oracle(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    pixels = images.detach().cpu().double().numpy()
    _, _, height, width = pixels.shape
    corners = [(i, j) for i in range(0, height, size) for j in range(0, width, size)]
    rows = np.stack([image[:, i : i + size, j : j + size].ravel() for image in pixels for i, j in corners])
    return torch.from_numpy(rows.mean(0)).to(images), torch.from_numpy(np.cov(rows, rowvar=False)).to(images)


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape, size in (((2, 3, 6, 10), 2), ((3, 1, 8, 12), 4), ((4, 2, 9, 6), 3)):
        brightness = draw.normal(shape[0], 1, 1, 1, std=0.4)  # images differ in brightness, as photographs do
        images = 0.3 + brightness + draw.normal(*shape, std=0.5)
        cases.append(Case(f"images {list(shape)}, size {size}; {draw.dtype_name}", (images, size)))
    return cases


def _patches(images: Tensor, size: int, stride: int | None = None) -> Tensor:
    """Patches [N, D], image by image."""
    return F.unfold(images, size, stride=stride or size).transpose(1, 2).flatten(0, 1)


def _permuted_patches(images: Tensor, size: int, order: tuple[int, ...]) -> Tensor:
    """Patches [N, D] with their six axes (image, channel, patch row, row, patch column, column) in this order."""
    b, c, h, w = images.shape
    return images.view(b, c, h // size, size, w // size, size).permute(order).reshape(-1, c * size**2)


def _moments(rows: Tensor, correction: int = 1) -> tuple[Tensor, Tensor]:
    """Mean [D], and covariance [D, D] divided by N - correction."""
    centred = rows - rows.mean(0)
    return rows.mean(0), centred.T @ centred / (len(rows) - correction)


def _block(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    return _moments(_patches(images, size))


PATCH_STATISTICS = Exercise(
    "patch_statistics",
    points=5,
    difficulty=3,
    minutes=20,
    oracle=_oracle,
    cases=_cases,
    block=_block,
    values=("the mean", "the covariance"),
)


@PATCH_STATISTICS.mistake("The mean patch is not subtracted: this is the mean of the products. Centre the patches first.")
def not_centred(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    rows = _patches(images, size)
    return rows.mean(0), rows.T @ rows / (len(rows) - 1)


@PATCH_STATISTICS.mistake(
    "The mean patch is not subtracted, and the sum is divided by N: this is the mean of the products. Centre the patches first."
)
def not_centred_divided_by_n(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    rows = _patches(images, size)
    return rows.mean(0), rows.T @ rows / len(rows)


@PATCH_STATISTICS.mistake(
    "The sum is divided by N. The mean was estimated from the same N patches, so the unbiased covariance divides by N - 1."
)
def divided_by_n(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    return _moments(_patches(images, size), 0)


@PATCH_STATISTICS.mistake("The sum over all patches is not divided by N - 1, so the covariance is N - 1 times too large.")
def not_divided(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    rows = _patches(images, size)
    return rows.mean(0), _moments(rows, len(rows) - 1)[1]


@PATCH_STATISTICS.mistake(
    "These are correlations, with ones on the diagonal. A covariance is not divided by the standard deviations."
)
def correlation(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    rows = _patches(images, size)
    return rows.mean(0), torch.corrcoef(rows.T)


@PATCH_STATISTICS.mistake(
    "These are only the variances. The covariance has a row and a column for each dimension of a patch, [D, D]."
)
def variances_only(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    rows = _patches(images, size)
    return rows.mean(0), rows.var(0)


@PATCH_STATISTICS.mistake("The patches overlap: they start at every pixel. Start one at every size-th pixel, down and across.")
def patches_overlap(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    return _moments(_patches(images, size, 1))


@PATCH_STATISTICS.mistake(
    "The columns of F.unfold were taken for rows: it gives [B, D, L], a patch in each column. Swap the last two axes "
    "before you join the batch."
)
def columns_taken_for_rows(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    _, channels, _, _ = images.shape
    return _moments(F.unfold(images, size, stride=size).reshape(-1, channels * size**2))


@PATCH_STATISTICS.mistake(
    "These are strips, not squares: a reshape takes the values in memory order, along the rows of the image."
)
def strips(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    _, channels, _, _ = images.shape
    return _moments(images.reshape(-1, channels * size**2))


@PATCH_STATISTICS.mistake(
    "The axes of the patches and of the pixels within a patch are mixed up: split H into (H / size, size) and W likewise, and "
    "move both sizes to the end before you reshape."
)
def axes_mixed(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    b, c, h, w = images.shape
    mixed = images.reshape(b, c, size, h // size, size, w // size).permute(0, 3, 5, 1, 2, 4)
    return _moments(mixed.reshape(-1, c * size**2))


@PATCH_STATISTICS.mistake("The channel is the last axis within a patch. Channel first: all of red, then all of green.")
def channel_last(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    return _moments(_permuted_patches(images, size, (0, 2, 4, 3, 5, 1)))


@PATCH_STATISTICS.mistake("Rows and columns within a patch are swapped: the values must be in row-by-row order.")
def transposed_patches(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    return _moments(_permuted_patches(images, size, (0, 2, 4, 1, 5, 3)))


@PATCH_STATISTICS.mistake("Each channel became a separate patch. A patch holds all channels: D = C · size².")
def one_patch_per_channel(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    _, _, height, width = images.shape
    return _moments(_patches(images.reshape(-1, 1, height, width), size))


@PATCH_STATISTICS.mistake("Only the first image is used. Use the patches of all images.")
def first_image_only(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    return _moments(_patches(images[:1], size))


@PATCH_STATISTICS.mistake(
    "The covariance was computed within each image and then averaged, which loses the differences between images. "
    "Take one mean and one covariance over all patches."
)
def averaged_per_image(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    means, covariances = zip(*(_moments(_patches(image[None], size)) for image in images), strict=True)
    return torch.stack(means).mean(0), torch.stack(covariances).mean(0)


@PATCH_STATISTICS.mistake(
    "Each patch lost its own mean brightness first. Subtract the mean over the patches, one for each of the D dimensions."
)
def centred_per_patch(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    rows = _patches(images, size)
    return rows.mean(0), _moments(rows - rows.mean(1, keepdim=True))[1]


@PATCH_STATISTICS.mistake(
    "This compares patches with patches, [N, N]: torch.cov takes the variables as rows, so give it the transposed patches."
)
def patches_as_variables(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    rows = _patches(images, size)
    return rows.mean(0), torch.cov(rows)


@PATCH_STATISTICS.mistake(
    "The mean is over the wrong axis: it should be [D], one mean for each dimension of a patch, over all N patches."
)
def mean_over_wrong_axis(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    rows = _patches(images, size)
    return rows.mean(1), _moments(rows)[1]


@PATCH_STATISTICS.mistake("The two results are in the wrong order: first the mean, then the covariance.")
def wrong_order(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    mean, covariance = _moments(_patches(images, size))
    return covariance, mean


@PATCH_STATISTICS.mistake("The root of the covariance is taken, entry by entry. Return the covariance itself.")
def standard_deviations(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    mean, covariance = _moments(_patches(images, size))
    return mean, covariance.sqrt()


@PATCH_STATISTICS.mistake("The mean is a single number. It has D values, one for each dimension of a patch: mean(0).")
def mean_of_everything(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    rows = _patches(images, size)
    return rows.mean(), _moments(rows)[1]


@PATCH_STATISTICS.mistake("A single mean was subtracted from all values. Each of the D dimensions has its own: mean(0).")
def centred_by_one_number(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    rows = _patches(images, size)
    centred = rows - rows.mean()
    return rows.mean(0), centred.T @ centred / (len(rows) - 1)


@PATCH_STATISTICS.mistake("The first result is the sum of the patches. Divide by their number: mean(0).")
def sum_for_mean(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    rows = _patches(images, size)
    return rows.sum(0), _moments(rows)[1]


@PATCH_STATISTICS.mistake("The covariance is divided by D - 1. Divide by the number of patches, N - 1.")
def divided_by_dimensions(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    rows = _patches(images, size)
    return rows.mean(0), _moments(rows, len(rows) - rows.shape[1] + 1)[1]


@PATCH_STATISTICS.mistake("The covariance is divided by the number of images. Divide by the number of patches, N - 1.")
def divided_by_images(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    rows = _patches(images, size)
    return rows.mean(0), _moments(rows, len(rows) - len(images) + 1)[1]


@PATCH_STATISTICS.mistake("The first result is the median patch. Return the mean patch.")
def median(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    rows = _patches(images, size)
    return rows.median(0).values, _moments(rows)[1]
