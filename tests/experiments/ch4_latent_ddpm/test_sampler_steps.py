"""Quality against steps: network calls, one point, and the curves that a chapter draws."""

import pytest
import torch

from course_lib.codec import PixelCodec
from course_lib.experiments.ch4_latent_ddpm import sampler_steps


def test_network_calls_and_curves_of_samplers():
    assert [sampler_steps.network_calls(name, 10) for name in ("DDPM", "DDIM", "DPM-Solver++(2M)", "Heun")] == [10, 10, 10, 19]
    points = [{"sampler": "Heun", "steps": n, "calls": 2 * n - 1, "kid": [1 / n, 0.5 / n, 1.5 / n]} for n in (3, 5)]
    curves = sampler_steps.metric_curves({"points": points}, "kid")
    assert curves == {"Heun": ([5, 9], [1 / 3, 1 / 5], pytest.approx([1 / 6, 1 / 10]))}


def test_a_point_of_the_sampler_curves(evaluator):
    """A codec that decodes everything as grey: all samples are the same, whatever the sampler."""
    codec = PixelCodec()
    codec.decode = lambda z: torch.zeros(len(z), 1, 32, 32)
    found = sampler_steps.evaluate_sampler("Heun", 2, lambda y: lambda x, level: 0 * x, codec, evaluator, n=40, resamples=2)
    assert (found["sampler"], found["steps"], found["calls"]) == ("Heun", 2, 3)
    assert found["agreement"][0] == pytest.approx(0.1)  # one class for all
    assert set(sampler_steps.METRICS) < set(found)
