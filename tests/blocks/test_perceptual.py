"""The perceptual distance: feature maps, and distances between them, against plain loops."""

import torch

from course_lib.judges.factor_reader import FactorReader
from course_lib.perceptual import feature_maps, perceptual_distance


def reader_and_images() -> tuple[FactorReader, torch.Tensor, torch.Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FactorReader(8), *torch.rand(2, 3, 3, 64, 64).mul(2).sub(1)


def test_the_maps_are_the_networks_features_scaled_to_length_one():
    reader, images, _ = reader_and_images()
    maps = feature_maps(reader, images)
    assert [tuple(m.shape[1:]) for m in maps] == [(8, 32, 32), (16, 16, 16), (32, 8, 8), (32, 4, 4)]
    for m in maps:
        torch.testing.assert_close(m.square().sum(1), torch.ones(3, *m.shape[2:]), rtol=1e-3, atol=1e-3)
    deepest = torch.nn.functional.normalize(reader.body[:8](images), dim=1)
    torch.testing.assert_close(maps[-1], deepest, rtol=1e-3, atol=1e-4)


def test_the_distance_is_a_sum_over_layers_of_means_over_positions():
    reader, a, b = reader_and_images()
    by_loops = torch.zeros(3)
    for x, y in zip(feature_maps(reader, a), feature_maps(reader, b), strict=True):
        for i in range(3):
            positions = [2 - 2 * x[i, :, r, c] @ y[i, :, r, c] for r in range(x.shape[2]) for c in range(x.shape[3])]
            by_loops[i] += sum(positions) / len(positions)  # |u - v|² of vectors of length 1 is 2 - 2 u·v
    torch.testing.assert_close(perceptual_distance(reader, a, b), by_loops, rtol=1e-3, atol=1e-3)


def test_the_distance_is_zero_for_equal_images_and_symmetric():
    reader, a, b = reader_and_images()
    assert perceptual_distance(reader, a, a).abs().max() == 0
    torch.testing.assert_close(perceptual_distance(reader, a, b), perceptual_distance(reader, b, a))
    assert perceptual_distance(reader, a, b).min() > 0.01


def test_gradients_reach_the_image():
    reader, a, b = reader_and_images()
    a.requires_grad_(True)
    perceptual_distance(reader, a, b).sum().backward()
    assert a.grad.abs().sum() > 0
