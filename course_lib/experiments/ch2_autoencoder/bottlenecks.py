"""How narrow may the bottleneck be? The recipe's autoencoder in eight shapes, each trained to the end, beside PCA.

One command measures the curves; chapter 2 trains one point of them itself.
"""

from pathlib import Path

from torch import Tensor

from course_lib import device as devices
from course_lib import recipes
from course_lib.autoencoder import Autoencoder
from course_lib.data import fashion_mnist
from course_lib.device import Machine
from course_lib.experiments.latents import codes, decode, pca_decode
from course_lib.images import to_float
from course_lib.metrics import psnr, ssim
from course_lib.recipes.losses import autoencoder_loss
from course_lib.storage import results
from course_lib.training import train

SHAPES = ((8, 1), (8, 2), (8, 4), (8, 8), (8, 16), (4, 1), (4, 2), (4, 4))  # how many times smaller the sides, channels
COMMAND, RESULT = "course train bottlenecks", "results/bottlenecks.json"


def trained(
    factor: int, channels: int, machine: Machine, steps: int | None = None, seed: int = 0, progress: bool = True
) -> Autoencoder:
    """The autoencoder of ``fashion-autoencoder`` in another shape, all else as the recipe has it (a CPU's, on every machine)."""
    net, training = recipes.untrained("fashion-autoencoder", seed, steps, progress, factor=factor, latent_channels=channels)
    return train(net, autoencoder_loss, (fashion_mnist("train", machine.device)[0],), training, machine=machine).ema


def quality(copies: Tensor, tests: Tensor) -> dict[str, float]:
    """PSNR in dB and SSIM of copies [N, C, H, W] of test images, both clamped to [-1, 1]."""
    copies = copies.clamp(-1, 1)
    return {"psnr": round(psnr(copies, tests).item(), 3), "ssim": round(ssim(copies, tests).item(), 4)}


def point(net: Autoencoder, tests: Tensor) -> dict[str, float]:
    """Where an autoencoder lies: its shape, the numbers in its code, its parameters, and how well it copies test images."""
    z = codes(net, tests)
    weights = sum(p.numel() for p in net.parameters())
    shape = {"factor": net.factor, "channels": net.latent_channels, "numbers": z[0].numel(), "parameters": weights}
    return shape | quality(decode(net, z), tests)


def measure(steps: int | None = None, seed: int = 0, out: Path | None = None) -> Path:
    """Autoencoders of eight bottlenecks beside PCA, kept as JSON; what goes to ``data/`` enters the manifest.

    Eight trainings of the recipe ``fashion-autoencoder``: about eight minutes on two cores.
    """
    machine = devices.find()
    train_images, tests = (to_float(fashion_mnist(split, machine.device)[0]) for split in ("train", "test"))
    points = []
    for factor, channels in SHAPES:
        points.append(point(trained(factor, channels, machine, steps, seed), tests))
        print(points[-1], flush=True)
    pca = [{"numbers": k, **quality(pca_decode(train_images, tests, k), tests)} for k in sorted({p["numbers"] for p in points})]
    steps = steps or recipes.untrained("fashion-autoencoder")[1].steps
    figures = {"command": COMMAND, "machine": str(machine), "seed": seed, "steps": steps, "images": len(tests)}
    return results.keep({**figures, "points": points, "pca": pca}, RESULT, out, COMMAND)


def stored() -> dict:
    """What ``measure`` measured and keeps under data/results/; DataError where it is missing or altered."""
    return results.read(RESULT)
