"""The recipes of Fashion-MNIST: autoencoder, VAE, latent denoiser, and a denoiser of pixels to compare with."""

from pathlib import Path
from typing import Any, Literal, TypeVar, overload

from torch import nn

from course_lib import device as devices
from course_lib.autoencoder import Autoencoder, DenseAutoencoder
from course_lib.codec import Codec, PixelCodec, cache
from course_lib.data import fashion_mnist
from course_lib.device import Machine
from course_lib.recipes import configs
from course_lib.recipes.losses import autoencoder_loss, denoising_loss
from course_lib.recipes.store import (
    FASHION_MNIST,
    RECIPES,
    RunOptions,
    build,
    latent_statistics,
    load_codec,
    recipe,
    reconstruction_psnr,
    save,
)
from course_lib.training import OnStep, TrainConfig, TrainResult, train
from course_lib.unet import UNet
from course_lib.vae import VAE, DenseVAE

AnyAutoencoder = TypeVar("AnyAutoencoder", Autoencoder, VAE, DenseAutoencoder, DenseVAE)

_SETTINGS = {
    "fashion-autoencoder": configs.FASHION_VAE,
    "fashion-vae": configs.FASHION_VAE,
    "fashion-map-autoencoder": configs.FASHION_MAP,
    "fashion-map-vae": configs.FASHION_MAP,
    "fashion-ldm": configs.FASHION_DENOISER,
    "fashion-pixel-ddpm": configs.PIXEL_DENOISER,
}


@recipe("fashion-autoencoder", Autoencoder, FASHION_MNIST)
def fashion_autoencoder(
    out: Path | None = None, machine: Machine | None = None, options: RunOptions | None = None
) -> TrainResult[Autoencoder]:
    """Chapter 2's autoencoder on Fashion-MNIST, from 1,024 pixels to 64 latent dimensions: the VAE's network without the prior.

    About a minute on two cores; test PSNR 23 dB or more.
    """
    return _train_autoencoder("fashion-autoencoder", Autoencoder, out, machine, options)


@recipe("fashion-vae", VAE, FASHION_MNIST)
def fashion_vae(out: Path | None = None, machine: Machine | None = None, options: RunOptions | None = None) -> TrainResult[VAE]:
    """Chapter 3's VAE on Fashion-MNIST, from 1,024 pixels to 64 latent dimensions.

    About a minute on two cores; test PSNR 23 dB or more with every latent channel active.
    """
    return _train_autoencoder("fashion-vae", VAE, out, machine, options)


@recipe("fashion-map-autoencoder", DenseAutoencoder, FASHION_MNIST, shipped=True)
def fashion_map_autoencoder(
    out: Path | None = None, machine: Machine | None = None, options: RunOptions | None = None
) -> TrainResult[DenseAutoencoder]:
    """The autoencoder of chapter 2's map: 1,024 pixels to two latent dimensions. Half a minute on two cores; shipped."""
    return _train_autoencoder("fashion-map-autoencoder", DenseAutoencoder, out, machine, options)


@recipe("fashion-map-vae", DenseVAE, FASHION_MNIST, shipped=True)
def fashion_map_vae(
    out: Path | None = None, machine: Machine | None = None, options: RunOptions | None = None
) -> TrainResult[DenseVAE]:
    """The VAE of chapter 3's map: as ``fashion-map-autoencoder``, with a decoder noise of 0.5. Shipped."""
    return _train_autoencoder("fashion-map-vae", DenseVAE, out, machine, options)


@recipe("fashion-ldm", UNet, FASHION_MNIST)
def fashion_ldm(
    out: Path | None = None,
    machine: Machine | None = None,
    options: RunOptions | None = None,
    codec: Codec | None = None,
    on_step: OnStep | None = None,
) -> TrainResult[UNet]:
    """Chapter 4's class-conditional denoiser, a UNet on the latents of ``fashion-vae``.

    About two minutes on two cores. codec: for latents of another VAE. on_step: as in `train`.
    """
    machine = machine or devices.find()
    codec = codec or load_codec("fashion-vae", machine)
    return _train_denoiser("fashion-ldm", codec, out, machine, options, on_step)


@recipe("fashion-pixel-ddpm", UNet, FASHION_MNIST)
def fashion_pixel_ddpm(
    out: Path | None = None,
    machine: Machine | None = None,
    options: RunOptions | None = None,
    on_step: OnStep | None = None,
) -> TrainResult[UNet]:
    """Chapter 4's baseline: a class-conditional UNet on the pixels themselves, with the budget of VAE and denoiser together.

    About three minutes on two cores. on_step: as in `train`.
    """
    return _train_denoiser("fashion-pixel-ddpm", PixelCodec(), out, machine or devices.find(), options, on_step)


@overload
def untrained_network(
    name: Literal["fashion-autoencoder"], seed: int = 0, steps: int | None = None, progress: bool = True, **shape: Any
) -> tuple[Autoencoder, TrainConfig]: ...
@overload
def untrained_network(
    name: Literal["fashion-vae"], seed: int = 0, steps: int | None = None, progress: bool = True, **shape: Any
) -> tuple[VAE, TrainConfig]: ...
@overload
def untrained_network(
    name: Literal["fashion-ldm", "fashion-pixel-ddpm"],
    seed: int = 0,
    steps: int | None = None,
    progress: bool = True,
    **shape: Any,
) -> tuple[UNet, TrainConfig]: ...
@overload
def untrained_network(
    name: str, seed: int = 0, steps: int | None = None, progress: bool = True, **shape: Any
) -> tuple[nn.Module, TrainConfig]: ...
def untrained_network(
    name: str, seed: int = 0, steps: int | None = None, progress: bool = True, **shape: Any
) -> tuple[nn.Module, TrainConfig]:
    """Return the network of a Fashion-MNIST recipe before its training, and its TrainConfig.

    A CPU's size on every machine: for sweeps, whose points can then be made anywhere. shape: arguments of the network that
    differ from the recipe's, for example latent_channels=8.
    """
    config, training = _SETTINGS[name]["cpu"]
    return build(RECIPES[name].network, config | shape, seed), RunOptions(seed, steps, progress=progress).apply(training)


def _train_autoencoder(
    name: str,
    network: type[AnyAutoencoder],
    out: Path | None,
    machine: Machine | None,
    options: RunOptions | None,
) -> TrainResult[AnyAutoencoder]:
    machine, options = machine or devices.find(), options or RunOptions()
    config, training = _SETTINGS[name][configs.profile(machine)]
    training = options.apply(training)
    net = build(network, config, training.seed)
    images, _ = fashion_mnist("train", machine.device)
    result = train(net, autoencoder_loss, (images,), training, machine=machine)
    result.ema.to(machine.device)  # "fsdp" leaves it on the CPU
    test_images, _ = fashion_mnist("test", machine.device)
    facts: dict[str, Any] = {"metrics": {"test_psnr": reconstruction_psnr(result.ema, test_images)}}
    if isinstance(result.ema, VAE):
        facts["latents"] = latent_statistics(result.ema, images)
    save(name, result, training, net.config, out, facts)
    return result


def _train_denoiser(
    name: str, codec: Codec, out: Path | None, machine: Machine, options: RunOptions | None, on_step: OnStep | None
) -> TrainResult[UNet]:
    config, training = _SETTINGS[name][configs.profile(machine)]
    training = (options or RunOptions()).apply(training)
    images, labels = fashion_mnist("train", machine.device)
    latents = cache(codec, images)
    config = {"in_channels": latents.shape[1], **config}
    net = build(UNet, config, training.seed)
    loss = denoising_loss(configs.NUM_CLASSES)
    result = train(net, loss, (latents, labels), training, machine=machine, on_step=on_step)
    save(name, result, training, config, out)
    return result
