"""The sizes of the workbook's own networks, and the settings of their training."""

from dataclasses import replace
from typing import Any

from course_lib import teddies
from course_lib.device import Machine
from course_lib.schedule import cosine
from course_lib.training.config import TrainConfig

Setting = tuple[dict[str, Any], TrainConfig]  # the arguments of a network, and how it is trained

PREDICTION_TYPE = "v"  # what every denoising network of the workbook predicts
make_schedule = cosine
NUM_CLASSES = 10

# One setting for each `profile`. The latent denoiser of a CPU stays at the latents' 4×4 throughout: at 2×2, a 3×3 convolution
# would spend more than half of its multiplications on the padding.
FASHION_VAE: dict[str, Setting] = {
    "cpu": (
        {"width": 16},
        TrainConfig(steps=2500, batch_size=64, lr=1e-2, betas=(0.9, 0.99), grad_clip=None, ema_decay=0.99, channels_last=True),
    ),
    "gpu": (
        {"width": 64, "blocks": 2},
        TrainConfig(steps=4000, batch_size=256, lr=2e-3, betas=(0.9, 0.99), grad_clip=None, ema_decay=0.998, channels_last=True),
    ),
}
# Chapters 2 and 3's maps: one network for every machine, trained once and shipped.
_FASHION_MAP: Setting = (
    {"hidden": 64, "latent_channels": 2},
    TrainConfig(steps=3000, batch_size=128, lr=2e-3, betas=(0.9, 0.99), grad_clip=None, ema_decay=0.99),
)
FASHION_MAP = {"cpu": _FASHION_MAP, "gpu": _FASHION_MAP}
FASHION_DENOISER: dict[str, Setting] = {
    "cpu": (
        {"width": 64, "multipliers": (1,), "blocks": 1, "attention": ()},
        TrainConfig(steps=1550, batch_size=256, lr=4e-3, betas=(0.9, 0.99), ema_decay=0.995, channels_last=True),
    ),
    "gpu": (
        {"width": 128, "multipliers": (1, 2), "blocks": 2, "attention": (0, 1)},
        TrainConfig(steps=10_000, batch_size=512, lr=1e-3, betas=(0.9, 0.99), ema_decay=0.9995, channels_last=True),
    ),
}
# Notebook 13's students, trained from that denoiser on every machine; FASHION_HALVING is one halving of the steps.
FASHION_ONE_CALL = TrainConfig(steps=500, batch_size=256, lr=4e-3, betas=(0.9, 0.99), ema_decay=0.99, channels_last=True)
FASHION_HALVING = replace(FASHION_ONE_CALL, steps=250, batch_size=128, lr=2e-3, ema_decay=0.98)
PIXEL_DENOISER: dict[str, Setting] = {
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
TEDDIES_VAE: Setting = (
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
_TEDDIES_UNET: dict[str, Any] = {"in_channels": 4, "width": 64, "multipliers": (1,), "blocks": 2, "attention": (0,)}
TEDDIES_DENOISER: Setting = (
    {**_TEDDIES_UNET, "num_classes": teddies.NUM_VALUES},
    TrainConfig(steps=10_000, batch_size=128, optimizer="muon", lr=4e-3, betas=(0.9, 0.99), ema_decay=0.999, channels_last=True),
)
TEDDIES_WORDS: Setting = ({**_TEDDIES_UNET, "text_dim": 128, "text_depth": 2}, replace(TEDDIES_DENOISER[1], steps=3_000))
# The large model: 128×128 → 8×8×8, as many positions as the small one has. What a denoiser learns in the same time falls with the
# latents' number: with 16 channels, or at 16×16 positions, teddies are patchworks when those of 8 channels have faces.
TEDDIES_128_VAE: Setting = (
    {**TEDDIES_VAE[0], "width": 36, "factor": 16, "latent_channels": 8},
    replace(TEDDIES_VAE[1], steps=16_000, batch_size=8),
)
TEDDIES_128_DENOISER: Setting = (
    {**TEDDIES_DENOISER[0], "in_channels": 8, "width": 72},
    replace(TEDDIES_DENOISER[1], steps=14_000),
)
TEDDIES_128_ONE_CALL = replace(TEDDIES_128_DENOISER[1], steps=1000, lr=2e-3, ema_decay=0.99)
NUM_TEDDIES = 24_000  # images in the training set of a Teddies network

FASHION_CLASSIFIER = TrainConfig(steps=2400, batch_size=128, lr=4e-3, weight_decay=0.05, ema_decay=None, channels_last=True)
TEDDIES_READER = TrainConfig(steps=3000, batch_size=64, lr=3e-3, weight_decay=0.02, ema_decay=0.99, channels_last=True)


def profile(machine: Machine) -> str:
    """Return which setting of a Fashion-MNIST network this machine takes: "cpu" or "gpu"."""
    return "gpu" if machine.device.type == "cuda" else "cpu"
