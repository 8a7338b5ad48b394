"""Strict JSON: only what RFC 8259 allows, without the extensions of Python's `json`; its size.

NaN and Infinity are refused, and numbers beyond a float, which would turn into Infinity.
"""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn


def parse(text: str, what: str) -> Any:
    """Parse a JSON text.

    Raises:
        ValueError: it is not strict JSON; `what` (such as "the input") begins the sentence.
    """
    with _errors_about(what):
        return _DECODER.decode(text)


def parse_at(text: str, position: int, what: str) -> tuple[Any, int]:
    """Parse the JSON value at a position of a longer text; returns the value and its end.

    Raises:
        ValueError: as `parse`.
    """
    with _errors_about(what):
        return _DECODER.raw_decode(text, position)


def dump(value: Any) -> str:
    """The JSON text of a value: compact, and with nothing escaped that has a character in UTF-8.

    Raises:
        ValueError: it holds NaN or Infinity.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        # A lone half of a surrogate pair; it is within a string, where this is JSON's own escape.
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def size(text: str) -> int:
    """Bytes of a JSON text in UTF-8: what every limit of outputs counts."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


class _Refused(ValueError):
    """What is wrong with a text; the message follows its name."""


@contextmanager
def _errors_about(what: str) -> Iterator[None]:
    try:
        yield
    except RecursionError:
        raise ValueError(f"{what} is nested too deeply") from None
    except _Refused as error:
        raise ValueError(f"{what} {error}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{what} is not JSON: {error}") from None
    except ValueError:  # Python converts no more than 4300 digits
        raise ValueError(f"{what} holds an integer with too many digits") from None


def _refuse_constant(name: str) -> NoReturn:
    raise _Refused(f"is not JSON: it holds {name}")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _Refused(f"holds a number that is too large: {text[:40]}")
    return number


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
