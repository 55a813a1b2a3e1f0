"""The registry of recipes, and the files in which their networks are saved and found again."""

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, overload

import torch
from torch import Tensor, nn

from course_lib import device as devices
from course_lib.arguments import check_tensor
from course_lib.autoencoder import Autoencoder, DenseAutoencoder
from course_lib.codec import VAECodec, channel_statistics
from course_lib.device import Machine
from course_lib.images import to_float
from course_lib.judges.classifier import Classifier
from course_lib.judges.factor_reader import FactorReader
from course_lib.metrics import psnr
from course_lib.storage import atomic, shipped, weights
from course_lib.storage.console import say
from course_lib.storage.paths import data_dir, runs_dir
from course_lib.text import TextDenoiser
from course_lib.training import TrainConfig, TrainResult
from course_lib.training.resume import ResumeFile
from course_lib.unet import UNet
from course_lib.vae import VAE, DenseVAE

FASHION_MNIST, TEDDIES = "Fashion-MNIST", "Teddies"
_FASHION_FILE = "fashion_mnist/train-images-idx3-ubyte.xz"

Network = TypeVar("Network", bound=nn.Module)
TrainFn = TypeVar("TrainFn", bound=Callable[..., TrainResult[Any]])


@dataclass(frozen=True)
class RunOptions:
    """Options of a recipe's run that the caller may set, as in `TrainConfig`; the recipe fixes the rest.

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
        """Return the recipe's config with these options in it."""
        steps = config.steps if self.steps is None else self.steps
        return replace(config, **asdict(self) | {"steps": steps})


@dataclass(frozen=True)
class Recipe:
    """One entry of the registry.

    train: ``train(out=None, machine=None, options=None)``. network: the class that it trains. data: the data set. shipped:
    whether the weights belong to data/weights rather than to the user's own runs/. dtype: in which shipped weights are stored.
    """

    name: str
    train: Callable[..., TrainResult[Any]]
    network: type[nn.Module]
    data: str
    shipped: bool
    dtype: torch.dtype = torch.float16

    @property
    def command(self) -> str:
        """The shell command that trains it again."""
        return f"course train {self.name}"

    @property
    def file(self) -> Path:
        """The file that the recipe writes by default, and that `load_or_train` reads."""
        file = saved_file(self.name)
        return data_dir() / "weights" / file.name if self.shipped else file


RECIPES: dict[str, Recipe] = {}


def recipe(
    name: str, network: type[nn.Module], data: str, shipped: bool = False, dtype: torch.dtype = torch.float16
) -> Callable[[TrainFn], TrainFn]:
    """Register the decorated function as the recipe of this name. It then tries its output file before it does anything else."""

    def register(train: TrainFn) -> TrainFn:
        @functools.wraps(train)
        def checked(out: Path | None = None, *arguments: Any, **options: Any) -> TrainResult[Any]:
            check_output(name, out)
            return train(out, *arguments, **options)

        RECIPES[name] = Recipe(name, checked, network, data, shipped, dtype)
        return cast(TrainFn, checked)

    return register


def check_output(name: str, out: Path | None) -> None:
    """Raise OutputError where the weights of this recipe could not be written, now rather than after the training."""
    if not devices.is_main_process():
        return
    try:
        # an existing folder is refused as it is: with the ending appended, the file would appear next to it
        atomic.check_writable(out if out is not None and out.is_dir() else weights.file_name(out or RECIPES[name].file))
    except atomic.OutputError as error:
        if out is not None or RECIPES[name].shipped:
            raise
        raise atomic.OutputError(f"{error} COURSE_RUNS names another folder for what is trained.") from error


# The class of each network, for type checkers; a test compares these names with the registry.
@overload
def load_or_train(
    name: Literal["fashion-autoencoder"], machine: Machine | None = None, options: RunOptions | None = None
) -> Autoencoder: ...
@overload
def load_or_train(
    name: Literal["fashion-vae", "teddies-vae", "teddies-128-vae"],
    machine: Machine | None = None,
    options: RunOptions | None = None,
) -> VAE: ...
@overload
def load_or_train(
    name: Literal["fashion-map-autoencoder"], machine: Machine | None = None, options: RunOptions | None = None
) -> DenseAutoencoder: ...
@overload
def load_or_train(
    name: Literal["fashion-map-vae"], machine: Machine | None = None, options: RunOptions | None = None
) -> DenseVAE: ...
@overload
def load_or_train(
    name: Literal[
        "fashion-ldm",
        "fashion-one-call",
        "fashion-four-steps",
        "fashion-one-step",
        "fashion-pixel-ddpm",
        "teddies-ldm",
        "teddies-128-ldm",
    ],
    machine: Machine | None = None,
    options: RunOptions | None = None,
) -> UNet: ...
@overload
def load_or_train(
    name: Literal["teddies-words"], machine: Machine | None = None, options: RunOptions | None = None
) -> TextDenoiser: ...
@overload
def load_or_train(
    name: Literal["fashion-classifier"], machine: Machine | None = None, options: RunOptions | None = None
) -> Classifier: ...
@overload
def load_or_train(
    name: Literal["teddies-reader"], machine: Machine | None = None, options: RunOptions | None = None
) -> FactorReader: ...
@overload
def load_or_train(name: str, machine: Machine | None = None, options: RunOptions | None = None) -> nn.Module: ...
def load_or_train(name: str, machine: Machine | None = None, options: RunOptions | None = None) -> nn.Module:
    """Return the network of a recipe, in eval mode on the machine's device: as shipped, as saved earlier, or trained now.

    options: for the recipe, if it runs. Training may take an hour; the recipe's docstring says how long. Raises ValueError
    for an unknown name, and DataError where shipped weights are missing: it does not train those unasked.
    """
    return _load_or_train(name, machine, options)[0]


def _load_or_train(
    name: str, machine: Machine | None = None, options: RunOptions | None = None
) -> tuple[nn.Module, dict[str, Any]]:
    """The network of a recipe and the metadata of its weights; see `load_or_train`."""
    if name not in RECIPES:
        raise ValueError(f"There is no recipe for a network {name!r}; choose from {', '.join(RECIPES)}.")
    entry, machine = RECIPES[name], machine or devices.find()
    if not entry.file.exists():
        if entry.shipped:
            shipped.path(f"weights/{entry.file.name}")  # raises, and says how to get it back
        say(f"{entry.file.name} is not there yet: training {name} now.")
        entry.train(machine=machine, options=options)
    state, metadata = weights.load(entry.file, machine.device)
    net = build(entry.network, metadata["config"]).to(machine.device)
    net.load_state_dict(state)
    return net.eval(), metadata


def load_codec(name: str, machine: Machine | None = None) -> VAECodec:
    """Return the codec of ``fashion-vae``, ``teddies-vae`` or ``teddies-128-vae``, with the latent statistics in its metadata.

    Raises ValueError for a recipe that trains no VAE.
    """
    net, metadata = _load_or_train(name, machine)
    if not isinstance(net, VAE):
        raise ValueError(f"{name} trains a {type(net).__name__}, but a codec needs a VAE, such as that of fashion-vae.")
    return VAECodec(net, *(torch.tensor(metadata["latents"][key]) for key in ("mean", "std")))


def build(network: Callable[..., Network], config: dict[str, Any], seed: int = 0) -> Network:
    """Return the untrained network(**config). Its weights depend on the seed alone; torch's global generator is unaffected."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return network(**config)


def saved_file(name: str) -> Path:
    """Return the file under runs/ in which weights of this name are saved."""
    return runs_dir() / f"{name.replace('-', '_')}.safetensors"


@contextlib.contextmanager
def resumable(name: str) -> Iterator[Path]:
    """Give the file from which an interrupted run of a long recipe continues.

    Its folder is made before, and the file is deleted after the block, which trains and saves: whatever stops the block on its
    way to the end leaves the file there.
    """
    file = saved_file(name).with_suffix(".resume")
    atomic.check_writable(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    yield file
    if devices.is_main_process():
        ResumeFile(file).remove()


def save(
    name: str,
    result: TrainResult[Any],
    training: TrainConfig,
    config: dict[str, Any],
    out: Path | None = None,
    facts: dict[str, Any] | None = None,
) -> None:
    """Write the averaged weights with their metadata; under ``data/`` they are also recorded in the manifest.

    Of several processes only the main one writes. config: the network's arguments. facts: more metadata, such as metrics.
    Raises OutputError where they cannot be written there; then they are in the temporary folder, and the message says so.
    """
    if not devices.is_main_process():
        return
    entry = RECIPES[name]
    from_file = entry.data == FASHION_MNIST
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
    file, dtype = out or entry.file, entry.dtype if entry.shipped else None
    try:
        file = weights.save(file, result.ema, metadata, dtype)
    except atomic.OutputError as error:
        elsewhere = weights.save(Path(tempfile.mkdtemp(prefix="course-")) / file.name, result.ema, metadata, dtype)
        raise atomic.OutputError(f"{error} The trained weights are in {elsewhere}: move them to their place.") from error
    shipped.record_if_shipped(file, f"trained on {entry.data} by its recipe", entry.command)


@torch.no_grad()
def reconstruction_psnr(net: Autoencoder | VAE, images: Tensor) -> float:
    """Return the mean PSNR in dB of the reconstructions of uint8 images [N, C, H, W]."""
    check_tensor("images", images, "[N, C, H, W]")
    x = to_float(images)
    return psnr(torch.cat([net(part) for part in x.split(500)]), x).item()


def latent_statistics(vae: VAE, images: Tensor) -> dict[str, list[float]]:
    """Return the metadata from which `load_codec` makes a codec: mean and standard deviation of each latent channel."""
    return {name: value.tolist() for name, value in zip(("mean", "std"), channel_statistics(vae, images), strict=True)}
