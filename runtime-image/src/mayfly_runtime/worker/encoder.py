"""Encodes the result of `main()` as JSON text and a list of files to upload.

Runs in the worker, so nothing heavy is imported: numpy and pydantic values are known by what
they have, and only if the author's code imported those packages itself.
"""

import datetime as dt
import enum
import math
import os
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from io import IOBase
from typing import Any, NamedTuple

from mayfly_runtime.spec import strict_json
from mayfly_runtime.spec.outputs import OutputError
from mayfly_runtime.spec.pointer import Pointer, in_words

MAX_DEPTH = 200
MAX_DIGITS = 4300
"""Of an integer: Python, and so the gateway, reads no longer ones."""

_TOO_LONG = 10**MAX_DIGITS


class OutputFile(NamedTuple):
    """A file in an output: where its id goes, and its path."""

    pointer: Pointer
    path: str


class Encoded(NamedTuple):
    """JSON text with null in place of each file's id."""

    text: str
    files: list[OutputFile]


def encode(value: object, limit_bytes: int, name: str = "output") -> Encoded:
    """Encode a whole output, or one item of an iterator output called `name`.

    Raises:
        OutputError: OutputNotJSON with the field named, or OutputTooLarge.
    """
    files: list[OutputFile] = []
    tree = _Encoder(name, files).tree(value, ())
    text = strict_json.dump(tree)
    size = strict_json.size(text)
    if size > limit_bytes:
        raise OutputError(
            "OutputTooLarge",
            f"the output has {size} bytes of JSON, over the limit of {limit_bytes}",
        )
    return Encoded(text, files)


def is_stream(value: object) -> bool:
    """Whether a returned value is an iterator to be sent item by item."""
    if isinstance(value, IOBase):
        return False
    return isinstance(value, Iterator) or _is_replicate_iterator(value)


def is_async_stream(value: object) -> bool:
    """The same for `async for`."""
    return isinstance(value, AsyncIterator)


class _Encoder:
    def __init__(self, name: str, files: list[OutputFile]) -> None:
        self._name = name
        self._files = files

    def tree(self, value: object, at: Pointer) -> Any:
        """`value` converted to JSON's types."""
        if len(at) > MAX_DEPTH:
            raise self._not_json(at[:3], f"is nested deeper than {MAX_DEPTH} levels")
        match value:
            case enum.Enum():
                return self.tree(value.value, at)
            case None | bool():
                return value
            case str():
                return str(value)
            case int():
                return self._int(int(value), at)
            case float():
                return self._float(float(value), at)
            case Mapping():
                return self._mapping(value, at)
            case list() | tuple() | set() | frozenset():
                return self._items(value, at)
            case dt.datetime() | dt.date() | dt.time():
                return value.isoformat()
            case _:
                return self._special(value, at)

    def _special(self, value: object, at: Pointer) -> Any:
        url = _url(value)
        if url is not None:  # a downstream file: passed on by reference
            return url
        if isinstance(value, os.PathLike):
            self._files.append(OutputFile(at, os.fsdecode(os.fspath(value))))
            return None
        if isinstance(value, IOBase) and isinstance(name := getattr(value, "name", None), str):
            if not value.closed:
                value.flush()
            self._files.append(OutputFile(at, name))
            return None
        if hasattr(type(value), "__dataclass_fields__"):
            import dataclasses  # noqa: PLC0415 10 ms, and whoever has made one has imported it

            fields = [field.name for field in dataclasses.fields(value)]  # type: ignore[arg-type]
            return self._mapping({name: getattr(value, name) for name in fields}, at)
        names = getattr(type(value), "model_fields", None) or getattr(
            type(value), "__fields__", None
        )
        if isinstance(names, Mapping):  # pydantic 2, pydantic 1
            return self._mapping({name: getattr(value, name) for name in names}, at)
        if _is_replicate_iterator(value):
            return str(value) if getattr(value, "is_concatenate", False) else self._list(value, at)
        return self._numpy(value, at)

    def _numpy(self, value: object, at: Pointer) -> Any:
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(value, numpy.generic | numpy.ndarray):
            plain = value.tolist()
            if not isinstance(plain, numpy.generic):
                return self.tree(plain, at)
        hint = {
            "bytes": ": write it to a file and return its Path",
            "BytesIO": ": write it to a file and return its Path",
            "generator": ": only the output itself may be an iterator",
        }.get(type(value).__name__, "")
        raise self._not_json(at, f"is a {type(value).__name__}, which is not JSON{hint}")

    def _int(self, value: int, at: Pointer) -> int:
        if not -_TOO_LONG < value < _TOO_LONG:
            raise self._not_json(at, f"is an integer of more than {MAX_DIGITS} digits")
        return value

    def _float(self, value: float, at: Pointer) -> float:
        if not math.isfinite(value):
            raise self._not_json(at, f"is {value}, which is not JSON")
        return value

    def _list(self, value: object, at: Pointer) -> list[Any]:
        return self._items(value, at) if isinstance(value, Iterable) else []

    def _items(self, value: Iterable[object], at: Pointer) -> list[Any]:
        return [self.tree(item, (*at, index)) for index, item in enumerate(value)]

    def _mapping(self, value: Mapping[Any, object], at: Pointer) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, item in value.items():
            name = self._key(key, at)
            if name in result:
                raise self._not_json(at, f"has two keys that are {strict_json.dump(name)} in JSON")
            result[name] = self.tree(item, (*at, name))
        return result

    def _key(self, key: object, at: Pointer) -> str:
        match key:
            case enum.Enum():
                return self._key(key.value, at)
            case str():
                return str(key)
            case bool():
                return "true" if key else "false"
            case int() | float():
                return str(key)
            case None:
                raise self._not_json(at, "has the key None: write a string")
            case _:
                raise self._not_json(at, f"has a key that is a {type(key).__name__}")

    def _not_json(self, at: Pointer, what: str) -> OutputError:
        return OutputError("OutputNotJSON", f"{in_words(self._name, at)} {what}")


def _url(value: object) -> str | None:
    """The URL of a downstream prediction's file that was not downloaded."""
    try:
        url = object.__getattribute__(value, "__url__")
    except AttributeError:
        return None
    return url if isinstance(url, str) else None


def _is_replicate_iterator(value: object) -> bool:
    return type(value).__name__ == "OutputIterator" and hasattr(value, "is_concatenate")
