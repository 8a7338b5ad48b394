"""The author's code: written to disk, imported, and its errors told as the author would."""

import importlib.util
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_ERROR_BYTES = 4096
_OWN_FOLDER = f"{Path(__file__).parent.parent}{os.sep}"


class Failure(Exception):
    """How a run ended badly: the run's reason and its error."""

    def __init__(self, reason: str, error: str) -> None:
        super().__init__(cut(error))
        self.reason = reason


@dataclass(frozen=True)
class Entrypoint:
    """The author's function, and its name for messages."""

    function: Callable[..., Any]
    name: str


def load_entrypoint(files: dict[str, str], entrypoint: str, folder: Path) -> Entrypoint:
    """Write the files, go there, import the entry file and find the function.

    Raises:
        Failure: InvalidSource, ImportError or Exited.
    """
    file, _, name = entrypoint.partition(":")
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    for path, text in files.items():
        target = folder / path
        if not target.resolve().is_relative_to(folder.resolve()):
            raise Failure("InvalidSource", f"the file {path!r} is outside the run's folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8", errors="surrogatepass", newline="")
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    sys.argv[:] = [file]
    module = _import(folder / file, file.removesuffix(".py").replace("/", "."))
    function = getattr(module, name, None)
    if isinstance(function, type):
        raise Failure("InvalidSource", f"{name} in {file} is a class: a pipeline has no setup")
    if not callable(function):
        there = [
            key
            for key, value in vars(module).items()
            if callable(value) and getattr(value, "__module__", None) == module.__name__
        ]
        listed = f"it has {', '.join(there)}" if there else "it has no function"
        raise Failure("InvalidSource", f"there is no function {name} in {file}: {listed}")
    return Entrypoint(function, name)


def _import(path: Path, name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise Failure("InvalidSource", f"{path.name} can't be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        show(error)
        raise Failure("InvalidSource", _syntax_error(error)) from None
    except FileNotFoundError as error:
        if error.filename != str(path):
            show(error)
            raise Failure("ImportError", last_line(error)) from None
        raise Failure("InvalidSource", f"there is no file {path.name}") from None
    except SystemExit as error:
        raise Failure("Exited", f"{path.name} called {exit_words(error)} when imported") from None
    except BaseException as error:  # noqa: BLE001 an author may raise anything
        show(error)
        raise Failure("ImportError", last_line(error)) from None
    return module


def show(error: BaseException) -> None:
    """Print the traceback to the log: the author's frames and their libraries', none of ours."""
    told = traceback.TracebackException.from_exception(error)
    seen: set[int] = set()
    queue: list[traceback.TracebackException | None] = [told]
    while queue:
        part = queue.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        part.stack[:] = [frame for frame in part.stack if not _ours(frame.filename)]
        queue += [part.__cause__, part.__context__, *(part.exceptions or [])]
    try:
        sys.stderr.write("".join(told.format()))
    except (OSError, ValueError, AttributeError):
        return  # the author has closed or replaced it; the error itself is in the result


def last_line(error: BaseException) -> str:
    """`ValueError: …` as the last line of a traceback has it."""
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ not in {"builtins", "__main__"}:
        name = f"{kind.__module__}.{name}"
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 an author wrote __str__
        text = "<the exception can't be shown>"
    return cut(f"{name}: {text}" if text else name)


def exit_words(error: SystemExit) -> str:
    """`sys.exit(3)` as it was called."""
    return f"sys.exit({'' if error.code is None else repr(error.code)})"


def exit_code(error: SystemExit) -> int:
    """The code that the process would have had."""
    if error.code is None:
        return 0
    return error.code if isinstance(error.code, int) else 1


def cut(text: str) -> str:
    """At most 4 KiB of UTF-8."""
    data = text.encode("utf-8", "replace")
    if len(data) <= MAX_ERROR_BYTES:
        return data.decode()
    return data[: MAX_ERROR_BYTES - 3].decode("utf-8", "ignore") + "…"


def _syntax_error(error: SyntaxError) -> str:
    file = Path(error.filename).name if error.filename else "the source"
    line = (error.text or "").strip()
    return f"{type(error).__name__}: {error.msg} ({file}, line {error.lineno}): {line}"


def _ours(filename: str) -> bool:
    return filename.startswith((_OWN_FOLDER, "<frozen "))
