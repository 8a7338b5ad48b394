from __future__ import annotations

import asyncio

import pytest
from benchmarks.sighting import Watch, condition, phase

from mayfly.kube.errors import KubeError, Unavailable
from mayfly.kube.kinds import PODS


class FakeCluster:
    """Watches, given as lists of events; what is no event is raised."""

    def __init__(self, *watches):
        self.watches = list(watches)
        self.asked = []

    async def list(self, kind, namespace):
        return {"metadata": {"resourceVersion": "5"}, "items": []}

    async def watch_events(self, kind, namespace, *, resource_version):
        self.asked.append(resource_version)
        if not self.watches:
            await asyncio.Event().wait()
        for event in self.watches.pop(0):
            if isinstance(event, Exception):
                raise event
            yield event


def event(change, version, name="a", **status):
    metadata = {"name": name, "resourceVersion": version}
    return {"type": change, "object": {"metadata": metadata, "status": status}}


async def watching(*watches):
    cluster = FakeCluster(*watches)
    watch = Watch(cluster, PODS, "bench")
    await watch.start()
    return cluster, watch


async def test_the_first_sighting_as_wanted_counts():
    _, watch = await watching(
        [
            event("ADDED", "6", phase="Pending"),
            event("MODIFIED", "7", name="b", phase="Succeeded"),
            event("MODIFIED", "8", phase="Succeeded"),
            event("MODIFIED", "9", phase="Succeeded"),
            event("DELETED", "10", phase="Succeeded"),
        ]
    )
    over = await watch.first("a", phase("Succeeded"))
    assert over.body["metadata"]["resourceVersion"] == "8"
    gone = await watch.gone("a")
    assert gone.at >= over.at
    assert watch.named("b") == "b"
    with pytest.raises(LookupError):
        watch.named("c")
    await watch.stop()


async def test_a_watch_that_breaks_goes_on_where_it_was():
    cluster, watch = await watching(
        [event("ADDED", "6"), event("BOOKMARK", "8", name=""), Unavailable(0, "broke")],
        [event("DELETED", "9")],
    )
    await watch.gone("a")
    assert cluster.asked[:2] == ["5", "8"]
    await watch.stop()


async def test_what_does_not_come_is_named():
    _, watch = await watching([event("ADDED", "6")])
    with pytest.raises(TimeoutError, match="the removal of Pod a was not seen"):
        await watch.gone("a", seconds=0.01)
    await watch.stop()


async def test_a_watch_that_failed_says_why():
    _, watch = await watching([KubeError(403, "no")])
    with pytest.raises(KubeError, match="no"):
        await watch.first("a", condition("Finished"), seconds=0.01)


async def test_what_is_there_is_known_also_after_forgetting():
    _, watch = await watching(
        [event("ADDED", "6"), event("ADDED", "7", name="b"), event("DELETED", "8")]
    )
    await watch.until(lambda current: set(current) == {"b"}, 1)
    assert {name: body["metadata"]["resourceVersion"] for name, body in watch.added().items()} == {
        "a": "8",
        "b": "7",
    }
    watch.forget()
    assert watch.added() == {}
    assert set(watch.current) == {"b"}
    with pytest.raises(TimeoutError):
        await watch.until(lambda current: "a" in current, 0.01)
    await watch.stop()


async def test_two_may_wait_for_one_object():
    _, watch = await watching([event("ADDED", "6"), event("MODIFIED", "7", phase="Succeeded")])
    both = await asyncio.gather(
        watch.first("a", phase("Succeeded")), watch.first("a", lambda _: True)
    )
    assert [each.body["metadata"]["resourceVersion"] for each in both] == ["7", "6"]
    await watch.stop()


def test_a_condition_must_be_true():
    finished = condition("Finished")
    assert not finished({})
    assert not finished({"status": {"conditions": [{"type": "Finished", "status": "False"}]}})
    assert finished({"status": {"conditions": [{"type": "Finished", "status": "True"}]}})
