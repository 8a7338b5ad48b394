"""What a Model's server counts is what its callers pay, within what can be."""

import asyncio
import base64
import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from support.gateway.models import ModelWorld, create, ended, usage
from support.gateway.world import BUILDER, NAMESPACE
from support.servers.plain_server import PlainServer, Request, reply
from support.servers.postgresql import BOTH
from typing_extensions import override

from mayfly.kube.kinds import SECRETS

pytestmark = BOTH

PRICE = [
    {"meter": "inputTokens", "unitPrice": "0.001"},
    {"meter": "outputTokens", "unitPrice": "0.01"},
    {"meter": "prediction", "unitPrice": "1"},
    {"meter": "outputItems", "unitPrice": "10"},
]
COUNTS = """
import cog

def run(text: str, fail: bool = False) -> list[str]:
    scope = cog.current_scope()
    scope.record_metric("input_token_count", len(text.split()))
    scope.record_metric("output_token_count", 5)
    if fail:
        raise ValueError("no")
    return text.split()
"""


async def test_tokens_of_a_cog_server_are_charged_whatever_the_end(world: ModelWorld, cog) -> None:
    world.at(await cog("counts", COUNTS), price=PRICE)
    async with world.gateway() as gateway, gateway.client() as caller:
        good = await ended(caller, (await create(caller, {"text": "one two three"}))["id"])
        assert good["status"] == "succeeded", good
        assert good["metrics"]["input_token_count"] == 3
        assert good["metrics"]["output_token_count"] == 5
        # Tokens 0.003 and 0.05, the prediction 1, three items 30.
        assert good["cost"] == "31.053"
        bad = await ended(caller, (await create(caller, {"text": "a b", "fail": True}))["id"])
        assert bad["status"] == "failed", bad
        assert bad["cost"] == "0.052"
        record = await usage(gateway, bad["id"])
        assert record is not None
        assert (record["input_tokens"], record["output_tokens"]) == (2, 5)
        assert (record["kind"], record["called"], record["flags"]) == ("model", "team/model", "[]")


async def test_tokens_come_through_two_installations(
    world: ModelWorld, tmp_path: Path, cog
) -> None:
    (tmp_path / "upstream").mkdir()
    upstream = ModelWorld(tmp_path / "upstream")
    upstream.at(await cog("counts", COUNTS))
    async with upstream.gateway() as above:
        data = {"token": base64.b64encode(BUILDER.encode()).decode()}
        secret = {"metadata": {"name": "upstream", "namespace": NAMESPACE}, "data": data}
        world.cluster.add(SECRETS, secret)
        world.cluster.readable.add((NAMESPACE, "upstream"))
        replicate = {
            "model": f"{NAMESPACE}/model",
            "baseURL": f"{above.url}/v1",
            "tokenSecretRef": {"name": "upstream", "key": "token"},
        }
        world.model("model", replicate=replicate, price=PRICE)
        async with world.gateway() as gateway, gateway.client() as caller:
            shown = await ended(caller, (await create(caller, {"text": "one two three"}))["id"])
            assert (shown["status"], shown["cost"]) == ("succeeded", "31.053")


class Liar(PlainServer):
    """A server that takes every prediction and says nothing until it is told what."""

    def __init__(self) -> None:
        super().__init__()
        self.hooks: list[str] = []

    @override
    async def answer(self, request: Request) -> bytes:
        if request.method == "PUT":
            self.hooks.append(json.loads(request.body)["webhook"])
            return reply(202, b"{}")
        ready = {"status": "READY", "setup": {"started_at": "2026-01-01T00:00:00Z"}}
        return reply(200, json.dumps(ready).encode())


@pytest.mark.parametrize(
    ("metrics", "cost", "flags"),
    [
        ({"input_token_count": 7}, "0.007", []),
        ({"input_token_count": 7.0, "output_token_count": None}, "0.007", []),
        ({"input_token_count": -7, "output_token_count": 2}, "0.02", ["claimRefused"]),
        ({"input_token_count": 10**12}, "0", ["claimRefused"]),
        ({"input_token_count": 1.5}, "0", ["claimRefused"]),
        ({"input_token_count": True}, "0", ["claimRefused"]),
        ({"input_token_count": "7", "output_token_count": 1}, "0.01", ["claimRefused"]),
        ({"predict_time": -1, "output_token_count": 1}, "0.01", ["claimRefused"]),
        ({"predict_time": 99999, "output_token_count": 1}, "0.01", ["longerThanWindow"]),
        ("many", "0", []),
    ],
)
async def test_a_servers_claims_are_bounded_and_flagged(
    world: ModelWorld, metrics: object, cost: str, flags: list[str]
) -> None:
    async with Liar().serving() as liar:
        world.model("model", endpoint={"url": liar.url}, price=PRICE)
        async with world.gateway() as gateway, gateway.client() as caller:
            made = await create(caller)
            while not liar.hooks:  # noqa: ASYNC110 - a list tells nobody
                await asyncio.sleep(0.05)
            told = {"status": "failed", "error": "no", "metrics": metrics}
            assert (await caller.post(liar.hooks[0], json={"status": "processing"})).is_success
            for _ in range(2):
                assert (await caller.post(liar.hooks[0], json=told)).is_success
            shown = await ended(caller, made["id"])
            record = await usage(gateway, made["id"])
            assert record is not None
            assert (shown["cost"], json.loads(record["flags"])) == (cost, flags)
            assert shown["metrics"]["predict_time"] <= shown["metrics"]["total_time"]


async def test_a_gateways_clock_that_is_moved_during_a_call_changes_no_bill(
    world: ModelWorld,
) -> None:
    price = [{"meter": "predictSeconds", "unitPrice": "1"}]
    async with Liar().serving() as liar:
        world.model("model", endpoint={"url": liar.url}, price=price)
        async with world.gateway() as gateway, gateway.client() as caller:
            made = await create(caller)
            while not liar.hooks:  # noqa: ASYNC110 - a list tells nobody
                await asyncio.sleep(0.05)
            assert (await caller.post(liar.hooks[0], json={"status": "processing"})).is_success
            world.clock.ahead += timedelta(seconds=20)
            world.clock.jump -= timedelta(days=1)
            told = {"status": "succeeded", "output": "1", "metrics": {"predict_time": 12.5}}
            assert (await caller.post(liar.hooks[0], json=told)).is_success
            shown = await ended(caller, made["id"])
            assert Decimal(shown["cost"]) == Decimal("12.5")
            record = await usage(gateway, made["id"])
            assert record is not None
            assert json.loads(record["flags"]) == ["gatewayClockJumped"]
