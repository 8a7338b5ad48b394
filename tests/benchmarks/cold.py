"""Cold starts, taken in turns: a Mayfly run, a bare Pod and a Job, one at a time."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks import machine, workload
from benchmarks.place import JOBS, Place
from benchmarks.process import Meter
from benchmarks.sighting import Sighting, Watch, condition, phase
from benchmarks.workload import Stamp

from mayfly.kube.kinds import PODS, RUNS

Json = dict[str, Any]
Attempt = dict[str, float]

RUN, NEW_RUN = "Mayfly run", "run, new source"
POD, LEAN_POD, JOB = "bare Pod", "Pod, no volume", "core Job"
ARMS = (RUN, NEW_RUN, POD, LEAN_POD, JOB)
PREFIXES = {RUN: "cold-", NEW_RUN: "new-", POD: "bare-", LEAN_POD: "lean-", JOB: "job-"}

CREATED = "accepted by the API server"
POD_SEEN = "pod seen by a watch"
CLAIM_SEEN = "claim seen by a watch"
BOUND = "pod bound to the node, seen by a watch"
FIRST_BORN = "PID 1 of the container made"
OWN_BORN = "the worker's process made"
LINE = "first line of the user's code"
OVER = "end seen by a watch"
GONE = "pod's removal seen by a watch"
THROTTLED = "held back by the CPU limit"
"""Not a moment, but how long, until the first line."""
STAGES = (CREATED, POD_SEEN, CLAIM_SEEN, BOUND, FIRST_BORN, OWN_BORN, LINE, OVER, GONE)
"""In the order in which they come; milliseconds since the create began."""


@dataclass
class ColdStarts:
    """What was measured.

    Attributes:
        attempts: milliseconds since the create began by stage, for each attempt of each arm.
        run_pods: the names of the pods of the runs (not of those with a new source).
        one_clock: whether all pods shared this machine's monotonic clock.
    """

    attempts: dict[str, list[Attempt]] = field(default_factory=lambda: {arm: [] for arm in ARMS})
    run_pods: set[str] = field(default_factory=set)
    one_clock: bool = True

    def column(self, arm: str, stage: str) -> list[float]:
        """All values of a stage; none where it was not measured."""
        return [each[stage] for each in self.attempts[arm] if stage in each]


class ColdBenchmark:
    """Measures cold starts in a place."""

    def __init__(self, place: Place, runtime: Json, meter: Meter | None) -> None:
        self._place = place
        self._runtime = runtime
        self._meter = meter
        self._boot = machine.boot()
        self._wall_offset = time.time() - time.monotonic()
        self.found = ColdStarts()

    async def warm_up(self) -> None:
        """One of each that does not count: it makes the namespace's policy and fills caches."""
        for arm in ARMS:
            await self._attempt(arm, f"warm-up-{PREFIXES[arm]}0")

    async def measure(self, n: int, tell: Callable[[str], None]) -> ColdStarts:
        """N rounds; who goes first changes from round to round."""
        for number in range(n):
            turn = number % len(ARMS)
            for arm in ARMS[turn:] + ARMS[:turn]:
                name = f"{PREFIXES[arm]}{number}"
                before = self._meter.read() if self._meter and arm == RUN else None
                began = time.monotonic()
                attempt, pod = await self._attempt(arm, name)
                if self._meter and before is not None:
                    self._meter.add(before, time.monotonic() - began)
                if arm == RUN:
                    self.found.run_pods.add(pod)
                self.found.attempts[arm].append(attempt)
            tell(f"cold starts: round {number + 1} of {n}")
        return self.found

    async def _attempt(self, arm: str, name: str) -> tuple[Attempt, str]:
        ways: dict[str, Callable[[str], Awaitable[tuple[Attempt, str]]]] = {
            RUN: self._run,
            NEW_RUN: self._new_run,
            POD: self._pod,
            LEAN_POD: self._lean_pod,
            JOB: self._job,
        }
        return await ways[arm](name)

    async def _new_run(self, name: str) -> tuple[Attempt, str]:
        """A run of a source that the controller has never read."""
        return await self._run(name, f"# {name} {time.time_ns()}\n{workload.RUN_SOURCE}")

    async def _run(self, name: str, source: str = workload.RUN_SOURCE) -> tuple[Attempt, str]:
        place = self._place
        began = await place.create(RUNS, workload.run(name, source))
        accepted = time.monotonic()
        over = await place.runs.first(name, condition("Finished"))
        status = over.body["status"]
        if not condition("Succeeded")(over.body):
            raise RuntimeError(f"the run {name} failed: {status.get('error')}")
        pod = status["podName"]
        gone = await place.pods.gone(pod)
        claim = await place.runs.first(name, lambda body: "podUID" in body.get("status", {}))
        stamp = self._stamp(status["logsTail"])
        moments = {CREATED: accepted, CLAIM_SEEN: claim.at, OVER: over.at, GONE: gone.at}
        moments |= await self._pod_moments(place.pods, pod) | self._stamped(stamp)
        if stamp.own_born is not None:
            moments[OWN_BORN] = stamp.own_born
        return _since(began, moments) | _throttled(stamp), pod

    async def _lean_pod(self, name: str) -> tuple[Attempt, str]:
        return await self._pod(name, token=False)

    async def _pod(self, name: str, *, token: bool = True) -> tuple[Attempt, str]:
        place = self._place
        began = await place.create(PODS, workload.pod(name, self._runtime, token=token))
        accepted = time.monotonic()
        over = await place.pods.first(name, phase("Succeeded", "Failed"))
        await place.delete(PODS, name)
        gone = await place.pods.gone(name)
        moments = {CREATED: accepted, OVER: over.at, GONE: gone.at}
        moments |= await self._pod_moments(place.pods, name)
        stamp = self._stamp(_message(over))
        return _since(began, moments | self._stamped(stamp)) | _throttled(stamp), name

    async def _job(self, name: str) -> tuple[Attempt, str]:
        place = self._place
        began = await place.create(JOBS, workload.job(name, self._runtime))
        accepted = time.monotonic()
        over = await place.jobs.first(name, condition("Complete"))
        pod = place.pods.named(f"{name}-")
        ended = await place.pods.first(pod, phase("Succeeded", "Failed"))
        await place.delete(JOBS, name)
        gone = await place.pods.gone(pod)
        moments = {CREATED: accepted, OVER: over.at, GONE: gone.at}
        moments |= await self._pod_moments(place.pods, pod)
        stamp = self._stamp(_message(ended))
        return _since(began, moments | self._stamped(stamp)) | _throttled(stamp), pod

    async def _pod_moments(self, pods: Watch, pod: str) -> dict[str, float]:
        seen = await pods.first(pod, lambda _: True)
        bound = await pods.first(pod, lambda body: "nodeName" in body["spec"])
        return {POD_SEEN: seen.at, BOUND: bound.at}

    def _stamp(self, text: str) -> Stamp:
        stamp = workload.read_stamp(text, boot=self._boot, wall_offset=self._wall_offset)
        self.found.one_clock &= stamp.first_born is not None
        return stamp

    def _stamped(self, stamp: Stamp) -> dict[str, float]:
        moments = {LINE: stamp.at}
        if stamp.first_born is not None:
            moments[FIRST_BORN] = stamp.first_born
        return moments


def _message(over: Sighting) -> str:
    """The termination message of a bare pod.

    Raises:
        RuntimeError: it failed.
    """
    state = over.body["status"]["containerStatuses"][0]["state"]["terminated"]
    if state["exitCode"] != 0:
        raise RuntimeError(f"the pod {over.name} failed: {state}")
    return str(state["message"])


def _since(began: float, moments: dict[str, float]) -> Attempt:
    return {stage: (at - began) * 1000 for stage, at in moments.items()}


def _throttled(stamp: Stamp) -> Attempt:
    return {} if stamp.throttled_ms is None else {THROTTLED: stamp.throttled_ms}
