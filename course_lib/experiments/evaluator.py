"""Evaluate sets of samples with the workbook's own classifier of Fashion-MNIST."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from course_lib import metrics, recipes
from course_lib.arguments import check_flag, check_integer, check_labels, check_tensor
from course_lib.data import fashion_mnist
from course_lib.device import Machine
from course_lib.judges.classifier import classify
from course_lib.metrics import Interval, bootstrap, frechet_distance, in_support, kid

MAX_RESAMPLES = 10_000


@dataclass(frozen=True)
class Score:
    """Figures of merit of a set of samples.

    frechet: Fréchet distance between the classifier's features of the samples and of the test images.
    agreement: fraction of samples that the classifier assigns to the wanted class.
    frechet_std_error: standard error of ``frechet`` (bootstrap); 0 if it was not requested.
    precision, recall: fraction of samples that look real, fraction of real images that the samples cover; nan if not requested.
    """

    frechet: float
    agreement: float
    frechet_std_error: float = 0.0
    precision: float = float("nan")
    recall: float = float("nan")


class Evaluator:
    """The workbook's own classifier, with its features of the test images computed once.

    machine: where to evaluate. Loads the shipped classifier.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.net = recipes.load_or_train("fashion-classifier", machine)
        self.images, self.labels = fashion_mnist("test", machine.device)
        self.features, self.logits = classify(self.net, self.images)

    def frechet(self, images: Tensor) -> float:
        """Return the Fréchet distance of images [N, 1, 32, 32] to the test images, in the classifier's 64 features."""
        return frechet_distance(classify(self.net, images)[0], self.features)

    def confidence(self, images: Tensor) -> Tensor:
        """Return the probability that the classifier gives to its own answer, 0…1: [N]."""
        return classify(self.net, images)[1].softmax(1).amax(1)

    def score(self, images: Tensor, labels: Tensor, resamples: int = 0, precision_recall: bool = False) -> Score:
        """Score one set of samples, given their wanted classes [N].

        resamples: bootstrap resamples for the standard error; 0 for none. precision_recall: whether to measure precision and
        recall too, against as many test images as there are samples.
        """
        features, logits = self._classify(images, labels, resamples)
        check_flag("precision_recall", precision_recall)
        distance = frechet_distance(features, self.features)
        error = 0.0
        if resamples:
            generator = torch.Generator().manual_seed(0)
            statistic = partial(frechet_distance, b=self.features)
            error = bootstrap(statistic, features, generator=generator, n=resamples).error
        precision, recall = float("nan"), float("nan")
        if precision_recall:
            precision, recall = metrics.precision_recall(self.features[: len(features)], features)
        return Score(distance, metrics.class_agreement(logits, labels), error, precision, recall)

    def intervals(self, images: Tensor, labels: Tensor, resamples: int = 50, k: int = 3) -> dict[str, Interval]:
        """Return Fréchet distance, KID, precision, recall and agreement of one set of samples, with 95 % bootstrap intervals.

        KID, precision and recall are measured against as many test images as there are samples (or all, if there are fewer).
        The bootstrap resamples the generated samples; for recall, which is a fraction of real images, it resamples the real ones.
        """
        features, logits = self._classify(images, labels, resamples)
        real = self.features[: len(features)]
        realistic, covered = in_support(features, real, k).double(), in_support(real, features, k).double()
        correct = (logits.argmax(1) == labels).double()
        statistics: dict[str, tuple[Callable[..., float | Tensor], Tensor]] = {
            "frechet": (partial(frechet_distance, b=self.features), features),
            "kid": (partial(kid, b=real), features),
            "precision": (torch.mean, realistic),
            "recall": (torch.mean, covered),
            "agreement": (torch.mean, correct),
        }
        generator = torch.Generator().manual_seed(0)
        return {name: bootstrap(f, x, generator=generator, n=resamples) for name, (f, x) in statistics.items()}

    def _classify(self, images: Tensor, labels: Tensor, resamples: int) -> tuple[Tensor, Tensor]:
        """Check what there is to score, and return its features and logits."""
        check_tensor("images", images, "[N, 1, H, W]", least=2)
        check_labels("labels", labels, recipes.NUM_CLASSES, len(images))
        check_integer("resamples", resamples, 0, MAX_RESAMPLES)
        return classify(self.net, images)
