"""Lines on standard error: finished steps stay, running steps show their progress.

On a terminal each running step has a line that is rewritten. Otherwise one line shows all of them,
from time to time.
"""

import shutil
import sys
import threading
import time
from collections.abc import Callable

QUIET_SECONDS = 10.0
_REDRAW_SECONDS = 1.0


class Screen:
    """The lines of one process, from all its threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._running: list[tuple[int, Callable[[], str]]] = []
        self._drawn = 0
        self._last = time.monotonic()

    def begin(self, say: Callable[[], str]) -> None:
        """Show a step of this thread; `say` returns its current line."""
        with self._lock:
            self._running.append((threading.get_ident(), say))
            if sys.stderr.isatty():
                self._redraw()

    def end(self, say: Callable[[], str], line: str) -> None:
        """Stop showing a step; its last line stays."""
        with self._lock:
            self._running = [each for each in self._running if each[1] != say]
            self.write(line)

    def write(self, line: str) -> None:
        """Print a line that stays."""
        with self._lock:
            self._erase()
            print(line, file=sys.stderr, flush=True)
            self._last = time.monotonic()
            if sys.stderr.isatty():
                self._redraw()

    def refresh(self) -> None:
        """Show the progress of running steps, unless it was shown just now."""
        with self._lock:
            live = sys.stderr.isatty()
            if time.monotonic() - self._last < (_REDRAW_SECONDS if live else QUIET_SECONDS):
                return
            self._last = time.monotonic()
            if live:
                self._redraw()
            else:
                print(" · ".join(self._lines()), file=sys.stderr, flush=True)

    def _lines(self) -> list[str]:
        """One line per thread: a nested step hides the outer one."""
        return [say() for say in dict(self._running).values()]

    def _redraw(self) -> None:
        self._erase()
        width = shutil.get_terminal_size().columns - 1
        lines = [line[:width] for line in self._lines()]
        print("".join(f"{line}\n" for line in lines), end="", file=sys.stderr, flush=True)
        self._drawn = len(lines)

    def _erase(self) -> None:
        if self._drawn:
            print(f"\x1b[{self._drawn}A\x1b[J", end="", file=sys.stderr, flush=True)
            self._drawn = 0


SCREEN = Screen()
