"""What came of a scenario, and the numbers that limits and aims are about. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from benchmarks import audit
from benchmarks.audit import Request
from benchmarks.metering import Bill
from benchmarks.process import ProcessRow
from benchmarks.scenario import Scenario, Way
from benchmarks.stage import Attempt, Stage
from benchmarks.statistic import percentile

PERCENTS = (50, 95, 99)
BILL_MS = 5.0
METERING = "metering"
SUBJECTS = ("run", "pool", "runtime")
"""What the controller reconciles for a run, as its metric names it."""
RUNTIMES = "pipelineruntimes"


@dataclass
class Outcome:
    """What was measured of one scenario.

    Attributes:
        scenario: the row of the table.
        attempts: of each of its ways.
        runs: PipelineRuns that were made, children included.
        hits: how many of them got a pod that waited.
        writes: to runs and their pods; None where there is no audit log.
        pod_writes: to the bare Pods of the scenario; likewise.
        reconciles: of the controller by subject; None if its metrics could not be read.
        dispatch_ms: mean of the gateway from seeing a claim until the work is sent; likewise, and
            where it sent none.
        processes: CPU a run and memory of controller and gateway; empty where they run elsewhere.
        failure: why it came to nothing; empty if it was measured.
    """

    scenario: Scenario
    attempts: dict[Way, list[Attempt]] = field(default_factory=dict)
    runs: int = 0
    hits: int = 0
    writes: Counter[Request] | None = None
    pod_writes: Counter[Request] | None = None
    reconciles: Counter[str] | None = None
    dispatch_ms: float | None = None
    processes: list[ProcessRow] = field(default_factory=list)
    failure: str = ""

    def column(self, way: Way, stage: Stage) -> list[float]:
        """All values of a stage; none where it was not measured."""
        return [each[stage] for each in self.attempts.get(way, []) if stage in each]


def numbers(outcome: Outcome) -> dict[str, float]:
    """Everything of a scenario that a limit may name; what was not measured is not there."""
    name = outcome.scenario.name
    found = {}
    for way in outcome.attempts:
        for stage in Stage:
            column = outcome.column(way, stage)
            for percent in PERCENTS if column else ():
                found[f"{name}.{way.key}.{stage.key}.p{percent}"] = percentile(column, percent)
    if outcome.runs:
        found |= _each_run(outcome)
    return found


def _each_run(outcome: Outcome) -> dict[str, float]:
    name, runs = outcome.scenario.name, outcome.runs
    found = {}
    if outcome.writes is not None:
        found[f"{name}.writes"] = own_writes(outcome.writes) / runs
        found[f"{name}.pool_writes"] = pool_writes(outcome.writes) / runs
    if outcome.reconciles is not None:
        # One that did not occur is 0: it was counted.
        for subject in {*SUBJECTS, *outcome.reconciles}:
            found[f"{name}.reconciles.{subject}"] = outcome.reconciles[subject] / runs
    if outcome.scenario.warm:
        found[f"{name}.misses"] = (runs - outcome.hits) / runs
    for part in sorted({row.part for row in outcome.processes}):
        rows = [row for row in outcome.processes if row.part == part]
        found[f"{name}.cpu_ms.{part}"] = sum(row.run_ms for row in rows)
        found[f"{name}.rss_mib.{part}"] = max(row.rss_mib for row in rows)
    return found


def own_writes(writes: Counter[Request]) -> int:
    """Those by controller and gateway to runs and their pods.

    Creates of runs are none of them, a user of the API asks for those; nor is the pool's status.
    """
    return audit.own(writes) - pool_writes(writes) - _own_creates(writes)


def pool_writes(writes: Counter[Request]) -> int:
    """Those that tell what waits: to the PipelineRuntime's status."""
    return sum(number for each, number in writes.items() if each.target.startswith(RUNTIMES))


def _own_creates(writes: Counter[Request]) -> int:
    return sum(
        number
        for each, number in writes.items()
        if each.client in audit.OWN and (each.verb, each.target) == ("create", "pipelineruns")
    )


def numbers_of_bills(bills: list[Bill]) -> dict[str, float]:
    """Of the metering."""
    if not bills:
        return {}
    off = [abs(each.error) for each in bills]
    return {
        f"{METERING}.off_ms.p99": percentile(off, 99),
        f"{METERING}.off_ms.p100": max(off),
        f"{METERING}.beyond_5_ms": sum(each > BILL_MS for each in off) / len(off),
        f"{METERING}.not_seen": float(sum(each.billed == 0 for each in bills)),
    }
