"""Grade a folder of submissions in parallel, each in its own sandbox; the comparison with the oracles happens outside of it."""

import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import psutil
from tqdm import tqdm

from course_lib.homework.checks.case import Assignment, Complaint, Task
from course_lib.homework.grading import protocol
from course_lib.homework.grading.reports.results import Graded, Result
from course_lib.homework.grading.reports.store import Store
from course_lib.homework.grading.sandbox import Limits, NoAnswer, Sandbox, SandboxDied, require_sandbox
from course_lib.homework.grading.submissions.find import Found, find_submissions
from course_lib.homework.grading.submissions.notebook import Notebook
from course_lib.homework.grading.submissions.roster import Roster
from course_lib.storage.paths import ROOT

SECRET = ROOT / ".grading-secret"
MAX_CODE = 200_000  # characters of all cells that are sent to a sandbox together
IDLE_MEMORY = 700 * 2**20  # bytes that an idle sandbox holds: torch and the worker


def read_secret(path: Path = SECRET) -> bytes:
    """Return the teacher's secret, from which hidden inputs are drawn. It is created once, readable by its owner alone.

    Raises ValueError for a file of less than 16 bytes.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
    value = path.read_bytes().strip()
    if len(value) < 16:
        raise ValueError(f"{path} holds {len(value)} bytes, but a secret needs 16 or more. To fix it: delete the file.")
    return value


class Homework(Protocol):
    """What the grader needs to know of a homework: the names in it, and how to make it for a teacher's secret."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its exercises and questions."""

    def assignment(self, secret: bytes) -> Assignment:
        """Its exercises, with hidden inputs."""


@dataclass(frozen=True)
class Options:
    """How to grade. homework: this one alone. safe: False runs strangers' programs with your own rights. best: of several
    attempts the one with the most points counts, not the newest. closed_book: without the chapters' blocks. deadline: seconds
    since the epoch. again: also what has not changed since the last run into the same folder.
    """

    homework: str | None = None
    limits: Limits = field(default_factory=Limits)
    safe: bool = True
    best: bool = False
    closed_book: bool = False
    deadline: float | None = None
    roster: Roster = field(default_factory=Roster)
    again: bool = False
    progress: bool = True


def grade(
    folder: Path,
    homeworks: Mapping[str, Homework],
    secret: Callable[[], bytes],
    store: Store | None = None,
    options: Options | None = None,
) -> list[Graded]:
    """Grade every submission below ``folder`` (or in a zip archive), which is read and never written.

    secret: called once a sandbox and submissions are there. store: where results are written as they come, and read again where
    nothing has changed. Raises ValueError for an unknown homework, where ``folder`` holds no notebook, and (`NoSandbox`) where no
    sandbox can be made.
    """
    options = options or Options()
    if options.homework is not None and options.homework not in homeworks:
        raise ValueError(f"there is no homework {options.homework!r}; choose from {', '.join(homeworks)}.")
    require_sandbox(options.limits, options.safe)
    names = {name: homework.names for name, homework in homeworks.items()}
    found = find_submissions(folder, names, options.homework, options.roster, options.deadline)
    value = secret()
    made = {name: homeworks[name].assignment(value) for name in {one.homework for one in found} & homeworks.keys()}
    settings = _fingerprint(value, options)
    known = {} if options.again or store is None else {one.key: one for one in store.read()}
    parallel = max_parallel(options.limits)

    def grade_attempt(one: Found) -> Graded:
        key = f"{hashlib.sha256(one.content).hexdigest()}:{settings}"
        if (before := known.get(key)) and one.notebook and before.found.homework == one.homework:
            return replace(before, found=_without_content(one))
        return replace(_grade_one(one, made.get(one.homework), options), found=_without_content(one), key=key)

    def grade_attempts(one: Found) -> Graded:
        graded = [grade_attempt(attempt) for attempt in (one, *(one.older if options.best else ()))]
        best = max(graded, key=lambda attempt: attempt.points)  # the first, which is the newest, of several equal ones
        if best is graded[0]:
            return best
        remark = f"{len(graded)} notebooks were handed in; the best one counts, {best.found.file}."
        return replace(best, found=replace(best.found, remark=remark, attempts=len(graded)))

    graded: list[Graded] = []
    with ThreadPoolExecutor(parallel) as pool, tqdm(total=len(found), unit="submission", disable=not options.progress) as bar:
        futures = {pool.submit(grade_attempts, one): one for one in found}
        try:
            for future in as_completed(futures):
                if store and future.exception() is None:
                    store.write(future.result())
                bar.update()
        except (KeyboardInterrupt, OSError):  # a full disk: keep what is graded, and let the pages say what failed
            pool.shutdown(cancel_futures=True)
        graded = [_result(future, one) for future, one in futures.items()]
    if store:
        store.forget(graded)
    return graded


def _fingerprint(secret: bytes, options: Options) -> str:
    """Of everything but the submission that a result depends on: the secret, the options, and the grader itself."""
    digest = hashlib.sha256(secret + repr((options.limits, options.safe, options.closed_book)).encode())
    for path in sorted(Path(__file__).resolve().parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _without_content(found: Found) -> Found:
    return replace(found, notebook=None, content=b"", older=())


def _result(future: Future[Graded], found: Found) -> Graded:
    """What a submission's grading gave. Where it failed or never began, the submission is in the results with the reason."""
    found = _without_content(found)
    if future.cancelled():
        return Graded(found, (), "Not graded: the run was interrupted. Run the command again.")
    error = future.exception()
    return Graded(found, (), f"Not graded: {type(error).__name__}: {error}") if error else future.result()


def max_parallel(limits: Limits) -> int:
    """How many sandboxes run at the same time: one per core, as far as there is memory for all of them at their limits."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, int(psutil.virtual_memory().available * 0.8 // (limits.memory + IDLE_MEMORY))))


def _grade_one(found: Found, assignment: Assignment | None, options: Options) -> Graded:
    if assignment is None or found.extra:
        unclear = "The file does not say which homework it is: name it hw3.ipynb, or give --homework."
        return Graded(found, (), found.problem or unclear)
    if found.notebook is None:
        lost = tuple(Result(task.name, task.points, 0, complaint=Complaint(found.problem)) for task in assignment.tasks)
        return Graded(found, lost, found.problem)
    results = {one.exercise: one for one in _run_programs(found.notebook, assignment, options)}
    for task in assignment.written:
        results[task.name] = Result(task.name, task.points, None, answer=found.notebook.answer(task.name))
    return Graded(found, tuple(results[task.name] for task in assignment.tasks))


def _run_programs(notebook: Notebook, assignment: Assignment, options: Options) -> Iterator[Result]:
    """Each exercise in turn, in one sandbox; where a program destroyed it, the next exercise gets a new one."""
    sandbox: Sandbox | None = None
    try:
        for task in assignment.programs:
            program, remark = notebook.program(task.name)
            if program is None:
                yield Result(task.name, task.points, 0, complaint=Complaint(remark))
                continue
            if len(program) > MAX_CODE:
                problem = f"The cell has {len(program):,} characters, but at most {MAX_CODE:,} are read: move data out of it."
                yield Result(task.name, task.points, 0, complaint=Complaint(problem))
                continue
            start, note = time.monotonic(), ""
            try:
                sandbox = sandbox or Sandbox(options.limits, options.safe, options.closed_book)
                complaint, note = _judge(task, sandbox.ask(_request(task, program, notebook)))
            except (NoAnswer, protocol.Malformed) as error:
                complaint = Complaint(f"{error}" if isinstance(error, NoAnswer) else f"What it returned is no answer: {error}.")
                if isinstance(error, (SandboxDied, protocol.Malformed)) and sandbox:  # later replies may be out of step
                    sandbox.close()
                    sandbox = None
            points = complaint.points(task.points) if complaint else task.points
            seconds, remark = time.monotonic() - start, " ".join(filter(None, [remark, note]))
            library = tuple(notebook.uses_library(program))
            yield Result(task.name, task.points, points, seconds, complaint, remark, program=program, library=library)
    finally:
        if sandbox:
            sandbox.close()


def _request(task: Task, program: str, notebook: Notebook) -> bytes:
    """The message that asks a worker for the outcomes of every hidden input."""
    others: list[str] = []
    room = MAX_CODE - len(program)
    for cell in notebook.code:
        if cell is not program and len(cell) <= room:  # a picture as text, for example, is left out
            others.append(cell)
            room -= len(cell)
    inputs = tuple(case.args for case in task.hidden_inputs)
    return protocol.pack((task.name, program, tuple(others), inputs, task.differentiable))


def _judge(task: Task, reply: bytes) -> tuple[Complaint | None, str]:
    """What the check says about a worker's reply, and its remark. Raises protocol.Malformed for bytes that are no reply."""
    outcomes = protocol.unpack_outcomes(reply)
    if len(outcomes) != len(task.hidden_inputs):
        raise protocol.Malformed("it does not answer every input")
    assert task.explain is not None  # only a question in words has none, and no worker answers it
    assert task.remark is not None
    try:
        complaint = task.explain(task.hidden_inputs, outcomes)
        return complaint, "" if complaint else task.remark(task.hidden_inputs, outcomes)
    except (TypeError, ValueError, ArithmeticError, RuntimeError, AttributeError, LookupError) as error:  # forged to fail here
        raise protocol.Malformed(f"it cannot be compared ({type(error).__name__})") from error
