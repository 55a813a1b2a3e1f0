"""The output size of a convolution."""

import torch
from torch.nn import functional as F

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise


def _oracle(size: int, kernel: int, stride: int, padding: int) -> int:
    return F.conv1d(torch.zeros(1, 1, size), torch.zeros(1, 1, kernel), stride=stride, padding=padding).shape[-1]


def _cases(draw: Draw) -> list[Case]:
    cases = []
    # The remainder after the stride makes rounding down differ from rounding up and to the nearest.
    for kernel, stride, padding, remainder in ((4, 2, 1, 0), (7, 5, 1, 4), (5, 1, 2, 0), (7, 2, 0, 1), (8, 5, 2, 1)):
        size = kernel - 2 * padding + stride * draw.integer(6, 20) + remainder
        cases.append(Case(f"size {size}, kernel {kernel}, stride {stride}, padding {padding}", (size, kernel, stride, padding)))
    return cases


CONV_OUTPUT_SIZE = Exercise("conv_output_size", points=1, difficulty=1, minutes=5, oracle=_oracle, cases=_cases)


@CONV_OUTPUT_SIZE.mistake("The result is not rounded down: a kernel that would stick out at the end is not placed. Use //.")
def not_rounded(size: int, kernel: int, stride: int, padding: int) -> float:
    return (size + 2 * padding - kernel) / stride + 1


@CONV_OUTPUT_SIZE.mistake(
    "The result is rounded to the nearest integer: a kernel that would stick out at the end is not placed. Round down, //."
)
def rounded_to_nearest(size: int, kernel: int, stride: int, padding: int) -> int:
    return round((size + 2 * padding - kernel) / stride) + 1


@CONV_OUTPUT_SIZE.mistake("The result is rounded up: a kernel that would stick out at the end is not placed. Round down, //.")
def rounded_up(size: int, kernel: int, stride: int, padding: int) -> int:
    return -(-(size + 2 * padding - kernel) // stride) + 1


@CONV_OUTPUT_SIZE.mistake("The 1 is inside the division. Count the moves, then add the first position: … // stride + 1.")
def one_inside_division(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size + 2 * padding - kernel + 1) // stride


@CONV_OUTPUT_SIZE.mistake(
    "One position is missing: the kernel moves (size + 2 · padding - kernel) // stride times, and has one position "
    "before it moves."
)
def one_missing(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size + 2 * padding - kernel) // stride


@CONV_OUTPUT_SIZE.mistake("The padding is counted once. It is added at both ends.")
def padding_once(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size + padding - kernel) // stride + 1


@CONV_OUTPUT_SIZE.mistake("The padding is not counted: it makes the input longer, at both ends.")
def no_padding(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size - kernel) // stride + 1


@CONV_OUTPUT_SIZE.mistake("The padding is subtracted. It makes the input longer, at both ends.")
def padding_subtracted(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size - 2 * padding - kernel) // stride + 1


@CONV_OUTPUT_SIZE.mistake("The kernel's own width is not subtracted: its first position must fit within the input.")
def kernel_ignored(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size + 2 * padding) // stride + 1


@CONV_OUTPUT_SIZE.mistake(
    "This is the size divided by the stride: right only for some kernels and paddings, such as kernel 4, stride 2, padding 1."
)
def size_over_stride(size: int, kernel: int, stride: int, padding: int) -> int:
    return size // stride


@CONV_OUTPUT_SIZE.mistake("The stride is not used: the kernel moves by `stride` pixels at a time.")
def stride_ignored(size: int, kernel: int, stride: int, padding: int) -> int:
    return size + 2 * padding - kernel + 1


@CONV_OUTPUT_SIZE.mistake("Brackets are missing: // binds more tightly than + and -, so only the kernel was divided.")
def brackets_missing(size: int, kernel: int, stride: int, padding: int) -> int:
    return size + 2 * padding - kernel // stride + 1


@CONV_OUTPUT_SIZE.mistake("This is the output size of a transposed convolution, which is larger than the input.")
def transposed_convolution(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size - 1) * stride - 2 * padding + kernel


@CONV_OUTPUT_SIZE.mistake("The 1 is added to the stride. Add it to the result: … // stride + 1.")
def stride_plus_one(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size + 2 * padding - kernel) // (stride + 1)


@CONV_OUTPUT_SIZE.mistake(
    "1 is subtracted from the moves as well: that is PyTorch's formula with dilation · (kernel - 1) in place of kernel."
)
def one_subtracted_too(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size + 2 * padding - kernel - 1) // stride + 1


@CONV_OUTPUT_SIZE.mistake(
    "There is one position too many: (size + 2 · padding - kernel) // stride moves, and one position before them."
)
def one_position_too_many(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size + 2 * padding - kernel) // stride + 2


@CONV_OUTPUT_SIZE.mistake(
    "kernel - 1 is subtracted. The first position covers `kernel` pixels: subtract all of it, then add 1 at the end."
)
def kernel_minus_one(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size + 2 * padding - (kernel - 1)) // stride + 1


@CONV_OUTPUT_SIZE.mistake("The kernel is subtracted after the division. Brackets: (size + 2 · padding - kernel) // stride + 1.")
def kernel_after_division(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size + 2 * padding) // stride - kernel + 1


@CONV_OUTPUT_SIZE.mistake("The padding is added after the division. Brackets: (size + 2 · padding - kernel) // stride + 1.")
def padding_after_division(size: int, kernel: int, stride: int, padding: int) -> int:
    return 2 * padding + (size - kernel) // stride + 1


@CONV_OUTPUT_SIZE.mistake("Kernel and stride are swapped: subtract the kernel, divide by the stride.")
def kernel_and_stride_swapped(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size + 2 * padding - stride) // kernel + 1


@CONV_OUTPUT_SIZE.mistake("The size is not divided. Brackets: (size + 2 · padding - kernel) // stride + 1.")
def size_after_division(size: int, kernel: int, stride: int, padding: int) -> int:
    return size + (2 * padding - kernel) // stride + 1
