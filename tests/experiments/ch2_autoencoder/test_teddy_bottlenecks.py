"""What the reader reads after a bottleneck: skill by hand, and a short measurement."""

import json

import pytest

from course_lib.experiments.ch2_autoencoder import teddy_bottlenecks


def test_skill_is_what_is_right_beyond_guessing():
    read = {"count": 0.75, "fur": 1 / 6, "activity": 1.0, "scarf": 0.6, "background": 0.2, "fabric": 0.25}
    (row,) = teddy_bottlenecks.skills({"rows": [{"network": "autoencoder", "read": read}]})
    assert row["skill"]["count"] == pytest.approx(0.5)
    assert row["skill"]["activity"] == 1
    for name in ("fur", "background", "fabric"):
        assert abs(row["skill"][name]) < 0.06  # by guessing


def test_the_stored_networks_read_better_the_longer_they_were_trained():
    stored = teddy_bottlenecks.RESULT.read()
    found = {(row.get("dimensions"), row.get("steps")): row for row in teddy_bottlenecks.skills(stored)}
    for dimensions, budgets in teddy_bottlenecks.BUDGETS.items():
        psnr = [found[dimensions, steps]["psnr"] for steps in budgets]
        assert psnr == sorted(psnr)
    assert min(found[None, None]["skill"][name] for name in ("activity", "background", "scarf")) > 0.95  # as drawn


def test_an_interrupted_measurement_is_continued(tmp_path, monkeypatch):
    monkeypatch.setattr(teddy_bottlenecks, "TRAINING_IMAGES", 64)
    monkeypatch.setattr(teddy_bottlenecks, "TEST_IMAGES", 16)
    monkeypatch.setattr(teddy_bottlenecks, "BUDGETS", {16: (1, 2)})
    train, trained = teddy_bottlenecks.train_teddy_autoencoder, []

    def train_or_stop(images, channels, machine, steps):
        if steps == 2 and len(trained) == 1:
            trained.append("stopped")
            raise KeyboardInterrupt
        trained.append(steps)
        return train(images, channels, machine, steps)

    monkeypatch.setattr(teddy_bottlenecks, "train_teddy_autoencoder", train_or_stop)
    out = tmp_path / "one.json"
    with pytest.raises(KeyboardInterrupt):
        teddy_bottlenecks.measure_teddy_bottlenecks(out=out)
    first = json.loads(out.read_text())["rows"]
    rows = json.loads(teddy_bottlenecks.measure_teddy_bottlenecks(out=out).read_text())["rows"]
    assert trained == [1, "stopped", 2]
    assert rows[:-1] == first
    assert rows[-1]["steps"] == 2
    teddy_bottlenecks.measure_teddy_bottlenecks(seed=1, out=out)  # other test images: nothing is taken over
    assert trained == [1, "stopped", 2, 1, 2]


def test_a_short_measurement_has_a_row_for_each_network(tmp_path, monkeypatch):
    monkeypatch.setattr(teddy_bottlenecks, "TRAINING_IMAGES", 64)
    monkeypatch.setattr(teddy_bottlenecks, "TEST_IMAGES", 16)
    monkeypatch.setattr(teddy_bottlenecks, "BUDGETS", {16: (2,)})
    rows = json.loads(teddy_bottlenecks.measure_teddy_bottlenecks(1, out=tmp_path / "one.json").read_text())["rows"]
    assert [(row["network"], row.get("dimensions"), row.get("steps")) for row in rows] == [
        ("drawn", None, None),
        ("teddies-vae", 256, None),
        ("autoencoder", 16, 1),
    ]
