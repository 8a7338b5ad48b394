"""What Mayfly GETs from the API server for a run, counted from the audit log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import audit, workload
from benchmarks.audit import AuditLog, Request
from benchmarks.place import Place
from benchmarks.sighting import condition

from mayfly.kube.kinds import RUNS

ALONE = "run of a Pipeline"
WITH_CHILD = "run of a Pipeline, and its child"
LEAF, PARENT = "leaf", "parent"


@dataclass(frozen=True)
class Reads:
    """The GETs of one arm.

    Attributes:
        runs: how many runs of this kind were made.
        requests: the GETs of all of them.
    """

    runs: int
    requests: Counter[Request]


def numbers(found: dict[str, Reads]) -> dict[str, float]:
    """GETs a run by who made them, for limits: `reads.gets.controller`, `reads.gets_call.…`."""
    return {
        f"reads.{name}.{client}": sum(
            number for request, number in each.requests.items() if request.client == client
        )
        / each.runs
        for name, each in (("gets", found.get(ALONE)), ("gets_call", found.get(WITH_CHILD)))
        for client in audit.OWN
        if each is not None
    }


async def measure(
    place: Place, log: AuditLog, n: int, system: str, tell: Callable[[str], None]
) -> dict[str, Reads]:
    """Run a Pipeline, and one that calls another, `n` times each; none where there is no log.

    Raises:
        RuntimeError: a run failed.
    """
    if not log.readable():
        return {}
    found = {}
    for arm, pipeline in ((ALONE, LEAF), (WITH_CHILD, PARENT)):
        # The first run of a version is not counted: it reads what the others find in the cache.
        await _run(place, pipeline, f"warm-up-{pipeline}")
        first = log.mark()
        for number in range(n):
            await _run(place, pipeline, f"{pipeline}-{number}")
        lines = log.between(first, log.mark())
        entries = audit.entries((each for each in lines if place.namespace in each), system=system)
        requests = audit.count(entries, lambda each: each.request.verb == "get")
        found[arm] = Reads(n, requests)
        tell(f"reads: {arm}")
    return found


async def _run(place: Place, pipeline: str, name: str) -> None:
    await place.create(RUNS, workload.run_of(pipeline, name))
    over = await place.runs.first(name, condition("Finished"))
    if not condition("Succeeded")(over.body):
        raise RuntimeError(f"the run {name} failed: {over.body['status'].get('error')}")
