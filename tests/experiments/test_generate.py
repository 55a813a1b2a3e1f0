"""Sampling from labels: every label its own denoiser, with every sampler."""

import torch

from course_lib import device, recipes
from course_lib.codec import PixelCodec
from course_lib.experiments import generate

CPU = device.find("cpu", "fp32")


def test_each_label_gets_its_own_denoiser_whatever_the_batch():
    """A denoiser that knows each label draws its image in a grey of its own."""
    labels = generate.balanced_labels(23, CPU)
    factory = lambda y: lambda x_t, level: (y / 10).view(-1, 1, 1, 1).expand_as(x_t)  # noqa: E731
    wanted = (labels / 10).view(-1, 1, 1, 1).expand(23, 1, 8, 8)
    for sampler in generate.SAMPLERS:
        levels = recipes.make_schedule().grid(4)
        images = generate.generate(factory, labels, PixelCodec(), (1, 8, 8), CPU, sampler=sampler, batch=7, levels=levels)
        torch.testing.assert_close(images, wanted)
