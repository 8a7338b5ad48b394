"""Two processes write to one database at a time: neither overwrites what the other did."""

import asyncio

from sqlalchemy import text
from support.at_once import at_once
from support.servers.postgresql import BOTH

from mayfly.database.engine import Database

pytestmark = BOTH
TURNS = 200
COUNTER = """
import asyncio
import sys
from sqlalchemy import text
from mayfly.database.engine import Database, stand_by


async def count(url: str, turns: int) -> None:
    stand_by()
    database = Database(url)
    print("here", flush=True)
    sys.stdin.read()
    for _ in range(turns):
        async with database.write() as tx:
            value = await tx.scalar(text("SELECT value FROM counter"))
            await asyncio.sleep(0)
            await tx.execute(text("UPDATE counter SET value = :next"), {"next": value + 1})
    await database.close()


asyncio.run(count(sys.argv[1], int(sys.argv[2])))
"""
"""Reads, and writes what it made of that: a sum that is wrong if another one wrote in between."""


async def test_what_a_write_reads_is_true_until_its_commit(database_url: str) -> None:
    database = Database(database_url)
    async with database.write() as tx:
        await tx.execute(text("CREATE TABLE counter (value INTEGER)"))
        await tx.execute(text("INSERT INTO counter VALUES (0)"))
    await asyncio.to_thread(at_once, COUNTER, database_url, str(TURNS))
    async with database.read() as tx:
        assert await tx.scalar(text("SELECT value FROM counter")) == 2 * TURNS
    await database.close()
