"""Form fields of an upload: `filename`, `type`, `metadata` and `metadata[key]`."""

from __future__ import annotations

import json
import re
from typing import Any

from mayfly.gateway.http.errors import Invalid
from mayfly.gateway.http.multipart import Part

Json = dict[str, Any]

METADATA_BYTES = 64 * 1024
TEXT_BYTES = 4 * 1024
MAX_DEPTH = 16

_MEMBER = re.compile(r"metadata((?:\[[^\[\]]*\])+)")
_KEY = re.compile(r"\[([^\[\]]*)\]")


class Fields:
    """The form fields read so far.

    Attributes:
        name: from the field `filename`; overrides the name in the file's own part.
        content_type: from the field `type`; overrides likewise.
        metadata: from the field `metadata` (a JSON object), from fields `metadata[key]`, or both.
    """

    def __init__(self) -> None:
        self.name = ""
        self.content_type = ""
        self.metadata: Json = {}
        self._left = METADATA_BYTES

    async def take(self, part: Part) -> None:
        """Read a part of the form; unknown fields are ignored.

        Raises:
            Invalid: it can't be read.
            TooLarge: it has more bytes than allowed.
        """
        if part.name == "filename":
            self.name = await _text(part)
        elif part.name == "type":
            self.content_type = await _text(part)
        elif part.name == "metadata":
            self.metadata |= _object(await self._bounded(part))
        elif (match := _MEMBER.fullmatch(part.name)) is not None:
            keys = _KEY.findall(match[1])
            _place(self.metadata, keys, (await self._bounded(part)).decode(errors="replace"))

    async def _bounded(self, part: Part) -> bytes:
        data = await part.read(self._left)
        self._left -= len(data)
        return data


async def _text(part: Part) -> str:
    return (await part.read(TEXT_BYTES)).decode(errors="replace")


def _object(data: bytes) -> Json:
    try:
        value = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        raise Invalid("metadata is not JSON.", pointer="/metadata") from None
    if not isinstance(value, dict):
        raise Invalid("metadata must be a JSON object.", pointer="/metadata")
    return value


def _place(into: Json, keys: list[str], value: str) -> None:
    """Put a text where `[a][b]` points; `[a][]` adds it to a list."""
    *outer, last = keys
    added = last == "" and bool(outer)
    if added:
        *outer, last = outer
    if len(outer) > MAX_DEPTH:
        raise Invalid(f"metadata is nested more than {MAX_DEPTH} deep.", pointer="/metadata")
    for key in outer:
        into = into.setdefault(key, {})
        if not isinstance(into, dict):
            raise Invalid(f"metadata has two values for {key[:64]}.", pointer="/metadata")
    if added and isinstance(into.setdefault(last, []), list):
        into[last].append(value)
    elif last in into:
        raise Invalid(f"metadata has two values for {last[:64]}.", pointer="/metadata")
    else:
        into[last] = value
