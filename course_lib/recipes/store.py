"""The registry of recipes, and the files in which their networks are saved and found again."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from course_lib import device as devices
from course_lib.autoencoder import Autoencoder
from course_lib.codec import VAECodec, channel_statistics
from course_lib.device import Machine
from course_lib.images import to_float
from course_lib.metrics import psnr
from course_lib.storage import shipped, weights
from course_lib.storage.paths import data_dir, runs_dir
from course_lib.training import TrainConfig, TrainResult
from course_lib.vae import VAE

FASHION, TEDDIES = "Fashion-MNIST", "Teddies"
_FASHION_FILE = "fashion_mnist/train-images-idx3-ubyte.xz"


@dataclass(frozen=True)
class RunOptions:
    """What a caller may choose of a recipe's run, with the meanings of `TrainConfig`; all else is the recipe's own.

    steps: None for the recipe's number.
    """

    seed: int = 0
    steps: int | None = None
    max_seconds: float | None = None
    progress: bool = True
    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"
    shards: int | None = None

    def apply(self, config: TrainConfig) -> TrainConfig:
        """The recipe's config with these options in it."""
        return replace(config, **asdict(self) | {"steps": self.steps or config.steps})


@dataclass(frozen=True)
class Recipe:
    """One entry of the registry.

    network: the class that it trains. data: the data set. shipped: whether the weights belong to data/weights (stored in fp16)
    rather than to the user's own runs/.
    """

    name: str
    train: Callable[..., TrainResult]
    network: type[nn.Module]
    data: str
    shipped: bool

    @property
    def command(self) -> str:
        """What a reader types to train it again."""
        return f"course train {self.name}"

    @property
    def file(self) -> Path:
        """The file that the recipe writes by default."""
        return shipped_file(self.name) if self.shipped else saved_file(self.name)


RECIPES: dict[str, Recipe] = {}


def recipe(name: str, network: type[nn.Module], data: str, shipped: bool = False) -> Callable[[Callable], Callable]:
    """Register the decorated function, ``train(out=None, machine=None, options=RunOptions())``, under this name."""

    def register(train: Callable[..., TrainResult]) -> Callable[..., TrainResult]:
        RECIPES[name] = Recipe(name, train, network, data, shipped)
        return train

    return register


def load_or_train(name: str, machine: Machine | None = None, options: RunOptions | None = None) -> nn.Module:
    """The network of a recipe, in eval mode on the machine's device: as shipped, as saved by an earlier run, or trained now.

    options: for the recipe, should it run. Training may take an hour; the recipe's docstring says how long. Raises ValueError
    for an unknown name.
    """
    return _load_or_train(name, machine, options)[0]


def _load_or_train(name: str, machine: Machine | None = None, options: RunOptions | None = None) -> tuple[nn.Module, dict]:
    """What `load_or_train` returns, and the metadata of its weights."""
    if name not in RECIPES:
        raise ValueError(f"There is no recipe for a network {name!r}; choose from {', '.join(RECIPES)}.")
    machine = machine or devices.find()
    places = (shipped_file(name), saved_file(name))
    if not any(file.exists() for file in places):
        print(f"{saved_file(name).name} is not there yet: training {name} now.")
        RECIPES[name].train(machine=machine, options=options or RunOptions())
    state, metadata = weights.load(next(filter(Path.exists, places)), machine.device)
    net = build(name, metadata["config"]).to(machine.device)
    net.load_state_dict(state)
    return net.eval(), metadata


def build(name: str, config: dict, seed: int = 0) -> nn.Module:
    """The untrained network of a recipe. Its weights depend on the seed alone; the caller's random numbers are not touched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return RECIPES[name].network(**config)


def saved_file(name: str) -> Path:
    """The file under runs/ in which weights of this name are saved."""
    return runs_dir() / f"{name.replace('-', '_')}.safetensors"


def resume_path(name: str) -> Path:
    """The file from which an interrupted run of a long recipe continues; its folder is made."""
    file = saved_file(name).with_suffix(".checkpoint")
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def shipped_file(name: str) -> Path:
    return data_dir() / "weights" / saved_file(name).name


def load_codec(name: str, machine: Machine | None = None) -> VAECodec:
    """The codec of ``fashion-vae`` or ``teddies-vae``, with the latent statistics of the training set from its metadata."""
    vae, metadata = _load_or_train(name, machine)
    return VAECodec(vae, *(torch.tensor(metadata["latents"][key]) for key in ("mean", "std")))


def save(
    name: str, result: TrainResult, training: TrainConfig, config: dict, out: Path | None = None, facts: dict | None = None
) -> None:
    """Write the averaged weights with their metadata; what goes to ``data/`` enters the list of shipped files.

    Of several processes only the main one writes. facts: more metadata, such as metrics.
    """
    if not devices.is_main_process():
        return
    entry = RECIPES[name]
    from_file = entry.data == FASHION
    metadata = {
        "recipe": name,
        "command": entry.command,
        "seed": training.seed,
        "steps": result.steps,
        "seconds": round(result.seconds, 1),
        "data_checksum": shipped.entries()[_FASHION_FILE]["sha256"] if from_file else "drawn by course_lib.teddies",
        "config": config,
        "loss": float(result.losses[-100:].mean()),
        **(facts or {}),
    }
    file = weights.save(out or entry.file, result.ema, metadata, torch.float16 if entry.shipped else None)
    shipped.record_if_shipped(file, f"trained on {entry.data} by its recipe", entry.command)


@torch.no_grad()
def reconstruction_psnr(net: Autoencoder | VAE, images: Tensor) -> float:
    """Mean PSNR in dB of the reconstructions of uint8 images [N, C, H, W]."""
    x = to_float(images)
    return psnr(torch.cat([net(part) for part in x.split(500)]), x).item()


def latent_statistics(vae: VAE, images: Tensor) -> dict[str, list[float]]:
    """The metadata from which `load_codec` makes a codec: mean and standard deviation of each latent channel."""
    return {name: value.tolist() for name, value in zip(("mean", "std"), channel_statistics(vae, images), strict=True)}
