"""Real images as uint8 tensors: Fashion-MNIST, photographs for chapter 1, and your own folder of images.

Images stay uint8 on the device (a quarter of the memory of floats); `images.to_float` converts a batch to [-1, 1]. Nothing is
ever downloaded: every file ships with the workbook, whose checksums `course_lib.storage.shipped` verifies, or with scikit-image.
"""

import gzip
import lzma
import os
import warnings
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from course_lib.storage import shipped
from course_lib.storage.paths import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

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
    pixels = read_idx(shipped.path(f"{stem}-images-idx3-ubyte.{'xz' if split == 'train' else 'gz'}"), (count, 28, 28))
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
        _require_size(size)
    files = {name: shipped.path(file) for name, file in _SHIPPED_PHOTOGRAPHS.items()}
    files |= {name: _skimage_file(file) for name, file in _SKIMAGE_PHOTOGRAPHS.items()}
    photos = {}
    for name, file in sorted(files.items()):
        with Image.open(file) as image:
            if size is None or min(image.size) >= size:
                rgb = image.convert("RGB")
                photos[name] = _to_tensor(rgb if size is None else _square(rgb, size))
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
    transparent, cropped to its centre square and resized (area averaging down, bicubic up). Hidden files and files whose
    suffix is not that of an image are ignored. Only one image at a time is in memory at full size.

    Raises DataError if the folder is missing or is a file, has fewer than `minimum` images, or an image cannot be read.
    """
    _require_size(size)
    files = _image_files(Path(path).expanduser(), minimum)
    images = torch.empty(len(files), 3, size, size, dtype=torch.uint8)
    for row, file in zip(images, files, strict=True):
        row.copy_(_read_square(file, size))
    return images


def _image_files(folder: Path, minimum: int) -> list[Path]:
    from PIL import Image

    if not folder.exists():
        raise DataError(f"The folder {folder} does not exist: give the path of a folder with images.")
    if not folder.is_dir():
        raise DataError(f"{folder} is a file: give the path of the folder that contains your images.")
    suffixes = {suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN}
    files: list[Path] = []
    others: set[str] = set()
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.startswith("."):
                continue
            suffix = Path(name).suffix.lower()
            if suffix in suffixes:
                files.append(Path(parent, name))
            else:
                others.add(suffix or "no suffix")
    if not files:
        found = f"only files with {', '.join(sorted(others)[:5])}" if others else "no files at all"
        raise DataError(f"There are no images in {folder} ({found}): add .jpg, .png or other images.")
    if len(files) < minimum:
        have = "1 image" if len(files) == 1 else f"{len(files)} images"
        raise DataError(f"{folder} has {have}, but at least {minimum} are needed: add images.")
    return sorted(files, key=lambda file: file.relative_to(folder).as_posix())


def _read_square(file: Path, size: int) -> Tensor:
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings(action="ignore"):  # odd but harmless metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                image.draft(None, (4 * size, 4 * size))  # lets a large JPEG decode at 1/2, 1/4 or 1/8 of its size
                return _to_tensor(_square(_to_rgb(ImageOps.exif_transpose(image)), size))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        limit = f"{Image.MAX_IMAGE_PIXELS:,}"
        raise DataError(f"The image {file} has more than {limit} pixels: reduce its size or remove it.") from None
    except Exception as error:  # on bad bytes Pillow's plug-ins raise OSError, ValueError, SyntaxError, struct.error...
        reason = "not an image in a known format" if isinstance(error, Image.UnidentifiedImageError) else str(error)
        raise DataError(f"The image {file} cannot be read ({reason}): replace it or remove it.") from None


def _to_rgb(image: "Image") -> "Image":
    """Convert any mode to RGB: 16-bit and float grey scaled to 8 bits (Pillow would clip them), transparency on white."""
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image).astype(np.float64)
        top = values.max(initial=0)
        deep = image.mode.startswith("I;16") or top > 255
        full = 65535 if deep else 1 if image.mode == "F" and top <= 1 else 255
        image = Image.fromarray((values * (255 / full)).round().clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _square(image: "Image", size: int) -> "Image":
    """Crop an RGB image to its centre square, resized to size × size."""
    from PIL.Image import Resampling

    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    # a box filter is exact area averaging when it reduces, but would repeat pixels when it enlarges
    method = Resampling.BOX if side >= size else Resampling.BICUBIC
    return image.resize((size, size), method, box=(left, top, left + side, top + side))


def _to_tensor(image: "Image") -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def _require_size(size: int) -> None:
    if not isinstance(size, int) or size < 1:
        raise ValueError(f"size is {size!r}, but the side of the images in pixels must be a whole number of at least 1.")
