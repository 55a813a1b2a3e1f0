"""The shape of an autoencoder's latent, and its compression ratio."""

import torch
from torch.nn import functional as F

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise

Shape = tuple[int, int, int, float]


def _oracle(height: int, width: int, halvings: int, channels: int) -> Shape:
    x = torch.zeros(1, 3, height, width)
    for i in range(halvings):
        out = channels if i == halvings - 1 else 1
        x = F.conv2d(x, torch.zeros(out, x.shape[1], 4, 4), stride=2, padding=1)
    return x.shape[1], x.shape[2], x.shape[3], 3 * height * width / x.numel()


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for halvings, channels in ((3, 4), (2, 5), (4, 7)):
        tall = draw.integer(2, 5)
        height, width = 2**halvings * tall, 2**halvings * (tall + draw.integer(1, 4))
        what = f"height {height}, width {width}, {halvings} halvings, {channels} channels"
        cases.append(Case(what, (height, width, halvings, channels)))
    return cases


def _divided(height: int, width: int, factor: int, channels: int) -> Shape:
    """The latent of an RGB image whose sides are divided by this factor."""
    rows, columns = height // factor, width // factor
    return channels, rows, columns, 3 * height * width / (channels * rows * columns)


_SQUARE = "The latent is taken for a square. Its height comes from the image's height, its width from the width."

LATENT_SHAPE = Exercise(
    "latent_shape",
    points=2,
    difficulty=2,
    minutes=10,
    oracle=_oracle,
    cases=_cases,
    values=("the shape", "the shape", "the shape", "the ratio"),
)


@LATENT_SHAPE.mistake("Height and width are swapped: images are [C, H, W].")
def height_and_width_swapped(height: int, width: int, halvings: int, channels: int) -> tuple:
    return _divided(width, height, 2**halvings, channels)


@LATENT_SHAPE.mistake("The sides are divided by 2 · halvings. Each halving halves the remaining side: three of them divide by 8.")
def twice_the_halvings(height: int, width: int, halvings: int, channels: int) -> tuple:
    return _divided(height, width, 2 * halvings, channels)


@LATENT_SHAPE.mistake(_SQUARE)
def square_latent(height: int, width: int, halvings: int, channels: int) -> tuple:
    c, h, _, _ = _oracle(height, width, halvings, channels)
    return c, h, h, 3 * 4**halvings / c


@LATENT_SHAPE.mistake(_SQUARE)
def square_latent_and_ratio(height: int, width: int, halvings: int, channels: int) -> tuple:
    c, h, _, _ = _oracle(height, width, halvings, channels)
    return c, h, h, 3 * height * width / (c * h**2)


@LATENT_SHAPE.mistake("The sides are halved only once. Halve them `halvings` times.")
def halved_once(height: int, width: int, halvings: int, channels: int) -> tuple:
    return _divided(height, width, 2, channels)


@LATENT_SHAPE.mistake("One halving too few.")
def one_halving_too_few(height: int, width: int, halvings: int, channels: int) -> tuple:
    return _divided(height, width, 2 ** (halvings - 1), channels)


@LATENT_SHAPE.mistake("One halving too many.")
def one_halving_too_many(height: int, width: int, halvings: int, channels: int) -> tuple:
    return _divided(height, width, 2 ** (halvings + 1), channels)


@LATENT_SHAPE.mistake(
    "The sides are divided by 4 for each halving. A side is halved; it is the area that becomes four times smaller."
)
def quartered(height: int, width: int, halvings: int, channels: int) -> tuple:
    return _divided(height, width, 4**halvings, channels)


@LATENT_SHAPE.mistake("The image is counted in pixels. Each pixel has three values: red, green and blue.")
def pixels_counted(height: int, width: int, halvings: int, channels: int) -> tuple:
    c, h, w, ratio = _oracle(height, width, halvings, channels)
    return c, h, w, ratio / 3


@LATENT_SHAPE.mistake(
    "The ratio is upside down: divide the size of the image by the size of the latent, so that it is larger than 1 "
    "where the latent is smaller."
)
def ratio_inverted(height: int, width: int, halvings: int, channels: int) -> tuple:
    c, h, w, _ = _oracle(height, width, halvings, channels)
    return c, h, w, c / (3 * 4**halvings)


@LATENT_SHAPE.mistake("The ratio leaves out the channels of both: it is 3 · H · W values over channels · h · w.")
def no_channels_in_ratio(height: int, width: int, halvings: int, channels: int) -> tuple:
    c, h, w, _ = _oracle(height, width, halvings, channels)
    return c, h, w, float(4**halvings)


@LATENT_SHAPE.mistake("The ratio leaves out the latent's channels: each of its positions has `channels` values.")
def no_latent_channels_in_ratio(height: int, width: int, halvings: int, channels: int) -> tuple:
    c, h, w, _ = _oracle(height, width, halvings, channels)
    return c, h, w, 3.0 * 4**halvings


@LATENT_SHAPE.mistake(
    "This is the factor by which a side shrinks. The ratio compares all values: 3 · H · W over channels · h · w."
)
def ratio_of_sides(height: int, width: int, halvings: int, channels: int) -> tuple:
    c, h, w, _ = _oracle(height, width, halvings, channels)
    return c, h, w, float(2**halvings)


@LATENT_SHAPE.mistake("The ratio is rounded down: // cuts off the decimals. Divide with /.")
def ratio_rounded_down(height: int, width: int, halvings: int, channels: int) -> tuple:
    c, h, w, _ = _oracle(height, width, halvings, channels)
    return c, h, w, 3 * 4**halvings // c


@LATENT_SHAPE.mistake("This is the number of values in the latent, not the factor by which it is smaller than the image.")
def size_for_ratio(height: int, width: int, halvings: int, channels: int) -> tuple:
    c, h, w, _ = _oracle(height, width, halvings, channels)
    return c, h, w, c * h * w


@LATENT_SHAPE.mistake("The channels come last. They should come first: channels, height, width, ratio.")
def channels_last(height: int, width: int, halvings: int, channels: int) -> tuple:
    c, h, w, ratio = _oracle(height, width, halvings, channels)
    return h, w, c, ratio


@LATENT_SHAPE.mistake("The ratio is missing: return four values.")
def ratio_missing(height: int, width: int, halvings: int, channels: int) -> tuple:
    return _oracle(height, width, halvings, channels)[:3]


@LATENT_SHAPE.mistake(
    "The channels are doubled with each halving. That happens inside an encoder; its last layer outputs `channels` "
    "of them, whatever came before."
)
def channels_doubled(height: int, width: int, halvings: int, channels: int) -> tuple:
    c, h, w, ratio = _oracle(height, width, halvings, channels)
    return c * 2**halvings, h, w, ratio / 2**halvings


@LATENT_SHAPE.mistake("`^` is the exclusive or of bits: 2 ^ halvings is no power. Write 2**halvings.")
def xor_for_power(height: int, width: int, halvings: int, channels: int) -> tuple:
    return _divided(height, width, 2 ^ halvings, channels)


@LATENT_SHAPE.mistake(
    "The sides are divided by the number of halvings. Each halving halves the remaining side: divide by 2**halvings."
)
def divided_by_halvings(height: int, width: int, halvings: int, channels: int) -> tuple:
    return _divided(height, width, halvings, channels)


@LATENT_SHAPE.mistake("The sides are divided by halvings². Each halving halves the remaining side: divide by 2**halvings.")
def halvings_squared(height: int, width: int, halvings: int, channels: int) -> tuple:
    return _divided(height, width, halvings**2, channels)


@LATENT_SHAPE.mistake("The sides are multiplied. Each halving halves them: divide by 2**halvings.")
def multiplied(height: int, width: int, halvings: int, channels: int) -> tuple:
    f = 2**halvings
    return channels, height * f, width * f, 3 / (channels * f * f)


@LATENT_SHAPE.mistake("Brackets are missing: a / b * c * d divides by b alone. Write 3 * height * width / (channels * h * w).")
def brackets_missing_in_ratio(height: int, width: int, halvings: int, channels: int) -> tuple:
    c, h, w, _ = _oracle(height, width, halvings, channels)
    return c, h, w, 3 * height * width / c * h * w


@LATENT_SHAPE.mistake("The ratio is rounded. It need not be a whole number: return it as it is.")
def ratio_rounded(height: int, width: int, halvings: int, channels: int) -> tuple:
    c, h, w, _ = _oracle(height, width, halvings, channels)
    return c, h, w, round(3 * 4**halvings / c)


@LATENT_SHAPE.mistake("This is the latent's size as a percentage of the image's. Divide the image's size by the latent's.")
def percentage(height: int, width: int, halvings: int, channels: int) -> tuple:
    c, h, w, _ = _oracle(height, width, halvings, channels)
    return c, h, w, 100 * c / (3 * 4**halvings)


@LATENT_SHAPE.mistake("This is the difference of the two sizes. Divide the image's size by the latent's.")
def difference_for_ratio(height: int, width: int, halvings: int, channels: int) -> tuple:
    c, h, w, _ = _oracle(height, width, halvings, channels)
    return c, h, w, 3 * height * width - c * h * w


@LATENT_SHAPE.mistake("This is the share that is saved, 1 minus latent over image. Divide the image's size by the latent's.")
def share_saved(height: int, width: int, halvings: int, channels: int) -> tuple:
    c, h, w, _ = _oracle(height, width, halvings, channels)
    return c, h, w, 1 - c / (3 * 4**halvings)


@LATENT_SHAPE.mistake("The latent has 3 channels here. It has `channels`, whatever the image has.")
def three_channels(height: int, width: int, halvings: int, channels: int) -> tuple:
    _, h, w, _ = _oracle(height, width, halvings, channels)
    return 3, h, w, float(4**halvings)
