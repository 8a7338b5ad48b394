"""What is kept of calls of Models, and for how long."""

from datetime import timedelta
from typing import Any

from sqlalchemy import select
from support.gateway.models import ModelWorld, create, ended, read, usage
from support.gateway.world import NAMESPACE, Running
from support.servers.postgresql import BOTH
from support.waiting import looks

from mayfly.gateway.calls.rows import model_calls
from mayfly.gateway.calls.versions import KEEP, model_versions
from mayfly.kube.kinds import MODELS

pytestmark = BOTH

LATER = timedelta(days=31)


async def column(gateway: Running, wanted: Any) -> set[str]:
    async with gateway.gateway.process.database.read() as tx:
        return set((await tx.execute(select(wanted))).scalars())


async def test_a_calls_row_goes_after_the_retention_and_its_record_stays(
    world: ModelWorld, cog
) -> None:
    server = await cog("echo")
    world.at(server)
    async with world.gateway() as gateway, gateway.client() as caller:
        await world.looked_at()
        done = (await ended(caller, (await create(caller, {"text": "x"}))["id"]))["id"]
        await server.kill()
        world.models["patienceSeconds"] = 10**9
    async with world.gateway() as gateway, gateway.client() as caller:
        waits = (await create(caller, {"text": "y"}))["id"]
        await gateway.gateway.cleanup.sweep.once()
        assert len(await column(gateway, model_calls.c.uid)) == 2
        world.clock.ahead = LATER
        await gateway.gateway.cleanup.sweep.once()
        (left,) = await column(gateway, model_calls.c.step)
        assert left == "queued"
        assert (await read(caller, waits))["status"] == "starting"
        # Its data are gone with it; what it was and what it cost stays.
        shown = await read(caller, done)
        assert (shown["status"], shown["data_removed"]) == ("succeeded", True)
        assert (shown["input"], shown["output"], shown["logs"]) == ({}, None, None)
        assert await usage(gateway, done) is not None


async def test_a_models_versions_go_with_it_unless_a_prediction_names_one(
    world: ModelWorld, cog
) -> None:
    server = await cog("echo")
    world.at(server)
    async with world.gateway() as gateway, gateway.client() as caller:
        await world.looked_at()
        (version,) = await column(gateway, model_versions.c.id)
        world.clock.ahead = LATER
        await gateway.gateway.cleanup.sweep.once()
        assert await column(gateway, model_versions.c.id) == {version}
        made = await create(caller, {"text": "x", "delay": 600})
        await server.until_busy()
        world.cluster.remove(MODELS, NAMESPACE, "model")
        await until_gone(gateway)
        await gateway.gateway.cleanup.sweep.once()
        assert await column(gateway, model_versions.c.id) == {version}
        await caller.post(f"/v1/predictions/{made['id']}/cancel")
        await ended(caller, made["id"])
        await gateway.gateway.cleanup.sweep.once()
        assert await column(gateway, model_versions.c.id) == set()
        answer = await caller.post("/v1/predictions", json={"version": version, "input": {}})
        assert answer.status_code == 404


async def until_gone(gateway: Running) -> None:
    async for _ in looks():
        if gateway.gateway.cache.directory.model(NAMESPACE, "model") is None:
            return


async def test_a_model_keeps_its_newest_versions(world: ModelWorld, cog) -> None:
    world.at(await cog("echo"))
    async with world.gateway() as gateway:
        await world.looked_at()
        async with gateway.gateway.process.database.write() as tx:
            (row,) = (await tx.execute(select(model_versions))).mappings().all()
            for number in range(KEEP + 2):
                seen_at = row["seen_at"] - timedelta(days=number + 1)
                values = {**row, "id": f"{number:064x}", "seen_at": seen_at}
                await tx.execute(model_versions.insert().values(**values))
        await gateway.gateway.cleanup.sweep.once()
        assert len(await column(gateway, model_versions.c.id)) == KEEP + 3
        world.clock.ahead = LATER
        await gateway.gateway.cleanup.sweep.once()
        left = await column(gateway, model_versions.c.id)
    assert left == {row["id"], *(f"{number:064x}" for number in range(KEEP - 1))}
