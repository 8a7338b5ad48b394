"""The agent's clock: a monotonic meter, and wall-clock timestamps derived from it."""

import time
from datetime import UTC, datetime, timedelta

NS_PER_MS = 1_000_000


class Clock:
    """Reads the wall clock once; every later timestamp adds monotonic time to it.

    So two timestamps of one run differ by exactly the metered time, whatever NTP does to the node's
    clock in between.
    """

    def __init__(self) -> None:
        self._birth = datetime.now(UTC)
        self._birth_ns = time.monotonic_ns()

    def monotonic_ns(self) -> int:
        """Nanoseconds of a clock that never goes back."""
        return time.monotonic_ns()

    def stamp(self, monotonic_ns: int) -> str:
        """The RFC 3339 timestamp (UTC, microseconds) of a reading of `monotonic_ns`."""
        at = self._birth + timedelta(microseconds=(monotonic_ns - self._birth_ns) // 1000)
        return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def ceil_ms(nanoseconds: int) -> int:
    """Whole milliseconds, rounded up: a started millisecond is billed."""
    return -(-nanoseconds // NS_PER_MS)


def in_words(milliseconds: int) -> str:
    """A duration for people: `1500` is "1.5 s", `1800000` is "30 m"."""
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    seconds = milliseconds / 1000
    if milliseconds % 60_000 == 0:
        return f"{milliseconds // 60_000} m"
    return f"{seconds:g} s"
