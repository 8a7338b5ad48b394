"""Amounts spent under budgets: by a namespace in a month, and below a run with a budget.

Both sums are stored beside the usage records, and change in the transaction that writes a record,
so they are correct after a restart and with several gateways, and reading one takes one row.
Running work is added from its heartbeats. A record that costs nothing changes neither.

A run's row names the nearest run with a budget, itself or above it (`runs.budget_uid`); budgets
above that are found from there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal, localcontext

from sqlalchemy import Column, String, Table, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.database.engine import insert_once, metadata
from mayfly.database.exact import Exact
from mayfly.metering.pricing import EXACT, Consumption, cost, milliseconds, read_pins
from mayfly.metering.tables import RUN, runs

spending = Table(
    "spending",
    metadata,
    Column("namespace", String(63), primary_key=True),
    Column("month", String(7), primary_key=True),
    Column("cost", Exact, nullable=False),
)
"""The sum of a namespace's usage records in a month ("2026-11", UTC, by `recorded_at`)."""

budgets = Table(
    "budgets",
    metadata,
    Column("run_uid", String(64), primary_key=True),
    Column("root_uid", String(64), nullable=False, index=True),
    Column("above", String(64)),
    Column("name", String(253), nullable=False),
    Column("amount", Exact, nullable=False),
    Column("spent", Exact, nullable=False),
)
"""Runs with a budget; `spent` is the sum of the records of the run and everything below it."""


@dataclass(frozen=True)
class Budget:
    """The budget of a run.

    Attributes:
        run_uid: of the run.
        above: the next run above with a budget.
        name: of the run.
        amount: what the run and everything below it may cost.
        spent: recorded costs, plus running work.
    """

    run_uid: str
    above: str | None
    name: str
    amount: Decimal
    spent: Decimal


def month_of(moment: datetime) -> str:
    """The calendar month of a moment, UTC: "2026-11"."""
    return f"{moment.astimezone(UTC):%Y-%m}"


# -- written -------------------------------------------------------------------------------------


async def add(
    tx: AsyncConnection, *, namespace: str, run_uid: str, amount: Decimal, at: datetime
) -> None:
    """Add a new usage record to the sums, in its transaction.

    Args:
        tx: the transaction that writes the record.
        namespace: who pays.
        run_uid: the prediction's.
        amount: the record's cost; a correction's may be negative.
        at: the record's `recorded_at`.
    """
    if not amount:
        return
    month = month_of(at)
    key = (spending.c.namespace == namespace, spending.c.month == month)
    await insert_once(tx, spending, {"namespace": namespace, "month": month, "cost": Decimal(0)})
    known = await tx.scalar(select(spending.c.cost).where(*key))
    await tx.execute(update(spending).where(*key).values(cost=_sum(known, amount)))
    budget_uid = await budget_of(tx, run_uid)
    while budget_uid is not None:
        row = (
            await tx.execute(
                select(budgets.c.spent, budgets.c.above).where(budgets.c.run_uid == budget_uid)
            )
        ).one_or_none()
        if row is None:
            return
        await tx.execute(
            update(budgets)
            .where(budgets.c.run_uid == budget_uid)
            .values(spent=_sum(row.spent, amount))
        )
        budget_uid = row.above


async def open_budget(tx: AsyncConnection, uid: str, amount: Decimal) -> None:
    """Start the sum of a run with a budget whose row is open; an existing sum is kept."""
    row = (
        await tx.execute(
            select(runs.c.root_uid, runs.c.parent_uid, runs.c.name).where(runs.c.uid == uid)
        )
    ).one()
    above = await budget_of(tx, row.parent_uid) if row.parent_uid else None
    new = await insert_once(
        tx,
        budgets,
        {
            "run_uid": uid,
            "root_uid": row.root_uid,
            "above": above,
            "name": row.name,
            "amount": amount,
            "spent": Decimal(0),
        },
    )
    if new:
        await tx.execute(update(runs).where(runs.c.uid == uid).values(budget_uid=uid))


# -- read ----------------------------------------------------------------------------------------


async def budget_of(tx: AsyncConnection, uid: str) -> str | None:
    """The UID of the nearest run with a budget: the run itself, or an ancestor."""
    found = await tx.scalar(select(runs.c.budget_uid).where(runs.c.uid == uid))
    return None if found is None else str(found)


async def of_namespace(tx: AsyncConnection, namespace: str, now: datetime) -> Decimal:
    """What a namespace has spent in the month of a moment, including running work."""
    known = await tx.scalar(
        select(spending.c.cost).where(
            spending.c.namespace == namespace, spending.c.month == month_of(now)
        )
    )
    # Read after the sum: what is recorded in between is missed for a moment, never counted twice.
    running = await _running(tx)
    with localcontext(EXACT):
        return (known or Decimal(0)) + sum(
            (each.cost for each in running if each.namespace == namespace), Decimal(0)
        )


async def of_budgets(tx: AsyncConnection, budget_uid: str) -> list[Budget]:
    """The budgets that limit a run, nearest first, with the amount spent under each."""
    root = select(budgets.c.root_uid).where(budgets.c.run_uid == budget_uid).scalar_subquery()
    found = await tx.execute(select(budgets).where(budgets.c.root_uid == root))
    known = {
        row.run_uid: Budget(row.run_uid, row.above, row.name, row.amount, row.spent)
        for row in found
    }
    wanted = [each.run_uid for each in _upwards(known, budget_uid)]
    for each in await _running(tx):
        for holder in _upwards(known, each.budget_uid):
            known[holder.run_uid] = replace(holder, spent=_sum(holder.spent, each.cost))
    return [known[uid] for uid in wanted]


def _upwards(known: dict[str, Budget], uid: str | None) -> Iterator[Budget]:
    while uid is not None and uid in known:
        yield known[uid]
        uid = known[uid].above


@dataclass(frozen=True)
class _Running:
    namespace: str
    budget_uid: str | None
    cost: Decimal


async def _running(tx: AsyncConnection) -> list[_Running]:
    """Running work and its cost so far, by its last heartbeat."""
    found = await tx.execute(
        select(
            runs.c.kind,
            runs.c.namespace,
            runs.c.budget_uid,
            runs.c.active_ms,
            runs.c.started_at,
            runs.c.heard_at,
            runs.c.prices,
        ).where(runs.c.closed_at.is_(None), runs.c.started_at.is_not(None))
    )
    running = []
    for row in found:
        active_ms = row.active_ms
        if row.kind != RUN:  # a Model's server reports that it works, but not for how long
            active_ms = milliseconds((row.heard_at or row.started_at) - row.started_at)
        used = Consumption(active_ms=active_ms, started=True)
        running.append(
            _Running(row.namespace, row.budget_uid, cost(used, read_pins(json.loads(row.prices))))
        )
    return running


def _sum(one: Decimal | None, other: Decimal) -> Decimal:
    with localcontext(EXACT):
        return (one or Decimal(0)) + other
