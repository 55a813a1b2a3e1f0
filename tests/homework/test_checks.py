"""Tests of the checks: right answers pass in every style, and each mistake is caught and named."""

import io
import math
import sys

import pytest
import torch
from answers import BOOKS, CHECKED, RIGHT, WRONG, function

from course_lib.homework.answers.call import Outcome, observe_call
from course_lib.homework.checks import HOMEWORKS, verdict
from course_lib.homework.checks.__main__ import messages
from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise, Homework
from course_lib.homework.checks.wording import common_factor, largest_difference

CPU = [torch.device("cpu")]
HIDDEN = range(1, 6)  # seeds such as a teacher's secret may give
EXERCISES = [(hw, one) for hw, homework in CHECKED.items() for one in homework.exercises]
BY_NAME = pytest.mark.parametrize(("hw", "exercise"), EXERCISES, ids=lambda v: getattr(v, "name", v))


def complaint(hw, name, program, seed=0):
    return getattr(CHECKED[hw], name).complaint(function(name, program), seed, CPU)


@pytest.mark.parametrize(("hw", "name", "program"), RIGHT, ids=[f"{hw}-{name}-{i}" for i, (hw, name, _) in enumerate(RIGHT)])
def test_a_right_answer_passes_in_every_style(hw, name, program):
    for seed in (0, *HIDDEN):
        found = complaint(hw, name, program, seed)
        assert found is None, found.text(name, 1)


@pytest.mark.parametrize(("hw", "name", "title", "words", "program"), WRONG, ids=[f"{r[0]}-{r[1]}-{r[2]}" for r in WRONG])
def test_a_mistake_is_caught_and_named(hw, name, title, words, program):
    for seed in (0, *HIDDEN):
        found = complaint(hw, name, program, seed)
        assert found is not None, f"{title}: not caught with seed {seed}"
        assert words in found.text(name, 1), f"{title}, seed {seed}:\n{found.text(name, 1)}"


@BY_NAME
def test_the_oracle_passes_and_each_known_mistake_is_named(hw, exercise, monkeypatch):
    """Every known mistake is compared with every other one, so what they give for a case is computed once."""
    trials: dict[tuple, Outcome] = {}

    def observe_once(function, args, differentiable=False):
        key = function, id(args)
        if key not in trials:
            trials[key] = observe_call(function, args, differentiable)
        return trials[key]

    monkeypatch.setattr(verdict, "observe_call", observe_once)
    for seed in (0, *HIDDEN):
        cases = Exercise.draws(exercise, seed, CPU)
        with monkeypatch.context() as same_cases:
            same_cases.setattr(Exercise, "draws", lambda self, seed, devices, cases=cases: cases)
            assert exercise.complaint(exercise.oracle, seed, CPU) is None
            for mistake in exercise.mistakes:
                found = exercise.complaint(mistake.function, seed, CPU)
                assert found is not None, f"not caught with seed {seed}: {mistake.message}"
                assert found.likely == mistake.message, found
        trials.clear()


@BY_NAME
def test_a_check_neither_changes_nor_uses_the_global_random_state(hw, exercise, capsys):
    wrong = exercise.mistakes[0].function
    texts = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        assert exercise.check(exercise.oracle) is exercise.oracle
        exercise.check(wrong)
        assert torch.equal(torch.get_rng_state(), before)
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]


@BY_NAME
def test_inputs_come_in_several_shapes_and_dtypes_and_depend_on_the_seed(hw, exercise):
    first, again, other = (exercise.draws(seed, CPU) for seed in (1, 1, 2))
    tensors = [[x for case in cases for x in case.args if isinstance(x, torch.Tensor)] for cases in (first, again, other)]
    assert len(first) >= 2
    assert all(torch.equal(a, b) for a, b in zip(tensors[0], tensors[1], strict=True))
    if tensors[0]:
        assert len({x.shape for x in tensors[0]}) >= 2
        assert any(a.shape != b.shape or not torch.equal(a, b) for a, b in zip(tensors[0], tensors[2], strict=True))
        if any(x.is_floating_point() for x in tensors[0]):
            assert {x.dtype for x in tensors[0] if x.is_floating_point()} == {torch.float32, torch.float64}


@BY_NAME
def test_a_blank_a_crash_and_an_unsupported_object_are_distinguished(hw, exercise, capsys):
    def blank(*_):
        raise NotImplementedError(f"{exercise.name} is not written yet")

    assert exercise.check(blank) in (exercise.oracle, exercise.block)
    assert f"○ {exercise.name}: not written yet" in capsys.readouterr().out
    exercise.check(lambda *_: 1 / 0)
    assert "ZeroDivisionError: division by zero" in capsys.readouterr().out
    exercise.check(lambda *_: object())
    assert "an object of type object" in capsys.readouterr().out
    exercise.check(None)
    assert f"check({exercise.name})" in capsys.readouterr().out


def test_there_are_enough_mistakes_and_enough_right_answers():
    for hw, book in BOOKS.items():
        assert len(book.WRONG) >= (12 if hw in HOMEWORKS else 6), hw
        names = {one.name for one in CHECKED[hw].exercises}
        assert set(book.RIGHT) == names
        assert {row[0] for row in book.WRONG} == names
        assert all(len(texts) >= 2 for texts in book.RIGHT.values())
    assert len(WRONG) >= 60


def test_draws_are_the_same_values_in_every_dtype():
    single, double = (Draw(3, dtype).normal(4, 5) for dtype in (torch.float32, torch.float64))
    assert torch.equal(double.float(), single)


def test_answers_that_look_the_same_are_shown_where_they_differ():
    a, b = torch.zeros(2, 3, 4), torch.zeros(2, 3, 4)
    a[1, 2, 3], b[0, 1, 0] = 5.0, 0.5
    assert largest_difference(a, b) == "At [1, 2, 3] it is 5, expected 0."
    assert largest_difference(a > 1, b > 1) == "At [1, 2, 3] it is True, expected False."
    assert largest_difference(1.0000001, 1.0) == "It is 1.0000001, expected 1."
    a[0, 0, 0] = math.nan
    assert largest_difference(a, b) == "At [0, 0, 0] it is nan, expected 0."


def test_only_an_informative_factor_is_shown():
    assert common_factor(torch.tensor([1.0, -2.0]), torch.tensor([2.5, -5.0]), 1e-4) == " = got × 2.5"
    assert common_factor(torch.tensor([1.0, 2.0]), torch.tensor([2.5, -5.0]), 1e-4) == ""
    assert common_factor(12.0, 3.0, 1e-4) == " = got ÷ 4"
    assert common_factor(12.0, 5.0, 1e-4) == ""  # any two numbers have a ratio
    assert common_factor(1e-9, 1.0, 1e-4) == ""


def test_under_nbgrader_a_wrong_answer_raises(monkeypatch):
    hw, name, _, words, program = WRONG[0]
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(AssertionError, match=words):
        getattr(CHECKED[hw], name).check(function(name, program))


def test_the_script_prints_what_a_student_reads_for_each_known_mistake():
    lines = "\n".join(messages(Homework("hw2", "", HOMEWORKS["hw2"].conv_output_size)))
    for mistake in HOMEWORKS["hw2"].conv_output_size.mistakes:
        assert f"hw2 · {mistake.function.__name__}\n✗ conv_output_size: not yet, 1 point to earn." in lines
        assert mistake.message in lines
    assert "NOT CAUGHT" not in lines
    unknown = Exercise("double", points=1, difficulty=1, minutes=1, oracle=lambda x: 2 * x, cases=lambda draw: [Case("3", (3,))])
    unknown.mistake("It adds x to itself.")(lambda x: x + x)
    assert "NOT CAUGHT" in "".join(messages(Homework("hw9", "", unknown)))


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_check_prints_on_an_old_console(encoding, monkeypatch):
    """Its marks ✓, ✗ and ○ are not in these encodings."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    exercise = HOMEWORKS["hw3"].exercises[0]
    exercise.check(exercise.oracle)
    exercise.check(lambda *_: None)
    stream.seek(0)
    assert stream.read().count("?") >= 2
