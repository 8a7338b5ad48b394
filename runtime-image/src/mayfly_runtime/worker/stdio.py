"""stdout and stderr of the author's code: written through as they come, whole."""

import io
import select
import sys
from typing import Any


class _Through(io.FileIO):
    """A descriptor without a buffer, so that nothing is lost when the process is killed."""

    def write(self, data: Any, /) -> int:  # type: ignore[explicit-override]
        """Write all of it, even where a signal or a full non-blocking pipe stops a single write."""
        written = super().write(data)
        if written == len(data):
            return written
        rest = memoryview(data).cast("B")[written or 0 :]
        while rest:
            written = super().write(rest)
            if not written:
                select.select([], [self], [])
            rest = rest[written or 0 :]
        return memoryview(data).nbytes


def write_through() -> None:
    """Replace `sys.stdout` and `sys.stderr`: a print without a newline is in the log at once."""
    sys.stdout = sys.__stdout__ = _stream(1, "<stdout>")  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _stream(2, "<stderr>")  # type: ignore[misc]


def flush() -> None:
    """Flush stdout and stderr before the end is reported. The author may have replaced them."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue


def _stream(descriptor: int, name: str) -> io.TextIOWrapper:
    raw = _Through(descriptor, "wb", closefd=False)
    raw.name = name
    return io.TextIOWrapper(
        raw,
        encoding="utf-8",
        errors="backslashreplace",
        newline="\n",
        write_through=True,
    )
