"""Totals of trees: children, costs, and whether everything below has ended.

`downstream` of a row is the cost of everything below it, written once all of that has ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.metering import ledger, records
from mayfly.metering.ending import Outcome
from mayfly.metering.records import Correction, UsageRecord, exact_sum
from mayfly.metering.tables import MODEL, RUN, runs, usage_records


@dataclass(frozen=True)
class Below:
    """What a prediction has made, by the ledger.

    Attributes:
        children: UIDs of its own children.
        succeeded: how many of them succeeded.
        failed: how many failed.
        canceled: how many were cancelled.
        cost: of everything below, at every depth, as far as it has ended.
        settled: everything below has ended.
    """

    children: frozenset[str] = frozenset()
    succeeded: int = 0
    failed: int = 0
    canceled: int = 0
    cost: Decimal = Decimal(0)
    settled: bool = True


def _query_below() -> Select[Any]:
    columns = (runs.c.uid, runs.c.parent_uid, runs.c.downstream)
    top = runs.c.parent_uid == bindparam("top")
    tree = select(*columns).where(top).cte("tree", recursive=True)
    unsettled = tree.alias()
    tree = tree.union_all(
        select(*columns).where(
            runs.c.parent_uid == unsettled.c.uid, unsettled.c.downstream.is_(None)
        )
    )
    return (
        select(
            tree.c.uid,
            tree.c.parent_uid,
            tree.c.downstream,
            runs.c.kind,
            runs.c.outcome,
            runs.c.closed_at,
            usage_records.c.cost,
        )
        .join(runs, runs.c.uid == tree.c.uid)
        .outerjoin(usage_records, usage_records.c.run_uid == tree.c.uid)
    )


# Built once: to build a query takes longer than to execute it.
_BELOW = _query_below()
_SETTLE = update(runs).where(
    runs.c.uid == bindparam("value"), runs.c.closed_at.is_not(None), runs.c.downstream.is_(None)
)


async def below(tx: AsyncConnection, uid: str) -> Below:
    """What a prediction has made. Only unsettled branches are descended into."""
    found = await tx.execute(_BELOW, {"top": uid})
    # A prediction comes once a record: once when it has none, more often when it was corrected.
    every = found.all()
    rows = {row.uid: row for row in every}.values()
    own = [row for row in rows if row.parent_uid == uid]
    total = exact_sum(
        part
        for part in (*(row.cost for row in every), *(row.downstream for row in rows))
        if part is not None
    )
    ends = Counter(row.outcome for row in own if row.closed_at is not None)
    return Below(
        children=frozenset(row.uid for row in own),
        succeeded=ends[Outcome.SUCCEEDED.value],
        failed=ends[Outcome.FAILED.value],
        canceled=ends[Outcome.CANCELED.value],
        cost=total,
        # A call of a Model makes nothing itself.
        settled=all(
            row.closed_at is not None and (row.kind == MODEL or row.downstream is not None)
            for row in own
        ),
    )


async def is_within(tx: AsyncConnection, uid: str | None, top: str) -> bool:
    """Whether a prediction is `top` itself or anywhere below it."""
    if uid is None or uid == top:
        return uid is not None
    columns = (runs.c.uid, runs.c.parent_uid)
    chain = select(*columns).where(runs.c.uid == uid).cte("chain", recursive=True)
    lower = chain.alias()
    chain = chain.union_all(select(*columns).where(runs.c.uid == lower.c.parent_uid))
    found = await tx.execute(select(chain.c.uid).where(chain.c.parent_uid == top).limit(1))
    return found.first() is not None


async def settle(tx: AsyncConnection, uid: str, *, own: Decimal, downstream: Decimal) -> bool:
    """Settle an ended prediction whose tree has ended and whose object has the final costs.

    Args:
        tx: the transaction.
        uid: the prediction.
        own: the own cost on the object.
        downstream: the downstream cost on the object.

    Returns:
        False if these are outdated: a late call or a correction came in between.
    """
    now = await below(tx, uid)
    costs = await records.costs(tx, [uid])
    if not now.settled or (costs.get(uid), now.cost) != (own, downstream):
        return False
    done = await tx.execute(_SETTLE, {"value": uid, "downstream": downstream})
    return done.rowcount == 1


async def correct(tx: AsyncConnection, uid: str, change: Correction, at: datetime) -> UsageRecord:
    """Correct a prediction's bill by a further record, and recompute the sums above it.

    Raises:
        NotCorrectable: there is no bill yet, or it would become negative.
    """
    found = await tx.execute(select(runs.c.kind, runs.c.parent_uid).where(runs.c.uid == uid))
    row = found.one_or_none()
    record = await records.correct(tx, uid, change, at)
    # A call of a Model is never settled itself; what called it is.
    await ledger.unsettle(tx, row.parent_uid if row is not None and row.kind == MODEL else uid)
    return record


async def unsettled(tx: AsyncConnection) -> Sequence[str]:
    """UIDs of ended runs whose tree is not settled."""
    found = await tx.execute(
        select(runs.c.uid)
        .where(runs.c.closed_at.is_not(None), runs.c.downstream.is_(None), runs.c.kind == RUN)
        .order_by(runs.c.depth.desc())
    )
    return found.scalars().all()
