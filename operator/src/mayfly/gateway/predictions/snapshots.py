"""Reads predictions: a row with its state, or all that the prediction object shows.

A prediction that the ledger knows is read from SQL; a run that is newer than that from the watch;
a finished one that SQL has lost from the API server. All that is read of one prediction comes
from one transaction, so its members are of the same moment.
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
        row: the ledger's row, or one made of the object where the ledger has none.
        state: the word of the API.
        output: the output's JSON text: whole at the end, the items so far before it.
        seen: the run's object, where the watch has it.
    """

    row: RunRow
    state: State
    output: str | None
    seen: Seen | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing about it changes any more."""
        return self.state in ENDS


@dataclass(frozen=True)
class Snapshot(Prediction):
    """A prediction with all that its object shows, at one moment.

    Attributes:
        logs: the end of its log.
        delivery: what its receiver is owed, if it has one.
        cost: its own cost, once it has ended.
        tally: what it has made.
        call: how far a call of a Model is; None for a run.
    """

    logs: str = ""
    delivery: Delivery | None = None
    cost: Decimal | None = None
    tally: Tally = NOTHING_BELOW
    call: Call | None = None


class Snapshots:
    """Reads predictions by their ids, for whoever may read them."""

    def __init__(self, database: Database, runs: Runs, trees: Trees, log_tail_bytes: int) -> None:
        self._database = database
        self._runs = runs
        self._trees = trees
        self._log_tail_bytes = log_tail_bytes

    async def prediction(self, identity: str, told: Seen | None = None) -> Prediction | None:
        """A prediction without what only its object shows.

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
        """A prediction with all that its object shows; `told` as for `prediction`."""
        seen = told or self._runs.by_id(identity)
        async with self._database.read() as tx:
            found = await self._read(tx, identity, seen, told)
            if found is not None:
                return await self._whole(tx, found)
        found = await self._lost(identity)
        return None if found is None else await self.whole(found)

    async def whole(self, found: Prediction) -> Snapshot:
        """A prediction that was read, with all that its object shows beside it."""
        async with self._database.read() as tx:
            return await self._whole(tx, found)

    async def of_run(self, seen: Seen) -> Snapshot:
        """The prediction that a run is, by its object where nothing else knows it."""
        return await self.snapshot(run_id(seen.uid)) or await self.whole(self._of_object(seen))

    def of_new_run(self, seen: Seen) -> Snapshot:
        """The prediction that a run is which was made just now: nothing is read."""
        return Snapshot(row_of(seen, self._runs.root_of(seen)), State.STARTING, None, seen)

    async def _read(
        self, tx: AsyncConnection, identity: str, seen: Seen | None, told: Seen | None
    ) -> Prediction | None:
        row = await ledger.find_by_id(tx, identity)
        if row is None:
            return None if seen is None else self._of_object(seen)
        if row.journalled and told is not None and told.run.status.recorded:
            return Prediction(row, State(row.ending.outcome), row.output, seen)
        output = row.output if row.closed else await archive.items(tx, row.uid)
        return Prediction(row, state_of(row), output, seen)

    async def _lost(self, identity: str) -> Prediction | None:
        """A finished run that only the API server knows."""
        seen = await self._runs.find_finished(identity)
        return None if seen is None else self._of_object(seen)

    def _of_object(self, seen: Seen) -> Prediction:
        row = row_of(seen, self._runs.root_of(seen))
        return Prediction(row, state_of_run(seen), row.output, seen)

    async def _whole(self, tx: AsyncConnection, found: Prediction) -> Snapshot:
        uid = found.row.uid
        return Snapshot(
            row=found.row,
            state=found.state,
            output=found.output,
            seen=found.seen,
            logs=await archive.log_tail(tx, uid, self._log_tail_bytes),
            delivery=await deliveries.find(tx, uid),
            cost=(await costs(tx, [found])).get(uid),
            tally=await self._trees.tally_in(tx, uid) if found.row.is_run else NOTHING_BELOW,
            call=None if found.row.is_run else await calls.find(tx, uid),
        )


async def costs(tx: AsyncConnection, found: Sequence[Prediction]) -> dict[str, Decimal]:
    """What predictions that have ended cost themselves, by their UIDs."""
    ended = {each.row.uid: each.row for each in found if each.ended}
    if not ended:
        return {}
    recorded = await records.costs(tx, list(ended))
    # SQL has none of a run whose end was not recorded yet, or that it lost.
    return {uid: cost(row.ending.consumption, row.pins) for uid, row in ended.items()} | recorded
