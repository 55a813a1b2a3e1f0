"""Which files of a folder count as pictures, and how those that cannot be read are named, with hand-made files."""

import errno
import os
import socket
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from made_pictures import flat, noise
from PIL import Image, features

from course_lib import data
from course_lib.storage import picture_files, picture_pixels
from course_lib.storage.paths import DataError


def test_pictures_without_a_known_suffix_are_recognised_by_their_content(tmp_path):
    names = {"a.jpg_large": "JPEG", "b": "PNG", "c.jfif": "JPEG", "d.JPG": "PNG", "e.bin": "WEBP", "f": "TIFF", "g": "BMP"}
    names |= {"h.heic": "JPEG", "i.txt": "GIF", "j": "JPEG2000", "k.tga": "TGA", "l.pcx": "PCX"}
    names |= {"m.avif": "AVIF", "n": "AVIF"} if features.check("avif") else {}
    for name, kind in names.items():
        flat("RGB", (50, 50, 50)).save(tmp_path / name, kind)
    images = data.image_folder(tmp_path, 4)
    assert images.shape == (len(names), 3, 4, 4)
    assert (images.float() - 50).abs().max() <= 2


@pytest.mark.parametrize("name", ["a.jpg", "b", "c.heic", "d.bin"])
@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1"])
def test_heic_is_named_whatever_its_suffix(tmp_path, name, brand):
    flat("L", 50).save(tmp_path / "a.png")
    (tmp_path / name).write_bytes(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + bytes(100))
    with pytest.raises(DataError, match=rf"{name} cannot be read \(HEIC: export it as JPEG"):
        data.image_folder(tmp_path)


def test_heic_is_read_where_a_plug_in_for_it_is_registered(tmp_path, monkeypatch):
    Image.init()
    monkeypatch.setitem(Image.OPEN, "HEIF", (lambda file, name: flat("L", 7), None))
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with pytest.raises(DataError, match="has no attribute"):  # the stand-in is no file: what matters is that it was asked
        data.image_folder(tmp_path, 4)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("points.pcd", b"# .PCD v.7"),
        ("update.msp", b"\xd0\xcf\x11\xe0"),
        ("run.fit", b"\x0e\x10"),
        ("BMW.txt", b"BMW and others"),
        ("phone.mov", b"\0\0\0\x14ftypqt  \0\0\0\0qt  "),
        ("phone.mp4", b"\0\0\0\x18ftypisom\0\0\0\0isommp41"),
    ],
)
def test_data_whose_first_letters_or_suffix_are_those_of_a_picture_are_ignored(tmp_path, name, content):
    flat("L", 50).save(tmp_path / "a.png")
    (tmp_path / name).write_bytes(content + bytes(200))
    assert data.image_folder(tmp_path, 4).shape == (1, 3, 4, 4)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tga"])
def test_bytes_that_are_no_picture_are_misread_by_no_plug_in(tmp_path, name):
    for content in (b"\x89HDF\r\n\x1a\n" + bytes(5000), noise(80, 80).tobytes(), bytes(5000)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=rf"{name} cannot be read \(not an image in a known format"):
            data.image_folder(tmp_path)


def test_copies_and_thumbnails_that_systems_leave_are_ignored(tmp_path):
    flat("L", 50).save(tmp_path / "a.png")
    for folder in ("__MACOSX", "@eaDir"):
        (tmp_path / folder).mkdir()
        flat("L", 50).save(tmp_path / folder / "a.png")
    for name in ("._a.png", ".DS_Store", "desktop.ini", "a.png~"):
        (tmp_path / name).write_bytes(b"x" * 50)
    assert data.image_folder(tmp_path, 4).shape == (1, 3, 4, 4)


@pytest.mark.parametrize(
    "name", ["clip.mpg", "features.h5", "logo.eps", "map.wmf", "notes.txt", "plan.pdf", "film.mp4", "a.npy", "Thumbs.db"]
)
def test_files_that_are_no_pictures_are_ignored(tmp_path, name):
    flat("L", 50).save(tmp_path / "a.png")
    flat("RGB", 50).save(tmp_path / "true.eps")  # Pillow would start Ghostscript for it
    (tmp_path / name).write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(200))
    assert data.image_folder(tmp_path, 4).shape == (1, 3, 4, 4)


def test_what_a_suffix_hides_is_never_handed_to_another_program(tmp_path):
    flat("RGB", 50).save(tmp_path / "true.eps")
    (tmp_path / "true.eps").rename(tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"a\.jpg cannot be read \(not an image in a known format\)"):
        data.image_folder(tmp_path)


def test_pictures_that_cannot_be_read_here_are_all_named_at_once(tmp_path):
    flat("L", 50).save(tmp_path / "a.png")
    for number in range(4):
        (tmp_path / f"IMG_{number}.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    (tmp_path / "raw.NEF").write_bytes(b"MM\0*")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(DataError) as error:
        data.image_folder(tmp_path)
    for words in ("7 of the 8 images", "IMG_0.HEIC (HEIC: export it as JPEG or PNG", "empty.jpg", "and 2 more"):
        assert words in str(error.value)


def test_every_kind_of_bad_file_is_named_in_one_error(tmp_path):
    flat("L", 50).save(tmp_path / "good.png")
    tifffile.imwrite(tmp_path / "nan.tif", np.full((4, 4), np.nan, np.float32))
    Image.fromarray(noise(64, 64)).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:900])
    (tmp_path / "phone.heic").write_bytes(b"x")
    with pytest.raises(DataError, match=r"^3 of the 4 images in .* replace or remove cut\.jpg \(.*nan\.tif \(.*phone\.heic \("):
        data.image_folder(tmp_path)
    for number in range(14):
        (tmp_path / f"a{number}.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"^17 of the 18 images .*a0\.png .*, and 12 more\.$"):
        data.image_folder(tmp_path)


def test_many_pictures_are_not_decoded_to_find_more_bad_ones(tmp_path, monkeypatch):
    flat("L", 50).save(tmp_path / "good.png")
    (tmp_path / "phone.heic").write_bytes(b"x")
    monkeypatch.setattr(picture_files, "DECODED_PIXELS", 12 * 12 - 1)
    monkeypatch.setattr(picture_pixels, "read_square", None)
    with pytest.raises(DataError, match=r"phone\.heic"):
        data.image_folder(tmp_path)


def test_a_file_or_folder_that_may_not_be_opened_is_named(tmp_path, monkeypatch):
    """Tests may run as root, who may open everything: the system's answer is imitated."""
    for name in ("a.png", "shut.png", "inner/b.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        flat("L", 50).save(tmp_path / name, "PNG")
    scandir, really_open = os.scandir, open

    def refuse(path, *args):
        if Path(path).name in ("inner", "shut.png", "notes.txt"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path) if not args else really_open(path, *args)

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(picture_files, "open", refuse, raising=False)
    with pytest.raises(DataError) as error:
        data.image_folder(tmp_path)
    for words in (
        "2 of the 3 images",
        "inner (a folder that cannot be opened: Permission denied)",
        "shut.png (Permission denied)",
    ):
        assert words in str(error.value)


@pytest.mark.posix
def test_a_name_that_is_no_text_can_be_printed(tmp_path):
    try:
        (tmp_path / os.fsdecode(b"a\xff\n.png")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    with pytest.raises(DataError) as error:
        data.image_folder(tmp_path)
    assert r"a\udcff\n.png" in str(error.value).encode("utf-8").decode()


@pytest.mark.parametrize("path", ["", "a\0b", "a" * 5000, "~no_such_user/x"])
def test_a_path_that_names_no_folder_is_refused(path):
    with pytest.raises(DataError, match="give the path of a folder with images"):
        data.image_folder(path)


def test_too_little_memory_is_said_in_a_sentence(tmp_path, monkeypatch):
    def refuse(*shape, **options):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    flat("L", 50).save(tmp_path / "a.png")
    monkeypatch.setattr(torch, "empty", refuse)
    with pytest.raises(DataError, match=r"1 images at size=8192 need 0\.2 GiB of memory: choose a smaller size"):
        data.image_folder(tmp_path, 8192)


@pytest.mark.parametrize("path", [None, 3, b"/tmp", ["a"]])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(TypeError, match="but must be the path of a folder"):
        data.image_folder(path)


def test_pictures_damaged_within_are_all_named_at_once(tmp_path):
    for name in "abc":
        Image.fromarray(noise(64, 64)).save(tmp_path / f"{name}.jpg")
    for name in "ac":
        (tmp_path / f"{name}.jpg").write_bytes((tmp_path / f"{name}.jpg").read_bytes()[:900])
    with pytest.raises(DataError, match=r"2 of the 3 images .*a\.jpg.*c\.jpg"):
        data.image_folder(tmp_path, 8)


@pytest.mark.posix
def test_linked_folders_are_followed_once(tmp_path):
    (tmp_path / "course/here").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    flat("L", 1).save(tmp_path / "course/here/a.png")
    flat("L", 2).save(tmp_path / "elsewhere/b.png")
    (tmp_path / "course/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "course/again").symlink_to(tmp_path / "course/here")  # no picture twice
    (tmp_path / "course/here/loop").symlink_to(tmp_path / "course")
    assert data.image_folder(tmp_path / "course", 4)[:, 0, 0, 0].tolist() == [1, 2]


@pytest.mark.posix
def test_what_is_no_file_is_named_and_never_waited_for(tmp_path):
    flat("L", 1).save(tmp_path / "a.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "null.png").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "pipe")  # no suffix of a picture: ignored
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")  # perhaps a folder of pictures
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    socket.socket(socket.AF_UNIX).bind(os.path.relpath(tmp_path / "s.png"))  # relative: such a path may have 107 letters
    with pytest.raises(DataError) as error:
        data.image_folder(tmp_path)
    for words in ("6 of the 7 images", "gone (a link to", "link.png (a link to", "loop.png (Too many", "null.png (it is no file"):
        assert words in str(error.value)
