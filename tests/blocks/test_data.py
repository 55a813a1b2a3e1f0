"""Data sets and image folders against readings that do not use the library: raw bytes, hand-made files, numpy."""

import functools
import gzip
import hashlib
import lzma
import os
import shutil
import struct
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
    return lzma.open(f"{file}.xz") if "images" in name else gzip.open(f"{file}.gz")


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


def test_the_labels_have_the_md5_checksums_that_the_authors_published():
    published = {
        ("train-labels-idx1-ubyte", 1504176606): "25c81989df183df01b3e8a0aad5dffbe",
        ("t10k-labels-idx1-ubyte", 1504176627): "bb300cfdad3c16e7a12a480ee83cd310",
    }
    for (name, time), md5 in published.items():
        # Debian stripped the original name and time (31 August 2017) from the gzip header: put them back (RFC 1952)
        header = b"\x1f\x8b\x08\x08" + struct.pack("<I", time) + b"\0\3" + name.encode() + b"\0"
        body = (SHIPPED / f"fashion_mnist/{name}.gz").read_bytes()[10:]
        assert hashlib.md5(header + body).hexdigest() == md5, name


@pytest.mark.parametrize(
    ("name", "contents"),
    [
        ("train-images-idx3-ubyte", "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
        ("t10k-images-idx3-ubyte", "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
    ],
)
def test_the_images_are_the_authors_files_recompressed(name, contents):
    """Of what the authors' files hold, whose MD5 are 8d4fb7e6c68d591d4c3dfef9ec88bf0d and bef4ecab320f06d8554ea6380940ec79."""
    with opened(name) as stream:
        assert hashlib.sha256(stream.read()).hexdigest() == contents


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
        shutil.copy(next((SHIPPED / "fashion_mnist").glob(f"t10k-{kind}-ubyte.*")), tmp_path / "fashion_mnist")
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


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_fashion_mnist_is_the_same_on_the_gpu():
    images, labels = data.fashion_mnist("test", device="cuda")
    assert images.is_cuda
    assert labels.is_cuda
    here, there = data.fashion_mnist("test"), (images.cpu(), labels.cpu())
    assert all(torch.equal(a, b) for a, b in zip(here, there, strict=True))
    assert torch.equal(to_uint8(to_float(images)), images)
