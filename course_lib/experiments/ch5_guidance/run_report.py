"""What all probes of `failure_modes` read on one run, and one picture that compares it with the healthy run."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from torch import Tensor

from course_lib.data import FASHION_CLASSES
from course_lib.experiments.ch5_guidance.failure_modes import (
    SCALE,
    STRIDE,
    ErrorMeasure,
    Run,
    StepMeasure,
    agreement_by_scale,
    class_fractions,
    decoder_input_statistics,
    denoising_error,
    diagnose,
    rms_steps,
    step_sizes,
    velocity_error,
)
from course_lib.experiments.evaluator import Evaluator
from course_lib.notebook.pictures import Picture, encode
from course_lib.notebook.plots import Panels, draw_lines
from course_lib.notebook.sheets import rows
from course_lib.notebook.style import COLOURS, DPI

Curves: TypeAlias = dict[str, tuple]
SCALES = (0.0, 1.0, SCALE)
TIMES = (50, 200, 350, 500, 650, 800, 950)
SHIFTS = tuple(range(-2 * STRIDE, 2 * STRIDE + 1, STRIDE // 2))
SHIFTED_TIME = 300  # the timestep of the noise, while the timestep that the network is given is shifted
FLOOR = 1e-4  # the smallest step that the logarithmic plot shows


@dataclass(frozen=True, eq=False)
class RunReport:
    """The readings of all probes on one run.

    images: the first ten samples [10, 1, 32, 32] in [-1, 1]. readings: those of `failure_modes.diagnose`. decoder_std: [C], 1 is
    as encoded. agreement: at SCALES. classes: fractions of the ten classes at scale 0. steps: the size of each sampling step.
    errors: of the network at TIMES. shifted: of the network at SHIFTED_TIME, its timestep shifted by SHIFTS.
    """

    images: Tensor
    readings: dict[str, float]
    decoder_std: list[float]
    agreement: list[float]
    classes: list[float]
    steps: list[float]
    errors: list[float]
    shifted: list[float]


def measure(
    run: Run,
    evaluator: Evaluator,
    images: Tensor,
    x0: Tensor,
    y: Tensor,
    steps: StepMeasure = rms_steps,
    error: ErrorMeasure = velocity_error,
) -> RunReport:
    """Measure one run with every probe; the arguments are those of `failure_modes.diagnose`."""
    return RunReport(
        images=run.images(),
        readings=diagnose(run, evaluator, images, x0, y, steps, error),
        decoder_std=decoder_input_statistics(run, images)[1].tolist(),
        agreement=agreement_by_scale(run, evaluator, SCALES),
        classes=class_fractions(run, evaluator).tolist(),
        steps=step_sizes(run, steps),
        errors=[denoising_error(run, x0, y, t, measure=error) for t in TIMES],
        shifted=[denoising_error(run, x0, y, SHIFTED_TIME, shift, error) for shift in SHIFTS],
    )


def draw(name: str, report: RunReport, healthy: RunReport) -> tuple[Picture, str]:
    """Draw the ten images of both runs, and six panels with the probes' curves; and a caption with the readings as numbers."""
    alt = f"Ten images of the healthy run and of run {name}, and six small plots that compare what the probes read on both."
    sheet = rows({"healthy": healthy.images, name: report.images}, alt=alt, scale=2)
    pixels = _stacked(*(one.pixels() for one in (sheet, *_panels(name, report, healthy))))
    readings = (f"{probe}: {value:.3g} ({healthy.readings[probe]:.3g})" for probe, value in report.readings.items())
    return Picture(encode(pixels), alt, pixels.shape[1] // 2), f"Run {name} (healthy run in brackets): {'; '.join(readings)}"


def _panels(name: str, report: RunReport, healthy: RunReport) -> list[Picture]:
    """Two rows of three plots, at two picture pixels for a CSS pixel, as a sheet of images has them."""
    both = {"healthy": healthy, name: report}
    upper, lower = Panels(3, 2.4, 2.3), Panels(3, 2.4, 2.5)
    plots: list[tuple[Any, Curves, tuple[float, float], dict[str, Any]]] = [
        (
            upper[0],
            {key: (TIMES, one.errors) for key, one in both.items()},
            (0, 1.2),
            {"title": "error in v", "xlabel": "timestep t", "references": {"outputs 0": 1.0}},
        ),
        (
            upper[1],
            {key: (SHIFTS, [error / min(one.shifted) for error in one.shifted]) for key, one in both.items()},
            (0.995, 1.1),
            {"title": "error ÷ its smallest", "xlabel": "shift of the given t"},
        ),
        (
            upper[2],
            {key: (_numbered(one.steps), [max(size, FLOOR) for size in one.steps]) for key, one in both.items()},
            (FLOOR / 1.5, 1.5),
            {"title": "size of each step", "xlabel": "sampling step", "log": "y"},
        ),
        (
            lower[0],
            {key: (SCALES, one.agreement) for key, one in both.items()},
            (0, 1.05),
            {"title": "of the right class", "xlabel": "guidance scale", "references": {"chance": 0.1}},
        ),
        (
            lower[2],
            {key: (_numbered(one.decoder_std), one.decoder_std) for key, one in both.items()},
            (0, 1.5),
            {"title": "std, decoder ÷ encoder", "xlabel": "latent channel"},
        ),
    ]
    for axes, curves, limits, options in plots:
        draw_lines(axes, curves, ylabel="", **options)
        axes.set(ylim=limits)
        if axes is not upper[0]:
            axes.get_legend().remove()
    _draw_classes(lower[1], both)
    for panels in (upper, lower):
        panels.figure.set_dpi(2 * DPI)
    return [panels.picture("the probes") for panels in (upper, lower)]


def _numbered(values: list[float]) -> list[int]:
    return list(range(1, len(values) + 1))


def _draw_classes(axes: Any, both: dict[str, RunReport]) -> None:
    """The classes that the reference draws, as pairs of bars."""
    for i, one in enumerate(both.values()):
        axes.barh([k + 0.4 * i - 0.2 for k in range(10)], one.classes, 0.4, color=COLOURS[i])
    axes.set_yticks(range(10), FASHION_CLASSES, fontsize=7)
    axes.set(xlim=(0, 1), xticks=(0, 0.5, 1), xlabel="fraction", title="drawn at scale 0")
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)


def _stacked(*sheets: np.ndarray) -> np.ndarray:
    """Sheets of pixels [h, w, 3] below each other on white, [H, W, 3]."""
    width = max(sheet.shape[1] for sheet in sheets)
    padded = [np.pad(one, ((0, 8), (0, width - one.shape[1]), (0, 0)), constant_values=255) for one in sheets]
    return np.concatenate(padded)
