"""Your own folder of images: what counts as one, each as the right RGB, and what is refused, against hand-made files."""

import os
import shutil
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib import data
from course_lib.storage import picture_files
from course_lib.storage.paths import DataError

ROOT = Path(__file__).parents[2]


def noise(height, width, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def one(folder, size):
    images = data.image_folder(folder, size)
    assert (images.dtype, tuple(images.shape)) == (torch.uint8, (1, 3, size, size))
    return images[0].permute(1, 2, 0).numpy()


def test_an_image_of_the_right_size_is_returned_unchanged(tmp_path):
    pixels = noise(8, 8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(one(tmp_path, 8), pixels)


@pytest.mark.parametrize("shape", [(32, 32), (32, 52), (48, 32)])
def test_large_images_are_cropped_to_the_centre_and_averaged_over_areas(tmp_path, shape):
    pixels = noise(*shape)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    top, left = (shape[0] - 32) // 2, (shape[1] - 32) // 2
    square = pixels[top : top + 32, left : left + 32].astype(float)
    means = square.reshape(8, 4, 8, 4, 3).mean(axis=(1, 3))
    assert np.abs(one(tmp_path, 8) - means).max() <= 1  # Pillow rounds after each of its two passes


def test_a_fine_checkerboard_becomes_grey_without_aliasing(tmp_path):
    board = ((np.indices((90, 90)).sum(axis=0) % 2) * 255).astype(np.uint8)
    Image.fromarray(board).save(tmp_path / "a.png")
    assert np.abs(one(tmp_path, 9).astype(float) - 127.5).max() <= 2


def test_small_images_are_enlarged_smoothly(tmp_path):
    ramp = np.repeat(np.linspace(0, 255, 8).astype(np.uint8)[None, :, None], 8, axis=0).repeat(3, axis=2)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    row = one(tmp_path, 64)[32, :, 0].astype(int)
    assert len(set(row.tolist())) > 40  # eight flat steps would be eight values
    assert (np.diff(row) >= -3).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rotated_images_are_turned_upright(tmp_path, orientation):
    upright = np.zeros((16, 16, 3), np.uint8)
    upright[:8, :8], upright[:8, 8:], upright[8:, :8] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    # EXIF 2.3, tag 0x0112: how the *stored* image came from the upright one
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: np.rot90(upright, 2),
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(one(tmp_path, 16), upright)


def flat(mode, colour, size=(12, 12)):
    return Image.new(mode, size, colour)


def palette_with_a_transparent_entry():
    image = flat("P", 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.info["transparency"] = 1
    return image


FORMATS = {  # file name -> (image, colour expected)
    "rgb.png": (flat("RGB", (10, 20, 30)), (10, 20, 30)),
    "clear.png": (flat("RGBA", (10, 20, 30, 0)), (255, 255, 255)),
    "half.png": (flat("RGBA", (10, 20, 30, 128)), (132, 137, 142)),  # 10·128/255 + 255·127/255, and so on
    "grey.png": (flat("L", 77), (77, 77, 77)),
    "grey_alpha.png": (flat("LA", (77, 255)), (77, 77, 77)),
    "bits.png": (flat("1", 1), (255, 255, 255)),
    "palette.gif": (flat("RGB", (10, 20, 30)).convert("P", palette=Image.Palette.ADAPTIVE), (10, 20, 30)),
    "palette.png": (palette_with_a_transparent_entry(), (255, 255, 255)),
    "deep.png": (Image.fromarray(np.full((12, 12), 40_000, np.uint16)), (156,) * 3),  # 40000 / 257 = 155.6
    "deep.tiff": (Image.fromarray(np.full((12, 12), 40_000, np.uint16)), (156,) * 3),
    "float.tiff": (Image.fromarray(np.full((12, 12), 0.5, np.float32)), (128,) * 3),
    "print.tiff": (flat("CMYK", (255, 0, 0, 0)), (0, 255, 255)),
    "print.jpg": (flat("CMYK", (255, 0, 0, 0)), (0, 255, 255)),
    "photo.JPEG": (flat("RGB", (10, 20, 30)), (10, 20, 30)),
    "old.bmp": (flat("RGB", (10, 20, 30)), (10, 20, 30)),
    "new.webp": (flat("RGBA", (10, 20, 30, 0)), (255, 255, 255)),
    "plain.ppm": (flat("RGB", (10, 20, 30)), (10, 20, 30)),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_mode_and_format_becomes_the_right_rgb(tmp_path, name):
    image, colour = FORMATS[name]
    image.save(tmp_path / name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a warning would show as a red box in the notebook
        pixels = one(tmp_path, 4).astype(int)
    assert np.abs(pixels - colour).max() <= (2 if name.lower().endswith(("jpg", "jpeg")) else 0)


def test_a_large_jpeg_is_decoded_at_reduced_scale_with_the_same_result(tmp_path):
    y, x = np.mgrid[:1600, :2000] / 1600
    smooth = np.stack([x * 200, y * 250, 128 + 100 * np.sin(6 * x * y)], axis=2).clip(0, 255).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95)
    means = smooth[:, 200:1800].reshape(16, 100, 16, 100, 3).mean(axis=(1, 3))
    assert np.abs(one(tmp_path, 16) - means).max() <= 3


def test_images_are_ordered_by_path_with_subfolders_and_without_hidden_or_other_files(tmp_path):
    for name, grey in (("b.png", 2), ("a/z.png", 1), ("c/d/e.png", 3), (".hidden.png", 9), (".trash/x.png", 9)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        flat("L", grey).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "Thumbs.db").write_bytes(b"\0")
    images = data.image_folder(tmp_path, 4, minimum=3)
    assert images[:, 0, 0, 0].tolist() == [1, 2, 3]


def test_wrong_folders_raise(tmp_path):
    with pytest.raises(DataError, match=r"nowhere does not exist"):
        data.image_folder(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "plan.pdf").write_bytes(b"%PDF-1.7")
    with pytest.raises(DataError, match=r"notes.txt is a file"):
        data.image_folder(tmp_path / "notes.txt")
    with pytest.raises(DataError, match=r"no images in .* \(only files with \.pdf, \.txt\)"):
        data.image_folder(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no files at all"):
        data.image_folder(tmp_path / "empty")
    flat("L", 1).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"has 1 image, but at least 5"):
        data.image_folder(tmp_path, minimum=5)
    with pytest.raises(ValueError, match="size is 0"):
        data.image_folder(tmp_path, size=0)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "tiff", "bmp", "webp"])
def test_a_damaged_image_is_named(tmp_path, suffix):
    for name in ("a", "m", "z"):
        Image.fromarray(noise(64, 64)).save(tmp_path / f"{name}.{suffix}")
    damaged = tmp_path / f"m.{suffix}"
    original = damaged.read_bytes()
    for content in (original[: len(original) // 2], original[:20], b"", b"this is text"):
        damaged.write_bytes(content)
        with pytest.raises(DataError, match=rf"m\.{suffix} cannot be read"):
            data.image_folder(tmp_path, 16)


def test_an_image_too_large_for_memory_is_named(tmp_path, monkeypatch):
    flat("L", 1, (64, 64)).save(tmp_path / "huge.png")
    monkeypatch.setattr(picture_files, "MAX_PIXELS", 64 * 64 - 1)
    with pytest.raises(DataError, match=r"huge\.png cannot be read \(it has more than 4,095 pixels\)"):
        data.image_folder(tmp_path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_a_photograph_of_108_megapixels_is_read_without_a_warning(tmp_path, suffix):
    width, height = (12_000, 9_000) if suffix == "jpg" else (4_000, 3_000)
    y, x = np.mgrid[: height // 100, : width // 100]
    tile = np.stack([x, y, x + y], 2).astype(np.uint8)
    Image.fromarray(tile).resize((width, height), Image.Resampling.NEAREST).save(tmp_path / f"a.{suffix}")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error")
        if suffix != "jpg":  # a smaller one, at a lower limit of Pillow's: it would be refused above twice that
            patch.setattr(Image, "MAX_IMAGE_PIXELS", 5_000_000)
        pixels = one(tmp_path, 4).astype(float)
        assert suffix == "jpg" or Image.MAX_IMAGE_PIXELS == 5_000_000
    side, left = height // 100, (width - height) // 200
    square = tile[:, left : left + side].astype(float)
    means = np.stack(
        [
            [square[r : r + side // 4, c : c + side // 4].mean((0, 1)) for c in range(0, side - 3, side // 4)][:4]
            for r in range(0, side - 3, side // 4)
        ][:4]
    )
    assert np.abs(pixels - means).max() <= 4


def test_a_very_large_picture_is_averaged_before_its_conversion(tmp_path, monkeypatch):
    pixels = noise(80, 80, 4)
    Image.fromarray(pixels, "RGBA").save(tmp_path / "a.png")
    wanted = one(tmp_path, 4).astype(int)
    monkeypatch.setattr(picture_files, "LARGE", 1000)
    assert np.abs(one(tmp_path, 4).astype(int) - wanted).max() <= 1


GREY = {  # name -> (values, dtype, grey expected; or words of the refusal)
    "full range": ([0, 32_768, 65_535], np.uint16, [0, 128, 255]),
    "12 bits in 16": ([0, 2048, 4095], np.uint16, "nearly black"),
    "8 bits in 16": ([0, 128, 255], np.uint16, "nearly black"),
    "black": ([0, 0, 0], np.uint16, [0, 0, 0]),
    "8 bits in 32": ([0, 128, 255], np.int32, [0, 128, 255]),
    "16 bits in 32": ([0, 32_768, 65_535], np.int32, [0, 128, 255]),
    "below zero": ([-1, 5, 70], np.int32, "run from -1 to 70"),
    "beyond 16 bits": ([0, 5, 70_000], np.int32, "run from 0 to 70000"),
    "0 to 1": ([0, 0.5, 1], np.float32, [0, 128, 255]),
    "a little above 1": ([-0.001, 0.5, 1.0001], np.float32, [0, 128, 255]),
    "0 to 255": ([0, 128, 255], np.float32, [0, 128, 255]),
    "0 to 65,535": ([0, 32_768, 65_535], np.float32, [0, 128, 255]),
    "-1 to 1": ([-1, 0, 1], np.float32, "run from -1 to 1"),
    "0 to 7": ([0, 3, 7], np.float32, "scale it to 0…1"),
    "millions": ([0, 3, 7e6], np.float32, "scale them to 0…1"),
    "NaN": ([0, np.nan, 1], np.float32, "NaN or infinite"),
    "inf": ([0, np.inf, 1], np.float32, "NaN or infinite"),
}


@pytest.mark.parametrize("name", GREY)
def test_grey_of_more_than_8_bits_has_the_right_range_or_is_refused(tmp_path, name):
    values, dtype, wanted = GREY[name]
    Image.fromarray(np.tile(np.array(values, dtype)[:, None], (1, 3))).save(tmp_path / "a.tiff")
    if isinstance(wanted, str):
        with pytest.raises(DataError, match=wanted):
            data.image_folder(tmp_path, 3)
    else:
        assert one(tmp_path, 3)[:, 0, 0].tolist() == wanted


@pytest.mark.parametrize(("top", "refused"), [(255, True), (4095, True), (65_535, False)])
def test_colours_of_16_bits_have_the_right_range_or_are_refused(tmp_path, top, refused):
    """A PNG written by hand: Pillow writes none of 16 bits a channel."""
    pixels = np.linspace(0, top, 27).astype(">u2").reshape(3, 3, 3)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", 3, 3, 16, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(png)
    if refused:
        with pytest.raises(DataError, match="nearly black"):
            data.image_folder(tmp_path, 3)
    else:
        assert np.abs(one(tmp_path, 3).astype(int) - pixels.astype(int) // 257).max() <= 1


# ------------------------------------------------------------------------------------------------- what counts as an image


def test_pictures_without_a_known_suffix_are_recognised_by_their_content(tmp_path):
    for name, kind in (("a.jpg_large", "JPEG"), ("b", "PNG"), ("c.jfif", "JPEG"), ("d.JPG", "PNG"), ("e.bin", "WEBP")):
        flat("L", 50).save(tmp_path / name, kind)
    assert data.image_folder(tmp_path, 4).shape == (5, 3, 4, 4)


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
    for words in ("7 of the 7 images", "IMG_0.HEIC (HEIC: export it as JPEG or PNG)", "empty.jpg", "and 2 more"):
        assert words in str(error.value)


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
    with pytest.raises(DataError) as error:
        data.image_folder(tmp_path)
    for words in ("3 of the 4 images", "link.png (a link to", "null.png (it is no file", "pipe.png (it is no file"):
        assert words in str(error.value)


MEMORY = """
import resource, sys
from PIL import Image
from course_lib import data
data.image_folder(sys.argv[1] + "/one")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
data.image_folder(sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.posix
def test_only_one_image_at_a_time_is_in_memory(tmp_path):
    (tmp_path / "one").mkdir()
    flat("RGB", (1, 2, 3), (3000, 3000)).save(tmp_path / "one/a.png")  # 36 MB once decoded
    for number in range(9):
        shutil.copy(tmp_path / "one/a.png", tmp_path / f"{number}.png")
    command = [sys.executable, "-c", MEMORY, str(tmp_path)]
    done = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert int(done.stdout) < 72 * 1024  # KiB: ten images in memory together would add 320 MB
