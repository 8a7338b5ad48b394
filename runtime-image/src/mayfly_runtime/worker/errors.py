"""Errors of the author's code, reported as its author would see them."""

import os
import sys
import traceback
from pathlib import Path

MAX_ERROR_BYTES = 4096
_OWN_FOLDER = f"{Path(__file__).parent.parent}{os.sep}"


class Failure(Exception):
    """A run that failed: its reason and its error."""

    def __init__(self, reason: str, error: str) -> None:
        super().__init__(cut(error))
        self.reason = reason


def print_traceback(error: BaseException) -> None:
    """Print a traceback to the log, without the runtime's own frames."""
    told = traceback.TracebackException.from_exception(error)
    seen: set[int] = set()
    queue: list[traceback.TracebackException | None] = [told]
    while queue:
        part = queue.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        part.stack[:] = [frame for frame in part.stack if not _is_runtime(frame.filename)]
        queue += [part.__cause__, part.__context__, *(part.exceptions or [])]
    try:
        sys.stderr.write("".join(told.format()))
    except (OSError, ValueError, AttributeError):
        return  # the author has closed or replaced it; the error itself is in the result


def last_line(error: BaseException) -> str:
    """The last line of a traceback: `ValueError: …`."""
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ not in {"builtins", "__main__"}:
        name = f"{kind.__module__}.{name}"
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 an author wrote __str__
        text = "<the exception can't be shown>"
    return cut(f"{name}: {text}" if text else name)


def exit_call(error: SystemExit) -> str:
    """The call that raised it: `sys.exit(3)`."""
    return f"sys.exit({'' if error.code is None else repr(error.code)})"


def exit_code(error: SystemExit) -> int:
    """The exit code that the process would have had."""
    if error.code is None:
        return 0
    return error.code if isinstance(error.code, int) else 1


def cut(text: str) -> str:
    """Cut a text to 4 KiB of UTF-8."""
    data = text.encode("utf-8", "replace")
    if len(data) <= MAX_ERROR_BYTES:
        return data.decode()
    return data[: MAX_ERROR_BYTES - 3].decode("utf-8", "ignore") + "…"


def _is_runtime(filename: str) -> bool:
    return filename.startswith((_OWN_FOLDER, "<frozen "))
