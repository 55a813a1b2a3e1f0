"""The pixels of one picture file as RGB, whatever its mode and size. For `course_lib.data.image_folder`."""

import contextlib
import math
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps

MAX_PIXELS = 250_000_000
"""More pixels are refused; the largest telephone cameras have 200 million."""
BAND = 4_000_000
"""Pixels converted at a time: a large picture is in memory once, as it was decoded, and never as a converted copy."""
_LOCK = threading.RLock()  # Pillow's limit, and the filter of warnings, belong to the process


@contextlib.contextmanager
def opened(file: Path, kind: str) -> Iterator[ImageFile.ImageFile]:
    """Open a picture in this format of Pillow's, of at most MAX_PIXELS, checked before anything is decoded.

    Pillow's own limit is lower than what large photographs have, and above it warns.
    """
    too_large = f"it has more than {MAX_PIXELS:,} pixels"
    with _LOCK, warnings.catch_warnings(action="ignore"):  # odd but harmless metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS
        try:
            with Image.open(file, formats=(kind,)) as image:
                yield image
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise ValueError(too_large) from None
        finally:
            Image.MAX_IMAGE_PIXELS = before


def read_square(file: Path, kind: str, size: int) -> np.ndarray:
    """Read one picture as uint8 RGB [size, size, 3]: upright, on white, its centre square.

    kind: Pillow's name of the format. Raises any error of Pillow's, and ValueError for samples whose range is not clear.
    """
    with opened(file, kind) as image:
        image.draft(None, (4 * size, 4 * size))  # lets a large JPEG decode at 1/2, 1/4 or 1/8 of its size
        _check_tiff(image)
        deep = any(";16" in _raw_mode(tile) for tile in image.tile)
        image.load()
        if image.mode.startswith("I") or image.mode == "F":
            small = square(image, size, _grey_converter(image, file))
        elif deep and _top(image) < 64:  # Pillow hands on the upper 8 bits of 16
            small = square(_rescaled(image, file, kind), size, _flat)
        else:
            small = square(image, size, _flat)
        if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
            small.getexif()[ExifTags.Base.Orientation] = image.getexif()[ExifTags.Base.Orientation]
            small = ImageOps.exif_transpose(small)
        return np.array(small)


def square(image: Image.Image, size: int, to_rgb: Callable[[Image.Image], Image.Image] = lambda part: part) -> Image.Image:
    """Crop an image to its centre square, converted by `to_rgb` and resized to size × size: area averaging down, bicubic up."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    # a box filter is exact area averaging when it reduces, but would repeat pixels when it enlarges
    if side < size:
        part = to_rgb(image.crop((left, top, left + side, top + side)))
        return part.resize((size, size), Image.Resampling.BICUBIC)
    result = Image.new("RGB", (size, size))
    step = max(1, BAND * size // side**2)  # rows of the result at a time
    for first in range(0, size, step):
        rows = min(step, size - first)
        start, end = first * side / size, (first + rows) * side / size
        upper, lower = math.floor(start), min(math.ceil(end), side)
        band = to_rgb(image.crop((left, top + upper, left + side, top + lower)))
        box = (0, start - upper, side, min(end, side) - upper)
        result.paste(band.resize((size, rows), Image.Resampling.BOX, box=box), (0, first))
    return result


def _flat(image: Image.Image) -> Image.Image:
    """Convert 8 bits a channel of any mode to RGB, on white where it is transparent."""
    if image.mode == "La":  # grey times alpha, which Pillow converts to nothing else
        image = image.convert("LA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _top(image: Image.Image) -> int:
    """The largest value of the colours, alpha left out."""
    return max(int(high) for _, high in np.atleast_2d(image.getextrema())[:3])


def _bands(image: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    rows = max(1, BAND // image.width)
    yield from ((0, y, image.width, min(y + rows, image.height)) for y in range(0, image.height, rows))


# ------------------------------------------------------------------------------------------- more than 8 bits a sample


def _grey_converter(image: Image.Image, file: Path) -> Callable[[Image.Image], Image.Image]:
    """How this picture's grey of 16 or 32 bits, whole numbers or floats, becomes RGB."""
    low, top = np.inf, -np.inf
    for box in _bands(image):
        values = np.asarray(image.crop(box))
        if not np.isfinite(values).all():
            raise ValueError("it holds NaN or infinite values: replace them, for example with numpy.nan_to_num")
        low, top = min(low, float(values.min())), max(top, float(values.max()))
    tags = getattr(image, "tag_v2", {})
    full = _full_of_floats(low, top) if image.mode == "F" else _full_of_integers(image, file, int(low), int(top))
    is_negative = tags.get(ExifTags.Base.PhotometricInterpretation) == 0  # zero is white: Pillow ignores it beyond 8 bits

    def convert(part: Image.Image) -> Image.Image:
        values = np.asarray(part).astype(np.float32)
        grey = ((full - values if is_negative else values) * np.float32(255 / full)).round().clip(0, 255)
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")

    return convert


def _full_of_floats(low: float, top: float) -> int:
    """The value that is white: 1, 255 or 65,535, whichever the largest comes near. A tenth beyond either end is clipped, as a
    picture resized with overshoot has it."""
    full = next((full for full in (1, 255, 65_535) if top <= 1.1 * full), None)
    if full is None or low < -0.1 * full:
        raise ValueError(f"its values run from {low:.4g} to {top:.4g}: scale them to 0…1, 0…255 or 0…65,535")
    if full > 1 and top < full / 16:
        raise ValueError(f"its largest value is {top:.4g}, which says of no range that it is meant: scale it to 0…1")
    return full


def _full_of_integers(image: Image.Image, file: Path, low: int, top: int) -> int:
    """The value that is white: by the file's header where that says it, else the largest that the samples can have, which is
    65,535, or 255 where none is above it in a file of 32 bits."""
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(ExifTags.Base.BitsPerSample, (0,))[0]
    if bits == 12:
        return 4095
    full = 65_535
    if image.mode == "I":
        is_signed = bits == 16 and tags.get(ExifTags.Base.SampleFormat, (1,))[0] == 2
        full = 255 if top <= 255 and image.format == "TIFF" else 32_767 if is_signed else 65_535
    if low < 0 or top > full:
        raise ValueError(f"its values run from {low} to {top}: scale them to 0…{full:,}")
    return _used_range(file, top, full)


def _used_range(file: Path, top: int, full: int) -> int:
    """The range that is used of 0…full: of 10, 12 or 14 bits stored in 16, the picture would come out far too dark."""
    significant = _significant_bits(file)
    if 0 < significant < full.bit_length() and top < 2**significant:
        return 2**significant - 1
    bits = top.bit_length()
    if top == 0 or bits > full.bit_length() - 2:
        return full
    raise ValueError(
        f"its largest value is {top:,} of {full:,}, as if only {bits} bits were used, so that it would be nearly black: multiply "
        f"its values by {full // (2**bits - 1)}, or save it with 8 bits"
    )


def _significant_bits(file: Path) -> int:
    """What a PNG's chunk sBIT says; 0 if there is none. Pillow does not read it."""
    with open(file, "rb") as stream:
        if stream.read(8) != b"\x89PNG\r\n\x1a\n":
            return 0
        while len(chunk := stream.read(8)) == 8 and chunk[4:] not in (b"IDAT", b"PLTE"):  # it comes before these
            content = stream.read(length := int.from_bytes(chunk[:4], "big"))
            if chunk[4:] == b"sBIT":
                return max(content[: 1 if length < 3 else 3], default=0)  # alpha left out
            stream.seek(4, 1)
    return 0


def _rescaled(image: Image.Image, file: Path, kind: str) -> Image.Image:
    """A picture of several channels of 16 bits, of which Pillow has read the upper 8 and found little: from all 16 bits."""
    lower = _lower_bytes(file, kind)

    def values(box: tuple[int, int, int, int]) -> np.ndarray:
        return np.asarray(image.crop(box)).astype(np.uint16) * 256 + np.asarray(lower.crop(box))

    tops = np.max([values(box).max((0, 1)) for box in _bands(image)], axis=0).astype(int)  # of each channel
    colours = 3 if image.mode == "RGBA" else len(tops)
    scales = np.full(len(tops), 255 / _used_range(file, int(tops[:colours].max()), 65_535))
    scales[colours:] = [255 / 65_535 if alpha * scales[0] > 255 else scales[0] for alpha in tops[colours:]]
    result = Image.new(image.mode, image.size)
    for box in _bands(image):
        scaled = (values(box) * scales).round().clip(0, 255).astype(np.uint8)
        result.paste(Image.frombytes(image.mode, (box[2] - box[0], box[3] - box[1]), scaled.tobytes()), box)
    return result


def _lower_bytes(file: Path, kind: str) -> Image.Image:
    """The lower 8 of 16 bits. Pillow takes the byte that its raw mode says is the upper: the other order gives the lower."""
    with opened(file, kind) as image:
        modes = set(map(_raw_mode, image.tile))
        name, _, order = (modes.pop() if len(modes) == 1 else "").partition(";16")
        if name == "RGBa" or not order:
            raise ValueError("it uses less than a quarter of 16 bits, so that it would be nearly black: save it with 8 bits")
        other = "L" if order == "B" or (order == "N" and sys.byteorder == "big") else "B"
        # there is no other order of LA: its four bytes are read as four channels
        _set_raw_mode(image, "RGBA" if name == "LA" else f"{name};16{other}")
        image.load()
        if name == "LA":
            _, grey, _, alpha = image.split()
            return Image.merge("RGBA", (grey, grey, grey, alpha))
        return image.copy()


def _raw_mode(tile: Any) -> str:
    """How Pillow is about to read this part of a file, such as "RGB;16B"."""
    return tile.args if isinstance(tile.args, str) else str((tile.args or [""])[0])


def _set_raw_mode(image: ImageFile.ImageFile, mode: str) -> None:
    image.tile = [
        tile._replace(args=mode if isinstance(tile.args, str) else (mode, *(tile.args or ())[1:])) for tile in image.tile
    ]


def _check_tiff(image: ImageFile.ImageFile) -> None:
    """Two kinds of TIFF that Pillow 13 reads wrongly, and says nothing."""
    tags = getattr(image, "tag_v2", {})
    if max(tags.get(ExifTags.Base.BitsPerSample, (0,))) > 8 and tags.get(ExifTags.Base.PlanarConfiguration) == 2:
        raise ValueError("its channels of more than 8 bits are stored one after the other: save it as PNG, or with 8 bits")
    # libtiff decodes to the machine's order of bytes, which Pillow knows of 16 bits without a sign only
    native = {"F;32BF": "F;32NF", "I;16BS": "I;16NS", "I;32BS": "I;32NS"}
    if image.tile and image.tile[0].codec_name == "libtiff" and _raw_mode(image.tile[0]) in native:
        _set_raw_mode(image, native[_raw_mode(image.tile[0])])
