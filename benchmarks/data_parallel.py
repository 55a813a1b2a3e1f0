"""Images per second of chapter 4's training on random latents, by one process or several.

A separate program, because Fabric starts it once for each process: python -m benchmarks.data_parallel PROCESSES THREADS STEPS.
THREADS is 0 for as many as other programs leave.
"""

import sys
import warnings

import torch

from course_lib import device as devices
from course_lib import recipes
from course_lib.recipes import configs
from course_lib.recipes.losses import denoising_loss
from course_lib.training import TrainConfig, train
from course_lib.unet import UNet


def rate(processes: int, threads: int, steps: int) -> float:
    """Images per second of the latent denoiser's recipe with exchanged gradients; ``threads`` for each process."""
    machine = devices.find("cpu", threads=threads or None)
    network, training = configs.FASHION_DENOISER["cpu"]
    latents, labels = torch.randn(4096, 4, 4, 4), torch.arange(4096) % recipes.NUM_CLASSES
    strategy = "ddp" if processes > 1 else "auto"
    config = TrainConfig(**{**vars(training), "steps": steps, "progress": False, "devices": processes, "strategy": strategy})
    return train(
        UNet(in_channels=4, **network), denoising_loss(recipes.NUM_CLASSES), (latents, labels), config, machine=machine
    ).images_per_second


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    found = rate(*map(int, sys.argv[1:]))
    if devices.is_main_process():
        print(found)
