"""Makes text storable: limits in bytes of UTF-8, and no NUL."""

from __future__ import annotations

ERROR_BYTES = 4096
"""Maximum length of a prediction's error, in bytes of UTF-8."""


def storable(text: str) -> str:
    """The text without NUL, which PostgreSQL can't store."""
    return text.replace("\x00", "\ufffd")


def utf8_head(text: str, size: int) -> str:
    """The longest beginning of a text that fits into `size` bytes of UTF-8."""
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")


def utf8_tail(text: str, size: int) -> str:
    """The longest end of a text that fits into `size` bytes of UTF-8."""
    return text.encode("utf-8", "replace")[-size:].decode("utf-8", "ignore") if size else ""
