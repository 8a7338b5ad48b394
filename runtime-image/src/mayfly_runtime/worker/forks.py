"""Processes that the author's code forks: none of them speaks for the run."""

import os
import sys
from types import TracebackType
from typing import NoReturn

from mayfly_runtime.worker import errors, stdio


class Origin:
    """The process in which the run began. Around the author's code it is a context manager.

    A forked child that comes out of that code (returns, yields, raises, exits) ends there, with
    the exit code that a script would have.
    """

    def __init__(self) -> None:
        self._pid = os.getpid()

    def __enter__(self) -> None:
        """The author's code begins."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.check(error)

    def check(self, error: BaseException | None = None) -> None:
        """End this process if it is a forked child; `error` is what its code raised."""
        if os.getpid() != self._pid:
            _end(error)


def _end(error: BaseException | None) -> NoReturn:
    code = 0
    try:
        if isinstance(error, SystemExit):
            code = errors.exit_code(error)
            if not isinstance(error.code, int | None):
                sys.stderr.write(f"{error.code}\n")
        elif error is not None:
            code = 1
            errors.print_traceback(error)
        stdio.flush()
    finally:
        os._exit(code & 0xFF)
