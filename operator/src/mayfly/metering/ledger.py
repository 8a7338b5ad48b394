"""The ledger: one row per prediction, and one usage record at its end.

A prediction is a run of a Pipeline or a call of a Model. A run's row in `runs` is opened when the
claimed run is first seen. It is updated on dispatch, start and heartbeats, takes the journalled
end, and is closed once the run's object has the same end. Closing writes the record into
`usage_records` (see `records`), keyed by the prediction's UID, so a replay has no effect. Functions
take the connection of the caller's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import Select, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.database.engine import insert_once
from mayfly.metering import records, spending, sums
from mayfly.metering.ending import Ending, Outcome
from mayfly.metering.pricing import PricePin, cost, read_pins
from mayfly.metering.records import UsageRecord
from mayfly.metering.tables import RUN, call_counts, runs


class ClosedBy(StrEnum):
    """Who reported the end that the ledger recorded."""

    GATEWAY = "gateway"
    CONTROLLER = "controller"
    DELETED = "deleted"


@dataclass(frozen=True)
class RunRow:
    """One row of `runs`; the fields are named like the columns.

    Attributes:
        kind: `RUN` or `MODEL`.
        called: the name that a Model was called by; "" for runs.
        downstream: the cost of everything below it, once that is final.
        flags: JSON list of flags of contradicting clocks.
        budget_uid: the nearest run with a budget, itself or above it.
        data_removed: its retention has passed: input, output, error, log and files are removed.
        created_by: who asked for it, by name; for display only.
    """

    uid: str
    id: str
    namespace: str
    name: str
    pipeline_namespace: str
    pipeline: str
    version: str
    root_uid: str
    parent_uid: str | None
    depth: int
    runtime_digest: str
    prices: str
    currency: str
    input_json: str
    created_at: datetime
    opened_at: datetime
    pod_uid: str | None = None
    attempt: int = 0
    sent_at: datetime | None = None
    started_at: datetime | None = None
    active_ms: int = 0
    heard_at: datetime | None = None
    outcome: str | None = None
    reason: str | None = None
    error: str = ""
    output: str | None = None
    completed_at: datetime | None = None
    journalled_at: datetime | None = None
    closed_at: datetime | None = None
    closed_by: str | None = None
    kind: str = RUN
    called: str = ""
    downstream: Decimal | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    flags: str = "[]"
    budget_uid: str | None = None
    data_removed: bool = False
    created_by: str | None = None

    @property
    def is_run(self) -> bool:
        """Whether it is a run of a Pipeline, with an object and a pod; otherwise a call."""
        return self.kind == RUN

    @property
    def model(self) -> str:
        """What was called, by `sums.called_model`."""
        return sums.called_model(self.called, self.pipeline_namespace, self.pipeline)

    @property
    def journalled(self) -> bool:
        """Whether an end is known."""
        return self.outcome is not None

    @property
    def closed(self) -> bool:
        """Whether the end is final and its usage recorded."""
        return self.closed_at is not None

    @property
    def settled(self) -> bool:
        """Whether the end is final, and everything below it too."""
        return self.closed and self.downstream is not None

    @property
    def pins(self) -> tuple[PricePin, ...]:
        """The prices that were pinned when the row was opened."""
        return read_pins(json.loads(self.prices))

    @property
    def ending(self) -> Ending:
        """The journalled end.

        Raises:
            ValueError: there is none.
        """
        return Ending(
            outcome=Outcome(self.outcome or ""),
            reason=self.reason or "",
            error=self.error,
            output=self.output,
            started_at=self.started_at,
            completed_at=self.completed_at,
            active_ms=self.active_ms,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            flags=self.flags,
        )


# Built once: to build a query of so many columns takes longer than to execute it.
_BY_UID = select(runs).where(runs.c.uid == bindparam("value"))
_BY_ID = select(runs).where(runs.c.id == bindparam("value"))
_CLOSE = update(runs).where(runs.c.uid == bindparam("value"), runs.c.closed_at.is_(None))
_JOURNAL = _CLOSE.where(runs.c.outcome.is_(None))
_DISPATCH = _JOURNAL.where((runs.c.attempt != bindparam("known")) | runs.c.sent_at.is_(None))
_UNENDED = update(runs).where(runs.c.uid == bindparam("value"), runs.c.outcome.is_(None))
_START = _UNENDED.where(runs.c.started_at.is_(None))
_HEARTBEAT = _UNENDED.where(runs.c.active_ms <= bindparam("now"))


async def open_run(tx: AsyncConnection, row: RunRow) -> bool:
    """Open a run's row; an existing row is not changed. Returns whether it is new.

    A run without a budget of its own is limited by its parent's.
    """
    values = {each.name: getattr(row, each.name) for each in fields(row)}
    if row.budget_uid is None and row.parent_uid is not None:
        values["budget_uid"] = await spending.budget_of(tx, row.parent_uid)
    new = await insert_once(tx, runs, values)
    if new:
        # A call that was on its way when its caller ended adds to what was thought to be settled.
        await unsettle(tx, row.parent_uid)
        await _count_call(tx, row.pipeline_namespace, row.pipeline)
    return new


async def _count_call(tx: AsyncConnection, namespace: str, name: str) -> None:
    if not name:
        return  # an inline run is of no Pipeline
    await insert_once(tx, call_counts, {"namespace": namespace, "name": name, "calls": 0})
    await tx.execute(
        update(call_counts)
        .where(call_counts.c.namespace == namespace, call_counts.c.name == name)
        .values(calls=call_counts.c.calls + 1)
    )


async def unsettle(tx: AsyncConnection, uid: str | None) -> None:
    """Mark a prediction and its ancestors as unsettled, because their sums may change."""
    while uid is not None:
        found = await tx.execute(
            select(runs.c.parent_uid, runs.c.downstream).where(runs.c.uid == uid)
        )
        row = found.one_or_none()
        if row is None or row.downstream is None:
            return
        await tx.execute(update(runs).where(runs.c.uid == uid).values(downstream=None))
        uid = row.parent_uid


async def find(tx: AsyncConnection, uid: str) -> RunRow | None:
    """The row of a run by UID."""
    return await _one(tx, _BY_UID, uid)


async def find_by_id(tx: AsyncConnection, run_id: str) -> RunRow | None:
    """The row of a run by its 26-character id."""
    return await _one(tx, _BY_ID, run_id)


async def find_by_pod(tx: AsyncConnection, pod_uid: str) -> Sequence[RunRow]:
    """Rows of every run that a pod was claimed for."""
    found = await tx.execute(select(runs).where(runs.c.pod_uid == pod_uid))
    return [RunRow(**each) for each in found.mappings()]


async def unclosed(tx: AsyncConnection, kind: str = RUN) -> Sequence[str]:
    """UIDs of the predictions of a kind whose end is not final, oldest first."""
    found = await tx.execute(
        select(runs.c.uid)
        .where(runs.c.closed_at.is_(None), runs.c.kind == kind)
        .order_by(runs.c.opened_at)
    )
    return found.scalars().all()


async def unrecorded(tx: AsyncConnection) -> tuple[int, datetime | None]:
    """How many ends are journalled and not final, and when the oldest was journalled."""
    found = await tx.execute(
        select(func.count(), func.min(runs.c.journalled_at)).where(
            runs.c.closed_at.is_(None), runs.c.journalled_at.is_not(None)
        )
    )
    count, oldest = found.one()
    return int(count), oldest


async def known(tx: AsyncConnection, uids: Sequence[str]) -> set[str]:
    """Those of the UIDs that have a row."""
    found: set[str] = set()
    for start in range(0, len(uids), 500):
        batch = select(runs.c.uid).where(runs.c.uid.in_(uids[start : start + 500]))
        found.update((await tx.execute(batch)).scalars())
    return found


async def begun(tx: AsyncConnection, uids: Sequence[str]) -> set[str]:
    """Those of the UIDs whose code has started, or that have an end."""
    found: set[str] = set()
    for start in range(0, len(uids), 500):
        batch = select(runs.c.uid).where(
            runs.c.uid.in_(uids[start : start + 500]),
            runs.c.started_at.is_not(None) | runs.c.outcome.is_not(None),
        )
        found.update((await tx.execute(batch)).scalars())
    return found


async def _one(tx: AsyncConnection, query: Select[Any], value: str) -> RunRow | None:
    found = (await tx.execute(query, {"value": value})).mappings().one_or_none()
    return None if found is None else RunRow(**found)


async def note_dispatch(
    tx: AsyncConnection, uid: str, *, pod_uid: str, attempt: int, sent_at: datetime | None
) -> None:
    """Record which pod a run was claimed for, and when its work was first sent there."""
    values = {"pod_uid": pod_uid, "attempt": attempt, "sent_at": sent_at}
    await tx.execute(_DISPATCH, {"value": uid, "known": attempt, **values})


async def note_start(tx: AsyncConnection, uid: str, started_at: datetime) -> None:
    """Record when main() was called; the first report counts."""
    await tx.execute(_START, {"value": uid, "started_at": started_at, "heard_at": started_at})


async def note_heartbeat(tx: AsyncConnection, uid: str, active_ms: int, heard_at: datetime) -> None:
    """Record how long a run has worked; a late heartbeat does not decrease it."""
    values = {"active_ms": active_ms, "heard_at": heard_at}
    await tx.execute(_HEARTBEAT, {"value": uid, "now": active_ms, **values})


def _journal_values(ending: Ending, at: datetime) -> dict[str, Any]:
    return {
        "outcome": ending.outcome.value,
        "reason": ending.reason,
        "error": ending.error,
        "output": ending.output,
        "started_at": ending.started_at,
        "completed_at": ending.completed_at,
        "active_ms": ending.active_ms,
        "input_tokens": ending.input_tokens,
        "output_tokens": ending.output_tokens,
        "flags": ending.flags,
        "journalled_at": at,
    }


async def journal(tx: AsyncConnection, uid: str, ending: Ending, at: datetime) -> bool:
    """Journal a run's end before it is published. The first end wins.

    Returns:
        False if the row has an end already, is closed, or does not exist.
    """
    done = await tx.execute(_JOURNAL, {"value": uid, **_journal_values(ending, at)})
    return done.rowcount == 1


async def rejournal(tx: AsyncConnection, uid: str, ending: Ending, at: datetime) -> None:
    """Replace a journalled end by the one that won on the run's object."""
    by = ClosedBy.CONTROLLER.value
    await tx.execute(_CLOSE, {"value": uid, **_journal_values(ending, at), "closed_by": by})


async def close(
    tx: AsyncConnection, row: RunRow, ending: Ending, *, by: ClosedBy, at: datetime
) -> Decimal:
    """Make an end final: update the row, and write the run's usage record, once.

    Args:
        tx: the transaction.
        row: the run's row, as last read.
        ending: the end on the object.
        by: who reported it.
        at: the gateway's clock.

    Returns:
        The run's own cost.
    """
    record = _record(row, ending, at)
    values = _journal_values(ending, row.journalled_at or at)
    await tx.execute(_CLOSE, {"value": row.uid, **values, "closed_at": at, "closed_by": by.value})
    await records.add(tx, record)
    return record.cost


def _record(row: RunRow, ending: Ending, at: datetime) -> UsageRecord:
    used = ending.consumption
    return UsageRecord(
        record_id=row.uid,
        run_uid=row.uid,
        kind=row.kind,
        id=row.id,
        namespace=row.namespace,
        name=row.name,
        pipeline_namespace=row.pipeline_namespace,
        pipeline=row.pipeline,
        called=row.called,
        version=row.version,
        runtime_digest=row.runtime_digest,
        root_uid=row.root_uid,
        parent_uid=row.parent_uid,
        depth=row.depth,
        outcome=ending.outcome.value,
        reason=ending.reason,
        started=used.started,
        started_at=ending.started_at,
        completed_at=ending.completed_at,
        active_ms=used.active_ms,
        output_items=used.output_items,
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        prices=row.prices,
        cost=cost(used, row.pins),
        currency=row.currency,
        flags=ending.flags,
        recorded_at=at,
    )
