"""The types of inputs and outputs."""

# typing.override came with 3.12, and this is read by 3.11 too.
# mypy: disable-error-code="explicit-override"

import io
import pathlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

_T = TypeVar("_T")

File = io.IOBase


class Path(pathlib.PosixPath):
    """A file: as an input it is there to be read, as an output it is uploaded."""

    @classmethod
    def __get_validators__(cls) -> Iterator[Callable[[Any], Any]]:
        """Let pydantic 1 models hold a downstream file as it is, without downloading it."""
        yield cls.validate

    @classmethod
    def validate(cls, value: Any) -> Any:
        """A path, or a downstream file's URL object.

        Raises:
            TypeError: it is neither.
        """
        if isinstance(value, pathlib.PurePath) or hasattr(value, "__url__"):
            return value
        if isinstance(value, str):
            return cls(value)
        raise TypeError("must be a Path")


class Secret:
    """A string that does not show itself; `get_secret_value()` does."""

    def __init__(self, value: str) -> None:
        self._value = value

    def get_secret_value(self) -> str:
        """The secret itself."""
        return self._value

    def __str__(self) -> str:
        return "**********" if self._value else ""

    def __repr__(self) -> str:
        return f"Secret({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


class ConcatenateIterator(Iterator[_T]):
    """Pieces of one text, sent as they come."""


class AsyncConcatenateIterator(AsyncIterator[_T]):
    """The same from an `async def`."""


class BasePredictor:
    """Not for pipelines: they have no setup."""

    def __init_subclass__(cls, **_: Any) -> None:
        raise TypeError(
            f"{cls.__name__} is a predictor: a pipeline has no setup. "
            "Write a function main() instead of a class."
        )
