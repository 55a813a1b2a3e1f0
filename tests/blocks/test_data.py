"""Data sets and image folders against readings that do not use the library: raw bytes, hand-made files, numpy."""

import functools
import gzip
import hashlib
import lzma
import os
import shutil
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib import data
from course_lib.images import to_float, to_uint8
from course_lib.storage.paths import DataError

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "data"

# --------------------------------------------------------------------------------------------------- Fashion-MNIST


def opened(name: str):
    """A shipped IDX file, decompressed by the standard library."""
    file = SHIPPED / f"fashion_mnist/{name}"
    return lzma.open(f"{file}.xz") if name.startswith("train-images") else gzip.open(f"{file}.gz")


@pytest.fixture(scope="module")
def fashion():
    return functools.cache(data.fashion_mnist)


@pytest.mark.parametrize(
    ("split", "stem", "count", "first_labels"),
    [
        ("train", "train", 60_000, [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]),
        ("test", "t10k", 10_000, [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]),
    ],
)
def test_fashion_mnist_agrees_with_a_reading_of_the_raw_bytes(split, stem, count, first_labels, fashion):
    images, labels = fashion(split)
    assert (images.dtype, tuple(images.shape)) == (torch.uint8, (count, 1, 32, 32))
    assert (labels.dtype, tuple(labels.shape)) == (torch.int64, (count,))
    assert labels[:10].tolist() == first_labels
    assert labels.bincount().tolist() == [count // 10] * 10

    with opened(f"{stem}-images-idx3-ubyte") as stream:
        assert struct.unpack(">4i", stream.read(16)) == (0x803, count, 28, 28)
        raw = stream.read()
    for index in (0, 1, count // 2, count - 1):
        pixels = raw[index * 784 : (index + 1) * 784]
        rows = [list(pixels[28 * row : 28 * (row + 1)]) for row in range(28)]
        assert images[index, 0, 2:30, 2:30].tolist() == rows
    total = np.frombuffer(raw, np.uint8).sum(dtype=np.int64)
    assert images.sum(dtype=torch.int64).item() == total  # hence the frame of two pixels is black as well
    assert images[:, :, 2:30, 2:30].sum(dtype=torch.int64).item() == total


def test_three_files_have_the_md5_checksums_that_the_authors_published():
    published = {
        ("train-labels-idx1-ubyte", 1504176606): "25c81989df183df01b3e8a0aad5dffbe",
        ("t10k-images-idx3-ubyte", 1504176627): "bef4ecab320f06d8554ea6380940ec79",
        ("t10k-labels-idx1-ubyte", 1504176627): "bb300cfdad3c16e7a12a480ee83cd310",
    }
    for (name, time), md5 in published.items():
        # Debian stripped the original name and time (31 August 2017) from the gzip header: put them back (RFC 1952)
        header = b"\x1f\x8b\x08\x08" + struct.pack("<I", time) + b"\0\3" + name.encode() + b"\0"
        body = (SHIPPED / f"fashion_mnist/{name}.gz").read_bytes()[10:]
        assert hashlib.md5(header + body).hexdigest() == md5, name


def test_the_training_images_are_the_authors_file_recompressed():
    """The checksum of the contents of the authors' train-images-idx3-ubyte.gz, MD5 8d4fb7e6c68d591d4c3dfef9ec88bf0d."""
    with opened("train-images-idx3-ubyte") as stream:
        assert hashlib.sha256(stream.read()).hexdigest() == "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"


def test_fashion_mnist_has_the_published_mean_and_deviation(fashion):
    images, _ = fashion("train")
    inner = images[:, :, 2:30, 2:30].double() / 255
    assert round(inner.mean().item(), 4) == 0.2860
    assert round(inner.std().item(), 4) == 0.3530
    assert len(data.FASHION_CLASSES) == 10
    assert data.FASHION_CLASSES[9] == "ankle boot"


def test_an_unknown_split_raises():
    with pytest.raises(ValueError, match=r"'valid'.*'train' and 'test'"):
        data.fashion_mnist("valid")


def test_a_damaged_file_of_fashion_mnist_is_named_with_its_fix(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    shutil.copy(SHIPPED / "manifest.json", tmp_path)
    (tmp_path / "fashion_mnist").mkdir()
    for kind in ("images-idx3", "labels-idx1"):
        shutil.copy(SHIPPED / f"fashion_mnist/t10k-{kind}-ubyte.gz", tmp_path / "fashion_mnist")
    file = tmp_path / "fashion_mnist/t10k-labels-idx1-ubyte.gz"
    original = file.read_bytes()
    assert data.fashion_mnist("test")[1][0] == 9
    altered = bytearray(original)
    altered[2000] ^= 1
    for content, word in ((bytes(altered), "altered"), (original[:2000], "truncated")):
        file.write_bytes(content)
        with pytest.raises(DataError, match=f"t10k-labels-idx1-ubyte.gz is {word}.*git checkout -- data/fashion_mnist"):
            data.fashion_mnist("test")
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.xz is missing"):
        data.fashion_mnist("train")


def write_idx(file, magic=0x803, shape=(2, 2, 3), body=bytes(range(12))):
    compress = lzma.compress if file.suffix == ".xz" else gzip.compress
    file.write_bytes(compress(struct.pack(f">{1 + len(shape)}i", magic, *shape) + body))
    return file


@pytest.mark.parametrize("suffix", ["gz", "xz"])
def test_read_idx_reads_a_file_made_by_hand(tmp_path, suffix):
    array = data.read_idx(write_idx(tmp_path / f"a.{suffix}"), (2, 2, 3))
    assert array.tolist() == [[[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 11]]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"magic": 0x802}, "00000802.*00000803"),
        ({"magic": 0xD03}, "00000d03"),
        ({"shape": (3, 2, 3)}, r"shape \(3, 2, 3\)"),
        ({"shape": (2, 3, 2)}, r"shape \(2, 3, 2\)"),
        ({"body": bytes(11)}, "11 bytes"),
        ({"body": bytes(13)}, "13 bytes"),
        ({"body": b"", "shape": (2,)}, r"shape \(2,\)"),
    ],
)
def test_a_wrong_header_raises(tmp_path, change, message):
    with pytest.raises(DataError, match=message):
        data.read_idx(write_idx(tmp_path / "a.gz", **change), (2, 2, 3))


@pytest.mark.parametrize("suffix", ["gz", "xz"])
def test_a_truncated_or_damaged_file_raises(tmp_path, suffix):
    file = write_idx(tmp_path / f"a.{suffix}", body=os.urandom(5000), shape=(50, 10, 10))
    original = file.read_bytes()
    damaged = bytearray(original)
    damaged[1000] ^= 255
    for content in (original[:-9], original[:200], b"", b"plain", bytes(damaged)):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"a\.[gx]z (is truncated or not compressed|starts with)"):
            data.read_idx(file, (50, 10, 10))


# ----------------------------------------------------------------------------------------------------- photographs


def test_photographs_of_1024_need_no_download():
    large = data.photographs()
    assert set(large) == {"dandelions", "dogs", "mountains", "retina"}
    assert all(photo.dtype == torch.uint8 and photo.shape == (3, 1024, 1024) for photo in large.values())
    for name in ("dandelions", "dogs", "mountains"):  # stored at this size: nothing is resampled
        with Image.open(SHIPPED / f"photographs/{name}.webp") as image:
            assert large[name].numel() == 3_145_728
            assert np.array_equal(large[name].permute(1, 2, 0).numpy(), np.asarray(image))
            # a real colour photograph: its channels differ, neighbouring pixels are similar, and it is not flat
        photo = large[name].double()
        assert (photo[0] - photo[2]).abs().mean() > 3
        assert photo.std() > 30
        assert np.corrcoef(photo[0, :, 1:].flatten(), photo[0, :, :-1].flatten())[0, 1] > 0.9


def test_photographs_in_original_size_agree_with_scikit_image():
    import skimage.data

    originals = data.photographs(None)
    for ours, theirs in (("astronaut", "astronaut"), ("cat", "chelsea"), ("coffee", "coffee"), ("rocket", "rocket")):
        assert np.array_equal(originals[ours].permute(1, 2, 0).numpy(), getattr(skimage.data, theirs)()), ours
    assert originals["retina"].shape == (3, 1411, 1411)
    assert "astronaut" in data.photographs(512)
    assert "astronaut" not in data.photographs(513)


def test_a_missing_photograph_is_named(monkeypatch):
    monkeypatch.setitem(data._SKIMAGE_PHOTOGRAPHS, "cat", "nowhere.png")
    with pytest.raises(DataError, match=r"nowhere\.png of scikit-image is missing.*`pip"):
        data.photographs()


# ---------------------------------------------------------------------------------------------------- image folders


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
    (tmp_path / "phone.heic").write_bytes(b"x")
    with pytest.raises(DataError, match=r"notes.txt is a file"):
        data.image_folder(tmp_path / "notes.txt")
    with pytest.raises(DataError, match=r"no images in .* \(only files with \.heic, \.txt\)"):
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


@pytest.mark.parametrize("limit", [3000, 1000])  # Pillow only warns below twice its limit, and refuses above
def test_an_image_too_large_for_memory_is_named(tmp_path, monkeypatch, limit):
    flat("L", 1, (64, 64)).save(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(DataError, match=rf"huge\.png has more than {limit:,} pixels"):
        data.image_folder(tmp_path)


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


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_fashion_mnist_is_the_same_on_the_gpu():
    images, labels = data.fashion_mnist("test", device="cuda")
    assert images.is_cuda
    assert labels.is_cuda
    here, there = data.fashion_mnist("test"), (images.cpu(), labels.cpu())
    assert all(torch.equal(a, b) for a, b in zip(here, there, strict=True))
    assert torch.equal(to_uint8(to_float(images)), images)
