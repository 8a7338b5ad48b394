"""Sizes of tests: short in `make test`, long in `make test-long`."""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T")

LONG = os.environ.get("MAYFLY_TESTS") == "long"
"""Whether this is `make test-long`."""


def length(short: T, long: T) -> T:
    """Choose a number of seconds, runs or examples.

    Args:
        short: for `make test`. It still crosses each threshold that the test is about.
        long: for `make test-long`, before a release.
    """
    return long if LONG else short
