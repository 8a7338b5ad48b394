"""The bill in Prometheus's counters is the ledger's: runs, calls of Models, and corrections."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

import pytest
from sqlalchemy import select
from support.gateway.models import ModelWorld, create, ended, until
from support.gateway.world import Running

from mayfly.clock import utc_now
from mayfly.metering import ledger, tree
from mayfly.metering.records import Correction
from mayfly.metering.tables import usage_records

PRICE = [
    {"meter": "predictSeconds", "unitPrice": "0.000333333333"},
    {"meter": "prediction", "unitPrice": "0.1"},
]


def value(gateway: Running, name: str, **labels: str) -> float:
    return gateway.gateway.metrics.counters.registry.get_sample_value(name, labels) or 0.0


async def agree(gateway: Running) -> None:
    """What is counted is what is recorded, kind by kind."""
    cost: dict[str, Decimal] = defaultdict(Decimal)
    active: dict[str, Decimal] = defaultdict(Decimal)
    async with gateway.gateway.process.database.read() as tx:
        for record in await tx.execute(select(usage_records)):
            cost[record.kind] += record.cost
            active[record.kind] += Decimal(record.active_ms) / 1000
    assert cost.keys() == {"run", "model"}
    for kind in ("run", "model"):
        labels = {"currency": "USD", "kind": kind}
        counted = value(gateway, "mayfly_cost_total", **labels)
        counted -= value(gateway, "mayfly_cost_reductions_total", **labels)
        assert counted == pytest.approx(float(cost[kind]), rel=1e-9)
        seconds = value(gateway, f"mayfly_{kind}_active_seconds_total")
        seconds -= value(gateway, "mayfly_active_seconds_reductions_total", kind=kind)
        assert seconds == pytest.approx(float(active[kind]), rel=1e-9)


async def correct(gateway: Running, identity: str, **change: object) -> None:
    async with gateway.gateway.process.database.write() as tx:
        row = await ledger.find_by_id(tx, identity)
        assert row is not None
        words = Correction(why="a test", author="test", **change)  # type: ignore[arg-type]
        await tree.correct(tx, row.uid, words, utc_now())


async def test_costs_are_the_ledgers_kind_by_kind(world: ModelWorld, cog) -> None:
    world.at(await cog("echo"), price=PRICE, concurrency=1)
    world.at(await cog("fails"), "broken", price=PRICE)
    run = world.claimed()
    async with world.gateway() as gateway, gateway.client() as caller:
        async with run.working(gateway) as agent:
            await agent.end()
        await run.finished()
        good = [await create(caller, {"text": "a", "delay": 0.2}) for _ in range(3)]
        bad = await create(caller, name="broken")
        assert (await ended(caller, bad["id"]))["status"] == "failed"
        for each in good:
            assert (await ended(caller, each["id"]))["status"] == "succeeded"
        busy = await create(caller, {"text": "b", "delay": 1.5})
        await until(caller, busy["id"], lambda shown: shown["status"] == "processing")
        queued = await create(caller, {"text": "c"})
        assert value(gateway, "mayfly_model_queue_depth", state="queued") == 1
        assert value(gateway, "mayfly_model_queue_depth", state="active") == 1
        await caller.post(f"/v1/predictions/{queued['id']}/cancel")
        assert (await ended(caller, queued["id"]))["status"] == "canceled"
        await ended(caller, busy["id"])
        ends = {
            outcome: value(gateway, "mayfly_model_predictions_total", outcome=outcome)
            for outcome in ("succeeded", "failed", "canceled")
        }
        assert ends == {"succeeded": 4, "failed": 1, "canceled": 1}
        await agree(gateway)

        await correct(gateway, run.id, cost=Decimal("0.000000000001"))
        await correct(gateway, good[0]["id"], cost=Decimal("-0.05"))
        await correct(gateway, good[1]["id"], active_ms=-100)
        assert value(gateway, "mayfly_cost_reductions_total", currency="USD", kind="model") > 0.05
        # A correction is no further end.
        assert value(gateway, "mayfly_model_predictions_total", outcome="succeeded") == 4
        assert value(gateway, "mayfly_runs_total", outcome="succeeded") == 1
        await agree(gateway)


async def test_what_is_rolled_back_is_not_counted(world: ModelWorld, cog) -> None:
    world.at(await cog("echo"), price=PRICE)
    async with world.gateway() as gateway, gateway.client() as caller:
        made = await create(caller, {"text": "a"})
        await ended(caller, made["id"])
        before = value(gateway, "mayfly_cost_total", currency="USD", kind="model")
        with pytest.raises(ZeroDivisionError):
            await half_done(gateway, made["id"])
        assert value(gateway, "mayfly_cost_total", currency="USD", kind="model") == before > 0


async def half_done(gateway: Running, identity: str) -> None:
    """A correction whose transaction fails at its end."""
    async with gateway.gateway.process.database.write() as tx:
        row = await ledger.find_by_id(tx, identity)
        assert row is not None
        change = Correction(why="a test", author="test", cost=Decimal(5))
        await tree.correct(tx, row.uid, change, utc_now())
        raise ZeroDivisionError
