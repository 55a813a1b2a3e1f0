"""The sizes of the workbook's own models, and how each is trained; `course_lib.recipes` trains them."""

from dataclasses import replace

from course_lib import teddies
from course_lib.device import Machine
from course_lib.schedule import cosine
from course_lib.training.config import TrainConfig

PREDICTION_TYPE = "v"  # what every denoising network of the workbook predicts
make_schedule = cosine
NUM_CLASSES = 10

# Network, then TrainConfig: one setting for a CPU, one for a GPU. The latent denoiser of a CPU stays at the latents' 4×4 all
# through: halved once more, a 3×3 convolution would spend more than half of its products on the padding about 2×2.
FASHION_VAE = {
    "cpu": (
        {"width": 16},
        TrainConfig(steps=2500, batch_size=64, lr=1e-2, betas=(0.9, 0.99), grad_clip=None, ema_decay=0.99, channels_last=True),
    ),
    "gpu": (
        {"width": 64, "blocks": 2},
        TrainConfig(steps=4000, batch_size=256, lr=2e-3, betas=(0.9, 0.99), grad_clip=None, ema_decay=0.998, channels_last=True),
    ),
}
FASHION_DENOISER = {
    "cpu": (
        {"width": 64, "multipliers": (1,), "blocks": 1, "attention": ()},
        TrainConfig(steps=1550, batch_size=256, lr=4e-3, betas=(0.9, 0.99), ema_decay=0.995, channels_last=True),
    ),
    "gpu": (
        {"width": 128, "multipliers": (1, 2), "blocks": 2, "attention": (0, 1)},
        TrainConfig(steps=10_000, batch_size=512, lr=1e-3, betas=(0.9, 0.99), ema_decay=0.9995, channels_last=True),
    ),
}
PIXEL_DENOISER = {
    "cpu": (
        {"width": 16, "multipliers": (1, 2, 4), "blocks": 1, "attention": (2,)},
        TrainConfig(steps=1000, batch_size=64, lr=2e-3, betas=(0.9, 0.99), ema_decay=0.999, channels_last=True),
    ),
    "gpu": (
        {"width": 64, "multipliers": (1, 2, 4), "blocks": 2, "attention": (2,)},
        TrainConfig(steps=10_000, batch_size=256, lr=1e-3, betas=(0.9, 0.99), ema_decay=0.9995, channels_last=True),
    ),
}

# One network for every machine: it is trained once and shipped.
TEDDIES_VAE = (
    {"in_channels": 3, "width": 64, "stem": 4, "blocks": 2, "noise_std": 0.05},
    TrainConfig(
        steps=18_000,
        batch_size=32,
        optimizer="muon",
        lr=5e-3,
        betas=(0.9, 0.99),
        grad_clip=None,
        ema_decay=0.999,
        channels_last=True,
    ),
)
_TEDDIES_UNET = {"in_channels": 4, "width": 64, "multipliers": (1,), "blocks": 2, "attention": (0,)}
TEDDIES_DENOISER = (
    {**_TEDDIES_UNET, "num_classes": teddies.NUM_VALUES},
    TrainConfig(steps=10_000, batch_size=128, optimizer="muon", lr=4e-3, betas=(0.9, 0.99), ema_decay=0.999, channels_last=True),
)
TEDDIES_WORDS = ({**_TEDDIES_UNET, "text_dim": 128, "text_depth": 2}, replace(TEDDIES_DENOISER[1], steps=3_000))
TEDDIES = 24_000  # pictures in the training set of a Teddies network


def profile(machine: Machine) -> str:
    """Which of the settings of a Fashion-MNIST model this machine takes: "cpu" or "gpu"."""
    return "gpu" if machine.device.type == "cuda" else "cpu"
