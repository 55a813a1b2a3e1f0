"""The picture files of a reader's own folder: which there are, and which cannot be used. For `course_lib.data.image_folder`.

A file's kind is decided here, by its first bytes and its suffix, and Pillow is then asked for that one format only. Left alone it
would try all of its plug-ins: some start another program (Ghostscript for EPS), some claim data and films, some misread any file.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from course_lib.storage import picture_pixels
from course_lib.storage.paths import DataError

DECODED_PIXELS = 500_000_000
"""If files are bad by their first bytes already, the others are decoded, to name all bad ones at once, up to this many pixels."""
_NAMED = 5
# Pillow knows these by name only, asks another program to read them, or reads them wrongly: pages, data, films, metadata.
_NO_PICTURES = {"BUFR", "EPS", "FITS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}
# A file with one of these suffixes must be a picture. Pillow's other suffixes are shared with data (.pcd, .msp).
_SURE = {
    *(
        ".apng",
        ".avif",
        ".avifs",
        ".bmp",
        ".dib",
        ".gif",
        ".ico",
        ".j2c",
        ".j2k",
        ".jfif",
        ".jp2",
        ".jpc",
        ".jpe",
        ".jpeg",
        ".jpf",
    ),
    *(".jpg", ".jpx", ".mpo", ".pbm", ".pfm", ".pgm", ".png", ".pnm", ".ppm", ".psd", ".qoi", ".tga", ".tif", ".tiff", ".webp"),
}
_OTHER = "a format that is not read here"
_RAW = "a camera's raw data"
_UNREADABLE = {  # kind -> its suffixes
    "HEIC": {".heic", ".heics", ".heif", ".heifs", ".hif"},
    "JPEG XL": {".jxl"},
    _RAW: {
        *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".gpr", ".iiq", ".kdc", ".mef", ".mos", ".mrw"),
        *(".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"),
    },
    _OTHER: {".bpg", ".dcm", ".exr", ".jxr", ".psb", ".wdp", ".xcf"},
}
_CURES = {"HEIC": "export it as JPEG or PNG, or install and register pillow-heif"}
_BY_SIGNATURE = (  # each of several bytes with which no other kind of file begins
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"8BPS\0\1", "PSD"),
    (b"qoif", "QOI"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"8BPS\0\2", _OTHER),
    (b"v/1\1", _OTHER),  # OpenEXR
    (b"#?RADIANCE", _OTHER),
    (b"SIMPLE  =", _OTHER),  # FITS, whose scale Pillow ignores
)
_COPIES = {"__MACOSX", "@eaDir", "$RECYCLE.BIN"}  # folders of other systems' own: copies, thumbnails, deleted files


class Picture(NamedTuple):
    """A file, the format in which Pillow reads it, and its height times its width."""

    file: Path
    format: str
    pixels: int


class Problems:
    """The pictures that cannot be used, and why; all are named in one sentence."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.found = folder, dict[Path, str]()
        self.pictures = 0  # how many files count as pictures, the bad ones included

    @contextlib.contextmanager
    def collect(self, file: Path) -> Iterator[None]:
        """Note why this block could not read the file."""
        try:
            yield
        except Exception as error:  # on bad bytes Pillow's plug-ins raise OSError, ValueError, SyntaxError, struct.error ...
            self.found[file] = _reason(file, error)

    def raise_if_any(self) -> None:
        """Raise DataError if there are any."""
        if not self.found:
            return
        if len(self.found) == 1:
            ((file, reason),) = self.found.items()
            raise DataError(f"The image {_shown(file)} cannot be read ({reason}): replace it or remove it.")
        names = [f"{_shown(file.relative_to(self.folder))} ({reason})" for file, reason in sorted(self.found.items())]
        more = f", and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        raise DataError(
            f"{len(names)} of the {self.pictures} images in {_shown(self.folder)} cannot be read: replace or remove "
            f"{'; '.join(names[:_NAMED])}{more}."
        )


def check_folder(path: str | Path) -> Path:
    """Return the path of a folder. Raises TypeError for what is no path, DataError for what is no folder."""
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        raise TypeError(f"path is a {type(path).__name__}, but must be the path of a folder with images.")
    if not os.fspath(path) or "\0" in os.fspath(path):
        raise DataError(f"path is {os.fspath(path)!r}, which names no folder: give the path of a folder with images.")
    folder = Path(os.path.expanduser(path))  # not Path.expanduser, which raises RuntimeError for an unknown ~user
    if not os.path.lexists(folder):
        raise DataError(f"The folder {_shown(folder)} does not exist: give the path of a folder with images.")
    if not folder.exists():
        raise DataError(f"{_shown(folder)} is a link to a folder that does not exist: give the path of a folder with images.")
    if not folder.is_dir():
        raise DataError(f"{_shown(folder)} is a file: give the path of the folder that contains your images.")
    return folder


def find(folder: Path, minimum: int = 1) -> tuple[list[Picture], Problems]:
    """Find the pictures in a folder and its subfolders, ordered by path, and those that cannot be used.

    Every file is looked at, and the header of every picture read; nothing is decoded. Linked folders are followed, each once.
    Raises DataError if there are fewer than `minimum` pictures, or if some are bad and the others too many to decode for nothing.
    """
    pictures, problems, others = list[Picture](), Problems(folder), set[str]()
    for file in _walk(folder, problems):
        with problems.collect(file):
            picture = _picture(file)
            if picture:
                pictures.append(picture)
            else:
                others.add(file.suffix.lower() or "no suffix")
    problems.pictures = len(pictures) + len(problems.found)
    if not pictures or sum(picture.pixels for picture in pictures) > DECODED_PIXELS:
        problems.raise_if_any()
    if not pictures:
        found = f"only files with {_shown(', '.join(sorted(others)[:5]))}" if others else "no files at all"
        raise DataError(f"There are no images in {_shown(folder)} ({found}): add .jpg, .png or other images.")
    if len(pictures) < minimum and not problems.found:
        have = "1 image" if len(pictures) == 1 else f"{len(pictures)} images"
        raise DataError(f"{_shown(folder)} has {have}, but at least {minimum} are needed: add images.")
    return sorted(pictures, key=lambda picture: picture.file.relative_to(folder).as_posix()), problems


def _walk(folder: Path, problems: Problems) -> Iterator[Path]:
    """Every file that is not hidden. A folder with several names, such as a linked one, is entered once: loops end."""
    entered, todo = set(), [folder]

    def note(error: OSError) -> None:
        problems.found[Path(error.filename)] = f"a folder that cannot be opened: {error.strerror}"

    while todo:  # linked folders last, so that a picture has its own name rather than that of a link
        for parent, folders, names in os.walk(todo.pop(0), onerror=note):
            info = os.stat(parent)
            if (info.st_dev, info.st_ino) in entered:
                folders.clear()
                continue
            entered.add((info.st_dev, info.st_ino))
            shown = sorted(name for name in folders if not name.startswith(".") and name not in _COPIES)
            todo += [path for name in shown if (path := Path(parent, name)).is_symlink()]
            folders[:] = shown
            yield from (Path(parent, name) for name in sorted(names) if not name.startswith(".") and not name.endswith("~"))


def _picture(file: Path) -> Picture | None:
    """The picture in a file, None if it is none; an error for a picture that cannot be used."""
    Image.init()  # loads all of Pillow's plug-ins
    suffix = file.suffix.lower()
    by_suffix = _kind_of_suffix(suffix)
    try:
        info = file.stat()
        if not stat.S_ISREG(info.st_mode):  # to open a named pipe would wait for ever
            if by_suffix:
                raise OSError("it is no file but a device, a pipe or the like")
            return None
        if info.st_size == 0:
            if suffix in _SURE or by_suffix in _UNREADABLE:
                raise OSError("it is empty")
            return None
        with open(file, "rb") as stream:
            head = stream.read(256)
    except OSError:
        if by_suffix or not suffix:  # a broken link without a suffix may have led to a folder of pictures
            raise
        return None
    kind = by_suffix if by_suffix == _RAW else _kind_of_content(head) or by_suffix
    if kind == "HEIC" and "HEIF" in Image.OPEN:  # the reader has registered pillow-heif
        kind = "HEIF"
    if kind in _UNREADABLE:
        raise ValueError(f"{kind}: {_CURES.get(kind, 'export it as JPEG or PNG')}")
    if not kind:
        return None
    try:
        with picture_pixels.opened(file, kind) as image:
            return Picture(file, kind, image.width * image.height)
    except Image.UnidentifiedImageError:
        if suffix not in _SURE and kind == by_suffix and kind != _kind_of_content(head):
            return None
        if kind == "TIFF" and kind == _kind_of_content(head):
            raise ValueError("damaged, or of a kind of TIFF that Pillow does not read: save it as PNG") from None
        raise


def _kind_of_suffix(suffix: str) -> str:
    """A format of Pillow's or a kind of _UNREADABLE; "" for what is no picture."""
    unreadable = next((kind for kind, suffixes in _UNREADABLE.items() if suffix in suffixes), "")
    name = Image.registered_extensions().get(suffix, "")
    name = "JPEG" if name == "MPO" else name  # two photographs in one JPEG file
    return unreadable or (name if name in Image.OPEN and name not in _NO_PICTURES else "")


def _kind_of_content(head: bytes) -> str:
    if head[4:8] == b"ftyp":  # the container of AVIF and HEIC, but also of films
        brands = head[8 : min(int.from_bytes(head[:4], "big"), len(head))]
        found = {brands[i : i + 4] for i in range(0, len(brands), 4)}
        heic = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
        return "AVIF" if found & {b"avif", b"avis"} else "HEIC" if found & heic else ""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if (
        head[:2] == b"BM"
        and head[6:10] == bytes(4)
        and head[14:18] in {bytes((n, 0, 0, 0)) for n in (12, 40, 52, 56, 64, 108, 124)}
    ):
        return "BMP"
    return next((kind for signature, kind in _BY_SIGNATURE if head.startswith(signature)), "")


def _reason(file: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError) and file.is_symlink():
        return f"a link to {_shown(os.readlink(file))}, which does not exist"
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image in a known format"
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return _shown(" ".join(reason.split())[:300]) or type(error).__name__


def _shown(path: object) -> str:
    """A path as a message can hold it: line breaks, and bytes that are no text, would break its printing."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(path))
