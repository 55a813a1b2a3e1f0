"""Specs of training, devices, recipes and data."""

from typing import Any

import numpy as np
import torch
from inputs import built, machine, normal, photos, vae
from odd_values import Denoise
from PIL import Image
from spec import exclude, spec
from targets_codecs import folder
from torch import nn

from course_lib.recipes import store
from course_lib.training import TrainConfig, train
from course_lib.training.ema import Ema
from course_lib.training.muon import Muon

CONFIG = {
    "steps": 4,
    "batch_size": 8,
    "optimizer": "adamw",
    "lr": 1e-3,
    "betas": (0.9, 0.99),
    "weight_decay": 0.1,
    "warmup_steps": 2,
    "schedule": "cosine",
    "min_lr_ratio": 0.1,
    "grad_clip": 1.0,
    "ema_decay": 0.9,
    "seed": 1,
    "compile": False,
    "channels_last": False,
    "save_every": 2,
    "log_every": 2,
    "progress": False,
    "devices": 1,
    "nodes": 1,
    "strategy": "auto",
    "shards": 2,
}
for _ in range(3):  # it has many arguments
    spec("training.config.TrainConfig")(lambda: dict(CONFIG))
spec("training.config.TrainConfig")(lambda: {"max_seconds": 3.0, "shards": 2, "batch_size": 4, "optimizer": "muon"})
spec("training.config.TrainConfig.lr_at")(lambda: {"self": TrainConfig(**CONFIG), "step": 3, "fraction": 0.5})
exclude("a record of results", "training.config.TrainResult")


def linear() -> nn.Module:
    return built(nn.Linear, 3, 2)


spec("training.ema.decay_at")(lambda: {"decay": 0.9, "step": 3})
spec("training.ema.Ema")(lambda: {"net": linear(), "decay": 0.9})
spec("training.ema.Ema.update")(lambda: {"self": Ema(linear(), 0.9), "step": 3})


def steps_of_muon(weights: Any, gradient: Any, **options: Any) -> list[torch.Tensor]:
    weights = [
        w.detach().clone().requires_grad_() if isinstance(w, torch.Tensor) and w.is_floating_point() else w for w in weights
    ]
    optimizer = Muon(weights, **options)
    weights[0].grad = gradient
    optimizer.step()
    return [w.detach() for w in weights]


def muon_arguments() -> dict[str, Any]:
    return {
        "weights": [normal(9, 10), normal(3)],
        "gradient": normal(9, 10),
        "lr": 0.1,
        "betas": (0.9, 0.99),
        "momentum": 0.9,
    }


spec("training.muon.Muon", lambda gradient, **options: Muon(**options), fixed=("gradient",))(muon_arguments)
spec("training.muon.Muon.step", steps_of_muon, fixed=("weights", "gradient"))(muon_arguments)
spec("training.muon.orthogonalise")(lambda: {"matrix": normal(4, 5), "rounds": 3})


def trained(net: nn.Module, loss_fn: Any, data: Any, steps: Any) -> torch.Tensor:
    config = TrainConfig(steps=steps, batch_size=4, warmup_steps=0, progress=False)
    return train(net, lambda net, batch, _: loss_fn(net, batch), data, config, machine=machine()).losses


spec("training.loop.train", trained, any_dtype=("data",), fixed=("data", "steps"))(
    lambda: {
        "net": built(nn.Linear, 3, 2),
        "loss_fn": Denoise(lambda net, batch: net(batch[0]).square().mean()[None, None].mean((0, 1))),
        "data": (normal(10, 3), torch.arange(10)),
        "steps": 2,
    }
)
exclude("one step of train, which checks", "training.loop.training_step")
# ---------------------------------------------------------------------------------------------------- devices, recipes


def found(**options: Any) -> Any:
    from course_lib import device

    threads = torch.get_num_threads()
    try:
        return device.find(**options)
    finally:
        torch.set_num_threads(threads)


spec("device.find", found)(lambda: {"device": "cpu", "precision": "fp32", "threads": 1})
spec("device.matmul_rate", fixed=("machine",))(lambda: {"machine": machine(), "n": 32, "seconds": 0.001})
exclude("changes the threads of this process", "device.share_threads", "device.leave_busy_cores")
exclude(
    "takes no arguments", "device.is_main_process", "device.cpu_has_bf16", "device.Machine.autocast", "device.Machine.synchronize"
)
exclude("made by device.find, which checks", "device.Machine")
spec("recipes.store.load_or_train", fixed=("machine",))(lambda: {"name": "teddies-vae", "machine": machine()})
spec("recipes.store.load_codec", fixed=("machine",))(lambda: {"name": "teddies-vae", "machine": machine()})
spec("recipes.store.RunOptions.apply", lambda **options: store.RunOptions(**options).apply(TrainConfig()))(
    lambda: {"seed": 3, "steps": 5, "progress": False, "devices": 1, "nodes": 1, "strategy": "auto", "shards": 2}
)
spec("recipes.store.reconstruction_psnr", shapes={"images": "[B, 1, H, W]"}, number=True)(
    lambda: {"net": vae(), "images": photos(3, 1, 16)}
)
spec("recipes.store.latent_statistics", shapes={"images": "[B, 1, H, W]"}, images=("images",), number=True)(
    lambda: {"vae": vae(), "images": photos(3, 1, 16)}
)

# --------------------------------------------------------------------------------------------------------------- data


def pictures() -> Any:
    made = folder()
    for i in range(3):
        Image.fromarray(np.full((5 + i, 6, 3), 40 * i, np.uint8)).save(made / f"{i}.png")
    return made


spec("data.image_folder")(lambda: {"path": pictures(), "size": 8, "minimum": 2})
spec("data.photographs")(lambda: {"size": 8})
exclude("reads a shipped file of 60,000 images, which takes a second; its one argument is a name", "data.fashion_mnist")
exclude("reads a file; tests/blocks/test_data.py spoils its bytes", "data.read_idx")
