"""Two gateways on one PostgreSQL: a run has one life, one bill, one webhook, whoever is asked."""

import asyncio
import json
from itertools import cycle
from typing import Any

import pytest
from sqlalchemy import func, select
from support.gateway.receiver import receiving
from support.gateway.world import BUILDER, NAMESPACE, Run, Running, World

from mayfly.gateway.secrets.sealed import Sealed
from mayfly.kube.errors import Refused, Unavailable
from mayfly.kube.kinds import RUNS
from mayfly.metering import tables

pytestmark = pytest.mark.parametrize("databases", ["postgresql"], indirect=True)


@pytest.fixture
async def world(world: World) -> World:
    world.outbound["allowCIDRs"] = ["127.0.0.0/8"]
    return world


async def records(gateway: Running) -> int:
    async with gateway.gateway.process.database.read() as tx:
        found = await tx.scalar(select(func.count()).select_from(tables.usage_records))
    return int(found or 0)


async def test_runs_whose_pods_know_one_or_the_other_all_end_once(world: World) -> None:
    async with (
        receiving() as receiver,
        world.gateway() as one,
        world.gateway() as other,
    ):
        hook = {"url": receiver.url, "events": ["completed"]}
        runs = [world.claimed(f"run-{number}", webhook=hook) for number in range(8)]
        for run, (mine, theirs) in zip(runs, cycle([(one, other), (other, one)])):
            async with run.working(mine, written=True) as agent:
                await agent.say("log", offset=0, data="a word\n")
                await agent.end(activeMs=3, logBytes=7)
            await run.finished()
            async with theirs.client() as reader:
                shown = (await reader.get(f"/v1/predictions/{run.id}")).json()
            assert (shown["status"], shown["logs"]) == ("succeeded", "a word\n")
        for run in runs:
            usage = await one.usage(run.uid)
            assert usage is not None
            assert usage["active_ms"] == 3
        await receiver.until(lambda calls: len(calls) >= len(runs))
        assert await records(one) == len(runs)
    assert sorted(call.json["id"] for call in receiver.calls) == sorted(run.id for run in runs)


async def test_a_pod_that_goes_over_to_the_other_tells_its_end_there(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as one, world.gateway() as other:
        async with run.working(one, written=True) as agent:
            result = agent.result()
            async with run.dial(other) as again:
                await again.hello("running")
                await again.say("result", **result)
                await again.expect_last("ack")
        await run.finished()
        assert await records(one) == await records(other) == 1


async def test_a_cancel_that_one_is_asked_for_reaches_the_pod_of_the_other(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as one, world.gateway() as other:
        async with run.working(one, written=True) as agent, other.client(BUILDER) as person:
            asked = asyncio.create_task(person.post(f"/v1/predictions/{run.id}/cancel"))
            run_asked = await run.until(lambda each: each["spec"].get("cancel") is True)
            assert run_asked
            run.cancel()  # the controller's part
            assert (await agent.receive())["type"] == "cancel"
            await agent.end(outcome="canceled", reason="Canceled", outputJSON=None)
            assert (await asked).status_code == 200
        status = await run.finished()
        assert status["phase"] == "Canceled"
        assert await records(other) == 1


@pytest.mark.parametrize("refused", [0, 1])
async def test_creates_with_one_key_make_one_run_whoever_is_asked(
    world: World, refused: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = iter(range(refused))
    keep, kept = Sealed.keep_for_run, iter(range(2))
    both = asyncio.Event()

    async def noted(*given: Any) -> None:
        await keep(*given)
        if next(kept, None) == 1:
            both.set()

    def away(verb: str, _body: Any) -> None:
        if verb == "POST" and not both.is_set():
            raise Unavailable(0, "no answer")
        if verb == "POST" and next(refusals, None) is not None:
            raise Refused(403, "exceeded quota: runs")

    monkeypatch.setattr(Sealed, "keep_for_run", noted)
    monkeypatch.setattr("mayfly.gateway.predictions.create_run.COMMIT_SECONDS", 60.0)
    secret = {"type": "string", "format": "password", "x-cog-secret": True}
    world.schema({"type": "object", "properties": {"key": secret}})
    world.cluster.on_write = away
    path, body = f"/v1/models/{NAMESPACE}/answer/predictions", {"input": {"key": "one"}}
    async with world.gateway() as one, world.gateway() as other:
        async with one.client(BUILDER) as mine, other.client(BUILDER) as theirs:
            key = {"Idempotency-Key": "k"}
            answers = await asyncio.gather(
                mine.post(path, json=body, headers=key), theirs.post(path, json=body, headers=key)
            )
        (made,) = world.cluster.every(RUNS)
        run = Run(world, made)
        told = sorted(each.status_code for each in answers)
        assert told == [201, 403 if refused else 201]
        assert {each.json()["id"] for each in answers if each.is_success} == {run.id}
        run.claim()
        async with run.dial(other) as agent:
            await agent.hello()
            assert json.loads((await agent.accept())["inputJSON"]) == {"key": "one"}
