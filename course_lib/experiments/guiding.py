"""The experiments of chapter 5: a classifier on noisy latents, and the frontier of guidance's kinds."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib import checkpoint, recipes
from course_lib.classifier import best_temperature, read
from course_lib.codec import Codec
from course_lib.data import FASHION_CLASSES
from course_lib.device import Machine
from course_lib.diffusion import Denoiser, add_noise, stratified_steps
from course_lib.experiments.quality import Judge, Maker, Score, balanced, conditional, draw, unconditional
from course_lib.guidance import classifier_guide, guide, within
from course_lib.layers import Conditioning
from course_lib.metrics import agreement, calibration_error
from course_lib.schedule import Level
from course_lib.train import TrainConfig, TrainResult, train

# ------------------------------------------------------------------------------------------- a classifier of noisy latents


class NoisyClassifier(nn.Module):
    """Which class a noisy latent shows: x_t [B, C, h, w] at a level → logits [B, num_classes].

    numbers: C·h·w of a latent. Three linear layers over all its numbers, told the time as the denoiser is. It reads
    alpha · x_t, the best linear guess of a unit latent: so its gradient fades with the signal, as the true one does. Guidance
    multiplies the gradient by sigma² / alpha, and an error that did not fade would be blown up at the start of the walk.
    """

    def __init__(self, numbers: int = 64, num_classes: int = recipes.NUM_CLASSES, width: int = 256) -> None:
        super().__init__()
        self.time = Conditioning(width, None)
        self.read, self.think = nn.Linear(numbers, width), nn.Linear(width, width)
        self.head = nn.Linear(width, num_classes)

    def forward(self, x_t: Tensor, level: Level) -> Tensor:
        t = level.t if isinstance(level.t, Tensor) else torch.full((len(x_t),), level.t, device=x_t.device)
        h = F.silu(self.read((level.alpha * x_t).flatten(1)) + self.time(t, None))
        return self.head(h + F.silu(self.think(h)))


def train_noisy_classifier(
    latents: Tensor, labels: Tensor, machine: Machine, steps: int = 3000, highest: int | None = None
) -> TrainResult:
    """Train a ``NoisyClassifier`` on latents [N, C, h, w] at the noise levels of the recipes' schedule: some seconds.

    highest: the last step t whose noise it sees; all of them where None, next to none with 1.
    """
    schedule = recipes.SCHEDULE()

    def objective(net: nn.Module, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
        x0, y = batch
        level = schedule.at(stratified_steps(len(x0), highest or schedule.T, x0.device, generator))
        eps = torch.randn(x0.shape, device=x0.device, generator=generator)
        return F.cross_entropy(net(add_noise(x0, eps, level), level).float(), y)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = NoisyClassifier(latents[0].numel())
    config = TrainConfig(steps=steps, batch_size=256, lr=2e-3, ema=0.998, weight_decay=0.01)
    return train(net, objective, (latents, labels), config, machine=machine)


class Calibrated(nn.Module):
    """A noisy classifier whose logits are divided by a temperature that depends on the level: (x_t, level) → logits.

    ts, temperatures: where it was fitted, ascending; between them it is interpolated (and held beyond the ends), so that the
    guiding gradient, which it divides too, never jumps.
    """

    def __init__(self, net: nn.Module, ts: Sequence[int], temperatures: Sequence[float]) -> None:
        super().__init__()
        self.net = net
        table = np.interp(np.arange(recipes.SCHEDULE().T + 1), ts, temperatures)
        self.register_buffer("table", torch.from_numpy(table).float().to(next(net.parameters()).device))

    def forward(self, x_t: Tensor, level: Level) -> Tensor:
        temperature = self.table[level.t]
        return self.net(x_t, level) / (temperature[:, None] if temperature.ndim else temperature)


def calibrated(net: nn.Module, latents: Tensor, labels: Tensor, ts: Sequence[int]) -> tuple[Calibrated, list[float]]:
    """The classifier made honest at every level, and the temperatures that did it (Guo et al. 2017, eq. 9), one for each t.

    latents, labels: held out of its training, a few thousand; two draws of noise are read of each.
    """
    twice, both = torch.cat([latents, latents]), torch.cat([labels, labels])
    found = [best_temperature(read_at(net, twice, t, seed=1), both, widest=64.0) for t in ts]
    return Calibrated(net, ts, found), found


def log_prob_of(net: nn.Module, y: Tensor):
    """The classifier as guidance wants it: (x_t, level) → log p(y | x_t) [B] of the wanted classes y [B]."""

    def log_prob(x_t: Tensor, level: Level) -> Tensor:
        return net(x_t, level).log_softmax(1).gather(1, y[:, None])[:, 0]

    return log_prob


@torch.no_grad()
def read_at(net: nn.Module, latents: Tensor, t: int, seed: int = 0) -> Tensor:
    """The classifier's logits [N, num_classes] of latents [N, C, h, w] with noise of step t added, which depends on the seed."""
    level = recipes.SCHEDULE().level(t)
    eps = torch.randn(latents.shape, generator=torch.Generator().manual_seed(seed)).to(latents)
    return net(add_noise(latents, eps, level), level)


def accuracy_by_level(net: nn.Module, latents: Tensor, labels: Tensor, ts: Sequence[int], seed: int = 0) -> list[float]:
    """Share of latents whose class the noisy classifier reads, at each step t: 0…1."""
    return [agreement(read_at(net, latents, t, seed), labels) for t in ts]


def calibration_by_level(net: nn.Module, latents: Tensor, labels: Tensor, ts: Sequence[int], seed: int = 0) -> list[float]:
    """Expected calibration error of the noisy classifier at each step t: 0…1."""
    return [calibration_error(read_at(net, latents, t, seed), labels) for t in ts]


def calibration_floor(net: nn.Module, latents: Tensor, ts: Sequence[int], seed: int = 0) -> list[float]:
    """The same error where nothing is wrong: of classes drawn from the classifier's own probabilities, as many as latents."""
    generator = torch.Generator().manual_seed(seed)

    def floor(logits: Tensor) -> float:
        drawn = torch.multinomial(logits.float().softmax(1).cpu(), 1, generator=generator)[:, 0]
        return calibration_error(logits.cpu(), drawn)

    return [floor(read_at(net, latents, t, seed)) for t in ts]


def wish(main: Denoiser, log_prob, x_t: Tensor, level: Level, length: float) -> tuple[Tensor, Tensor, Tensor]:
    """Where a classifier wants x0_hat: x0_hat itself; x0_hat moved by a step of this length along the gradient; and the length
    of the step that Bayes' rule asks for [B]. The first two like x_t.
    """
    x0 = main(x_t, level)
    step = classifier_guide(main, log_prob)(x_t, level) - x0
    asked = step.flatten(1).norm(dim=1)
    return x0, x0 + step * (length / asked.clamp(min=1e-12)).view(-1, 1, 1, 1), asked


# ------------------------------------------------------------------------------------------- the frontier


@dataclass(frozen=True)
class Guide:
    """One kind of guidance: name, and (labels [B], scale) → denoiser."""

    name: str
    make: object

    def at(self, scale: float) -> Maker:
        return lambda y: self.make(y, scale)


def kinds(net: nn.Module, weak: nn.Module, classifier: nn.Module, machine: Machine) -> dict[str, Guide]:
    """The chapter's five kinds of guidance of one conditional network, on one scale: 1 is no guidance in each.

    weak: a worse version of net, for autoguidance. classifier: of noisy latents; it steers the *unconditional* network, and
    its own scale is the guidance scale (1 is Bayes' rule, which is the conditional network's place).
    """
    cond, null = conditional(net, machine), unconditional(net, machine)
    worse = conditional(weak, machine)
    made = [
        Guide("classifier", lambda y, w: classifier_guide(null(y), log_prob_of(classifier, y), w)),
        Guide("classifier-free", lambda y, w: guide(cond(y), null(y), w)),
        Guide("in an interval", lambda y, w: guide(cond(y), null(y), within(w, *INTERVAL))),
        Guide("rescaled", lambda y, w: guide(cond(y), null(y), w, rescale=RESCALE)),
        Guide("autoguidance", lambda y, w: guide(cond(y), worse(y), w)),
    ]
    return {one.name: one for one in made}


INTERVAL = (0.2, 3.0)  # noise over signal
RESCALE = 0.7


@dataclass(frozen=True)
class Point:
    """One point of the frontier: the scale, the judge's figures, and what guidance does to the pictures.

    saturated: share of pixels within 2 % of white, in units of the real images' own share (1 = as real). diversity: mean
    distance of the judge's features within a class, as a share of the real images' own.
    """

    scale: float
    score: Score
    saturated: float
    diversity: float


def frontier(
    chosen: dict[str, tuple[Guide, Sequence[float]]], codec: Codec, judge: Judge, n: int = 500, steps: int = 10
) -> dict[str, list[Point]]:
    """Draw and score n samples for each kind of guidance at each scale, all from the same noise and labels."""
    labels, levels = balanced(n, judge.machine), recipes.SCHEDULE().grid(steps)
    real = judge.images[:n].float() / 127.5 - 1
    white, spread = saturation(real), diversity(judge, real, judge.labels[:n])

    def point(kind: Guide, scale: float) -> Point:
        images = draw(kind.at(scale), labels, codec, (4, 4, 4), judge.machine, levels=levels)
        score = judge.score(images, labels, errors=20, cover=True)
        return Point(scale, score, saturation(images) / white, diversity(judge, images, labels) / spread)

    return {name: [point(kind, scale) for scale in scales] for name, (kind, scales) in chosen.items()}


def saturation(images: Tensor) -> float:
    """Share of pixels within 2 % of white: images [N, C, H, W] in [-1, 1]."""
    return (images > 0.96).float().mean().item()


def diversity(judge: Judge, images: Tensor, labels: Tensor) -> float:
    """Root-mean-square distance of the judge's features from their class's mean: images [N, C, H, W], labels [N]."""
    features = read(judge.net, images)[0]
    groups = [features[labels == y] for y in range(recipes.NUM_CLASSES)]
    return torch.stack([(g - g.mean(0)).square().sum(1).mean() for g in groups if len(g)]).mean().sqrt().item()


def weak_denoiser(net: nn.Module, machine: Machine, steps: int = 150) -> nn.Module:
    """The network of chapter 4 after very little training, for autoguidance; kept under runs/.

    net: the well-trained one, for its architecture. A file of another architecture is trained anew.
    """
    file, weak = recipes.saved("fashion-ldm-weak"), copy.deepcopy(net)
    try:
        checkpoint.restore(weak, file)
    except checkpoint.CheckpointError:
        weak = recipes.fashion_ldm(steps=steps, out=file, machine=machine).ema
    return weak.eval()


# ------------------------------------------------------------------------------------------- the student's prompt


def classes_of(prompt: str) -> list[int]:
    """The classes that a prompt names, in its order: "sneaker, coat, bag" → [7, 4, 8].

    Commas, "and" or new lines between them; capitals and a plural s do not matter, and either half of "T-shirt/top" will do.
    Raises ValueError, with the names that are known, for any other word or none.
    """
    known = {part.lower(): y for y, name in enumerate(FASHION_CLASSES) for part in (name, *name.split("/"))}
    words = [word.strip().lower() for word in prompt.replace("\n", ",").replace(" and ", ",").split(",")]
    words = [word for word in words if word]
    found = [known.get(w, known.get(w.removesuffix("s"), known.get(w.removesuffix("es")))) for w in words]
    unknown = [word for word, y in zip(words, found, strict=True) if y is None]
    if unknown or not found:
        named = " or ".join(repr(word) for word in unknown) or "an empty prompt"
        raise ValueError(f"This model cannot draw {named}; it knows {', '.join(FASHION_CLASSES)}. Put commas between names.")
    return found
