"""The controller killed at each write about a pod that waited: nobody can tell.

Runs live one after the other. One that comes before a new controller knows every claim gets a pod
of its own, so it may take another run until a write is met.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator

import pytest
from support.controller.pool import Pool, owner
from support.controller.relay import Edge, Relay, Write
from support.controller.stage import Held, Stage
from support.controller.world import Runs
from support.waiting import eventually, looks

TRIES = 5


@pytest.fixture
def pool(plane, runs, controllers) -> Iterator[Pool]:
    made = Pool(runs, controllers, min=1)
    made.label()
    yield made
    plane.api.delete("mprt", name="default")


@pytest.fixture
async def stage(controllers, pool, tmp_path) -> AsyncIterator[Stage]:
    async with Relay(controllers.plane, tmp_path / "kubeconfig").serving() as relay:
        yield Stage(controllers, relay)
        controllers.stop()


def live(pool: Pool, name: str) -> None:
    """A run's whole life; its pod becomes its own and the pool is full again, then it ends."""
    runs = pool.runs
    runs.create(name, ttlSecondsAfterFinished=0)
    see_through(pool, name)


def see_through(pool: Pool, name: str) -> None:
    runs = pool.runs
    first = runs.claimed(name)["status"]
    eventually(
        lambda: owner(pool.plane.api.get("pod", first["podName"], "-n", runs.namespace)),
        accept=lambda found: found == ("PipelineRun", name),
    )
    pool.came(1)
    last = runs.get(name)["status"]
    assert (last["podUID"], last["attempt"]) == (first["podUID"], 1)
    runs.finish(name)
    eventually(lambda: not pool.plane.api.get("prun", "-n", runs.namespace)["items"])
    left = eventually(runs.pods, accept=lambda pods: len(pods) == 1)
    assert left[0]["metadata"]["name"] != first["podName"]


@pytest.mark.parametrize("edge", ["before", "after"])
async def test_killed_at_each_write_each_run_has_one_pod_and_none_is_left(
    stage: Stage, pool: Pool, edge: Edge
):
    namespace, relay = pool.runs.namespace, stage.relay
    await asyncio.to_thread(pool.fill, 1)
    assert relay.done(namespace)[:2] == ["PATCH networkpolicies", "POST pods that waited"]
    before = len(relay.done(namespace))
    await asyncio.to_thread(live, pool, "calm")
    calm = relay.done(namespace)[before:]
    kinds = [f"{word[0]} {word[1]}" for word in map(str.split, calm)]
    assert sorted(kinds) == [
        "DELETE pipelineruns",
        "DELETE pods",
        "PATCH pipelineruns/status",
        "PATCH pods",
        "POST pods",
    ]
    for what in calm:
        for number in range(TRIES):
            await asyncio.to_thread(pool.fill, 1)
            stage.points[namespace] = (what, edge)
            await asyncio.to_thread(live, pool, f"killed-{number}")
            if not stage.points:
                break
        assert not stage.points, f"not met: {what}"
    assert stage.kills == len(calm)
    await asyncio.to_thread(pool.label, None)
    await asyncio.to_thread(pool.came, 0)
    assert pool.runs.pods() == []


async def test_a_leader_that_wakes_up_gives_no_pod_twice(controllers, pool: Pool, plane, tmp_path):
    """Its claim, its adoption, and the creation of a waiting pod arrive late."""
    pools = [pool]
    for name in ("second", "third"):
        space = f"{pool.runs.namespace}-{name}"
        plane.api.create("namespace", {"metadata": {"name": space}})
        pools.append(Pool(Runs(plane, space), controllers, min=1))
        pools[-1].label()
    async with (
        Relay(plane, tmp_path / "old").serving() as old,
        Relay(plane, tmp_path / "new").serving() as new,
    ):
        paused = controllers.start(kubeconfig=old.kubeconfig, sweepSeconds=60)
        for number, each in enumerate(pools, 1):
            await asyncio.to_thread(each.fill, 1, everywhere=number)
        before = len(old.done(pool.runs.namespace))
        await asyncio.to_thread(live, pool, "calm")
        claim, *others = old.done(pool.runs.namespace)[before:]
        await asyncio.to_thread(pool.fill, 1, everywhere=len(pools))
        controllers.start(kubeconfig=new.kubeconfig, sweepSeconds=60)
        held = Held(old)
        late = [claim, "PATCH pods that waited", "POST pods that waited"]
        assert {*late} <= {claim, *others}
        held.points = {each.runs.namespace: what for each, what in zip(pools, late, strict=True)}
        for each in pools:
            each.runs.create("late", ttlSecondsAfterFinished=0)
        async for _ in looks():
            if held.namespaces == held.points.keys():
                break
        paused.send_signal(signal.SIGSTOP)

        async def acted(write: Write, edge: Edge) -> None:
            if edge == "after" and write.done and held.points.get(write.namespace) == write.what:
                held.release(write.namespace)
                paused.send_signal(signal.SIGCONT)

        new.strike = acted
        for each in pools:
            await asyncio.to_thread(see_through, each, "late")
        for each in pools:
            held.release(each.runs.namespace)
        paused.send_signal(signal.SIGCONT)
        assert await asyncio.to_thread(paused.wait, 60) == 0, "it saw that it leads no more"
        assert [write.what for write in held.writes if write.done] in ([], [late[2]])
        for each in pools:
            await asyncio.to_thread(each.came, 1)
        controllers.stop()
