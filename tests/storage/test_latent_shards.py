"""Latents in files, encoded by any number of processes, interrupted and continued."""

import pytest
import torch

from course_lib.codec import PixelCodec, VAECodec
from course_lib.storage import latent_shards
from course_lib.vae import VAE

IMAGES = torch.rand(23, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(scope="module")
def codec():
    torch.manual_seed(0)
    return VAECodec(VAE(width=8, latent_channels=2), torch.tensor([0.1, -0.2]), torch.tensor([0.5, 2.0]))


def images(first, stop):
    return IMAGES[first:stop]


def encode(folder, codec=None, **options):
    return latent_shards.encode(codec or PixelCodec(), images, 23, folder, **{"rows": 5, "dtype": None, **options})


def test_loaded_latents_are_those_of_the_codec(tmp_path, codec):
    files = encode(tmp_path, codec)
    assert [f.name for f in files] == [f"latents_{k:06d}.safetensors" for k in range(5)]
    with torch.no_grad():
        expected = (codec.vae.encode(IMAGES).mean - codec.latents_mean) / codec.latents_std
    torch.testing.assert_close(latent_shards.load(tmp_path), expected)
    torch.testing.assert_close(latent_shards.load(tmp_path, 3, 17), expected[3:17])
    torch.testing.assert_close(latent_shards.load(tmp_path, 20), expected[20:])


def test_processes_divide_the_files_and_together_write_all(tmp_path):
    files = [encode(tmp_path, rank=rank, world=3) for rank in (2, 0, 1)]
    assert [len(own) for own in files] == [1, 2, 2]
    assert torch.equal(latent_shards.load(tmp_path), IMAGES)


def test_an_interrupted_run_encodes_only_what_is_missing_or_damaged(tmp_path):
    files = encode(tmp_path)
    before = {f: f.stat().st_mtime_ns for f in files}
    files[1].unlink()
    files[3].write_bytes(files[3].read_bytes()[:-7])
    encoded = []

    def counted(first, stop):
        encoded.append((first, stop))
        return images(first, stop)

    latent_shards.encode(PixelCodec(), counted, 23, tmp_path, rows=5, dtype=None)
    assert encoded == [(0, 1), (5, 10), (15, 20)]  # the first image tells one foreign codec from another
    assert all(f.stat().st_mtime_ns == before[f] for f in (files[0], files[2], files[4]))
    assert torch.equal(latent_shards.load(tmp_path), IMAGES)


def test_latents_are_bfloat16_by_default(tmp_path):
    latent_shards.encode(PixelCodec(), images, 23, tmp_path, rows=23)
    found = latent_shards.load(tmp_path)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), IMAGES, rtol=0.01, atol=0.01)


def test_wrong_calls_are_explained(tmp_path, codec):
    with pytest.raises(ValueError, match="holds no latents"):
        latent_shards.load(tmp_path)
    encode(tmp_path)
    with pytest.raises(ValueError, match="codec is 'PixelCodec' there"):
        encode(tmp_path, codec)
    with pytest.raises(ValueError, match="rows is 5 there and 6 here"):
        encode(tmp_path, rows=6)
    with pytest.raises(ValueError, match=r"rows 20 to 30 .*rows 0 to 23"):
        latent_shards.load(tmp_path, 20, 30)
    with pytest.raises(ValueError, match="rank 2 and world 2"):
        encode(tmp_path, rank=2, world=2)
    with pytest.raises(ValueError, match="returned 3 images, expected 5"):
        latent_shards.encode(PixelCodec(), lambda first, stop: IMAGES[:3], 23, tmp_path / "new", rows=5)
    assert not list((tmp_path / "new").glob("*"))
    (tmp_path / "latents_000002.safetensors").unlink()
    with pytest.raises(ValueError, match=r"latents_000002.safetensors is missing: call latent_shards.encode"):
        latent_shards.load(tmp_path)


def test_another_vae_is_another_codec(codec):
    torch.manual_seed(1)
    other = VAECodec(VAE(width=8, latent_channels=2), torch.tensor([0.1, -0.2]), torch.tensor([0.5, 2.0]))
    shifted = VAECodec(codec.vae, torch.tensor([0.1, -0.3]), torch.tensor([0.5, 2.0]))
    assert len({latent_shards.codec_fingerprint(one) for one in (codec, other, shifted, PixelCodec())}) == 4
    assert latent_shards.codec_fingerprint(codec) == latent_shards.codec_fingerprint(codec)
