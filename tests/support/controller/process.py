"""Controller processes: each is a fork of one that has imported everything and run nothing.

To import the controller takes more than a second of a core, and these tests start it some hundred
times. A fork of a process that has only imported is as new as one that imports itself.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from pathlib import Path

from mayfly.__main__ import main

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["mayfly.controller.process", "mayfly.config", __name__])


class ControllerProcess:
    """`mayfly controller`, running.

    Args:
        environment: what it has in its environment beside the tests' own.
        log: the file that gets its output.
    """

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._process = _FORKS.Process(target=_run, args=(environment, str(log)), daemon=True)
        self._process.start()

    def kill(self) -> None:
        """End it without a word."""
        self._process.kill()

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self._process.is_alive():
            assert self._process.pid is not None
            os.kill(self._process.pid, number)

    def wait(self, seconds: float | None = None) -> int | None:
        """Its exit code, or minus the signal that ended it; None if it still runs."""
        self._process.join(seconds)
        return self._process.exitcode


def _run(environment: dict[str, str], log: str) -> None:
    with Path(log).open("wb") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    os.environ.update(environment)
    sys.exit(main(["controller"]))
