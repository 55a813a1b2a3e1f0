"""Grade a folder of submissions in parallel, each in its own sandbox; the comparison with the oracles happens outside of it."""

import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue

import psutil
from tqdm import tqdm

from course_lib.homework.checks.case import Assignment, Complaint, Task
from course_lib.homework.grading import protocol, submission
from course_lib.homework.grading.results import Graded, Result
from course_lib.homework.grading.sandbox import Limits, NoAnswer, Sandbox, SandboxDied, require_sandbox
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


def grade(
    folder: Path,
    assignments: Mapping[str, Callable[[], Assignment]],
    homework: str | None = None,
    limits: Limits | None = None,
    safe: bool = True,
    progress: bool = True,
) -> list[Graded]:
    """Grade every submission below ``folder``, which is read and never written.

    assignments: by homework, what makes its assignment; called once for each homework found, when a sandbox and the submissions
    are there. homework: grade this one alone. safe: False runs strangers' programs with your own rights. Raises ValueError for
    an unknown homework, where ``folder`` holds no notebook, and (`NoSandbox`) where no sandbox can be made.
    """
    if homework is not None and homework not in assignments:
        raise ValueError(f"there is no homework {homework!r}; choose from {', '.join(assignments)}.")
    limits = limits or Limits()
    require_sandbox(limits, safe)
    found = submission.find_submissions(folder, homework)
    made = {name: assignments[name]() for name in {one.homework for one in found} & assignments.keys()}
    parallel = max_parallel(limits)
    slots: SimpleQueue[int] = SimpleQueue()
    for slot in range(parallel):
        slots.put(slot)

    def grade_in_a_slot(one: submission.Found) -> Graded:
        slot = slots.get()
        try:
            return _grade_one(one, folder, made.get(one.homework), slot, limits, safe)
        finally:
            slots.put(slot)

    with ThreadPoolExecutor(parallel) as pool, tqdm(total=len(found), unit="submission", disable=not progress) as bar:
        futures = [pool.submit(grade_in_a_slot, one) for one in found]
        try:
            for _ in as_completed(futures):
                bar.update()
        except KeyboardInterrupt:  # keep what is graded
            pool.shutdown(cancel_futures=True)
        return [_result(future, one) for future, one in zip(futures, found, strict=True)]


def _result(future: Future[Graded], found: submission.Found) -> Graded:
    """What a submission's grading gave. Where it failed or never began, the submission is in the results with the reason."""
    if future.cancelled():
        return Graded(found, (), "Not graded: the run was interrupted. Run the command again.")
    error = future.exception()
    return Graded(found, (), f"Not graded: {type(error).__name__}: {error}") if error else future.result()


def max_parallel(limits: Limits) -> int:
    """How many sandboxes run at the same time: one per core, as far as there is memory for all of them at their limits."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, int(psutil.virtual_memory().available * 0.8 // (limits.memory + IDLE_MEMORY))))


def _grade_one(
    found: submission.Found, folder: Path, assignment: Assignment | None, slot: int, limits: Limits, safe: bool
) -> Graded:
    if assignment is None:
        return Graded(found, (), "The file does not say which homework it is: name it hw3.ipynb, or give --homework.")
    try:
        cells = submission.read_cells(found.path, folder, [task.name for task in assignment.written])
    except submission.Unreadable as error:
        lost = tuple(Result(task.name, task.points, 0, complaint=Complaint(str(error))) for task in assignment.tasks)
        return Graded(found, lost, str(error))
    results = {one.exercise: one for one in _run_programs(cells, assignment, slot, limits, safe)}
    for task in assignment.written:
        text = cells.written[task.name].strip()
        answer = "" if text in ("", submission.ANSWER_HERE) else text
        results[task.name] = Result(task.name, task.points, None, answer=answer)
    return Graded(found, tuple(results[task.name] for task in assignment.tasks))


def _run_programs(cells: submission.Cells, assignment: Assignment, slot: int, limits: Limits, safe: bool) -> Iterator[Result]:
    """Each exercise in turn, in one sandbox; where a program destroyed it, the next exercise gets a new one."""
    sandbox: Sandbox | None = None
    try:
        for task in assignment.programs:
            program, remark = cells.program(task.name)
            if program is None:
                yield Result(task.name, task.points, 0, complaint=Complaint(remark))
                continue
            if len(program) > MAX_CODE:
                problem = f"The cell has {len(program):,} characters, but at most {MAX_CODE:,} are read: move data out of it."
                yield Result(task.name, task.points, 0, complaint=Complaint(problem))
                continue
            start = time.monotonic()
            try:
                sandbox = sandbox or Sandbox(slot, limits, safe)
                complaint = _judge(task, sandbox.ask(_request(task, program, cells)))
            except (NoAnswer, protocol.Malformed) as error:
                complaint = Complaint(f"{error}" if isinstance(error, NoAnswer) else f"What it returned is no answer: {error}.")
                if isinstance(error, (SandboxDied, protocol.Malformed)) and sandbox:  # later replies may be out of step
                    sandbox.close()
                    sandbox = None
            points = 0 if complaint else task.points
            yield Result(task.name, task.points, points, time.monotonic() - start, complaint, remark)
    finally:
        if sandbox:
            sandbox.close()


def _request(task: Task, program: str, cells: submission.Cells) -> bytes:
    """The message that asks a worker for the outcomes of every hidden input."""
    others: list[str] = []
    room = MAX_CODE - len(program)
    for cell in cells.code:
        if cell is not program and len(cell) <= room:  # a picture as text, for example, is left out
            others.append(cell)
            room -= len(cell)
    inputs = tuple(case.args for case in task.hidden_inputs)
    return protocol.pack((task.name, program, tuple(others), inputs, task.differentiable))


def _judge(task: Task, reply: bytes) -> Complaint | None:
    """What the check says about a worker's reply. Raises protocol.Malformed for bytes that are no reply."""
    outcomes = protocol.unpack_outcomes(reply)
    if len(outcomes) != len(task.hidden_inputs):
        raise protocol.Malformed("it does not answer every input")
    assert task.explain is not None  # only a question in words has none, and no worker answers it
    try:
        return task.explain(task.hidden_inputs, outcomes)
    except (TypeError, ValueError, ArithmeticError, RuntimeError, AttributeError, LookupError) as error:  # forged to fail here
        raise protocol.Malformed(f"it cannot be compared ({type(error).__name__})") from error
