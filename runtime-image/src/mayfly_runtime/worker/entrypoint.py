"""Loads the entrypoint: writes the sources to disk and imports them."""

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from mayfly_runtime.spec.source_text import SourceError, source_text
from mayfly_runtime.worker.errors import Failure, exit_call, last_line, print_traceback
from mayfly_runtime.worker.forks import Origin


class Entrypoint(NamedTuple):
    """The author's function, and its name for messages."""

    function: Callable[..., Any]
    name: str


def load_entrypoint(files: dict[str, str], entrypoint: str, folder: Path) -> Entrypoint:
    """Write the files, change into the folder, import the entry file, and find the function.

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
        target.write_text(_as_checked(path, text), "utf-8", errors="surrogatepass", newline="")
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


def _as_checked(path: str, text: str) -> str:
    """A file as the schema was read from it."""
    try:
        return source_text(path, text)
    except SourceError as error:
        raise Failure("InvalidSource", error.message) from None


def _import(path: Path, name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise Failure("InvalidSource", f"{path.name} can't be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with Origin():
            spec.loader.exec_module(module)
    except SyntaxError as error:
        print_traceback(error)
        raise Failure("InvalidSource", _syntax_error(error)) from None
    except FileNotFoundError as error:
        if error.filename != str(path):
            print_traceback(error)
            raise Failure("ImportError", last_line(error)) from None
        raise Failure("InvalidSource", f"there is no file {path.name}") from None
    except SystemExit as error:
        raise Failure("Exited", f"{path.name} called {exit_call(error)} when imported") from None
    except BaseException as error:  # noqa: BLE001 an author may raise anything
        print_traceback(error)
        raise Failure("ImportError", last_line(error)) from None
    return module


def _syntax_error(error: SyntaxError) -> str:
    file = Path(error.filename).name if error.filename else "the source"
    line = (error.text or "").strip()
    return f"{type(error).__name__}: {error.msg} ({file}, line {error.lineno}): {line}"
