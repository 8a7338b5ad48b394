"""A backup is taken while runs end, and restored elsewhere: everything is there, bills equal."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from support.gateway.world import Run, Running, World
from support.servers.postgresql import BOTH, PostgreSQL, programs

from mayfly.metering import tables

pytestmark = BOTH
BEFORE = 3


async def command(*arguments: str, url: str, **streams: Any) -> tuple[int, bytes, str]:
    """Run `python -m mayfly database …`, as in the gateway's pod."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mayfly", "database", *arguments),
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "MAYFLY_DATABASE_URL": url,
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, said = await process.communicate(streams.get("stdin"))
    assert process.returncode is not None
    return process.returncode, out, said.decode()


async def take(url: str) -> bytes:
    """A backup of either database, with the command that the documentation gives."""
    if url.startswith("sqlite"):
        code, out, said = await command("backup", url=url)
    else:
        process = await asyncio.create_subprocess_exec(
            *(str(programs() / "pg_dump"), "--format=custom", "--dbname", url),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, errors = await process.communicate()
        code, said = process.returncode or 0, errors.decode()
    assert code == 0, said
    return out


async def put(kept: bytes, url: str) -> None:
    """Restore a backup into an empty place."""
    if url.startswith("sqlite"):
        code, _, said = await command("restore", url=url, stdin=kept)
    else:
        process = await asyncio.create_subprocess_exec(
            *(str(programs() / "pg_restore"), "--exit-on-error", "--no-owner", "--dbname", url),
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        _, errors = await process.communicate(kept)
        code, said = process.returncode or 0, errors.decode()
    assert code == 0, said


async def bills(gateway: Running) -> dict[str, dict[str, Any]]:
    async with gateway.gateway.process.database.read() as tx:
        found = await tx.execute(select(tables.usage_records))
        return {row["run_uid"]: dict(row) for row in found.mappings()}


async def end(gateway: Running, run: Run) -> None:
    async with run.working(gateway) as agent:
        await agent.say("log", offset=0, data="hello\n")
        await agent.expect_last("logack")
        await agent.say("result", **agent.result())
        await agent.expect_last("ack")
    await run.finished()


async def test_a_backup_that_is_taken_while_runs_end_has_all_that_had_ended(
    world: World, database_url: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    ended = [world.claimed(f"ended-{number}") for number in range(BEFORE)]
    during = [world.claimed(f"during-{number}") for number in range(6)]
    async with world.gateway() as gateway:
        for run in ended:
            await end(gateway, run)
        before = await bills(gateway)
        ending = asyncio.gather(*(end(gateway, run) for run in during))
        kept = await take(database_url)
        await ending
        after = await bills(gateway)
    if database_url.startswith("sqlite"):
        (tmp_path / "new").mkdir()
        await check(world, f"sqlite:///{tmp_path}/new/mayfly.db", kept, before, after, ended)
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    with server.database(template="template1") as url:
        await check(world, url, kept, before, after, ended)


async def check(
    world: World,
    url: str,
    kept: bytes,
    before: dict[str, Any],
    after: dict[str, Any],
    ended: list[Run],
) -> None:
    await put(kept, url)
    world.database_url = url
    async with world.gateway() as gateway, gateway.client() as reader:
        restored = await bills(gateway)
        assert before.items() <= restored.items()
        assert len(before) == BEFORE
        # What ended after the backup is billed again, from its object.
        for uid in after:
            await gateway.closed(uid)
        costs = {uid: each["cost"] for uid, each in (await bills(gateway)).items()}
        assert costs == {uid: each["cost"] for uid, each in after.items()}
        assert sum(costs.values()) > 0
        for run in ended:
            shown = (await reader.get(f"/v1/predictions/{run.id}")).json()
            assert (shown["status"], shown["output"]) == ("succeeded", {"answer": 42.0})
            assert shown["logs"] == "hello\n"
        # It goes on from there.
        run = world.claimed("later")
        await end(gateway, run)
        assert (await bills(gateway)).keys() == after.keys() | {run.uid}
