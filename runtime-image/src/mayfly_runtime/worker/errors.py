"""Errors of the author's code, reported as its author would see them."""

import os
import site
import sys
import traceback
from pathlib import Path

MAX_ERROR_BYTES = 4096
_NOT_THE_AUTHORS = (
    f"{Path(__file__).parent.parent}{os.sep}",
    *(f"{folder}{os.sep}" for folder in (Path(os.__file__).parent, *site.getsitepackages())),
    "<frozen ",
)
"""How the names of files begin that are the runtime's, Python's or a package's."""


class Failure(Exception):
    """A run that failed: its reason and its error."""

    def __init__(self, reason: str, error: str) -> None:
        super().__init__(cut(error))
        self.reason = reason


def print_traceback(error: BaseException) -> None:
    """Print a traceback to the log: the author's frames only, none of the runtime or a package."""
    told = traceback.TracebackException.from_exception(error)
    seen: set[int] = set()
    queue: list[traceback.TracebackException | None] = [told]
    while queue:
        part = queue.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        part.stack[:] = [frame for frame in part.stack if _is_authors(frame.filename)]
        queue += [part.__cause__, part.__context__, *(part.exceptions or [])]
    try:
        sys.stderr.write("".join(told.format()))
    except (OSError, ValueError, AttributeError):
        return  # the author has closed or replaced it; the error itself is in the result


def last_line(error: BaseException) -> str:
    """The last line of a traceback: `ValueError: …`; of an error of the API its detail."""
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ not in {"builtins", "__main__"}:
        name = f"{kind.__module__}.{name}"
    try:
        text = _detail(error) or str(error)
    except BaseException:  # noqa: BLE001 an author wrote __str__
        text = "<the exception can't be shown>"
    if isinstance(error, ModuleNotFoundError) and error.name:
        text += _missing_package(error.name)
    return cut(f"{name}: {text}" if text else name)


def _missing_package(name: str) -> str:
    """Where the packages that are there are listed, and one that may be meant."""
    import difflib  # noqa: PLC0415 only after an error
    import pkgutil  # noqa: PLC0415 likewise

    top = name.partition(".")[0]
    there = {each.name for each in pkgutil.iter_modules()} | sys.stdlib_module_names
    near = [] if top in there else difflib.get_close_matches(top, sorted(there), n=1, cutoff=0.8)
    hint = f"; did you mean {near[0]}?" if near else ""
    return (
        f" (no file of the source and no package of this runtime{hint}; "
        "`kubectl get mprt -o yaml` lists the packages)"
    )


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


def _is_authors(filename: str) -> bool:
    return not filename.startswith(_NOT_THE_AUTHORS)


def _detail(error: BaseException) -> str:
    """What an answer of the API says, if that is what the error tells: its str() has five lines."""
    for kind in type(error).__mro__:
        if (kind.__module__, kind.__qualname__) == ("replicate.exceptions", "ReplicateError"):
            detail = getattr(error, "detail", None) or getattr(error, "title", None)
            return detail if isinstance(detail, str) else ""
    return ""
