"""How one arm of a scenario makes its attempts, and which moments of them are noted.

The client's part in a measured time is small: its watches are open before, its connections are
kept, and what happens inside a pod is stamped there, on the clock that this machine's pods share.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
from benchmarks import machine, workload
from benchmarks.place import JOBS, WAITING, Place
from benchmarks.scenario import Way
from benchmarks.sighting import Sighting, Watch, condition, phase
from benchmarks.stage import Attempt, Stage
from benchmarks.workload import Stamp

from mayfly.kube.kinds import PODS, RUNS

Json = dict[str, Any]

CALL_PAUSE = 3.0
"""Seconds between two calls: the pool has filled again."""
FINISHED = condition("Finished")
SUCCEEDED = condition("Succeeded")


class Ways:
    """Makes attempts in a place.

    Attributes:
        one_clock: whether all pods shared this machine's monotonic clock.
    """

    def __init__(self, place: Place, seed: int) -> None:
        self._place = place
        self._dice = random.Random(seed)
        self._boot = machine.boot()
        self._wall_offset = time.time() - time.monotonic()
        self.one_clock = True

    async def attempts(self, way: Way, tag: str, count: int, seconds: float) -> list[Attempt]:
        """So many attempts at once, or spread over some seconds; returns when all have ended.

        Args:
            way: what.
            tag: part of the names of all objects.
            count: how many.
            seconds: arrivals are spread over so long; 0: at once.

        Raises:
            RuntimeError: something that should have succeeded failed.
            TimeoutError: something was not seen.
        """
        one: dict[Way, Callable[[str], Coroutine[Any, Any, Attempt]]] = {
            Way.RUN: self._run,
            Way.NEW_RUN: self._new_run,
            Way.POST: self._post,
            Way.REFUSED: self._refused,
            Way.POD: self._pod,
            Way.LEAN_POD: self._lean_pod,
            Way.JOB: self._job,
        }
        tree = {
            Way.CALL: self._call,
            Way.CHAIN: self._chain,
            Way.FAN_OUT: self._fan_out,
            Way.CANCEL: self._cancel,
        }
        if way in tree:
            return await tree[way](f"{way.key}-{tag}", count)
        gaps = [self._dice.expovariate(count / seconds) if seconds else 0.0 for _ in range(count)]
        async with asyncio.TaskGroup() as group:
            tasks = []
            for number, gap in enumerate(gaps):
                if gap:
                    await asyncio.sleep(gap)
                tasks.append(group.create_task(one[way](f"{way.key}-{tag}-{number}")))
        return [each.result() for each in tasks]

    # -- single objects ----------------------------------------------------------------------------

    async def _new_run(self, name: str) -> Attempt:
        """A run of a source that the controller has never read."""
        return await self._run(name, f"# {name} {time.time_ns()}\n{workload.RUN_SOURCE}")

    async def _run(self, name: str, source: str = workload.RUN_SOURCE) -> Attempt:
        place = self._place
        began = await place.create(RUNS, workload.run(name, place.runtime_name, source))
        accepted = time.monotonic()
        over = await self._succeeded(name)
        status = over.body["status"]
        pod = status["podName"]
        gone = await place.pods.gone(pod)
        seen = await place.runs.first(name, lambda _: True)
        claim = await place.runs.first(name, lambda body: "podUID" in body.get("status", {}))
        stamp = self._stamp(status["logsTail"])
        moments = {
            Stage.CREATED: accepted,
            Stage.RUN_SEEN: seen.at,
            Stage.CLAIM_SEEN: claim.at,
            Stage.OVER: over.at,
            Stage.GONE: gone.at,
            Stage.LINE: stamp.at,
        }
        # A waiting pod was there before: what it went through then is not this run's.
        if pod.startswith(WAITING):
            return _since(began, moments)
        moments |= await self._pod_moments(place.pods, pod) | self._births(stamp)
        if stamp.own_born is not None:
            moments[Stage.OWN_BORN] = stamp.own_born
        return _since(began, moments) | _throttled(stamp)

    async def _refused(self, name: str) -> Attempt:
        """A run without the input that main() needs."""
        began = await self._place.create(RUNS, workload.run_of("chain", name))
        over = await self._place.runs.first(name, FINISHED)
        if "podName" in over.body["status"]:
            raise RuntimeError(f"the run {name} was to be refused and got a pod")
        recorded = await self._place.runs.first(name, _recorded)
        return _since(began, {Stage.OVER: over.at, Stage.RECORDED: recorded.at})

    async def _post(self, name: str) -> Attempt:
        """A prediction over HTTP on a connection that is open; the answer has its output."""
        namespace = self._place.namespace
        model = f"{_variable('MAYFLY_URL')}/ns/{namespace}/v1/models/{namespace}/leaf"
        headers = {"Authorization": f"Bearer {_variable('MAYFLY_TOKEN')}", "Prefer": "wait"}
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.get(model) as opening:
                await opening.read()
            began = time.monotonic()
            async with session.post(f"{model}/predictions", json={"input": {}}) as response:
                answer = await response.json()
            answered = time.monotonic()
        if answer.get("status") != "succeeded":
            raise RuntimeError(f"POST was answered {response.status}: {answer}")
        return _since(began, {Stage.ANSWERED: answered})

    async def _lean_pod(self, name: str) -> Attempt:
        return await self._pod(name, token=False)

    async def _pod(self, name: str, *, token: bool = True) -> Attempt:
        place = self._place
        began = await place.create(PODS, workload.pod(name, place.runtime, token=token))
        accepted = time.monotonic()
        over = await place.pods.first(name, phase("Succeeded", "Failed"))
        await place.delete(PODS, name)
        gone = await place.pods.gone(name)
        return await self._of_pod(name, over, _since(began, {
            Stage.CREATED: accepted, Stage.OVER: over.at, Stage.GONE: gone.at,
        }), began)  # fmt: skip

    async def _job(self, name: str) -> Attempt:
        place = self._place
        began = await place.create(JOBS, workload.job(name, place.runtime))
        accepted = time.monotonic()
        over = await place.jobs.first(name, condition("Complete"))
        pod = place.pods.named(f"{name}-")
        ended = await place.pods.first(pod, phase("Succeeded", "Failed"))
        await place.delete(JOBS, name)
        gone = await place.pods.gone(pod)
        return await self._of_pod(pod, ended, _since(began, {
            Stage.CREATED: accepted, Stage.OVER: over.at, Stage.GONE: gone.at,
        }), began)  # fmt: skip

    async def _of_pod(self, pod: str, ended: Sighting, known: Attempt, began: float) -> Attempt:
        stamp = self._stamp(_message(ended))
        moments = await self._pod_moments(self._place.pods, pod) | self._births(stamp)
        moments[Stage.LINE] = stamp.at
        return known | _since(began, moments) | _throttled(stamp)

    # -- trees -------------------------------------------------------------------------------------

    async def _call(self, name: str, calls: int) -> list[Attempt]:
        inputs = {"calls": calls, "pause": CALL_PAUSE}
        over = await self._tree("caller", name, **inputs)
        return [{Stage.TURN: took} for took in over.body["status"]["output"]]

    async def _chain(self, name: str, levels: int) -> list[Attempt]:
        began = time.monotonic()
        over = await self._tree("chain", name, levels=levels)
        lines = [self._moment(each) for each in over.body["status"]["output"]]
        return [_since(began, {Stage.LINE: lines[-1], Stage.OVER: over.at})]

    async def _fan_out(self, name: str, children: int) -> list[Attempt]:
        over = await self._tree("fan", name, children=children)
        before, *lines, after = (self._moment(each) for each in over.body["status"]["output"])
        attempts = [_since(before, {Stage.CHILD_LINE: line}) for line in lines]
        return [*attempts, _since(before, {Stage.TURN: after})]

    async def _cancel(self, name: str, children: int) -> list[Attempt]:
        """Few get a pod: what is measured is how the others end; then all of it is deleted."""
        place = self._place
        await place.limit_runs(4)
        try:
            run = workload.run_of("holder", name, children=children)
            await place.create(RUNS, run)
            await place.runs.until(lambda _: len(self._children(name)) >= children, 240)
            # All that get a pod have started, and nothing of the creates is left to do.
            await asyncio.sleep(5)
            patch = {"spec": {"cancel": True}}
            began = time.monotonic()
            await place.cluster.patch(RUNS, place.namespace, name, patch)
            accepted = await place.runs.first(name, condition("CancelAccepted"))
            waited = [each for each in self._children(name) if not self._has_pod(each)]
            canceled = [(await place.runs.first(each, FINISHED)).at for each in waited]
            await place.delete(RUNS, name)
            await place.runs.gone(name)
        finally:
            await place.limit_runs(None)
        return [
            _since(began, {Stage.ACCEPTED: accepted.at}),
            *(_since(began, {Stage.CANCELED: at}) for at in canceled),
        ]

    def _children(self, parent: str) -> list[str]:
        return [
            name
            for name, body in self._place.runs.current.items()
            if body["spec"].get("parentRef", {}).get("name") == parent
        ]

    def _has_pod(self, run: str) -> bool:
        return "podUID" in self._place.runs.current[run].get("status", {})

    async def _tree(self, pipeline: str, name: str, **inputs: Any) -> Sighting:
        await self._place.create(RUNS, workload.run_of(pipeline, name, **inputs))
        return await self._succeeded(name)

    # -- moments -----------------------------------------------------------------------------------

    async def _succeeded(self, name: str) -> Sighting:
        over = await self._place.runs.first(name, FINISHED)
        if not SUCCEEDED(over.body):
            raise RuntimeError(f"the run {name} failed: {over.body['status'].get('error')}")
        return over

    async def _pod_moments(self, pods: Watch, pod: str) -> dict[Stage, float]:
        seen = await pods.first(pod, lambda _: True)
        bound = await pods.first(pod, lambda body: "nodeName" in body["spec"])
        return {Stage.POD_SEEN: seen.at, Stage.BOUND: bound.at}

    def _moment(self, found: Json) -> float:
        self.one_clock &= found["boot"] == self._boot
        return workload.read_moment(found, boot=self._boot, wall_offset=self._wall_offset)

    def _stamp(self, text: str) -> Stamp:
        stamp = workload.read_stamp(text, boot=self._boot, wall_offset=self._wall_offset)
        self.one_clock &= stamp.first_born is not None
        return stamp

    @staticmethod
    def _births(stamp: Stamp) -> dict[Stage, float]:
        return {} if stamp.first_born is None else {Stage.FIRST_BORN: stamp.first_born}


def _recorded(run: Json) -> bool:
    return bool(run.get("status", {}).get("finished"))


def _message(over: Sighting) -> str:
    """The termination message of a bare pod.

    Raises:
        RuntimeError: it failed.
    """
    state = over.body["status"]["containerStatuses"][0]["state"]["terminated"]
    if state["exitCode"] != 0:
        raise RuntimeError(f"the pod {over.name} failed: {state}")
    return str(state["message"])


def _since(began: float, moments: dict[Stage, float]) -> Attempt:
    return {stage: (at - began) * 1000 for stage, at in moments.items()}


def _throttled(stamp: Stamp) -> Attempt:
    return {} if stamp.throttled_ms is None else {Stage.THROTTLED: stamp.throttled_ms}


def _variable(name: str) -> str:
    """An environment variable that `make env` sets.

    Raises:
        RuntimeError: it is not set.
    """
    value = os.environ.get(name, "")
    if not value:
        raise RuntimeError(f'{name} is not set: eval "$(make -s env)"')
    return value
