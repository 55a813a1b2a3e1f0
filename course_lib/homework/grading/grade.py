"""Grading a folder of submissions: side by side, each in its own sandbox, compared here with the oracles of the checks."""

import os
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue

import psutil
import torch
from tqdm import tqdm

from course_lib.homework.checks import HOMEWORKS
from course_lib.homework.checks.case import Case, Complaint
from course_lib.homework.checks.exercise import Exercise, Homework
from course_lib.homework.checks.verdict import explain
from course_lib.homework.grading import pages, protocol, submission
from course_lib.homework.grading.results import Graded, Result
from course_lib.homework.grading.sandbox import Limits, NoAnswer, Sandbox, SandboxDied, require
from course_lib.storage.paths import ROOT

SECRET = ROOT / ".grading-secret"
DRAWS = 2  # seeds of hidden inputs for each exercise
PROCESS = 700 * 2**20  # bytes that a sandbox at rest holds: torch and the grader's own lines


def secret(path: Path = SECRET) -> bytes:
    """The teacher's secret, from which hidden inputs are drawn; made once, readable by its owner alone.

    Raises ValueError for a file with less than 16 bytes.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
    value = path.read_bytes().strip()
    if len(value) < 16:
        raise ValueError(f"{path} holds {len(value)} bytes, but a secret needs 16 or more: remove it, and a new one is made.")
    return value


class HiddenInputs:
    """The hidden inputs of one homework, the same for every student and every run with the same secret."""

    def __init__(self, homework: Homework, secret: bytes) -> None:
        self.homework = homework
        self.cases: dict[str, list[Case]] = {}
        self.requests: dict[str, list[tuple]] = {}
        for one in homework.exercises:
            seed = one.seed(secret)
            self.cases[one.name] = [case for i in range(DRAWS) for case in one.draws(seed + i, [torch.device("cpu")])]

    def request(self, exercise: Exercise, program: str, others: tuple[str, ...]) -> bytes:
        args = tuple(case.args for case in self.cases[exercise.name])
        return protocol.pack((exercise.name, program, others, args, exercise.differentiable))


def grade(
    folder: Path,
    out: Path,
    homework: str | None = None,
    secret_file: Path = SECRET,
    limits: Limits | None = None,
    safe: bool = True,
    progress: bool = True,
) -> list[Graded]:
    """Grade every submission below ``folder`` and write ``out``/grades.csv, a page for each student and index.html.

    safe: False runs strangers' programs with your own rights. Raises ValueError (`NoSandbox`) where no sandbox can be made,
    where ``folder`` holds no notebook, or for a homework that there is not. The submissions are read, never written.
    """
    if homework is not None and homework not in HOMEWORKS:
        raise ValueError(f"there is no homework {homework!r}; choose from {', '.join(HOMEWORKS)}.")
    limits = limits or Limits()
    require(limits, safe)
    found = submission.find(folder, homework)
    hidden = secret(secret_file)
    keys = {name: HiddenInputs(HOMEWORKS[name], hidden) for name in {one.homework for one in found} & set(HOMEWORKS)}
    lanes: SimpleQueue[int] = SimpleQueue()
    width = workers(limits)
    for lane in range(width):
        lanes.put(lane)

    def one(place: submission.Found) -> Graded:
        lane = lanes.get()
        try:
            return _grade_one(place, folder, keys.get(place.homework), lane, limits, safe)
        finally:
            lanes.put(lane)

    done: dict[int, Graded] = {}
    with ThreadPoolExecutor(width) as pool, tqdm(total=len(found), unit="submission", disable=not progress) as bar:
        futures = {pool.submit(one, place): i for i, place in enumerate(found)}
        for future in as_completed(futures):
            done[futures[future]] = future.result()
            bar.update()
    graded = [done[i] for i in range(len(found))]
    pages.write(graded, out)
    return graded


def workers(limits: Limits) -> int:
    """How many sandboxes run side by side: one for each core, as far as memory reaches for all of them at their limits."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, int(psutil.virtual_memory().available * 0.8 // (limits.memory + PROCESS))))


def _grade_one(place: submission.Found, folder: Path, key: HiddenInputs | None, lane: int, limits: Limits, safe: bool) -> Graded:
    if key is None:
        return Graded(place, (), "The file does not say which homework it is: name it hw3.ipynb, or give --homework.")
    try:
        cells = submission.read(place.path, folder, key.homework)
    except submission.Unreadable as error:
        lost = tuple(Result(one.name, one.points, 0, complaint=Complaint(str(error))) for one in key.homework.order)
        return Graded(place, lost, str(error))
    results = {one.exercise: one for one in _results(cells, key, lane, limits, safe)}
    for one in key.homework.written:
        text = cells.written[one.name].strip()
        results[one.name] = Result(one.name, one.points, None, answer="" if text in ("", submission.ANSWER_HERE) else text)
    return Graded(place, tuple(results[one.name] for one in key.homework.order))


def _results(cells: submission.Cells, key: HiddenInputs, lane: int, limits: Limits, safe: bool) -> Iterator[Result]:
    """Each exercise in turn, in one sandbox; a new one is made for the next exercise where a program destroyed it."""
    box: Sandbox | None = None
    try:
        for exercise in key.homework.exercises:
            program, remark = cells.program(exercise)
            if program is None:
                yield Result(exercise.name, exercise.points, 0, complaint=Complaint(remark))
                continue
            start = time.monotonic()
            try:
                box = box or Sandbox(lane, limits, safe)
                others = tuple(cell for cell in cells.code if cell is not program)
                complaint = _judge(exercise, key.cases[exercise.name], box.ask(key.request(exercise, program, others)))
            except (NoAnswer, protocol.Malformed) as error:
                complaint = Complaint(f"{error}" if isinstance(error, NoAnswer) else f"What it returned is no answer: {error}.")
                if isinstance(error, SandboxDied):
                    box.close() if box else None
                    box = None
            points = 0 if complaint else exercise.points
            yield Result(exercise.name, exercise.points, points, time.monotonic() - start, complaint, remark)
    finally:
        if box:
            box.close()


def _judge(exercise: Exercise, cases: list[Case], reply: bytes) -> Complaint | None:
    """What the checks say about a reply. Raises wire.Malformed for one that is none."""
    outcomes = protocol.unpack_outcomes(reply)
    whole = len(outcomes) == len(cases)
    broken_off = 0 < len(outcomes) < len(cases) and outcomes[-1].is_fatal
    if not (whole or broken_off):
        raise protocol.Malformed("it does not answer every input")
    try:
        return explain(exercise, cases[: len(outcomes)], outcomes)
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:  # made to fail here: its own loss, not the batch's
        raise protocol.Malformed(f"it cannot be compared ({type(error).__name__})") from error
