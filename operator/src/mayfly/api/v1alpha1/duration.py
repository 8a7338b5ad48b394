"""Durations as people write them everywhere in Mayfly: "90s", "1h30m", "7d", "1.5h"."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$"

LONGEST = 30 * 86_400
"""The seconds that a timeout or a deadline may have at most."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_TERM = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_LENGTH = 32

# What CEL makes of the same text: its own `duration()` knows no days.
_CEL_SECONDS = (
    "self.findAll('[0-9.]+(ms|s|m|h|d)').map(t, t.endsWith('ms') ? "
    "double(t.substring(0, size(t) - 2)) / 1000.0 : double(t.substring(0, size(t) - 1)) * "
    "(t.endsWith('d') ? 86400.0 : t.endsWith('h') ? 3600.0 : t.endsWith('m') ? 60.0 : 1.0)).sum()"
)
BOUNDED = "a duration is more than 0 and at most 30d"


def seconds(text: str) -> float:
    """The length of a duration in seconds.

    Raises:
        ValueError: the text is not a duration.
    """
    if len(text) > _LENGTH or not re.fullmatch(PATTERN, text):
        raise ValueError(
            f'"{text[:64]}" is not a duration: write it like "90s", "1h30m", "1.5h" or "7d"'
        )
    return sum(float(number) * _UNITS[unit] for number, unit in _TERM.findall(text))


def _bounded(text: str) -> str:
    # What the API server's rule lets in must be read: its sum may differ in the last bit.
    if not 0 < seconds(text) <= LONGEST + 1e-6:
        raise ValueError(BOUNDED)
    return text


Duration = Annotated[
    str,
    Field(
        pattern=PATTERN,
        max_length=_LENGTH,
        examples=["90s", "1h30m", "7d"],
        json_schema_extra={
            "x-kubernetes-validations": [
                {"rule": "self.matches('[1-9]')", "message": BOUNDED},
                {"rule": f"{_CEL_SECONDS} <= {LONGEST}.0", "message": BOUNDED},
            ]
        },
    ),
    AfterValidator(_bounded),
]
"""A timeout or a deadline of a kind."""
