"""The report of one run: its numbers are those of the single probes, and its picture gives no answer away."""

from dataclasses import replace

import pytest
import torch
from oracles import normal
from test_failure_modes import BROKEN, EVALUATOR, HEALTHY, IMAGES, LABELS, STD, X0, changed, schedule

from course_lib.experiments.ch5_guidance import failure_modes, run_report


@pytest.fixture(scope="module")
def reports():
    (late,) = (run for run in BROKEN.values() if changed(run) == ["reported_timestep"])
    return [run_report.measure(run, EVALUATOR, IMAGES, X0, LABELS) for run in (HEALTHY, late)]


@pytest.fixture(scope="module")
def drawn(reports):
    """The same reports with images of one channel, as the real decoder makes them."""
    images = normal(10, 1, 32, 32, dtype=torch.float32).clamp(-1, 1)
    return [replace(report, images=images) for report in reports]


def test_errors_are_the_best_possible_ones(reports):
    """Of the exact network within a class: s² / (alpha² s² + sigma²), see test_failure_modes."""
    levels = [schedule.level(t) for t in run_report.TIMES]
    best = [STD**2 / (level.alpha**2 * STD**2 + level.sigma**2) for level in levels]
    assert reports[0].errors == pytest.approx(best, rel=0.05)


def test_the_shift_with_the_smallest_error_is_the_fault(reports):
    lowest = [run_report.SHIFTS[report.shifted.index(min(report.shifted))] for report in reports]
    assert lowest == [0, failure_modes.STRIDE]


def test_a_report_has_one_number_for_each_point(reports):
    for report in reports:
        assert len(report.steps) == failure_modes.STEPS
        assert report.steps[-1] == report.readings[failure_modes.LAST_STEP]
        assert report.agreement[2] - report.agreement[0] == pytest.approx(report.readings[failure_modes.GAIN])
        assert max(report.classes) == pytest.approx(report.readings[failure_modes.REFERENCE])
        assert sum(report.classes) == pytest.approx(1)
        assert sum(report.decoder_std) / 4 == pytest.approx(report.readings[failure_modes.STD])
        assert len(report.images) == 10


def test_pictures_have_one_size_as_a_slider_needs_them(drawn):
    healthy, late = drawn
    few = replace(late, steps=[*late.steps[:4], 0.0])  # another number of steps, and one of size 0
    pictures = [run_report.draw("B", one, healthy)[0] for one in (late, few)]
    assert pictures[0].pixels().shape == pictures[1].pixels().shape
    assert pictures[0].width == pictures[0].pixels().shape[1] // 2
    assert (pictures[0].pixels() != pictures[1].pixels()).any()


def test_caption_gives_the_readings_and_no_answer(drawn):
    healthy, late = drawn
    picture, caption = run_report.draw("B", late, healthy)
    assert f"{failure_modes.OFFSET}: 50 (0)" in caption
    assert all(probe in caption for probe in late.readings)
    assert not [fault for fault in failure_modes.FAULTS if fault in caption + picture.alt]
