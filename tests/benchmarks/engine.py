"""Runs a scenario: its arms in turns, and around them what controller and gateway did for it."""

from __future__ import annotations

import asyncio
import gc
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import audit
from benchmarks.audit import AuditLog, Entry, Mark, Request
from benchmarks.outcome import RUNTIMES, Outcome
from benchmarks.place import OURS, WAITING, Place
from benchmarks.process import Meter
from benchmarks.scenario import Arm, Scenario, Way
from benchmarks.scrape import Counts, Scraper
from benchmarks.ways import Ways

from mayfly.kube.errors import KubeError

IDLE_SECONDS = 10.0
FAILURES = (RuntimeError, LookupError, OSError, KubeError, ExceptionGroup)


@dataclass(frozen=True)
class Instruments:
    """What is read before and after.

    Attributes:
        log: the API server's audit log.
        meter: the processes of the installation; None where they run elsewhere.
        scraper: their metrics.
        system: the installation's namespace.
    """

    log: AuditLog
    meter: Meter | None
    scraper: Scraper
    system: str


@dataclass(frozen=True)
class _Before:
    mark: Mark | None
    counts: Counts


class Engine:
    """Runs scenarios in one place."""

    def __init__(
        self, place: Place, instruments: Instruments, seed: int, tell: Callable[[str], None]
    ) -> None:
        self._place = place
        self._instruments = instruments
        self._tell = tell
        self.ways = Ways(place, seed)

    async def begin(self) -> None:
        """Wait until the place is settled, then see what idling costs here.

        Raises:
            TimeoutError: the pool does not fill.
        """
        await self._place.settle()
        meter = self._instruments.meter
        cpu = meter.read() if meter else {}
        began = time.monotonic()
        await asyncio.sleep(IDLE_SECONDS)
        if meter:
            meter.idle(cpu, time.monotonic() - began)

    async def measure(self, scenario: Scenario) -> Outcome:
        """What came of a scenario; of one that failed, why."""
        began = time.monotonic()
        try:
            outcome = await self._measure(scenario)
        except FAILURES as error:
            outcome = Outcome(scenario, failure=_words(error))
            await self._place.clear()
        state = f"failed: {outcome.failure}" if outcome.failure else "measured"
        self._tell(f"{scenario.name}: {state}, {time.monotonic() - began:.0f} s")
        return outcome

    async def _measure(self, scenario: Scenario) -> Outcome:
        place, outcome = self._place, Outcome(scenario)
        meter = self._instruments.meter.anew() if self._instruments.meter else None
        await self._warm_up(scenario)
        place.forget()
        before = await self._before()
        for number in range(scenario.rounds):
            turn = number % len(scenario.arms)
            for arm in scenario.arms[turn:] + scenario.arms[:turn]:
                if number % arm.every == 0:
                    await self._arm(scenario, arm, number, outcome, meter)
        await self._after(outcome, before)
        if meter and outcome.runs:
            outcome.processes = meter.rows(outcome.runs)
        return outcome

    async def _warm_up(self, scenario: Scenario) -> None:
        """One of each that does not count: it fills caches, and makes the namespace's policy."""
        for arm in scenario.arms:
            if arm.way is not Way.CANCEL:
                await self.ways.attempts(arm.way, f"{scenario.name}-first", 1, 0.0)
                await self._place.settle()

    async def _arm(
        self, scenario: Scenario, arm: Arm, number: int, outcome: Outcome, meter: Meter | None
    ) -> None:
        seconds = 0.0 if arm.way.peer else scenario.seconds
        # The client's own collections of garbage would be part of what it measures.
        gc.collect()
        gc.freeze()
        cpu, began = meter.read() if meter else {}, time.monotonic()
        tag = f"{scenario.name}-{number}"
        outcome.attempts.setdefault(arm.way, []).extend(
            await self.ways.attempts(arm.way, tag, arm.count, seconds)
        )
        await self._place.settle()
        if meter and not arm.way.peer:
            meter.add(cpu, time.monotonic() - began)

    async def _before(self) -> _Before:
        log = self._instruments.log
        return _Before(
            log.mark() if log.readable() else None, await self._instruments.scraper.counts()
        )

    async def _after(self, outcome: Outcome, before: _Before) -> None:
        counted = (await self._instruments.scraper.counts()).since(before.counts)
        outcome.reconciles = counted.reconciles
        if counted.dispatches:
            outcome.dispatch_ms = 1000 * counted.dispatch_seconds / counted.dispatches
        made = self._place.runs.added()
        outcome.runs = len(made)
        outcome.hits = sum(
            body.get("status", {}).get("podName", "").startswith(WAITING) for body in made.values()
        )
        if before.mark is not None:
            lines = self._instruments.log.between(before.mark, self._instruments.log.mark())
            outcome.writes, outcome.pod_writes = _writes(
                lines, self._instruments.system, self._place
            )


def _writes(
    lines: list[str], system: str, place: Place
) -> tuple[Counter[Request], Counter[Request]]:
    """Writes to runs, their pods and the pool; and those to bare Pods."""
    # Most lines are not ours; a look at the text spares parsing them.
    entries = audit.entries((each for each in lines if place.namespace in each), system=system)
    entries = [each for each in entries if each.request.verb != "get"]

    def of_runs(entry: Entry) -> bool:
        if entry.request.target.startswith("pods"):
            return entry.name.startswith(OURS)
        return entry.request.target.startswith(("pipelineruns", RUNTIMES))

    def of_pods(entry: Entry) -> bool:
        return entry.request.target.startswith("pods") and entry.name.startswith(f"{Way.POD.key}-")

    return audit.count(entries, of_runs), audit.count(entries, of_pods)


def _words(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return _words(error.exceptions[0])
    return str(error) or type(error).__name__
