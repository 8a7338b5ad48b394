"""The FOCUS export of a real ledger, and what the official validator says of it."""

import csv
import io
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from support.gateway.models import ModelWorld, create, ended
from support.gateway.world import Run, Running
from support.tools.focus_validator import validate

from mayfly.clock import utc_now
from mayfly.metering import periods, tree
from mayfly.metering.periods import Month
from mayfly.metering.records import Correction

PRICE = [
    {"meter": "predictSeconds", "unitPrice": "0.001"},
    {"meter": "prediction", "unitPrice": "1"},
]

Rows = list[dict[str, str]]


async def correct(gateway: Running, uid: str, cost: str, at: datetime) -> None:
    change = Correction(why="=the clock, it was wrong", author="admin", cost=Decimal(cost))
    async with gateway.gateway.process.database.write() as tx:
        await tree.correct(tx, uid, change, at)


async def work(gateway: Running, run: Run, **end) -> None:
    async with run.working(gateway) as agent:
        await agent.end(**end)
    await gateway.closed(run.uid)


async def in_the_next_month(gateway: Running, run: Run, **end) -> None:
    """A run that works in a month that is closed before it is recorded."""
    async with run.working(gateway) as agent:
        async with gateway.gateway.process.database.write() as tx:
            await periods.draw_line(tx, Month.of(utc_now()), utc_now(), "admin")
        await agent.end(**end)
    await gateway.closed(run.uid)


async def never_started(gateway: Running, run: Run) -> None:
    async with run.dial(gateway) as agent:
        await agent.hello()
        await agent.accept()
        run.cancel()
        await agent.expect_last("cancel")
        await agent.end_unstarted()
    await gateway.closed(run.uid)


@pytest.fixture
async def export(world: ModelWorld, cog) -> str:
    """Every kind of record: run, model, failed, cancelled, free, late, corrected now and later."""
    world.cluster.allowed.add(("reader", ""))
    world.at(await cog("echo"), price=PRICE)
    world.at(await cog("echo"), "free")
    async with world.gateway() as gateway, gateway.client() as reader:
        good = world.claimed("good")
        await work(gateway, good, activeMs=3)
        failed = {"outcome": "failed", "reason": "UserError", "outputJSON": None}
        await work(gateway, world.claimed("bad"), **failed)
        await never_started(gateway, world.claimed("gone"))
        for name in ("model", "free"):
            made = await create(reader, {"text": "hello"}, name)
            await ended(reader, made["id"])
        await correct(gateway, good.uid, "-0.003", utc_now())
        await correct(gateway, good.uid, "-0.001", utc_now() + timedelta(days=32))
        await in_the_next_month(gateway, world.claimed("late"), activeMs=5)
        answer = await reader.get("/v1/usage/focus")
        report = (await reader.get("/v1/usage")).json()
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    (total,) = report["totals"]
    assert sum(Decimal(row["BilledCost"]) for row in rows) == Decimal(total["cost"])
    assert {row["ServiceName"] for row in rows} == {"Mayfly Pipelines", "Mayfly Models"}
    assert {row["ChargeClass"] for row in rows} == {"", "Correction"}
    assert {row["ChargeCategory"] for row in rows} == {"Usage", "Adjustment"}
    assert len({row["x_RecordId"] for row in rows}) == 8
    late = [row for row in rows if '"mayfly.dev/name":"late"' in row["Tags"]]
    assert late
    for row in late:  # one for each price
        assert row["ChargePeriodStart"] < row["ChargePeriodEnd"] <= row["BillingPeriodStart"]
    return answer.text


async def test_the_validator_accepts_it(export: str, tmp_path: Path) -> None:
    path = tmp_path / "focus.csv"
    path.write_text(export)
    verdict = validate(path)
    assert verdict.failures == set(), verdict.output
    assert len(verdict.passed) > 250


def break_it(row: dict[str, str]) -> dict[str, str]:
    wrong = {"BillingCurrency": "dollars", "ChargeCategory": "Fun"}
    wrong["ListUnitPrice"] = row["ListUnitPrice"] and "77"
    return {name: text for name, text in {**row, **wrong}.items() if name != "BilledCost"}


async def test_the_validator_refuses_a_broken_one(export: str, tmp_path: Path) -> None:
    rows = [break_it(row) for row in csv.DictReader(io.StringIO(export))]
    path = tmp_path / "broken.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    verdict = validate(path)
    for rule in (
        "BillingCurrency-C-00",
        "ChargeCategory-C-00",
        "ListUnitPrice-C-0",
        "BilledCost-C-00",
    ):
        assert any(each.startswith(rule) for each in verdict.failures), verdict.output
