"""The picture files of a reader's own folder: which there are, and each as RGB. Used by `course_lib.data.image_folder`."""

import contextlib
import functools
import os
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from course_lib.storage.paths import DataError

MAX_PIXELS = 250_000_000
"""More pixels are refused; the largest telephone cameras have 200 million."""
LARGE = 20_000_000
# Pillow knows these by name only, or asks another program to read them: pages, data and films rather than pictures.
_NO_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
# What is found in files whose suffix says nothing: each of these begins with several bytes that no other kind of file has.
_BY_CONTENT = ("AVIF", "GIF", "JPEG", "PNG", "WEBP")
_UNREADABLE = {
    "HEIC": {".heic", ".heif", ".hif"},
    "JPEG XL": {".jxl"},
    "a camera's raw data": {".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".srw"},
}
_UNUSED_TOP = "no value reaches {} of 65,535, so that it would be nearly black: save it with its full range, or with 8 bits"


@functools.cache
def _formats() -> tuple[str, ...]:
    Image.init()  # loads all of Pillow's plug-ins
    return tuple(sorted(set(Image.OPEN) - _NO_PICTURES))


@functools.cache
def _suffixes() -> frozenset[str]:
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in _formats())


def find(folder: Path, minimum: int = 1) -> list[Path]:
    """Find the pictures in a folder and its subfolders, ordered by path; linked folders are followed, each once.

    A file counts by its suffix or, if that is unknown, by its first bytes. Every one is opened, but not decoded. Raises DataError
    if the folder is missing, has fewer than `minimum` pictures, or has some that cannot be used: these are named together.
    """
    if not folder.exists():
        raise DataError(f"The folder {folder} does not exist: give the path of a folder with images.")
    if not folder.is_dir():
        raise DataError(f"{folder} is a file: give the path of the folder that contains your images.")
    files, problems, others = [], Problems(folder), set()
    for file in _walk(folder, problems):
        suffix = file.suffix.lower()
        unreadable = next((kind for kind, suffixes in _UNREADABLE.items() if suffix in suffixes), "")
        if unreadable:
            problems.add(file, f"{unreadable}: export it as JPEG or PNG")
        elif suffix in _suffixes() or _is_picture(file):
            files.append(file)
            with problems.collect(file):
                _check_header(file)
        else:
            others.add(suffix or "no suffix")
    problems.raise_if_any(len(files))
    if not files:
        found = f"only files with {', '.join(sorted(others)[:5])}" if others else "no files at all"
        raise DataError(f"There are no images in {folder} ({found}): add .jpg, .png or other images.")
    if len(files) < minimum:
        have = "1 image" if len(files) == 1 else f"{len(files)} images"
        raise DataError(f"{folder} has {have}, but at least {minimum} are needed: add images.")
    return sorted(files, key=lambda file: file.relative_to(folder).as_posix())


class Problems:
    """The pictures that cannot be used, and why; all are named in one sentence."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.found = folder, dict[Path, str]()

    def add(self, file: Path, reason: str) -> None:
        self.found[file] = reason

    @contextlib.contextmanager
    def collect(self, file: Path) -> Iterator[None]:
        """Note why this block could not read the file."""
        try:
            yield
        except Exception as error:  # on bad bytes Pillow's plug-ins raise OSError, ValueError, SyntaxError, struct.error ...
            self.add(file, _reason(file, error))

    def raise_if_any(self, files: int) -> None:
        """Raise DataError if there are any. files: how many pictures there are in all."""
        if not self.found:
            return
        if len(self.found) == 1:
            ((file, reason),) = self.found.items()
            raise DataError(f"The image {file} cannot be read ({reason}): replace it or remove it.")
        names = [f"{file.relative_to(self.folder)} ({reason})" for file, reason in sorted(self.found.items())]
        more = f", and {len(names) - 5} more" if len(names) > 5 else ""
        raise DataError(
            f"{len(names)} of the {max(files, len(names))} images in {self.folder} cannot be read: {'; '.join(names[:5])}{more}. "
            "Replace them or remove them."
        )


def _walk(folder: Path, problems: Problems) -> Iterator[Path]:
    """Every file that is not hidden. A folder with several names, such as a linked one, is entered once: loops end."""
    entered = set()

    def note(error: OSError) -> None:
        problems.add(Path(error.filename), error.strerror or "not readable")

    for parent, folders, names in os.walk(folder, followlinks=True, onerror=note):
        if (identity := _identity(Path(parent))) in entered:
            folders.clear()
            continue
        entered.add(identity)
        shown = [name for name in folders if not name.startswith(".")]
        folders[:] = sorted(shown, key=lambda name: (Path(parent, name).is_symlink(), name))  # real ones first
        yield from (Path(parent, name) for name in names if not name.startswith(".") and not name.endswith("~"))


def _identity(path: Path) -> tuple[int, int]:
    info = path.stat()
    return info.st_dev, info.st_ino


def _is_picture(file: Path) -> bool:
    """Whether a file of unknown suffix begins as a picture does."""
    if not file.is_file():
        return False
    try:
        with Image.open(file, formats=_BY_CONTENT):
            return True
    except OSError:  # Pillow's UnidentifiedImageError, or a file that may not be read
        return False


def _check_header(file: Path) -> None:
    """Raise an error for what is no file, no picture, or too large, without decoding it."""
    if not stat.S_ISREG(file.stat().st_mode):  # to open a named pipe would wait for ever
        raise OSError("it is no file but a device, a pipe or the like")
    with _opened(file):
        pass


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[Image.Image]:
    """Open a picture of at most MAX_PIXELS, checked before anything is decoded. Pillow's own limit is lower than what large
    photographs have, and above it warns."""
    with warnings.catch_warnings(action="ignore"):  # odd but harmless metadata, too
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            with Image.open(file, formats=_formats()) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise ValueError(f"it has more than {MAX_PIXELS:,} pixels")
                yield image
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _reason(file: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError) and file.is_symlink():
        return f"a link to {os.readlink(file)}, which does not exist"
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image in a known format"
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)) or type(error).__name__


def read_square(file: Path, size: int) -> np.ndarray:
    """Read one picture as uint8 RGB [size, size, 3]: upright, on white, its centre square. Raises any error of Pillow's."""
    with _opened(file) as image:
        image.draft(None, (4 * size, 4 * size))  # lets a large JPEG decode at 1/2, 1/4 or 1/8 of its size
        deep = any(";16" in str(tile[3]) for tile in getattr(image, "tile", []))
        image.load()
        rgb = _to_rgb(_reduced(_upright(image), size), deep)
        return np.array(square(rgb, size))


def _upright(image: Image.Image) -> Image.Image:
    if image.getexif().get(ExifTags.Base.Orientation, 1) == 1:  # exif_transpose would copy it
        return image
    return ImageOps.exif_transpose(image)


def _reduced(image: Image.Image, size: int) -> Image.Image:
    """A very large picture averaged over small squares at once, so that its conversion needs little memory."""
    factor = min(image.size) // (4 * size)
    large = image.width * image.height > LARGE and factor > 1
    return image.reduce(factor) if large and image.mode in ("L", "LA", "RGB", "RGBA") else image


def _to_rgb(image: Image.Image, deep: bool) -> Image.Image:
    """Convert any mode to RGB: 16-bit and float grey scaled to 8 bits (Pillow would clip them), transparency on white.

    deep: whether the file has 16 bits a channel, of which Pillow hands on the upper 8 where there are several channels.
    """
    if image.mode.startswith("I") or image.mode == "F":
        return _grey_to_rgb(np.asarray(image).astype(np.float64), image.mode)
    colours = image.convert("RGBA") if image.has_transparency_data else image.convert("RGB")
    if deep:
        top = np.asarray(colours)[..., :3].max()
        if top < 16:
            raise ValueError(_UNUSED_TOP.format("4,096"))
    if colours.mode == "RGBA":
        colours = Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours).convert("RGB")
    return colours


def _grey_to_rgb(values: np.ndarray, mode: str) -> Image.Image:
    """Grey of more than 8 bits. Whole numbers run to 65,535, or to 255 where none is above it in a file of 32 bits; floats to
    1, 255 or 65,535, whichever the largest comes near."""
    if not np.isfinite(values).all():
        raise ValueError("it holds NaN or infinite values")
    low, top = values.min(), values.max()
    if mode == "F":
        full = next((full for full in (1, 255, 65_535) if top <= 1.5 * full), None)
        if full is None or low < -0.5 * full:
            raise ValueError(f"its values run from {low:.4g} to {top:.4g}: scale them to 0…1, 0…255 or 0…65,535")
        if full > 1 and top < full / 16:
            raise ValueError(f"its largest value is {top:.4g}, which says of no range that it is meant: scale it to 0…1")
    else:
        full = 255 if mode == "I" and top <= 255 else 65_535
        if low < 0 or top > full:
            raise ValueError(f"its values run from {low:.0f} to {top:.0f}: scale them to 0…65,535")
        if full == 65_535 and 0 < top < 4096:
            raise ValueError(_UNUSED_TOP.format("4,096"))
    return Image.fromarray((values * (255 / full)).round().clip(0, 255).astype(np.uint8)).convert("RGB")


def square(image: Image.Image, size: int) -> Image.Image:
    """Crop an RGB image to its centre square, resized to size × size: area averaging down, bicubic up."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    # a box filter is exact area averaging when it reduces, but would repeat pixels when it enlarges
    method = Image.Resampling.BOX if side >= size else Image.Resampling.BICUBIC
    return image.resize((size, size), method, box=(left, top, left + side, top + side))
