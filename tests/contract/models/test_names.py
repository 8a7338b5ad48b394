"""A Model and a Pipeline of one name, and two Models of one alias: the later has neither."""

from typing import Any

import pytest
from sqlalchemy import select
from support.gateway.models import ModelWorld, create, ended
from support.gateway.world import NAMESPACE
from support.kube_memory import condition

from mayfly.kube.kinds import MODELS, NAMESPACES, PIPELINES, RUNS
from mayfly.metering.tables import runs

EARLIER, LATER = "2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z"
ANSWER = f"/v1/models/{NAMESPACE}/answer"


def born(world: ModelWorld, kind: Any, name: str, at: str) -> None:
    """Change when an object was made."""
    world.cluster.edit(
        kind, NAMESPACE, name, lambda body: body["metadata"].update(creationTimestamp=at)
    )


@pytest.fixture
async def world(world: ModelWorld) -> ModelWorld:
    born(world, PIPELINES, "answer", EARLIER)
    return world


async def test_a_model_that_comes_after_a_pipeline_of_its_name(world: ModelWorld, cog) -> None:
    world.at(await cog("echo"), "answer", alias="acme/echo")
    born(world, MODELS, "answer", LATER)
    async with world.gateway() as gateway, gateway.client() as caller:
        ready = await world.looked_at("answer")
        assert (ready["status"], ready["reason"]) == ("False", "NameConflict")
        assert ready["message"] == (
            'The older Pipeline "answer" of this namespace has the name: give the Model another '
            "one, or delete the Pipeline."
        )
        # The name is the Pipeline's still: for use(), which asks first, and for a call.
        shown = (await caller.get(ANSWER)).json()
        assert shown["latest_version"]["id"] == "c" * 64
        assert (await caller.post(f"{ANSWER}/predictions", json={})).status_code == 201
        assert len(world.cluster.every(RUNS)) == 1
        # And its alias leads to words, not to a queue.
        answer = await caller.post(
            f"/ns/{NAMESPACE}/v1/models/acme/echo/predictions", json={"input": {"text": "x"}}
        )
        assert answer.status_code == 422
        assert 'Model "acme/echo" can\'t be called: The older Pipeline' in answer.json()["detail"]
        # Once the Pipeline is gone, the name is free.
        world.cluster.remove(PIPELINES, NAMESPACE, "answer")
        await world.cluster.until(
            MODELS,
            NAMESPACE,
            "answer",
            lambda each: condition(each, "Ready").get("status") == "True",
        )
        made = await create(caller, {"text": "x"}, "answer")
        assert (await ended(caller, made["id"]))["output"] == "x"


async def test_a_pipeline_that_comes_after_a_model_takes_nothing_from_it(
    world: ModelWorld, cog
) -> None:
    world.at(await cog("echo"), "answer")
    born(world, MODELS, "answer", "2025-01-01T10:00:00Z")
    async with world.gateway() as gateway, gateway.client() as caller:
        assert (await world.looked_at("answer"))["status"] == "True"
        made = await create(caller, {"text": "x"}, "answer")
        assert (await ended(caller, made["id"]))["output"] == "x"
        listed = (await caller.get(f"/ns/{NAMESPACE}/v1/models")).json()["results"]
        assert [each["name"] for each in listed] == ["answer"]
    assert world.cluster.every(RUNS) == []


async def test_an_alias_that_somebody_else_claims_stays_with_the_older(
    world: ModelWorld, cog
) -> None:
    world.at(await cog("echo"), "first", alias="acme/echo")
    born(world, MODELS, "first", EARLIER)
    world.at(await cog("fails"), "second", alias="acme/echo")
    born(world, MODELS, "second", LATER)
    async with world.gateway() as gateway, gateway.client() as caller:
        assert (await world.looked_at("first"))["status"] == "True"
        ready = await world.looked_at("second")
        assert (ready["status"], ready["reason"]) == ("False", "NameConflict")
        assert ready["message"] == ('The older Model "first" of this namespace has the alias.')
        made = await caller.post(
            f"/ns/{NAMESPACE}/v1/models/acme/echo/predictions", json={"input": {"text": "x"}}
        )
        assert made.json()["model"] == "acme/echo"
        assert (await ended(caller, made.json()["id"]))["output"] == "x"
        # By its own name the other is still there.
        shown = await ended(caller, (await create(caller, {}, "second"))["id"])
        assert "it fails" in shown["error"]


async def test_a_namespace_that_is_not_there_pays_for_nothing(world: ModelWorld, cog) -> None:
    """Who may do everything everywhere may name any: no bill or metric is to have its name."""
    world.cluster.allowed |= {("reader", "nope"), ("reader", "young")}
    world.at(await cog("echo"), visibility="public")
    path = f"/v1/models/{NAMESPACE}/model/predictions"
    async with world.gateway() as gateway, gateway.client() as caller:
        await world.looked_at()
        refused = await caller.post(f"/ns/nope{path}", json={"input": {"text": "x"}})
        world.cluster.add(NAMESPACES, {"metadata": {"name": "young"}})
        made = await caller.post(f"/ns/young{path}", json={"input": {"text": "x"}})
        async with gateway.gateway.process.database.read() as tx:
            payers = (await tx.execute(select(runs.c.namespace))).scalars().all()
    assert refused.status_code == 404
    assert refused.json()["detail"] == 'There is no namespace "nope" to pay for the call.'
    assert made.status_code == 201, made.text
    assert payers == ["young"]
