"""Specs of distillation, of networks with a guidance scale as an input, and of notebook 13's experiments."""

import functools
from typing import Any

import torch
from inputs import batch_level, built, classes, cosine, generator, level, machine, normal, unet
from odd_values import Denoise
from spec import exclude, spec

from course_lib import distillation, layers
from course_lib.experiments.ch13_fewer_calls import sampling
from course_lib.unet import UNet

SHAPE: dict[str, Any] = {"in_channels": 4, "width": 8, "multipliers": (1,), "blocks": 1, "attention": (), "heads": 2}


@functools.cache
def scaled_unet() -> UNet:
    return built(UNet, **SHAPE, takes_scale=True)


def student() -> Denoise:
    """A network as a function (x_t, t, y, scale)."""
    return Denoise(scaled_unet())


def scales() -> torch.Tensor:
    return torch.tensor([1.0, 2.0, 3.5])


spec("layers.Conditioning")(lambda: {"dim": 8, "num_classes": 10, "takes_scale": True})
spec("layers.Conditioning.forward", shapes={"scale": "[B]"}, rows=[("t", "y", "scale")], labels={"y": 11})(
    lambda: {
        "self": built(layers.Conditioning, 8, 10, takes_scale=True),
        "t": torch.tensor([1, 5, 9]),
        "y": classes(3, 10),
        "scale": scales(),
    }
)
spec("unet.UNet")(lambda: {**SHAPE, "takes_scale": True})
spec(
    "unet.UNet.forward",
    shapes={"x": "[B, 4, H, W]", "t": "[B]", "scale": "[B]"},
    rows=[("x", "t", "y", "scale")],
    labels={"y": 11},
)(
    lambda: {
        "self": scaled_unet(),
        "x": normal(3, 4, 4, 4),
        "t": torch.tensor([1, 500, 1000]),
        "y": classes(3, 10),
        "scale": scales(),
    }
)

D = "distillation"
spec(f"{D}.at_scale", lambda net, scale, x_t, t, y: distillation.at_scale(net, scale)(x_t, t, y), fixed=("net", "x_t", "t", "y"))(
    lambda: {
        "net": student(),
        "scale": 2.0,
        "x_t": normal(3, 4, 4, 4),
        "t": torch.tensor([1, 500, 1000]),
        "y": classes(3, 10),
    }
)
spec(f"{D}.guided_target", shapes={"cond": "[B, C, H, W]", "scale": "[B]"}, same=[("cond", "null")], rows=[("cond", "scale")])(
    lambda: {"cond": normal(3, 4, 2, 2), "null": normal(3, 4, 2, 2), "scale": scales()}
)
spec(f"{D}.guidance_loss", shapes={"x0": "[B, C, H, W]"}, rows=[("x0", "y")], labels={"y": 11})(
    lambda: {
        "student": student(),
        "teacher": Denoise(unet()),
        "x0": normal(3, 4, 4, 4),
        "y": classes(3, 10),
        "schedule": cosine(),
        "null_label": 10,
        "scales": (1.0, 3.0),
        "generator": generator(),
    }
)
for one_level in (True, False):
    spec(f"{D}.ddim_step", same=[("x0", "x_t")])(
        lambda one=one_level: {
            "x0": normal(3, 4, 2, 2),
            "x_t": normal(3, 4, 2, 2),
            "here": level() if one else batch_level(),
            "there": cosine().level(100) if one else cosine().at(torch.tensor([1, 2, 3])),
        }
    )
    spec(f"{D}.two_steps_as_one", same=[("x_t", "x_end")])(
        lambda one=one_level: {
            "x_t": normal(3, 4, 2, 2),
            "x_end": normal(3, 4, 2, 2),
            "here": level() if one else batch_level(),
            "end": cosine().level(100) if one else cosine().at(torch.tensor([1, 2, 3])),
        }
    )
spec(f"{D}.halving_loss", shapes={"x0": "[B, C, H, W]"}, rows=[("x0", "y")], labels={"y": 11})(
    lambda: {
        "student": student(),
        "teacher": student(),
        "x0": normal(3, 4, 4, 4),
        "y": classes(3, 10),
        "schedule": cosine(),
        "steps": 4,
        "prediction_type": "v",
        "scales": (1.0, 3.0),
        "generator": generator(),
        "measured_in": "x0",
    }
)

E = "experiments.ch13_fewer_calls"
TRAINS, SAMPLES = "trains networks of the recipes", "samples thousands of images"
exclude(
    TRAINS,
    *(f"{E}.students.{name}" for name in ("distilled", "halvings", "guided_from_the_start", "timed", "quiet")),
    f"{E}.stored.measure",
)
exclude(
    SAMPLES,
    *(
        f"{E}.stored.{name}"
        for name in ("guided", "distilled_guidance", "own_guidance", "other_solvers", "halved", "beyond_its_steps", "seconds")
    ),
)
exclude(SAMPLES, *(f"{E}.sampling.Comparison{name}" for name in ("", ".sample", ".reference", ".point", ".seconds", ".quality")))
exclude("a record of a training", f"{E}.students.Run")
exclude("a loss of one experiment's trainings", f"{E}.students.own_guidance_loss")
exclude(
    "reads or makes the stored figures, which it is given",
    *(f"{E}.stored.{name}" for name in ("stored_figures", "read", "seconds_of")),
)


def as_denoiser(**net: Any) -> dict[str, Any]:
    return {**net, "scale": 2.0, "machine": machine(), "y": classes(3, 10), "x_t": normal(3, 4, 4, 4), "level": level()}


GIVEN = ("machine", "x_t", "level", "y")
spec(
    f"{E}.sampling.two_calls",
    lambda teacher, scale, machine, y, x_t, level: sampling.two_calls(teacher, scale, machine)(y)(x_t, level),
    fixed=GIVEN,
)(lambda: as_denoiser(teacher=unet()))
spec(
    f"{E}.sampling.one_call",
    lambda student, scale, machine, y, x_t, level: sampling.one_call(student, scale, machine)(y)(x_t, level),
    fixed=GIVEN,
)(lambda: as_denoiser(student=student()))
