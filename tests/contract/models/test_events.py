"""Calls of Models in the event stream: they have no object, so no watch tells of them."""

from typing import Any

import pytest
from contract.models.test_faults import Crooked, health
from support.gateway.listening import Listening, listening
from support.gateway.models import ModelWorld, create, read
from support.gateway.world import BUILDER
from support.servers.ports import free_port
from support.servers.postgresql import BOTH
from support.waiting import looks

WORDS = ["one", "two", "three"]


def statuses(stream: Listening, identity: str) -> list[str]:
    return [each["status"] for each in stream.rows() if each["id"] == identity]


async def hook_of(server: Crooked) -> str:
    async for _ in looks():
        if server.hooks:
            break
    return server.hooks[0]


async def played(world: ModelWorld, *, gateways: int) -> None:
    """A call that is made at the first gateway and read at the last one."""
    silent = Crooked(health_check=health(), put=(202, b"{}"))
    async with silent.serving() as server, world.gateway() as one:
        world.model("model", endpoint=server.endpoint)
        world.models["callbackPort"] = free_port()
        if gateways == 1:
            await told(one, one, server)
            return
        async with world.gateway() as other:
            await told(one, other, server)


async def told(one: Any, other: Any, server: Crooked) -> None:
    async with one.client(BUILDER) as caller, listening(other, list="true") as rows:
        made = await create(caller)
        await rows.until(lambda each: statuses(each, made["id"]))
        async with listening(other, of=made["id"]) as stream:
            hook = await hook_of(server)
            report = {"status": "processing", "output": WORDS[:2], "logs": "a line\n"}
            assert (await caller.post(hook, json=report)).status_code == 200
            await rows.until(lambda each: statuses(each, made["id"])[-1] == "processing")
            report = {"status": "succeeded", "output": WORDS, "logs": "a line\nanother\n"}
            assert (await caller.post(hook, json=report)).status_code == 200
            await stream.end()
            assert "".join(each["text"] for each in stream.of("log")) == "a line\nanother\n"
            items = [item for each in stream.of("output") for item in each["items"]]
            assert items in (WORDS, [])
            assert items or not stream.of("output")
        await rows.until(lambda each: statuses(each, made["id"])[-1] == "succeeded")
        assert {each["kind"] for each in rows.rows()} == {"model"}


@BOTH
async def test_a_call_is_told_from_its_queue_to_its_end(world: ModelWorld) -> None:
    await played(world, gateways=1)


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
async def test_a_call_at_another_gateway_is_told_too(world: ModelWorld) -> None:
    await played(world, gateways=2)


async def test_what_a_cancel_would_do_is_what_it_does(world: ModelWorld) -> None:
    """A call that waits, one that was sent, and one that has ended; alone, and below a run."""
    silent = Crooked(health_check=health(), put=(202, b"{}"))
    parent = world.claimed("parent")
    async with silent.serving() as server, world.gateway() as gateway:
        world.model("model", endpoint=server.endpoint, concurrency=1)
        async with parent.dial(gateway) as agent:
            await agent.hello()
            token = (await agent.start())["token"]
            await parent.until(lambda each: each["status"].get("phase") == "Processing")
            async with gateway.client(token) as code, gateway.client(BUILDER) as person:
                sent = await create(code)
                await hook_of(server)
                waits = await create(code)
                assert await preview(person, waits["id"]) == (True, {waits["id"]}, set())
                assert await preview(person, sent["id"]) == (True, {sent["id"]}, set())
                expected = (True, {parent.id, waits["id"]}, {sent["id"]})
                assert await preview(person, parent.id) == expected
                # The run may cancel what it has made, and not itself.
                assert await preview(code, waits["id"]) == (True, {waits["id"]}, set())
                assert (await preview(code, parent.id))[0] is False
                parent.cancel()
                await agent.expect("cancel")
                await parent.accepted_cancel()
                shown = await read(person, waits["id"])
                assert shown["status"] == "canceled"
                assert (await read(person, sent["id"]))["status"] != "canceled"
                assert await preview(person, waits["id"]) == (False, set(), set())
                assert await preview(person, parent.id) == (False, {parent.id}, {sent["id"]})


async def preview(caller: Any, identity: str) -> tuple[bool, set[str], set[str]]:
    answer = await caller.get(f"/v1/predictions/{identity}/cancel")
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["may"] == (told["why_not"] is None)
    parts = ({each["id"] for each in told[name]["results"]} for name in ("cancels", "runs_on"))
    cancels, runs_on = parts
    return told["may"], cancels, runs_on
