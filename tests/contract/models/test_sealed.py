"""Secrets in calls of Models: to the model's server, and to nobody else."""

from typing import Any

from sqlalchemy import select
from support.gateway.models import ModelWorld, create, ended, read
from support.gateway.world import NAMESPACE, Running
from support.servers.postgresql import BOTH

from mayfly.gateway.secrets.sealed import sealed_secrets

pytestmark = BOTH
VALUE = "hunter2-\u00e9"
SOURCE = """
from cog import Input, Secret


def run(
    key: Secret = Input(description="A key."),
    fail: bool = Input(default=False),
) -> str:
    print("the key is", key.get_secret_value())
    if fail:
        raise ValueError("a bad key: " + key.get_secret_value())
    return key.get_secret_value()[::-1]
"""
HIDDEN = "[redacted]"


def nowhere(world: ModelWorld) -> None:
    stored = b"".join(file.read_bytes() for file in world.folder.glob("mayfly.db*"))
    assert b"hunter" not in stored


async def kept(gateway: Running) -> list[Any]:
    async with gateway.gateway.process.database.read() as tx:
        return list((await tx.execute(select(sealed_secrets))).all())


async def test_its_server_gets_it_and_nobody_else_sees_it(world: ModelWorld, cog) -> None:
    world.at(await cog("key", SOURCE))
    async with world.gateway() as gateway, gateway.client() as caller:
        await world.looked_at()
        made = await create(caller, {"key": VALUE})
        assert made["input"] == {"key": HIDDEN}
        shown = await ended(caller, made["id"])
        assert shown["output"] == VALUE[::-1]
        assert shown["logs"] == f"the key is {HIDDEN}\n"
        assert shown["input"] == made["input"]
        listed = (await caller.get(f"/ns/{NAMESPACE}/v1/predictions")).json()["results"]
        assert listed[0]["input"] == made["input"]
        assert await kept(gateway) == []
    nowhere(world)


async def test_one_that_fails_with_it_in_its_error(world: ModelWorld, cog) -> None:
    world.at(await cog("key", SOURCE))
    async with world.gateway() as gateway, gateway.client() as caller:
        await world.looked_at()
        shown = await ended(caller, (await create(caller, {"key": VALUE, "fail": True}))["id"])
    assert shown["status"] == "failed"
    assert f"a bad key: {HIDDEN}" in shown["error"]
    nowhere(world)


async def test_a_gateway_that_starts_again_still_has_it(world: ModelWorld, cog) -> None:
    server = await cog("key", SOURCE)
    world.at(server)
    async with world.gateway() as gateway, gateway.client() as caller:
        await world.looked_at()
        await server.kill()
        made = await create(caller, {"key": VALUE})
        assert (await read(caller, made["id"]))["status"] == "starting"
        assert len(await kept(gateway)) == 1
    nowhere(world)
    await server.start()
    async with world.gateway() as gateway, gateway.client() as caller:
        shown = await ended(caller, made["id"])
        assert shown["output"] == VALUE[::-1]
        assert await kept(gateway) == []


async def test_a_call_that_is_cancelled_before_it_was_sent_leaves_nothing_behind(
    world: ModelWorld, cog
) -> None:
    server = await cog("key", SOURCE)
    world.at(server)
    async with world.gateway() as gateway, gateway.client() as caller:
        await world.looked_at()
        await server.kill()
        made = await create(caller, {"key": VALUE})
        await caller.post(f"/v1/predictions/{made['id']}/cancel")
        assert (await ended(caller, made["id"]))["status"] == "canceled"
        assert await kept(gateway) == []
