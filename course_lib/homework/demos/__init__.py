"""The homework's figures: each runs a student's function in the real pipeline. One module for each homework."""

import torch
from torch import Tensor

from course_lib.notebook import viz
from course_lib.notebook.claims import format_number
from course_lib.storage.console import say


def compare_guess(what: str, guess: object, measured: float | str) -> None:
    """Print a student's guess, a number or a text (None for no guess), and what was measured."""
    say(f"{what}: {'no guess' if guess is None else f'your guess {_text(guess)}'}, measured {_text(measured)}")


def _text(value: object) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return format_number(round(value, 3)) if is_number else str(value)  # type: ignore[call-overload]


def loss_curve(losses: Tensor, *, ylabel: str, alt: str, first: int = 1, log: str = "", smooth: int = 50) -> viz.Picture:
    """Plot a training loss from step `first` on: each step faint, and the mean over `smooth` steps, drawn at their middle.

    losses: [steps]. log: "y" for a logarithmic axis.
    """
    values = losses.double().cpu()
    means = values.unfold(0, smooth, 1).mean(1)
    middles = torch.arange(len(means)) + (smooth + 1) / 2
    shown, steps = middles >= first, torch.arange(first, len(values) + 1)
    panels = viz.Panels(1, 6.0, 3.2)
    # Neither smoothed nor transparent: a third fewer bytes in the notebook.
    panels[0].plot(steps, values[first - 1 :], color="#bfe0f3", linewidth=1, antialiased=False, label="each step", zorder=1)
    curve = {f"mean of {smooth} steps": (middles[shown], means[shown])}
    viz.draw_lines(panels[0], curve, xlabel="training step", ylabel=ylabel, log=log, marker=False)
    return panels.picture(alt)
