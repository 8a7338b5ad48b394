"""Explains a bill: everything that a prediction's cost is made of, in order; finds it by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.database.engine import Database
from mayfly.metering import records, tree
from mayfly.metering.pricing import Charge
from mayfly.metering.records import UsageRecord, exact_sum, summed
from mayfly.metering.tables import runs, usage_records
from mayfly.turns import Turn


@dataclass(frozen=True)
class Explanation:
    """A bill and how it was computed.

    Attributes:
        bill: the prediction's own record, as written at its end.
        charges: its lines; they add up to the cost of `bill`.
        corrections: later corrections; with `bill` they add up to `cost`.
        cost: of the prediction itself.
        parts: the bill of every prediction below it, including corrections.
        downstream: the sum of `parts`.
        total: `cost` plus `downstream`.
        final: nothing below can add to it any more.
    """

    bill: UsageRecord
    charges: Sequence[Charge]
    corrections: Sequence[UsageRecord]
    cost: Decimal
    parts: Sequence[UsageRecord]
    downstream: Decimal
    total: Decimal
    final: bool


async def explain(database: Database, uid: str) -> Explanation | None:
    """Explain a prediction's bill; None before its end, or if there is no bill."""
    async with database.read(bulk=True) as tx:
        own = await records.of(tx, uid)
        if not own:
            return None
        below = await _below(tx, uid)
        final = (await tree.below(tx, uid)).settled
    cost = exact_sum(each.cost for each in own)
    downstream = exact_sum(each.cost for each in below)
    return Explanation(
        bill=own[0],
        charges=own[0].charges,
        corrections=own[1:],
        cost=cost,
        parts=below,
        downstream=downstream,
        total=exact_sum((cost, downstream)),
        final=final,
    )


class Namesake(NamedTuple):
    """A billed run of some name: UID, id, and when its bill was recorded."""

    uid: str
    id: str
    recorded_at: datetime


async def named(database: Database, namespace: str, name: str, limit: int) -> Sequence[Namesake]:
    """The billed runs that had a name in a namespace, newest first, at most `limit` of them."""
    async with database.read(bulk=True) as tx:
        found = await tx.execute(query_named(namespace, name).limit(limit))
        return [Namesake(*row) for row in found]


def query_named(namespace: str, name: str) -> Select[Any]:
    """The query of the bills of the runs that had a name; an index finds them."""
    record = usage_records.c
    return (
        select(record.run_uid, record.id, record.recorded_at)
        .where(record.namespace == namespace, record.name == name, record.corrects.is_(None))
        .order_by(record.recorded_at.desc())
    )


async def _below(tx: AsyncConnection, uid: str) -> list[UsageRecord]:
    """The bills below a prediction, in the order of recording."""
    root = await tx.scalar(select(usage_records.c.root_uid).where(usage_records.c.run_uid == uid))
    bills: dict[str, list[UsageRecord]] = {}
    made: dict[str | None, set[str]] = {}
    found = await tx.stream(select(usage_records).where(usage_records.c.root_uid == root))
    turn = Turn()
    async for row in found.mappings():
        await turn.pass_on()
        record = UsageRecord(**row)
        bills.setdefault(record.run_uid, []).append(record)
        made.setdefault(record.parent_uid, set()).add(record.run_uid)
    # What has not ended has no bill yet, and may have made what has one.
    open_rows = select(runs.c.uid, runs.c.parent_uid).where(
        runs.c.root_uid == root, runs.c.closed_at.is_(None)
    )
    for child, parent in await tx.execute(open_rows):
        made.setdefault(parent, set()).add(child)
    below: list[UsageRecord] = []
    left = [uid]
    while left:
        children = made.get(left.pop(), set())
        left += children
        for child in children:
            await turn.pass_on()
            own = sorted(bills.get(child, ()), key=lambda record: record.corrects is not None)
            below += [summed(own)] if own else []
    return sorted(below, key=lambda record: (record.recorded_at, record.record_id))
