"""Verbatim JSON: cuts objects into the texts of their fields, and assembles answers from them.

A parser would turn 1.00 into 1.0, and other languages would round long integers. So the fields of a
request are cut out of its text, and answers are assembled from such texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mayfly_runtime.spec import strict_json

_SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True)
class RawJSON:
    """JSON text that is inserted into an answer unchanged."""

    text: str


def dumps(fields: Mapping[str, Any]) -> str:
    """A JSON object whose fields may be `RawJSON`."""
    return "{" + ",".join(f"{json.dumps(key)}:{_text(fields[key])}" for key in fields) + "}"


def array(items: Iterable[Any]) -> RawJSON:
    """A JSON array whose items may be `RawJSON`."""
    return RawJSON("[" + ",".join(map(_text, items)) + "]")


def _text(value: Any) -> str:
    return value.text if isinstance(value, RawJSON) else json.dumps(value)


def split(text: str) -> dict[str, str]:
    """The fields of a JSON object, each as its own text; of equal names the last one counts.

    Raises:
        ValueError: the text is not a JSON object; with a message for its author.
    """
    position = _skip(text, 0)
    if text[position : position + 1] != "{":
        raise ValueError("it must be a JSON object: {…}")
    position = _skip(text, position + 1)
    found: dict[str, str] = {}
    while text[position : position + 1] != "}":
        if found:
            position = _expect(text, position, ",")
        if text[position : position + 1] != '"':
            raise ValueError(f"a member's name is missing at character {position}")
        name, position = strict_json.parse_at(text, position, "it")
        start = _expect(text, _skip(text, position), ":")
        _, position = strict_json.parse_at(text, start, "it")
        found[name] = text[start:position]
        position = _skip(text, position)
    if _skip(text, position + 1) != len(text):
        raise ValueError(f"there is more after its end, at character {position + 1}")
    return found


def items(text: str) -> list[str]:
    """The items of a JSON array, each as its own text.

    Raises:
        ValueError: the text is not a JSON array; with a message for its author.
    """
    position = _expect(text, _skip(text, 0), "[")
    found: list[str] = []
    while text[position : position + 1] != "]":
        start = _expect(text, position, ",") if found else position
        _, position = strict_json.parse_at(text, start, "it")
        found.append(text[start:position])
        position = _skip(text, position)
    return found


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _expect(text: str, position: int, mark: str) -> int:
    if text[position : position + 1] != mark:
        raise ValueError(f'"{mark}" is missing at character {position}')
    return _skip(text, position + 1)
