"""Places in a JSON value: the keys and indexes that lead there."""

from __future__ import annotations

from typing import Any

Pointer = tuple[str | int, ...]


def pick(values: Any, pointer: Pointer) -> Any:
    """What is there where a pointer points.

    Raises:
        LookupError: nothing is there.
    """
    for key in pointer:
        values = values[key]
    return values


def place(values: dict[str, Any], pointer: Pointer, value: object) -> None:
    """Put a value where a pointer points."""
    pick(values, pointer[:-1])[pointer[-1]] = value


def in_words(name: str, pointer: Pointer) -> str:
    """A place as an author would write it: `output.scores[3]`."""
    for key in pointer:
        name += f"[{key}]" if isinstance(key, int) else f".{key}"
    return name
