"""The program inside the sandbox: for each exercise a separate process runs the student's cells and calls the function.

The grader trusts nothing here, because a student's program has the same rights as this process. It reads requests from stdin and
writes outcomes to stdout, as messages of `protocol`; the comparison happens outside.
"""

import ast
import contextlib
import ctypes
import math
import os
import select
import signal
import sys
import time
import types
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.homework.answers.call import Outcome, Unsupported, is_blank, observe_call
from course_lib.homework.grading import protocol

IMPORTS = (ast.Import, ast.ImportFrom)
ASSIGNMENTS = (ast.Assign, ast.AnnAssign)
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
#: What a constant of another cell may call: `LOG2PI = math.log(2 * math.pi)` is one, `losses = train(net)` is an experiment.
CHEAP = {"math", "np", "torch", "F", "device"} | {"bool", "float", "int", "dict", "list", "set", "tuple"}
CHEAP |= {"abs", "len", "max", "min", "range", "round", "sum"}
#: The checks' packages, in today's layout and in that of earlier homework files. They are not in the sandbox.
CHECKS = ("course_lib.homework.checks", "course_lib.checks")


class _AnyCheck(types.ModuleType):
    """Stands for `course_lib.homework.checks`: every check returns the function that it gets, and checks nothing."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything()


class _Anything:
    def __getattr__(self, name: str) -> "_Anything":
        return self

    def __call__(self, *given: object) -> object:
        return given[0] if given else None


def namespace() -> dict[str, Any]:
    """The names that every homework's first cell imports, and those that a notebook has by itself, which do nothing here."""
    imported = {"math": math, "np": np, "torch": torch, "Tensor": Tensor, "nn": nn, "F": F}
    return {**imported, "display": _Anything(), "get_ipython": _Anything(), "__name__": "__main__"}


def parse(cell: str) -> ast.Module:
    """Parse a cell as Jupyter does: magics, shell commands and question marks become calls that do nothing here.

    Raises SyntaxError or ValueError for what Jupyter refuses, too.
    """
    try:
        return ast.parse(cell)
    except SyntaxError:
        from IPython.core.inputtransformer2 import TransformerManager  # takes a third of a second, and few cells need it

        while cell.lstrip().startswith("%%"):  # a cell magic such as %%time: what is below it is the program
            cell = "\n" + cell.lstrip().partition("\n")[2]
        blank = len(cell) - len(cell.lstrip("\n"))  # IPython leaves these lines out, and line numbers would be others
        return ast.parse("\n" * blank + TransformerManager().transform_cell(cell))


def define_names(space: dict[str, Any], cells: Iterable[str], program: str) -> None:
    """Run the parts of other cells that a program needs, directly or not: imports, functions, classes, constants; no experiments.

    What it does not need is left out, because importing matplotlib, for example, takes a second.
    """
    parts = [
        node
        for cell in cells
        for node in _parsed(cell).body
        if _is_import(node) or isinstance(node, (*DEFINITIONS, *ASSIGNMENTS))
    ]
    needed, found = _used_names(_parsed(program)), -1
    while len(needed) > found:
        found = len(needed)
        needed |= {name for node in parts if _defined_names(node) & needed for name in _used_names(node)}
    for node in parts:
        if not _defined_names(node) & {*needed, "*"}:
            continue
        if _is_import(node) or isinstance(node, DEFINITIONS) or _is_constant(node, space):
            try:
                exec(compile(ast.Module([node], []), "<another cell>", "exec"), space)
            except Exception as error:  # code that needs this name will raise NameError, and the student reads that
                print(f"{type(error).__name__}: {error}", file=sys.stderr)


def _used_names(tree: ast.AST) -> set[str]:
    """The names that a tree uses from outside: all but the arguments of its functions."""
    used: set[str] = set()
    inside: list[tuple[ast.AST, frozenset[str]]] = [(tree, frozenset())]  # no recursion: a long sum is a deep tree
    while inside:
        node, arguments = inside.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            arguments |= {one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)}
        if isinstance(node, ast.Name) and node.id not in arguments:
            used.add(node.id)
        inside += [(child, arguments) for child in ast.iter_child_nodes(node)]
    return used


def _defined_names(node: ast.stmt) -> set[str]:
    """The names that a part of a cell defines; "*" for an import of all names."""
    if _is_import(node):
        aliases = [alias for one in ast.walk(node) if isinstance(one, IMPORTS) for alias in one.names]
        return {alias.asname or alias.name.partition(".")[0] for alias in aliases}
    if isinstance(node, DEFINITIONS):
        return {node.name}
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}


def _parsed(cell: str) -> ast.Module:
    """A cell's tree; an empty one where it cannot be parsed."""
    try:
        return parse(cell)
    except (SyntaxError, ValueError):
        return ast.Module([], [])


def _is_constant(node: ast.stmt, space: dict[str, Any]) -> bool:
    """Whether it assigns a lambda, or a value that is cheap to compute, and neither to a function's name nor to an attribute."""
    if not isinstance(node, ASSIGNMENTS) or node.value is None:
        return False
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    names = [name for target in targets for name in (target.elts if isinstance(target, ast.Tuple) else [target])]
    if not all(isinstance(name, ast.Name) and not isinstance(space.get(name.id), types.FunctionType) for name in names):
        return False
    if isinstance(node.value, ast.Lambda):
        return True
    return all(_root(one.func) in CHEAP for one in ast.walk(node.value) if isinstance(one, ast.Call))


def _root(node: ast.expr) -> str:
    """The name with which an expression such as math.log or torch.ones(3).sum begins, or ""."""
    while isinstance(node, (ast.Attribute, ast.Call, ast.Subscript)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _is_import(node: ast.stmt) -> bool:
    """Whether it is an import, or a ``try`` that only imports."""
    return isinstance(node, IMPORTS) or (isinstance(node, ast.Try) and all(isinstance(one, IMPORTS) for one in node.body))


def define_function(space: dict[str, Any], cell: str, name: str) -> Any:
    """Run the student's own cell, and return the function of this name as its last ``def`` (or else assignment) left it.

    What the cell does besides, a test call or a plot, may fail: in the notebook it had names that are not here. Raises what the
    cell raised where the function does not exist in the end.
    """
    tree = parse(cell)
    defined = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    function = first_error = None
    for node in tree.body:
        try:
            exec(compile(ast.Module([node], []), "<exercise>", "exec"), space)
        except Exception as error:
            first_error = first_error or error
        if defined and node is defined[-1]:
            function = space.get(name)
    function = function if function is not None else space.get(name)
    if function is None:
        raise first_error or KeyError(name)
    return function


def run_exercise(name: str, program: str, others: tuple[str, ...], cases: tuple, differentiable: bool) -> list[Outcome]:
    """Run the student's cells and call the function on every case: each part of an exercise earns its own points."""
    space = namespace()
    define_names(space, others, program)
    try:
        function = define_function(space, program, name)
    except Exception as error:  # the student reads it
        line = error.lineno if isinstance(error, SyntaxError) and type(error.lineno) is int else 0
        return [Outcome(error=f"{type(error).__name__}: {error}"[:400], line=line, blank=is_blank(error))] * len(cases)
    outcomes: list[Outcome] = []
    for args in cases:
        if outcomes and isinstance(outcomes[-1].value, Unsupported):  # too large, for example: once is enough
            outcomes.append(replace(outcomes[-1], after=args))
        else:
            outcomes.append(observe_call(function, args, differentiable))
    return outcomes


def run_in_process(request: bytes, seconds: float, wall: float, memory: int) -> tuple[bytes, int]:
    """`run_exercise` in a forked process: (its reply, `protocol.FINE`), or (b"", the reason why there is none).

    seconds: of computing, for each process that it starts. wall: on the clock, for all of them.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            os.close(reader)
            set_dumpable(True)
            devnull = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(devnull, stream)
            set_limits(memory, seconds)
            arguments = protocol.unpack(request)
            assert isinstance(arguments, tuple)  # the grader packed it
            reply = protocol.pack_outcomes(run_exercise(*arguments))
            with os.fdopen(writer, "wb") as pipe:
                pipe.write(reply)
        finally:
            os._exit(0)
    os.close(writer)
    reply, end = read_all(reader, time.monotonic() + wall)
    os.close(reader)
    if kill_program(pid) > 0.9 * seconds and end in (protocol.DIED, protocol.STALLED):
        end = protocol.TOO_LONG  # the kernel ended it at its limit, or would have done so next
    return reply, end


def set_dumpable(dumpable: bool) -> None:
    """Whether other processes of the same user may open this one's memory and pipes (prctl(2), PR_SET_DUMPABLE).

    A student's program has the user id of this process, so it could otherwise write replies in its place. The grader reads from
    outside how much memory a program's own process holds, which therefore stays open.
    """
    ctypes.CDLL(None).prctl(4, int(dumpable), 0, 0, 0)


def set_limits(memory: int, seconds: float) -> None:
    """Limit the process of one exercise and all processes that it starts."""
    import resource  # Windows has none

    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds) + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**24, 2**24))
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))


def read_all(pipe: int, deadline: float) -> tuple[bytes, int]:
    """All bytes until the pipe's end, or b"" and the reason: STALLED, TOO_MUCH or DIED."""
    parts: list[bytes] = []
    size = 0
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([pipe], [], [], left)[0]:
            break
        part = os.read(pipe, 2**16)
        if not part:
            return b"".join(parts), protocol.FINE if parts else protocol.DIED
        parts.append(part)
        size += len(part)
        if size > protocol.LIMIT + protocol.REPLY_HEAD.size:
            return b"", protocol.TOO_MUCH
    return b"", protocol.STALLED


def kill_program(pid: int) -> float:
    """Kill a program's process and all that it started; return the seconds of computing that they used, as far as is known.

    In a sandbox only this process and the first one stay alive.
    """
    if not os.environ.get("COURSE_SANDBOX"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        used = os.wait4(pid, 0)[2]
        return used.ru_utime + used.ru_stime
    os.kill(-1, signal.SIGKILL)  # all of them at once: a program that forks faster than it is listed cannot escape
    used = os.wait4(pid, 0)[2]
    with contextlib.suppress(ProcessLookupError):
        for _ in range(50):  # the first process of the sandbox collects the others
            os.kill(-1, signal.SIGKILL)
            time.sleep(0.01)
    return used.ru_utime + used.ru_stime


def hide_checks() -> None:
    """Let a student's cell import the checks as its notebook does, and get something that checks nothing."""
    for package in CHECKS:
        for name in (package, *(f"{package}.hw{n}" for n in range(1, 6))):
            sys.modules[name] = _AnyCheck(name)


def drop_privileges(user: int, processes: int) -> None:
    """Give up root if the sandbox was started as root, and limit the number of processes."""
    import resource

    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))


def main() -> None:
    """Serve requests until stdin ends. Arguments: user id, processes, seconds of computing, on the clock, bytes of memory."""
    user, processes, memory = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[5])
    seconds, wall = float(sys.argv[3]), float(sys.argv[4])
    drop_privileges(user, processes)
    set_dumpable(False)
    torch.set_num_threads(1)
    hide_checks()
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    replies.write(b"ready\n")
    replies.flush()
    while head := requests.read(protocol.HEAD.size):
        request = head + requests.read(sum(protocol.message_sizes(head)))
        reply, end = run_in_process(request, seconds, wall, memory)
        replies.write(protocol.REPLY_HEAD.pack(len(reply), end) + reply)
        replies.flush()


if __name__ == "__main__":
    main()
