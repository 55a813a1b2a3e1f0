"""Chapter 5's classifier on noisy latents: trained, calibrated at every level, and where it would have a picture go."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib import recipes
from course_lib.device import Machine
from course_lib.diffusion import Denoiser, add_noise, stratified_steps
from course_lib.guidance import classifier_guide
from course_lib.judges.classifier import best_temperature
from course_lib.layers import Conditioning
from course_lib.metrics import agreement, calibration_error
from course_lib.schedule import Level
from course_lib.training import TrainConfig, TrainResult, train


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
    schedule = recipes.make_schedule()

    def objective(net: nn.Module, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
        x0, y = batch
        level = schedule.at(stratified_steps(len(x0), highest or schedule.T, x0.device, generator))
        eps = torch.randn(x0.shape, device=x0.device, generator=generator)
        return F.cross_entropy(net(add_noise(x0, eps, level), level).float(), y)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = NoisyClassifier(latents[0].numel())
    config = TrainConfig(steps=steps, batch_size=256, lr=2e-3, ema_decay=0.998, weight_decay=0.01)
    return train(net, objective, (latents, labels), config, machine=machine)


class Calibrated(nn.Module):
    """A noisy classifier whose logits are divided by a temperature that depends on the level: (x_t, level) → logits.

    ts, temperatures: where it was fitted, ascending; between them it is interpolated (and held beyond the ends), so that the
    guiding gradient, which it divides too, never jumps.
    """

    def __init__(self, net: nn.Module, ts: Sequence[int], temperatures: Sequence[float]) -> None:
        super().__init__()
        self.net = net
        table = np.interp(np.arange(recipes.make_schedule().T + 1), ts, temperatures)
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
    level = recipes.make_schedule().level(t)
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
