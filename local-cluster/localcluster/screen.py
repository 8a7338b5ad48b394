"""What a person sees on standard error: finished lines stay, running steps tell how far they are.

On a terminal each running step has a line that is rewritten. Elsewhere one line
tells of all of them, and only now and then.
"""

import shutil
import sys
import threading
import time
from collections.abc import Callable

QUIET_SECONDS = 10.0
_REDRAW_SECONDS = 1.0


class Screen:
    """The lines of one process, whichever thread they come from."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._running: list[tuple[int, Callable[[], str]]] = []
        self._drawn = 0
        self._last = time.monotonic()

    def begin(self, say: Callable[[], str]) -> None:
        """Show a step of this thread: `say` tells its line at any time."""
        with self._lock:
            self._running.append((threading.get_ident(), say))
            if sys.stderr.isatty():
                self._redraw()

    def end(self, say: Callable[[], str], line: str) -> None:
        """Show a step no more; its last line stays."""
        with self._lock:
            self._running = [each for each in self._running if each[1] != say]
            self.write(line)

    def write(self, line: str) -> None:
        """A line that stays."""
        with self._lock:
            self._erase()
            print(line, file=sys.stderr, flush=True)
            self._last = time.monotonic()
            if sys.stderr.isatty():
                self._redraw()

    def refresh(self) -> None:
        """Show how far the running steps are, unless that was shown just now."""
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
        """One a thread: a step within a step hides the outer one."""
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
