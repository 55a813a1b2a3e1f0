"""Recipes: every trained network of the workbook, each made by one plain function that says what to expect.

    course train fashion-vae           on the command line
    recipes.fashion_vae()              the same from Python: trains, saves under runs/, returns the TrainResult
    recipes.ready("fashion-vae")       what a chapter calls: the network saved by an earlier run, or else a new run

This is where modules are wired together. A recipe trains for a fixed number of steps, so that it can be repeated; the
numbers of steps are such that the VAE and the latent denoiser together take less than three minutes on two cores. On a GPU the
larger setting is used.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from course_lib import checkpoint, manifest, reader, settings, teddies
from course_lib import device as devices
from course_lib.autoencoder import VAE, Autoencoder
from course_lib.classifier import TRAINING, Classifier, calibrate, classifier_loss, read
from course_lib.codec import Codec, PixelCodec, VAECodec, cache, statistics
from course_lib.data import fashion_mnist, to_float
from course_lib.device import Machine
from course_lib.metrics import agreement, psnr
from course_lib.objectives import autoencoder_loss, denoising, reading
from course_lib.settings import KIND, NUM_CLASSES, SCHEDULE  # noqa: F401 (chapters name the recipes' own)
from course_lib.text_denoiser import TextDenoiser
from course_lib.train import LossFn, TrainConfig, TrainResult, train
from course_lib.unet import UNet

_FASHION = "fashion_mnist/train-images-idx3-ubyte.xz"
_NETWORKS: dict[str, type[nn.Module]] = {
    "fashion-autoencoder": Autoencoder,
    "fashion-vae": VAE,
    "fashion-ldm": UNet,
    "fashion-pixel-ddpm": UNet,
    "fashion-classifier": Classifier,
    "teddies-vae": VAE,
    "teddies-ldm": UNet,
    "teddies-words": TextDenoiser,
    "teddies-reader": reader.FactorReader,
}


def runs_dir() -> Path:
    """Where recipes save: ``runs/`` beside ``data/``, or the environment variable COURSE_RUNS."""
    return Path(os.environ.get("COURSE_RUNS") or manifest.data_dir().parent / "runs")


def fashion_autoencoder(**options) -> TrainResult:
    """Chapter 2's autoencoder on Fashion-MNIST, 1,024 pixels to 64 numbers: the VAE's network without the prior.

    About a minute on two cores; test PSNR 23 dB or more.
    """
    return _fashion_autoencoder("fashion-autoencoder", **options)


def fashion_vae(**options) -> TrainResult:
    """Chapter 3's VAE on Fashion-MNIST, 1,024 pixels to 64 numbers.

    About a minute on two cores; test PSNR 23 dB or more with every latent channel active.
    """
    return _fashion_autoencoder("fashion-vae", **options)


def fashion_ldm(**options) -> TrainResult:
    """Chapter 4's class-conditional denoiser, a UNet on the latents of ``fashion-vae``.

    About two minutes on two cores.
    """
    return _fashion_denoiser("fashion-ldm", **options)


def fashion_pixel_ddpm(**options) -> TrainResult:
    """Chapter 4's rival: a class-conditional UNet on the pixels themselves, with the budget of VAE and denoiser together.

    About three minutes on two cores.
    """
    return _fashion_denoiser("fashion-pixel-ddpm", **options)


def fashion_classifier(out: Path | None = None, machine: Machine | None = None, **options) -> TrainResult:
    """The workbook's own judge of Fashion-MNIST, shipped as ``data/weights/fashion_classifier.safetensors``.

    About a minute on two cores; test accuracy 90.5 % or more, calibrated on 5,000 pictures held out of training.
    """
    machine = machine or devices.find()
    config = _configure(TrainConfig(**TRAINING), **options)
    images, labels = fashion_mnist("train", machine.device)
    net = _seeded(config.seed, Classifier)
    result = train(net, classifier_loss, (images[5000:], labels[5000:]), config, machine=machine)
    result.ema.to(machine.device)  # "fsdp" leaves it on the CPU
    temperature = calibrate(result.ema, images[:5000], labels[:5000])
    test_images, test_labels = fashion_mnist("test", machine.device)
    accuracy = agreement(read(result.ema, test_images)[1], test_labels)
    facts = {"metrics": {"test_accuracy": accuracy, "temperature": temperature}}
    _save("fashion-classifier", result, out or _shipped("fashion-classifier"), config, {}, facts, torch.float16)
    return result


def teddies_vae(out: Path | None = None, machine: Machine | None = None, **options) -> TrainResult:
    """The VAE of Teddies, 64×64×3 → 8×8×4, saved as ``data/weights/teddies_vae.safetensors``.

    Five pictures of six are drawn without grain and texture, which do not fit through 48×. About an hour on two
    cores (0.2 s a step); an interrupted run goes on where it stopped. The card tells the test PSNR with and without them.
    """
    machine = machine or devices.find()
    config, training = settings.TEDDIES_VAE
    training = _configure(training, **options)
    images = torch.cat([
        teddies.dataset(settings.TEDDIES * 5 // 6, 1, device=machine.device, fine=False)[0],
        teddies.dataset(settings.TEDDIES // 6, 2, device=machine.device)[0],
    ])  # fmt: skip
    net = _seeded(training.seed, _build, "teddies-vae", config)
    resume = runs_dir() / "teddies_vae.checkpoint"
    resume.parent.mkdir(parents=True, exist_ok=True)
    result = train(net, autoencoder_loss, (images,), training, machine=machine, checkpoint=resume)
    result.ema.to(machine.device)
    drawn = {"test_psnr_without_grain_and_texture": False, "test_psnr": True}
    tests = {name: teddies.dataset(1000, 3, device=machine.device, unseen=True, fine=fine)[0] for name, fine in drawn.items()}
    facts = {"metrics": {name: _psnr(result.ema, some) for name, some in tests.items()}, "latents": _latents(result.ema, images)}
    _save("teddies-vae", result, out or _shipped("teddies-vae"), training, config, facts, torch.float16)
    return result


def teddies_ldm(**options) -> TrainResult:
    """The denoiser of Teddies on the latents of ``teddies-vae``, told any of the five semantic factors.

    About an hour on two cores; an interrupted run goes on where it stopped. Held-out combinations are never seen. Saved as
    ``data/weights/teddies_ldm.safetensors``.
    """
    return _teddies_denoiser("teddies-ldm", settings.TEDDIES_DENOISER, denoising(teddies.LEVELS), **options)


def teddies_words(**options) -> TrainResult:
    """``teddies-ldm`` once more, but told captions: it reads their words itself (`text_denoiser`).

    Same pictures, same network, same share of factors left out, fewer steps: what differs is the form in which they are told.
    About half an hour on two cores. Saved as ``data/weights/teddies_words.safetensors``.
    """
    return _teddies_denoiser("teddies-words", settings.TEDDIES_WORDS, reading(), **options)


def teddies_reader(out: Path | None = None, machine: Machine | None = None, **options) -> TrainResult:
    """Reads the factors of Teddies from pictures, shipped as ``data/weights/teddies_reader.safetensors``.

    About five minutes on two cores; on fresh pictures every semantic factor is right in 97 % or more. It is a judge, so it
    alone has seen every combination of factors.
    """
    machine = machine or devices.find()
    training = _configure(TrainConfig(**reader.TRAINING), **options)
    (some, shown), (others, also) = (teddies.dataset(n, 4, device=machine.device, unseen=unseen) for n, unseen in
                                     ((settings.TEDDIES * 9 // 10, False), (settings.TEDDIES // 10, True)))  # fmt: skip
    parts = [torch.cat(pair) for pair in zip(reader.targets(shown), reader.targets(also), strict=True)]
    net = _seeded(training.seed, _build, "teddies-reader", {})
    result = train(net, reader.reader_loss, (torch.cat([some, others]), *parts), training, machine=machine)
    result.ema.to(machine.device)
    tests, factors = teddies.dataset(2000, 5, device=machine.device)
    facts = {"metrics": reader.accuracy(result.ema, tests, factors)}
    _save("teddies-reader", result, out or _shipped("teddies-reader"), training, net.config, facts, torch.float16)
    return result


RECIPES: dict[str, Callable[..., TrainResult]] = {
    "fashion-autoencoder": fashion_autoencoder,
    "fashion-vae": fashion_vae,
    "fashion-ldm": fashion_ldm,
    "fashion-pixel-ddpm": fashion_pixel_ddpm,
    "fashion-classifier": fashion_classifier,
    "teddies-vae": teddies_vae,
    "teddies-ldm": teddies_ldm,
    "teddies-words": teddies_words,
    "teddies-reader": teddies_reader,
}


def ready(name: str, machine: Machine | None = None, **options) -> nn.Module:
    """The network of a recipe, in eval mode on the machine's device: as shipped, as saved by an earlier run, or trained now.

    options: for the recipe, should it run. Raises ValueError for an unknown name.
    """
    return _ready(name, machine, **options)[0]


def _ready(name: str, machine: Machine | None = None, **options) -> tuple[nn.Module, dict]:
    """What `ready` returns, and the card of its weights."""
    if name not in _NETWORKS:
        raise ValueError(f"There is no recipe for a network {name!r}; choose from {', '.join(_NETWORKS)}.")
    machine = machine or devices.find()
    places = (_shipped(name), saved(name))
    if not any(file.exists() for file in places):
        print(f"{saved(name).name} is not there yet: training {name} now.")
        RECIPES[name](machine=machine, **options)
    weights, card = checkpoint.load(next(filter(Path.exists, places)), machine.device)
    net = _build(name, card["config"]).to(machine.device)
    net.load_state_dict(weights)
    return net.eval(), card


def untrained(
    name: str, seed: int = 0, steps: int | None = None, progress: bool = True, **shape
) -> tuple[nn.Module, TrainConfig]:
    """The network of ``fashion-autoencoder``, ``fashion-vae`` or ``fashion-ldm`` before its training, and how it is trained.

    A CPU's size on every machine: for sweeps, whose points can then be made anywhere. shape: what of the network is to be
    otherwise, say latent_channels=8.
    """
    network, training = (settings.FASHION_DENOISER if name == "fashion-ldm" else settings.FASHION_VAE)["cpu"]
    return _seeded(seed, _build, name, network | shape), _configure(training, seed, steps, progress=progress)


def saved(name: str) -> Path:
    """The file in which a recipe's weights are saved."""
    return runs_dir() / f"{name.replace('-', '_')}.safetensors"


def codec_of(name: str, machine: Machine | None = None) -> VAECodec:
    """The codec of ``fashion-vae`` or ``teddies-vae``, with the statistics of the training set that its card carries."""
    vae, card = _ready(name, machine)
    return VAECodec(vae, *(torch.tensor(card["latents"][key]) for key in ("mean", "std")))


def _fashion_autoencoder(name: str, out: Path | None = None, machine: Machine | None = None, **options) -> TrainResult:
    machine = machine or devices.find()
    config, training = settings.FASHION_VAE[settings.size(machine)]
    training = _configure(training, **options)
    net = _seeded(training.seed, _build, name, config)
    images, _ = fashion_mnist("train", machine.device)
    result = train(net, autoencoder_loss, (images,), training, machine=machine)
    result.ema.to(machine.device)
    facts = {"metrics": {"test_psnr": _psnr(result.ema, fashion_mnist("test", machine.device)[0])}}
    if isinstance(net, VAE):
        facts["latents"] = _latents(result.ema, images)
    _save(name, result, out or saved(name), training, net.config, facts)
    return result


@torch.no_grad()
def _psnr(net: Autoencoder, images: Tensor) -> float:
    """Mean PSNR in dB of the copies of uint8 images."""
    tests = to_float(images)
    return psnr(torch.cat([net(x) for x in tests.split(500)]), tests).item()


def _latents(vae: VAE, images: Tensor) -> dict[str, list[float]]:
    """The card's entry from which a codec is made: mean and standard deviation of each latent channel."""
    return {name: value.tolist() for name, value in zip(("mean", "std"), statistics(vae, images), strict=True)}


def _fashion_denoiser(
    name: str,
    out: Path | None = None,
    machine: Machine | None = None,
    codec: Codec | None = None,
    on_step: Callable | None = None,
    **options,
) -> TrainResult:
    machine = machine or devices.find()
    sizes = settings.PIXEL_DENOISER if name == "fashion-pixel-ddpm" else settings.FASHION_DENOISER
    config, training = sizes[settings.size(machine)]
    training = _configure(training, **options)
    images, labels = fashion_mnist("train", machine.device)
    codec = codec or (PixelCodec() if name == "fashion-pixel-ddpm" else codec_of("fashion-vae", machine))
    latents = cache(codec, images)
    config = {"in_channels": latents.shape[1], **config}
    net = _seeded(training.seed, _build, name, config)
    result = train(net, denoising(NUM_CLASSES), (latents, labels), training, machine=machine, on_step=on_step)
    _save(name, result, out or saved(name), training, config)
    return result


def _teddies_denoiser(
    name: str,
    setting: tuple[dict, TrainConfig],
    objective: LossFn,
    out: Path | None = None,
    machine: Machine | None = None,
    **options,
) -> TrainResult:
    machine = machine or devices.find()
    config, training = setting
    training = _configure(training, **options)
    images, factors = teddies.dataset(settings.TEDDIES, 6, device=machine.device)
    latents = cache(codec_of("teddies-vae", machine), images)
    net = _seeded(training.seed, _build, name, config)
    resume = runs_dir() / f"{saved(name).stem}.checkpoint"
    resume.parent.mkdir(parents=True, exist_ok=True)
    result = train(net, objective, (latents, factors.labels()), training, machine=machine, checkpoint=resume)
    _save(name, result, out or _shipped(name), training, config, dtype=torch.float16)
    return result


def _build(name: str, config: dict) -> nn.Module:
    """The untrained network of a recipe."""
    return _NETWORKS[name](**config)


def _seeded(seed: int, make: Callable[..., nn.Module], *args) -> nn.Module:
    """A network whose first weights depend on the seed alone, without touching the caller's random numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(*args)


def _configure(config: TrainConfig, seed: int = 0, steps: int | None = None, **options) -> TrainConfig:
    """The recipe's own settings but for what is given; options: seconds, progress, devices, nodes, strategy, shards."""
    return replace(config, seed=seed, steps=steps or config.steps, **options)


def _shipped(name: str) -> Path:
    return manifest.data_dir() / "weights" / saved(name).name


def _save(
    name: str,
    result: TrainResult,
    file: Path,
    training: TrainConfig,
    config: dict,
    facts: dict | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """The averaged weights with their card, by the first of all processes; what goes to ``data/`` enters the manifest, too."""
    if not devices.first_process():
        return
    teddy = name.startswith("teddies")
    card = {
        "recipe": name,
        "command": f"course train {name}",
        "seed": training.seed,
        "steps": result.steps,
        "seconds": round(result.seconds, 1),
        "data_sum": "drawn by course_lib.teddies" if teddy else manifest.entries()[_FASHION]["sha256"],
        "config": config,
        "loss": float(result.losses[-100:].mean()),
        **(facts or {}),
    }
    file = checkpoint.save(file, result.ema, card, dtype)
    manifest.record_if_shipped(file, f"trained on {'Teddies' if teddy else 'Fashion-MNIST'} by its recipe", card["command"])
