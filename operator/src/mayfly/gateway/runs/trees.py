"""Totals of run trees: children, outcomes and costs of a run, and when they are final.

If a run ends before its children, its object says `usage.final: false`. When the last of them has
ended, there is one more write, to the run and to every ancestor that was waiting only for that. A
corrected bill causes the same write again. In the ledger such a run is settled: its row has the
cost of everything below it, so no sum is computed twice. `tree.unsettled` finds runs whose last
write a gateway could not make.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.api.v1alpha1.pipelinerun import Children
from mayfly.database.engine import Database
from mayfly.gateway.cache.runs import Runs, Seen
from mayfly.gateway.runs import status
from mayfly.kube.client import Cluster
from mayfly.kube.errors import NotFound
from mayfly.kube.kinds import RUNS
from mayfly.metering import ledger, records, tree
from mayfly.metering.ledger import RunRow
from mayfly.metering.pricing import EXACT
from mayfly.metering.records import UsageRecord


@dataclass(frozen=True)
class Tally:
    """The totals of what a run has made.

    Attributes:
        children: its own children, counted by outcome.
        downstream: the cost of everything below it so far.
        settled: nothing below can add to it any more, unless the run itself makes something.
    """

    children: Children
    downstream: Decimal
    settled: bool

    def total(self, own: Decimal) -> Decimal:
        """The cost of the run and everything below it."""
        with localcontext(EXACT):
            return own + self.downstream


class Trees:
    """Computes the totals of trees, and writes them to the objects when they are final."""

    def __init__(self, cluster: Cluster, database: Database, runs: Runs) -> None:
        self._cluster = cluster
        self._database = database
        self._runs = runs

    async def tally(self, tx: AsyncConnection, uid: str) -> Tally:
        """The totals of a run so far: from the ledger's rows, and from runs without a row yet."""
        below = await tree.below(tx, uid)
        queued = {each.uid for each in self._runs.children_of(uid)} - below.children
        children = Children(
            total=len(below.children) + len(queued),
            succeeded=below.succeeded,
            failed=below.failed,
            canceled=below.canceled,
        )
        return Tally(children, below.cost, below.settled and not queued)

    async def finalize(self, uid: str) -> str | None:
        """Write the final totals of an ended run, if everything below it has ended.

        Returns:
            The UID of its parent, if that has ended and may have waited for this.

        Raises:
            KubeError: the object can't be written now; try again.
        """
        async with self._database.read() as tx:
            row = await ledger.find(tx, uid)
            if row is None or not row.closed:
                return None
            if not row.is_run or row.downstream is not None:
                return await _waiting_parent(tx, row)
            tally = await self.tally(tx, uid)
            bill = await records.bill(tx, uid)
        if not tally.settled or bill is None:
            return None
        await self._tell(row, bill, tally)
        async with self._database.write() as tx:
            await tree.settle(tx, uid, own=bill.cost, downstream=tally.downstream)
            return await _waiting_parent(tx, row)

    async def _tell(self, row: RunRow, bill: UsageRecord, tally: Tally) -> None:
        """Write the final totals to the object, if it still exists and does not have them."""
        try:
            seen = Seen(await self._cluster.get(RUNS, row.namespace, row.name))
            if seen.uid != row.uid:
                return  # another run has the name now
            changes = status.patch(seen, _final_status(seen, bill, tally))
            if changes is not None:
                body = await self._cluster.patch_status(RUNS, row.namespace, row.name, changes)
                self._runs.update(body)
        except NotFound:
            return


async def _waiting_parent(tx: AsyncConnection, row: RunRow) -> str | None:
    parent = await ledger.find(tx, row.parent_uid) if row.parent_uid else None
    waits = parent is not None and parent.closed and parent.downstream is None
    return row.parent_uid if waits else None


def _final_status(seen: Seen, record: UsageRecord, tally: Tally) -> dict[str, Any]:
    bill = status.Bill(
        cost=record.cost,
        currency=record.currency,
        logs_tail="",
        url="",
        children=tally.children,
        downstream=tally.downstream,
    )
    return status.tallied(seen.status, record.active_ms, bill)
