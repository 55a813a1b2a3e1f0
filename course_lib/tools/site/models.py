"""The models of the page on which a reader draws teddies, as ONNX files that need no Python: `course export`.

The page multiplies no matrices of its own: a file is a taught block's trace, and the numbers of the sampler are read off
`samplers.dpmpp_2m`. What is left to the page is guidance's line and sums of arrays.
"""

import contextlib
import io
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from course_lib import device as devices
from course_lib import recipes, teddies, text_to_image
from course_lib.codec import VAECodec
from course_lib.experiments import latent_map
from course_lib.samplers import dpmpp_2m
from course_lib.schedule import Level
from course_lib.storage import atomic
from course_lib.storage.console import logs_errors_alone
from course_lib.text_to_image import TextToImage
from course_lib.tools.site.links import SiteError

STEPS = 20  # the most that the page offers
PROMPT = "two blue teddy bears with a blue scarf eating honey in a bedroom"  # the page begins with it
FILES = ("denoiser.onnx", "decoder.onnx", "map.onnx", "models.json")
_PLAIN = 1024  # initializers with fewer numbers stay as they are


class Estimate(nn.Module):
    """(x_t [B, C, h, w], labels [B, F], the level's t, alpha and sigma, scalars) → x0_hat, of a network that predicts v."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x_t: Tensor, labels: Tensor, t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return alpha * x_t - sigma * self.net(x_t, t.expand(x_t.shape[0]), labels)  # alpha² + sigma² = 1


class Decoder(nn.Module):
    """Latents of unit variance [B, c, h, w] → images [B, C, H, W] in [-1, 1]: `VAECodec.decode`."""

    mean: Tensor
    std: Tensor

    def __init__(self, codec: VAECodec) -> None:
        super().__init__()
        self.decoder = codec.vae.decoder
        self.register_buffer("mean", codec.latents_mean)
        self.register_buffer("std", codec.latents_std)

    def forward(self, latents: Tensor) -> Tensor:
        return self.decoder(latents * self.std + self.mean).clamp(-1, 1)


def export(folder: Path) -> list[Path]:
    """Write FILES into a folder, which is made: the Teddies' denoiser and decoder, chapter 3's decoder, and what goes with them.

    models.json holds the shapes, the null labels, for 1 to STEPS steps the levels and `coefficients`, the words of captions, and
    how far chapter 3's map reaches. Every network takes a batch of any size. Raises SiteError where onnx is not installed.
    """
    machine = devices.find("cpu", "fp32")
    model = text_to_image.load(machine)
    schedule, shape = model.schedule, list(model.shape)
    folder.mkdir(parents=True, exist_ok=True)
    x_t, labels = torch.zeros(2, *shape), torch.zeros(2, len(teddies.NUM_VALUES), dtype=torch.int64)
    level = schedule.level(1)
    numbers = torch.tensor(level.t), torch.tensor(level.alpha), torch.tensor(level.sigma)
    traces = {
        "denoiser.onnx": _trace(Estimate(model.net), x_t=x_t, labels=labels, t=numbers[0], alpha=numbers[1], sigma=numbers[2]),
        "decoder.onnx": _trace(Decoder(_vae_codec(model)), latents=x_t),
        "map.onnx": _trace(recipes.load_or_train("fashion-map-vae", machine).decoder, latents=torch.zeros(2, 2, 1, 1)),
    }
    for name, trace in traces.items():
        atomic.write_atomically(folder / name, trace)
    grids = {steps: schedule.grid(steps) for steps in range(1, STEPS + 1)}
    facts = {
        "shape": shape,
        "null": list(teddies.NUM_VALUES),
        "levels": {steps: [[level.t, level.alpha, level.sigma] for level in grid] for steps, grid in grids.items()},
        "coefficients": {steps: coefficients(dpmpp_2m, grid) for steps, grid in grids.items()},
        "captions": teddies.lexicon(),
        "prompt": PROMPT,
        "extent": latent_map.EXTENT,
    }
    atomic.write_atomically(folder / "models.json", json.dumps(facts, ensure_ascii=False).encode())
    return [folder / name for name in FILES]


def coefficients(sampler: Callable[..., Tensor], levels: list[Level]) -> list[list[float]]:
    """The numbers of a deterministic, linear sampler: x after step k is row k's first number times the noise, of unit variance,
    plus the others times the estimates x0_hat of steps 0 to k.

    They are read off the sampler itself, which is given basis vectors as noise and as estimates. Raises ValueError for a sampler
    that asks for more than one estimate a step.
    """
    noise, *vectors = torch.eye(len(levels), dtype=torch.float64)[:, None, None, None, :]
    rows: list[Tensor] = []

    def denoise(x: Tensor, level: Level) -> Tensor:
        if not vectors:
            raise ValueError(f"{sampler} makes more calls than steps, but must make one network call a step, like dpmpp_2m.")
        return vectors.pop(0)

    last = sampler(denoise, noise * levels[0].sigma, levels, callback=lambda step, level, x, x0: rows.append(x))
    return [row.flatten()[: k + 2].tolist() for k, row in enumerate([*rows[1:], last])]


def _vae_codec(model: TextToImage) -> VAECodec:
    if not isinstance(model.codec, VAECodec):
        raise SiteError(f"the model's codec is a {type(model.codec).__name__}. To fix it: export one with a VAE.")
    return model.codec


def _trace(module: nn.Module, **inputs: Tensor) -> bytes:
    """The module as an ONNX file, for batches of any size of all inputs that have axes."""
    try:
        import onnx
        import onnxscript  # noqa: F401 (torch's exporter needs it)
    except ImportError as error:
        raise SiteError(f"{error.name} is not installed. To fix it: run `make site`, which installs it in .venv.") from None
    batch = torch.export.Dim("batch", min=1, max=4096)
    axes = tuple({0: batch} if x.ndim else None for x in inputs.values())
    with _quiet(), torch.no_grad():
        program = torch.export.export(module.eval(), tuple(inputs.values()), dynamic_shapes=axes)
        traced = torch.onnx.export(program, input_names=list(inputs), output_names=["out"], dynamo=True, external_data=False)
    assert traced is not None  # it is None for the older exporter alone
    model = traced.model_proto
    for node in model.graph.node:  # where in the code it came from, a quarter of the file
        node.ClearField("metadata_props")
    model.graph.ClearField("value_info")
    for weight in list(model.graph.initializer):
        if weight.data_type == onnx.TensorProto.FLOAT and np.prod(weight.dims) >= _PLAIN:
            _shorten(model.graph, weight)
    return model.SerializeToString()


def _shorten(graph: Any, weight: Any) -> None:
    """Store a weight as it is shipped: in half precision where that changes no value, or as integers times step sizes where it
    changes none by more than a millionth."""
    import onnx

    values, name = onnx.numpy_helper.to_array(weight), weight.name
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    make, floats = onnx.helper.make_node, onnx.TensorProto.FLOAT
    if (half == values).all():
        stored = {"half": half}
        nodes = [make("Cast", [f"{name}/half"], [name], to=floats)]
    else:
        for axis in range(min(values.ndim, 2)):
            steps = np.abs(values).max(tuple(i for i in range(values.ndim) if i != axis), keepdims=True) / 127
            integers = np.rint(values / np.where(steps > 0, steps, 1))
            if np.allclose(integers * steps, values, rtol=1e-6, atol=0):
                break
        else:
            return
        stored = {"integers": integers.astype(np.int8), "steps": steps}
        # not DequantizeLinear, which the runtime would compute again in every call
        nodes = [make("Cast", [f"{name}/integers"], [f"{name}/floats"], to=floats)]
        nodes += [make("Mul", [f"{name}/floats", f"{name}/steps"], [name])]
    graph.initializer.remove(weight)
    graph.initializer.extend(onnx.numpy_helper.from_array(array, f"{name}/{what}") for what, array in stored.items())
    for node in reversed(nodes):
        graph.node.insert(0, node)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's progress, and its warnings of packages that these networks do not need."""
    with logs_errors_alone("torch.onnx"), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
