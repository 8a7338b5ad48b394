"""Waiting for what another process does; a failure says what was last seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

SECONDS = 20.0
"""Far longer than anything here takes: a slow machine must not make a test fail."""


def eventually(
    look: Callable[[], T], seconds: float = SECONDS, accept: Callable[[T], object] = bool
) -> T:
    """What `look` returns once that is accepted: true, unless the caller says what."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if accept(seen):
            return seen
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s; last seen: {seen!r}"
        time.sleep(0.1)
