"""How often a request asks the database: what the process has in hand is not read again."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import event
from support.gateway.transactions import Transactions
from support.gateway.world import KEY, NAMESPACE, World
from support.waiting import looks

from mayfly.clock import rfc3339, utc_now
from mayfly.gateway.access import run_tokens
from mayfly.gateway.runs import bursts


async def test_of_a_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world.gateway() as gateway, gateway.client() as caller:
        seen = Transactions(monkeypatch, gateway.gateway.process.database)
        path = f"/v1/models/{NAMESPACE}/answer/predictions"
        made = await caller.post(path, json={"input": {}})
        assert made.status_code == 201, made.text
        assert made.json()["kind"] == "pipeline"
        assert seen.taken() == (0, 1)
        shown = await caller.get(f"/v1/predictions/{made.json()['id']}")
        assert shown.json()["kind"] == "pipeline"
        assert seen.taken() == (1, 0)


async def test_of_a_create_that_may_come_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.gateway() as gateway, gateway.client() as caller:
        seen = Transactions(monkeypatch, gateway.gateway.process.database)
        path = f"/v1/models/{NAMESPACE}/answer/predictions"
        key = {"Idempotency-Key": "one"}
        asked: list[str] = []
        engine = gateway.gateway.process.database._engine.sync_engine
        event.listen(engine, "before_cursor_execute", lambda *said: asked.append(said[2]))
        made = await caller.post(path, json={"input": {}}, headers=key)
        assert made.status_code == 201, made.text
        # That nothing was made before is told by the insert of what is made.
        assert seen.taken() == (0, 1)
        of_creates = [each.split()[0] for each in asked if " creates" in each]
        assert of_creates == ["DELETE", "INSERT"]
        again = await caller.post(path, json={"input": {}}, headers=key)
        assert again.json()["id"] == made.json()["id"]
        assert seen.taken() == (1, 1)


async def test_of_a_run_that_polls(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = world.claimed("parent")
    async with world.gateway() as gateway, gateway.client() as caller, AsyncExitStack() as stack:
        above = await stack.enter_async_context(parent.dial(gateway))
        await above.hello()
        await above.start()
        child = world.child(parent)
        child.claim()
        below = await stack.enter_async_context(child.dial(gateway))
        await below.hello()
        await below.start()
        token = {"Authorization": f"Bearer {run_tokens.mint(KEY, NAMESPACE, parent.uid)}"}
        path = f"/v1/predictions/{child.id}"
        async for _ in looks():
            if (await caller.get(path, headers=token)).json()["status"] == "processing":
                break
        await asyncio.sleep(2)
        seen = Transactions(monkeypatch, gateway.gateway.process.database)
        held = asyncio.create_task(caller.get(path, headers=token))
        await asyncio.sleep(0.5)
        assert not held.done()
        await below.say("log", offset=0, data="a word\n")
        assert (await held).json()["logs"] == "a word\n"
        assert seen.taken() == (2, 0)


async def test_of_what_a_running_agent_says(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway, written=True) as agent:
        await agent.say("log", offset=0, data="a word\n")
        await agent.expect_last("logack")
        await asyncio.sleep(1)  # until nothing looks at the run any more
        begun: list[str] = []
        database = gateway.gateway.process.database
        for kind in ("read", "write"):
            monkeypatch.setattr(database, kind, noted(begun, kind, getattr(database, kind)))
        for offset in (7, 14):
            await agent.say("log", offset=offset, data="a word\n")
            await agent.expect_last("logack")
        await agent.say("heartbeat", activeMs=5)
        await agent.say("log", offset=21, data="a word\n")
        await agent.expect_last("logack")
        # At most one each: what has arrived together is stored together.
        assert begun in (["write"] * 3, ["write"] * 4)


async def test_of_a_run_that_is_over_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bursts, "START_SECONDS", 10)  # also if this machine is busy
    run = world.claimed()
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        begun: list[str] = []
        database = gateway.gateway.process.database
        for kind in ("read", "write"):
            monkeypatch.setattr(database, kind, noted(begun, kind, getattr(database, kind)))
        await agent.hello()
        await agent.accept()
        admitted = begun.count("write")
        await agent.say("started", attempt=1, at=rfc3339(utc_now()))
        await agent.say("log", offset=0, data="a word\n")
        await agent.end()
        # Its row with its start, log and end; the end is final.
        assert begun.count("write") - admitted == 2


def noted(begun: list[str], kind: str, begin: Callable[..., Any]) -> Callable[..., Any]:
    """Note the short transactions; the others are those of clocks."""

    def note(*, bulk: bool = False) -> Any:
        if not bulk:
            begun.append(kind)
        return begin(bulk=bulk)

    return note


async def test_of_a_run_that_ends_without_a_pod(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.run()
    async with world.gateway() as gateway:
        await asyncio.sleep(1)  # until nothing looks at the run any more
        begun: list[str] = []
        database = gateway.gateway.process.database
        for kind in ("read", "write"):
            monkeypatch.setattr(database, kind, noted(begun, kind, getattr(database, kind)))
        run.end_by_controller("InvalidInput")
        await run.finished()
        await asyncio.sleep(1)
        # What is known of it; its row with its end; the end is final; what left the watch is known.
        assert begun == ["read", "write", "write", "read"]
