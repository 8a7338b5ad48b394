"""Items of an iterator's output: stored several at a time, once, whatever is slow or lost."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.gateway.world import Agent, Run, World
from support.kube_memory import WAIT_SECONDS
from support.lengths import length
from support.servers.postgresql import BOTH
from support.waiting import within

from mayfly.gateway.lifecycle import archive

pytestmark = BOTH

PER_MESSAGE = 5_000
"""Items of 10 bytes in a message of 64 KiB."""


def texts(items: list[Any]) -> list[str]:
    return [json.dumps(item) for item in items]


@asynccontextmanager
async def resumed(run: Run, gateway: Any) -> AsyncIterator[tuple[Agent, int]]:
    """A further connection of an agent whose run works, and what it goes on from."""
    async with run.dial(gateway) as agent:
        yield agent, (await agent.hello("running"))["outputIndex"]


async def test_all_of_many_items_are_there_soon_after_they_were_sent(world: World) -> None:
    count = length(20_000, 100_000)
    items = ["x" * 10] * count
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway) as agent:
        began = time.monotonic()
        for index in range(0, count, PER_MESSAGE):
            batch = texts(items[index : index + PER_MESSAGE])
            await agent.say("output", index=index, itemsJSON=batch)
            assert await agent.receive() == {"type": "outputack", "index": index + len(batch)}
        async with gateway.client() as reader:
            shown = (await reader.get(f"/v1/predictions/{run.id}")).json()
        assert (shown["status"], shown["output"]) == ("processing", items)
        assert time.monotonic() - began < 3
        async with gateway.gateway.process.database.read() as tx:
            assert await archive.items_from(tx, run.uid, count - 1) == ['"xxxxxxxxxx"']


async def test_a_reconnect_goes_on_from_the_first_item_that_is_not_stored(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway:
        async with run.working(gateway) as agent:
            await agent.say("output", index=0, itemsJSON=texts(["a", 1.0]))
            assert (await agent.receive())["index"] == 2
        async with resumed(run, gateway) as (agent, stored):
            assert stored == 2
            # What is stored is sent again: it counts once.
            await agent.say("output", index=1, itemsJSON=texts([1.0, "c"]))
            assert (await agent.receive())["index"] == 3
    async with world.gateway() as gateway:
        async with resumed(run, gateway) as (agent, stored):
            assert stored == 3
            failed = {"outcome": "failed", "reason": "UserError", "outputJSON": None}
            await agent.say("result", **agent.result(**failed))
            await agent.expect("ack")
        async with gateway.client() as reader:
            text = (await reader.get(f"/v1/predictions/{run.id}/output")).text
        assert text == '["a",1.0,"c"]'


async def test_a_pong_does_not_wait_for_what_is_to_be_stored(world: World) -> None:
    """A database that is slow is no reason to take the agent for dead."""
    run = world.claimed()
    count = 50
    async with world.gateway() as gateway, run.working(gateway) as agent:
        async with gateway.gateway.process.database.write():
            for index in range(count):
                await agent.say("output", index=index, itemsJSON=texts(["x" * 10_000]))
            await within(WAIT_SECONDS, await agent.connection.ping())
        acks = [(await agent.expect("outputack"))["index"] for _ in range(count)]
        assert acks == list(range(1, count + 1))


@pytest.mark.parametrize("wrong", ["", "1,2", "NaN", "[1", "1e999"])
async def test_what_is_no_json_ends_what_is_stored_and_nothing_else(
    world: World, wrong: str
) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway) as agent:
        await agent.say("output", index=0, itemsJSON=["[ 1,\n2 ]", wrong, "3"])
        assert (await agent.receive())["index"] == 3
        await agent.say("output", index=3, itemsJSON=["4"])
        assert (await agent.receive())["index"] == 4
        async with gateway.client() as reader:
            shown = (await reader.get(f"/v1/predictions/{run.id}")).json()
            assert shown["output"] == [[1, 2]]
        await agent.say("result", **agent.result(outputJSON="[]"))
        await agent.expect("ack")


async def test_half_a_character_and_others_are_stored_as_they_are(world: World) -> None:
    run = world.claimed()
    given = ['"\\ud800"', '"\u0436"', "12345678901234567890", "1.00"]
    async with world.gateway() as gateway, run.working(gateway) as agent:
        await agent.say("output", index=0, itemsJSON=given)
        await agent.expect("outputack")
        async with gateway.gateway.process.database.read() as tx:
            assert await archive.items_from(tx, run.uid, 0) == given
