"""Are the samples copies, and how good are they where the measure is not exhausted? Many samples, and floors over several draws.

``course measure sample-check`` draws 10,000 samples of the recipe's latent denoiser and stores two things: how far they are from
the nearest training image, next to new images and to copies; and their Fréchet distance and KID, next to those of real images.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from course_lib import device as devices
from course_lib import recipes
from course_lib.arguments import (
    check_choice,
    check_dictionary,
    check_finite,
    check_integer,
    check_integers,
    check_labels,
    check_tensor,
)
from course_lib.codec import Codec, cache, decode_all
from course_lib.data import fashion_mnist
from course_lib.device import Machine
from course_lib.experiments.evaluator import Evaluator
from course_lib.experiments.floors import DRAWS, floor_of
from course_lib.experiments.generate import balanced_labels, conditional_factory, generate
from course_lib.experiments.limits import MAX_SAMPLES, seeded_generator
from course_lib.images import as_float
from course_lib.judges.classifier import classify
from course_lib.metrics import frechet_distance, kid, nearest_neighbours
from course_lib.storage.results import StoredResult

RESULT = StoredResult("sample-check", "results/sample_check.json")
SAMPLES, COMPARED, KID_PART = 10_000, 1000, 1000
COUNTS = (1000, 2000, 10_000)  # of the images in a Fréchet distance
QUANTILES = tuple(i / 40 for i in range(41))
CONTROL = "new images, reconstructed"  # they pass through the same decoder as the samples, and no network has seen them


def measure(samples: int = SAMPLES, seed: int = 0, out: Path | None = None) -> Path:
    """Draw samples of ``fashion-ldm``, compare them with training and test images, and store the figures as JSON.

    samples: how many. out: the file to write; by default the shipped one under ``data/``. About five minutes on two cores, more
    if VAE and denoiser are not saved yet.
    """
    machine = devices.find()
    check_integer("samples", samples, 20)
    evaluator, codec = Evaluator(machine), recipes.load_codec("fashion-vae", machine)
    return RESULT.save(check_samples(draw_samples(codec, machine, samples, seed), codec, evaluator, seed), out)


def draw_samples(codec: Codec, machine: Machine, n: int = SAMPLES, seed: int = 0) -> Tensor:
    """Draw n samples of ``fashion-ldm``, every class equally often, with 20 steps of DPM-Solver++(2M): images [n, 1, 32, 32]."""
    factory = conditional_factory(recipes.load_or_train("fashion-ldm", machine), machine)
    return generate(factory, balanced_labels(n, machine), codec, (4, 4, 4), machine, seed=seed)


def check_samples(samples: Tensor, codec: Codec, evaluator: Evaluator, seed: int = 0) -> dict[str, Any]:
    """Return the figures that `measure` stores, of samples [N, 1, 32, 32] in [-1, 1] with every class equally often."""
    check_tensor("samples", samples, "[N, 1, 32, 32]", "float", least=20)
    train_images, train_labels = fashion_mnist("train", evaluator.machine.device)
    n = min(COMPARED, len(samples))
    new, seen = (
        as_float(images[balanced_rows(labels, n)])
        for images, labels in ((evaluator.images, evaluator.labels), (train_images, train_labels))
    )
    compared = {
        "samples": samples[:n],
        CONTROL: decode_all(codec, cache(codec, new)),
        "new images": new,
        "copies: training images, reconstructed": decode_all(codec, cache(codec, seen)),
    }
    features = {name: classify(evaluator.net, images)[0] for name, images in compared.items()}
    train_features, _ = classify(evaluator.net, train_images)
    pixels = {name: images.flatten(1) for name, images in compared.items()}
    spaces = {"pixels": (pixels, as_float(train_images).flatten(1)), "features": (features, train_features)}
    nearest = {
        space: summarise({name: nearest_neighbours(x, reference, chunk=250)[0][:, 0] for name, x in sets.items()})
        for space, (sets, reference) in spaces.items()
    }
    sample_features, _ = classify(evaluator.net, samples)
    figures = {"command": RESULT.command, "machine": str(evaluator.machine), "seed": seed, "samples": len(samples)}
    counts = [count for count in COUNTS if count <= len(samples)]
    quality = quality_and_floors(sample_features, train_features, evaluator.features, counts, seed)
    return {**figures, "compared": n, "draws": DRAWS, "kid_part": KID_PART, "nearest": nearest, **quality}


def balanced_rows(labels: Tensor, n: int) -> Tensor:
    """Return the rows of n of the labels [N], 0…9, with every class equally often, as nearly as n allows: int64 [n]."""
    check_labels("labels", labels.cpu() if isinstance(labels, Tensor) else labels, recipes.NUM_CLASSES)
    n = check_integer("n", n, 1, MAX_SAMPLES)
    shares = [len(range(k, n, recipes.NUM_CLASSES)) for k in range(recipes.NUM_CLASSES)]
    found = torch.cat([(labels == k).nonzero()[:share, 0] for k, share in enumerate(shares)])
    if len(found) < n:
        raise ValueError(f"n is {n}, but there are only {len(found)} labels with every class equally often: ask for fewer.")
    return found


def summarise(distances: Mapping[str, Tensor], control: str = CONTROL) -> dict[str, dict[str, Any]]:
    """Compare distances [N] from the nearest training image with those of the control.

    Returns for each set its quantiles (`QUANTILES`), the share that is nearer than the control's 1st percentile (for the control
    itself about 0.01), and the probability that one of the set is nearer than one of the control, with the p-value of the
    Mann–Whitney test that it is one half.
    """
    from scipy.stats import mannwhitneyu

    check_dictionary("distances", distances)
    check_choice("control", control, distances)
    rows = {}
    for name, values in distances.items():
        check_tensor(f"distances[{name!r}]", values, "[N]", "float", least=2)
        check_finite(f"distances[{name!r}]", values)
        rows[name] = values.double().cpu()
    first = rows[control].quantile(0.01)
    found = {}
    for name, values in rows.items():
        test = mannwhitneyu(rows[control].numpy(), values.numpy())
        found[name] = {
            "quantiles": [round(v, 3) for v in values.quantile(torch.tensor(QUANTILES, dtype=torch.float64)).tolist()],
            "nearer_than_1_percent": round((values < first).double().mean().item(), 4),
            "nearer_than_control": round(float(test.statistic) / (len(values) * len(rows[control])), 4),
            "p": float(f"{test.pvalue:.2g}"),
        }
    return found


def quality_and_floors(
    samples: Tensor, train: Tensor, test: Tensor, counts: Sequence[int] = COUNTS, seed: int = 0
) -> dict[str, Any]:
    """Return Fréchet distance and KID of the samples from the test images, and the floors: training images from test images.

    samples, train, test: features [N, D], [M, D], [K, D]. counts: the numbers of images in a Fréchet distance. KID is the mean
    over parts of `KID_PART` images. A floor is mean, least and greatest of ten draws of as many training images.
    """
    check_tensor("samples", samples, "[N, D]", "float", least=2)
    for name, features in (("train", train), ("test", test)):
        check_tensor(name, features, f"[N, {samples.shape[1]}]", "float", least=2)
    counts = check_integers("counts", counts, 2, min(len(samples), len(train)))
    generator = seeded_generator(seed)

    def floor(n: int, distance: Callable[[Tensor], float]) -> list[float]:
        draws = [torch.randperm(len(train), generator=generator)[:n].to(train.device) for _ in range(DRAWS)]
        return [round(value, 5) for value in floor_of([distance(train[rows]) for rows in draws])]

    def frechet(x: Tensor) -> float:
        return frechet_distance(x, test)

    def mean_kid(x: Tensor) -> float:
        pairs = [pair for pair in zip(x.split(KID_PART), test.split(KID_PART), strict=False) if min(map(len, pair)) > 1]
        return sum(kid(a, b) for a, b in pairs) / len(pairs)

    distances = {str(n): {"samples": round(frechet(samples[:n]), 4), "floor": floor(n, frechet)} for n in counts}
    largest = max(counts)
    return {"frechet": distances, "kid": {"samples": round(mean_kid(samples[:largest]), 5), "floor": floor(largest, mean_kid)}}
