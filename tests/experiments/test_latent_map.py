"""The map of two dimensions: codes and decoded points belong together, and the stored maps are what the text says of them."""

import pytest
import torch

from course_lib import data, device, recipes
from course_lib.experiments import latent_map

IMAGES, _ = data.fashion_mnist("test")
MACHINE = device.find()


@pytest.fixture(scope="module")
def vae():
    return recipes.load_or_train("fashion-map-vae", MACHINE)


def test_decoded_codes_resemble_the_images_they_belong_to(vae):
    images = IMAGES[:200].to(MACHINE.device)
    decoded = latent_map.decode_map(vae, latent_map.encode_map(vae, images))
    errors = torch.cdist(decoded.flatten(1), (images / 127.5 - 1).flatten(1))
    assert (errors.argmin(1).cpu() == torch.arange(200)).float().mean() > 0.1  # by chance 0.005
    assert errors.diagonal().mean() < 0.6 * errors.mean()


def test_a_posterior_has_the_codes_as_means(vae):
    images = IMAGES[:10].to(MACHINE.device)
    mean, std = latent_map.posterior_map(vae, images)
    torch.testing.assert_close(mean, latent_map.encode_map(vae, images))
    assert std.shape == (10, 2)
    assert (std > 0).all()


def test_the_grid_is_read_like_a_page():
    assert latent_map.grid(1.0, 3).tolist() == [[-1, 1], [0, 1], [1, 1], [-1, 0], [0, 0], [1, 0], [-1, -1], [0, -1], [1, -1]]


def test_under_a_higher_price_points_become_clouds_and_islands_a_continent():
    maps = latent_map.stored_maps()
    assert [one.beta for one in maps] == list(latent_map.BETAS)
    kls, widths = [one.kl for one in maps], [one.std.mean().item() for one in maps]
    assert kls == sorted(kls, reverse=True)
    assert widths == sorted(widths)
    assert maps[0].mean.norm(dim=1).max() > 5 > 4 > maps[-1].mean.norm(dim=1).max()
    for one in maps:
        assert one.mean.shape == one.std.shape == (latent_map.IMAGES, 2)
        assert one.images.shape == (latent_map.SIDE**2, 1, 32, 32)
        kl = ((one.mean.square() + one.std.square() - 1) / 2 - one.std.log()).sum(1).mean().item()
        assert kl == pytest.approx(one.kl, rel=0.1)  # the formula, on the stored share of the images


def test_points_survive_their_packing():
    points = torch.randn(7, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(latent_map._unpacked_points(latent_map._packed_points(points)), points, atol=2e-3, rtol=1e-3)


def test_a_map_is_trained_and_measured_again(tmp_path, monkeypatch):
    monkeypatch.setattr(latent_map, "BETAS", (1.0,))
    file = latent_map.measure_latent_map(steps=2, out=tmp_path / "map.json")
    assert '"steps": 2' in file.read_text(encoding="utf-8")
