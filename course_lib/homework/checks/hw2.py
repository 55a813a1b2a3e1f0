"""Homework 2, the autoencoder: what its checks compare with, and what people get wrong."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib import metrics
from course_lib.homework.checks.case import Case, Mistake
from course_lib.homework.checks.exercise import Draw, Exercise, Homework, Written


def _says(draw: Draw, text: str) -> str:
    return f"{text}; {draw.dtype}".replace("torch.", "")


# --- conv_side, latent_shape, deconv_side --------------------------------------------------------------------------


def _conv_side(side: int, kernel: int, stride: int, padding: int) -> int:
    return F.conv1d(torch.zeros(1, 1, side), torch.zeros(1, 1, kernel), stride=stride, padding=padding).shape[-1]


def _conv_side_cases(draw: Draw) -> list[Case]:
    cases = []
    # What is left over by the stride, so that rounding down differs from rounding up and to the nearest.
    for kernel, stride, padding, left in ((4, 2, 1, 0), (7, 5, 1, 4), (5, 1, 2, 0), (7, 2, 0, 1), (8, 5, 2, 1)):
        side = kernel - 2 * padding + stride * draw.whole(6, 20) + left
        cases.append(Case(f"side {side}, kernel {kernel}, stride {stride}, padding {padding}", (side, kernel, stride, padding)))
    return cases


CONV_SIDE = Exercise(
    "conv_side", 1, 1, 5, _conv_side, _conv_side_cases,
    mistakes=(
        Mistake("There is no rounding down: a kernel that would stick out at the end is not placed. Use //.", lambda n, k, s, p: (n + 2 * p - k) / s + 1),
        Mistake("It is rounded to the nearest: a kernel that would stick out at the end is not placed. Round down, //.",
                lambda n, k, s, p: round((n + 2 * p - k) / s) + 1),
        Mistake("It is rounded up: a kernel that would stick out at the end is not placed. Round down, //.", lambda n, k, s, p: -(-(n + 2 * p - k) // s) + 1),
        Mistake("The 1 is inside the division. Count the moves, then add the first position: … // stride + 1.", lambda n, k, s, p: (n + 2 * p - k + 1) // s),
        Mistake("One position is missing: the kernel moves (side + 2 · padding - kernel) // stride times, and stands in one place before it moves.",
                lambda n, k, s, p: (n + 2 * p - k) // s),
        Mistake("The padding is counted once. It is put at both ends.", lambda n, k, s, p: (n + p - k) // s + 1),
        Mistake("The padding is not counted: it makes the side longer, at both ends.", lambda n, k, s, p: (n - k) // s + 1),
        Mistake("The padding is taken away. It makes the side longer, at both ends.", lambda n, k, s, p: (n - 2 * p - k) // s + 1),
        Mistake("The kernel's own width is not taken away: its first place must fit within the side.", lambda n, k, s, p: (n + 2 * p) // s + 1),
        Mistake("This is side divided by stride: true only for some kernels and paddings, such as kernel 4, stride 2, padding 1.", lambda n, k, s, p: n // s),
        Mistake("The stride is not used: the kernel moves by `stride` pixels at a time.", lambda n, k, s, p: n + 2 * p - k + 1),
        Mistake("Brackets are missing: // binds before + and -, so that only the kernel was divided.", lambda n, k, s, p: n + 2 * p - k // s + 1),
        Mistake("This is the side after a transposed convolution, which makes it longer.", lambda n, k, s, p: (n - 1) * s - 2 * p + k),
    ),
)  # fmt: skip


def _latent_shape(height: int, width: int, halvings: int, channels: int) -> tuple[int, int, int, float]:
    x = torch.zeros(1, 3, height, width)
    for i in range(halvings):
        out = channels if i == halvings - 1 else 1
        x = F.conv2d(x, torch.zeros(out, x.shape[1], 4, 4), stride=2, padding=1)
    return (*x.shape[1:], 3 * height * width / x.numel())


def _latent_shape_cases(draw: Draw) -> list[Case]:
    cases = []
    for halvings, channels in ((3, 4), (2, 5), (4, 7)):
        tall = draw.whole(2, 5)
        height, width = 2**halvings * tall, 2**halvings * (tall + draw.whole(1, 4))
        what = f"height {height}, width {width}, {halvings} halvings, {channels} channels"
        cases.append(Case(what, (height, width, halvings, channels)))
    return cases


def _shape(factor, numbers=3, swap=False):
    """A latent with sides `factor` (halvings) times smaller, of images with so many numbers a pixel."""

    def made(h: int, w: int, n: int, c: int) -> tuple:
        f = factor(n)
        rows, columns = (w // f, h // f) if swap else (h // f, w // f)
        return c, rows, columns, numbers * h * w / (c * rows * columns)

    return made


def _ratio(rule):
    """The right shape with another ratio: rule(height, width, halvings, channels)."""
    return lambda h, w, n, c: (c, h // 2**n, w // 2**n, rule(h, w, n, c))


LATENT_SHAPE = Exercise(
    "latent_shape", 2, 2, 10, _latent_shape, _latent_shape_cases,
    mistakes=(
        Mistake("Height and width are swapped: images are [C, H, W].", _shape(lambda n: 2**n, swap=True)),
        Mistake("The sides are divided by 2 · halvings. Each halving halves what is left: three of them divide by 8.", _shape(lambda n: 2 * n)),
        Mistake("The latent is taken for a square. Its height comes from the image's height, its width from the width.",
                lambda h, w, n, c: (c, h // 2**n, h // 2**n, 3 * 4**n / c)),
        Mistake("The latent is taken for a square. Its height comes from the image's height, its width from the width.",
                lambda h, w, n, c: (c, h // 2**n, h // 2**n, 3 * h * w / (c * (h // 2**n) ** 2))),
        Mistake("The sides are halved once only. Each of the halvings does it again.", _shape(lambda n: 2)),
        Mistake("One halving too few.", _shape(lambda n: 2 ** (n - 1))),
        Mistake("One halving too many.", _shape(lambda n: 2 ** (n + 1))),
        Mistake("The sides are divided by 4 for each halving. A side is halved; it is the area that becomes four times smaller.", _shape(lambda n: 4**n)),
        Mistake("The image is counted in pixels. Each has three numbers: red, green and blue.", _shape(lambda n: 2**n, numbers=1)),
        Mistake("The ratio is upside down: the numbers of the image over those of the latent, so that it is larger than 1 where the latent is smaller.",
                _ratio(lambda h, w, n, c: c / (3 * 4**n))),
        Mistake("The ratio leaves out the channels of both: 3 · H · W numbers over channels · h · w.", _ratio(lambda h, w, n, c: float(4**n))),
        Mistake("The ratio leaves out the latent's channels: each of its places has `channels` numbers.", _ratio(lambda h, w, n, c: 3.0 * 4**n)),
        Mistake("This is how many times a side shrinks. The ratio compares all numbers: 3 · H · W over channels · h · w.",
                _ratio(lambda h, w, n, c: float(2**n))),
        Mistake("The ratio is rounded down: // cuts off what is behind the point. Divide by /.", _ratio(lambda h, w, n, c: 3 * 4**n // c)),
        Mistake("This is how many numbers the latent has, not how many times fewer than the image.", _ratio(lambda h, w, n, c: c * h * w // 4**n)),
        Mistake("The channels stand last. They come first: channels, height, width, ratio.",
                lambda h, w, n, c: (h // 2**n, w // 2**n, c, 3 * 4**n / c)),
        Mistake("The ratio is missing: four values are asked for.", lambda h, w, n, c: (c, h // 2**n, w // 2**n)),
        Mistake("The channels are doubled with each halving. That is done inside an encoder; its last layer gives `channels`, whatever came before.",
                lambda h, w, n, c: (c * 2**n, h // 2**n, w // 2**n, 3 * 2**n / c)),
    ),
)  # fmt: skip


def _deconv_side(side: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    x, weight = torch.zeros(1, 1, side), torch.zeros(1, 1, kernel)
    return F.conv_transpose1d(x, weight, stride=stride, padding=padding, output_padding=output_padding).shape[-1]


def _deconv_side_cases(draw: Draw) -> list[Case]:
    cases = []
    for kernel, stride, padding, extra in ((4, 2, 1, 0), (3, 2, 1, 1), (5, 3, 2, 2), (7, 4, 2, 3), (3, 1, 0, 0)):
        side = draw.whole(5, 20)
        what = f"side {side}, kernel {kernel}, stride {stride}, padding {padding}, output_padding {extra}"
        cases.append(Case(what, (side, kernel, stride, padding, extra)))
    return cases


DECONV_SIDE = Exercise(
    "deconv_side", 2, 2, 10, _deconv_side, _deconv_side_cases,
    mistakes=(
        Mistake("output_padding is forgotten: it is added to the result, once.", lambda n, k, s, p, o: (n - 1) * s - 2 * p + k),
        Mistake("The kernel is not counted: the last stamp covers all of its `kernel` pixels, and begins (side - 1) · stride after the first.",
                lambda n, k, s, p, o: n * s - 2 * p + o),
        Mistake("output_padding is counted at both ends. It is added at one end only.", lambda n, k, s, p, o: (n - 1) * s - 2 * p + k + 2 * o),
        Mistake("output_padding is taken away. It makes the result longer.", lambda n, k, s, p, o: (n - 1) * s - 2 * p + k - o),
        Mistake("output_padding is multiplied by the stride. It is counted in pixels of the result, and simply added.",
                lambda n, k, s, p, o: (n - 1) * s - 2 * p + k + o * s),
        Mistake("The padding is cut off at one end only. It is cut off at both.", lambda n, k, s, p, o: (n - 1) * s - p + k + o),
        Mistake("The padding is added. Here it works the other way round than in a convolution: it is cut off at both ends.",
                lambda n, k, s, p, o: (n - 1) * s + 2 * p + k + o),
        Mistake("The padding is not counted: it is cut off at both ends.", lambda n, k, s, p, o: (n - 1) * s + k + o),
        Mistake("There is one stride too many: from the first stamp to the last there are side - 1 steps.", lambda n, k, s, p, o: n * s - 2 * p + k + o),
        Mistake("It is one too short: the last stamp covers all of its `kernel` pixels.", lambda n, k, s, p, o: (n - 1) * s - 2 * p + k - 1 + o),
        Mistake("It is one too long: no 1 is added here; the last stamp covers `kernel` pixels.", lambda n, k, s, p, o: (n - 1) * s - 2 * p + k + o + 1),
        Mistake("The kernel is missing: the last stamp covers `kernel` pixels.", lambda n, k, s, p, o: (n - 1) * s - 2 * p + o),
        Mistake("This is side times stride: true only for some kernels and paddings, such as kernel 4, stride 2, padding 1.", lambda n, k, s, p, o: n * s),
        Mistake("This is the side after an ordinary convolution, which makes it shorter.", lambda n, k, s, p, o: (n + 2 * p - k) // s + 1),
        Mistake("This is the side after an ordinary convolution, with output_padding added. A transposed one makes the side longer.",
                lambda n, k, s, p, o: (n + 2 * p - k) // s + 1 + o),
        Mistake("The stride is not used: neighbours of the input are `stride` pixels apart in the result.", lambda n, k, s, p, o: n - 1 - 2 * p + k + o),
    ),
)  # fmt: skip


# --- bottleneck ----------------------------------------------------------------------------------------------------


def _slide(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """One convolution of stride 2 and padding 1 as a product with the table of all patches."""
    height, width = ((n + 2 - k) // 2 + 1 for n, k in zip(x.shape[2:], weight.shape[2:], strict=True))
    columns = F.unfold(x, weight.shape[2:], stride=2, padding=1)
    return (weight.flatten(1) @ columns + bias[:, None]).unflatten(2, (height, width))


def _bottleneck(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    hidden = _slide(images, weight1, bias1)
    return _slide(hidden * hidden.sigmoid(), weight2, bias2)


def _conv(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int = 2, padding: int = 1) -> Tensor:
    return F.conv2d(x, weight, bias, stride=stride, padding=padding)


def _block_bottleneck(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _conv(F.silu(_conv(images, weight1, bias1)), weight2, bias2)


def _bottleneck_cases(draw: Draw) -> list[Case]:
    cases = []
    for batch, c, hidden, out, height, width in ((2, 3, 5, 4, 8, 12), (3, 1, 4, 2, 12, 8)):
        shapes = (batch, c, height, width), (hidden, c, 4, 4), (hidden,), (out, hidden, 4, 4), (out,)
        spread = (1.0, 1.5 / (16 * c) ** 0.5, 0.7, 1.5 / (16 * hidden) ** 0.5, 0.7)
        args = tuple(draw.normal(*shape, std=std) for shape, std in zip(shapes, spread, strict=True))
        what = "images {}, weight1 {}, bias1 {}, weight2 {}, bias2 {}".format(*(list(s) for s in shapes))
        cases.append(Case(_says(draw, what), args))
    return cases


def _with(activation) -> object:
    return lambda x, w, b, v, c: _conv(activation(_conv(x, w, b)), v, c)


BOTTLENECK = Exercise(
    "bottleneck", 3, 2, 15, _bottleneck, _bottleneck_cases, differentiable=True, block=_block_bottleneck,
    mistakes=(
        Mistake("There is a SiLU after the second convolution as well: it lets nothing below -0.28 through, and codes may be anything.",
                lambda x, w, b, v, c: F.silu(_block_bottleneck(x, w, b, v, c))),
        Mistake("There is no SiLU between the convolutions: without it the two of them are no more than one.", _with(lambda h: h)),
        Mistake("The SiLU stands after the second convolution. It belongs between the two.", lambda x, w, b, v, c: F.silu(_conv(_conv(x, w, b), v, c))),
        Mistake("The images go through SiLU first. It belongs between the two convolutions alone.",
                lambda x, w, b, v, c: _block_bottleneck(F.silu(x), w, b, v, c)),
        Mistake("There is a ReLU between the convolutions; SiLU is asked for: x · sigmoid(x).", _with(F.relu)),
        Mistake("There is a leaky ReLU between the convolutions; SiLU is asked for: x · sigmoid(x).", _with(F.leaky_relu)),
        Mistake("There is a GELU between the convolutions; SiLU is asked for: x · sigmoid(x).", _with(F.gelu)),
        Mistake("There is a sigmoid between the convolutions. SiLU is x · sigmoid(x): multiply by x.", _with(torch.sigmoid)),
        Mistake("There is a tanh between the convolutions; SiLU is asked for: x · sigmoid(x).", _with(torch.tanh)),
        Mistake("bias1 is missing.", lambda x, w, b, v, c: _conv(F.silu(_conv(x, w, None)), v, c)),
        Mistake("bias2 is missing.", lambda x, w, b, v, c: _conv(F.silu(_conv(x, w, b)), v, None)),
        Mistake("Both biases are missing.", lambda x, w, b, v, c: _conv(F.silu(_conv(x, w, None)), v, None)),
        Mistake("bias1 is added after the SiLU. It belongs to the convolution, before it.",
                lambda x, w, b, v, c: _conv(F.silu(_conv(x, w, None)) + b.view(-1, 1, 1), v, c)),
        Mistake("There is no stride: both convolutions move by 2 pixels, which is what makes the code small.",
                lambda x, w, b, v, c: _conv(F.silu(_conv(x, w, b, 1)), v, c, 1)),
        Mistake("The first convolution has no stride: both move by 2 pixels.", lambda x, w, b, v, c: _conv(F.silu(_conv(x, w, b, 1)), v, c)),
        Mistake("The second convolution has no stride: both move by 2 pixels.", lambda x, w, b, v, c: _conv(F.silu(_conv(x, w, b)), v, c, 1)),
        Mistake("There is no padding: both convolutions have one pixel of zeros at each side.",
                lambda x, w, b, v, c: _conv(F.silu(_conv(x, w, b, 2, 0)), v, c, 2, 0)),
        Mistake("The kernels are turned round, as in a mathematician's convolution. Networks do not turn them.",
                lambda x, w, b, v, c: _block_bottleneck(x, w.flip(2, 3), b, v.flip(2, 3), c)),
        Mistake("Rows and columns of the kernels are swapped.", lambda x, w, b, v, c: _block_bottleneck(x, w.mT, b, v.mT, c)),
        Mistake("It is pooled instead of moved by 2 pixels: give the convolutions stride 2, and leave pooling out.",
                lambda x, w, b, v, c: F.max_pool2d(_conv(F.silu(F.max_pool2d(_conv(x, w, b, 1), 2)), v, c, 1), 2)),
        Mistake("The codes are flattened. They keep their places: [B, K, H/4, W/4].",
                lambda x, w, b, v, c: _block_bottleneck(x, w, b, v, c).flatten(1)),
    ),
)  # fmt: skip


# --- pca_copies ----------------------------------------------------------------------------------------------------


def _pca_copies(train: Tensor, test: Tensor, k: int) -> Tensor:
    x, y = (points.detach().cpu().double().numpy() for points in (train, test))
    axes = np.linalg.eigh(np.cov(x, rowvar=False))[1][:, ::-1][:, :k]
    return torch.from_numpy(x.mean(0) + (y - x.mean(0)) @ axes @ axes.T).to(test)


def _axes(x: Tensor, k: int) -> Tensor:
    """The first k right singular vectors, [k, D]."""
    return torch.linalg.svd(x, full_matrices=False).Vh[:k]


def _copies(train: Tensor, test: Tensor, k: int) -> Tensor:
    mean = train.mean(0)
    axes = _axes(train - mean, k)
    return mean + (test - mean) @ axes.T @ axes


def _pca_copies_cases(draw: Draw) -> list[Case]:
    cases = []
    for n, m, d, k, why in ((40, 5, 8, 3, "more points than axes"), (9, 4, 14, 2, "fewer points than axes")):
        widths = draw.tensor([1.5 * 0.7**i for i in range(d)])
        turn = torch.linalg.qr(draw.normal(d, d))[0]
        mean, apart = draw.normal(d, std=0.8), draw.normal(d, std=0.4)
        train, test = mean + (draw.normal(n, d) * widths) @ turn.T, mean + apart + (draw.normal(m, d) * widths) @ turn.T
        cases.append(Case(_says(draw, f"train [{n}, {d}], test [{m}, {d}] ({why}), k = {k}"), (train, test, k)))
    return cases


def _by(basis) -> object:
    """Copies that the columns of basis(centred train, k) [D, k] give."""

    def made(train: Tensor, test: Tensor, k: int) -> Tensor:
        mean = train.mean(0)
        b = basis(train - mean, k)
        return mean + (test - mean) @ b @ b.T

    return made


def _whitened(train: Tensor, test: Tensor, k: int, power: int) -> Tensor:
    mean = train.mean(0)
    _, s, v = torch.linalg.svd(train - mean, full_matrices=False)
    return mean + (test - mean) @ v[:k].T * s[:k] ** power @ v[:k]


PCA_COPIES = Exercise(
    "pca_copies", 3, 3, 20, _pca_copies, _pca_copies_cases, block=_copies, tolerance=1e-3,
    mistakes=(
        Mistake("Nothing is centred: PCA takes directions from the mean point. Subtract train's mean before fitting and before coding, and add it at the end.",
                lambda x, y, k: y @ _axes(x, k).T @ _axes(x, k)),
        Mistake("One number was subtracted, the mean of all. The mean *point* has D numbers: train.mean(0).",
                lambda x, y, k: x.mean() + (y - x.mean()) @ _axes(x - x.mean(), k).T @ _axes(x - x.mean(), k)),
        Mistake("The mean is subtracted from test and added again, but the axes were fitted to points that are not centred.",
                lambda x, y, k: x.mean(0) + (y - x.mean(0)) @ _axes(x, k).T @ _axes(x, k)),
        Mistake("The mean is not added at the end: these are copies of the centred points.", lambda x, y, k: _copies(x, y, k) - x.mean(0)),
        Mistake("The mean is added at the end, but was not subtracted from test before coding.",
                lambda x, y, k: x.mean(0) + y @ _axes(x - x.mean(0), k).T @ _axes(x - x.mean(0), k)),
        Mistake("The axes were fitted to centred points, but test was coded and decoded without any mean.",
                lambda x, y, k: y @ _axes(x - x.mean(0), k).T @ _axes(x - x.mean(0), k)),
        Mistake("Test is centred by its own mean. Whoever decodes knows train alone: use train's mean for both.",
                lambda x, y, k: y.mean(0) + (y - y.mean(0)) @ _axes(x - x.mean(0), k).T @ _axes(x - x.mean(0), k)),
        Mistake("Test is centred by its own mean, and train's is added at the end. Use train's mean for both.",
                lambda x, y, k: x.mean(0) + (y - y.mean(0)) @ _axes(x - x.mean(0), k).T @ _axes(x - x.mean(0), k)),
        Mistake("The axes and the mean were fitted to test. They come from train; test is only coded.", lambda x, y, k: _copies(y, y, k)),
        Mistake("The axes and the mean were fitted to train and test together. They come from train alone.", lambda x, y, k: _copies(torch.cat([x, y]), y, k)),
        Mistake("These are copies of train. Copies of test are asked for.", lambda x, y, k: _copies(x, x, k)),
        Mistake("These are the k axes with the least variance: eigh sorts upwards. Take the last k columns.",
                _by(lambda c, k: torch.linalg.eigh(c.T @ c)[1][:, :k])),
        Mistake("Rows and columns of V are mixed up: torch.linalg.svd returns Vh, whose *rows* are the axes.",
                _by(lambda c, k: torch.linalg.svd(c, full_matrices=False).Vh[:, :k])),
        Mistake("Rows and columns of the eigenvectors are mixed up: torch.linalg.eigh returns them as *columns*.",
                _by(lambda c, k: torch.linalg.eigh(c.T @ c)[1][-k:].T)),
        Mistake("The vectors in U belong to the points. The axes in pixel space are the rows of Vh.",
                _by(lambda c, k: torch.linalg.svd(c, full_matrices=False).U[:, :k])),
        Mistake("The k numbers are multiplied by the singular values. The axes have length 1: project on them and nothing more.",
                lambda x, y, k: _whitened(x, y, k, 1)),
        Mistake("The k numbers are divided by the singular values (whitened) and not multiplied again when decoding.", lambda x, y, k: _whitened(x, y, k, -1)),
        Mistake("These are the codes, [M, k]. Decode them: back into pixel space, and the mean added.",
                lambda x, y, k: (y - x.mean(0)) @ _axes(x - x.mean(0), k).T),
        Mistake("One axis too few.", lambda x, y, k: _copies(x, y, k - 1)),
        Mistake("One axis too many.", lambda x, y, k: _copies(x, y, k + 1)),
        Mistake("Each point was centred by the mean of its own numbers. The mean *point* of train is subtracted: x.mean(0).",
                lambda x, y, k: y.mean(1, keepdim=True) + (y - y.mean(1, keepdim=True)) @ _axes(x - x.mean(1, keepdim=True), k).T
                @ _axes(x - x.mean(1, keepdim=True), k)),
        Mistake("The first k numbers of each point were kept. Principal axes are turned: take them from the SVD of the centred points.",
                lambda x, y, k: torch.cat([y[:, :k], x.mean(0)[k:].expand(len(y), -1)], 1)),
        Mistake("The copies are clamped to [-1, 1]. PCA does not know this range; leave them as they come.", lambda x, y, k: _copies(x, y, k).clamp(-1, 1)),
    ),
)  # fmt: skip


# --- psnr ----------------------------------------------------------------------------------------------------------


def _psnr(images: Tensor, copies: Tensor) -> Tensor:
    x, y = (pictures.detach().cpu().double().numpy() for pictures in (images, copies))
    values = [20 * math.log10(2 / math.sqrt(np.square(a - b).mean())) for a, b in zip(x, y, strict=True)]
    return torch.tensor(values, dtype=torch.float64).to(images)


def _block_psnr(images: Tensor, copies: Tensor) -> Tensor:
    return metrics.psnr(images, copies, "none")


def _mse(x: Tensor, y: Tensor) -> Tensor:
    return (x - y).square().flatten(1).mean(1)


def _decibels(ratio: Tensor) -> Tensor:
    return 10 * ratio.log10()


def _psnr_cases(draw: Draw) -> list[Case]:
    cases = []
    for shape in ((4, 3, 5, 7), (3, 1, 6, 4)):
        images = draw.uniform(*shape, low=-0.95, high=0.95)
        size = draw.tensor([0.03, 0.3, 0.1, 0.6][: shape[0]]).view(-1, 1, 1, 1) * draw.uniform(
            shape[0], 1, 1, 1, low=0.8, high=1.2
        )
        colour = draw.tensor([0.4, 1.0, 1.8][: shape[1]]).view(-1, 1, 1)  # channels err by different amounts
        copies = images + size * colour * draw.normal(*shape)
        cases.append(Case(_says(draw, f"images, copies {list(shape)}"), (images, copies)))
    return cases


_BATCH = "One number for each image, [B], is asked for"

PSNR = Exercise(
    "psnr", 3, 2, 10, _psnr, _psnr_cases, block=_block_psnr,
    mistakes=(
        Mistake("The peak is 1: right for pixels in [0, 1]. From -1 to 1 it is 2, which is 6 dB more.", lambda x, y: _decibels(1 / _mse(x, y))),
        Mistake("The peak is 255: right for bytes. From -1 to 1 it is 2.", lambda x, y: _decibels(255**2 / _mse(x, y))),
        Mistake("The peak is not squared: 2² over the mean squared error.", lambda x, y: _decibels(2 / _mse(x, y))),
        Mistake("The peak is taken from the pictures. It belongs to the format: 2, from -1 to 1, whatever this batch holds.",
                lambda x, y: _decibels((x.max() - x.min()).square() / _mse(x, y))),
        Mistake("The peak is taken from each picture. It belongs to the format: 2, from -1 to 1, whatever a picture holds.",
                lambda x, y: _decibels((x.amax((1, 2, 3)) - x.amin((1, 2, 3))).square() / _mse(x, y))),
        Mistake("The peak is taken from each picture. It belongs to the format: 2, from -1 to 1, whatever a picture holds.",
                lambda x, y: _decibels(x.amax((1, 2, 3)).square() / _mse(x, y))),
        Mistake("The root was taken, and the factor is still 10. With the root it is 20 · log10(2 / root), without it 10 · log10(2² / MSE).",
                lambda x, y: _decibels(2 / _mse(x, y).sqrt())),
        Mistake("The root was taken of the error alone: 2² stands over the MSE, or 2 over its root.", lambda x, y: _decibels(4 / _mse(x, y).sqrt())),
        Mistake("The factor is 20 where no root was taken: 10 · log10(2² / MSE).", lambda x, y: 2 * _decibels(4 / _mse(x, y))),
        Mistake("The factor 10 is missing: this is in bel, not in decibel.", lambda x, y: _decibels(4 / _mse(x, y)) / 10),
        Mistake("The logarithm is natural. Decibels want the one to the base 10.", lambda x, y: 10 * (4 / _mse(x, y)).log()),
        Mistake("The logarithm is to the base 2. Decibels want the one to the base 10.", lambda x, y: 10 * (4 / _mse(x, y)).log2()),
        Mistake("The sign is turned round: a better copy has more decibels, so the error stands below the peak.", lambda x, y: -_decibels(4 / _mse(x, y))),
        Mistake("The squared error is summed. Take its mean over the numbers of an image.", lambda x, y: _decibels(4 / (x - y).square().flatten(1).sum(1))),
        Mistake(f"The error is averaged over the batch before the logarithm. {_BATCH}.", lambda x, y: _decibels(4 / (x - y).square().mean())),
        Mistake(f"The decibels are averaged over the batch. {_BATCH}.", lambda x, y: _decibels(4 / _mse(x, y)).mean()),
        Mistake("Each channel has its own: average the squared error over channels, rows and columns.",
                lambda x, y: _decibels(4 / (x - y).square().mean((2, 3)))),
        Mistake("The decibels of the channels are averaged. First average the squared error over all numbers of an image, then take the logarithm.",
                lambda x, y: _decibels(4 / (x - y).square().mean((2, 3))).mean(1)),
        Mistake("The decibels of single pixels are averaged. First average the squared error of an image, then take the logarithm.",
                lambda x, y: _decibels(4 / (x - y).square()).flatten(1).mean(1)),
        Mistake("The absolute difference stands where its square belongs.", lambda x, y: _decibels(4 / (x - y).abs().flatten(1).mean(1))),
        Mistake("The pictures were brought to [0, 1], and the peak is still 2: it is then 1.", lambda x, y: _decibels(16 / _mse(x, y))),
        Mistake("The average ran over the batch, axis 0. It runs over the other three.",
                lambda x, y: _decibels(4 / (x - y).square().mean(0))),
        Mistake("This is the mean squared error itself, not yet in decibels.", _mse),
        Mistake("The copies were clamped to [-1, 1] first. Take them as they are given.", lambda x, y: _decibels(4 / _mse(x, y.clamp(-1, 1)))),
    ),
)  # fmt: skip

hw2 = Homework(
    "hw2", "Autoencoder", CONV_SIDE, LATENT_SHAPE, DECONV_SIDE, BOTTLENECK, PCA_COPIES, PSNR, Written("holes", 3, 3, 15)
)  # fmt: skip
