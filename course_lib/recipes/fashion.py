"""The recipes of Fashion-MNIST: autoencoder, VAE, latent denoiser, and a denoiser of pixels to compare with."""

from collections.abc import Callable
from pathlib import Path

from torch import nn

from course_lib import device as devices
from course_lib.autoencoder import Autoencoder
from course_lib.codec import Codec, PixelCodec, cache
from course_lib.data import fashion_mnist
from course_lib.device import Machine
from course_lib.recipes import configs
from course_lib.recipes.losses import autoencoder_loss, denoising_loss
from course_lib.recipes.store import (
    FASHION,
    RunOptions,
    build,
    load_codec,
    latent_statistics,
    recipe,
    reconstruction_psnr,
    save,
)
from course_lib.training import TrainConfig, TrainResult, train
from course_lib.unet import UNet
from course_lib.vae import VAE


@recipe("fashion-autoencoder", Autoencoder, FASHION)
def fashion_autoencoder(
    out: Path | None = None, machine: Machine | None = None, options: RunOptions | None = None
) -> TrainResult:
    """Chapter 2's autoencoder on Fashion-MNIST, from 1,024 pixels to 64 latent dimensions: the VAE's network without the prior.

    About a minute on two cores; test PSNR 23 dB or more.
    """
    return _autoencoder("fashion-autoencoder", out, machine, options)


@recipe("fashion-vae", VAE, FASHION)
def fashion_vae(out: Path | None = None, machine: Machine | None = None, options: RunOptions | None = None) -> TrainResult:
    """Chapter 3's VAE on Fashion-MNIST, from 1,024 pixels to 64 latent dimensions.

    About a minute on two cores; test PSNR 23 dB or more with every latent channel active.
    """
    return _autoencoder("fashion-vae", out, machine, options)


@recipe("fashion-ldm", UNet, FASHION)
def fashion_ldm(
    out: Path | None = None,
    machine: Machine | None = None,
    options: RunOptions | None = None,
    codec: Codec | None = None,
    on_step: Callable[[int, nn.Module, nn.Module], None] | None = None,
) -> TrainResult:
    """Chapter 4's class-conditional denoiser, a UNet on the latents of ``fashion-vae``.

    About two minutes on two cores. codec: for latents of another VAE. on_step: as of `train`.
    """
    machine = machine or devices.find()
    codec = codec or load_codec("fashion-vae", machine)
    return _denoiser("fashion-ldm", configs.FASHION_DENOISER, codec, out, machine, options, on_step)


@recipe("fashion-pixel-ddpm", UNet, FASHION)
def fashion_pixel_ddpm(
    out: Path | None = None,
    machine: Machine | None = None,
    options: RunOptions | None = None,
    on_step: Callable[[int, nn.Module, nn.Module], None] | None = None,
) -> TrainResult:
    """Chapter 4's baseline: a class-conditional UNet on the pixels themselves, with the budget of VAE and denoiser together.

    About three minutes on two cores. on_step: as of `train`.
    """
    return _denoiser("fashion-pixel-ddpm", configs.PIXEL_DENOISER, PixelCodec(), out, machine, options, on_step)


def untrained_network(
    name: str, seed: int = 0, steps: int | None = None, progress: bool = True, **shape
) -> tuple[nn.Module, TrainConfig]:
    """The network of ``fashion-autoencoder``, ``fashion-vae`` or ``fashion-ldm`` before its training, and its TrainConfig.

    A CPU's size on every machine: for sweeps, whose points can then be made anywhere. shape: arguments of the network that
    differ from the recipe's, for example latent_channels=8.
    """
    network, training = (configs.FASHION_DENOISER if name == "fashion-ldm" else configs.FASHION_VAE)["cpu"]
    return build(name, network | shape, seed), RunOptions(seed, steps, progress=progress).apply(training)


def _autoencoder(name: str, out: Path | None, machine: Machine | None, options: RunOptions | None) -> TrainResult:
    machine, options = machine or devices.find(), options or RunOptions()
    config, training = configs.FASHION_VAE[configs.profile(machine)]
    training = options.apply(training)
    net = build(name, config, training.seed)
    images, _ = fashion_mnist("train", machine.device)
    result = train(net, autoencoder_loss, (images,), training, machine=machine)
    result.ema.to(machine.device)  # "fsdp" leaves it on the CPU
    facts = {"metrics": {"test_psnr": reconstruction_psnr(result.ema, fashion_mnist("test", machine.device)[0])}}
    if isinstance(net, VAE):
        facts["latents"] = latent_statistics(result.ema, images)
    save(name, result, training, net.config, out, facts)
    return result


def _denoiser(
    name: str,
    profiles: dict[str, tuple[dict, TrainConfig]],
    codec: Codec,
    out: Path | None,
    machine: Machine | None,
    options: RunOptions | None,
    on_step: Callable[[int, nn.Module, nn.Module], None] | None,
) -> TrainResult:
    machine, options = machine or devices.find(), options or RunOptions()
    config, training = profiles[configs.profile(machine)]
    training = options.apply(training)
    images, labels = fashion_mnist("train", machine.device)
    latents = cache(codec, images)
    config = {"in_channels": latents.shape[1], **config}
    net = build(name, config, training.seed)
    loss = denoising_loss(configs.NUM_CLASSES)
    result = train(net, loss, (latents, labels), training, machine=machine, on_step=on_step)
    save(name, result, training, config, out)
    return result
