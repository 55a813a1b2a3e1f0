"""Specs of the judges of samples and the evaluator."""

from typing import Any

import torch
from inputs import built, classes, factors, generator, images, machine, normal, photos
from spec import exclude, spec

from course_lib.experiments.evaluator import Evaluator
from course_lib.judges.classifier import Classifier, classify
from course_lib.judges.factor_reader import FactorReader, factor_targets

CLASSIFIER, READER = {"images": "[B, 1, H, W]"}, {"images": "[B, 3, 64, 64]"}


def classifier(**options: Any) -> Classifier:
    return built(Classifier, widths=(8, 8, 8), **options)


def reader() -> FactorReader:
    return built(FactorReader, 8)


spec("judges.classifier.Classifier")(lambda: {"in_channels": 1, "num_classes": 10, "widths": (8, 8, 8)})
for method in ("features", "forward"):
    spec(f"judges.classifier.Classifier.{method}", shapes={"x": "[B, 1, H, W]"})(
        lambda: {"self": classifier(), "x": images(2, 1, 32)}
    )
spec("judges.classifier.augment", any_dtype=("images",), shapes={"images": "[B, C, H, W]"})(
    lambda: {"images": photos(), "generator": generator(), "shift": 1, "mirror": True}
)
spec("judges.classifier.classifier_loss", any_dtype=("batch[0]",), labels={"batch[1]": 10})(
    lambda: {"net": classifier(), "batch": (photos(3, 1, 32), classes(3, 10)), "generator": generator()}
)
spec("judges.classifier.classify", shapes=CLASSIFIER, images=("images",), fixed=("net",))(
    lambda: {"net": classifier(), "images": photos(3, 1, 32), "batch_size": 2}
)
spec("judges.classifier.classify", shapes=CLASSIFIER, images=("images",), fixed=("net",))(
    lambda: {"net": classifier(), "images": images(3, 1, 32)}
)
spec("judges.classifier.calibrate", shapes=CLASSIFIER, images=("images",), rows=[("images", "labels")], labels={"labels": 10})(
    lambda: {"net": classifier(), "images": photos(6, 1, 32), "labels": classes(6, 10)}
)
spec(
    "judges.classifier.best_temperature",
    shapes={"logits": "[N, K]", "labels": "[N]"},
    rows=[("logits", "labels")],
    labels={"labels": 3},
    number=True,
)(lambda: {"logits": normal(8, 3), "labels": classes(8, 3), "max_temperature": 4.0})

F = "judges.factor_reader"
spec(f"{F}.FactorReader")(lambda: {"width": 8})
for method in ("features", "forward"):
    spec(f"{F}.FactorReader.{method}", shapes=READER)(lambda: {"self": reader(), "images": images(2, 3, 64)})
spec(f"{F}.split_outputs", shapes={"out": "[B, 36]"})(lambda: {"out": normal(3, reader().head[1].out_features)})
spec(f"{F}.factor_targets")(lambda: {"factors": factors()})


def reader_batch() -> tuple[torch.Tensor, ...]:
    return photos(3, 3, 64), *factor_targets(factors(3))


spec(f"{F}.reader_loss", any_dtype=("batch[0]", "batch[2]"), labels={"batch[1]": 7})(
    lambda: {"net": reader(), "batch": reader_batch(), "generator": generator()}
)
spec(f"{F}.prediction_loss", any_dtype=("continuous",), labels={"named": 7})(
    lambda: {
        "out": reader()(photos(3, 3, 64).float() / 128 - 1).detach(),
        "named": reader_batch()[1][:3],
        "continuous": reader_batch()[2][:3],
    }
)
spec(f"{F}.corrupt", shapes={"images": "[B, C, H, W]"})(lambda: {"images": images(4), "generator": generator()})
spec(f"{F}.read_factors", shapes=READER, images=("images",))(
    lambda: {"net": reader(), "images": photos(3, 3, 64), "batch_size": 2}
)
spec(f"{F}.factor_accuracy", shapes=READER, images=("images",), rows=[("images", "factors")])(
    lambda: {"net": reader(), "images": photos(4, 3, 64), "factors": factors(4)}
)


def evaluator() -> Evaluator:
    """An evaluator with a small classifier and few test images."""
    made = object.__new__(Evaluator)
    made.machine, made.net = machine(), classifier()
    made.images, made.labels = photos(24, 1, 32), classes(24, 10)
    made.features, made.logits = classify(made.net, made.images)
    return made


E = "experiments.evaluator.Evaluator"
for method in ("frechet", "confidence"):
    spec(f"{E}.{method}", shapes=CLASSIFIER, images=("images",))(lambda: {"self": evaluator(), "images": images(5, 1, 32)})
spec(f"{E}.score", shapes=CLASSIFIER, images=("images",), rows=[("images", "labels")], labels={"labels": 10})(
    lambda: {"self": evaluator(), "images": images(5, 1, 32), "labels": classes(5, 10), "resamples": 2, "precision_recall": True}
)
spec(f"{E}.intervals", shapes=CLASSIFIER, images=("images",), rows=[("images", "labels")], labels={"labels": 10})(
    lambda: {"self": evaluator(), "images": images(5, 1, 32), "labels": classes(5, 10), "resamples": 2, "k": 3}
)
exclude("classifies all test images, which takes seconds", E)
exclude("a record of results", "experiments.evaluator.Score")
