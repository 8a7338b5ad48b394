"""What one look at a run asks of the API server: each thing once, and nothing that is known."""

from __future__ import annotations

from typing import Any

import pytest
from support.controller.looks import OLD, PARENT, VERSION, World

from mayfly.kube.kinds import PIPELINES, RUNS


@pytest.fixture
async def world() -> World:
    return World()


async def test_a_run_costs_two_reads_and_two_writes_to_its_claim(world: World) -> None:
    assert await world.reads(world.run("first")) == {"pipelines": 1, "pipelineversions": 1}
    # A version never changes: it is read once.
    assert await world.reads(world.run("second")) == {"pipelines": 1}


async def test_a_run_of_the_http_api_reads_nothing_that_is_known(world: World) -> None:
    world.pipeline_is_cached()
    world.parent()
    first = await world.reads(world.run("first", version=VERSION, parentRef=PARENT))
    assert first == {"pipelineversions": 1}
    second = await world.reads(world.run("second", version=VERSION, parentRef=PARENT))
    assert not second


async def test_a_run_that_names_no_version_gets_that_of_the_last_edit(world: World) -> None:
    world.pipeline_is_cached()
    world.cluster.edit(
        PIPELINES, "team", "answer", lambda body: body["status"].update(latestVersion=OLD)
    )
    key = world.run("first")
    await world.worker.look(key)
    assert world.cluster.now(RUNS, "team", "first")["status"]["version"] == OLD


async def test_a_parent_that_is_not_cached_is_read(world: World) -> None:
    world.caches.runs.pop(world.parent())
    child = world.run("child", parentRef=PARENT)
    assert await world.reads(child) == {"pipelines": 1, "pipelineversions": 1, "pipelineruns": 2}


async def test_a_cached_run_of_the_parents_name_is_not_the_parent(world: World) -> None:
    other = world.run("parent")
    world.caches.runs[other]["metadata"]["uid"] = "another"
    child = world.run("child", parentRef=PARENT)
    await world.worker.look(child)
    status = world.cluster.now(RUNS, "team", "child")["status"]
    assert "podUID" not in status


async def test_a_version_that_may_have_been_removed_is_read_each_time(world: World) -> None:
    for name in ("first", "second"):
        found = await world.reads(world.run(name, version=OLD))
        assert found == {"pipelines": 1, "pipelineversions": 1}


async def test_a_child_whose_parent_is_cancelled_between_pod_and_claim_is_not_claimed(
    world: World,
) -> None:
    parent = world.parent()
    child = world.run("child", parentRef=PARENT)

    def cancel(verb: str, _: Any) -> None:
        if verb == "POST":
            body = world.cluster.edit(
                RUNS, "team", "parent", lambda body: body["spec"].update(cancel=True)
            )
            world.caches.put_run(parent, body)

    world.cluster.on_write = cancel
    await world.worker.look(child)
    status = world.cluster.now(RUNS, "team", "child")["status"]
    assert "podUID" not in status
    assert {each["type"]: each["reason"] for each in status["conditions"]}[
        "Succeeded"
    ] == "Canceled"


async def test_what_a_conflict_showed_to_be_old_is_resolved_anew(world: World) -> None:
    key = world.run("first")

    def touch(verb: str, _: Any) -> None:
        if verb == "POST":
            world.cluster.on_write = None
            world.cluster.edit(
                RUNS, "team", "first", lambda body: body["metadata"].update(labels={"a": "b"})
            )

    world.cluster.on_write = touch
    await world.worker.look(key)
    assert world.cluster.now(RUNS, "team", "first")["status"]["podUID"]
    assert world.cluster.reads["pipelines"] == 2
