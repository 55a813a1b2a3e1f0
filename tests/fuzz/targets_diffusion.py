"""Specs of schedules, the diffusion model, samplers, guidance and exact mixtures."""

from typing import Any

import torch
from inputs import batch_level, classes, cosine, denoise, generator, images, labels, level, levels, network, normal
from odd_values import Denoise
from spec import exclude, spec

from course_lib import diffusion, guidance, samplers, schedule
from course_lib.gaussian_mixture import GaussianMixture, gaussian_mixture

NCHW = "[B, C, H, W]"
X = {"x_t": NCHW}

# ----------------------------------------------------------------------------------------------------------- schedule

for builder in ("linear", "cosine", "scaled_linear", "flow"):
    spec(f"schedule.{builder}")(lambda: {"T": 50})

spec("schedule.shifted")(lambda: {"schedule": schedule.flow(20), "factor": 3.0})
spec("schedule.check_any_level")(lambda: {"level": level(), "n": 3})
spec("schedule.check_level")(lambda: {"level": level()})
spec("schedule.Schedule", shapes={"alphas": "[T]", "sigmas": "[T]"}, same=[("alphas", "sigmas")], number=True)(
    lambda: {"alphas": torch.linspace(1, 0, 5), "sigmas": torch.linspace(0, 1, 5)}
)
spec("schedule.Schedule.at", shapes={"t": "[B]"}, labels={"t": 1001})(lambda: {"self": cosine(), "t": torch.tensor([1, 5, 1000])})
spec("schedule.Schedule.level", fixed=("self",))(lambda: {"self": cosine(), "t": 500})
spec("schedule.Schedule.grid", fixed=("self",))(lambda: {"self": cosine(), "steps": 7})

# ---------------------------------------------------------------------------------------------------------- diffusion


def pair(name: str, other: str, one_level: bool) -> dict[str, Any]:
    return {name: images(), other: images(), "level": level() if one_level else batch_level()}


for one in (True, False):
    rows = () if one else [("x0", "level_rows")]
    spec("diffusion.add_noise", same=[("x0", "eps")])(lambda one=one: pair("x0", "eps", one))
    spec("diffusion.target", same=[("x0", "eps")])(lambda one=one: {"prediction_type": "v", **pair("x0", "eps", one)})
    for prediction_type in diffusion.PREDICTION_TYPES:
        for function in ("to_x0", "to_eps"):
            spec(f"diffusion.{function}", same=[("out", "x_t")])(
                lambda p=prediction_type, one=one: {"prediction_type": p, **pair("out", "x_t", one)}
            )
    spec("diffusion.convert", same=[("out", "x_t")])(
        lambda one=one: {"prediction_type": "v", "to": "eps", **pair("out", "x_t", one)}
    )

spec("diffusion.stratified_steps", fixed=("device",))(
    lambda: {"batch": 5, "T": 1000, "device": torch.device("cpu"), "generator": generator()}
)
spec("diffusion.logit_normal_steps", fixed=("device",))(
    lambda: {"batch": 5, "T": 1000, "device": torch.device("cpu"), "generator": generator(), "mean": 0.5, "std": 1.5}
)
spec(
    "diffusion.steps_between",
    lambda first, last, batch, T: diffusion.steps_between(first, last)(batch, T, torch.device("cpu"), None),
)(lambda: {"first": 3, "last": 900, "batch": 5, "T": 1000})
spec("diffusion.drop_labels")(lambda: {"y": classes(6, 10), "null_label": 10, "drop": 0.5, "generator": generator()})
spec("diffusion.drop_labels")(lambda: {"y": labels(6), "null_label": (2, 6, 6, 5, 5), "drop": 0.5, "generator": generator()})
spec("diffusion.expand_labels", fixed=("device",))(lambda: {"y": classes(3, 10), "n": 3, "device": torch.device("cpu")})
spec("diffusion.expand_labels", fixed=("device",))(lambda: {"y": 4, "n": 3, "device": torch.device("cpu")})
spec("diffusion.expand_labels", fixed=("device",))(lambda: {"y": (1, 2), "n": 3, "device": torch.device("cpu")})
spec("diffusion.loss", shapes={"x0": NCHW}, rows=[("x0", "y")], labels={"y": 11})(
    lambda: {
        "net": network(),
        "x0": normal(3, 4, 4, 4),
        "y": classes(3, 10),
        "schedule": cosine(),
        "prediction_type": "v",
        "generator": generator(),
        "null_label": 10,
        "drop": 0.1,
        "draw_steps": diffusion.logit_normal_steps,
        "measured_in": "velocity",
    }
)
spec("diffusion.loss", shapes={"x0": NCHW}, rows=[("x0", "y")])(
    lambda: {
        "net": network((2, 6, 6, 5, 5)),
        "x0": normal(3, 4, 4, 4),
        "y": labels(3),
        "schedule": schedule.flow(100),
        "prediction_type": "velocity",
        "null_label": (2, 6, 6, 5, 5),
        "drop": 0.1,
    }
)


def denoised(net: Any, prediction_type: str, y: Any, autocast: Any, x_t: Any, level: Any) -> Any:
    return diffusion.denoiser(net, prediction_type, y, autocast)(x_t, level)


def as_denoiser(y: Any, prediction_type: str = "v") -> dict[str, Any]:
    return {
        "net": network(),
        "prediction_type": prediction_type,
        "y": y,
        "autocast": None,
        "x_t": normal(3, 4, 4, 4),
        "level": level(),
    }


spec("diffusion.denoiser", denoised, shapes=X, rows=[("y", "x_t")], labels={"y": 11})(lambda: as_denoiser(classes(3, 10)))
spec("diffusion.denoiser", denoised, shapes=X)(lambda: as_denoiser(3, "x0"))
spec("diffusion.denoiser", denoised, shapes=X)(lambda: as_denoiser(None, "eps") | {"autocast": torch.bfloat16})
spec("diffusion.x0_hat", shapes={"x_t": NCHW})(lambda: {"denoise": denoise(), "x_t": images(), "level": level()})
spec(
    "diffusion.clamp_x0",
    lambda denoise, low, high, x_t, level: diffusion.clamp_x0(denoise, low, high)(x_t, level),
    fixed=("level", "x_t", "denoise"),
)(lambda: {"denoise": denoise(), "low": -0.5, "high": 0.5, "x_t": images(), "level": level()})

# ------------------------------------------------------------------------------------------------- samplers, guidance

for sampler in ("ddim", "ddpm", "dpmpp_2m", "heun"):
    more = {"ddim": lambda: {"eta": 0.5, "generator": generator()}, "ddpm": lambda: {"generator": generator()}}.get(sampler, dict)
    spec(f"samplers.{sampler}", shapes={"x_T": NCHW})(
        lambda more=more: {"denoise": denoise(), "x_T": normal(2, 3, 4, 4), "levels": levels(), **more()}
    )
spec("samplers.posterior_std")(lambda: {"here": cosine().level(700), "there": cosine().level(300)})
spec("samplers.as_cuda_graph", lambda sample, like, x: samplers.as_cuda_graph(sample, like)(x), any_dtype=("like", "x"))(
    lambda: {"sample": lambda x: x, "like": normal(2, 3), "x": normal(2, 3)}
)

exclude("a check of what the samplers are given", "schedule.check_levels")
spec("guidance.scale_from_w")(lambda: {"w": 2.0})
spec("guidance.w_from_scale")(lambda: {"scale": 2.0})
spec("guidance.guidance_interval", lambda level, **o: guidance.guidance_interval(**o)(level))(
    lambda: {"scale": 3.0, "lo": 0.2, "hi": 5.0, "level": level()}
)


def ruled(rule: Any, main: Any, ref: Any, scale: Any, x_t: Any, level: Any) -> Any:
    return guidance.guide(Denoise(lambda x, level: main), Denoise(lambda x, level: ref), scale, rule=rule)(x_t, level)


spec("guidance.effective_scale", same=[("guided", "main", "ref")], shapes={"guided": "[B, C, H, W]"})(
    lambda: {"guided": images(), "main": images(), "ref": images()}
)
for name, options in {
    "projected": {"eta": 0.5, "max_norm": 3.0},
    "frequency_decoupled": {"low_scale": 2.0},
    "zero_star": {"zero_above": 9.0},
}.items():
    spec(
        f"guidance.{name}",
        lambda name=name, **o: ruled(getattr(guidance, name)(**o), images(), images(), 3.0, images(), level()),
    )(lambda options=options: options)
spec(
    "guidance.cfg_plus_plus_scale",
    lambda strength, levels, level: guidance.cfg_plus_plus_scale(strength, levels)(level),
)(lambda: {"strength": 0.6, "levels": cosine().grid(4), "level": cosine().grid(4)[1]})


def guided(main: Any, ref: Any, scale: Any, rescale: Any, x_t: Any, level: Any) -> Any:
    return guidance.guide(main, ref, scale, rescale)(x_t, level)


spec("guidance.guide", guided, shapes=X, any_dtype=("x_t",))(
    lambda: {
        "main": denoise(),
        "ref": Denoise(lambda x, level: 0.5 * x),
        "scale": 3.0,
        "rescale": 0.7,
        "x_t": images(),
        "level": level(),
    }
)
spec("guidance.guide", guided, any_dtype=("x_t",))(
    lambda: {
        "main": denoise(),
        "ref": Denoise(lambda x, level: 0.5 * x),
        "scale": guidance.guidance_interval(3.0, 0.0, 50.0),
        "rescale": 0.0,
        "x_t": images(),
        "level": level(),
    }
)


def classifier_free(x_t: Any, level: Any, **options: Any) -> Any:
    return guidance.classifier_free_guide(**options)(x_t, level)


def as_classifier_free(y: Any) -> dict[str, Any]:
    same = {"net": network(), "prediction_type": "v", "null": 10, "scale": 2.5, "rescale": 0.5, "autocast": None}
    return {**same, "y": y, "x_t": normal(3, 4, 4, 4), "level": level()}


spec("guidance.classifier_free_guide", classifier_free, shapes=X, labels={"y": 11}, rows=[("y", "x_t")])(
    lambda: as_classifier_free(classes(3, 10))
)
spec("guidance.classifier_free_guide", classifier_free, shapes=X)(lambda: as_classifier_free(4))
spec(
    "guidance.classifier_guide",
    lambda main, log_prob, scale, x_t, level: guidance.classifier_guide(main, log_prob, scale)(x_t, level),
)(
    lambda: {
        "main": Denoise(lambda x, level: 0.5 * x, strict=False),
        "log_prob": Denoise(lambda x, level: -x.square().flatten(1).sum(1)),
        "scale": 2.0,
        "x_t": images(),
        "level": level(),
    }
)

# ----------------------------------------------------------------------------------------------------------- mixtures


def mixture() -> GaussianMixture:
    return gaussian_mixture(torch.tensor([[1.0, 0.0], [-1.0, 0.5], [0.0, 2.0]]), 0.5, labels=torch.tensor([0, 1, 1]))


def points() -> torch.Tensor:
    return normal(3, 2, 1, 1)


spec("gaussian_mixture.gaussian_mixture", number=True, any_dtype=("spread", "weights"))(
    lambda: {"means": normal(3, 2), "spread": 0.5, "weights": torch.rand(3) + 0.1, "labels": torch.tensor([0, 1, 1])}
)
for spread in ((3,), (3, 2)):
    spec("gaussian_mixture.gaussian_mixture", number=True, any_dtype=("spread", "weights"))(
        lambda shape=spread: {"means": normal(3, 2), "spread": torch.rand(shape) + 0.1}
    )
spec("gaussian_mixture.gaussian_mixture", number=True, any_dtype=("spread", "weights"))(
    lambda: {"means": normal(3, 2, 1, 1), "spread": torch.eye(2).expand(3, 2, 2), "weights": [1.0, 2.0, 3.0], "labels": [0, 1, 1]}
)
M = "gaussian_mixture.GaussianMixture"
spec(f"{M}.sample")(lambda: {"self": mixture(), "n": 4, "generator": generator(), "y": 1})
spec(f"{M}.sample", labels={"y": 3})(lambda: {"self": mixture(), "n": 3, "y": torch.tensor([0, 1, 2])})
for method in ("log_prob", "score", "denoise"):
    spec(f"{M}.{method}", labels={"y": 3})(
        lambda: {"self": mixture(), "x_t": points(), "level": level(), "y": torch.tensor([0, 1, 2])}
    )
    spec(f"{M}.{method}")(lambda: {"self": mixture(), "x_t": points(), "level": level(), "y": 1})
    spec(f"{M}.{method}")(lambda: {"self": mixture(), "x_t": points(), "level": batch_level()})
spec(f"{M}.class_log_prob")(lambda: {"self": mixture(), "x_t": points(), "level": level()})
spec(f"{M}.denoiser", lambda self, y, x_t, level: self.denoiser(y)(x_t, level))(
    lambda: {"self": mixture(), "y": 1, "x_t": points(), "level": level()}
)
spec(f"{M}.to", lambda self, dtype: self.to(dtype=dtype))(lambda: {"self": mixture(), "dtype": torch.float32})
exclude("made by gaussian_mixture, which checks", M)
