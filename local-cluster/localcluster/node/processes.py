"""The cluster's processes: started detached, recorded, and signalled only if still ours.

After a crash or a reboot a pid may belong to another process. So a record also contains the boot id
and the process's start time.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from localcluster.builds import cache
from localcluster.progress import Command, Step
from localcluster.state import State, write


@dataclass(frozen=True)
class Process:
    """A started process, as recorded on disk."""

    name: str
    pid: int
    started: str
    boot: str
    inputs: str

    def alive(self) -> bool:
        """Whether this very process is still running.

        Without a start time, it had ended before the start time could be read.
        """
        return self.started != "" and (self.boot, self.started) == (_boot(), _start_time(self.pid))


@dataclass(frozen=True)
class Program:
    """A program to run; if a file of `inputs` changes, it is restarted."""

    name: str
    command: Command
    inputs: Sequence[Path] = ()
    env: Mapping[str, str] | None = None

    def key(self) -> str:
        """A key that changes with the command line and the configuration files."""
        words = [str(word) for word in self.command]
        return cache.key(*words, *(path.read_bytes() for path in self.inputs))


class Processes:
    """The recorded processes of one state folder."""

    def __init__(self, state: State) -> None:
        self._state = state

    def log(self, name: str) -> Path:
        """The path of a process's log."""
        return self._state.logs / f"{name}.log"

    def running(self, name: str) -> bool:
        """Whether the recorded process of that name is alive."""
        record = self._read(name)
        return record is not None and record.alive()

    def recorded(self) -> list[Process]:
        """All records, of living and dead processes."""
        names = sorted(path.stem for path in self._state.processes.glob("*.json"))
        return [record for name in names if (record := self._read(name))]

    def current(self, program: Program) -> bool:
        """Whether a program is running with its current configuration."""
        record = self._read(program.name)
        return record is not None and record.alive() and record.inputs == program.key()

    def start(self, program: Program) -> bool:
        """Start a program, unless it is running with its current configuration; True if started."""
        if self.current(program):
            return False
        self.stop(program.name)
        log = self.log(program.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists():
            log.replace(log.with_suffix(".log.before"))  # what the last one said before it died
        with log.open("ab") as stream:
            child = subprocess.Popen(
                [str(word) for word in program.command],
                cwd="/",
                env={**os.environ, **(program.env or {})},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,  # a closed terminal or Ctrl-C must not reach it
            )
        started = _start_time(child.pid)
        child.returncode = 0  # it outlives this process: no warning about an unwaited child
        record = Process(program.name, child.pid, started, _boot(), program.key())
        write(self._path(program.name), json.dumps(asdict(record)))
        return True

    def stop(self, name: str, grace: float = 10.0) -> None:
        """Terminate a recorded process, killing it after `grace` seconds; remove the record."""
        record = self._read(name)
        if record is not None:
            for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
                if not record.alive():
                    break
                send(record.pid, number)
                _wait_until_gone(record, seconds)
        self._path(name).unlink(missing_ok=True)

    def pause(self, name: str) -> bool:
        """SIGSTOP a recorded process, so that it answers nobody. Returns whether it is alive."""
        return self._signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> bool:
        """SIGCONT a paused process. Returns whether it is alive."""
        return self._signal(name, signal.SIGCONT)

    def wait(
        self, names: Sequence[str], ready: Callable[[], bool], what: str, current: Step
    ) -> None:
        """Wait until `ready()`; fails if one of the processes has died.

        The failure shows the log of the process to blame; by default, the last one named.
        """

        def ready_or_dead() -> bool:
            for name in names:
                if not self.running(name):
                    raise current.failure(f"{name} ended", self.log(name))
            return ready()

        current.wait(ready_or_dead, 120, what, self.log(names[-1]))

    def _signal(self, name: str, number: signal.Signals) -> bool:
        record = self._read(name)
        if record is None or not record.alive():
            return False
        send(record.pid, number)
        return True

    def _path(self, name: str) -> Path:
        return self._state.processes / f"{name}.json"

    def _read(self, name: str) -> Process | None:
        try:
            return Process(**json.loads(self._path(name).read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None


def send(pid: int, number: signal.Signals) -> None:
    """Signal a process that may have ended already."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _wait_until_gone(record: Process, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while record.alive() and time.monotonic() < deadline:
        with suppress(ChildProcessError):
            os.waitpid(record.pid, os.WNOHANG)  # ours if this command started it: reap it
        time.sleep(0.05)


def _start_time(pid: int) -> str:
    """Field 22 of /proc/<pid>/stat; "" for a zombie or a process that has ended."""
    try:
        # The second field is the command in parentheses and may hold spaces and parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in ("Z", "X") else fields[19]


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
