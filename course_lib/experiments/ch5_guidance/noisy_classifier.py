"""Chapter 5's classifier of noisy latents: its training, its calibration at every noise level, and the steps it asks for."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib import recipes
from course_lib.arguments import (
    check_finite,
    check_integer,
    check_integers,
    check_labels,
    check_number,
    check_numbers,
    check_sizes,
    check_tensor,
)
from course_lib.device import Machine
from course_lib.diffusion import Denoiser, add_noise, stratified_steps, x0_hat
from course_lib.experiments.limits import MAX_STEPS, seeded_generator
from course_lib.guidance import classifier_guide
from course_lib.judges.classifier import best_temperature
from course_lib.layers import Conditioning, check_features
from course_lib.metrics import calibration_error, class_agreement
from course_lib.recipes.store import build
from course_lib.schedule import AnyLevel, BatchLevel, Level, check_any_level
from course_lib.training import TrainConfig, TrainResult, train


class NoisyClassifier(nn.Module):
    """Classify noisy latents: x_t [B, C, h, w] at a level → logits [B, num_classes].

    latent_dim: C·h·w. Three linear layers, conditioned on the timestep as the denoiser is. The input is alpha · x_t, the best
    linear estimate of a unit-variance latent, so that the gradient fades with the signal, as the true one does. Guidance
    multiplies the gradient by sigma² / alpha; an error that did not fade would explode at the start of sampling.
    """

    def __init__(self, latent_dim: int = 64, num_classes: int = recipes.NUM_CLASSES, width: int = 256) -> None:
        super().__init__()
        check_sizes(latent_dim=latent_dim, num_classes=num_classes, width=width)
        self.conditioning = Conditioning(width, None)
        self.input, self.hidden = nn.Linear(latent_dim, width), nn.Linear(width, width)
        self.head = nn.Linear(width, num_classes)

    def forward(self, x_t: Tensor, level: AnyLevel) -> Tensor:
        _check_input(x_t, level)
        t = level.t if isinstance(level, BatchLevel) else torch.full((len(x_t),), level.t, device=x_t.device)
        scaled = (level.alpha * x_t).flatten(1)
        check_features("x_t, flattened,", scaled, f"[B, {self.input.in_features}]", self.input.weight)
        h = F.silu(self.input(scaled) + self.conditioning(t, None))
        return self.head(h + F.silu(self.hidden(h)))


def _check_input(x_t: Tensor, level: AnyLevel) -> None:
    check_tensor("x_t", x_t, "[B, C, h, w]", "float")
    check_any_level(level, len(x_t))


def _check_data(latents: Tensor, labels: Tensor) -> None:
    check_tensor("latents", latents, "[N, C, h, w]", "float")
    check_tensor("labels", labels, f"[{len(latents)}]", "integer")


def train_noisy_classifier(
    latents: Tensor, labels: Tensor, machine: Machine, steps: int = 3000, max_timestep: int | None = None
) -> TrainResult[NoisyClassifier]:
    """Train a ``NoisyClassifier`` on latents [N, C, h, w] at the noise levels of the recipes' schedule: some seconds.

    max_timestep: the noisiest timestep in training; all of them where None, next to no noise with 1.
    """
    _check_data(latents, labels)
    check_labels("labels", labels, recipes.NUM_CLASSES)
    check_integer("steps", steps, 1, MAX_STEPS)
    schedule = recipes.make_schedule()
    highest = schedule.T if max_timestep is None else check_integer("max_timestep", max_timestep, 1, schedule.T)

    def cross_entropy(net: nn.Module, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
        x0, y = batch
        level = schedule.at(stratified_steps(len(x0), highest, x0.device, generator))
        eps = torch.randn(x0.shape, device=x0.device, generator=generator)
        return F.cross_entropy(net(add_noise(x0, eps, level), level).float(), y)

    net = build(NoisyClassifier, {"latent_dim": latents[0].numel()})
    config = TrainConfig(steps=steps, batch_size=256, lr=2e-3, ema_decay=0.998, weight_decay=0.01)
    return train(net, cross_entropy, (latents, labels.long()), config, machine=machine)


class CalibratedClassifier(nn.Module):
    """A noisy classifier whose logits are divided by a temperature that depends on the level: (x_t, level) → logits.

    ts, temperatures: the timesteps at which a temperature was fitted, ascending. Between them it is interpolated (and constant
    beyond the ends), so that the guiding gradient, which it divides too, never jumps.
    """

    table: Tensor

    def __init__(self, net: nn.Module, ts: Sequence[int], temperatures: Sequence[float]) -> None:
        super().__init__()
        self.net = net
        ts, temperatures = _check_ascending(ts), check_numbers("temperatures", temperatures, len(ts), above=0)
        table = np.interp(np.arange(recipes.make_schedule().T + 1), ts, temperatures)
        self.register_buffer("table", torch.from_numpy(table).float().to(next(net.parameters()).device))

    def forward(self, x_t: Tensor, level: AnyLevel) -> Tensor:
        logits = self.net(x_t, level)
        if isinstance(level, Level):
            check_integer("the level's t", level.t, 0, len(self.table) - 1)
        temperature = self.table[level.t]
        return logits / (temperature[:, None] if temperature.ndim else temperature)


def _check_ascending(ts: Sequence[int]) -> list[int]:
    ts = check_integers("ts", ts, 0, recipes.make_schedule().T)
    if any(a >= b for a, b in pairwise(ts)):
        raise ValueError(f"ts is {ts}, but the timesteps must be ascending.")
    return ts


def calibrate_by_level(
    net: nn.Module, latents: Tensor, labels: Tensor, ts: Sequence[int]
) -> tuple[CalibratedClassifier, list[float]]:
    """Calibrate a noisy classifier with one temperature per timestep (Guo et al. 2017, eq. 9).

    latents, labels: a few thousand that were not used for training; two noisy versions of each are classified. ts: the
    timesteps. Returns the calibrated classifier, and its temperature at each of ts.
    """
    _check_data(latents, labels)
    ts = _check_ascending(ts)
    twice, both = torch.cat([latents, latents]), torch.cat([labels, labels]).long()
    found = [best_temperature(noisy_logits(net, twice, t, seed=1), both, max_temperature=64.0) for t in ts]
    return CalibratedClassifier(net, ts, found), found


def label_log_prob(net: nn.Module, y: Tensor) -> Callable[[Tensor, AnyLevel], Tensor]:
    """Return the classifier in the form that guidance takes: (x_t, level) → log p(y | x_t) [B] of the wanted classes y [B]."""

    def log_prob(x_t: Tensor, level: AnyLevel) -> Tensor:
        logits = net(x_t, level)
        check_labels("y", y, logits.shape[1], len(logits))
        return logits.log_softmax(1).gather(1, y[:, None].long())[:, 0]

    return log_prob


@torch.no_grad()
def noisy_logits(net: nn.Module, latents: Tensor, t: int, seed: int = 0) -> Tensor:
    """Return the classifier's logits [N, num_classes] for latents [N, C, h, w] to which the noise of timestep t is added.

    seed: of the noise.
    """
    check_tensor("latents", latents, "[N, C, h, w]", "float")
    level = recipes.make_schedule().level(t)
    eps = torch.randn(latents.shape, generator=seeded_generator(seed)).to(latents)
    return net(add_noise(latents, eps, level), level)


def accuracy_by_level(net: nn.Module, latents: Tensor, labels: Tensor, ts: Sequence[int], seed: int = 0) -> list[float]:
    """Return the noisy classifier's accuracy at each timestep: 0…1."""
    _check_data(latents, labels)
    return [class_agreement(noisy_logits(net, latents, t, seed), labels) for t in check_integers("ts", ts)]


def calibration_error_by_level(net: nn.Module, latents: Tensor, labels: Tensor, ts: Sequence[int], seed: int = 0) -> list[float]:
    """Return the noisy classifier's expected calibration error (ECE) at each timestep: 0…1."""
    _check_data(latents, labels)
    return [calibration_error(noisy_logits(net, latents, t, seed), labels) for t in check_integers("ts", ts)]


def calibration_floor(net: nn.Module, latents: Tensor, ts: Sequence[int], seed: int = 0) -> list[float]:
    """Return the expected calibration error of a perfectly calibrated classifier at each timestep, from as many latents.

    It is not 0, because the number of latents is finite: the classes are drawn from the classifier's own probabilities.
    """
    check_tensor("latents", latents, "[N, C, h, w]", "float")
    check_finite("latents", latents)
    generator = seeded_generator(seed)

    def perfect_error(logits: Tensor) -> float:
        drawn = torch.multinomial(logits.float().softmax(1).cpu(), 1, generator=generator)[:, 0]
        return calibration_error(logits.cpu(), drawn)

    return [perfect_error(noisy_logits(net, latents, t, seed)) for t in check_integers("ts", ts)]


def classifier_step(
    main: Denoiser, log_prob: Callable[[Tensor, Level], Tensor], x_t: Tensor, level: Level, length: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Move x0_hat along the classifier's gradient by a step of a given length.

    Returns x0_hat, x0_hat after the step (both like x_t), and the length [B] of the step that Bayes' rule would take.
    """
    length, x0 = check_number("length", length), x0_hat(main, x_t, level)
    step = classifier_guide(main, log_prob)(x_t, level) - x0
    bayes_length = step.flatten(1).norm(dim=1)
    return x0, x0 + step * (length / bayes_length.clamp(min=1e-12)).view(-1, 1, 1, 1), bayes_length
