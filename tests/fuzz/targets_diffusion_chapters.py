"""Specs of the experiments of chapters 4 and 7, on latent diffusion and on words."""

from typing import Any

import torch
from inputs import (
    built,
    classes,
    codec,
    cosine,
    denoise,
    generator,
    labels,
    level,
    levels,
    machine,
    normal,
    photos,
    text_denoiser,
    tokens,
    unet,
)
from spec import exclude, spec
from targets_judges import reader

from course_lib import teddies
from course_lib.contrastive import ImageTextPair
from course_lib.experiments.ch4_latent_ddpm import equal_time, sampler_order
from course_lib.experiments.ch4_latent_ddpm.equal_quality import EmaSnapshots
from course_lib.experiments.ch7_words import attention, words
from course_lib.experiments.ch7_words.words import Split

TRAINS = "trains networks of the recipes for minutes"

# ---------------------------------------------------------------------------------------------------------- chapter 4

Q, T, P = (f"experiments.ch4_latent_ddpm.{name}" for name in ("equal_quality", "equal_time", "prediction_types"))
for name in ("measure", "measure_latent_model", "measure_pixel_model", "quality_curve", "frechet_floor"):
    exclude(TRAINS, f"{Q}.{name}")
spec(f"{Q}.seconds_to_reach", infinite=True)(lambda: {"curve": [[1.0, 9.0], [2.0, 4.0], [4.0, 2.0]], "distance": 3.0})
spec(f"{Q}.EmaSnapshots")(lambda: {"seconds": [0.1, 0.2]})
spec(f"{Q}.EmaSnapshots.__call__", fixed=("net", "ema"))(
    lambda: {"self": EmaSnapshots([0.0]), "step": 1, "net": unet(), "ema": unet()}
)
exclude(TRAINS, *(f"{T}.{name}" for name in ("measure", "compare_at_equal_time", "train_latent", "untrained_pixel_denoiser")))
exclude("measures seconds", f"{T}.samples_per_second")


def guided(space: Any, scale: Any, y: Any, x_t: Any, level: Any) -> torch.Tensor:
    return equal_time.guided_factory(space, unet(), machine(), scale)(y)(x_t, level)


spec(f"{T}.guided_factory", guided, labels={"y": 11})(
    lambda: {"space": "pixel", "scale": 2.0, "y": classes(3, 10), "x_t": normal(3, 4, 2, 2), "level": level()}
)
exclude(TRAINS, *(f"{P}.{name}" for name in ("measure", "train_variant", "distances_by_weights", "sample_distance")))
exclude("reads the stored figures, which it is given", f"{P}.distances_by_variant")

ORDER = "experiments.ch4_latent_ddpm.sampler_order"
exclude("takes no arguments", f"{ORDER}.toy_mixture")


def start() -> torch.Tensor:
    return normal(4, 2, 1, 1)


spec(f"{ORDER}.latent_mixture", rows=[("latents", "labels")])(lambda: {"latents": normal(20, 2, 1, 1), "labels": classes(20, 2)})
spec(f"{ORDER}.exact_flow", fixed=("mixture",), slow=True)(
    lambda: {
        "mixture": sampler_order.toy_mixture(),
        "x_t": start().double(),
        "here": cosine().level(400),
        "there": cosine().level(300),
    }
)
spec(f"{ORDER}.evenly_spaced_levels")(lambda: {"first": 900, "last": 100, "steps": 4})
spec(f"{ORDER}.median_distance", same=[("a", "b")])(lambda: {"a": start(), "b": start()})
spec(f"{ORDER}.sampler_errors", fixed=("mixture",), slow=True)(
    lambda: {"mixture": sampler_order.toy_mixture(), "steps": [2, 4], "first": 500, "last": 400, "n": 3, "seed": 1}
)
spec(f"{ORDER}.endpoint_errors", same=[("x_t", "truth")])(
    lambda: {"denoise": denoise(), "x_t": start(), "truth": start(), "steps": [2, 4], "first": 500, "last": 100}
)
spec(f"{ORDER}.learned_denoiser_errors")(
    lambda: {"denoise": denoise(), "x_t": start(), "steps": [2, 4], "first": 500, "last": 100, "reference_steps": 6}
)
spec(f"{ORDER}.distribution_errors", slow=True)(lambda: {"steps": [2, 3], "n": 20, "seed": 1})
spec(f"{ORDER}.sliced_wasserstein", same=[("a", "b")])(lambda: {"a": normal(9, 2), "b": normal(9, 2), "directions": 4})
spec(f"{ORDER}.convergence_order", rows=[("steps", "errors")])(
    lambda: {"steps": [2, 4, 8], "errors": [0.4, 0.1, 0.03], "last": 2}
)

N = "experiments.ch4_latent_ddpm.sampler_steps"
spec(f"{N}.network_calls")(lambda: {"sampler": "Heun", "steps": 5})
spec(f"{N}.metric_curves", fixed=("figures",))(
    lambda: {
        "figures": {"points": [{"sampler": "DDIM", "calls": 3, "kid": [0.1, 0.0, 0.2]}]},
        "metric": "kid",
        "against": "calls",
    }
)
exclude(TRAINS, f"{N}.measure", f"{N}.evaluate_sampler")

S = "experiments.ch4_latent_ddpm.schedules_and_scaling"
spec(f"{S}.snr_db", infinite=True)(lambda: {"level": level()})
spec(f"{S}.level_at_snr", slow=True)(lambda: {"schedule": cosine(), "db": 3.0})
spec(f"{S}.noised", same=[("x0", "eps")], slow=True)(
    lambda: {"x0": normal(1, 1, 4, 4), "eps": normal(1, 1, 4, 4), "schedule": cosine(), "dbs": [3.0, -3.0]}
)
spec(f"{S}.snr_offset_db")(lambda: {"std": 2.0})
spec(f"{S}.equivalent_timestep", slow=True)(lambda: {"schedule": cosine(), "t": 400, "std": 2.0})
exclude("a record of results", f"{S}.ScalingResult", f"{S}.Trajectory")


def latents() -> torch.Tensor:
    return normal(5, 4, 1, 1)


spec(f"{S}.scaling_codecs")(lambda: {"codec": codec(), "latents": latents(), "stretch": 5.0})
spec(f"{S}.global_std", number=True)(lambda: {"codec": codec(), "latents": latents()})
spec(f"{S}.rescale_latents")(lambda: {"latents": latents(), "codec": codec(), "other": codec()})
exclude("takes a codec alone", f"{S}.scaling_factor")
exclude("trains five denoisers", f"{S}.compare_scalings")
spec(f"{S}.record_trajectory")(lambda: {"denoise": denoise(), "x_T": latents(), "levels": levels(), "codec": codec()})
spec(f"{S}.decode_prior", fixed=("machine",))(
    lambda: {"codec": codec(), "n": 3, "shape": (4, 1, 1), "machine": machine(), "seed": 1}
)


def unexplained(latents: Any, labels: Any, ts: Any, seed: Any) -> list[float]:
    from course_lib.experiments.ch4_latent_ddpm.schedules_and_scaling import unexplained_variance
    from course_lib.experiments.generate import conditional_factory

    return unexplained_variance(conditional_factory(unet(), machine()), latents, labels, ts, seed)


spec(f"{S}.unexplained_variance", unexplained, rows=[("latents", "labels")], labels={"labels": 11})(
    lambda: {"latents": latents(), "labels": classes(5, 10), "ts": [100, 500], "seed": 1}
)

# ---------------------------------------------------------------------------------------------------------- chapter 7

W = "experiments.ch7_words.words"


def pair() -> ImageTextPair:
    return built(ImageTextPair, 6, 8, 8, 1)


def split() -> Split:
    return Split(photos(4, 3, 64), normal(4, 4, 8, 8), labels(4))


LATENTS = {"latents": "[B, 4, 8, 8]"}
spec(f"{W}.make_split", fixed=("machine",), slow=True)(
    lambda: {"n": 2, "seed": 1, "codec": codec(3), "machine": machine(), "unseen": True}
)
spec(f"{W}.drop_factors", lambda labels, name: words.drop_factors(labels, name))(lambda: {"labels": labels(), "name": "fur"})
spec(f"{W}.drop_words")(lambda: {"labels": labels(), "drop": 0.5, "generator": generator()})
spec(f"{W}.loss_lower_bound")(lambda: {"labels": labels()})
spec(f"{W}.train_pair", fixed=("machine",), rows=[("latents", "labels")], slow=True)(
    lambda: {
        "latents": normal(256, 4, 8, 8),
        "labels": labels(256),
        "machine": machine(),
        "steps": 1,
        "drop": 0.2,
        "seed": 1,
        "progress": False,
    }
)
spec(f"{W}.caption_similarity", shapes=LATENTS, text=("captions",))(
    lambda: {"pair": pair(), "latents": normal(3, 4, 8, 8), "captions": ["one bear", "two bears"]}
)


def searched(pair: Any, latents: Any, caption: Any) -> torch.Tensor:
    from course_lib.experiments.ch7_words.words import image_search

    return image_search(pair, latents)(caption)


spec(f"{W}.image_search", searched, shapes=LATENTS, text=("caption",))(
    lambda: {"pair": pair(), "latents": normal(3, 4, 8, 8), "caption": "one bear"}
)
spec(f"{W}.retrieval_by_split", slow=True)(lambda: {"pair": pair(), "splits": {"seen": split(), "unseen": split()}})
spec(f"{W}.reordered_captions", shapes={"labels": "[N, 5]"}, labels={"labels": 100})(lambda: {"labels": labels()})
spec(f"{W}.zero_shot_accuracy", slow=True, infinite=True)(lambda: {"pair": pair(), "split": split()})
exclude("trains with the loss that it is given", f"{W}.train_on_captions")
spec(f"{W}.value_frequencies", shapes={"images": "[B, 3, 64, 64]"}, images=("images",))(
    lambda: {"reader": reader(), "images": photos(2, 3, 64), "factor": "fur"}
)

A = "experiments.ch7_words.attention"


def scarves() -> teddies.Factors:
    return teddies.sample_factors(2, 0, scarf="red")


def scene() -> attention.Scenes:
    return attention.Scenes(photos(2, 3, 64), normal(2, 4, 4, 4), scarves(), teddies.captions(scarves()))


spec(f"{A}.make_scenes", fixed=("machine",), slow=True)(lambda: {"n": 1, "seed": 1, "codec": codec(3), "machine": machine()})
spec(f"{A}.changing_pixels", slow=True)(lambda: {"factors": scarves(), "name": "scarf"})
spec(f"{A}.object_masks", slow=True)(lambda: {"factors": scarves()})
spec(f"{A}.word_token")(lambda: {"factors": scarves(), "name": "scarf"})
spec(f"{A}.word_maps", lambda net, x_t, level, tokens: attention.word_maps(net, x_t, level, tokens), rows=[("x_t", "tokens")])(
    lambda: {"net": text_denoiser(), "x_t": normal(3, 4, 4, 4), "level": level(), "tokens": tokens()}
)
exclude("word_maps of a record", f"{A}.scene_maps")
spec(f"{A}.maps_of_word", rows=[("token",)])(lambda: {"maps": torch.rand(2, 3, 6, 4, 4), "token": torch.tensor([1, 0, 5])})
spec(f"{A}.heat", shapes={"image": "[3, H, W]", "weight": "[S, S]"})(
    lambda: {"image": normal(3, 16, 16), "weight": torch.rand(4, 4) + 0.1}
)

R = "experiments.ch7_words.order"


def pairs() -> torch.Tensor:
    return torch.tensor([[[2, 0], [5, 1]], [[5, 0], [2, 1]]])


spec(f"{R}.make_two_teddies", fixed=("machine",), slow=True)(
    lambda: {"n": 1, "seed": 1, "codec": codec(3), "machine": machine(), "unseen": True}
)
for name in ("is_held_out", "two_captions", "exchange_furs", "are_twins"):
    spec(f"{R}.{name}", shapes={"labels": "[N, 2, 2]"}, labels={"labels": 100})(lambda: {"labels": pairs()})
exclude("measures a pair on a record of scenes", f"{R}.order_accuracy")
exclude(TRAINS, f"{R}.measure_word_order", f"{R}.measure_order_while_training")
exclude("reads the stored figures, which it is given", f"{R}.order_curve")

B = "experiments.ch7_words.budgets"
exclude(TRAINS, f"{B}.measure_words_training", f"{B}.measure_while_training")
exclude("samples images, or renders thousands", f"{B}.adherence_by_split", f"{B}.training_data")
exclude("reads or writes the stored figures", f"{B}.curve", f"{B}.stored_figures")
