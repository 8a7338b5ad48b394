"""Makes text storable: limits in bytes of UTF-8, and no NUL."""

from __future__ import annotations

import json
from typing import Any

ERROR_BYTES = 4096
"""Maximum length of a prediction's error, in bytes of UTF-8."""


def storable(text: str) -> str:
    """The text without NUL, which PostgreSQL can't store."""
    return text.replace("\x00", "\ufffd")


def json_text(value: Any) -> str:
    """The compact JSON text of a value, escaped only if UTF-8 can't encode it (lone surrogates)."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text


def utf8_head(text: str, size: int) -> str:
    """The longest beginning of a text that fits into `size` bytes of UTF-8."""
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")


def utf8_tail(text: str, size: int) -> str:
    """The longest end of a text that fits into `size` bytes of UTF-8."""
    return text.encode("utf-8", "replace")[-size:].decode("utf-8", "ignore") if size else ""
