"""What a distance in features minds: readers without training, the image that it likes best."""

import pytest
import torch

from course_lib import device, perceptual, teddies
from course_lib.experiments.ch6_sharper_vae import sharper, whose_features
from course_lib.images import to_float
from course_lib.judges.factor_reader import FactorReader, factor_accuracy
from course_lib.recipes import build

MACHINE = device.find("cpu")


@pytest.fixture(scope="module")
def small_reader():
    return build(FactorReader, {"width": 8}, 0).requires_grad_(False)


def test_untrained_readers_depend_on_their_seed_alone():
    state = torch.random.get_rng_state()
    one, same, other = whose_features.untrained_readers([3, 3, 4], MACHINE)
    assert torch.equal(torch.random.get_rng_state(), state)
    weights = [torch.cat([p.flatten() for p in net.parameters()]) for net in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_reader_without_noise_learns_to_read():
    net = whose_features.train_reader_without_noise(MACHINE, steps=25, images=256)
    images, factors = teddies.dataset(100, 5)
    before = factor_accuracy(build(FactorReader, {}, 0), images, factors)["background"]
    assert factor_accuracy(net, images, factors)["background"] > max(0.5, before + 0.2)


def test_distances_of_distortions_are_means():
    original = torch.zeros(2, 3, 4, 4)
    distorted = {"near": original + 0.1, "far": original + 0.2}
    found = whose_features.distances_of_distortions(distorted, original, lambda a, b: (a - b).abs().flatten(1).mean(1))
    assert found == pytest.approx({"near": 0.1, "far": 0.2})


def test_the_best_answer_is_nearer_to_the_mean_features_than_the_mean_image(small_reader):
    possible = sharper.horizontal_shifts(to_float(teddies.dataset(3, 1)[0]), 2)

    def expected(answer):
        return torch.stack([perceptual.perceptual_distance(small_reader, answer, x).mean() for x in possible]).mean().item()

    best = whose_features.best_answer(small_reader, possible, steps=20)
    assert best.shape == possible.shape[1:]
    assert best.abs().max() <= 1
    assert expected(best) < expected(possible.mean(0))


def test_the_best_answer_to_a_single_possibility_is_that_image(small_reader):
    possible = to_float(teddies.dataset(2, 1)[0])[None]
    torch.testing.assert_close(whose_features.best_answer(small_reader, possible, steps=5), possible[0], atol=0.01, rtol=0)


@pytest.mark.parametrize("steps", [0, 2.5])
def test_steps_must_be_a_positive_integer(small_reader, steps):
    with pytest.raises((TypeError, ValueError), match="steps"):
        whose_features.best_answer(small_reader, torch.zeros(2, 1, 3, 64, 64), steps=steps)
