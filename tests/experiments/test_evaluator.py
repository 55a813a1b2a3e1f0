"""The evaluator on real images and on noise, against values that are known beforehand."""

import pytest

from course_lib import device
from course_lib.experiments import generate
from course_lib.images import to_float

CPU = device.find("cpu", "fp32")


def test_intervals_lie_around_the_values(evaluator):
    real = to_float(evaluator.images[:600])
    found = evaluator.intervals(real, evaluator.labels[:600], resamples=20)
    assert set(found) == {"frechet", "kid", "precision", "recall", "agreement"}
    score = evaluator.score(real, evaluator.labels[:600], precision_recall=True)
    for name in ("frechet", "precision", "recall", "agreement"):
        assert found[name].value == pytest.approx(getattr(score, name), abs=1e-6)
    assert found["precision"].value == found["recall"].value == 1.0
    p = score.agreement  # the standard error of a fraction of n is known
    assert found["agreement"].error == pytest.approx((p * (1 - p) / 600) ** 0.5, rel=0.5)
    assert found["kid"].low < found["kid"].value < found["kid"].high


def test_real_images_score_near_zero_and_noise_far(evaluator):
    real = to_float(evaluator.images[:1000])
    good = evaluator.score(real, evaluator.labels[:1000], resamples=5, precision_recall=True)
    bad = evaluator.score(generate.seeded_noise(200, (1, 32, 32), CPU), generate.balanced_labels(200, CPU))
    accuracy = (evaluator.logits[:1000].argmax(1) == evaluator.labels[:1000]).float().mean().item()
    assert good.agreement == pytest.approx(accuracy, abs=1e-6)
    assert good.precision == good.recall == 1.0  # the very same images
    assert good.frechet_std_error > 0
    assert good.frechet < bad.frechet / 10
