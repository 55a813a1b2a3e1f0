"""The classifier: its network, its augmentation against a plain loop, its loss by hand, its calibration against SciPy."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from course_lib import data, metrics
from course_lib.judges import classifier
from course_lib.judges.classifier import Classifier
from course_lib.layers import ResBlock


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_logits_are_the_head_of_the_features():
    net = Classifier(in_channels=3, num_classes=7)
    x = torch.rand(5, 3, 32, 32, generator=seeded()) * 2 - 1
    features = net.features(x)
    assert features.shape == (5, 64)
    weight, bias = net.head[1].weight, net.head[1].bias
    assert_close(net(x), features.relu() @ weight.T + bias)
    assert net(x).shape == (5, 7)
    assert net.features(torch.zeros(2, 3, 64, 48)).shape == (2, 64)  # larger ones as well


def test_a_block_starts_as_the_identity():
    x = torch.randn(2, 16, 8, 8, generator=seeded())
    assert_close(ResBlock(16, 16, activation=F.relu)(x), x, atol=0, rtol=0)


def test_score_of_an_image_does_not_depend_on_its_batch():
    net, x = Classifier().train(), torch.rand(6, 1, 32, 32, generator=seeded())
    alone = torch.cat([net(image[None]) for image in x])
    assert_close(net(x), alone, atol=1e-5, rtol=1e-5)


def test_weights_are_small_enough_to_ship():
    assert sum(p.numel() for p in Classifier().state_dict().values()) * 2 < 1_000_000  # bytes in half precision


@pytest.mark.parametrize(("shift", "mirror"), [(0, True), (1, False), (2, True)])
def test_augment_agrees_with_a_plain_loop(shift, mirror):
    x = torch.randint(0, 256, (12, 2, 9, 11), generator=seeded(1), dtype=torch.uint8)
    found = classifier.augment(x, seeded(2), shift=shift, mirror=mirror)
    draws = seeded(2)
    down, right = torch.randint(-shift, shift + 1, (2, 12, 1), generator=draws)[..., 0].tolist()
    mirrored = torch.randint(2, (12, 1), generator=draws)[:, 0].tolist() if mirror else [0] * 12
    for i, image in enumerate(x.numpy()):
        bordered = np.pad(image, ((0, 0), (shift, shift), (shift, shift)), mode="edge")
        top, left = shift + down[i], shift + right[i]
        wanted = bordered[:, top : top + 9, left : left + 11]
        np.testing.assert_array_equal(found[i].numpy(), wanted[:, :, ::-1] if mirrored[i] else wanted)
    assert not mirror or 0 < sum(mirrored) < 12


def test_augment_is_reproducible_and_does_not_change_its_input():
    x = torch.rand(8, 1, 32, 32, generator=seeded())
    before = x.clone()
    assert_close(classifier.augment(x, seeded(5)), classifier.augment(x, seeded(5)), atol=0, rtol=0)
    assert_close(x, before, atol=0, rtol=0)


def test_loss_by_hand():
    class Fixed(torch.nn.Module):
        def forward(self, x):
            assert x.min() >= -1
            assert x.max() <= 1
            return torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]])

    images = torch.randint(0, 256, (2, 1, 32, 32), generator=seeded(), dtype=torch.uint8)
    found = classifier.classifier_loss(Fixed(), (images, torch.tensor([0, 2])), seeded())
    log_z = [math.log(math.exp(2) + 2), math.log(math.e + 2)]
    # 0.98 of the weight on the label, 0.02 spread over all three classes.
    first = log_z[0] - 0.98 * 2 - 0.02 * 2 / 3
    second = log_z[1] - 0.98 * 0 - 0.02 * 1 / 3
    assert found.item() == pytest.approx((first + second) / 2, rel=1e-5)


class HeadOnly(Classifier):
    """Uses its input as its features, so that only the head is tested."""

    def features(self, x):
        return x.flatten(1)


def overconfident(n=4000, factor=3.0):
    """A network whose logits are `factor` times those from which the labels were sampled."""
    net = HeadOnly()
    with torch.no_grad():
        net.head[1].weight.normal_(0, 0.25, generator=seeded(1))
        features = torch.rand(n, 64, 1, 1, generator=seeded(2)) * 2 - 1
        labels = torch.multinomial(net(features).softmax(1), 1, generator=seeded(3))[:, 0]
        net.head[1].weight.mul_(factor)
        net.head[1].bias.mul_(factor)
    return net, features, labels


def test_calibration_finds_the_temperature_and_changes_no_decision():
    from scipy.optimize import minimize_scalar

    net, images, labels = overconfident()
    features, before = classifier.classify(net, images)
    best = minimize_scalar(lambda t: F.cross_entropy(before.double() / t, labels).item(), (0.5, 5), method="brent").x
    error = metrics.calibration_error(before, labels)
    found = classifier.calibrate(net, images, labels)
    assert found == pytest.approx(best, rel=0.005)
    assert found == pytest.approx(3, rel=0.1)
    same, after = classifier.classify(net, images)
    assert_close(after, before / found)
    assert_close(same, features, atol=0, rtol=0)
    assert metrics.calibration_error(after, labels) < 0.03 < 0.1 < error


@pytest.mark.parametrize("factor", [0.3, 1.0, 9.0])
def test_the_best_temperature_is_the_best_of_all_401(factor):
    logits = 2 * torch.randn(300, 5, generator=seeded(1), dtype=torch.float64)
    labels = torch.multinomial(logits.softmax(1), 1, generator=seeded(2))[:, 0]
    every = torch.logspace(-1, 1, 401, base=16, dtype=torch.float64)
    losses = [F.cross_entropy(factor * logits / t, labels) for t in every]
    assert (
        classifier.best_temperature(factor * logits, labels, max_temperature=16.0) == every[torch.stack(losses).argmin()].item()
    )


def test_classifying_in_batches_equals_classifying_at_once():
    net, images = Classifier().eval(), torch.randint(0, 256, (23, 1, 32, 32), generator=seeded(), dtype=torch.uint8)
    features, logits = classifier.classify(net, images, batch_size=5)
    x = images / 127.5 - 1
    assert_close(features, net.features(x).detach(), atol=1e-5, rtol=1e-5)
    assert_close(logits, net(x).detach(), atol=1e-5, rtol=1e-5)
    assert not logits.requires_grad


def test_it_learns_fashion_mnist():
    images, labels = data.fashion_mnist("test")
    images, labels = images[:64], labels[:64]
    torch.manual_seed(0)
    net = Classifier()
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3)
    for step in range(50):
        loss = classifier.classifier_loss(net, (images, labels), seeded(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert metrics.class_agreement(classifier.classify(net, images)[1], labels) > 0.9  # chance: 0.1


@pytest.mark.parametrize("shape", [(1, 32, 32), (2, 3, 32, 32), (2, 1, 28, 28)])
def test_invalid_images_raise(shape):
    with pytest.raises(ValueError, match="at least 32×32"):
        Classifier()(torch.zeros(shape))


@pytest.mark.gpu
def test_the_gpu_agrees_with_the_cpu():
    net, images = Classifier().eval(), torch.rand(9, 1, 32, 32, generator=seeded()) * 2 - 1
    wanted = classifier.classify(net.double(), images.double())
    found = classifier.classify(net.float().cuda(), images.cuda())
    for a, b in zip(found, wanted, strict=True):
        assert_close(a.cpu().double(), b, atol=2e-3, rtol=2e-3)  # convolutions may round to TF32
    generator = torch.Generator("cuda").manual_seed(0)
    loss = classifier.classifier_loss(net, (images.cuda(), torch.zeros(9, dtype=torch.long, device="cuda")), generator)
    assert loss.is_cuda
