"""A share of the fuzz runs with every test: each public function answers odd arguments rightly, or with one clear sentence."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fuzz import make_call
from odd_values import Denoise, Odd
from spec import EXCLUDED, SPECS, Spec, public_callables
from targets import load_targets
from verdict import CHANGED, CLEAR, MEMORY, NOT_FINITE, OBSCURE, OK, SILENT, SLOW, UNCLEAR, WARNED, fits, judge, limited_memory

from course_lib import metrics, schedule
from course_lib.arguments import check_number

pytestmark = pytest.mark.posix  # the limits of time and memory

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parents[1] / "course_lib"
FOLDERS = ("judges", "teddies", "experiments", "notebook")
FILES = (
    "recipes/losses",
    "storage/latent_shards",
    "storage/weights",
    "training/config",
    "training/ema",
    "training/loop",
    "training/muon",
)
# the checks themselves: what they raise is tested in tests/blocks/test_arguments.py and tests/experiments/test_wrong_arguments.py
NOT_TAUGHT = {"arguments", "experiments.limits"}

load_targets()


def covered_modules() -> list[str]:
    """The files at the top of course_lib, in FOLDERS, and FILES."""
    paths = [*PACKAGE.glob("*.py"), *(path for folder in FOLDERS for path in (PACKAGE / folder).rglob("*.py"))]
    paths += [PACKAGE / f"{file}.py" for file in FILES]
    names = {path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".") for path in paths}
    return sorted(name for name in names if not name.endswith("__init__") and name not in NOT_TAUGHT)


def test_every_public_callable_is_called_or_left_out_for_a_reason():
    public = {name for module in covered_modules() for name in public_callables(module)}
    called = {name.partition("#")[0] for name in SPECS}
    assert len(public) > 300
    assert sorted(public - called - EXCLUDED.keys()) == [], "write a spec in tests/fuzz/targets_….py, or exclude it with a reason"
    assert sorted(EXCLUDED.keys() - public) == [], "these exclusions name nothing"
    assert sorted(EXCLUDED.keys() & called) == []


@pytest.mark.parametrize("name", sorted(SPECS))
def test_the_valid_call_of_a_spec_is_valid(name):
    torch.manual_seed(0)
    verdict = judge(SPECS[name], SPECS[name].make(), {})
    assert verdict.kind == OK, verdict


def test_a_thousand_odd_calls_have_no_fault():
    """In a process of its own, whose memory and time are limited; the same calls each time."""
    command = [sys.executable, str(HERE / "fuzz.py"), "--calls", "1000", "--seed", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]


def test_a_call_is_a_function_of_seed_and_number():
    spec = SPECS["metrics.kid"]
    first, again = make_call(3, 5, spec), make_call(3, 5, spec)
    assert str(first) == str(again)
    assert all(torch.equal(a, b) for a, b in zip(first.arguments.values(), again.arguments.values(), strict=True))
    assert len({str(make_call(3, number, spec)) for number in range(20)}) > 10


# ------------------------------------------------------------------------------------ the judge of the calls, on known cases


def verdict_of(call, arguments=None, odd=None, **facts) -> str:
    arguments = {"x": torch.ones(2)} if arguments is None else arguments
    return judge(Spec("metrics.kid", dict, call, **facts), arguments, odd or {}).kind


def hang(x):
    while True:
        pass


def broadcast(x):
    return torch.nn.functional.mse_loss(x, x[:, None])


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda x: x.sum(), OK),
        (lambda x: check_number("x", "three"), CLEAR),
        (lambda x: x @ torch.ones(3), OBSCURE),
        (lambda x: 1 / 0, OBSCURE),
        (lambda x: schedule.linear(10).sigmas["x"], OBSCURE),
        (lambda x: metrics.kid(x.flatten()[0], 3), CLEAR),
        (lambda x: x / 0, NOT_FINITE),
        (lambda x: {"a": [(1.0, np.array([np.nan]))]}, NOT_FINITE),
        (lambda x: x.add_(1), CHANGED),
        (lambda x: x.requires_grad_(), CHANGED),
        (broadcast, WARNED),
        (lambda x: [0] * 10**10, MEMORY),
        (lambda x: torch.zeros(10**10), MEMORY),
    ],
)
def test_the_judge(call, kind):
    torch.set_warn_always(True)
    with limited_memory():
        assert verdict_of(call) == kind


def test_the_judge_stops_a_call_that_hangs(monkeypatch):
    monkeypatch.setattr("verdict.SECONDS", 0.1)
    assert verdict_of(hang) == SLOW


def test_a_sentence_of_ours_must_be_clear(monkeypatch):
    monkeypatch.setattr("verdict._is_raised_by_us", lambda error: True)

    def say(message):
        def call(x):
            raise ValueError(message)

        return verdict_of(call)

    assert say("x has 2 rows, but needs at least 3: give more.") == CLEAR
    assert say("no") == UNCLEAR
    assert say("Something of no name is wrong here.") == UNCLEAR
    assert say("x is wrong. It is 3. It must be 4. Give another. Or leave it.") == UNCLEAR


def test_what_must_not_be_accepted():
    two, three = torch.ones(2, 3), torch.ones(3, 3)
    odd = {"x": Odd("three rows", three)}
    assert verdict_of(lambda x: 0, {"x": 2}, {"x": Odd("2 for a flag", 2, never=True)}) == SILENT
    assert verdict_of(lambda x: 0, {"x": three}, odd, shapes={"x": "[2, D]"}) == SILENT
    assert verdict_of(lambda x: 0, {"x": three}, odd, shapes={"x": "[N, D]"}) == OK
    assert verdict_of(lambda x, y: 0, {"x": three, "y": two}, odd, same=[("x", "y")]) == SILENT
    assert verdict_of(lambda x, y: 0, {"x": three, "y": [1, 2]}, odd, rows=[("x", "y")]) == SILENT


def test_a_foreign_type_may_get_pythons_own_error():
    odd = {"x": Odd("None", None, foreign=True)}
    assert verdict_of(lambda x: len(x), {"x": None}, odd) == CLEAR
    assert verdict_of(lambda x: x.shape, {"x": None}, odd) == OBSCURE


def test_an_overflow_of_enormous_values_is_no_fault():
    assert verdict_of(torch.square, {"input": torch.tensor([1e30])}) == OK
    assert verdict_of(torch.log, {"input": torch.tensor([0.0])}) == NOT_FINITE


def test_shapes_are_read_as_written():
    assert fits((4, 3, 8, 8), "[B, 3, H, W]")
    assert not fits((4, 1, 8, 8), "[B, 3, H, W]")
    assert fits((4, 1, 8), "[N, ...]")
    assert not fits((), "[N, ...]")
    assert repr(Denoise(len)) == "a function that returns what it should"
