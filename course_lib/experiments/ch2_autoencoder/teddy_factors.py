"""Which factors of a teddy pass a bottleneck: an autoencoder of teddies, and how much of a factor's change it reconstructs."""

import torch
from torch import Tensor

from course_lib import teddies
from course_lib.arguments import check_choice, check_integer, check_tensor
from course_lib.autoencoder import Autoencoder
from course_lib.device import Machine
from course_lib.experiments.latents import decode, encode
from course_lib.experiments.limits import seeded_generator
from course_lib.recipes.losses import autoencoder_loss
from course_lib.teddies.factors import check_factors
from course_lib.training import TrainConfig, train


def train_teddy_autoencoder(images: Tensor, channels: int, machine: Machine, steps: int = 220) -> Autoencoder:
    """Train an autoencoder of 64×64 teddies (uint8) for some seconds.

    Its factor is 16: it encodes 12,288 values as 16 latent dimensions for each latent channel.
    """
    check_tensor("images", images, "[N, 3, 64, 64]")
    check_integer("steps", steps, 1, 100_000)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Autoencoder(in_channels=3, width=16, factor=16, latent_channels=channels)
    config = TrainConfig(
        steps=steps, batch_size=32, lr=6e-3, betas=(0.9, 0.99), grad_clip=None, ema_decay=0.98, channels_last=True, progress=False
    )
    return train(net, autoencoder_loss, (images,), config, machine=machine).ema


def factor_change_rms(net: Autoencoder, factors: teddies.Factors, name: str, seed: int = 1) -> tuple[float, float]:
    """Return how far one factor moves a 64×64 image, and how far it moves the reconstruction: two root mean squares.

    The factor ``name`` is sampled again for every image, all others stay. The ratio of the two says how much of the change passes
    the bottleneck.
    """
    check_tensor("factors.count", check_factors(factors).count)
    check_choice("name", name, (*teddies.DISCRETE, *teddies.CONTINUOUS))
    other = teddies.sample_factors(len(factors), seeded_generator(seed))
    changed = factors.replace(**{name: getattr(other, name)})
    device = next(net.parameters()).device
    a, b = (teddies.render(f.to(device), 64) for f in (factors, changed))
    decoded = decode(net, encode(net, a)) - decode(net, encode(net, b))
    return (a - b).square().mean().sqrt().item(), decoded.square().mean().sqrt().item()
