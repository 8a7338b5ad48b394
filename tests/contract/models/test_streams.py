"""Models whose servers report often: each report has everything, so the newest is enough."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx
from contract.models.test_faults import Crooked, health
from sqlalchemy import func, select
from support.gateway.models import ModelWorld, create, ended, until
from support.gateway.world import Running
from support.servers.postgresql import BOTH
from support.waiting import looks

from mayfly.gateway.lifecycle.archive import output_chunks

pytestmark = BOTH

WORDS = [f"word{number} " for number in range(400)]


def silent() -> Crooked:
    """A server that takes work and reports nothing by itself."""
    return Crooked(health_check=health(), put=(202, b"{}"))


async def hook_of(server: Crooked) -> str:
    async for _ in looks():
        if server.hooks:
            break
    return server.hooks[0]


@asynccontextmanager
async def called(
    world: ModelWorld,
) -> AsyncIterator[tuple[Running, httpx.AsyncClient, str, str]]:
    """A call at such a server: gateway, caller, the prediction's id, where the server reports."""
    async with silent().serving() as server:
        world.model("model", endpoint=server.endpoint)
        async with world.gateway() as gateway, gateway.client() as caller:
            made = await create(caller)
            yield gateway, caller, made["id"], await hook_of(server)


async def chunks(gateway: Running) -> int:
    async with gateway.gateway.process.database.read() as tx:
        return int((await tx.execute(select(func.count()).select_from(output_chunks))).scalar_one())


async def test_a_server_never_waits_for_the_database_and_what_is_overtaken_is_not_stored(
    world: ModelWorld,
) -> None:
    async with called(world) as (gateway, caller, identity, hook):
        async with gateway.gateway.process.database.write():
            for count in range(1, len(WORDS) + 1):
                told = {"status": "processing", "output": WORDS[:count]}
                assert (await caller.post(hook, json=told)).status_code == 200
        shown = await until(caller, identity, lambda shown: shown["output"] == WORDS)
        assert shown["status"] == "processing"
        assert await chunks(gateway) <= 2
        told = {"status": "succeeded", "output": WORDS}
        assert (await caller.post(hook, json=told)).status_code == 200
        shown = (await caller.get(f"/v1/predictions/{identity}")).json()
        assert (shown["status"], shown["output"]) == ("succeeded", WORDS)


async def test_a_call_started_when_its_server_first_said_so(world: ModelWorld) -> None:
    """Also if that report was replaced by the end before it was applied."""
    async with called(world) as (gateway, caller, identity, hook):
        async with gateway.gateway.process.database.write():
            for count in (1, 2):
                told: dict[str, Any] = {"status": "processing", "output": WORDS[:count]}
                assert (await caller.post(hook, json=told)).status_code == 200
                await asyncio.sleep(0.5)
            told = {"status": "succeeded", "output": WORDS}
            ending = asyncio.create_task(caller.post(hook, json=told))
            await asyncio.sleep(0.1)
        assert (await ending).status_code == 200
        shown = await ended(caller, identity)
    began, end = (datetime.fromisoformat(shown[key]) for key in ("started_at", "completed_at"))
    assert 1 <= (end - began).total_seconds() < 20
    assert shown["metrics"]["predict_time"] >= 1


async def test_half_a_character_is_an_item_like_any_other(world: ModelWorld) -> None:
    async with called(world) as (_, caller, identity, hook):
        items = ["a", "\ud800", "\u0436"]
        for status in ("processing", "succeeded"):
            body = json.dumps({"status": status, "output": items})
            assert (await caller.post(hook, content=body)).status_code == 200
            shown = await until(caller, identity, lambda shown: shown["output"] is not None)
            assert shown["output"] == items
        assert shown["status"] == "succeeded"


async def test_a_stream_is_delivered_as_fast_as_its_server_makes_it(world: ModelWorld, cog) -> None:
    world.at(await cog("story"))
    async with world.gateway() as gateway, gateway.client() as caller:
        made = await create(caller, {"words": 400, "pause": 0.0025})
        shown = await ended(caller, made["id"])
        assert (shown["status"], len(shown["output"])) == ("succeeded", 400)
        assert shown["metrics"]["total_time"] - shown["metrics"]["predict_time"] < 3
