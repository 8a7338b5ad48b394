"""Pointers into JSON values: lists of keys and indexes."""

from __future__ import annotations

from typing import Any

Pointer = tuple[str | int, ...]


def pick(values: Any, pointer: Pointer) -> Any:
    """The value at a pointer.

    Raises:
        LookupError: nothing is there.
    """
    for key in pointer:
        values = values[key]
    return values


def place(values: dict[str, Any], pointer: Pointer, value: object) -> None:
    """Set the value at a pointer."""
    pick(values, pointer[:-1])[pointer[-1]] = value


def in_words(name: str, pointer: Pointer) -> str:
    """A pointer as an author would write it: `output.scores[3]`."""
    for key in pointer:
        name += f"[{key}]" if isinstance(key, int) else f".{key}"
    return name
