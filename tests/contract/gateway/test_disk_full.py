"""The gateway's disk is full: runs are told, reading goes on, and nothing that ended is lost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from secrets import token_urlsafe
from typing import Any
from uuid import uuid4

import obstore
import pytest
from obstore.exceptions import GenericError
from sqlalchemy import event
from support.gateway.world import Running, World
from support.servers.postgresql import PostgreSQL

from mayfly.clock import utc_now
from mayfly.database.engine import StorageFull
from mayfly.gateway.runs import pod_secrets
from mayfly.gateway.runs.status import STORAGE_FULL

LARGE = json.dumps(token_urlsafe(150_000))
"""More than the pages that the database has, however well it packs."""

NO_LIMIT = 4_294_967_294
Disk = Callable[[Running], AbstractContextManager[None]]
"""While one is in it, the database of that gateway can't grow."""


@contextmanager
def full_sqlite(gateway: Running) -> Iterator[None]:
    """The database can't grow: SQLite says that its disk is full."""
    engine = gateway.gateway.process.database._engine.sync_engine
    most = 1  # SQLite makes this the size that it has

    def limit(connection: Any, _record: object, _proxy: object) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA max_page_count = {most}")
        cursor.close()

    event.listen(engine, "checkout", limit)
    try:
        yield
    finally:
        most = NO_LIMIT


def fills(disk: Path) -> Disk:
    """Of a disk that is there."""

    @contextmanager
    def full(_: Running) -> Iterator[None]:
        ballast = disk / "ballast"
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        try:
            yield
        finally:
            ballast.unlink()

    return full


@pytest.fixture(params=["sqlite", "postgresql"])
def database_on_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Disk]]:
    """The URL of an empty database, and its disk."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/mayfly.db", full_sqlite
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    with server.small_disk() as (url, disk):
        yield url, fills(disk)


@pytest.fixture
def full(database_on_disk: tuple[str, Disk]) -> Disk:
    return database_on_disk[1]


@pytest.fixture
def database_url(database_on_disk: tuple[str, Disk]) -> str:
    return database_on_disk[0]


def storage_full(gateway: Running) -> float | None:
    return gateway.gateway.metrics.counters.registry.get_sample_value("mayfly_database_full")


async def test_an_end_that_finds_no_room_is_told_and_taken_once_there_is(
    world: World, full: Disk
) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, gateway.client() as reader:
        async with run.working(gateway, written=True) as agent:
            result = agent.result(outputJSON=LARGE)
            with full(gateway):
                await agent.say("result", **result)
                assert await agent.closed() == 1012
                started = run.condition("Started")
                assert started["status"] == "True"
                assert started["message"] == f"main() was called. {STORAGE_FULL}"
                assert storage_full(gateway) == 1
                told = await reader.get(f"/v1/predictions/{run.id}")
                assert told.json()["status"] == "processing"
                # Again and again, and no more is written.
                writes = world.cluster.writes.total()
                async with run.dial(gateway) as again:
                    await again.hello("running")
                    await again.say("result", **result)
                    assert await again.closed() == 1012
                assert world.cluster.writes.total() == writes
        async with run.dial(gateway) as agent:
            await agent.hello("done")
            await agent.say("result", **result)
            await agent.expect("ack")
        await run.finished()
        usage = await gateway.usage(run.uid)
        told = await reader.get(f"/v1/predictions/{run.id}/output")
        assert told.text == LARGE
        assert storage_full(gateway) == 0
    assert run.condition("Succeeded")["status"] == "True"
    assert run.condition("Started")["message"] == "main() was called."
    assert usage is not None
    assert usage["active_ms"] == 3


async def test_a_run_that_can_not_start_is_told_why(world: World, full: Disk) -> None:
    run = world.claimed()
    async with world.gateway() as gateway:
        with full(gateway):
            await fill_up(gateway)
            async with run.dial(gateway) as agent:
                assert await agent.closed() == 1012
        started = run.condition("Started")
        assert (started["status"], started["reason"]) == ("False", "StorageFull")
        assert started["message"] == STORAGE_FULL
        async with run.dial(gateway) as agent:
            await agent.hello()
            await agent.start()
            await agent.say("result", **agent.result())
            await agent.expect("ack")
        await run.finished()
    assert run.condition("Started")["status"] == "True"


async def fill_up(gateway: Running) -> None:
    """Use up the room that the table of pods has in the pages that are there."""
    with suppress(StorageFull):
        while True:
            async with gateway.gateway.process.database.write() as tx:
                await pod_secrets.retire(tx, str(uuid4()), utc_now())


async def test_a_file_that_finds_no_room_is_refused_in_words(world: World, monkeypatch) -> None:
    run = world.claimed()
    words = "Unable to copy data to file: No space left on device (os error 28)"

    async def no_room(*_: object, **__: object) -> None:
        raise GenericError(f"Generic LocalFileSystem error: {words}")

    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello()
        await agent.start()
        await run.until(lambda each: each["status"].get("phase") == "Processing")
        async with gateway.client(None) as client:
            with monkeypatch.context() as patch:
                patch.setattr(obstore, "put_async", no_room)
                refused = await client.put(
                    "/agent/v1/files/a.bin", content=b"abc", headers=run.headers()
                )
            taken = await client.put("/agent/v1/files/a.bin", content=b"abc", headers=run.headers())
    # 5xx: the agent tries again until its deadline, then these are the words of the run's error.
    assert refused.status_code == 507
    assert (
        refused.json()["detail"]
        == "The gateway can't store anything: the file store's disk is full."
    )
    assert taken.status_code == 201
