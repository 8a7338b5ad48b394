"""Keeps `import replicate` from importing numpy, which takes 100 ms and 12 MiB, until it is needed.

Replicate's client imports numpy only to tell its arrays and numbers in an input from other values.
Until somebody else has imported numpy there are none.
"""

import sys
from _thread import get_ident
from types import ModuleType
from typing import Any

from mayfly_runtime.worker.import_hooks import Execute, on_import


def put_off() -> None:
    """Have `replicate.helpers`, once it is imported, do without an import of numpy."""
    on_import("replicate.helpers", _load)


class Numpy:
    """Stands for numpy in `replicate.helpers`: numpy's types, or while it isn't there no types."""

    def __getattr__(self, name: str) -> Any:
        """A type for `isinstance`; an empty tuple is one that no value has."""
        return getattr(sys.modules.get("numpy"), name, ())


def _load(execute: Execute, helpers: ModuleType) -> None:
    if "numpy" in sys.modules:
        execute(helpers)
        return
    refusal = _Refusal()
    sys.meta_path.insert(0, refusal)
    try:
        execute(helpers)
    finally:
        sys.meta_path.remove(refusal)
    if getattr(helpers, "HAS_NUMPY", None) is False:
        helpers.HAS_NUMPY, helpers.np = True, Numpy()  # type: ignore[attr-defined]


class _Refusal:
    """A finder that refuses numpy to this thread; others may import it meanwhile."""

    def __init__(self) -> None:
        self._thread = get_ident()

    def find_spec(self, fullname: str, _path: object, _target: object = None, /) -> None:
        if fullname == "numpy" and get_ident() == self._thread:
            raise ModuleNotFoundError("numpy is imported later", name="numpy")
