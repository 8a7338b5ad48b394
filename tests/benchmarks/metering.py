"""Billed time against the time that the user's code saw."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from benchmarks import workload
from benchmarks.place import Place
from benchmarks.sampler import INTERVALS, Sampler
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
        sampled: what a sampler would bill, by the seconds between its looks.
    """

    true: float
    billed: float
    sampled: dict[int, float] = field(default_factory=dict)

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
    """Run n pipelines of random length, one at a time, while samplers look on."""
    if n == 0:
        return []
    async with AsyncExitStack() as stack:
        samplers = [
            await stack.enter_async_context(Sampler(place.cluster, place.namespace, seconds))
            for seconds in INTERVALS
        ]
        return await _bills(place, lengths(n, seed), samplers, tell)


async def _bills(
    place: Place, seconds_each: list[float], samplers: list[Sampler], tell: Callable[[str], None]
) -> list[Bill]:
    bills = []
    for number, seconds in enumerate(seconds_each):
        name = f"timed-{number}"
        spec = {"inputJSON": f'{{"seconds": {seconds:.6f}}}'}
        await place.create(
            RUNS, workload.run(name, place.runtime_name, workload.TIMED_SOURCE, **spec)
        )
        over = await place.runs.first(name, condition("Finished"))
        status = over.body["status"]
        if not condition("Succeeded")(over.body):
            raise RuntimeError(f"the run {name} failed: {status.get('error')}")
        # Not before the pod is gone: until then a sampler may see it.
        await place.pods.gone(status["podName"])
        sampled = {each.seconds: each.billed(status["podName"]) for each in samplers}
        bills.append(bill(status["logsTail"], status["usage"]["activeMilliseconds"], sampled))
        if (number + 1) % 10 == 0:
            tell(f"metering: {number + 1} of {len(seconds_each)}")
    return bills


def bill(printed: str, billed: float, sampled: dict[int, float] | None = None) -> Bill:
    """A bill beside the two times, in nanoseconds, that the run printed."""
    first, last = (int(line) for line in printed.split())
    return Bill(true=(last - first) / 1e6, billed=billed, sampled=sampled or {})
