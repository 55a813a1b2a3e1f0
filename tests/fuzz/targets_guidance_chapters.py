"""Specs of the experiments of chapter 5, on guidance."""

from typing import Any

import torch
from inputs import built, classes, codec, cosine, denoise, images, level, levels, machine, normal, photos, unet
from odd_values import Denoise
from spec import exclude, spec
from targets_judges import evaluator
from torch import nn

from course_lib.experiments.ch5_guidance import frontier, guided_densities, noisy_classifier
from course_lib.experiments.ch5_guidance.noisy_classifier import CalibratedClassifier, NoisyClassifier
from course_lib.guidance import guide

GREY = {"images": "[B, 1, H, W]"}

# ------------------------------------------------------------------------------------------------------ failure modes

F = "experiments.ch5_guidance.failure_modes"
RUNS = "samples 100 latents with the recipes' networks"
for name in ("sample_latents", "decoder_input_statistics", "agreement_by_scale", "reference_class", "step_sizes", "diagnose"):
    exclude(RUNS, f"{F}.{name}")
for name in ("healthy", "broken_run", "inject_fault", "Run.images", "Run.denoiser", "Run.guided_denoiser", "class_fractions"):
    exclude(RUNS, f"{F}.{name}")
exclude(RUNS, "experiments.ch5_guidance.run_report.measure", "experiments.ch5_guidance.run_report.draw")
exclude("a record of readings", "experiments.ch5_guidance.run_report.RunReport")
exclude("calls the network of a run", f"{F}.Run.predict", f"{F}.velocity_error")
exclude("looks names of probes up in two dictionaries of diagnose", f"{F}.name_fault")
exclude("a record of a pipeline's parts", f"{F}.Run", f"{F}.Run.guide", f"{F}.Run.reported_timestep", f"{F}.SampledLatents")
exclude("one probe of diagnose, on a run", f"{F}.denoising_error", f"{F}.timestep_offset")
spec(f"{F}.stretch_latents")(lambda: {"codec": codec(), "factor": 2.0})
spec(f"{F}.rms_steps", shapes={"trajectory": "[S + 1, N, C, h, w]"})(lambda: {"trajectory": normal(3, 2, 1, 2, 2)})
spec(f"{F}.answer")(lambda: {"letter": "A"})

# ----------------------------------------------------------------------------------------------------------- frontier

R = "experiments.ch5_guidance.frontier"


def method() -> frontier.GuidanceMethod:
    return frontier.GuidanceMethod("twice", lambda y, w: guide(denoise(), denoise(), w))


spec(f"{R}.GuidanceMethod.factory", lambda self, scale, y, x_t, level: self.factory(scale)(y)(x_t, level), fixed=("y",))(
    lambda: {"self": method(), "scale": 2.0, "y": classes(3, 10), "x_t": images(), "level": level()}
)
spec(f"{R}.GuidanceMethod.network_calls")(lambda: {"self": method(), "levels": levels(), "scale": 2.0})
spec(f"{R}.GuidanceMethod.affordable_levels")(lambda: {"self": method(), "scale": 2.0, "budget": 6})


def interval(lo: Any, hi: Any, scale: Any, y: Any, x_t: Any, level: Any) -> torch.Tensor:
    return frontier.interval_guidance("in an interval", unet(), (lo, hi), machine()).guide(y, scale)(x_t, level)


spec(f"{R}.interval_guidance", interval, labels={"y": 11})(
    lambda: {"lo": 0.1, "hi": 5.0, "scale": 2.0, "y": classes(3, 10), "x_t": normal(3, 4, 2, 2), "level": level()}
)
for name in ("mean", "std"):
    spec(f"{R}.FrontierPoint.{name}")(
        lambda: {"self": frontier.FrontierPoint(2.0, 20, {"frechet": [1.0, 2.0]}), "metric": "frechet"}
    )
exclude("a record", f"{R}.FrontierPoint", f"{R}.GuidanceExperiment", f"{R}.GuidanceMethod")
exclude("makes five GuidanceMethods of networks and a function", f"{R}.guidance_methods")
exclude("samples hundreds of images", *(f"{R}.GuidanceExperiment.{name}" for name in ("sample", "evaluate", "sweep")))
spec(f"{R}.GuidanceExperiment.levels")(
    lambda: {"self": frontier.GuidanceExperiment(codec(), evaluator(), 20), "method": method(), "scale": 2.0}
)
exclude("makes four GuidanceMethods of a network", f"{R}.further_methods")
spec(f"{R}.mean_effective_scale")(
    lambda: {
        "guided": denoise(),
        "cond": denoise(),
        "null": Denoise(lambda x, level: 0.3 * x),
        "x_T": images(),
        "levels": levels(),
    }
)
for module, names in {"stored_frontier": ("all_methods", "measure_point"), "prompt_steps": ("measure_row",)}.items():
    exclude("samples thousands of images", *(f"experiments.ch5_guidance.{module}.{name}" for name in ("measure", *names)))
    exclude("of stored figures", *(f"experiments.ch5_guidance.{module}.{name}" for name in ("stored_figures", "read_points")))
exclude("of stored figures", *(f"experiments.ch5_guidance.stored_frontier.{name}" for name in ("mean_over_seeds", "plain_at")))
exclude("takes no arguments", "experiments.ch5_guidance.prompt_steps.rows")
spec(f"{R}.GuidanceExperiment.metrics", shapes=GREY, rows=[("images", "labels")], labels={"labels": 10}, infinite=True)(
    lambda: {
        "self": frontier.GuidanceExperiment(codec(), evaluator(), 20),
        "images": images(20, 1, 32),
        "labels": classes(20, 10),
    }
)
for name in ("saturation", "contrast"):
    spec(f"{R}.{name}", shapes={"images": "[B, C, H, W]"})(lambda: {"images": images()})
spec(f"{R}.diversity", shapes=GREY, images=("images",), rows=[("images", "labels")], labels={"labels": 10})(
    lambda: {"evaluator": evaluator(), "images": photos(6, 1, 32), "labels": classes(6, 3)}
)
exclude("trains a network of the recipes", f"{R}.weak_denoiser")

# ---------------------------------------------------------------------------------------------------------- densities

D = "experiments.ch5_guidance.guided_densities"


def grid() -> guided_densities.PlaneGrid:
    return guided_densities.plane_grid(6, 3.0)


def masses() -> torch.Tensor:
    return torch.rand(6, 6).double().div(18)


def mixture() -> Any:
    return guided_densities.two_class_mixture()


def points() -> torch.Tensor:
    return normal(4, 2, 1, 1).double()


exclude("takes no arguments", f"{D}.two_class_mixture")
exclude("made by plane_grid", f"{D}.PlaneGrid")
spec(f"{D}.plane_grid")(lambda: {"side": 6, "half": 3.0})
spec(f"{D}.PlaneGrid.histogram", number=True)(lambda: {"self": grid(), "x": points()})
spec(f"{D}.PlaneGrid.mean")(lambda: {"self": grid(), "masses": masses()})
spec(f"{D}.sharpened_density", fixed=("mixture", "grid"))(lambda: {"mixture": mixture(), "grid": grid(), "y": 1, "scale": 2.0})
spec(f"{D}.exact_guidance", lambda mixture, y, scale, x_t, level: guided_densities.exact_guidance(mixture, y, scale)(x_t, level))(
    lambda: {"mixture": mixture(), "y": 1, "scale": 2.0, "x_t": points(), "level": level()}
)
spec(f"{D}.log_density", slow=True)(lambda: {"denoise": mixture().denoiser(1), "x0": points(), "steps": 3, "start": 0.01})
spec(f"{D}.sampled_density", fixed=("grid",), slow=True)(lambda: {"denoise": mixture().denoiser(1), "grid": grid(), "steps": 2})
spec(f"{D}.sample_points", fixed=("dimensions",))(
    lambda: {"denoise": mixture().denoiser(1), "n": 4, "steps": 3, "seed": 1, "dimensions": 2}
)
spec(f"{D}.two_gaussians")(lambda: {"dimensions": 3, "distance": 1.5})
spec(f"{D}.total_variation", same=[("p", "q")])(lambda: {"p": masses(), "q": masses()})
spec(f"{D}.mass_outside", same=[("p", "q")])(lambda: {"p": masses(), "q": masses(), "fraction": 0.9})
spec(f"{D}.classifier_gradient", fixed=("mixture",))(lambda: {"mixture": mixture(), "points": points(), "y": 1, "level": level()})

# --------------------------------------------------------------------------------------------------- noisy classifier

N = "experiments.ch5_guidance.noisy_classifier"


def classifier() -> nn.Module:
    return built(NoisyClassifier, 16, 10, 8)


def latents(n: int = 6) -> torch.Tensor:
    return normal(n, 4, 2, 2)


X: dict[str, Any] = {"shapes": {"latents": "[N, C, H, W]"}, "rows": [("latents", "labels")], "labels": {"labels": 10}}
spec(f"{N}.NoisyClassifier")(lambda: {"latent_dim": 16, "num_classes": 10, "width": 8})
spec(f"{N}.NoisyClassifier.forward")(lambda: {"self": classifier(), "x_t": latents(3), "level": level()})
spec(f"{N}.NoisyClassifier.forward")(
    lambda: {"self": classifier(), "x_t": latents(3), "level": cosine().at(torch.tensor([1, 2, 3]))}
)
spec(f"{N}.CalibratedClassifier")(lambda: {"net": classifier(), "ts": [100, 500], "temperatures": [1.0, 2.0]})
spec(f"{N}.CalibratedClassifier.forward")(
    lambda: {"self": CalibratedClassifier(classifier(), [100, 500], [1.0, 2.0]), "x_t": latents(3), "level": level()}
)
spec(f"{N}.calibrate_by_level", **X)(
    lambda: {"net": classifier(), "latents": latents(), "labels": classes(6, 10), "ts": [100, 500]}
)
spec(f"{N}.label_log_prob", lambda y, x_t, level: noisy_classifier.label_log_prob(classifier(), y)(x_t, level), labels={"y": 10})(
    lambda: {"y": classes(3, 10), "x_t": latents(3), "level": level()}
)
spec(f"{N}.noisy_logits", shapes={"latents": "[N, C, H, W]"})(
    lambda: {"net": classifier(), "latents": latents(), "t": 400, "seed": 1}
)
for name in ("accuracy_by_level", "calibration_error_by_level"):
    spec(f"{N}.{name}", **X)(
        lambda: {"net": classifier(), "latents": latents(), "labels": classes(6, 10), "ts": [100, 500], "seed": 1}
    )
spec(f"{N}.calibration_floor")(lambda: {"net": classifier(), "latents": latents(), "ts": [100, 500], "seed": 1})
spec(f"{N}.classifier_step")(
    lambda: {
        "main": Denoise(lambda x, level: 0.5 * x, strict=False),
        "log_prob": Denoise(lambda x, level: -x.square().flatten(1).sum(1)),
        "x_t": images(),
        "level": level(),
        "length": 0.5,
    }
)
spec(f"{N}.train_noisy_classifier", fixed=("machine",), slow=True, rows=[("latents", "labels")], labels={"labels": 10})(
    lambda: {"latents": latents(256), "labels": classes(256, 10), "machine": machine(), "steps": 1, "max_timestep": 500}
)
