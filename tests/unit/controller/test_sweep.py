"""The sweep heals what no watch told, and tells the probe when a watch is dead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from support.builders import NOW, UID

from mayfly.controller.caches import Caches
from mayfly.controller.capacity import Capacity
from mayfly.controller.health import Health
from mayfly.controller.key import Key
from mayfly.controller.sweep import Sweep
from mayfly.kube.errors import Refused, Unavailable
from mayfly.kube.kinds import NAMESPACES, PODS, RUNS, RUNTIMES, Kind
from mayfly.workqueue import WorkQueue

KEY = Key("run", "team", "run")


def run(version: int, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "run",
            "namespace": "team",
            "uid": UID,
            "resourceVersion": str(version),
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"pipelineSpec": {"source": {"inline": ""}}, "ttlSecondsAfterFinished": 60},
        "status": status,
    }


class Listing:
    """The API server's lists, at the seam of `kube.client.Cluster`."""

    def __init__(
        self,
        *runs: dict[str, Any],
        pods: tuple[dict[str, Any], ...] = (),
        namespaces: tuple[dict[str, Any], ...] = (),
        runtimes: tuple[dict[str, Any], ...] = (),
    ) -> None:
        self.runs = runs
        self.pods = pods
        self.namespaces = namespaces
        self.runtimes = runtimes
        self.asked: list[Kind] = []

    async def pages(self, kind: Kind, **selectors: Any) -> AsyncIterator[dict[str, Any]]:
        self.asked.append(kind)
        finished = selectors.get("field_selector") == "status.finished=true"
        items: list[dict[str, Any]] = []
        if kind == RUNS:
            items = [r for r in self.runs if bool(r["status"].get("finished")) is finished]
        if kind == PODS:
            items = list(self.pods)
        if kind == NAMESPACES:
            items = list(self.namespaces)
        if kind == RUNTIMES:
            items = list(self.runtimes)
        yield {"metadata": {}, "items": items}


def world(listing: Listing) -> tuple[Sweep, Caches, WorkQueue, Health]:
    caches, queue = Caches(), WorkQueue(lambda: 0.0)
    health = Health(queue, CollectorRegistry())
    sweep = Sweep(listing, caches, queue, health, lambda: NOW, 300, lag_seconds=0)
    return sweep, caches, queue, health


async def test_a_run_that_no_watch_told_of_is_looked_at():
    sweep, _, queue, _ = world(Listing(run(1)))
    await sweep._unfinished()
    assert await queue.take() == KEY


async def test_a_run_that_vanished_unseen_is_looked_at():
    sweep, caches, queue, _ = world(Listing())
    caches.put_run(KEY, run(1))
    await sweep._unfinished()
    assert KEY not in caches.runs
    assert await queue.take() == KEY


async def test_a_child_that_vanished_unseen_is_nobodys_child_any_more():
    sweep, caches, _, _ = world(Listing())
    child = run(1)
    child["spec"]["parentRef"] = {"name": "parent", "uid": "parent-uid"}
    caches.put_run(KEY, child)
    assert caches.unclaimed_children("parent-uid") == [KEY]
    await sweep._unfinished()
    assert caches.unclaimed_children("parent-uid") == []


async def test_quotas_and_budgets_are_known_before_any_pod_is_made():
    annotations = {"mayfly.dev/max-active-runs": "3", "mayfly.dev/budget-monthly": "25"}
    team = {"metadata": {"name": "team", "annotations": annotations}}
    sweep, caches, queue, _ = world(Listing(run(1), namespaces=(team,)))
    caches.put_run(KEY, run(1))
    sweeping = asyncio.create_task(sweep.run())
    await sweep.pods_listed.wait()
    assert (caches.quotas, caches.budgeted) == ({"team": 3}, {"team"})
    assert await queue.take() == KEY  # it was made while nobody knew
    sweeping.cancel()
    with suppress(asyncio.CancelledError):
        await sweeping


@pytest.mark.parametrize("text", ["9" * 5000, "9" * 10, "٣", "-1", "1e3", ""])
async def test_a_quota_that_is_no_number_is_none_and_stops_nothing(text: str):
    team = {"metadata": {"name": "team", "annotations": {"mayfly.dev/max-active-runs": text}}}
    sweep, caches, _, _ = world(Listing(namespaces=(team,)))
    await sweep._namespaces()
    assert caches.quotas == {}


async def test_a_finished_run_that_cannot_be_read_stops_no_sweep():
    odd, good = run(1), run(2)
    for each in (odd, good):
        over = {"type": "Finished", "status": "True", "reason": "Finished", "message": ""}
        over["lastTransitionTime"] = "2026-01-01T00:00:00Z"
        each["status"] |= {"finished": True, "conditions": [over]}
    odd["spec"]["timeout"] = "1000000h"
    good["metadata"]["name"] = "good"
    sweep, _, queue, _ = world(Listing(odd, good))
    await sweep._finished()
    assert {await queue.take(), await queue.take()} == {KEY, replace(KEY, name="good")}


async def test_an_unexpected_error_is_counted_and_the_sweep_goes_on(monkeypatch):
    sweep, _, _, _ = world(Listing())
    failed: list[str] = []
    monkeypatch.setattr(sweep, "_failed", failed.append)
    monkeypatch.setattr("mayfly.controller.sweep.RETRY_SECONDS", 0)
    names, looks = sweep._namespaces, 0

    async def first_broken() -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise KeyError("x")
        await names()

    monkeypatch.setattr(sweep, "_namespaces", first_broken)
    sweeping = asyncio.create_task(sweep.run())
    await sweep.pods_listed.wait()
    sweeping.cancel()
    with suppress(asyncio.CancelledError):
        await sweeping
    assert failed == ["sweep"]


async def test_a_cache_that_stays_behind_fails_the_probe():
    sweep, caches, _, health = world(Listing(run(9)))
    caches.put_run(KEY, run(1))
    await sweep._unfinished()
    assert "pipelineruns" in health.problem()


async def test_a_cache_that_is_current_heals_the_probe():
    sweep, caches, _, health = world(Listing(run(9)))
    health.watch_is_dead("pipelineruns")
    caches.put_run(KEY, run(9))
    await sweep._unfinished()
    assert health.problem() == ""


async def test_a_due_ttl_is_found_again_after_a_restart():
    over = [
        {
            "type": "Finished",
            "status": "True",
            "reason": "Finished",
            "lastTransitionTime": "2026-01-01T11:00:00Z",
        }
    ]
    listing = Listing(run(3, finished=True, recorded=True, conditions=over))
    sweep, caches, queue, _ = world(listing)
    await sweep._finished()
    assert await queue.take() == KEY
    assert caches.runs == {}


async def test_a_pod_that_a_listing_lacks_is_gone():
    pod = {
        "metadata": {
            "name": "pod-1",
            "namespace": "team",
            "uid": "u1",
            "resourceVersion": "1",
            "ownerReferences": [{"kind": "PipelineRun", "name": "run", "uid": UID}],
        },
        "status": {"phase": "Running"},
    }
    sweep, caches, queue, _ = world(Listing())
    caches.put_run(KEY, run(1))
    caches.put_pod(pod, NOW)
    await sweep._pods()
    assert caches.pods[UID]["pod-1"].seen.gone
    assert await queue.take() == KEY


async def test_a_key_that_waits_for_minutes_fails_the_probe():
    now = [0.0]
    queue = WorkQueue(lambda: now[0])
    health = Health(queue, CollectorRegistry())
    queue.add(KEY)
    assert health.problem() == ""
    now[0] = 121.0
    assert "waited 121 s" in health.problem()


POD = {
    "metadata": {
        "name": "pod",
        "namespace": "team",
        "uid": "pod-uid",
        "resourceVersion": "5",
        "annotations": {"mayfly.dev/runtime": "default"},
        "ownerReferences": [{"kind": "PipelineRun", "name": "run", "uid": UID}],
    },
    "status": {"phase": "Running"},
}


async def test_no_pod_is_made_before_every_pod_is_known() -> None:
    class NoRuns(Listing):
        async def pages(self, kind: Kind, **selectors: Any) -> AsyncIterator[dict[str, Any]]:
            if kind == RUNS:
                raise Unavailable(0, "no answer")
            assert not sweep.pods_listed.is_set()
            async for page in super().pages(kind, **selectors):
                yield page

    sweep, caches, _, _ = world(NoRuns(pods=(POD,)))
    sweeping = asyncio.create_task(sweep.run())
    await sweep.pods_listed.wait()
    assert sum(Capacity(caches).active().values()) == 1
    sweeping.cancel()
    with suppress(asyncio.CancelledError):
        await sweeping


async def test_a_pool_is_looked_at_when_its_runtime_and_every_claim_are_known():
    labels = {"mayfly.dev/warm": "default"}
    named = {"metadata": {"name": "default", "uid": "a", "resourceVersion": "1"}, "spec": {}}
    spaces = ({"metadata": {"name": "team", "labels": labels}},)
    listing = Listing(namespaces=spaces, runtimes=(named,))
    sweep, caches, queue, _ = world(listing)
    sweeping = asyncio.create_task(sweep.run())
    await sweep.pods_listed.wait()
    sweeping.cancel()
    assert listing.asked[:4] == [NAMESPACES, RUNTIMES, PODS, RUNS]
    assert caches.runtimes == {"default": named}
    assert caches.claims_known
    assert await queue.take() == Key("runtime", "", "default")
    assert await queue.take() == Key("pool", "team", "default")


async def test_a_runtime_that_the_watch_has_told_of_is_not_overwritten():
    old = {"metadata": {"name": "default", "uid": "a", "resourceVersion": "1"}, "spec": {}}
    new = {**old, "spec": {"image": "new"}}
    sweep, caches, queue, _ = world(Listing(runtimes=(old,)))
    caches.runtimes["default"] = new
    await sweep._runtimes()
    assert caches.runtimes == {"default": new}
    assert len(queue) == 0


async def test_claims_are_asked_for_again_soon_if_the_first_list_fails(monkeypatch):
    """As just after the CRDs were made: until then no pod waits for runs."""

    class Late(Listing):
        failed = 0

        async def pages(self, kind: Kind, **selectors: Any) -> AsyncIterator[dict[str, Any]]:
            if kind == RUNS and self.failed < 2:
                self.failed += 1
                raise Refused(400, "field label not supported: status.finished")
            async for page in super().pages(kind, **selectors):
                yield page

    monkeypatch.setattr("mayfly.controller.sweep.RETRY_SECONDS", 0)
    sweep, caches, queue, _ = world(
        Late(namespaces=({"metadata": {"name": "team", "labels": {"mayfly.dev/warm": "default"}}},))
    )
    sweeping = asyncio.create_task(sweep.run())
    async with asyncio.timeout(10):
        assert await queue.take() == Key("pool", "team", "default")
    assert caches.claims_known
    sweeping.cancel()
