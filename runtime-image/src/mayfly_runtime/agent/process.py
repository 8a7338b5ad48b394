"""The worker's process: start, interrupt, kill with all descendants, reap.

Imported before the worker is started, so it imports little.
"""

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import sys
from pathlib import Path

MIN_FD = 200
"""The worker's descriptor is at least this, out of the way of code that closes low numbers."""

_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_KILL_ROUNDS = 50

_SIGNALS = {
    signal.SIGSEGV: "a segmentation fault",
    signal.SIGABRT: "an abort",
    signal.SIGBUS: "a bus error",
    signal.SIGFPE: "an arithmetic error",
    signal.SIGILL: "an illegal instruction",
    signal.SIGKILL: "killed",
    signal.SIGTERM: "terminated",
}


def harden() -> None:
    """Make this process non-dumpable and a child subreaper.

    Non-dumpable: its environ, mem, fd and maps under /proc belong to root, and ptrace is refused,
    so that other processes of its UID can't read it. The worker's exec makes the worker dumpable
    again. Subreaper: the worker's orphans become children of this process.

    Raises:
        OSError: the kernel refuses; then no worker may be started.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((_PR_SET_DUMPABLE, 0), (_PR_SET_CHILD_SUBREAPER, 1)):
        if libc.prctl(option, value, 0, 0, 0) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"prctl({option}): {os.strerror(number)}")


class Worker:
    """A started worker: its process group, our end of its channel, the read end of its log."""

    def __init__(self, pid: int, channel: socket.socket, log: int) -> None:
        self.pid = pid
        self.channel = channel
        self.log = log

    def interrupt(self) -> None:
        """Ask it to raise the cancellation in `main()`."""
        _signal(self.pid, signal.SIGUSR1)

    def kill(self) -> None:
        """Kill its process group, and descendants that were reparented to us."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        kill_orphans(spare=self.pid)


def channel_pair() -> tuple[socket.socket, socket.socket]:
    """A connected pair; the second is for the worker and has a high number, close-on-exec."""
    ours, theirs = socket.socketpair()
    high = fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD_CLOEXEC, MIN_FD)
    theirs.close()
    return ours, socket.socket(fileno=high)


def spawn(environment: dict[str, str], command: list[str] | None = None) -> Worker:
    """Start the worker in a session of its own, with /dev/null, the log pipe and the channel.

    Raises:
        OSError: no process, pipe or descriptor is available.
    """
    log_read, log_write = os.pipe2(os.O_CLOEXEC)
    ours, theirs = channel_pair()
    number = theirs.fileno()
    os.set_inheritable(number, True)
    command = command or [sys.executable, "-I", "-X", "utf8", "-m", "mayfly_runtime.worker"]
    try:
        pid = os.posix_spawn(
            command[0],
            [*command, str(number)],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log_write, 1),
                (os.POSIX_SPAWN_DUP2, log_write, 2),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE],
        )
    finally:
        theirs.close()
        os.close(log_write)
    return Worker(pid, ours, log_read)


def reap() -> dict[int, int]:
    """Reap all ended children, own or adopted; returns their wait statuses."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = status


def kill_orphans(spare: int = 0) -> None:
    """Kill every child except `spare`, repeatedly, because killed ones leave their children to us.

    Their ends arrive as SIGCHLD. What is left after the last round (a fork bomb) dies with PID 1.
    """
    killed: set[int] = set()
    for _ in range(_KILL_ROUNDS):
        fresh = [pid for pid in children() if pid != spare and pid not in killed]
        if not fresh:
            return
        for pid in fresh:
            _signal(pid, signal.SIGKILL)
        killed.update(fresh)


def children(proc: Path = Path("/proc")) -> list[int]:
    """The pids of this process's children."""
    own = os.getpid()
    return [
        int(entry.name)
        for entry in proc.iterdir()
        if entry.name.isdigit() and _parent(entry) == own
    ]


def describe(status: int) -> str:
    """A wait status as a sentence: how the author's process ended."""
    if os.WIFEXITED(status):
        return f"the process exited with code {os.WEXITSTATUS(status)}"
    number = os.WTERMSIG(status)
    try:
        known = signal.Signals(number)
    except ValueError:
        return f"the process was ended by signal {number}"
    words = _SIGNALS.get(known)
    return f"the process was ended by {known.name}" + (f" ({words})" if words else "")


def killed(status: int) -> bool:
    """Whether the process ended by SIGKILL, which is also what an OOM kill looks like."""
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def _parent(entry: Path) -> int:
    try:
        stat = (entry / "stat").read_bytes()
    except OSError:
        return 0
    # The name in parentheses may contain anything; parse the fields after the last parenthesis.
    return int(stat.rpartition(b")")[2].split()[1])


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
