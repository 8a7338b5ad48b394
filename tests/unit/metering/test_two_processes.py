"""Two processes write to one database at a time: neither overwrites what the other did."""

import asyncio
import os
import subprocess
import sys

from sqlalchemy import text
from support.postgresql import BOTH

from mayfly.metering.database import Database

pytestmark = BOTH
TURNS = 200
COUNTER = """
import asyncio
import sys
from sqlalchemy import text
from mayfly.metering.database import Database, stand_by


async def count(url: str, turns: int) -> None:
    stand_by()
    database = Database(url)
    print("ready", flush=True)
    sys.stdin.readline()
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
    await asyncio.to_thread(race, database_url)
    async with database.read() as tx:
        assert await tx.scalar(text("SELECT value FROM counter")) == 2 * TURNS
    await database.close()


def race(url: str) -> None:
    """Have two processes count, from the same moment on."""
    command = [sys.executable, "-c", COUNTER, url, str(TURNS)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    counters = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        for _ in range(2)
    ]
    try:
        for each in counters:
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n"
        for each in counters:
            assert each.stdin is not None
            each.stdin.write("\n")
            each.stdin.flush()
        for each in counters:
            _ = each.communicate(timeout=120)
            assert each.returncode == 0
    finally:
        for each in counters:
            each.kill()
