"""Imported modules that are out of sight until an `import` asks for them.

A warm pod imports every package before it knows its run. `main.py` must find what it finds in a
cold pod all the same: there, `import PIL` alone gives no `PIL.Image`, and sklearn's variables are
set when sklearn is imported. So what was imported early is taken out of `sys.modules` and out of
its parents. An import puts it back, with all that it had imported itself and what it had changed,
and executes nothing.
"""

import importlib.machinery
import os
import sys
import warnings
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any, NamedTuple

Filter = tuple[Any, ...]
"""An item of `warnings.filters`: action, message, category, module, line."""


class Effects(NamedTuple):
    """What a module changes outside of itself while it is executed."""

    variables: dict[str, str]
    """Of the environment, if nobody has set them: packages set a default."""
    before: list[Filter]
    """Filters that it puts before those that are there, the last one first."""
    after: list[Filter]
    """Filters that it appends."""


class Shelf:
    """The modules that are out of sight; a finder of `sys.meta_path`."""

    def __init__(self) -> None:
        self._modules: dict[str, ModuleType] = {}
        self._hidden: set[str] = set()
        self._needs: Mapping[str, Iterable[str]] = {}
        self._effects: Mapping[str, Effects] = {}
        self._attributes: set[str] = set()

    def take(
        self,
        names: Iterable[str],
        needs: Mapping[str, Iterable[str]],
        effects: Mapping[str, Effects],
    ) -> None:
        """Take modules out of sight.

        Args:
            names: of modules that are imported.
            needs: for each module that imports any, those.
            effects: for each module that has any, those; they must be undone already.
        """
        self._modules = {name: sys.modules.pop(name) for name in names}
        self._hidden = set(self._modules)
        self._needs, self._effects = needs, effects
        for name, module in self._modules.items():
            parent, child = self._parent(name)
            if parent is not None and parent.__dict__.get(child) is module:
                delattr(parent, child)
                self._attributes.add(name)
        sys.meta_path.insert(0, self)

    def get(self, name: str) -> ModuleType | None:
        """A module that is out of sight, if it is."""
        return self._modules[name] if name in self._hidden else None

    def find_spec(
        self, fullname: str, _path: object, target: ModuleType | None = None, /
    ) -> importlib.machinery.ModuleSpec | None:
        """As a finder: the spec that the module had when it was imported."""
        module = self._modules.get(fullname)
        if module is None or target is not None:  # a target is executed anew
            return None
        if fullname not in self._hidden and sys.modules.get(fullname) is not module:
            return None  # taken out by the author; else another thread has just put it back
        first = getattr(module, "__spec__", None)
        loader: Any = _Loader(self, fullname, module)
        spec = importlib.machinery.ModuleSpec(fullname, loader)
        if first is not None:  # whoever only asks whether it is there is told where it is
            spec.origin, spec.cached = first.origin, first.cached
            spec.has_location = first.has_location
            spec.submodule_search_locations = first.submodule_search_locations
        return spec

    def put_back(self, name: str) -> None:
        """Put a module back, with its parents and all that it imported, in that order."""
        todo = [(name, False)]
        while todo:
            name, ready = todo.pop()
            if ready:
                self._apply(name)
            elif name in self._hidden:
                self._show(name, self._modules[name])
                self._hidden.discard(name)
                todo.append((name, True))
                todo += [(each, False) for each in reversed([*self._needs.get(name, ())])]
                todo.append((name.rpartition(".")[0], False))

    def _show(self, name: str, module: ModuleType) -> None:
        sys.modules[name] = module
        if name in self._attributes:
            parent, child = self._parent(name)
            setattr(parent, child, module)

    def _apply(self, name: str) -> None:
        effects = self._effects.get(name)
        if effects is None:
            return
        for variable, value in effects.variables.items():
            os.environ.setdefault(variable, value)
        for filters, append in ((effects.before, False), (effects.after, True)):
            for action, message, category, module, line in filters:
                patterns = [each.pattern if each else "" for each in (message, module)]
                warnings.filterwarnings(
                    action, patterns[0], category, patterns[1], line, append=append
                )

    def _parent(self, name: str) -> tuple[ModuleType | None, str]:
        parent, _, child = name.rpartition(".")
        return sys.modules.get(parent) or self._modules.get(parent), child


class _Loader:
    """Gives a module that was executed long ago."""

    def __init__(self, shelf: Shelf, name: str, module: ModuleType) -> None:
        self._shelf = shelf
        self._name = name
        self._module = module
        self._spec = getattr(module, "__spec__", None)

    def create_module(self, _spec: object) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # the import system has put ours there
        self._shelf.put_back(self._name)


SHELF = Shelf()
"""This interpreter's; empty unless it was warmed."""
