"""Converts a checked input to the types that `main()` declares: sets, tuples, open files."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def as_declared(schema: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments for `main()`; files are there by now, and are opened for reading.

    Args:
        schema: the version's document; `x-mayfly-type` names what JSON has no type for.
        values: the input, prepared.
    """
    properties = schema["components"]["schemas"]["Input"].get("properties", {})
    return {name: _made(properties.get(name, {}), value) for name, value in values.items()}


def _made(fragment: Mapping[str, Any], value: Any) -> Any:
    if value is None:
        return None
    items = fragment.get("items")
    if items and isinstance(value, list):
        value = [_made(items, item) for item in value]
    maker = _MAKERS.get(fragment.get("x-mayfly-type", ""))
    return value if maker is None else maker(value)


def _opened(path: Path) -> Any:
    return path.open("rb")


_MAKERS: dict[str, Callable[[Any], Any]] = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "file": _opened,
}
