"""Notes what imports do: which module imports which, and what each changes outside of itself."""

import builtins
import importlib.machinery
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType, TracebackType
from typing import Any, Self

from mayfly_runtime.worker.shelf import Effects, Filter


class Recorder:
    """Around imports: a context manager. Afterwards the environment and the filters are as before.

    Attributes:
        names: the modules that were imported.
        needs: for each module, those of `names` that it imports.
        effects: for each module that changes the environment or the filters of warnings, how.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.needs: dict[str, dict[str, None]] = {}
        self.effects: dict[str, Effects] = {}
        self._known = set(sys.modules)
        self._variables = dict(os.environ)
        self._filters: list[Filter] = list(warnings.filters)
        self._seen = (dict(self._variables), list(self._filters))
        self._executing: list[str] = []
        self._import = builtins.__import__

    def __enter__(self) -> Self:
        builtins.__import__ = self._note_import
        sys.meta_path.insert(0, self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        sys.meta_path.remove(self)
        builtins.__import__ = self._import
        for name in set(os.environ) - set(self._variables):
            del os.environ[name]
        os.environ.update(self._variables)
        warnings.filters[:] = self._filters  # type: ignore[index]
        with warnings.catch_warnings():
            pass  # its end tells the interpreter of the change
        new = {name: module for name, module in sys.modules.items() if name not in self._known}
        specs = {name: getattr(module, "__spec__", None) for name, module in new.items()}
        # Not those without a spec: compiled code shares what it has with other such code there.
        self.names = [each for each in new if specs[each] or each.rpartition(".")[0] in new]
        for name in self.names:
            needed = self.needs.get(name, {})
            self.needs[name] = {each: None for each in needed if each in new}
        for name in self.names:
            parent, spec = name.rpartition(".")[0], specs[name]
            if (spec is None or spec.name != name) and parent in self.needs:
                self.needs[parent][name] = None  # another name of a module, which its parent gave
        self.effects = {name: each for name, each in self.effects.items() if any(each)}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> importlib.machinery.ModuleSpec | None:
        """As a finder: that of the others, with a note of the module's execution."""
        self._needs(fullname)  # compiled modules do not always call `__import__`
        for finder in sys.meta_path:
            if finder is not self and (spec := finder.find_spec(fullname, path, target)):
                break
        else:
            return None
        loader = spec.loader
        if loader is not None and hasattr(loader, "__dict__") and not isinstance(loader, type):
            execute = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                vars(loader).pop("exec_module", None)
                self._note_execution(fullname, execute, module)

            loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec

    def _note_execution(
        self, name: str, execute: Callable[[ModuleType], None], module: ModuleType
    ) -> None:
        self._settle()
        self._executing.append(name)
        self.effects[name] = Effects({}, [], [])
        try:
            execute(module)
        finally:
            self._settle()
            self._executing.pop()
            variables, *others = self.effects[name]
            there, filters = self._seen
            for variable in [each for each in variables if each not in there]:
                del variables[variable]  # set for the time of an import only
            for kept in others:
                kept[:] = [each for each in kept if each in filters]

    def _settle(self) -> None:
        """Ascribe what has changed since the last time to the module that is executed."""
        variables, filters = dict(os.environ), list(warnings.filters)
        before, old = self._seen
        if variables == before and filters == old:
            return
        self._seen = (variables, filters)
        if not self._executing:
            return
        effects = self.effects[self._executing[-1]]
        effects.variables.update(
            {name: value for name, value in variables.items() if before.get(name) != value}
        )
        first = filters.index(old[0]) if old and old[0] in filters else len(filters)
        effects.before.extend(each for each in reversed(filters[:first]) if each not in old)
        effects.after.extend(each for each in filters[first:] if each not in old)

    def _note_import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002 as __import__
        locals: Mapping[str, Any] | None = None,  # noqa: A002 likewise
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        found = self._import(name, globals, locals, fromlist or (), level)
        if self._executing:
            whole, parts = name, fromlist or ()
            if level:
                package = (globals or {}).get("__package__")
                package = package or str((globals or {})["__name__"]).rpartition(".")[0]
                whole = importlib.util.resolve_name("." * level + name, package)
            if "*" in parts:
                parts = getattr(sys.modules.get(whole), "__all__", ())
            self._needs(whole, *(f"{whole}.{part}" for part in parts))
        return found

    def _needs(self, *names: str) -> None:
        """Note what the module that is executed imports, also by a function that it calls."""
        if self._executing:
            self.needs.setdefault(self._executing[-1], {}).update(dict.fromkeys(names))
