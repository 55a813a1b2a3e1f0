"""Chapter 5's classifier of noisy latents: its training, its calibration at every noise level, and the steps it asks for."""

from collections.abc import Callable, Sequence

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
from course_lib.metrics import calibration_error, class_agreement
from course_lib.schedule import AnyLevel, BatchLevel, Level
from course_lib.training import TrainConfig, TrainResult, train


class NoisyClassifier(nn.Module):
    """Classify noisy latents: x_t [B, C, h, w] at a level → logits [B, num_classes].

    latent_dim: C·h·w. Three linear layers, conditioned on the timestep as the denoiser is. The input is alpha · x_t, the best
    linear estimate of a unit-variance latent, so that the gradient fades with the signal, as the true one does. Guidance
    multiplies the gradient by sigma² / alpha; an error that did not fade would explode at the start of sampling.
    """

    def __init__(self, latent_dim: int = 64, num_classes: int = recipes.NUM_CLASSES, width: int = 256) -> None:
        super().__init__()
        self.conditioning = Conditioning(width, None)
        self.input, self.hidden = nn.Linear(latent_dim, width), nn.Linear(width, width)
        self.head = nn.Linear(width, num_classes)

    def forward(self, x_t: Tensor, level: AnyLevel) -> Tensor:
        t = level.t if isinstance(level, BatchLevel) else torch.full((len(x_t),), level.t, device=x_t.device)
        h = F.silu(self.input((level.alpha * x_t).flatten(1)) + self.conditioning(t, None))
        return self.head(h + F.silu(self.hidden(h)))


def train_noisy_classifier(
    latents: Tensor, labels: Tensor, machine: Machine, steps: int = 3000, max_timestep: int | None = None
) -> TrainResult[NoisyClassifier]:
    """Train a ``NoisyClassifier`` on latents [N, C, h, w] at the noise levels of the recipes' schedule: some seconds.

    max_timestep: the noisiest timestep in training; all of them where None, next to no noise with 1.
    """
    schedule = recipes.make_schedule()

    def cross_entropy(net: nn.Module, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
        x0, y = batch
        level = schedule.at(stratified_steps(len(x0), max_timestep or schedule.T, x0.device, generator))
        eps = torch.randn(x0.shape, device=x0.device, generator=generator)
        return F.cross_entropy(net(add_noise(x0, eps, level), level).float(), y)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = NoisyClassifier(latents[0].numel())
    config = TrainConfig(steps=steps, batch_size=256, lr=2e-3, ema_decay=0.998, weight_decay=0.01)
    return train(net, cross_entropy, (latents, labels), config, machine=machine)


class CalibratedClassifier(nn.Module):
    """A noisy classifier whose logits are divided by a temperature that depends on the level: (x_t, level) → logits.

    ts, temperatures: the timesteps at which a temperature was fitted, ascending. Between them it is interpolated (and constant
    beyond the ends), so that the guiding gradient, which it divides too, never jumps.
    """

    table: Tensor

    def __init__(self, net: nn.Module, ts: Sequence[int], temperatures: Sequence[float]) -> None:
        super().__init__()
        self.net = net
        table = np.interp(np.arange(recipes.make_schedule().T + 1), ts, temperatures)
        self.register_buffer("table", torch.from_numpy(table).float().to(next(net.parameters()).device))

    def forward(self, x_t: Tensor, level: AnyLevel) -> Tensor:
        temperature = self.table[level.t]
        return self.net(x_t, level) / (temperature[:, None] if temperature.ndim else temperature)


def calibrate_by_level(
    net: nn.Module, latents: Tensor, labels: Tensor, ts: Sequence[int]
) -> tuple[CalibratedClassifier, list[float]]:
    """Calibrate a noisy classifier with one temperature per timestep (Guo et al. 2017, eq. 9).

    latents, labels: a few thousand that were not used for training; two noisy versions of each are classified. ts: the
    timesteps. Returns the calibrated classifier, and its temperature at each of ts.
    """
    twice, both = torch.cat([latents, latents]), torch.cat([labels, labels])
    found = [best_temperature(noisy_logits(net, twice, t, seed=1), both, max_temperature=64.0) for t in ts]
    return CalibratedClassifier(net, ts, found), found


def label_log_prob(net: nn.Module, y: Tensor) -> Callable[[Tensor, AnyLevel], Tensor]:
    """Return the classifier in the form that guidance takes: (x_t, level) → log p(y | x_t) [B] of the wanted classes y [B]."""

    def log_prob(x_t: Tensor, level: AnyLevel) -> Tensor:
        return net(x_t, level).log_softmax(1).gather(1, y[:, None])[:, 0]

    return log_prob


@torch.no_grad()
def noisy_logits(net: nn.Module, latents: Tensor, t: int, seed: int = 0) -> Tensor:
    """Return the classifier's logits [N, num_classes] for latents [N, C, h, w] to which the noise of timestep t is added.

    seed: of the noise.
    """
    level = recipes.make_schedule().level(t)
    eps = torch.randn(latents.shape, generator=torch.Generator().manual_seed(seed)).to(latents)
    return net(add_noise(latents, eps, level), level)


def accuracy_by_level(net: nn.Module, latents: Tensor, labels: Tensor, ts: Sequence[int], seed: int = 0) -> list[float]:
    """Return the noisy classifier's accuracy at each timestep: 0…1."""
    return [class_agreement(noisy_logits(net, latents, t, seed), labels) for t in ts]


def calibration_error_by_level(net: nn.Module, latents: Tensor, labels: Tensor, ts: Sequence[int], seed: int = 0) -> list[float]:
    """Return the noisy classifier's expected calibration error (ECE) at each timestep: 0…1."""
    return [calibration_error(noisy_logits(net, latents, t, seed), labels) for t in ts]


def calibration_floor(net: nn.Module, latents: Tensor, ts: Sequence[int], seed: int = 0) -> list[float]:
    """Return the expected calibration error of a perfectly calibrated classifier at each timestep, from as many latents.

    It is not 0, because the number of latents is finite: the classes are drawn from the classifier's own probabilities.
    """
    generator = torch.Generator().manual_seed(seed)

    def perfect_error(logits: Tensor) -> float:
        drawn = torch.multinomial(logits.float().softmax(1).cpu(), 1, generator=generator)[:, 0]
        return calibration_error(logits.cpu(), drawn)

    return [perfect_error(noisy_logits(net, latents, t, seed)) for t in ts]


def classifier_step(
    main: Denoiser, log_prob: Callable[[Tensor, Level], Tensor], x_t: Tensor, level: Level, length: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Move x0_hat along the classifier's gradient by a step of a given length.

    Returns x0_hat, x0_hat after the step (both like x_t), and the length [B] of the step that Bayes' rule would take.
    """
    x0_hat = main(x_t, level)
    step = classifier_guide(main, log_prob)(x_t, level) - x0_hat
    bayes_length = step.flatten(1).norm(dim=1)
    return x0_hat, x0_hat + step * (length / bayes_length.clamp(min=1e-12)).view(-1, 1, 1, 1), bayes_length
