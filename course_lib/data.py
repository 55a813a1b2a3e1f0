"""Real images as uint8 tensors: Fashion-MNIST, photographs for chapter 1, and your own folder of images.

Images stay uint8 on the device (a quarter of the memory of floats); `images.to_float` converts a batch to [-1, 1]. Nothing is
ever downloaded: every file ships with the workbook, whose checksums `course_lib.storage.shipped` verifies, or with scikit-image.
"""

import gzip
import lzma
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from course_lib.arguments import check_integer
from course_lib.storage import picture_files, picture_pixels, shipped
from course_lib.storage.paths import DataError

MAX_SIDE = 8192
FASHION_CLASSES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip

_FASHION_COUNT = {"train": 60_000, "test": 10_000}
_FASHION_PREFIX = {"train": "train", "test": "t10k"}

# name -> file; those of scikit-image are in its wheel, so that nothing is downloaded (with pooch)
_SHIPPED_PHOTOGRAPHS = {
    "dandelions": "photographs/dandelions.webp",
    "dogs": "photographs/dogs.webp",
    "mountains": "photographs/mountains.webp",
}
_SKIMAGE_PHOTOGRAPHS = {
    "astronaut": "astronaut.png",
    "cat": "chelsea.png",
    "coffee": "coffee.png",
    "galaxies": "hubble_deep_field.jpg",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
}


# ------------------------------------------------------------------------------------------------- Fashion-MNIST


def fashion_mnist(split: str = "train", device: torch.device | str | None = None) -> tuple[Tensor, Tensor]:
    """Load Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747), padded with black from 28×28 to 32×32.

    Args:
        split: "train" (60,000 images) or "test" (10,000).
        device: of the tensors; None is torch's default device.

    Returns:
        images: uint8 [N, 1, 32, 32], 0 (black background) to 255.
        labels: int64 [N], 0..9, named by FASHION_CLASSES.

    Raises DataError if a file is missing, truncated or altered, ValueError for an unknown split.
    """
    if split not in _FASHION_COUNT:
        raise ValueError(f"split is {split!r}, but Fashion-MNIST has the splits 'train' and 'test'.")
    stem, count = f"fashion_mnist/{_FASHION_PREFIX[split]}", _FASHION_COUNT[split]
    pixels = read_idx(shipped.path(f"{stem}-images-idx3-ubyte.xz"), (count, 28, 28))
    classes = read_idx(shipped.path(f"{stem}-labels-idx1-ubyte.gz"), (count,))
    images = torch.zeros(count, 1, 32, 32, dtype=torch.uint8, device=device)
    images[:, 0, 2:-2, 2:-2] = torch.from_numpy(pixels).to(images.device)
    return images, torch.from_numpy(classes).to(images.device, torch.int64)


def read_idx(file: str | Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read an IDX file of unsigned bytes (the format of MNIST, LeCun et al. 1998) of this shape, compressed as .gz or .xz.

    Layout: two zero bytes, the type (8 = unsigned byte), the number of axes, each axis as a big-endian int32, the data.
    Raises DataError if the header, the shape or the amount of data is wrong.
    """
    unpack = lzma.decompress if Path(file).suffix == ".xz" else gzip.decompress
    try:
        raw = bytearray(unpack(Path(file).read_bytes()))  # a bytearray: torch wants writable memory
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{file} is truncated or not compressed ({error}): restore it; `course data` says how.") from None
    start = 4 + 4 * len(shape)
    magic = bytes((0, 0, 8, len(shape)))
    if bytes(raw[:4]) != magic:
        raise DataError(
            f"{file} starts with {bytes(raw[:4]).hex()}, but an IDX file of bytes with {len(shape)} axes starts with "
            f"{magic.hex()}: restore it; `course data` says how."
        )
    found = tuple(np.frombuffer(raw, ">i4", count=min(len(shape), (len(raw) - 4) // 4), offset=4).tolist())
    if found != shape or len(raw) - start != int(np.prod(shape)):
        raise DataError(
            f"{file} declares the shape {found} and has {max(0, len(raw) - start):,} bytes of data, but its shape must be "
            f"{shape}: restore it; `course data` says how."
        )
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


# ------------------------------------------------------------------------------------------------- photographs


def photographs(size: int | None = 1024) -> dict[str, Tensor]:
    """Load RGB photographs by name: {name: uint8 [3, H, W]}; data/README.md lists photographers and licences.

    Args:
        size: side of the square. Only photographs whose shorter side is at least `size` are returned, cropped to the
            centre square and reduced by area averaging to [3, size, size]; none is enlarged. At 1024 these are
            dandelions, dogs, mountains and retina. None: all of them, uncropped, each in its original size.
    """
    from PIL import Image

    if size is not None:
        size = check_integer("size", size, 1, MAX_SIDE)
    files = {name: shipped.path(file) for name, file in _SHIPPED_PHOTOGRAPHS.items()}
    files |= {name: _skimage_file(file) for name, file in _SKIMAGE_PHOTOGRAPHS.items()}
    photos = {}
    for name, file in sorted(files.items()):
        with Image.open(file) as image:
            if size is None or min(image.size) >= size:
                rgb = image.convert("RGB")
                photos[name] = _to_tensor(np.array(rgb if size is None else picture_pixels.square(rgb, size)))
    return photos


def _skimage_file(name: str) -> Path:
    spec = find_spec("skimage")  # finds the folder without importing the package
    file = Path(spec.origin).parent / "data" / name if spec and spec.origin else None
    if file is None or not file.is_file():
        fix = "pip install --force-reinstall scikit-image"
        raise DataError(f"The photograph {name} of scikit-image is missing. To fix it, run `{fix}`.")
    return file


# ------------------------------------------------------------------------------------------------- your own images


def image_folder(path: str | Path, size: int = 64, minimum: int = 1) -> Tensor:
    """Load your own folder of images, with its subfolders: uint8 RGB [N, 3, size, size], ordered by path.

    Any format that Pillow reads, any size and mode. Each image is rotated upright (EXIF), composited on white where it is
    transparent, cropped to its centre square and resized (area averaging down, bicubic up); of several frames it is the first.
    Samples of 16 bits run to 65,535, or as far as the file's header says (TIFF: 12 bits a sample; PNG: sBIT); floats to 1, 255
    or 65,535, whichever the largest comes near. A file counts as an image by its first bytes or else by its suffix; other files
    and hidden ones are ignored. Linked folders are followed, each once. Only one image at a time is in memory at full size.

    Args:
        path: of the folder; "~" is your home.
        size: side of the square in pixels, from 1 to MAX_SIDE.
        minimum: fewer images are refused.

    Raises TypeError or ValueError for an argument that cannot be used; DataError if the folder is missing or is a file, has fewer
    than `minimum` images, or has images that cannot be read, which are named together: damaged ones, broken links, those of a
    kind that Pillow does not know (HEIC, a camera's raw data), more than 250 million pixels, NaN, and images of more than 8 bits
    that use less than a quarter of their range.
    """
    size, minimum = check_integer("size", size, 1, MAX_SIDE), check_integer("minimum", minimum, at_least=0)
    pictures, problems = picture_files.find(picture_files.check_folder(path), minimum)
    try:
        images = torch.empty(len(pictures), 3, size, size, dtype=torch.uint8)
    except RuntimeError:  # torch has no error of its own for too little memory on the CPU
        need = f"{len(pictures) * 3 * size**2 / 2**30:.1f} GiB"
        raise DataError(f"{len(pictures)} images at size={size} need {need} of memory: choose a smaller size.") from None
    for row, picture in zip(images, pictures, strict=True):
        with problems.collect(picture.file):
            row.copy_(_to_tensor(picture_pixels.read_square(picture.file, picture.format, size)))
    problems.raise_if_any()
    return images


def _to_tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
