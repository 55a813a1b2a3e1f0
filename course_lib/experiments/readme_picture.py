"""The picture of the README: the same VAE asked to draw, without and with a walk through its latent space."""

from pathlib import Path

import torch

from course_lib import device as devices
from course_lib import recipes
from course_lib.data import FASHION_CLASSES
from course_lib.experiments import generate
from course_lib.guidance import guide
from course_lib.notebook import viz
from course_lib.storage import shipped


def draw(seed: int = 0, out: Path | None = None) -> Path:
    """The README's picture, from the saved VAE and denoiser, which are trained now where they are missing.

    Upper row: standard normal noise, decoded. Lower row: the same noise after the guided walk, decoded by the same VAE.
    """
    machine = devices.find()
    codec = recipes.codec_of("fashion-vae", machine)
    net = recipes.load_or_train("fashion-ldm", machine)
    labels = torch.arange(10, device=machine.device)
    noise = generate.noise(10, (4, 4, 4), machine, seed)

    def make(y: torch.Tensor):
        return guide(generate.conditional(net, machine)(y), generate.unconditional(net, machine)(y), 3.0)

    walked = generate.generate(make, labels, codec, (4, 4, 4), machine, seed=seed)
    picture = viz.rows(
        {"noise, decoded": codec.decode(noise), "noise, walked and decoded": walked},
        titles=list(FASHION_CLASSES),
        scale=2,
        alt="Above, ten grey smudges: noise decoded by the VAE. Below, ten garments: the same noise after the guided walk.",
    )
    source = "drawn by the workbook's own networks"
    return shipped.keep(picture.png, "results/readme.png", out, source, "course train readme-picture")
