"""Reads predictions: a row with its state, or everything that the prediction object shows.

A prediction in the ledger is read from SQL, a newer run from the watch, and a finished run that SQL
has lost from the API server. All of one prediction is read in one transaction, so its fields are
consistent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.api.v1alpha1.identity import run_id
from mayfly.api.v1alpha1.pipelinerun import Children
from mayfly.database.engine import Database
from mayfly.gateway.cache.runs import Runs, Seen
from mayfly.gateway.calls import rows as calls
from mayfly.gateway.calls.rows import Call
from mayfly.gateway.lifecycle import archive, deliveries
from mayfly.gateway.lifecycle.deliveries import Delivery
from mayfly.gateway.lifecycle.states import ENDS, State, state_of
from mayfly.gateway.runs.rows import row_of, state_of_run
from mayfly.gateway.runs.trees import Tally, Trees
from mayfly.metering import ledger, records
from mayfly.metering.ledger import RunRow
from mayfly.metering.pricing import cost

NOTHING_BELOW = Tally(Children(), Decimal(0), settled=True)


@dataclass(frozen=True)
class Prediction:
    """A prediction and its state.

    Attributes:
        row: the ledger's row, or one built from the object if the ledger has none.
        state: the status in the API.
        output: the output as JSON text; before the end, only a `Snapshot` has the items so far.
        seen: the run's object, if the watch has it.
    """

    row: RunRow
    state: State
    output: str | None
    seen: Seen | None = None

    @property
    def ended(self) -> bool:
        """Whether it has ended, so that nothing changes any more."""
        return self.state in ENDS


@dataclass(frozen=True)
class Snapshot(Prediction):
    """A prediction with everything that its object shows, at one moment.

    Attributes:
        logs: the end of its log.
        delivery: its webhook delivery, if it has one.
        cost: its own cost, once it has ended.
        tally: the runs and calls that it has made.
        call: the state of a call of a Model; None for a run.
    """

    logs: str = ""
    delivery: Delivery | None = None
    cost: Decimal | None = None
    tally: Tally = NOTHING_BELOW
    call: Call | None = None


class Snapshots:
    """Reads predictions by id, without authorization."""

    def __init__(self, database: Database, runs: Runs, trees: Trees, log_tail_bytes: int) -> None:
        self._database = database
        self._runs = runs
        self._trees = trees
        self._log_tail_bytes = log_tail_bytes

    async def prediction(self, identity: str, told: Seen | None = None) -> Prediction | None:
        """A prediction's row and state.

        Args:
            identity: its 26 characters.
            told: the run's object as the API server has it, where that was asked: it decides
                whether an end that is journalled shows though the ledger's row is open.
        """
        seen = told or self._runs.by_id(identity)
        async with self._database.read() as tx:
            found = await self._read(tx, identity, seen, told)
        return found or await self._lost(identity)

    async def snapshot(self, identity: str, told: Seen | None = None) -> Snapshot | None:
        """A prediction with everything that its object shows; `told` as for `prediction`."""
        seen = told or self._runs.by_id(identity)
        async with self._database.read() as tx:
            found = await self._read(tx, identity, seen, told)
            if found is not None:
                return await self._whole(tx, found)
        found = await self._lost(identity)
        return None if found is None else await self.whole(found)

    async def whole(self, found: Prediction) -> Snapshot:
        """A prediction that was read before, with everything that its object shows."""
        async with self._database.read() as tx:
            return await self._whole(tx, found)

    async def of_run(self, seen: Seen) -> Snapshot:
        """The prediction of a run, built from its object if nothing else knows it."""
        return await self.snapshot(run_id(seen.uid)) or await self.whole(self._of_object(seen))

    def of_new_run(self, seen: Seen) -> Snapshot:
        """The prediction of a run that was just created; reads nothing."""
        return Snapshot(row_of(seen, self._runs.root_of(seen)), State.STARTING, None, seen)

    async def _read(
        self, tx: AsyncConnection, identity: str, seen: Seen | None, told: Seen | None
    ) -> Prediction | None:
        row = await ledger.find_by_id(tx, identity)
        if row is None:
            return None if seen is None else self._of_object(seen)
        if row.journalled and told is not None and told.run.status.recorded:
            return Prediction(row, State(row.ending.outcome), row.output, seen)
        return Prediction(row, state_of(row), row.output if row.closed else None, seen)

    async def _lost(self, identity: str) -> Prediction | None:
        """A finished run that SQL has lost, from the API server."""
        seen = await self._runs.find_finished(identity)
        return None if seen is None else self._of_object(seen)

    def _of_object(self, seen: Seen) -> Prediction:
        row = row_of(seen, self._runs.root_of(seen))
        return Prediction(row, state_of_run(seen), row.output, seen)

    async def _whole(self, tx: AsyncConnection, found: Prediction) -> Snapshot:
        uid = found.row.uid
        items = None if found.ended else await archive.items(tx, uid)
        return Snapshot(
            row=found.row,
            state=found.state,
            output=found.output or items,
            seen=found.seen,
            logs=await archive.log_tail(tx, uid, self._log_tail_bytes),
            delivery=await deliveries.find(tx, uid),
            cost=(await costs(tx, [found])).get(uid),
            tally=await self._trees.tally(tx, uid) if found.row.is_run else NOTHING_BELOW,
            call=None if found.row.is_run else await calls.find(tx, uid),
        )


async def costs(tx: AsyncConnection, found: Sequence[Prediction]) -> dict[str, Decimal]:
    """The own costs of ended predictions, by UID."""
    ended = {each.row.uid: each.row for each in found if each.ended}
    if not ended:
        return {}
    recorded = await records.costs(tx, list(ended))
    # SQL has no record of a run whose end is not recorded yet, or was lost.
    return {uid: cost(row.ending.consumption, row.pins) for uid, row in ended.items()} | recorded
