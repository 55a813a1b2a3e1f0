"""The sandbox: a process tree without network access, without access to the teacher's files, and with limited resources.

It is bubblewrap (https://github.com/containers/bubblewrap). Inside are the Python of this workbook, its packages and
`course_lib` without `homework/checks`, all read-only, and an empty /tmp in memory; no home, no submissions, no secret.
"""

import contextlib
import os
import platform
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

import course_lib
from course_lib.homework.grading import protocol, seccomp

MISSING = (
    "bubblewrap is not installed, and without it a submission would run with all your rights. To fix it: install it (Linux: "
    "`sudo apt install bubblewrap`, or dnf, pacman, zypper), or give --unsafe-no-sandbox if you trust every submission."
)
ELSEWHERE = (
    "grading runs programs of strangers in a sandbox that exists on Linux alone, not on {system}: grade on a Linux machine, in a "
    "virtual machine, or in WSL 2 on Windows."
)
BLOCKED = (
    "bubblewrap is installed but cannot make a sandbox here ({why}). Containers and some systems forbid user namespaces: "
    "allow them, use another machine, or give --unsafe-no-sandbox if you trust every submission."
)
READY = b"ready\n"
USERS = range(60_000, 64_000)  # a sandbox runs as one of them; people's own ids end below
UNPRIVILEGED = 65534  # the user without rights, as which a program of root's runs where there is no sandbox
PACKAGE = Path(course_lib.__file__).resolve().parent


@contextlib.contextmanager
def _seccomp_filter(safe: bool) -> Iterator[list[int]]:
    """An open file with the filter of system calls, for bubblewrap to read; none without it, or on other machines."""
    if not (content := seccomp.filter_program() if safe else b""):
        yield []
        return
    reader, writer = os.pipe()
    os.write(writer, content)  # some hundred bytes: they fit into the pipe
    os.close(writer)
    try:
        yield [reader]
    finally:
        os.close(reader)


class NoSandbox(ValueError):
    """No sandbox can be made; the message says how to get one."""


class NoAnswer(ValueError):
    """The program of one exercise gave no answer; the message is for the student."""


class SandboxDied(NoAnswer):
    """The sandbox ended, or broke the protocol."""


@dataclass(frozen=True)
class Limits:
    """Limits of one exercise. seconds: of computing; on the clock it may last `wall`, because other programs use the cores, too.

    memory: bytes that its processes may hold together. start: seconds for the sandbox's own start.
    """

    seconds: float = 10.0
    memory: int = 2 * 2**30
    processes: int = 24
    scratch: int = 64 * 2**20
    start: float = 120.0

    @property
    def wall(self) -> float:
        """Seconds on the clock."""
        return 3 * self.seconds


def bwrap_command(user: int, limits: Limits, closed_book: bool = False) -> list[str]:
    """Return bubblewrap's command line up to the program that it runs. closed_book: course_lib holds no block of the chapters."""
    python = [Path(sys.prefix), Path(sys.base_prefix)]
    shown = [Path("/usr"), *(p for p in python if not p.is_relative_to("/usr")), PACKAGE]
    line = ["bwrap", "--die-with-parent", "--new-session", "--clearenv"]
    line += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    if os.geteuid() == 0:  # the worker gives up root inside; then the limit on processes applies
        line += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        line += ["--unshare-user", "--uid", str(user), "--gid", str(user)]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = Path("/", name)
        if path.is_symlink():
            line += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            line += ["--ro-bind", str(path), str(path)]
    scratch = ["--perms", "1777", "--size", str(limits.scratch), "--tmpfs"]
    line += [*scratch, "/tmp"]  # before the bind mounts, which may lie in it
    for path in dict.fromkeys(shown):
        for parent in reversed(path.parents[:-1]):  # else bubblewrap makes them readable by root alone
            if parent != Path("/tmp") and not any(parent.is_relative_to(one) for one in shown):
                line += ["--perms", "0755", "--dir", str(parent)]
        line += ["--ro-bind", str(path), str(path)]
    for optional in ("/etc/ld.so.cache", "/etc/alternatives", "/etc/ld.so.conf", "/etc/ld.so.conf.d"):
        line += ["--ro-bind-try", optional, optional]
    hidden = [PACKAGE / "homework" / "checks"]  # oracles and known mistakes: not for students' programs
    if closed_book:
        hidden += [path for path in PACKAGE.iterdir() if path.name not in ("__init__.py", "homework")]
    for path in hidden:
        empty = ["--tmpfs", str(path), "--remount-ro", str(path)] if path.is_dir() else ["--ro-bind", os.devnull, str(path)]
        line += empty
    line += ["--proc", "/proc", "--dev", "/dev", *scratch, "/dev/shm"]
    line += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp"]
    settings = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "TMPDIR": "/tmp", "LANG": "C.UTF-8", "COURSE_SANDBOX": "1"}
    settings |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    for name, value in settings.items():
        line += ["--setenv", name, value]
    return line


def require_sandbox(limits: Limits, safe: bool = True) -> None:
    """Start a sandbox and end it. Raises NoSandbox, with a message for the teacher, where none can be made."""
    if not sys.platform.startswith("linux"):  # nor can the worker run without one: it forks, and limits its processes
        raise NoSandbox(ELSEWHERE.format(system=platform.system() or sys.platform))
    if safe and not shutil.which("bwrap"):
        raise NoSandbox(MISSING)
    Sandbox(limits, safe).close()


class Sandbox:
    """One submission's process tree. ``ask`` sends a request for `worker.run_exercise` and waits for the bytes of the outcomes.

    safe: False runs the same program without bubblewrap, with the teacher's own rights. closed_book: without the blocks of the
    chapters.
    """

    def __init__(self, limits: Limits, safe: bool = True, closed_book: bool = False) -> None:
        self.limits = limits
        self.user, self._reservation = _reserve_user()
        program = [
            sys.executable,
            "-m",
            "course_lib.homework.grading.worker",
            str(self.user),
            str(limits.processes),
            str(limits.seconds),
            str(limits.wall),
        ]
        program.append(str(8 * 2**30))  # address space, not memory in use: torch alone reserves gigabytes
        environment = {"PATH": os.environ.get("PATH", os.defpath)}  # bubblewrap's own process can be read from inside
        if not safe:
            program[3:5] = [str(UNPRIVILEGED if _readable_by_others(Path(sys.base_prefix)) else 0), str(user_process_limit())]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with _seccomp_filter(safe) as files:
            options = ["--seccomp", str(files[0])] if files else []
            wrapper = [*bwrap_command(self.user, limits, closed_book), *options] if safe else []
            self.process = subprocess.Popen(
                [*wrapper, *program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,  # select sees the pipe, not a buffer in front of it
                env=environment,
                cwd="/" if safe else None,
                pass_fds=files,
            )
        stdin, stdout, stderr = self.process.stdin, self.process.stdout, self.process.stderr
        assert stdin is not None  # all three are pipes
        assert stdout is not None
        assert stderr is not None
        self._stdin, self._stdout = stdin, stdout
        os.set_blocking(stdout.fileno(), False)
        os.set_blocking(stdin.fileno(), False)
        try:
            self._read(len(READY), time.monotonic() + limits.start, "it took too long")
        except SandboxDied as error:
            self.process.kill()
            self._reservation.close()
            said = self.process.communicate()[1].decode(errors="replace").strip().splitlines()
            raise NoSandbox(BLOCKED.format(why=said[-1] if said else error)) from error
        stderr.close()

    def ask(self, request: bytes) -> bytes:
        """Return the reply to one request. Raises NoAnswer where the program gave none, SandboxDied where the sandbox ended."""
        deadline = time.monotonic() + self.limits.wall + 5
        late = f"It took longer than {self.limits.wall:g} s, and stopped the grader's process."
        self._write(request, deadline, late)
        size, end = protocol.REPLY_HEAD.unpack(self._read(protocol.REPLY_HEAD.size, deadline, late))
        if size > protocol.LIMIT + protocol.REPLY_HEAD.size or end not in (protocol.FINE, *self.failures):
            raise SandboxDied("It tampered with the grader's own messages.")
        if end != protocol.FINE:
            raise NoAnswer(self.failures[end])
        return self._read(size, deadline, late)

    @property
    def failures(self) -> dict[int, str]:
        """Messages for a student whose program gave no answer."""
        return {
            protocol.TOO_LONG: f"It computed for more than {self.limits.seconds:g} s: does a loop never end?",
            protocol.STALLED: f"It took longer than {self.limits.wall:g} s: does it wait for something that never comes?",
            protocol.TOO_MUCH: f"It returned more than {protocol.LIMIT / 2**20:g} MiB.",
            protocol.DIED: "Its process ended without an answer: it exited, crashed, or exceeded a limit.",
        }

    def close(self) -> None:
        """Kill every process in it. With bubblewrap all end with the first one."""
        tree = self._tree()
        self.process.kill()
        for process in tree:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        for pipe in (self._stdin, self._stdout):
            try:
                pipe.close()
            except BrokenPipeError:
                continue
        self.process.wait()
        self._reservation.close()

    def _read(self, size: int, deadline: float, late: str) -> bytes:
        parts = b""
        while len(parts) < size:
            self._check_limits(deadline, late)
            if select.select([self._stdout], [], [], 0.05)[0]:
                part = self._stdout.read(size - len(parts))
                if part == b"":
                    raise SandboxDied("It ended the process that graded it.")
                parts += part or b""
        return parts

    def _write(self, message: bytes, deadline: float, late: str) -> None:
        left = memoryview(message)
        while left:
            self._check_limits(deadline, late)
            if select.select([], [self._stdin], [], 0.05)[1]:
                try:
                    left = left[os.write(self._stdin.fileno(), left) :]
                except BrokenPipeError as error:
                    raise SandboxDied("It ended the process that graded it.") from error

    def _check_limits(self, deadline: float, late: str) -> None:
        """Raise SandboxDied when the time is over or the processes hold too much memory."""
        if time.monotonic() > deadline:
            raise SandboxDied(late)
        if self._held(lambda process: process.memory_info().rss) <= self.limits.memory:
            return  # counts what is shared several times, and is quick to read
        if self._held(lambda process: process.memory_full_info().pss) > self.limits.memory:
            raise SandboxDied(f"It held more than {self.limits.memory / 2**30:g} GiB of memory.")

    def _held(self, measure: Callable[[psutil.Process], int]) -> int:
        """Bytes that its processes hold together."""
        held = 0
        for process in self._tree():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                held += measure(process)
        return held

    def _tree(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []


def _reserve_user() -> tuple[int, socket.socket]:
    """A user id that no other sandbox of this machine has, and what reserves it until it is closed.

    The kernel counts processes by user id, also over several graders: with an id of another's, a right program could not start
    where that one's program had taken all that is allowed. The reservation is a name without a file (unix(7), abstract sockets),
    which ends with its process.
    """
    for user in USERS:
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f"\0course-sandbox-{user}")
        except OSError:  # another sandbox has it
            name.close()
        else:
            return user, name
    raise NoSandbox(f"all {len(USERS)} user ids of sandboxes are taken: wait until other graders on this machine are done.")


def _readable_by_others(folder: Path) -> bool:
    """Whether a user without rights could still import this Python's packages."""
    return all(one.stat().st_mode & 0o005 == 0o005 for one in (folder, PACKAGE, *folder.parents, *PACKAGE.parents))


def user_process_limit() -> int:
    """This user's own limit on processes: without a sandbox it counts all processes of the user."""
    import resource

    return resource.getrlimit(resource.RLIMIT_NPROC)[0]
