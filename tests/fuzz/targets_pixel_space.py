"""Specs of the experiments of chapter 1, and of those that several chapters share."""

from typing import Any

import torch
from inputs import classes, codec, factors, generator, images, labels, level, machine, normal, photos, unet, vae
from spec import exclude, spec
from targets_judges import classifier, reader

from course_lib.experiments import flops, generate
from course_lib.unet import UNet

X = "experiments"
SIXTY_FOUR = {"images": "[B, 3, 64, 64]"}
MANY: dict[str, Any] = {"number": True}

# ------------------------------------------------------------------------------------------------------------- shared

spec(f"{X}.latents.encode", shapes={"images": "[B, 1, H, W]"}, images=("images",))(
    lambda: {"net": vae(), "images": photos(3, 1, 16), "batch": 2}
)
spec(f"{X}.latents.decode", shapes={"latents": "[B, 4, H, W]"})(lambda: {"net": vae(), "latents": normal(3, 4, 2, 2), "batch": 2})
spec(f"{X}.latents.interpolate", same=[("a", "b")])(lambda: {"a": normal(2, 3), "b": normal(2, 3), "points": 4})
spec(f"{X}.latents.sample_fitted_gaussian", **MANY)(lambda: {"x": normal(9, 2, 2), "n": 3, "generator": generator()})
spec(f"{X}.latents.distance_to_nearest", any_dtype=("x", "references"), **MANY)(
    lambda: {"x": normal(3, 2), "references": normal(4, 2)}
)
spec(
    f"{X}.prompt_adherence.adherence",
    shapes=SIXTY_FOUR,
    images=("images",),
    rows=[("images", "labels")],
    labels={"labels": 100},
)(lambda: {"reader": reader(), "images": photos(2, 3, 64), "labels": labels(2)})
spec(f"{X}.prompt_adherence.sample_prompts")(lambda: {"n": 3, "seed": 1, "unseen": False})
spec(f"{X}.generate.balanced_labels", fixed=("machine",))(lambda: {"n": 12, "machine": machine()})
spec(f"{X}.generate.seeded_noise", fixed=("machine",))(lambda: {"n": 3, "shape": (4, 2, 2), "machine": machine(), "seed": 1})


def factory(kind: str) -> Any:
    made = getattr(generate, kind)
    return lambda y, x_t, level, **options: made(unet(), machine(), **options)(y)(x_t, level)


for kind, more in {"conditional_factory": {"prediction_type": "v"}, "unconditional_factory": {}}.items():
    spec(f"{X}.generate.{kind}", factory(kind), rows=[("y", "x_t")], labels={"y": 11})(
        lambda more=more: {"y": classes(3, 10), "x_t": normal(3, 4, 2, 2), "level": level(), **more}
    )
spec(
    f"{X}.generate.generate",
    lambda **o: generate.generate(generate.conditional_factory(unet(), machine()), **o),
    labels={"labels": 11},
    fixed=("machine",),
)(
    lambda: {
        "labels": classes(3, 10),
        "codec": codec(),
        "shape": (4, 1, 1),
        "machine": machine(),
        "levels": generate.recipes.make_schedule().grid(2),
        "sampler": "DDIM",
        "seed": 1,
        "batch": 2,
    }
)
spec(f"{X}.flops.flops_per_step")(lambda: {"net": unet(), "shape": (4, 2, 2)})
spec(f"{X}.flops.training_memory")(lambda: {"net": unet(), "shape": (4, 2, 2), "batch": 3})
spec(f"{X}.flops.SamplingCost.ratio")(lambda: {"self": flops.SamplingCost(8, 100, 10, 5), "steps": 5})
spec(f"{X}.flops.input_shapes")(lambda: {"side": 16})
spec(f"{X}.flops.power_law_exponent")(lambda: {"x": [1.0, 2.0, 4.0], "y": [1.0, 4.0, 16.0]})
spec(f"{X}.flops.extrapolate_power_law")(lambda: {"x": [1.0, 2.0, 4.0], "y": [1.0, 4.0, 16.0], "to": 8.0})
spec(f"{X}.flops.cost_at_side")(lambda: {"side": 32})
exclude("takes a function without arguments", f"{X}.flops.flops")
exclude("takes no arguments", f"{X}.flops.denoisers")
exclude("runs the pixel network in its full size", f"{X}.flops.memory_at_side")
exclude("a record of results", f"{X}.flops.SamplingCost")
exclude("draws the picture of the README with the shipped networks", f"{X}.readme_picture.draw_readme_picture")

# ---------------------------------------------------------------------------------------------------------- chapter 1

C = f"{X}.ch1_pixel_space"
spec(f"{C}.density.kernel_density_fit", **MANY)(lambda: {"train": normal(9, 2), "validation": normal(5, 2), "test": normal(4, 2)})
spec(f"{C}.density.gaussian_log_likelihood", **MANY)(lambda: {"train": normal(9, 2), "test": normal(4, 2)})
spec(f"{C}.density.sample_gaussian_sets")(lambda: {"d": 2, "counts": [3, 4], "seed": 1})
spec(f"{C}.density.principal_coordinate_sets", any_dtype=("images",), **MANY)(
    lambda: {"images": images(9), "d": 2, "counts": [5, 4]}
)
spec(f"{C}.intrinsic_dimension.estimate_dimensions", any_dtype=("x",), **MANY)(lambda: {"x": normal(20, 3)})
spec(f"{C}.intrinsic_dimension.sample_manifold")(
    lambda: {"manifold": "sphere", "d": 2, "n": 5, "seed": 1, "ambient": 6, "noise": 0.1}
)
spec(f"{C}.intrinsic_dimension.render_free_factors")(lambda: {"k": 2, "n": 2, "seed": 1, "size": 16})
spec(f"{C}.meaning.reader_confidence_and_accuracy", rows=[("images", "factors")], images=("images",))(
    lambda: {"net": reader(), "images": images(4, 3, 64), "factors": factors(4)}
)
spec(f"{C}.meaning.sample_triplets")(
    lambda: {"n": 2, "factor": "fur", "moved": True, "seed": 1, "size": 16, "appearance": ("light", "grain")}
)
spec(f"{C}.meaning.represent", shapes=SIXTY_FOUR)(lambda: {"images": images(2, 3, 64), "vae": vae(3), "net": reader()})
for name in ("mean_squared_error", "ssim_distance", "euclidean_distance"):
    spec(f"{C}.meaning.{name}", same=[("a", "b")])(lambda: {"a": images(3, 1, 12), "b": images(3, 1, 12)})
spec(f"{C}.meaning.total_variation", same=[("a", "b")])(lambda: {"a": torch.rand(3, 4), "b": torch.rand(3, 4)})


def represented() -> dict[str, torch.Tensor]:
    return {"pixels": images(3, 1, 12), "latent": normal(3, 4, 1, 1), "features": normal(3, 5), "words": torch.rand(3, 6)}


spec(f"{C}.meaning.paired_distances")(lambda: {"a": represented(), "b": represented()})
spec(f"{C}.meaning.triplet_error_rates")(lambda: {"anchor": represented(), "same": represented(), "other": represented()})
spec(f"{C}.meaning.morph")(lambda: {"start": factors(2), "end": factors(2), "words": 3, "appearance": 0.5})
spec(f"{C}.off_manifold.distance_to_bank", images=("images", "bank"), **MANY)(
    lambda: {"images": images(2), "bank": photos(4), "rows": 3}
)
spec(f"{C}.off_manifold.teddy_bank")(lambda: {"n": 2, "seed": 1, "size": 16})
spec(f"{C}.off_manifold.compare_tilt_and_noise", any_dtype=("bank",))(
    lambda: {"steps": [0.1, 0.5], "n": 2, "bank": images(3, 3, 16), "seed": 1}
)
spec(f"{C}.off_manifold.shift_right", shapes={"images": "[B, C, H, W]"})(lambda: {"images": images(), "pixels": 2})
spec(
    f"{C}.off_manifold.classifier_confidence_and_accuracy",
    shapes={"images": "[B, 1, H, W]"},
    images=("images",),
    rows=[("images", "labels")],
)(lambda: {"net": classifier(), "images": photos(3, 1, 32), "labels": classes(3, 10)})
spec(f"{C}.redundancy.measure_redundancy", shapes={"images": "[B, C, H, W]"})(lambda: {"images": photos(), "reach": 3})
spec(f"{C}.redundancy.centre_crop", any_dtype=("image",), shapes={"image": "[C, H, W]"})(
    lambda: {"image": images(1)[0], "side": 4}
)


def small_denoiser(side: int) -> UNet:
    return UNet(in_channels=3, width=8, multipliers=(1,), blocks=1, attention=(), num_classes=None)


for name in ("convolutional_denoiser", "attention_denoiser"):
    spec(f"{C}.step_cost.{name}")(lambda: {"side": 8})
spec(f"{C}.step_cost.step_flops")(lambda: {"make": small_denoiser, "side": 8})
spec(f"{C}.step_cost.format_duration")(lambda: {"seconds": 5000.0})
exclude("measures seconds", f"{C}.step_cost.step_seconds")
