"""What leaves the store with time, and what stays because a prediction needs it."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import func, select, update
from support.gateway.world import BUILDER, NAMESPACE, Run, Running, World
from support.servers.postgresql import BOTH
from support.waiting import looks

from mayfly.gateway.calls.shut_parents import shut_parents
from mayfly.gateway.files.uploads import uploads
from mayfly.gateway.predictions.idempotency import creates
from mayfly.gateway.secrets.sealed import sealed_secrets
from mayfly.kube.kinds import RUNS
from mayfly.metering import tables

pytestmark = BOTH

PREDICTIONS = f"/v1/models/{NAMESPACE}/answer/predictions"
RETENTION = timedelta(days=30)
SECRET = {"type": "string", "format": "password", "x-cog-secret": True}


async def bring(gateway: Running) -> str:
    """Upload a file; its URL."""
    async with gateway.client(BUILDER) as caller:
        made = await caller.post("/v1/files", files={"content": ("a.txt", b"hello", "text/plain")})
        assert made.status_code == 201, made.text
        return str(made.json()["urls"]["get"])


async def create(gateway: Running, world: World, **given: Any) -> Run:
    async with gateway.client(BUILDER) as caller:
        made = await caller.post(PREDICTIONS, json={"input": given})
        assert made.status_code == 201, made.text
    name = made.json()["name"]
    return Run(world, world.cluster.now(RUNS, NAMESPACE, name))


async def is_there(gateway: Running, url: str) -> bool:
    """Whether a file can be read, by its URL and its bytes."""
    async with gateway.client(BUILDER) as caller:
        path = urlsplit(url).path  # of whichever gateway
        shown = await caller.get(path)
        bytes_ = await caller.get(f"{path}/download")
        listed = (await caller.get("/v1/files")).json()["results"]
    found = {shown.status_code == 200, bytes_.status_code == 200}
    found.add(url.rsplit("/", 1)[-1] in {each["id"] for each in listed})
    assert len(found) == 1, "a half of it is left"
    return found.pop()


async def ends(gateway: Running, run: Run) -> None:
    run.claim()
    async with run.working(gateway) as agent:
        await agent.end()
    await gateway.closed(run.uid)


async def count(gateway: Running, table: Any) -> int:
    async with gateway.gateway.process.database.read() as tx:
        return int((await tx.execute(select(func.count()).select_from(table))).scalar_one())


async def test_an_upload_goes_after_the_retention_with_its_bytes(world: World) -> None:
    async with world.gateway() as gateway:
        old = await bring(gateway)
        world.clock.ahead = RETENTION / 2
        young = await bring(gateway)
        await gateway.gateway.cleanup.sweep.once()
        assert await is_there(gateway, old)
        world.clock.ahead = RETENTION + timedelta(hours=1)
        await gateway.gateway.cleanup.sweep.once()
        assert not await is_there(gateway, old)
        assert await is_there(gateway, young)
        assert await count(gateway, uploads) == 1


async def test_a_gateway_sweeps_by_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mayfly.gateway.cleanup.sweep.FIRST_SECONDS", 0.1)
    async with world.gateway() as gateway:
        url = await bring(gateway)
    world.clock.ahead = RETENTION + timedelta(hours=1)
    async with world.gateway() as gateway:
        async for _ in looks():
            if not await count(gateway, uploads):
                break
        assert not await is_there(gateway, url)


async def test_what_an_unfinished_run_names_stays_and_goes_after_its_end(world: World) -> None:
    async with world.gateway() as gateway:
        urls = {name: await bring(gateway) for name in ("waits", "waits long", "runs", "nobody")}
        await create(gateway, world, file=urls["waits"])
        long = await create(gateway, world, file=urls["waits long"], text="x" * 20_000)
        assert "inputFrom" in long.now["spec"]
        run = await create(gateway, world, file=urls["runs"])
        run.claim()
        async with run.working(gateway) as agent:
            world.clock.ahead = RETENTION + timedelta(hours=1)
            await gateway.gateway.cleanup.sweep.once()
            left = {name for name, url in urls.items() if await is_there(gateway, url)}
            assert left == {"waits", "waits long", "runs"}
            await agent.end()
        await gateway.closed(run.uid)
        # A finished prediction's files are kept as long as the prediction.
        await gateway.gateway.cleanup.sweep.once()
        assert await is_there(gateway, urls["runs"])
        async with gateway.gateway.process.database.write() as tx:
            long_ago = world.clock() - RETENTION - timedelta(hours=1)
            closed = update(tables.runs).where(tables.runs.c.uid == run.uid)
            await tx.execute(closed.values(closed_at=long_ago))
        await gateway.gateway.cleanup.sweep.once()
        assert not await is_there(gateway, urls["runs"])
        # The run and its record are there all the same.
        assert await gateway.row(run.uid) is not None
        assert await gateway.usage(run.uid) is not None


async def test_what_an_unfinished_tree_names_stays(world: World) -> None:
    async with world.gateway() as gateway:
        url = await bring(gateway)
        root = world.claimed("root")
        async with root.working(gateway, written=True):
            reference = f"mayfly-file:{url.rsplit('/', 1)[-1]}"
            child = world.child(root, inputJSON=json.dumps({"file": reference}))
            await ends(gateway, child)
            async with gateway.gateway.process.database.write() as tx:
                long_ago = world.clock() - 2 * RETENTION
                closed = update(tables.runs).where(tables.runs.c.uid == child.uid)
                await tx.execute(closed.values(closed_at=long_ago))
            world.clock.ahead = RETENTION + timedelta(hours=1)
            await gateway.gateway.cleanup.sweep.once()
            assert await is_there(gateway, url)


async def test_a_retention_of_nothing_keeps_everything(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = world.config()
    forever = plain.model_copy(update={"retention_seconds": 0})
    monkeypatch.setattr(world, "config", lambda: forever)
    async with world.gateway() as gateway:
        url = await bring(gateway)
        world.clock.ahead = 100 * RETENTION
        await gateway.gateway.cleanup.sweep.once()
        assert await is_there(gateway, url)


async def test_creates_that_can_not_come_again_are_forgotten(world: World) -> None:
    async with world.gateway() as gateway:
        await create(gateway, world)
        await gateway.gateway.cleanup.sweep.once()
        assert await count(gateway, creates) == 1
        world.clock.ahead = timedelta(seconds=91)
        await gateway.gateway.cleanup.sweep.once()
        assert await count(gateway, creates) == 0


async def test_a_cancelled_run_is_remembered_until_it_is_long_over(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway:
        async with run.working(gateway, written=True) as agent:
            run.cancel()
            await agent.expect_last("cancel")
            world.clock.ahead = timedelta(hours=1)
            await gateway.gateway.cleanup.sweep.once()
            assert await count(gateway, shut_parents) == 1
            await agent.end(outcome="canceled", reason="Canceled", outputJSON=None)
        await gateway.closed(run.uid)
        await gateway.gateway.cleanup.sweep.once()
        assert await count(gateway, shut_parents) == 1
        world.clock.ahead = timedelta(hours=2)
        await gateway.gateway.cleanup.sweep.once()
        assert await count(gateway, shut_parents) == 0
        assert await gateway.usage(run.uid) is not None


async def test_a_secret_of_a_run_that_was_deleted_before_it_had_a_pod(world: World) -> None:
    world.schema({"type": "object", "properties": {"key": SECRET}})
    async with world.gateway() as gateway:
        gone = await create(gateway, world, key="one")
        waits = await create(gateway, world, key="two")
        gone.delete()
        async for _ in looks():
            if gateway.gateway.cache.runs.get(gone.uid) is None:
                break
        world.clock.ahead = timedelta(hours=1)
        await gateway.gateway.cleanup.sweep.once()
        assert await count(gateway, sealed_secrets) == 1
        world.clock.ahead = timedelta()  # or its start deadline would have passed
        waits.claim()
        async with waits.dial(gateway) as agent:
            await agent.hello()
            assert json.loads((await agent.accept())["inputJSON"]) == {"key": "two"}


@pytest.mark.parametrize("made", [True, False])
async def test_a_secret_of_a_run_that_nobody_knows_was_made(
    world: World, monkeypatch: pytest.MonkeyPatch, made: bool
) -> None:
    async def never(*_: Any) -> None:
        raise RuntimeError("the process ends here")

    world.schema({"type": "object", "properties": {"key": SECRET}})
    method = "Sealed.bind" if made else "Sealed.forget_unmade"
    async with world.gateway() as gateway:
        with monkeypatch.context() as patched:
            patched.setattr(f"mayfly.gateway.secrets.sealed.{method}", never)
            if not made:
                patched.setattr(world.cluster, "create", never)
            async with gateway.client(BUILDER) as caller:
                answer = await caller.post(PREDICTIONS, json={"input": {"key": "one"}})
                assert answer.status_code == 500
        assert await count(gateway, sealed_secrets) == 1
        world.clock.ahead = timedelta(hours=1)
        await gateway.gateway.cleanup.sweep.once()
        async with gateway.gateway.process.database.read() as tx:
            uids = list((await tx.execute(select(sealed_secrets.c.prediction_uid))).scalars())
    assert uids == [each["metadata"]["uid"] for each in world.cluster.every(RUNS)]
    assert len(uids) == made
