"""Changes a package when the author's code imports it; one that nobody imports costs nothing."""

import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType

Execute = Callable[[ModuleType], None]


def on_import(name: str, load: Callable[[Execute, ModuleType], None]) -> None:
    """Have a module loaded by `load(execute, module)`, where `execute(module)` runs its code.

    A module that is there already stays as it is.
    """
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
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute, load = spec.loader.exec_module, self._load

            def exec_module(module: ModuleType) -> None:
                load(execute, module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
