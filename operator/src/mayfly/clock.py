"""Clocks, injected as arguments: nothing else in Mayfly reads the machine's time."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the current time, timezone-aware, in UTC."""

Monotonic = Callable[[], float]
"""Returns seconds of a clock that no adjustment moves."""


def utc_now() -> datetime:
    """The current time in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds of the machine's monotonic clock."""
    return time.monotonic()


def rfc3339(moment: datetime) -> str:
    """A moment as Kubernetes' MicroTime: RFC 3339 with six decimals and `Z`."""
    # isoformat and not strftime, which writes the year 1 as "1".
    text = moment.astimezone(UTC).isoformat(timespec="microseconds")
    return text.removesuffix("+00:00") + "Z"


def rfc3339_seconds(moment: datetime) -> str:
    """A moment as Kubernetes' Time: RFC 3339 with whole seconds and `Z`."""
    text = moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat()
    return f"{text}Z"


def parse_rfc3339(text: str) -> datetime:
    """Read what `rfc3339` or Kubernetes wrote; a time without an offset is UTC.

    Raises:
        ValueError: the text is not RFC 3339, or no moment of the years 1 to 9999 in UTC.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text[:64]!r} is outside the years 1 to 9999") from error
