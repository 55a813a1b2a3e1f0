"""The course in one picture: pixels → few → smooth → a trajectory → steered, from shipped data and weights."""

from collections.abc import Sequence

import torch
from torch import Tensor

from course_lib import recipes, teddies
from course_lib.arguments import check_integer
from course_lib.data import photographs
from course_lib.device import Machine
from course_lib.experiments import latent_map
from course_lib.images import to_float
from course_lib.notebook.maps import plane
from course_lib.notebook.pictures import PAGE, Picture, tile, to_pixels
from course_lib.notebook.plots import Panels
from course_lib.notebook.style import DPI
from course_lib.schedule import Level
from course_lib.text_to_image import TextToImage, load

#: Of the steered teddies, both from one noise.
CAPTIONS = (
    "two pink teddy bears with a green scarf reading on a beach",
    "one blue teddy bear with a red scarf waving in the snow",
)
STEPS, SEED = 8, 3
ALT = (
    "Five columns. Pixels: a photograph, and the same pixels shuffled. Few: a teddy, and its reconstruction from 256 numbers. "
    "Smooth: a map of clouds, and clothes that change gradually from point to point. Trajectory: nine images from noise to a "
    "teddy, and the teddy. Steered: from the same noise, the teddies of two captions."
)
Column = tuple[str, str, Tensor, str, Tensor]  # title; name and image [3, H, W] of the upper half, and of the lower


def pixels() -> tuple[Tensor, Tensor]:
    """Return a photograph, uint8 [3, 256, 256], and the same pixels in another order."""
    photo = photographs(256)["dogs"]
    order = torch.randperm(photo[0].numel(), generator=torch.Generator().manual_seed(0))
    return photo, photo.flatten(1)[:, order].view_as(photo)


@torch.no_grad()
def reconstruction(machine: Machine, seed: int = 21) -> tuple[Tensor, Tensor]:
    """Return a teddy [3, 64, 64] in [-1, 1] and its reconstruction from the 256 latent dimensions of the shipped VAE."""
    teddy = to_float(teddies.dataset(1, seed, device=machine.device, unseen=True)[0])
    return teddy[0].cpu(), recipes.load_or_train("teddies-vae", machine)(teddy)[0].clamp(-1, 1).cpu()


def maps(beta: float = 4.0, side: int = 300) -> tuple[Tensor, Tensor]:
    """Return the stored map of one beta: its clouds, and 7 × 7 of its points decoded; uint8 [3, side', side'] each."""
    side = check_integer("side", side, 50, 2000)
    stored = {one.beta: one for one in latent_map.stored_maps()}
    if beta not in stored:
        raise ValueError(f"beta is {beta!r}, but must be one of the stored ones: {', '.join(f'{one:g}' for one in stored)}.")
    one = stored[beta]
    extent = 3.4
    clouds = plane(one.mean, one.labels, [" "] * 10, (-extent, extent), (-extent, extent), side, std=one.std)
    points = latent_map.grid()
    inside = one.images[(points.abs() <= extent).all(1)]
    return _image(clouds), _mosaic(inside, round(len(inside) ** 0.5))


def trajectory(model: TextToImage, caption: str, steps: int = STEPS, scale: float = 1.0, seed: int = SEED) -> Tensor:
    """Return the decoded noisy latents of one sampled image from noise to the end: [steps + 1, 3, 64, 64] in [-1, 1]."""
    steps = check_integer("steps", steps, 1, 100)
    noisy: list[Tensor] = []

    def keep(step: int, level: Level, latents: Tensor, prediction: Tensor) -> None:
        noisy.append(latents[:1].clone())

    final = model.generate(caption, n=1, scale=scale, steps=steps, seed=seed, callback=keep)
    walked = model.codec.decode(torch.cat(noisy))[:steps]
    return torch.cat([walked, final]).cpu()


def course_picture(machine: Machine) -> Picture:
    """Draw the picture: five columns of two images. It takes a few seconds."""
    model = load(machine)
    photo, shuffled = pixels()
    teddy, again = reconstruction(machine)
    clouds, decoded = maps()
    walk = trajectory(model, "")
    one, other = (model.generate(caption, n=1, scale=3.0, steps=12, seed=SEED)[0].cpu() for caption in CAPTIONS)
    columns: list[Column] = [
        ("1  pixels", "a photograph", photo, "the same pixels", shuffled),
        ("2  few", "12,288 values", teddy, "rebuilt from 256", again),
        ("3  smooth", "a map of clouds", clouds, "its points, decoded", decoded),
        (
            "4  a trajectory",
            "from noise …",
            _mosaic(walk[torch.linspace(0, STEPS, 9).round().long()], 3),
            "… to an image",
            walk[-1],
        ),
        ("5  steered", "one caption", one, "another caption", other),
    ]
    return _draw(columns)


def _image(picture: Picture) -> Tensor:
    return torch.from_numpy(picture.pixels().copy()).permute(2, 0, 1)


def _mosaic(images: Tensor, columns: int) -> Tensor:
    """Images [N, 1 or 3, H, W] on one sheet, uint8 [3, H', W']."""
    sheet = tile(images.expand(-1, 3, -1, -1), columns, 1)
    return torch.from_numpy(sheet.copy()).permute(2, 0, 1)


def _draw(columns: Sequence[Column]) -> Picture:
    """Two images in each column, one above the other: squares of side 1, the lower one from 0 to 1, the upper from 1.2 to 2.2."""
    panels = Panels(len(columns), PAGE / DPI / len(columns), 3.75)
    for panel, (title, upper_name, upper, lower_name, lower) in zip(panels.axes, columns, strict=True):
        for name, image, bottom in ((upper_name, upper, 1.2), (lower_name, lower, 0.0)):
            panel.imshow(to_pixels(image)[0], extent=(0, 1, bottom, bottom + 1), interpolation="nearest")
            panel.text(0.5, bottom + 1.03, name, ha="center", va="bottom", fontsize=9)
        panel.text(0.5, 2.42, title, ha="center", va="bottom", fontsize=12, weight=700)
        panel.set(xlim=(0, 1), ylim=(0, 2.6), aspect="equal")
        panel.set_axis_off()
    return panels.picture(ALT)
