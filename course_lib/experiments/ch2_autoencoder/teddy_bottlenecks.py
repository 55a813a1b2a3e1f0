"""Which facts pass a bottleneck, and after how much training? Autoencoders of teddies, read by the factor reader.

``course measure teddy-bottlenecks`` trains networks with 16, 64 and 256 latent dimensions for several numbers of steps, each to
the end of its own learning-rate schedule, and stores what the reader still reads from their reconstructions.
"""

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from course_lib import device as devices
from course_lib import recipes, teddies
from course_lib.arguments import check_integer, check_tensor
from course_lib.autoencoder import Autoencoder
from course_lib.device import Machine
from course_lib.experiments.latents import decode, encode
from course_lib.images import as_float
from course_lib.judges import factor_reader
from course_lib.metrics import psnr
from course_lib.recipes.losses import autoencoder_loss
from course_lib.storage.results import StoredResult
from course_lib.teddies.factors import Factors
from course_lib.training import TrainConfig, train

RESULT = StoredResult("teddy-bottlenecks", "results/teddy_bottlenecks.json")
BUDGETS = {16: (220, 1000, 3000), 64: (220, 1000, 3000), 256: (220, 1000, 3000)}  # latent dimensions: steps of 32 images
TRAINING_IMAGES, TEST_IMAGES = 6000, 500
UNSEEN_SEED = 1000  # of teddies that the shipped VAE has not seen: it was trained on those of seeds 1 and 2
SHOWN = ("background", "fur", "activity", "scarf", "fabric")  # the factors of the figure, those that cover most pixels first


def train_teddy_autoencoder(images: Tensor, channels: int, machine: Machine, steps: int = 220) -> Autoencoder:
    """Train an autoencoder of 64×64 teddies (uint8).

    Its factor is 16: it encodes 12,288 values as 16 latent dimensions for each latent channel.
    """
    check_tensor("images", images, "[N, 3, 64, 64]")
    check_integer("steps", steps, 1, 100_000)
    net = recipes.build(Autoencoder, {"in_channels": 3, "width": 16, "factor": 16, "latent_channels": channels})
    config = TrainConfig(
        steps=steps, batch_size=32, lr=6e-3, betas=(0.9, 0.99), grad_clip=None, ema_decay=0.98, channels_last=True, progress=False
    )
    return train(net, autoencoder_loss, (images,), config, machine=machine).ema


def reconstruction_facts(reconstructions: Tensor, images: Tensor, factors: Factors, machine: Machine) -> dict[str, Any]:
    """What the factor reader reads from reconstructions [N, 3, 64, 64] of images (uint8 or [-1, 1]), and their PSNR in dB.

    "read": the fraction of right answers, for each factor.
    """
    check_tensor("reconstructions", reconstructions, "[N, 3, 64, 64]", "float")
    reader = recipes.load_or_train("teddies-reader", machine)
    read = factor_reader.factor_accuracy(reader, reconstructions, factors)
    return {
        "psnr": round(psnr(reconstructions, as_float(images)).item(), 2),
        "read": {name: round(value, 4) for name, value in read.items()},
    }


def measure_teddy_bottlenecks(steps: int | None = None, seed: int = 0, out: Path | None = None) -> Path:
    """Train and read every network; store the figures as JSON. About twenty-five minutes on one core.

    steps: instead of every budget, for a trial. seed: of the images that the networks are tested with. out: if this file exists,
    an interrupted measurement of every budget and this seed is continued in it: its networks are not trained again.
    """
    machine = devices.find()
    bears, _ = teddies.dataset(TRAINING_IMAGES, 0, device=machine.device)
    images, factors = teddies.dataset(TEST_IMAGES, 1 + seed, device=machine.device)
    references = _references(seed, machine)
    figures = {"command": RESULT.command, "machine": str(machine), "seed": seed, "images": len(images), "batch": 32}
    wanted = [(dimensions, count) for dimensions, counts in BUDGETS.items() for count in (counts if steps is None else (steps,))]
    measured = _measured(out, seed) if steps is None and out else {}
    for dimensions, count in wanted:
        if (dimensions, count) in measured:
            continue
        net = train_teddy_autoencoder(bears, dimensions // 16, machine, steps=count)
        row = {"network": "autoencoder", "dimensions": dimensions, "steps": count}
        row |= reconstruction_facts(decode(net, encode(net, images)), images, factors, machine)
        measured[dimensions, count] = row | {"parameters": sum(p.numel() for p in net.parameters())}
        print(measured[dimensions, count], flush=True)
        if out:
            RESULT.save({**figures, "rows": [*references, *measured.values()]}, out)
    return RESULT.save({**figures, "rows": [*references, *(measured[one] for one in wanted)]}, out)


def _references(seed: int, machine: Machine) -> list[dict[str, Any]]:
    """The rows of the teddies as drawn, and of the shipped VAE, on teddies that it has not seen."""
    images, factors = teddies.dataset(TEST_IMAGES, UNSEEN_SEED + seed, device=machine.device)
    vae = recipes.load_or_train("teddies-vae", machine)
    drawn = reconstruction_facts(as_float(images), images, factors, machine)
    decoded = reconstruction_facts(decode(vae, encode(vae, images)), images, factors, machine)
    return [{"network": "drawn", **drawn, "psnr": None}, {"network": "teddies-vae", "dimensions": 256, **decoded}]


def _measured(out: Path, seed: int) -> dict[tuple[int, int], dict[str, Any]]:
    """The rows of trained networks in an unfinished file of this seed, by dimensions and steps."""
    stored = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    rows = stored.get("rows", ()) if stored.get("seed") == seed else ()
    return {(row["dimensions"], row["steps"]): row for row in rows if "steps" in row}


def skills(stored: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of the stored result, each with "skill": what is read beyond guessing, from 0 to 1, for each named factor."""
    guessing = {name: 1 / n for name, n in zip(factor_reader.NAMED_FACTORS, factor_reader.NUM_VALUES, strict=True)}
    return [
        {**row, "skill": {name: (row["read"][name] - guess) / (1 - guess) for name, guess in guessing.items()}}
        for row in stored["rows"]
    ]
