"""The database goes away for a while: users are told, nothing is lost, and billed once."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import func, select
from support.gateway.world import Running, World
from support.lengths import length
from support.servers.postgresql import PostgreSQL

from mayfly.database import engine, sqlite
from mayfly.metering import tables

AWAY = "The database does not answer; try again."
AWAY_SECONDS = length(15, 60)
"""Longer than a gateway waits for anything."""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PATIENCE_SECONDS", 0.5)


async def records(gateway: Running) -> int:
    async with gateway.gateway.process.database.read() as tx:
        found = await tx.scalar(select(func.count()).select_from(tables.usage_records))
    return int(found or 0)


@pytest.mark.usefixtures("impatient")
async def test_runs_that_end_while_the_server_is_away_are_recorded_once_it_is_back(
    tmp_path: Path, own_postgresql: PostgreSQL
) -> None:
    server = own_postgresql
    with server.database() as url:
        world = World(tmp_path, url)
        run, other = world.claimed("one"), world.claimed("two")
        async with world.gateway() as gateway, gateway.client() as reader:
            async with run.working(gateway, written=True) as agent:
                result = agent.result()
                await asyncio.to_thread(server.stop)
                # Told by the agent, by the API, and by the probes.
                await agent.say("result", **result)
                assert await agent.closed() == 1012
                told = await reader.get(f"/v1/predictions/{run.id}")
                assert (told.status_code, told.json()["detail"]) == (503, AWAY)
                assert told.headers["retry-after"] == "1"
                ready = await reader.get("/readyz")
                assert ready.status_code == 503
                assert ready.json() == {"status": "the database does not answer"}
                assert (await reader.get("/healthz")).status_code == 200
            async with other.dial(gateway) as agent:
                assert await agent.closed() == 1012
            # Two ends that no agent tells: by the controller, and by a hand that deletes.
            other.end_by_controller("Lost")
            await asyncio.sleep(AWAY_SECONDS)
            await asyncio.to_thread(server.start)
            async with run.dial(gateway) as agent:
                await agent.hello("done")
                await agent.say("result", **result)
                await agent.expect("ack")
            status = await run.finished()
            await other.finished()
            assert status["usage"]["activeMilliseconds"] == 3
            usage = await gateway.usage(run.uid)
            assert usage is not None
            assert (usage["outcome"], usage["active_ms"]) == ("succeeded", 3)
            told = await reader.get(f"/v1/predictions/{run.id}")
            assert told.json()["status"] == "succeeded"
            assert await records(gateway) == 2
            assert (await reader.get("/readyz")).status_code == 200
            assert (await reader.get("/healthz")).json() == {"status": "ok"}


@pytest.mark.usefixtures("impatient")
async def test_a_database_that_somebody_has_locked_is_waited_for(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BULK_OPTIONS", {"connect_args": {"timeout": 0.2}})
    run = world.claimed()
    async with world.gateway() as gateway, gateway.client() as reader:
        async with run.working(gateway, written=True) as agent:
            lock = sqlite3.connect(tmp_path / "mayfly.db", isolation_level=None)
            lock.execute("BEGIN IMMEDIATE")
            result = agent.result()
            await agent.say("result", **result)
            assert await agent.closed() == 1012
            # Reading goes on; what is to be stored is refused in words.
            told = await reader.get(f"/v1/predictions/{run.id}")
            assert told.json()["status"] == "processing"
            refused = await reader.post("/v1/models/team/answer/predictions", json={"input": {}})
            assert (refused.status_code, refused.json()["detail"]) == (503, AWAY)
            lock.execute("ROLLBACK")
            lock.close()
        async with run.dial(gateway) as agent:
            await agent.hello("done")
            await agent.say("result", **result)
            await agent.expect("ack")
        assert (await run.finished())["usage"]["activeMilliseconds"] == 3
        assert await records(gateway) == 1
