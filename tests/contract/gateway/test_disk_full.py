"""The gateway's disk is full: runs are told, reading goes on, and nothing that ended is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

import obstore
from obstore.exceptions import GenericError
from sqlalchemy import event
from support.gateway_world import Running, World

from mayfly.clock import utc_now
from mayfly.gateway import pods
from mayfly.gateway.status import STORAGE_FULL
from mayfly.metering.database import StorageFull

LARGE = '"' + "x" * 200_000 + '"'
"""More than the pages that the database has."""

NO_LIMIT = 4_294_967_294


@contextmanager
def full(gateway: Running) -> Iterator[None]:
    """The database can't grow: SQLite says that its disk is full."""
    engine = gateway.gateway.database._engine.sync_engine
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


def storage_full(gateway: Running) -> float | None:
    return gateway.gateway.metrics.registry.get_sample_value("mayfly_database_full")


async def test_an_end_that_finds_no_room_is_told_and_taken_once_there_is(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, gateway.client() as reader:
        with full(gateway):
            async with run.dial(gateway) as agent:
                await agent.hello()
                await agent.start()
                await run.until(lambda each: each["status"].get("phase") == "Processing")
                result = agent.result(outputJSON=LARGE)
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
            async with run.dial(gateway) as agent:
                await agent.hello("running")
                await agent.say("result", **result)
                assert await agent.closed() == 1012
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


async def test_a_run_that_can_not_start_is_told_why(world: World) -> None:
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
            async with gateway.gateway.database.write() as tx:
                await pods.retire(tx, str(uuid4()), utc_now())


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
