"""The output size of a transposed convolution."""

import torch
from torch.nn import functional as F

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise


def _oracle(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    x, weight = torch.zeros(1, 1, size), torch.zeros(1, 1, kernel)
    return F.conv_transpose1d(x, weight, stride=stride, padding=padding, output_padding=output_padding).shape[-1]


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for kernel, stride, padding, output_padding in ((4, 2, 1, 0), (3, 2, 1, 1), (5, 3, 2, 2), (7, 4, 2, 3), (3, 1, 0, 0)):
        size = draw.integer(5, 20)
        what = f"size {size}, kernel {kernel}, stride {stride}, padding {padding}, output_padding {output_padding}"
        cases.append(Case(what, (size, kernel, stride, padding, output_padding)))
    return cases


CONV_TRANSPOSE_OUTPUT_SIZE = Exercise(
    "conv_transpose_output_size", points=2, difficulty=2, minutes=10, oracle=_oracle, cases=_cases
)


@CONV_TRANSPOSE_OUTPUT_SIZE.mistake("output_padding is forgotten: it is added to the result, once.")
def no_output_padding(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    return (size - 1) * stride - 2 * padding + kernel


@CONV_TRANSPOSE_OUTPUT_SIZE.mistake(
    "The kernel is not counted: the last stamp covers all of its `kernel` pixels, and begins (size - 1) · stride after the first."
)
def kernel_ignored(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    return size * stride - 2 * padding + output_padding


@CONV_TRANSPOSE_OUTPUT_SIZE.mistake("output_padding is counted at both ends. It is added at one end only.")
def output_padding_twice(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    return (size - 1) * stride - 2 * padding + kernel + 2 * output_padding


@CONV_TRANSPOSE_OUTPUT_SIZE.mistake("output_padding is subtracted. It makes the output larger.")
def output_padding_subtracted(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    return (size - 1) * stride - 2 * padding + kernel - output_padding


@CONV_TRANSPOSE_OUTPUT_SIZE.mistake("output_padding is multiplied by the stride. It is measured in output pixels: just add it.")
def output_padding_times_stride(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    return (size - 1) * stride - 2 * padding + kernel + output_padding * stride


@CONV_TRANSPOSE_OUTPUT_SIZE.mistake("The padding is cut off at one end only. It is cut off at both.")
def padding_once(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    return (size - 1) * stride - padding + kernel + output_padding


@CONV_TRANSPOSE_OUTPUT_SIZE.mistake(
    "The padding is added. Here it works the other way round than in a convolution: it is cut off at both ends."
)
def padding_added(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    return (size - 1) * stride + 2 * padding + kernel + output_padding


@CONV_TRANSPOSE_OUTPUT_SIZE.mistake("The padding is not counted: it is cut off at both ends.")
def no_padding(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    return (size - 1) * stride + kernel + output_padding


@CONV_TRANSPOSE_OUTPUT_SIZE.mistake("There is one stride too many: from the first stamp to the last there are size - 1 steps.")
def one_stride_too_many(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    return size * stride - 2 * padding + kernel + output_padding


@CONV_TRANSPOSE_OUTPUT_SIZE.mistake("The result is one too small: the last stamp covers all of its `kernel` pixels.")
def one_too_short(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    return (size - 1) * stride - 2 * padding + kernel - 1 + output_padding


@CONV_TRANSPOSE_OUTPUT_SIZE.mistake("The result is one too large: no 1 is added here; the last stamp covers `kernel` pixels.")
def one_too_long(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    return (size - 1) * stride - 2 * padding + kernel + output_padding + 1


@CONV_TRANSPOSE_OUTPUT_SIZE.mistake("The kernel is missing: the last stamp covers `kernel` pixels.")
def kernel_missing(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    return (size - 1) * stride - 2 * padding + output_padding


@CONV_TRANSPOSE_OUTPUT_SIZE.mistake(
    "This is the size times the stride: right only for some kernels and paddings, such as kernel 4, stride 2, padding 1."
)
def size_times_stride(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    return size * stride


@CONV_TRANSPOSE_OUTPUT_SIZE.mistake("This is the output size of an ordinary convolution, which is smaller than the input.")
def ordinary_convolution(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    return (size + 2 * padding - kernel) // stride + 1


@CONV_TRANSPOSE_OUTPUT_SIZE.mistake(
    "This is the output size of an ordinary convolution, with output_padding added. A transposed one makes the input larger."
)
def ordinary_convolution_and_output_padding(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    return (size + 2 * padding - kernel) // stride + 1 + output_padding


@CONV_TRANSPOSE_OUTPUT_SIZE.mistake("The stride is not used: neighbouring inputs are `stride` pixels apart in the output.")
def stride_ignored(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    return size - 1 - 2 * padding + kernel + output_padding


@CONV_TRANSPOSE_OUTPUT_SIZE.mistake(
    "1 stands in place of the kernel: the last stamp covers `kernel` pixels. (The formula with + 1 at the end has "
    "kernel - 1 before it.)"
)
def one_for_the_kernel(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    return (size - 1) * stride - 2 * padding + 1 + output_padding


@CONV_TRANSPOSE_OUTPUT_SIZE.mistake("There are two strides too many: from the first stamp to the last there are size - 1 steps.")
def two_strides_too_many(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    return (size + 1) * stride - 2 * padding + kernel + output_padding


@CONV_TRANSPOSE_OUTPUT_SIZE.mistake(
    "The kernel is multiplied by the stride. The last stamp covers `kernel` pixels of the output."
)
def kernel_times_stride(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    return (size - 1) * stride - 2 * padding + kernel * stride + output_padding


@CONV_TRANSPOSE_OUTPUT_SIZE.mistake(
    "The padding is multiplied by the stride. It is measured in output pixels: cut off 2 · padding."
)
def padding_times_stride(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    return (size - 1) * stride - 2 * padding * stride + kernel + output_padding


@CONV_TRANSPOSE_OUTPUT_SIZE.mistake(
    "Kernel and stride are swapped: the stamps are `stride` pixels apart, and the last one covers `kernel`."
)
def kernel_and_stride_swapped(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    return (size - 1) * kernel - 2 * padding + stride + output_padding


@CONV_TRANSPOSE_OUTPUT_SIZE.mistake("Brackets are missing: size - 1 * stride multiplies first. Write (size - 1) * stride.")
def brackets_missing(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    return size - 1 * stride - 2 * padding + kernel + output_padding


@CONV_TRANSPOSE_OUTPUT_SIZE.mistake("output_padding is cut off at both ends, like the padding. It is added, once.")
def output_padding_cut_off(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    return (size - 1) * stride - 2 * (padding + output_padding) + kernel


@CONV_TRANSPOSE_OUTPUT_SIZE.mistake(
    "The padding is multiplied by the stride. It is measured in output pixels, and cut off at both ends: 2 · padding."
)
def padding_once_for_each_stride(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    return (size - 1) * stride - padding * stride + kernel + output_padding
