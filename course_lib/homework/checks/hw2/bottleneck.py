"""Two strided convolutions with a SiLU between them, which make a latent from an image."""

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise


def _by_patches(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """One convolution of stride 2 and padding 1 as a matrix product with the table of all patches."""
    height, width = ((n + 2 - k) // 2 + 1 for n, k in zip(x.shape[2:], weight.shape[2:], strict=True))
    columns = F.unfold(x, weight.shape[2:], stride=2, padding=1)
    return (weight.flatten(1) @ columns + bias[:, None]).unflatten(2, (height, width))


def _oracle(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    hidden = _by_patches(images, weight1, bias1)
    return _by_patches(hidden * hidden.sigmoid(), weight2, bias2)


def _conv(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int = 2, padding: int = 1) -> Tensor:
    return F.conv2d(x, weight, bias, stride=stride, padding=padding)


def _block(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _conv(F.silu(_conv(images, weight1, bias1)), weight2, bias2)


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for batch, c, hidden, out, height, width in ((2, 3, 5, 4, 8, 12), (3, 1, 4, 2, 12, 8)):
        shapes = (batch, c, height, width), (hidden, c, 4, 4), (hidden,), (out, hidden, 4, 4), (out,)
        stds = (1.0, 1.5 / (16 * c) ** 0.5, 0.7, 1.5 / (16 * hidden) ** 0.5, 0.7)
        args = tuple(draw.normal(*shape, std=std) for shape, std in zip(shapes, stds, strict=True))
        what = "images {}, weight1 {}, bias1 {}, weight2 {}, bias2 {}".format(*(list(s) for s in shapes))
        cases.append(Case(f"{what}; {draw.dtype_name}", args))
    return cases


BOTTLENECK = Exercise(
    "bottleneck",
    points=3,
    difficulty=2,
    minutes=10,
    oracle=_oracle,
    cases=_cases,
    differentiable=True,
    block=_block,
)


@BOTTLENECK.mistake(
    "There is a SiLU after the second convolution as well: it outputs nothing below -0.28, but latents may have any value."
)
def silu_after_second_too(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return F.silu(_block(images, weight1, bias1, weight2, bias2))


@BOTTLENECK.mistake("There is no SiLU between the convolutions: without it, the two are equivalent to a single convolution.")
def no_silu(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _conv(_conv(images, weight1, bias1), weight2, bias2)


@BOTTLENECK.mistake("The SiLU comes after the second convolution. It belongs between the two.")
def silu_after_second(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return F.silu(_conv(_conv(images, weight1, bias1), weight2, bias2))


@BOTTLENECK.mistake("The images go through SiLU first. It belongs only between the two convolutions.")
def silu_before_first(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _block(F.silu(images), weight1, bias1, weight2, bias2)


@BOTTLENECK.mistake("There is a ReLU between the convolutions; SiLU is asked for: x · sigmoid(x).")
def relu(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _conv(F.relu(_conv(images, weight1, bias1)), weight2, bias2)


@BOTTLENECK.mistake("There is a leaky ReLU between the convolutions; SiLU is asked for: x · sigmoid(x).")
def leaky_relu(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _conv(F.leaky_relu(_conv(images, weight1, bias1)), weight2, bias2)


@BOTTLENECK.mistake("There is a GELU between the convolutions; SiLU is asked for: x · sigmoid(x).")
def gelu(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _conv(F.gelu(_conv(images, weight1, bias1)), weight2, bias2)


@BOTTLENECK.mistake("There is a sigmoid between the convolutions. SiLU is x · sigmoid(x): multiply by x.")
def sigmoid(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _conv(torch.sigmoid(_conv(images, weight1, bias1)), weight2, bias2)


@BOTTLENECK.mistake("There is a tanh between the convolutions; SiLU is asked for: x · sigmoid(x).")
def tanh(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _conv(torch.tanh(_conv(images, weight1, bias1)), weight2, bias2)


@BOTTLENECK.mistake("bias1 is missing.")
def no_bias1(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _conv(F.silu(_conv(images, weight1, None)), weight2, bias2)


@BOTTLENECK.mistake("bias2 is missing.")
def no_bias2(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _conv(F.silu(_conv(images, weight1, bias1)), weight2, None)


@BOTTLENECK.mistake("Both biases are missing.")
def no_biases(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _conv(F.silu(_conv(images, weight1, None)), weight2, None)


@BOTTLENECK.mistake("bias1 is added after the SiLU. It belongs to the convolution, before the SiLU.")
def bias1_after_silu(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _conv(F.silu(_conv(images, weight1, None)) + bias1.view(-1, 1, 1), weight2, bias2)


@BOTTLENECK.mistake("There is no stride: both convolutions move by 2 pixels, which is what makes the latent small.")
def no_stride(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _conv(F.silu(_conv(images, weight1, bias1, 1)), weight2, bias2, 1)


@BOTTLENECK.mistake("The first convolution has no stride: both move by 2 pixels.")
def no_stride_in_first(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _conv(F.silu(_conv(images, weight1, bias1, 1)), weight2, bias2)


@BOTTLENECK.mistake("The second convolution has no stride: both move by 2 pixels.")
def no_stride_in_second(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _conv(F.silu(_conv(images, weight1, bias1)), weight2, bias2, 1)


@BOTTLENECK.mistake("There is no padding: both convolutions have one pixel of zeros on each side.")
def no_padding(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _conv(F.silu(_conv(images, weight1, bias1, 2, 0)), weight2, bias2, 2, 0)


@BOTTLENECK.mistake("The kernels are flipped, as in the mathematical definition of a convolution. Networks do not flip them.")
def kernels_flipped(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _block(images, weight1.flip(2, 3), bias1, weight2.flip(2, 3), bias2)


@BOTTLENECK.mistake("Rows and columns of the kernels are swapped.")
def kernels_transposed(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _block(images, weight1.mT, bias1, weight2.mT, bias2)


@BOTTLENECK.mistake("Pooling is used instead of a stride: give the convolutions stride 2, and leave out the pooling.")
def pooled(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    hidden = F.silu(F.max_pool2d(_conv(images, weight1, bias1, 1), 2))
    return F.max_pool2d(_conv(hidden, weight2, bias2, 1), 2)


@BOTTLENECK.mistake("The latents are flattened. They keep their positions: [B, K, H/4, W/4].")
def flattened(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _block(images, weight1, bias1, weight2, bias2).flatten(1)


@BOTTLENECK.mistake(
    "Stride and padding are swapped: stride 2 and padding 1. In F.conv2d(x, weight, bias, stride, padding) the "
    "stride comes first."
)
def stride_and_padding_swapped(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _conv(F.silu(_conv(images, weight1, bias1, 1, 2)), weight2, bias2, 1, 2)


@BOTTLENECK.mistake("The SiLU comes before the first convolution. It belongs between the two.")
def silu_before_first_only(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _conv(_conv(F.silu(images), weight1, bias1), weight2, bias2)


@BOTTLENECK.mistake("There is an ELU between the convolutions; SiLU is asked for: x · sigmoid(x).")
def elu(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _conv(F.elu(_conv(images, weight1, bias1)), weight2, bias2)


@BOTTLENECK.mistake("There is a softplus between the convolutions; SiLU is asked for: x · sigmoid(x).")
def softplus(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _conv(F.softplus(_conv(images, weight1, bias1)), weight2, bias2)


@BOTTLENECK.mistake("There is a Mish between the convolutions; SiLU is asked for: x · sigmoid(x).")
def mish(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _conv(F.mish(_conv(images, weight1, bias1)), weight2, bias2)


@BOTTLENECK.mistake("There is a Hardswish between the convolutions; SiLU is asked for: x · sigmoid(x).")
def hardswish(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _conv(F.hardswish(_conv(images, weight1, bias1)), weight2, bias2)


@BOTTLENECK.mistake("SiLU is applied twice between the convolutions. Once is enough.")
def silu_twice(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _conv(F.silu(F.silu(_conv(images, weight1, bias1))), weight2, bias2)


@BOTTLENECK.mistake("There is a tanh after the second convolution: latents may have any value.")
def tanh_at_the_end(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return torch.tanh(_block(images, weight1, bias1, weight2, bias2))


@BOTTLENECK.mistake("There is a ReLU after the second convolution: latents may have any value.")
def relu_at_the_end(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return F.relu(_block(images, weight1, bias1, weight2, bias2))


@BOTTLENECK.mistake("The first convolution has no padding: both have one pixel of zeros on each side.")
def no_padding_in_first(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _conv(F.silu(_conv(images, weight1, bias1, 2, 0)), weight2, bias2)


@BOTTLENECK.mistake("The second convolution has no padding: both have one pixel of zeros on each side.")
def no_padding_in_second(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _conv(F.silu(_conv(images, weight1, bias1)), weight2, bias2, 2, 0)


@BOTTLENECK.mistake("The padding is 2. Both convolutions have one pixel of zeros on each side.")
def padding_of_2(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _conv(F.silu(_conv(images, weight1, bias1, 2, 2)), weight2, bias2, 2, 2)


@BOTTLENECK.mistake("The border is reflected. Both convolutions have one pixel of *zeros* on each side: padding=1.")
def reflected_padding(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    def reflect(x: Tensor) -> Tensor:
        return F.pad(x, (1, 1, 1, 1), mode="reflect")

    return _conv(reflect(F.silu(_conv(reflect(images), weight1, bias1, 2, 0))), weight2, bias2, 2, 0)


@BOTTLENECK.mistake("bias2 is added twice. The convolution adds it already.")
def bias2_twice(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _block(images, weight1, bias1, weight2, 2 * bias2)


@BOTTLENECK.mistake("The channels are moved to the end. They stay on axis 1: [B, K, H/4, W/4].")
def channels_at_the_end(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    return _block(images, weight1, bias1, weight2, bias2).permute(0, 2, 3, 1)
