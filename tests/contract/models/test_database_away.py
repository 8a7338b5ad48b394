"""The database goes away while a Model works: once it is back, so are the end and one bill."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest
from support.gateway.models import ModelWorld, create, ended, until, usage
from support.gateway.world import NAMESPACE
from support.servers.postgresql import PostgreSQL

from mayfly.database import engine

CALL = f"/v1/models/{NAMESPACE}/model/predictions"
PRICE = [{"meter": "predictSeconds", "unitPrice": "1"}, {"meter": "prediction", "unitPrice": "5"}]


async def test_a_call_that_ends_while_the_server_is_away_is_billed_once_when_it_is_back(
    tmp_path: Path, own_postgresql: PostgreSQL, cog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "PATIENCE_SECONDS", 0.5)
    server = own_postgresql
    with server.database() as url:
        world = ModelWorld(tmp_path, url)
        world.models["fateSeconds"] = 60
        world.at(await cog("echo"), price=PRICE)
        async with world.gateway() as gateway, gateway.client() as caller:
            made = await create(caller, {"text": "late", "delay": 2})
            queued = await create(caller, {"text": "next"})
            await until(caller, made["id"], lambda shown: shown["status"] == "processing")
            await asyncio.to_thread(server.stop)
            refused = await caller.post(CALL, json={"input": {"text": "no"}})
            assert refused.status_code == 503
            await asyncio.sleep(6)  # the end, and the first tries to tell it, come meanwhile
            await asyncio.to_thread(server.start)
            for each, output in ((made, "late"), (queued, "next")):
                shown = await ended(caller, each["id"])
                assert (shown["status"], shown["output"]) == ("succeeded", output)
                record = await usage(gateway, each["id"])
                assert record is not None
                assert record["outcome"] == "succeeded"
                assert record["cost"] == 5 + Decimal(record["active_ms"]) / 1000
