"""Specs of chapter 4's stored experiments: flow matching, dimensions, units, copies, pixels; and of floors and orders."""

import torch
from inputs import denoise, normal
from spec import exclude, spec

exclude("a record of results", "experiments.floors.Floor")
spec("experiments.floors.floor_of")(lambda: {"values": [1.0, 3.0, 2.0]})

ORDER = "experiments.ch4_latent_ddpm.sampler_order"


def start() -> torch.Tensor:
    return normal(4, 2, 1, 1)


spec(f"{ORDER}.orders_on_equal_grids", slow=True)(
    lambda: {
        "denoisers": {"exact": denoise(), "other": denoise()},
        "x_t": start(),
        "steps": [2, 4],
        "first": 500,
        "last": 100,
        "reference_steps": 6,
    }
)
