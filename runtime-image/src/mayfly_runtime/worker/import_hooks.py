"""Changes a package when the author's code imports it; one that nobody imports costs nothing."""

import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType

from mayfly_runtime.worker.shelf import SHELF

Execute = Callable[[ModuleType], None]


def on_import(name: str, load: Callable[[Execute, ModuleType], None]) -> None:
    """Have a module loaded by `load(execute, module)`, where `execute(module)` runs its code.

    If it is there already (a site hook has imported it, or this interpreter was warmed up),
    `execute` does nothing.
    """
    there = sys.modules.get(name) or SHELF.get(name)
    if there is not None:
        load(lambda _module: None, there)
    else:
        sys.meta_path.insert(0, _Finder(name, load))


class _Finder:
    def __init__(self, name: str, load: Callable[[Execute, ModuleType], None]) -> None:
        self._name = name
        self._load = load

    def find_spec(
        self, fullname: str, _path: object, _target: ModuleType | None = None, /
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        self._name = ""  # this asks every finder, also this one
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._name = fullname  # who only asks whether it is there has not imported it
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                # The loader of a zip file loads other modules too.
                if module.__name__ == fullname and self in sys.meta_path:
                    sys.meta_path.remove(self)
                    self._load(execute, module)
                else:
                    execute(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
