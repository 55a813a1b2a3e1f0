"""Your own folder of images: what counts as one, each as the right RGB, and what is refused, against hand-made files."""

import shutil
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from made_pictures import flat, noise, one
from PIL import Image

from course_lib import data
from course_lib.storage import picture_pixels
from course_lib.storage.paths import DataError

ROOT = Path(__file__).parents[2]


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
    "bits.tif": (flat("1", 1), (255, 255, 255)),
    "grey_clear.png": (flat("LA", (77, 0)), (255, 255, 255)),
    "video.tif": (flat("YCbCr", (50, 128, 128)), (50, 50, 50)),
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
    monkeypatch.setattr(picture_pixels, "MAX_PIXELS", 64 * 64 - 1)
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


@pytest.mark.parametrize("suffix", ["png", "bmp", "ico"])
def test_a_decompression_bomb_is_refused_by_its_header(tmp_path, suffix):
    picture = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    bomb = b"\x89PNG\r\n\x1a\n" + picture
    if suffix == "bmp":
        bomb = b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0)
    if suffix == "ico":  # says 16×16 outside
        bomb = struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(bomb), 22) + bomb
    (tmp_path / f"a.{suffix}").write_bytes(bomb)
    with pytest.raises(DataError, match=rf"a\.{suffix} cannot be read \(it has more than 250,000,000 pixels\)"):
        data.image_folder(tmp_path)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "CMYK", "1"])
def test_a_large_picture_is_converted_in_bands_with_the_same_result(tmp_path, monkeypatch, mode):
    pixels = noise(83, 90, 4)
    pixels[..., 3] = np.where(pixels[..., 3] > 99, 255, 0)
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode != "CMYK" else image.convert("RGB").convert(mode)).save(tmp_path / "a.tif")
    wanted = one(tmp_path, 5)
    monkeypatch.setattr(picture_pixels, "BAND", 1000)
    assert np.array_equal(one(tmp_path, 5), wanted)


GREY = {  # name -> (values, dtype, grey expected; or words of the refusal)
    "full range": ([0, 32_768, 65_535], np.uint16, [0, 128, 255]),
    "a dark one": ([0, 16_384, 20_000], np.uint16, [0, 64, 78]),
    "12 bits in 16": ([0, 2048, 4095], np.uint16, "nearly black: multiply its values by 16,"),
    "14 bits in 16": ([0, 2048, 16_383], np.uint16, "only 14 bits were used"),
    "8 bits in 16": ([0, 128, 255], np.uint16, "nearly black: multiply its values by 257,"),
    "1 bit in 16": ([0, 1, 1], np.uint16, "nearly black"),
    "black": ([0, 0, 0], np.uint16, [0, 0, 0]),
    "a sign, and the full range": ([0, 16_384, 32_767], np.int16, [0, 128, 255]),
    "a sign, and 12 bits": ([0, 2048, 4095], np.int16, "nearly black"),
    "8 bits in 32": ([0, 128, 255], np.int32, [0, 128, 255]),
    "16 bits in 32": ([0, 32_768, 65_535], np.int32, [0, 128, 255]),
    "12 bits in 32": ([0, 2048, 4095], np.int32, "nearly black"),
    "labels in 32": ([0, 1, 7], np.int32, "nearly black"),
    "below zero": ([-1, 5, 70], np.int32, "run from -1 to 70"),
    "beyond 16 bits": ([0, 5, 70_000], np.int32, "run from 0 to 70000"),
    "0 to 1": ([0, 0.5, 1], np.float32, [0, 128, 255]),
    "a little above 1": ([-0.001, 0.5, 1.0001], np.float32, [0, 128, 255]),
    "0 to 255": ([0, 128, 255], np.float32, [0, 128, 255]),
    "0 to 65,535": ([0, 32_768, 65_535], np.float32, [0, 128, 255]),
    "-1 to 1": ([-1, 0, 1], np.float32, "run from -1 to 1"),
    "-0.5 to 0.5": ([-0.5, 0, 0.5], np.float32, "run from -0.5 to 0.5"),
    "0 to 7": ([0, 3, 7], np.float32, "scale it to 0…1"),
    "millions": ([0, 3, 7e6], np.float32, "scale them to 0…1"),
    "NaN": ([0, np.nan, 1], np.float32, r"a\.tif cannot be read \(it holds NaN or infinite"),
    "inf": ([0, np.inf, 1], np.float32, "NaN or infinite"),
    "-inf": ([0, -np.inf, 1], np.float32, "NaN or infinite"),
}


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("name", GREY)
def test_grey_of_more_than_8_bits_has_the_right_range_or_is_refused(tmp_path, name, order, compression):
    values, dtype, wanted = GREY[name]
    pixels = np.tile(np.array(values, dtype)[:, None], (1, 3))
    tifffile.imwrite(tmp_path / "a.tif", pixels, byteorder=order, compression=compression, photometric="minisblack")
    if isinstance(wanted, str):
        with pytest.raises(DataError, match=wanted):
            data.image_folder(tmp_path, 3)
    else:
        assert one(tmp_path, 3)[:, 0, 0].tolist() == wanted


@pytest.mark.parametrize(("dtype", "values"), [(np.uint16, [0, 16_384, 65_535]), (np.float32, [0, 0.25, 1])])
def test_grey_of_more_than_8_bits_in_which_zero_is_white(tmp_path, dtype, values):
    pixels = np.tile(np.array(values, dtype)[:, None], (1, 3))
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="miniswhite")
    assert one(tmp_path, 3)[:, 0, 0].tolist() == [255, 191, 0]


def test_a_tiff_of_12_bits_a_sample_has_their_range(tmp_path):
    """Written by hand: two samples of 12 bits, 2048 = 0x800, lie in three bytes."""
    entries = [
        (256, 4, 4),
        (257, 4, 4),
        (258, 3, 12),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 122),
        (277, 3, 1),
        (278, 4, 4),
        (279, 4, 24),
    ]
    table = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    header = b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + bytes(4)
    (tmp_path / "a.tif").write_bytes(header + b"\x80\x08\x00" * 8)
    assert one(tmp_path, 4)[:, :, 0].tolist() == [[128] * 4] * 4  # 2048 / 4095 · 255 = 127.5


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png16(pixels, significant=()):
    """A PNG of 16 bits a channel, written by hand: Pillow writes none in colour. significant: the content of its chunk sBIT."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    sbit = chunk(b"sBIT", bytes(significant)) if significant else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + sbit + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("says_so", [True, False])
def test_a_png_of_16_bits_has_the_right_range_or_is_refused(tmp_path, channels, bits, says_so):
    """Its chunk sBIT says how many of the 16 bits are used."""
    top = 2**bits - 1
    pixels = np.linspace(0, top, 9).astype(int).reshape(3, 3, 1).repeat(channels, axis=2)
    if channels % 2 == 0:
        pixels[..., -1] = 65_535  # alpha
    (tmp_path / "a.png").write_bytes(png16(pixels, [bits] * channels if says_so else ()))
    if bits < 16 and not says_so:
        with pytest.raises(DataError, match=f"its largest value is {top:,} of 65,535, as if only {bits} bits"):
            data.image_folder(tmp_path, 3)
    else:
        assert np.abs(one(tmp_path, 3) - pixels[..., :1] * (255 / top)).max() <= 1


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(("value", "wanted"), [(40_000, 156), (0, 0), (4095, "only 12 bits"), (200, "only 8 bits")])
def test_a_colour_tiff_of_16_bits_has_the_right_range_or_is_refused(tmp_path, order, compression, value, wanted):
    pixels = np.full((4, 4, 3), value, np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, byteorder=order, compression=compression, photometric="rgb")
    if isinstance(wanted, str):
        with pytest.raises(DataError, match=wanted):
            data.image_folder(tmp_path, 4)
    else:
        assert set(one(tmp_path, 4).flat) == {wanted}


def test_a_tiff_that_pillow_would_read_wrongly_or_not_at_all_is_refused(tmp_path):
    planes = np.full((3, 40, 40), 40_000, np.uint16)
    tifffile.imwrite(tmp_path / "planes.tif", planes, photometric="rgb", planarconfig="separate")
    tifffile.imwrite(tmp_path / "double.tif", np.full((4, 4), 0.5))
    tifffile.imwrite(tmp_path / "floats.tif", np.full((4, 4, 3), 0.5, np.float32), photometric="rgb")
    with pytest.raises(DataError) as error:
        data.image_folder(tmp_path, 4)
    for words in (
        "planes.tif (its channels of more than 8 bits",
        "double.tif (damaged, or of a kind of TIFF",
        "floats.tif (damaged",
    ):
        assert words in str(error.value)


def test_the_transparent_parts_of_16_bits_are_white(tmp_path):
    (tmp_path / "a.png").write_bytes(png16(np.array([[[2048, 0, 0, 0], [4095, 0, 0, 65_535]]] * 2), [12] * 4))
    assert one(tmp_path, 2)[0].tolist() == [[255, 255, 255], [255, 0, 0]]


def test_a_film_is_its_first_frame(tmp_path):
    frames = [flat("RGB", (100 * i, 50, 0)) for i in range(3)]
    for name in ("a.gif", "b.png", "c.tif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "d.webp", save_all=True, append_images=frames[1:], lossless=True)
    images = data.image_folder(tmp_path, 4)
    assert images.shape == (4, 3, 4, 4)
    assert (images == torch.tensor([0, 50, 0]).view(3, 1, 1)).all()


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
