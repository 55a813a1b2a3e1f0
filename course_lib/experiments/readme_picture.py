"""The picture of the README: what the same VAE decodes, without and with guided diffusion in its latent space."""

from pathlib import Path

import torch

from course_lib import device as devices
from course_lib import recipes
from course_lib.data import FASHION_CLASSES
from course_lib.diffusion import Denoiser
from course_lib.experiments import generate
from course_lib.guidance import guide
from course_lib.notebook import viz
from course_lib.storage import shipped


def draw_readme_picture(seed: int = 0, out: Path | None = None) -> Path:
    """Draw the README's picture with the saved VAE and denoiser; if they are missing, they are trained first.

    Upper row: standard normal noise, decoded. Lower row: the same noise after guided sampling, decoded by the same VAE.
    """
    machine = devices.find()
    codec = recipes.load_codec("fashion-vae", machine)
    net = recipes.load_or_train("fashion-ldm", machine)
    labels = torch.arange(10, device=machine.device)
    noise = generate.seeded_noise(10, (4, 4, 4), machine, seed)

    def guided(y: torch.Tensor) -> Denoiser:
        return guide(generate.conditional_factory(net, machine)(y), generate.unconditional_factory(net, machine)(y), 3.0)

    sampled = generate.generate(guided, labels, codec, (4, 4, 4), machine, seed=seed)
    picture = viz.rows(
        {"noise, decoded": codec.decode(noise), "noise, denoised and decoded": sampled},
        titles=list(FASHION_CLASSES),
        scale=2,
        alt="Above, ten grey smudges: noise decoded by the VAE. Below, ten items of clothing: the same noise, denoised.",
    )
    source = "drawn by the workbook's own networks"
    return shipped.write_shipped(picture.png, "results/readme.png", out, source, "course measure readme-picture")
