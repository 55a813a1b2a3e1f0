"""Score sets of samples with the workbook's own judge of Fashion-MNIST."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from course_lib import recipes
from course_lib.data import fashion_mnist
from course_lib.device import Machine
from course_lib.judges.classifier import Classifier, read
from course_lib.metrics import Interval, agreement, bootstrap, frechet_distance, in_support, polynomial_mmd, precision_recall


@dataclass(frozen=True)
class Score:
    """What the judge says of a set of samples.

    frechet: Fréchet distance of its features to the test images'; error: its standard error (bootstrap; 0 where not
    asked for). agreement: share of samples it reads as the wanted class. precision, recall: share of samples that look
    real, share of real images that the samples cover; nan where not asked for.
    """

    frechet: float
    agreement: float
    error: float = 0.0
    precision: float = float("nan")
    recall: float = float("nan")


class Evaluator:
    """The workbook's own classifier, with its features of the test images at hand.

    machine: where to judge. Loads the shipped classifier.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.net: Classifier = recipes.load_or_train("fashion-classifier", machine)
        self.images, self.labels = fashion_mnist("test", machine.device)
        self.features, self.logits = read(self.net, self.images)

    def frechet(self, images: Tensor) -> float:
        """Fréchet distance of images [N, 1, 32, 32] to the test images, in the judge's 64 features."""
        return frechet_distance(read(self.net, images)[0], self.features)

    def confidence(self, images: Tensor) -> Tensor:
        """How sure the judge is of the class that it reads, 0…1: [N]."""
        return read(self.net, images)[1].softmax(1).amax(1)

    def score(self, images: Tensor, labels: Tensor, errors: int = 0, cover: bool = False) -> Score:
        """All figures of one set of samples and their wanted classes [N].

        errors: number of bootstrap resamples for the standard error. cover: whether to measure precision and recall,
        against as many test images as there are samples.
        """
        features, logits = read(self.net, images)
        distance = frechet_distance(features, self.features)
        error = 0.0
        if errors:
            generator = torch.Generator().manual_seed(0)
            statistic = partial(frechet_distance, b=self.features)
            error = bootstrap(statistic, features, generator=generator, n=errors).error
        both = precision_recall(self.features[: len(features)], features) if cover else (float("nan"),) * 2
        return Score(distance, agreement(logits, labels), error, *both)

    def intervals(self, images: Tensor, labels: Tensor, resamples: int = 50, k: int = 3) -> dict[str, Interval]:
        """Fréchet distance, KID, precision, recall and agreement of one set of samples, each with its 95 % bootstrap interval.

        KID, precision and recall are taken against as many test images as there are samples (at most all). What is resampled
        are the samples, and for recall, which is a share of real images, these.
        """
        features, logits = read(self.net, images)
        real = self.features[: len(features)]
        look_real, covered = in_support(features, real, k).double(), in_support(real, features, k).double()
        right = (logits.argmax(1) == labels).double()
        statistics = {
            "frechet": (partial(frechet_distance, b=self.features), features),
            "kid": (partial(polynomial_mmd, b=real), features),
            "precision": (torch.mean, look_real),
            "recall": (torch.mean, covered),
            "agreement": (torch.mean, right),
        }
        generator = torch.Generator().manual_seed(0)
        return {name: bootstrap(f, x, generator=generator, n=resamples) for name, (f, x) in statistics.items()}
