"""The picture of the README: the same VAE asked to draw, without and with a walk through its latent space."""

from pathlib import Path

import torch

from course_lib import device as devices
from course_lib import manifest, recipes, viz
from course_lib.data import FASHION_CLASSES
from course_lib.experiments import quality
from course_lib.guidance import guide


def draw(seed: int = 0, out: Path | None = None) -> Path:
    """The README's picture, from the saved VAE and denoiser, which are trained now where they are missing.

    Upper row: standard normal noise, decoded. Lower row: the same noise after the guided walk, decoded by the same VAE.
    """
    machine = devices.find()
    codec = recipes.codec_of("fashion-vae", machine)
    net = recipes.ready("fashion-ldm", machine)
    labels = torch.arange(10, device=machine.device)
    noise = quality.noise(10, (4, 4, 4), machine, seed)

    def make(y: torch.Tensor):
        return guide(quality.conditional(net, machine)(y), quality.unconditional(net, machine)(y), 3.0)

    walked = quality.draw(make, labels, codec, (4, 4, 4), machine, seed=seed)
    picture = viz.rows(
        {"noise, decoded": codec.decode(noise), "noise, walked and decoded": walked},
        titles=list(FASHION_CLASSES),
        scale=2,
        alt="Above, ten grey smudges: noise decoded by the VAE. Below, ten garments: the same noise after the guided walk.",
    )
    source = "drawn by the workbook's own networks"
    return manifest.keep(picture.png, "results/readme.png", out, source, "course train readme-picture")
