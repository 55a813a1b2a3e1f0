"""Which latents are best to generate in? Every way of making them, with the same short training of the same denoiser.

``course measure latents`` trains each way of `codecs.WAYS` with two seeds and stores the figures; notebook 12 reads them and
makes one point again. What may predict the samples' quality from the latents alone is in `PREDICTORS`.
"""

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.stats import spearmanr
from torch import Tensor

from course_lib import device as devices
from course_lib import recipes
from course_lib.arguments import check_choice, check_integer, check_numbers, check_tensor
from course_lib.codec import cache, decode_all
from course_lib.data import fashion_mnist
from course_lib.device import Machine
from course_lib.experiments.ch12_latents.codecs import WAYS, LatentCodec, make_codec
from course_lib.experiments.ch12_latents.measures import (
    WHITE_NOISE,
    high_frequency_share,
    irreducible_variance,
    kl_nats,
    scale_psnr,
)
from course_lib.experiments.evaluator import Evaluator
from course_lib.experiments.generate import balanced_labels, conditional_factory, generate
from course_lib.experiments.limits import seeded_generator
from course_lib.images import as_float
from course_lib.judges.classifier import classify
from course_lib.metrics import class_agreement, frechet_distance, kid, psnr
from course_lib.notebook.pictures import tile, webp
from course_lib.recipes.losses import denoising_loss
from course_lib.storage.paths import runs_dir
from course_lib.storage.results import StoredResult, append_point, group_points, read_points
from course_lib.training import TrainResult, train
from course_lib.unet import UNet

RESULT = StoredResult("latents", "results/latents.json")
STEPS, BATCH, SEEDS, SAMPLES = 400, 128, 2, 3000
STORED, PROBES = 10_000, 250  # latents of the empirical distribution, and others to which noise is added

# Measured first, with both seeds, so that a run that is stopped early has what matters most.
FIRST = (
    "beta 1", "f8 c4", "equivariant 1", "noisy decoder 0.5", "features c4", "beta 8", "beta 0.25", "f8 c16", "f8 c1",
    "features c16", "noisy decoder 1", "noisy both 0.5", "beta 32", "f16 c16", "equivariant 0.25",
)  # fmt: skip
LONGER, LONG_WAYS = 4, ("f8 c2", "f8 c4", "f8 c16")  # whose denoisers are trained once more, for so many times the steps
SHOWN, SHOWN_WAYS = 10, ("beta 1", "f8 c4", "f8 c16", "features c4")  # samples stored of these ways' first seed, for the eye
PREDICTORS = {
    "dimensions": "dimensions",
    "psnr": "PSNR (dB)",
    "floor": "Fréchet distance of reconstructions",
    "kl": "KL (nats)",
    "high_frequencies": "share of high frequencies",
    "scale_psnr": "scale equivariance (dB)",
    "irreducible_low": "irreducible variance, lower bound",
    "irreducible_high": "irreducible variance, upper bound",
    "denoising_loss": "the denoiser's own loss",
}
OUTCOMES = {
    "frechet": "Fréchet distance",
    "kid": "KID",
    "pixel_frechet": "Fréchet distance of pixels",
    "agreement": "prompt adherence",
}


def measure(steps: int | None = None, seed: int = 0, out: Path | None = None) -> Path:
    """Measure every way of making latents with two seeds, and some of them with longer training; store the figures as JSON.

    steps: of each denoiser, 400 where None. out: the file to write; by default the shipped one under ``data/``. About an hour
    on one core. Each point is saved under runs/ as soon as it is there, and the same command continues after an interruption.
    """
    machine = devices.find()
    steps, seed = check_integer("steps", steps or STEPS, 1), check_integer("seed", seed, 0)
    evaluator, partial, seeds = Evaluator(machine), runs_dir() / f"latents_steps_{steps}.jsonl", range(seed, seed + SEEDS)
    found = {(p["way"], p["seed"], p["steps"]): p for p in read_points(partial)}
    wanted = [(name, s, steps) for name in (*FIRST, *(name for name in WAYS if name not in FIRST)) for s in seeds]
    wanted += [(name, s, LONGER * steps) for name in LONG_WAYS if name in WAYS for s in seeds]
    for name, s, n in wanted:
        if (name, s, n) not in found:
            found[name, s, n] = measure_point(name, evaluator, s, n)
            append_point(partial, found[name, s, n])
        print(found[name, s, n], flush=True)
    points, longer = (
        [found[name, s, n] for name in WAYS for s in seeds if (name, s, n) in found] for n in (steps, LONGER * steps)
    )
    figures = {**stored_figures(points, evaluator, steps, seed), "longer": {"steps": LONGER * steps, "points": longer}}
    file = RESULT.save(figures, out)
    partial.unlink(missing_ok=True)
    return file


def stored_figures(points: list[dict[str, Any]], evaluator: Evaluator, steps: int, seed: int) -> dict[str, Any]:
    """Return what is stored: the points, how they were measured, and what real images would score (``real``)."""
    images, labels = fashion_mnist("train", evaluator.machine.device)
    figures = {"command": RESULT.command, "machine": str(evaluator.machine), "seed": seed, "seeds": SEEDS, "steps": steps}
    settings = {"batch": BATCH, "samples": SAMPLES, "sampler": "DPM-Solver++(2M), 20 steps", "white_noise": WHITE_NOISE}
    real = quality(as_float(images[:SAMPLES]), labels[:SAMPLES], evaluator)
    return {**figures, **settings, "real": real, "points": points}


def measure_point(name: str, evaluator: Evaluator, seed: int = 0, steps: int = STEPS, n: int = SAMPLES) -> dict[str, Any]:
    """Make one way's latents from a seed, train the denoiser on them, and return the point: what was measured of both.

    name: in `codecs.WAYS`. steps: of the denoiser; n: samples. About a minute on one core. ``seconds`` are the denoiser's.
    """
    check_choice("name", name, WAYS)
    machine = evaluator.machine
    images, labels = fashion_mnist("train", machine.device)
    codec = make_codec(name, machine, seed, images=images)
    latents = cache(codec, images)
    facts = latent_facts(codec, latents, images, evaluator)
    result = train_denoiser(latents, labels, machine, steps, seed)
    facts |= {"denoising_loss": round(float(result.losses[-100:].mean()), 4), "seconds": round(result.seconds, 1)}
    wanted = balanced_labels(n, machine)
    samples = generate(conditional_factory(result.ema, machine), wanted, codec, tuple(latents.shape[1:]), machine, seed=seed)
    which = {"way": name, "family": WAYS[name].family, "seed": seed, "steps": steps}
    shown = {"samples": _packed(samples[:SHOWN])} if (name, seed, steps) in ((way, 0, STEPS) for way in SHOWN_WAYS) else {}
    return {**which, **facts, **quality(samples, wanted, evaluator), **shown}


def _packed(images: Tensor) -> str:
    """Grey images [N, 1, 32, 32] in [-1, 1] as one row, a lossless WebP in base64."""
    return base64.b64encode(webp(tile(images.cpu(), columns=len(images), scale=1, gap=0))).decode()


def stored_samples(figures: dict[str, Any]) -> dict[str, Tensor]:
    """Return the first samples of the ways for which they are stored: uint8 [N, 1, 32, 32]."""
    found = {}
    for point in figures["points"]:
        if "samples" in point:
            row = np.asarray(Image.open(io.BytesIO(base64.b64decode(point["samples"]))).convert("L"))
            found[point["way"]] = torch.tensor(row).unflatten(1, (-1, 32)).movedim(1, 0)[:, None]
    return found


def latent_facts(codec: LatentCodec, latents: Tensor, images: Tensor, evaluator: Evaluator) -> dict[str, Any]:
    """Return what is known of a codec before any denoiser is trained; latents: of the training images, uint8 [N, 1, 32, 32].

    psnr and scale_psnr: of the test images, in dB. floor, pixel_floor: the Fréchet distances of reconstructed training images, as
    many as the samples; no denoiser can be expected below them. kl: in nats per image, or None. The irreducible variances are per
    dimension.
    """
    test = as_float(evaluator.images)
    test_latents = cache(codec, test)
    seen = decode_all(codec, latents[:SAMPLES])
    low, high = irreducible_variance(latents[:STORED], test_latents[:PROBES], seeded_generator(0))
    kl = kl_nats(codec, evaluator.images)
    return {
        "shape": list(latents.shape[1:]),
        "dimensions": latents[0].numel(),
        "psnr": round(psnr(decode_all(codec, test_latents), test).item(), 3),
        "floor": round(evaluator.frechet(seen), 3),
        "pixel_floor": round(_pixel_frechet(seen, evaluator), 3),
        "kl": None if kl is None else round(kl, 2),
        "high_frequencies": round(high_frequency_share(latents[:STORED]), 4),
        "scale_psnr": round(scale_psnr(codec.net, images[:STORED]), 3),
        "irreducible_low": round(low, 4),
        "irreducible_high": round(high, 4),
    }


def train_denoiser(latents: Tensor, labels: Tensor, machine: Machine, steps: int = STEPS, seed: int = 0) -> TrainResult[UNet]:
    """Train the denoiser of ``fashion-ldm`` (in its CPU size) on latents [N, c, h, w] with labels [N], for a few steps."""
    net, training = recipes.untrained_network("fashion-ldm", seed, steps, progress=False, in_channels=latents.shape[1])
    training = replace(training, batch_size=BATCH)
    return train(net, denoising_loss(recipes.NUM_CLASSES), (latents, labels), training, machine=machine)


def quality(images: Tensor, labels: Tensor, evaluator: Evaluator) -> dict[str, float]:
    """Return Fréchet distance, KID and prompt adherence of images [N, 1, 32, 32] in [-1, 1] whose wanted classes are labels [N].

    Prompt adherence: the fraction that the classifier assigns to the wanted class. KID: against as many test images. The Fréchet
    distance of pixels comes from a judge that was not trained, and so cannot prefer features like its own (`pixel_features`).
    """
    features, logits = classify(evaluator.net, images)
    return {
        "frechet": round(frechet_distance(features, evaluator.features), 3),
        "kid": round(kid(features, evaluator.features[: len(features)]), 5),
        "pixel_frechet": round(_pixel_frechet(images, evaluator), 3),
        "agreement": round(class_agreement(logits, labels), 4),
    }


def pixel_features(images: Tensor, evaluator: Evaluator, components: int = 64) -> Tensor:
    """Return images [N, 1, 32, 32], uint8 or in [-1, 1], in the first principal components of the test images [N, components]."""
    check_tensor("images", images, "[N, 1, 32, 32]")
    test = as_float(evaluator.images).flatten(1).double()
    axes = torch.linalg.eigh(test.T.cov())[1][:, -check_integer("components", components, 1, test.shape[1]) :]
    return (as_float(images).flatten(1).double() - test.mean(0)) @ axes


def _pixel_frechet(images: Tensor, evaluator: Evaluator) -> float:
    """The Fréchet distance to the test images in `pixel_features`, whose axes are computed once for both sets."""
    both = pixel_features(torch.cat([as_float(images), as_float(evaluator.images)]), evaluator)
    return frechet_distance(both[: len(images)], both[len(images) :])


# ------------------------------------------------------------------------------------------------ reading the figures


def by_way(figures: dict[str, Any], key: str) -> dict[str, list[Any]]:
    """Return the stored values of a figure for each way, one for each seed."""
    return group_points(figures["points"], lambda p: p["way"], lambda p: p[key])


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Return Spearman's rank correlation of two lists of numbers, −1…1; nan where one of them is constant."""
    a, b = check_numbers("a", a), check_numbers("b", b)
    if len(a) != len(b) or len(a) < 2:
        raise ValueError(f"The lists have {len(a)} and {len(b)} numbers, but must have equally many, at least 2.")
    if len(set(a)) == 1 or len(set(b)) == 1:
        return float("nan")
    return float(spearmanr(a, b).statistic)


def correlations(figures: dict[str, Any], outcome: str = "frechet", ways: Iterable[str] | None = None) -> dict[str, list[float]]:
    """Return the rank correlation of each predictor with an outcome over the ways, one for each seed.

    outcome: in `OUTCOMES`. ways: names, all where None; those without the figure (the KL of what is no VAE) are left out, and a
    predictor that fewer than three ways have is too.
    """
    check_choice("outcome", outcome, OUTCOMES)
    names = set(WAYS if ways is None else ways)
    found: dict[str, list[float]] = {}
    for predictor in PREDICTORS:
        for seed in range(figures["seed"], figures["seed"] + figures["seeds"]):
            has = [p for p in figures["points"] if p["seed"] == seed and p["way"] in names and p[predictor] is not None]
            if len(has) >= 3:
                pairs = [(p[predictor], p[outcome]) for p in has]
                found.setdefault(predictor, []).append(rank_correlation(*zip(*pairs, strict=True)))
    return found
