"""Billed time against the time that the user's code saw."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import workload
from benchmarks.place import Place
from benchmarks.sighting import condition

from mayfly.kube.kinds import RUNS

SHORTEST_SECONDS = 0.01
LONGEST_SECONDS = 5.0


@dataclass(frozen=True)
class Bill:
    """One run's time, in milliseconds.

    Attributes:
        true: from the first to the last line of main(), on CLOCK_MONOTONIC.
        billed: `usage.activeMilliseconds`.
    """

    true: float
    billed: float

    @property
    def error(self) -> float:
        """How much too much was billed."""
        return self.billed - self.true


def lengths(n: int, seed: int) -> list[float]:
    """Seconds to run, spread evenly over the orders of magnitude."""
    dice = random.Random(seed)
    low, high = math.log(SHORTEST_SECONDS), math.log(LONGEST_SECONDS)
    return [math.exp(dice.uniform(low, high)) for _ in range(n)]


async def measure(place: Place, n: int, seed: int, tell: Callable[[str], None]) -> list[Bill]:
    """Run n pipelines of random length, one at a time."""
    bills = []
    for number, seconds in enumerate(lengths(n, seed)):
        name = f"timed-{number}"
        spec = {"inputJSON": f'{{"seconds": {seconds:.6f}}}'}
        await place.create(RUNS, workload.run(name, workload.TIMED_SOURCE, **spec))
        over = await place.runs.first(name, condition("Finished"))
        status = over.body["status"]
        if not condition("Succeeded")(over.body):
            raise RuntimeError(f"the run {name} failed: {status.get('error')}")
        bills.append(bill(status["logsTail"], status["usage"]["activeMilliseconds"]))
        await place.pods.gone(status["podName"])
        if (number + 1) % 10 == 0:
            tell(f"metering: {number + 1} of {n}")
    return bills


def bill(printed: str, billed: float) -> Bill:
    """A bill beside the two times, in nanoseconds, that the run printed."""
    first, last = (int(line) for line in printed.split())
    return Bill(true=(last - first) / 1e6, billed=billed)
