"""Draw many samples from a denoiser and score them with the workbook's own judge: what chapters 4 and 5 both do."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from course_lib import recipes
from course_lib.classifier import Classifier, read
from course_lib.codec import Codec, decode_all
from course_lib.data import fashion_mnist
from course_lib.device import Machine
from course_lib.diffusion import Denoiser, denoiser
from course_lib.metrics import Interval, agreement, bootstrap, frechet_distance, inside, polynomial_mmd, precision_recall
from course_lib.samplers import ddim, dpmpp_2m, heun
from course_lib.schedule import Level

Maker = Callable[[Tensor], Denoiser]
"""Labels [B] → the denoiser that draws them."""

SAMPLERS = {
    "DDPM": partial(ddim, eta=1.0),
    "DDIM": ddim,
    "DPM-Solver++(2M)": dpmpp_2m,
    "Heun": heun,
}


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


class Judge:
    """The workbook's own classifier, with its features of the test images at hand.

    machine: where to judge. Loads the shipped classifier.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.net: Classifier = recipes.ready("fashion-classifier", machine)
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
        look_real, covered = inside(features, real, k).double(), inside(real, features, k).double()
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


def balanced(n: int, machine: Machine) -> Tensor:
    """n labels, every class equally often (as nearly as n allows): int64 [n]."""
    return torch.arange(n, device=machine.device) % recipes.NUM_CLASSES


def conditional(net: nn.Module, machine: Machine, kind: str | None = None) -> Maker:
    """The network, which predicts this kind (default: the recipes'), as a maker of denoisers of given classes,
    at the machine's precision."""
    autocast = None if machine.dtype == torch.float32 else machine.dtype
    return lambda y: denoiser(net, kind or recipes.KIND, y, autocast)


def unconditional(net: nn.Module, machine: Machine) -> Maker:
    """The same network asked for no class in particular (the null label), whatever labels it is given."""
    return lambda y: conditional(net, machine)(torch.full_like(y, recipes.NUM_CLASSES))


def noise(n: int, shape: tuple[int, ...], machine: Machine, seed: int = 0) -> Tensor:
    """Unit noise [n, *shape], the same on every device for one seed."""
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed)).to(machine.device)


def draw(
    make: Maker,
    labels: Tensor,
    codec: Codec,
    shape: tuple[int, ...],
    machine: Machine,
    *,
    levels: list[Level] | None = None,
    sampler: str = "DPM-Solver++(2M)",
    seed: int = 0,
    batch: int = 250,
) -> Tensor:
    """Images [N, C, H, W] of the wanted labels [N], from noise that depends on the seed alone.

    levels: what the sampler visits; 20 steps of the recipes' schedule where None. sampler: a name in SAMPLERS.
    """
    levels = levels or recipes.SCHEDULE().grid(20)
    walk = SAMPLERS[sampler]
    if sampler == "DDPM":
        walk = partial(walk, generator=torch.Generator(machine.device).manual_seed(seed + 1))
    x_T = levels[0].sigma * noise(len(labels), shape, machine, seed)
    parts = [walk(make(y), x, levels) for x, y in zip(x_T.split(batch), labels.split(batch), strict=True)]
    return decode_all(codec, torch.cat(parts))
