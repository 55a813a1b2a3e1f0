"""Maps of a latent space of two dimensions: where the images lie in it, and what its points decode to.

The networks are the shipped recipes ``fashion-map-autoencoder`` and ``fashion-map-vae``. ``course measure latent-map`` trains the
VAE at six betas and stores the map of each: the clouds q(z | x) of some test images, and the decoded points of a grid.
"""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from course_lib import device as devices
from course_lib import recipes
from course_lib.arguments import check_integer, check_number, check_tensor
from course_lib.autoencoder import DenseEncoderDecoder
from course_lib.data import fashion_mnist
from course_lib.experiments import latents
from course_lib.images import as_float, to_float, to_uint8
from course_lib.notebook.pictures import webp
from course_lib.recipes.losses import beta_loss
from course_lib.storage.results import StoredResult
from course_lib.training import train
from course_lib.vae import DenseVAE

RESULT = StoredResult("latent-map", "results/latent_map.json")
BETAS = (0.01, 0.1, 1.0, 4.0, 16.0, 64.0)
IMAGES = 500  # of the test set, whose clouds are stored
EXTENT, SIDE = 5.0, 13  # the stored grid: SIDE × SIDE points from -EXTENT to EXTENT on each axis


@dataclass(frozen=True)
class StoredMap:
    """The map of one beta. mean, std: [N, 2] of q(z | x). labels: [N]. images: decoded grid, uint8 [SIDE², 1, 32, 32], row by row
    from the top left corner, as `grid` gives it. kl: nats per image. mse: mean squared error of a pixel."""

    beta: float
    mean: Tensor
    std: Tensor
    labels: Tensor
    images: Tensor
    kl: float
    mse: float


def grid(extent: float = EXTENT, side: int = SIDE) -> Tensor:
    """Points of a square grid, [side², 2]: row by row from the top left corner, as an image is read."""
    extent, side = check_number("extent", extent, above=0), check_integer("side", side, 2, 100)
    ticks = torch.linspace(-extent, extent, side)
    return torch.stack([ticks.repeat(side), ticks.flip(0).repeat_interleave(side)], 1)


def encode_map(net: DenseEncoderDecoder, images: Tensor) -> Tensor:
    """Codes of images [N, 1, 32, 32] (uint8 or [-1, 1]) on the map: [N, 2], the posterior means for a VAE."""
    return latents.encode(net, images).flatten(1)  # type: ignore[arg-type]


@torch.no_grad()
def posterior_map(net: DenseVAE, images: Tensor) -> tuple[Tensor, Tensor]:
    """Means and standard deviations of q(z | x) for images [N, 1, 32, 32] (uint8 or [-1, 1]), each [N, 2]."""
    posterior = net.encode(as_float(images))
    return posterior.mean.flatten(1), posterior.std.flatten(1)


def decode_map(net: DenseEncoderDecoder, xy: Tensor) -> Tensor:
    """Images in [-1, 1], [N, 1, 32, 32], of points [N, 2] of the map."""
    check_tensor("xy", xy, "[N, 2]", "float")
    device = next(net.parameters()).device
    return latents.decode(net, xy.to(device)[:, :, None, None])


def stored_maps() -> list[StoredMap]:
    """The maps of all stored betas, the smallest first."""
    return [
        StoredMap(
            one["beta"],
            _unpacked_points(one["mean"]),
            _unpacked_points(one["std"]),
            torch.tensor([int(digit) for digit in one["labels"]]),
            _unpacked(one["grid"]),
            one["kl"],
            one["mse"],
        )
        for one in RESULT.read()["maps"]
    ]


def train_map_vae(beta: float, machine: devices.Machine, steps: int | None = None, seed: int = 0) -> DenseVAE:
    """Train the VAE of the recipe ``fashion-map-vae`` with another weight of its KL."""
    net, training = recipes.untrained_network("fashion-map-vae", seed, steps, progress=False)
    assert isinstance(net, DenseVAE)
    return train(net, beta_loss(beta), (fashion_mnist("train", machine.device)[0],), training, machine=machine).ema


def measure_latent_map(steps: int | None = None, seed: int = 0, out: Path | None = None) -> Path:
    """Train the VAE at each beta and store its map as JSON: about two minutes on two cores."""
    machine = devices.find()
    pixels, labels = fashion_mnist("test", machine.device)
    images, maps = to_float(pixels), []
    for beta in BETAS:
        net = train_map_vae(beta, machine, steps, seed)
        with torch.no_grad():
            posterior = net.encode(images)
        error = (latents.decode(net, posterior.mode()) - images).square().mean().item()
        maps.append({
            "beta": beta,
            "kl": round(posterior.kl().mean().item(), 3),
            "mse": round(error, 5),
            "mean": _packed_points(posterior.mean[:IMAGES]),
            "std": _packed_points(posterior.std[:IMAGES]),
            "labels": "".join(map(str, labels[:IMAGES].tolist())),
            "grid": _packed(decode_map(net, grid())),
        })  # fmt: skip
        print(f"beta {beta:g}: KL {maps[-1]['kl']} nats, mean squared error {maps[-1]['mse']}", flush=True)
    steps = steps or recipes.untrained_network("fashion-map-vae")[1].steps
    return RESULT.save({"command": RESULT.command, "machine": str(machine), "seed": seed, "steps": steps, "maps": maps}, out)


def _packed_points(points: Tensor) -> str:
    """Points [N, 2, …] as float16 in base64."""
    return base64.b64encode(points.cpu().numpy().astype("<f2").tobytes()).decode()


def _unpacked_points(text: str) -> Tensor:
    return torch.from_numpy(np.frombuffer(base64.b64decode(text), "<f2").astype(np.float32)).view(-1, 2)


def _packed(images: Tensor) -> str:
    """Images [SIDE², 1, 32, 32] as one WebP sheet in base64."""
    column = to_uint8(images.cpu()).flatten(0, 2).numpy()
    return base64.b64encode(webp(column, quality=60)).decode()


def _unpacked(text: str) -> Tensor:
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("L"))
    return torch.from_numpy(sheet.copy()).view(-1, 1, 32, 32)
