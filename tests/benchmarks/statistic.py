"""Numbers of many attempts, told in few."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: always a value that was measured.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("a percentile of nothing")
    rank = math.ceil(percent / 100 * len(values))
    return sorted(values)[max(rank, 1) - 1]


def median(values: Sequence[float]) -> float:
    """The middle one, or the mean of the middle two."""
    ordered = sorted(values)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    if not ordered:
        raise ValueError("a median of nothing")
    return (ordered[half - 1] + ordered[half]) / 2


@dataclass(frozen=True)
class Summary:
    """Median, 95th percentile and extremes of n values."""

    n: int
    median: float
    p95: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Summary:
        """Sum up at least one value."""
        return cls(
            n=len(values),
            median=median(values),
            p95=percentile(values, 95),
            least=min(values),
            most=max(values),
        )
