"""Sizes of tests: short in `make test`, as much as it takes to be sure in `make test-long`."""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T")

LONG = os.environ.get("MAYFLY_TESTS") == "long"
"""Whether this is `make test-long`."""


def length(short: T, long: T) -> T:
    """A number of seconds, runs or examples.

    Args:
        short: for every change. It still crosses each threshold that the test is about.
        long: for a release.
    """
    return long if LONG else short
