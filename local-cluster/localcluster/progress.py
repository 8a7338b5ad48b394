"""Progress of a command, on standard error: one line per step.

Standard output is reserved for results (`env`, `images`, `status`).
"""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from localcluster.failure import Failure
from localcluster.screen import SCREEN

Command = Sequence[str | Path]

TAIL_LINES = 30
STOPPING = threading.Event()
"""Set when parallel work is to stop."""

_KNOWN_PART = 0.03  # of the work, before it says anything about the rest


@dataclass(frozen=True)
class Far:
    """Progress of a command: in words, and as a fraction if that is known."""

    words: str
    done: float | None = None


class Stopped(Failure):
    """A step was stopped because another one failed."""


def note(text: str) -> None:
    """Print a line that belongs to no step."""
    SCREEN.write(f"  {text}")


def check_stopping() -> None:
    """Stop waiting if parallel work has failed."""
    if STOPPING.is_set():
        raise Stopped("stopped, because another step failed")


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a log; none if it does not exist."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - 16384))
            text = stream.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    # A tool's own progress bar rewrites its line with carriage returns.
    lines = [line.rsplit("\r", 1)[-1].rstrip() for line in text.rstrip().split("\n")]
    return [line for line in lines if line][-count:]


class Step:
    """One line of progress, with its duration; a context manager (see `step`)."""

    def __init__(self, title: str, log: Path) -> None:
        self.title = title
        self.log = log
        self._started = time.monotonic()
        self._word = ""
        self._far: Callable[[], Far] = self._last_line
        self._usual = _seconds(self._record)

    def __enter__(self) -> Self:
        SCREEN.begin(self._say)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        took = time.monotonic() - self._started
        if kind is None and not self._word and self.log.exists():
            self._record.write_text(f"{took:.1f}\n")
        SCREEN.end(
            self._say, f"{took:7.1f} s  {self.title}: {'failed' if kind else self._word or 'done'}"
        )

    def cached(self, word: str = "cached") -> None:
        """Say that nothing had to be done."""
        self._word = word

    def run(
        self,
        command: Command,
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        far: Callable[[str], Far] | None = None,
    ) -> None:
        """Run a command with its output in the step's log; a nonzero exit shows its last lines.

        `far` computes the progress from the command's output.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            log.write(f"$ {' '.join(map(str, command))}\n".encode())
            log.flush()
            start = log.tell()
            if far is not None:
                self._far = lambda: far(_text(self.log, start))
            process = subprocess.Popen(
                [str(part) for part in command],
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            try:
                self._feed(process, stdin)
                while process.poll() is None:
                    self._heartbeat()
                    self._pause(process)
            finally:
                _end(process)
                self._far = self._last_line
        if process.returncode:
            raise self.failure(
                f"`{Path(str(command[0])).name}` ended with exit code {process.returncode}"
            )

    def wait(
        self, ready: Callable[[], bool], seconds: float, what: str, log: Path | None = None
    ) -> None:
        """Poll until `ready()`; a timeout fails with the last lines of the log."""
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline:
                raise self.failure(f"after {seconds:.0f} s it is not so that {what}", log)
            self._heartbeat()
            time.sleep(0.2)

    def failure(self, what: str, log: Path | None = None) -> Failure:
        """A Failure with the last lines of a log (by default this step's) and its path."""
        log = log or self.log
        tail = "".join(f"\n    {line[:300]}" for line in last_lines(log, TAIL_LINES))
        where = f"\n  the whole log: {log}" if log.exists() else ""
        return Failure(f"{self.title}: {what}{tail}{where}")

    @staticmethod
    def _feed(process: subprocess.Popen[bytes], stdin: str | None) -> None:
        if process.stdin is None:
            return
        # A command may end before it has read all; its exit code says why.
        with suppress(BrokenPipeError):
            process.stdin.write((stdin or "").encode())
        with suppress(BrokenPipeError):
            process.stdin.close()

    @staticmethod
    def _pause(process: subprocess.Popen[bytes]) -> None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)

    @staticmethod
    def _heartbeat() -> None:
        check_stopping()
        SCREEN.refresh()

    @property
    def _record(self) -> Path:
        """The file with the step's previous duration."""
        return self.log.with_suffix(".seconds")

    def _say(self) -> str:
        """The line while the step is running."""
        elapsed = time.monotonic() - self._started
        far = self._far()
        words = [word for word in (far.words, self._left(elapsed, far.done)) if word]
        return f"{elapsed:7.1f} s  {self.title} … {', '.join(words)}".rstrip()

    def _left(self, elapsed: float, done: float | None) -> str:
        if done is not None and _KNOWN_PART < done < 1:
            left = elapsed * (1 - done) / done
        elif done is None and self._usual is not None and self._usual > elapsed:
            left = self._usual - elapsed
        else:
            return ""
        return f"about {left / 60:.0f} min left" if left > 90 else f"about {left:.0f} s left"

    def _last_line(self) -> Far:
        said = last_lines(self.log, 1)
        return Far(said[0][:70] if said else "")


def _seconds(path: Path) -> float | None:
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return None


def _text(path: Path, start: int) -> str:
    with path.open("rb") as stream:
        stream.seek(start)
        return stream.read().decode(errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """After Ctrl-C: give the command time to remove its mounts and files."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def step(title: str, log: Path) -> Iterator[Step]:
    """Start a step whose commands write to an empty `log`."""
    log.unlink(missing_ok=True)
    with Step(title, log) as current:
        yield current
