"""The gateway dies at each step of a call of a Model, and starts again: one record, the right sum.

The server goes on telling until it is heard, as Cog servers do; the caller asks again with its key,
as Replicate's clients do. What was sent is never sent again: a call that the gateway may have sent
and had not is Lost, and costs nothing.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from support.gateway.fate import Edge, Fate
from support.gateway.models import ModelWorld, ended, usage
from support.gateway.world import NAMESPACE, Running, first_of
from support.servers.plain_server import PlainServer, Request, reply
from typing_extensions import override

from mayfly.metering import tables

PRICE = [
    {"meter": "inputTokens", "unitPrice": "0.001"},
    {"meter": "outputItems", "unitPrice": "1"},
]
TOLD = {
    "status": "succeeded",
    "output": ["a", "b"],
    "metrics": {"predict_time": 0.001, "input_token_count": 7},
}
COST = "2.007"
AT_A_TIME = 4


class Teller(PlainServer):
    """A server that works at once, and tells of it until it is heard."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = 0
        self._telling: set[asyncio.Task[None]] = set()

    @override
    async def answer(self, request: Request) -> bytes:
        if request.method != "PUT":
            ready = {"status": "READY", "setup": {"started_at": "2026-01-01T00:00:00Z"}}
            return reply(200, json.dumps(ready).encode())
        self.sent += 1
        hook = json.loads(request.body)["webhook"]
        self._telling.add(asyncio.create_task(self._tell(hook)))
        return reply(202, b"{}")

    async def _tell(self, hook: str) -> None:
        async with httpx.AsyncClient() as client:
            for told in ({"status": "processing"}, TOLD, TOLD):
                while not await self._heard(client, hook, told):  # noqa: ASYNC110 - as servers do
                    await asyncio.sleep(0.1)

    async def _heard(self, client: httpx.AsyncClient, hook: str, told: object) -> bool:
        try:
            return (await client.post(hook, json=told, timeout=5)).is_success
        except httpx.HTTPError:
            return False

    async def stop(self) -> None:
        for each in self._telling:
            each.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)


async def play(gateway: Running) -> str:
    """Create the prediction, or ask for the one that was made; wait for its end."""
    async with gateway.client() as caller:
        answer = await caller.post(
            f"/v1/models/{NAMESPACE}/model/predictions",
            json={"input": {}},
            headers={"Idempotency-Key": "one"},
        )
        assert answer.status_code == 201, answer.text
        identity = str(answer.json()["id"])
        await ended(caller, identity)
        return identity


def new(folder: Path) -> Path:
    folder.mkdir()
    return folder


async def live(folder: Path, fate: Fate) -> dict[str, Any]:
    """Live with one gateway that may die, and then with one that does not."""
    world = ModelWorld(new(folder))
    async with Teller().serving() as server:
        world.model("model", endpoint={"url": server.url}, price=PRICE)
        try:
            async with world.gateway(fate) as gateway:
                await first_of(play(gateway), fate.died.wait())
            async with world.gateway() as gateway:
                identity = await play(gateway)
                async with gateway.client() as reader:
                    shown = (await reader.get(f"/v1/predictions/{identity}")).json()
                record = await usage(gateway, identity)
                assert record is not None
                async with gateway.gateway.process.database.read() as tx:
                    count = await tx.scalar(select(func.count()).select_from(tables.usage_records))
        finally:
            await server.stop()
    return {
        "sent": server.sent,
        "records": count,
        "end": (shown["status"], shown["reason"], shown["cost"], shown["output"]),
        "record": (record["outcome"], str(record["cost"].normalize()), record["input_tokens"]),
    }


CALM = {
    "sent": 1,
    "records": 1,
    "end": ("succeeded", "Succeeded", COST, ["a", "b"]),
    "record": ("succeeded", COST, 7),
}
NEVER_SENT = {
    "sent": 0,
    "records": 1,
    "end": ("failed", "Lost", "0", None),
    "record": ("failed", "0", 0),
}


@pytest.mark.parametrize("edge", ["before", "after"])
async def test_dead_at_each_step_a_call_is_billed_once_for_what_it_did(
    tmp_path: Path, edge: Edge
) -> None:
    calm = Fate()
    assert await live(tmp_path / "calm", calm) == CALM
    places = asyncio.Semaphore(AT_A_TIME)
    struck: list[str] = []

    async def strike(number: int) -> str | None:
        fate = Fate(number, edge)
        async with places:
            found = await live(tmp_path / str(number), fate)
        step = fate.steps[number] if fate.died.is_set() else "nothing"
        struck.append(step)
        if found == CALM or (found == NEVER_SENT and "model_calls" in step):
            return None
        return f"dead {edge} {step}: {found}"

    told = await asyncio.gather(*(strike(number) for number in range(len(calm.steps))))
    assert [each for each in told if each] == []
    assert any("usage_records" in step for step in struck), struck
    assert any("insert into runs" in step for step in struck), struck
