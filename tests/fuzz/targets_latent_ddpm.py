"""Specs of chapter 4's stored experiments: flow matching, dimensions, units, copies, pixels; and of floors and orders."""

from typing import Any

import torch
from inputs import classes, denoise, generator, level, machine, normal, unet
from spec import exclude, spec

from course_lib.experiments.ch4_latent_ddpm import pixel_targets
from course_lib.experiments.ch4_latent_ddpm.target_dimension import Mlp
from course_lib.experiments.ch4_latent_ddpm.units import InUnit

TRAINS = "trains networks of the recipes"
STORED = "reads or makes the stored figures, which it is given"

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

FLOW = "experiments.ch4_latent_ddpm.flow_matching"
exclude("a record of settings", f"{FLOW}.Arm", f"{FLOW}.Arm.draw_steps")
exclude(TRAINS, *(f"{FLOW}.{name}" for name in ("measure", "measure_arm", "train_arm", "sample_distance")))
exclude(STORED, f"{FLOW}.stored_figures", f"{FLOW}.distances")

D = "experiments.ch4_latent_ddpm.target_dimension"
exclude("a record of results", f"{D}.Samples")
exclude(TRAINS, f"{D}.measure", f"{D}.measure_point")
exclude(STORED, f"{D}.stored_figures", f"{D}.curves")
exclude("takes a flag of our own", f"{D}.arms")
spec(f"{D}.Mlp")(lambda: {"D": 3, "width": 8})
spec(f"{D}.Mlp.forward", fixed=("y",), rows=[("x_t", "t")], labels={"t": 1001})(
    lambda: {"self": Mlp(3, 8), "x_t": normal(4, 3, 1, 1), "t": torch.tensor([1, 5, 9, 1000]), "y": None}
)
spec(f"{D}.spiral")(lambda: {"n": 5, "generator": generator()})
spec(f"{D}.curve", shapes={"u": "[N]"})(lambda: {"u": torch.rand(5)})
spec(f"{D}.plane")(lambda: {"D": 5, "generator": generator()})
spec(f"{D}.assess", shapes={"directions": "[2, D]"}, fixed=("losses",))(
    lambda: {"x": normal(4, 3), "directions": torch.eye(2, 3), "losses": torch.zeros(1)}
)
spec(f"{D}.train_and_sample", fixed=("machine", "D", "width"), slow=True)(
    lambda: {"D": 3, "target": "v", "steps": 1, "seed": 1, "width": 8, "n": 3, "machine": machine()}
)
spec(f"{D}.compare", fixed=("D", "width"), slow=True)(lambda: {"D": 3, "targets": ["v"], "steps": 1, "seed": 1, "width": 8})

U = "experiments.ch4_latent_ddpm.units"


def in_unit() -> InUnit:
    return InUnit(unet(), 5.0)


exclude(TRAINS, *(f"{U}.{name}" for name in ("measure", "measure_arm", "measure_scaling", "train_vae", "describe_vae")))
exclude(STORED, *(f"{U}.{name}" for name in ("stored_figures", "distances", "distances_by_scaling")))
exclude("takes no arguments", f"{U}.arms")
spec(f"{U}.InUnit", fixed=("net",))(lambda: {"net": unet(), "unit": 5.0, "wrong_input": True, "wrong_target": False})
exclude("takes a level of its own schedule", f"{U}.InUnit.size")
exclude("takes a VAE, which it changes, and a number", f"{U}.stretch_latents")
spec(f"{U}.InUnit.weight", shapes={"t": "[B]"}, labels={"t": 1001})(lambda: {"self": in_unit(), "t": torch.tensor([1, 5, 1000])})
spec(f"{U}.InUnit.forward", rows=[("x_t", "t", "y")], labels={"t": 1001, "y": 11})(
    lambda: {"self": in_unit(), "x_t": normal(3, 4, 4, 4), "t": torch.tensor([1, 5, 1000]), "y": classes(3, 10)}
)
spec(f"{U}.unit_loss", fixed=("net",))(
    lambda: {"net": in_unit(), "batch": (normal(3, 4, 4, 4), classes(3, 10)), "generator": generator()}
)
spec("experiments.ch4_latent_ddpm.schedules_and_scaling.small_denoiser", shapes={"latents": "[N, C, S, S]"}, slow=True)(
    lambda: {"latents": normal(2, 4, 2, 2), "steps": 5, "seed": 1}
)

C = "experiments.ch4_latent_ddpm.sample_check"
exclude(TRAINS, f"{C}.measure", f"{C}.draw_samples")
exclude("compares with all training images: minutes", f"{C}.check_samples")
spec(f"{C}.balanced_rows", shapes={"labels": "[N]"}, labels={"labels": 10})(lambda: {"labels": torch.arange(40) % 10, "n": 10})
spec(f"{C}.summarise", slow=True)(lambda: {"distances": {"a": torch.rand(5), "b": torch.rand(4)}, "control": "a"})
spec(f"{C}.quality_and_floors", shapes={name: "[N, 3]" for name in ("samples", "train", "test")}, slow=True, number=True)(
    lambda: {"samples": normal(9, 3), "train": normal(8, 3), "test": normal(7, 3), "counts": [4, 8], "seed": 1}
)

P = "experiments.ch4_latent_ddpm.pixel_targets"
exclude("a record of settings", f"{P}.Arm")
exclude(TRAINS, *(f"{P}.{name}" for name in ("measure", "measure_arm", "train_arm", "untrained")))
exclude(STORED, f"{P}.stored_figures")


def clamped(y: Any, x_t: Any, level: Any) -> torch.Tensor:
    return pixel_targets.factory(pixel_targets.Arm("x0"), unet(), machine())(y)(x_t, level)


spec(f"{P}.factory", clamped, labels={"y": 11})(lambda: {"y": classes(3, 10), "x_t": normal(3, 4, 4, 4), "level": level()})
