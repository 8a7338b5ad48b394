"""What a person sees while a command works: one line a step, on standard error.

Standard output stays free for results (`env`, `images`, `status`).
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from localcluster.failure import Failure

Command = Sequence[str | Path]

HEARTBEAT_SECONDS = 20.0
TAIL_LINES = 30


def note(text: str) -> None:
    """A line that belongs to no step."""
    print(f"  {text}", file=sys.stderr, flush=True)


def last_lines(path: Path, count: int) -> list[str]:
    """The end of a log; an absent log has no lines."""
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
    """One line of progress, timed; a context manager (see `step`)."""

    def __init__(self, title: str, log: Path) -> None:
        self.title = title
        self.log = log
        self._started = time.monotonic()
        self._beat = self._started
        self._word = ""
        self._live = sys.stderr.isatty()

    def __enter__(self) -> Self:
        self._show("…")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._line("failed" if kind else self._word or "done")

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
    ) -> None:
        """Run a command with its output in the step's log; a bad exit shows the log's tail."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            log.write(f"$ {' '.join(map(str, command))}\n".encode())
            log.flush()
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
        if process.returncode:
            raise self.failure(
                f"`{Path(str(command[0])).name}` ended with exit code {process.returncode}"
            )

    def wait(
        self, ready: Callable[[], bool], seconds: float, what: str, log: Path | None = None
    ) -> None:
        """Poll until `ready()`; a wait that runs out fails with the tail of the log."""
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline:
                raise self.failure(f"after {seconds:.0f} s it is not so that {what}", log)
            self._heartbeat()
            time.sleep(0.2)

    def failure(self, what: str, log: Path | None = None) -> Failure:
        """A Failure that carries the end of a log (this step's) and says where the rest is."""
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

    def _heartbeat(self) -> None:
        now = time.monotonic()
        if now - self._beat < (1.0 if self._live else HEARTBEAT_SECONDS):
            return
        self._beat = now
        said = last_lines(self.log, 1)
        self._show("… " + said[0][:70] if said else "…")

    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._started:7.1f} s"

    def _show(self, word: str) -> None:
        """The unfinished line: rewritten in place on a terminal, else only when it has news."""
        if self._live:
            print(
                f"\r\x1b[2K{self._elapsed()}  {self.title} {word}",
                end="",
                file=sys.stderr,
                flush=True,
            )
        elif word != "…":
            print(f"{self._elapsed()}  {self.title} {word}", file=sys.stderr, flush=True)

    def _line(self, word: str) -> None:
        start = "\r\x1b[2K" if self._live else ""
        print(f"{start}{self._elapsed()}  {self.title}: {word}", file=sys.stderr, flush=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    """After Ctrl-C: give the command time to clean up what it mounted or wrote."""
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
    """Start a step whose commands write to a fresh `log`."""
    log.unlink(missing_ok=True)
    with Step(title, log) as current:
        yield current
