"""SQLite's short transactions on the event loop, and what does not stop the loop."""

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from support.waiting import within

from mayfly.database import sqlite
from mayfly.database.engine import Database

COUNT = text(
    "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 300000) "
    "SELECT count(*) FROM numbers"
)
"""A query that takes much longer than a turn of the loop."""


@pytest.fixture
async def database(tmp_path: Path):
    made = Database(f"sqlite:///{tmp_path}/mayfly.db")
    async with made.write() as tx:
        await tx.execute(text("CREATE TABLE things (name TEXT)"))
    yield made
    await made.close()


class SlowDisk:
    """Makes commits wait until a test lets them go on."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.begun, self.goes_on = threading.Event(), threading.Event()

        def commit(connection: Any) -> None:
            self.begun.set()
            assert self.goes_on.wait(10)
            sqlite3.Connection.commit(connection)

        patch.setattr(sqlite.Connection, "commit", commit, raising=False)


async def names(database: Database) -> list[str]:
    async with database.read() as tx:
        return list((await tx.execute(text("SELECT name FROM things ORDER BY name"))).scalars())


async def put(database: Database, name: str) -> None:
    async with database.write() as tx:
        await tx.execute(text("INSERT INTO things VALUES (:name)"), {"name": name})


async def test_the_loop_turns_while_many_rows_are_looked_at(database: Database) -> None:
    async def look() -> int:
        async with database.read(bulk=True) as tx:
            return int(await tx.scalar(COUNT))

    looking = asyncio.create_task(look())
    turns = 0
    while not looking.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert await looking == 300_000
    assert turns > 3


async def test_the_loop_turns_while_a_commit_waits_for_the_disk(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch)
    writing = asyncio.create_task(put(database, "one"))
    await within(10, asyncio.to_thread(disk.begun.wait))
    assert await names(database) == []  # read meanwhile
    disk.goes_on.set()
    await writing
    assert await names(database) == ["one"]


@pytest.mark.parametrize("times", [1, 2])
async def test_a_cancelled_commit_is_whole_and_the_next_write_waits_for_it(
    database: Database, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    disk = SlowDisk(monkeypatch)
    writing = asyncio.create_task(put(database, "one"))
    await within(10, asyncio.to_thread(disk.begun.wait))
    after = asyncio.create_task(put(database, "two"))
    for _ in range(times):
        writing.cancel()
        await asyncio.sleep(0.05)
    assert not writing.done()
    disk.goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await after
    assert await names(database) == ["one", "two"]


async def test_a_write_that_is_cancelled_before_its_commit_leaves_nothing(
    database: Database,
) -> None:
    inside = asyncio.Event()

    async def write() -> None:
        async with database.write() as tx:
            await tx.execute(text("INSERT INTO things VALUES ('one')"))
            inside.set()
            await asyncio.Event().wait()

    writing = asyncio.create_task(write())
    await inside.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await put(database, "two")
    assert await names(database) == ["two"]


async def test_a_result_that_is_not_read_to_its_end_keeps_no_snapshot(
    database: Database, tmp_path: Path
) -> None:
    for name in ("one", "two", "three"):
        await put(database, name)
    async with database.read() as tx:
        found = await tx.execute(text("SELECT name FROM things"))
        assert found.fetchone() is not None
    # SQLite empties its log only if nobody reads from it.
    other = sqlite3.connect(tmp_path / "mayfly.db")
    busy, *_ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    other.close()
    assert busy == 0


async def test_many_rows_are_written_by_one_statement(database: Database) -> None:
    async with database.write() as tx:
        rows = [{"name": "one"}, {"name": "two"}]
        await tx.execute(text("INSERT INTO things VALUES (:name)"), rows)
    assert await names(database) == ["one", "two"]


async def test_transactions_at_the_same_time_use_the_connections_of_earlier_ones(
    database: Database,
) -> None:
    opened = 0

    def count(*_: object) -> None:
        nonlocal opened
        opened += 1

    for engine in database.engines:
        event.listen(engine.sync_engine, "connect", count)
    for _ in range(10):
        await asyncio.gather(*(names(database) for _ in range(10)))
    assert opened <= 10
