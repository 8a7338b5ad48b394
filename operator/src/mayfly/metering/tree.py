"""What predictions have made: children, costs, and whether all of it has ended.

`downstream` of a row is the cost of everything below it, written once all of that has ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.metering.ledger import Outcome
from mayfly.metering.tables import MODEL, RUN, runs, usage_records
from mayfly.metering.usage import EXACT


@dataclass(frozen=True)
class Below:
    """What a prediction has made, by the ledger.

    Attributes:
        children: UIDs of what it made itself.
        succeeded: how many of those ended well.
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


async def below(tx: AsyncConnection, uid: str) -> Below:
    """What a prediction has made. Only what is not settled is looked into deeper."""
    columns = (runs.c.uid, runs.c.parent_uid, runs.c.downstream)
    tree = select(*columns).where(runs.c.parent_uid == uid).cte("tree", recursive=True)
    unsettled = tree.alias()
    tree = tree.union_all(
        select(*columns).where(
            runs.c.parent_uid == unsettled.c.uid, unsettled.c.downstream.is_(None)
        )
    )
    found = await tx.execute(
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
    total, own = Decimal(0), []
    with localcontext(EXACT):
        for row in found:
            total += (row.cost or Decimal(0)) + (row.downstream or Decimal(0))
            if row.parent_uid == uid:
                own.append(row)
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


async def settle(tx: AsyncConnection, uid: str, downstream: Decimal) -> None:
    """Everything below a prediction that is over has ended: this is what it cost."""
    await tx.execute(
        update(runs)
        .where(runs.c.uid == uid, runs.c.closed_at.is_not(None), runs.c.downstream.is_(None))
        .values(downstream=downstream)
    )


async def unsettled(tx: AsyncConnection) -> Sequence[str]:
    """UIDs of the runs that are over and whose tree is not, or was not told to be."""
    found = await tx.execute(
        select(runs.c.uid)
        .where(runs.c.closed_at.is_not(None), runs.c.downstream.is_(None), runs.c.kind == RUN)
        .order_by(runs.c.depth.desc())
    )
    return found.scalars().all()
