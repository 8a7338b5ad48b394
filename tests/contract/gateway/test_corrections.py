"""Bills put right: who may, what the caller sees, what the objects of the tree say after it."""

from contextlib import AsyncExitStack
from decimal import Decimal

import pytest
from support.gateway.world import KEY, NAMESPACE, READER, Run, Running, World
from support.servers.postgresql import BOTH

from mayfly.gateway.access import run_tokens
from mayfly.metering import records

pytestmark = BOTH


async def correct(gateway: Running, run: Run, body: dict, **headers: str):
    async with gateway.client() as caller:
        return await caller.post(f"/v1/usage/{run.id}/corrections", json=body, headers=headers)


async def shown(gateway: Running, run: Run) -> dict:
    async with gateway.client() as reader:
        return (await reader.get(f"/v1/predictions/{run.id}")).json()


async def tree(stack: AsyncExitStack, world: World, gateway: Running) -> tuple[Run, Run]:
    """A root and its child; both have succeeded, for 0.01 and no time worth mentioning."""
    root = world.claimed("root")
    top = await stack.enter_async_context(root.working(gateway))
    child = world.child(root)
    child.claim()
    below = await stack.enter_async_context(child.working(gateway))
    await below.end(activeMs=0)
    await top.end(activeMs=0)
    for run in (root, child):
        await run.until(lambda each: each["status"].get("usage", {}).get("final") is True)
    return root, child


async def test_a_correction_is_in_the_api_the_ledger_and_on_every_object(world: World) -> None:
    async with world.gateway() as gateway, AsyncExitStack() as stack:
        root, child = await tree(stack, world, gateway)
        before = world.cluster.writes["PATCH", "pipelineruns"]
        words = "The model behind it gave garbage."
        answer = await correct(gateway, child, {"cost": "-0.004", "why": words})
        assert answer.status_code == 201, answer.text
        told = answer.json()
        assert (told["record"], told["corrects"]) == (f"{child.uid}+1", child.uid)
        assert (told["cost"], told["why"], told["author"]) == ("-0.004", words, "reader")
        assert told["billed"] == {"cost": "0.006", "active_milliseconds": 0}
        await root.until(lambda each: each["status"]["usage"]["totalCost"] == "0.016")
        await child.until(lambda each: each["status"]["usage"]["cost"] == "0.006")
        assert root.status["usage"]["downstreamCost"] == "0.006"
        assert root.status["usage"]["final"] is True
        assert (await shown(gateway, child))["cost"] == "0.006"
        assert (await shown(gateway, root))["total_cost"] == "0.016"
        # One write more on each, and nothing else of the end changed.
        assert world.cluster.writes["PATCH", "pipelineruns"] == before + 2
        assert child.condition("Succeeded")["reason"] == "Succeeded"
        async with gateway.gateway.process.database.read() as tx:
            bill, correction = await records.of(tx, child.uid)
        assert (bill.cost, correction.cost) == (Decimal("0.01"), Decimal("-0.004"))


async def test_time_is_priced_as_it_was_pinned(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway:
        async with run.working(gateway) as agent:
            await agent.end()
        more = {"active_milliseconds": 40_000, "why": "It had worked on."}
        told = (await correct(gateway, run, more)).json()
        # Prices that change later are not this bill's.
        assert told["cost"] == "0.001"
        assert told["active_milliseconds"] == 40_000


async def test_the_objects_are_told_by_the_next_gateway_when_this_one_dies(world: World) -> None:
    async with world.gateway() as gateway, AsyncExitStack() as stack:
        root, child = await tree(stack, world, gateway)

        def refuse(_verb: str, _body: dict) -> None:
            raise ConnectionError("the process is about to die")

        world.cluster.on_write = refuse
        assert (await correct(gateway, child, {"cost": "1", "why": "more"})).status_code == 201
    assert root.status["usage"]["totalCost"] == "0.02"
    world.cluster.on_write = None
    async with world.gateway():
        await root.until(lambda each: each["status"]["usage"]["totalCost"] == "1.02")


async def test_a_run_whose_object_is_gone_is_corrected_all_the_same(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway:
        async with run.working(gateway) as agent:
            await agent.end(activeMs=0)
        await run.finished()
        run.delete()
        assert (await correct(gateway, run, {"cost": "-0.01", "why": "no"})).status_code == 201
        assert (await shown(gateway, run))["cost"] == "0"


async def test_the_same_again_is_the_first_one(world: World) -> None:
    run = world.claimed()
    key = {"Idempotency-Key": "invoice 7"}
    body = {"cost": "-0.001", "why": "twice"}
    async with world.gateway() as gateway:
        async with run.working(gateway) as agent:
            await agent.end(activeMs=0)
        first = (await correct(gateway, run, body, **key)).json()
        assert (await correct(gateway, run, body, **key)).json() == first
        other = await correct(gateway, run, {**body, "cost": "-0.002"}, **key)
        assert other.status_code == 409
        assert "send this one with a key of its own" in other.json()["detail"]
        again = (await correct(gateway, run, body)).json()
        assert (again["record"], again["billed"]["cost"]) == (f"{run.uid}+2", "0.008")


WRONG = [
    ({"cost": "-0.02", "why": "x"}, 422, "billed 0.01 "),
    ({"active_milliseconds": -99_999, "why": "x"}, 422, "would leave less than nothing"),
    ({"cost": "-0.01"}, 422, "why: Field required"),
    ({"cost": "-0.01", "why": "  "}, 422, "why: "),
    ({"why": "x"}, 422, 'give either "cost" or "active_milliseconds"'),
    (
        {"cost": "-0.01", "active_milliseconds": 1, "why": "x"},
        422,
        'give either "cost" or "active_milliseconds"',
    ),
    ({"cost": -0.01, "why": "x"}, 422, "cost: "),
    ({"cost": "NaN", "why": "x"}, 422, "a signed decimal"),
    ({"cost": "1e-3", "why": "x"}, 422, "a signed decimal"),
    ({"cost": "0.000", "why": "x"}, 422, "must not be zero"),
    ({"cost": "-0.01", "why": "x", "author": "me"}, 422, "author: "),
]


async def test_what_cannot_be_a_correction_is_refused_in_words(world: World) -> None:
    run, live = world.claimed(), world.claimed("live")
    async with world.gateway() as gateway, live.working(gateway):
        async with run.working(gateway) as agent:
            await agent.end(activeMs=0)
        for body, code, words in WRONG:
            answer = await correct(gateway, run, body)
            assert answer.status_code == code, body
            assert words in answer.json()["detail"], body
        answer = await correct(gateway, live, {"cost": "1", "why": "x"})
        assert (answer.status_code, "has not ended" in answer.text) == (409, True)
        assert (await shown(gateway, run))["cost"] == "0.01"


@pytest.mark.parametrize("who", ["one who may only read", "a run", "a stranger"])
async def test_who_may_not_write_a_runs_status_corrects_nothing(world: World, who: str) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway) as agent:
        token, code = READER, 403
        if who == "one who may only read":
            world.cluster.denied.add(("reader", "update", "pipelineruns/status"))
        elif who == "a run":
            token = run_tokens.mint(KEY, NAMESPACE, run.uid)
        else:
            token, code = "nobody", 401
        header = {"Authorization": f"Bearer {token}"}
        answer = await correct(gateway, run, {"cost": "-1", "why": "mine"}, **header)
        assert answer.status_code == code, answer.text
        await agent.end(activeMs=0)
        await run.finished()
        async with gateway.gateway.process.database.read() as tx:
            assert len(await records.of(tx, run.uid)) <= 1
