"""Durations as Kubernetes writes them: "90s", "30m", "1h30m"."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_TERM = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")


def seconds(text: str) -> float:
    """The length of a duration in seconds.

    Raises:
        ValueError: the text is not a duration.
    """
    if not re.match(PATTERN, text):
        raise ValueError(f'"{text}" is not a duration: write it like "90s", "30m" or "1h30m"')
    return sum(float(number) * _UNITS[unit] for number, unit in _TERM.findall(text))


def _checked(text: str) -> str:
    seconds(text)
    return text


Duration = Annotated[str, Field(pattern=PATTERN, max_length=32), AfterValidator(_checked)]
