"""Specs of explorers, maps and guesses, and of the networks and maps of two dimensions."""

from typing import Any

import torch
from inputs import images, normal
from spec import exclude, spec

from course_lib.autoencoder import DenseAutoencoder
from course_lib.notebook import explore, guess, maps
from course_lib.notebook.plots import Panels
from course_lib.vae import DenseVAE

E = "notebook.explore"


def grey(level: Any) -> tuple[torch.Tensor, str]:
    return torch.full((1, 1, 4, 4), min(float(level), 1.0) if isinstance(level, int | float) else 0.5), f"level {level}"


def decode(xy: torch.Tensor) -> torch.Tensor:
    return xy[:, :1, None, None].clamp(-1, 1).expand(-1, 1, 4, 4)


def labels() -> torch.Tensor:
    return torch.tensor([0, 1, 1, 0, 2, 2])


spec(f"{E}.sliders", text=("alt",), slow=True)(
    lambda: {"draw": grey, "alt": "grey", "columns": 1, "scale": 2, "level": [0.0, 0.5, 1.0]}
)
spec(f"{E}.pad", text=("alt", "names"), labels={"labels": 3}, rows=[("points", "labels")], slow=True)(
    lambda: {
        "decode": decode,
        "x": [0.0, 1.0],
        "y": [0.0, 0.5, 1.0],
        "points": normal(6, 2),
        "labels": labels(),
        "names": ["a", "b", "c"],
        "alt": "a map",
        "scale": 2,
    }
)
spec(f"{E}.Explorer.caption")(lambda: {"self": explore.sliders(grey, alt="grey", level=[0.0, 1.0]), "level": 1})
exclude("made by sliders and pad, which check", f"{E}.Explorer")
exclude("takes no arguments", f"{E}.Explorer.html", "notebook.pictures.Picture.data_uri")


def drawn(**options: Any) -> Any:
    panels = Panels(1, 2.0, 1.5)
    maps.draw_codes(panels[0], **options)
    return panels.picture("a map")


POINTS: dict[str, Any] = {"text": ("names",), "slow": True}
spec("notebook.maps.draw_codes", drawn, labels={"labels": 3}, **POINTS)(
    lambda: {"mean": normal(6, 2), "labels": labels(), "names": ["a", "b", "c"], "std": normal(6, 2).abs()}
)
spec("notebook.maps.plane", labels={"labels": 3}, **POINTS)(
    lambda: {
        "points": normal(6, 2),
        "labels": labels(),
        "names": ["a", "b", "c"],
        "x": [-1.0, 1.0],
        "y": [-1.0, 1.0],
        "side": 60,
        "std": normal(6, 2).abs(),
    }
)
spec("notebook.pictures.webp")(lambda: {"pixels": torch.randint(256, (4, 5, 3), dtype=torch.uint8).numpy(), "quality": 80})

spec("notebook.guess.number", text=("question", "unit"))(lambda: {"question": "how many?", "unit": "times"})
spec("notebook.guess.choice", text=("question", "choices"))(lambda: {"question": "which?", "choices": ["a", "b"]})
spec("notebook.guess.Guess.compare", text=("measured",))(lambda: {"self": guess.choice("which?", ["a", "b"]), "measured": "a"})
exclude("made by number and choice, which check", "notebook.guess.Guess")
exclude("made by guess.number and guess.choice", "notebook.widgets.number_field", "notebook.widgets.choice_field")

DENSE: dict[str, Any] = {"size": 8, "hidden": 4, "latent_channels": 2}
for name in ("autoencoder.DenseAutoencoder", "vae.DenseVAE"):
    spec(name)(lambda: dict(DENSE))
spec("autoencoder.DenseEncoderDecoder")(lambda: dict(DENSE))
D = "autoencoder.DenseEncoderDecoder"
spec(f"{D}.encoder_output", shapes={"images": "[B, 1, 8, 8]"})(
    lambda: {"self": DenseAutoencoder(**DENSE), "images": images(2, 1, 8)}
)
spec(f"{D}.decode", shapes={"latents": "[B, 2, 1, 1]"})(
    lambda: {"self": DenseAutoencoder(**DENSE), "latents": normal(3, 2, 1, 1)}
)

L = "experiments.latent_map"
spec(f"{L}.grid")(lambda: {"extent": 2.0, "side": 3})
spec(f"{L}.encode_map", images=("images",))(lambda: {"net": DenseAutoencoder(**DENSE), "images": images(2, 1, 8)})
spec(f"{L}.posterior_map", images=("images",))(lambda: {"net": DenseVAE(**DENSE), "images": images(2, 1, 8)})
spec(f"{L}.decode_map", shapes={"xy": "[N, 2]"})(lambda: {"net": DenseAutoencoder(**DENSE), "xy": normal(3, 2)})
exclude("a record", f"{L}.StoredMap")
exclude("reads a shipped file", f"{L}.stored_maps")
exclude("trains for seconds", f"{L}.train_map_vae", f"{L}.measure_latent_map")

# ----------------------------------------------------------------------------- experiments of the rewritten chapters 3 and 6

DENSE_16 = "experiments.ch3_vae.dense"
spec(f"{DENSE_16}.standard_normal")(lambda: {"net": DenseVAE(**DENSE), "n": 3, "seed": 1})
S = "experiments.ch3_vae.latent_space"
spec(f"{S}.same_class_neighbours", any_dtype=("points",), labels={"labels": 10}, rows=[("points", "labels")], number=True)(
    lambda: {"points": normal(6, 3), "labels": labels(), "k": 2}
)
exclude(
    "pixels as a space: its two methods return their argument",
    f"{S}.PixelSpace",
    f"{S}.PixelSpace.encode",
    f"{S}.PixelSpace.decode",
)
P = "experiments.ch3_vae.prior_effects"
spec(f"{P}.stored_mean")(lambda: {"space": "dense VAE", "row": "copy PSNR"})
exclude(
    "trains networks for seconds to minutes",
    f"{DENSE_16}.train_dense",
    f"{P}.train_spatial",
    f"{P}.train_space",
    f"{P}.measure_latent_space",
)
W = "experiments.ch6_sharper_vae.whose_features"
exclude("trains or descends for seconds", f"{W}.train_reader_without_noise", f"{W}.best_answer", f"{W}.untrained_readers")
exclude("calls the distance that it is given", f"{W}.distances_of_distortions")
C = "experiments.course_picture"
spec(f"{C}.maps", slow=True)(lambda: {"beta": 4.0, "side": 60})
exclude("draws with shipped networks for seconds", f"{C}.course_picture", f"{C}.trajectory", f"{C}.reconstruction", f"{C}.pixels")
exclude("renders a finished figure of Matplotlib's", "notebook.plots.render")
spec("notebook.claims.format_number", may_be_nan=("value",), infinite=True)(lambda: {"value": 3.25})
exclude("called with the named arguments of a slider, as above", "notebook.positions.checked_positions")
exclude("of any value or drawing", "notebook.positions.label", "notebook.positions.picture_and_caption")
