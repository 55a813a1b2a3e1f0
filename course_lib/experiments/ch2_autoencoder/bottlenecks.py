"""How narrow may the bottleneck be? The recipe's autoencoder in eight shapes, each trained to the end, compared with PCA.

``course measure bottlenecks`` measures the curves; chapter 2 trains one point of them itself.
"""

from pathlib import Path

from torch import Tensor

from course_lib import device as devices
from course_lib import recipes
from course_lib.arguments import check_tensor
from course_lib.autoencoder import Autoencoder
from course_lib.data import fashion_mnist
from course_lib.experiments.ch2_autoencoder.pca_baseline import pca_reconstruct
from course_lib.experiments.fashion_variants import train_autoencoder
from course_lib.experiments.latents import decode, encode
from course_lib.images import to_float
from course_lib.metrics import psnr, ssim
from course_lib.storage.results import StoredResult

SHAPES = ((8, 1), (8, 2), (8, 4), (8, 8), (8, 16), (4, 1), (4, 2), (4, 4))  # downsampling factor of a side, latent channels
RESULT = StoredResult("bottlenecks", "results/bottlenecks.json")


def reconstruction_quality(reconstructions: Tensor, images: Tensor) -> dict[str, float]:
    """Return PSNR in dB and SSIM of reconstructions [N, C, H, W], clamped to [-1, 1], of images in [-1, 1]."""
    check_tensor("reconstructions", reconstructions, "[N, C, H, W]", "float")
    reconstructions = reconstructions.clamp(-1, 1)
    return {"psnr": round(psnr(reconstructions, images).item(), 3), "ssim": round(ssim(reconstructions, images).item(), 4)}


def bottleneck_point(net: Autoencoder, images: Tensor) -> dict[str, float]:
    """Return one autoencoder's point of the curve: shape, latent dimensions ("numbers"), parameters, reconstruction quality."""
    check_tensor("images", images, "[N, C, H, W]", "float")
    z = encode(net, images)
    parameters = sum(p.numel() for p in net.parameters())
    shape = {"factor": net.factor, "channels": net.latent_channels, "numbers": z[0].numel(), "parameters": parameters}
    return shape | reconstruction_quality(decode(net, z), images)


def measure_bottlenecks(steps: int | None = None, seed: int = 0, out: Path | None = None) -> Path:
    """Measure the reconstruction quality of autoencoders with eight bottlenecks, and of PCA; store the figures as JSON.

    Eight trainings of the recipe ``fashion-autoencoder``: about eight minutes on two cores.
    """
    machine = devices.find()
    train_images, test_images = (to_float(fashion_mnist(split, machine.device)[0]) for split in ("train", "test"))
    points = []
    for factor, channels in SHAPES:
        points.append(bottleneck_point(train_autoencoder(factor, channels, machine, steps, seed), test_images))
        print(points[-1], flush=True)
    sizes = sorted({int(p["numbers"]) for p in points})
    pca = [{"numbers": k, **reconstruction_quality(pca_reconstruct(train_images, test_images, k), test_images)} for k in sizes]
    steps = steps or recipes.untrained_network("fashion-autoencoder")[1].steps
    figures = {"command": RESULT.command, "machine": str(machine), "seed": seed, "steps": steps, "images": len(test_images)}
    return RESULT.save({**figures, "points": points, "pca": pca}, out)
