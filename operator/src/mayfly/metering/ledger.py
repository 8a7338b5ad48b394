"""The ledger: a row a prediction from its first sight to its end, and one usage record at that end.

A prediction is a run of a Pipeline or a call of a Model. A run's row of `runs` is opened when the
claimed run is first seen, collects what is learned (dispatch, start, heartbeats), takes the
journalled end, and is closed once the run's object says the same. Closing writes the record into
`usage_records`: append-only, keyed by the prediction's UID, so a replay is harmless. Functions
take the connection of a transaction that the caller owns.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal, localcontext
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    String,
    Table,
    Text,
    func,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.metering.database import Exact, Instant, insert_once, metadata
from mayfly.metering.usage import EXACT, Consumption, PricePin, cost, read_pins

RUN = "run"
MODEL = "model"


class Outcome(StrEnum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class ClosedBy(StrEnum):
    """Whose word the ledger took."""

    GATEWAY = "gateway"
    CONTROLLER = "controller"
    DELETED = "deleted"


runs = Table(
    "runs",
    metadata,
    Column("uid", String(64), primary_key=True),
    Column("id", String(26), nullable=False, unique=True),
    Column("namespace", String(63), nullable=False),
    Column("name", String(253), nullable=False),
    Column("pipeline_namespace", String(63), nullable=False),
    Column("pipeline", String(253), nullable=False),
    Column("version", String(64), nullable=False),
    Column("root_uid", String(64), nullable=False, index=True),
    Column("parent_uid", String(64), index=True),
    Column("depth", Integer, nullable=False),
    Column("runtime_digest", String(512), nullable=False),
    Column("prices", Text, nullable=False),
    Column("currency", String(8), nullable=False),
    Column("input_json", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("pod_uid", String(64)),
    Column("attempt", Integer, nullable=False),
    Column("sent_at", Instant),
    Column("started_at", Instant),
    Column("active_ms", BigInteger, nullable=False),
    Column("heard_at", Instant),
    Column("outcome", String(16)),
    Column("reason", String(64)),
    Column("error", Text, nullable=False),
    Column("output", Text),
    Column("completed_at", Instant),
    Column("journalled_at", Instant),
    Column("closed_at", Instant),
    Column("closed_by", String(16)),
    Column("kind", String(8), nullable=False),
    Column("called", String(320), nullable=False),
    Column("downstream", Exact),
    Index("ix_runs_open", "closed_at"),
    Index("ix_runs_pod_uid", "pod_uid"),
    Index("ix_runs_namespace", "namespace", "created_at", "id"),
    Index("ix_runs_pipeline", "pipeline_namespace", "pipeline"),
)

usage_records = Table(
    "usage_records",
    metadata,
    Column("run_uid", String(64), primary_key=True),
    Column("id", String(26), nullable=False),
    Column("namespace", String(63), nullable=False),
    Column("name", String(253), nullable=False),
    Column("pipeline_namespace", String(63), nullable=False),
    Column("pipeline", String(253), nullable=False),
    Column("version", String(64), nullable=False),
    Column("root_uid", String(64), nullable=False, index=True),
    Column("parent_uid", String(64)),
    Column("depth", Integer, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("started", Boolean, nullable=False),
    Column("started_at", Instant),
    Column("completed_at", Instant),
    Column("active_ms", BigInteger, nullable=False),
    Column("output_items", Integer, nullable=False),
    Column("prices", Text, nullable=False),
    Column("cost", Exact, nullable=False),
    Column("currency", String(8), nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Index("ix_usage_records_namespace", "namespace", "recorded_at"),
)


@dataclass(frozen=True)
class RunRow:
    """One row of `runs`; a field is named as its column.

    Attributes:
        kind: `RUN` or `MODEL`.
        called: the name that a Model was called by; "" for runs.
        downstream: what everything below it cost, once nothing can add to it any more.
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

    @property
    def is_run(self) -> bool:
        """Whether it is a run of a Pipeline, with an object and a pod; else a call of a Model."""
        return self.kind == RUN

    @property
    def journalled(self) -> bool:
        """Whether an end is known."""
        return self.outcome is not None

    @property
    def closed(self) -> bool:
        """Whether the end is final and its usage recorded."""
        return self.closed_at is not None

    @property
    def pins(self) -> tuple[PricePin, ...]:
        """The prices that were pinned when the row was opened."""
        return read_pins(json.loads(self.prices))


@dataclass(frozen=True)
class Ending:
    """The end of a run: what goes into the journal and, as it stands, onto the object."""

    outcome: Outcome
    reason: str
    error: str = ""
    output: str | None = field(default=None, repr=False)
    started_at: datetime | None = None
    completed_at: datetime | None = None
    active_ms: int = 0

    @classmethod
    def of(cls, row: RunRow) -> Ending:
        """The end that a row's journal holds.

        Raises:
            ValueError: the row has none.
        """
        return cls(
            outcome=Outcome(row.outcome or ""),
            reason=row.reason or "",
            error=row.error,
            output=row.output,
            started_at=row.started_at,
            completed_at=row.completed_at,
            active_ms=row.active_ms,
        )

    @property
    def consumption(self) -> Consumption:
        """What is billed for a run with this end."""
        return Consumption(
            active_ms=self.active_ms,
            started=self.started_at is not None,
            succeeded=self.outcome is Outcome.SUCCEEDED,
            output_items=_items(self.output),
        )


def _items(output: str | None) -> int:
    if output is None:
        return 0
    value = json.loads(output)
    return len(value) if isinstance(value, list) else int(value is not None)


async def open_run(tx: AsyncConnection, row: RunRow) -> bool:
    """Open a run's row; a row that is there stays. Returns whether it is new."""
    new = await insert_once(tx, runs, {each.name: getattr(row, each.name) for each in fields(row)})
    if new:
        await _unsettle(tx, row.parent_uid)
    return new


async def _unsettle(tx: AsyncConnection, uid: str | None) -> None:
    """A call that was on its way when its caller ended adds to what was thought to be settled."""
    while uid is not None:
        done = await tx.execute(
            update(runs)
            .where(runs.c.uid == uid, runs.c.downstream.is_not(None))
            .values(downstream=None)
        )
        if done.rowcount == 0:
            return
        uid = await tx.scalar(select(runs.c.parent_uid).where(runs.c.uid == uid))


async def find(tx: AsyncConnection, uid: str) -> RunRow | None:
    """The row of a run by UID."""
    return await _one(tx, runs.c.uid == uid)


async def find_by_id(tx: AsyncConnection, run_id: str) -> RunRow | None:
    """The row of a run by its 26-character id."""
    return await _one(tx, runs.c.id == run_id)


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


@dataclass(frozen=True)
class Span:
    """Which predictions of a list are wanted: newest first, by creation and id.

    Attributes:
        namespace: whose; None for every namespace.
        root_uid: only this tree; None for all.
        before: older than this (created_at, id); None from the newest on.
        created_after: created at this moment or later.
        created_before: created before this moment.
        limit: at most so many.
    """

    namespace: str | None = None
    root_uid: str | None = None
    before: tuple[datetime, str] | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    limit: int = 100

    def holds(self, row: RunRow) -> bool:
        """Whether a row belongs to it, its limit aside."""
        return (
            self.namespace in {None, row.namespace}
            and self.root_uid in {None, row.root_uid}
            and (self.before is None or (row.created_at, row.id) < self.before)
            and (self.created_after is None or row.created_at >= self.created_after)
            and (self.created_before is None or row.created_at < self.created_before)
        )


async def page(tx: AsyncConnection, span: Span) -> Sequence[RunRow]:
    """Rows of a span."""
    wanted = select(runs).order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(span.limit)
    if span.namespace is not None:
        wanted = wanted.where(runs.c.namespace == span.namespace)
    if span.root_uid is not None:
        wanted = wanted.where(runs.c.root_uid == span.root_uid)
    if span.before is not None:
        moment, identity = span.before
        wanted = wanted.where(
            (runs.c.created_at < moment) | ((runs.c.created_at == moment) & (runs.c.id < identity))
        )
    if span.created_after is not None:
        wanted = wanted.where(runs.c.created_at >= span.created_after)
    if span.created_before is not None:
        wanted = wanted.where(runs.c.created_at < span.created_before)
    found = await tx.execute(wanted)
    return [RunRow(**each) for each in found.mappings()]


async def count_calls(
    tx: AsyncConnection, keys: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """How many predictions there were of Pipelines and Models, by namespace and name."""
    found: dict[tuple[str, str], int] = {}
    key = (runs.c.pipeline_namespace, runs.c.pipeline)
    for start in range(0, len(keys), 200):
        batch = tuple_(*key).in_(keys[start : start + 200])
        counted = await tx.execute(select(*key, func.count()).where(batch).group_by(*key))
        found |= {(namespace, name): count for namespace, name, count in counted}
    return found


async def known(tx: AsyncConnection, uids: Sequence[str]) -> set[str]:
    """Those of some UIDs that have a row."""
    found: set[str] = set()
    for start in range(0, len(uids), 500):
        batch = select(runs.c.uid).where(runs.c.uid.in_(uids[start : start + 500]))
        found.update((await tx.execute(batch)).scalars())
    return found


async def begun(tx: AsyncConnection, uids: Sequence[str]) -> set[str]:
    """Those of some UIDs whose code has started, or that have an end."""
    found: set[str] = set()
    for start in range(0, len(uids), 500):
        batch = select(runs.c.uid).where(
            runs.c.uid.in_(uids[start : start + 500]),
            runs.c.started_at.is_not(None) | runs.c.outcome.is_not(None),
        )
        found.update((await tx.execute(batch)).scalars())
    return found


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


async def versions_in_use(tx: AsyncConnection) -> Sequence[str]:
    """Versions of Models that predictions name that have not ended."""
    found = await tx.execute(
        select(runs.c.version).where(runs.c.closed_at.is_(None), runs.c.kind == MODEL).distinct()
    )
    return found.scalars().all()


async def kept_texts(tx: AsyncConnection, mark: str, ended_after: datetime) -> AsyncIterator[str]:
    """Inputs and outputs that hold a mark, of predictions that are still of interest.

    Args:
        tx: the transaction.
        mark: a text without wildcards of SQL.
        ended_after: those that have not ended, those of trees that have not, and those that ended
            after this moment.
    """
    open_trees = select(runs.c.root_uid).where(runs.c.closed_at.is_(None))
    for text in (runs.c.input_json, runs.c.output):
        wanted = select(text).where(
            text.contains(mark),
            runs.c.closed_at.is_(None)
            | (runs.c.closed_at > ended_after)
            | runs.c.root_uid.in_(open_trees),
        )
        async for row in await tx.stream(wanted):
            yield row[0]


async def _one(tx: AsyncConnection, condition: Any) -> RunRow | None:
    found = (await tx.execute(select(runs).where(condition))).mappings().one_or_none()
    return None if found is None else RunRow(**found)


async def note_dispatch(
    tx: AsyncConnection, uid: str, *, pod_uid: str, attempt: int, sent_at: datetime | None
) -> None:
    """Remember which pod a run was claimed for and when its work was first sent there."""
    await tx.execute(
        update(runs)
        .where(runs.c.uid == uid, runs.c.outcome.is_(None), runs.c.closed_at.is_(None))
        .where((runs.c.attempt != attempt) | runs.c.sent_at.is_(None))
        .values(pod_uid=pod_uid, attempt=attempt, sent_at=sent_at)
    )


async def note_start(tx: AsyncConnection, uid: str, started_at: datetime) -> None:
    """Remember when main() was called; the first word stands."""
    await tx.execute(
        update(runs)
        .where(runs.c.uid == uid, runs.c.started_at.is_(None), runs.c.outcome.is_(None))
        .values(started_at=started_at, heard_at=started_at)
    )


async def note_heartbeat(tx: AsyncConnection, uid: str, active_ms: int, heard_at: datetime) -> None:
    """Remember how long a run has worked; a late heartbeat takes nothing back."""
    await tx.execute(
        update(runs)
        .where(runs.c.uid == uid, runs.c.outcome.is_(None), runs.c.active_ms <= active_ms)
        .values(active_ms=active_ms, heard_at=heard_at)
    )


def _journal_values(ending: Ending, at: datetime) -> dict[str, Any]:
    return {
        "outcome": ending.outcome.value,
        "reason": ending.reason,
        "error": ending.error,
        "output": ending.output,
        "started_at": ending.started_at,
        "completed_at": ending.completed_at,
        "active_ms": ending.active_ms,
        "journalled_at": at,
    }


async def journal(tx: AsyncConnection, uid: str, ending: Ending, at: datetime) -> bool:
    """Write a run's end down before anyone is told. The first end stands.

    Returns:
        False when the row has an end already, is closed, or does not exist.
    """
    done = await tx.execute(
        update(runs)
        .where(runs.c.uid == uid, runs.c.outcome.is_(None), runs.c.closed_at.is_(None))
        .values(**_journal_values(ending, at))
    )
    return done.rowcount == 1


async def rejournal(tx: AsyncConnection, uid: str, ending: Ending, at: datetime) -> None:
    """Replace a journalled end by the one that the run's object took first."""
    await tx.execute(
        update(runs)
        .where(runs.c.uid == uid, runs.c.closed_at.is_(None))
        .values(**_journal_values(ending, at), closed_by=ClosedBy.CONTROLLER.value)
    )


async def close(
    tx: AsyncConnection, row: RunRow, ending: Ending, *, by: ClosedBy, at: datetime
) -> Decimal:
    """Make an end final: the row takes it, and the run's usage record is written, once.

    Args:
        tx: the transaction.
        row: the run's row, as last read.
        ending: the end that the object carries.
        by: whose word it is.
        at: the gateway's clock.

    Returns:
        The run's own cost.
    """
    used = ending.consumption
    price = cost(used, row.pins)
    await tx.execute(
        update(runs)
        .where(runs.c.uid == row.uid, runs.c.closed_at.is_(None))
        .values(
            **_journal_values(ending, row.journalled_at or at), closed_at=at, closed_by=by.value
        )
    )
    await insert_once(
        tx,
        usage_records,
        {
            "run_uid": row.uid,
            "id": row.id,
            "namespace": row.namespace,
            "name": row.name,
            "pipeline_namespace": row.pipeline_namespace,
            "pipeline": row.pipeline,
            "version": row.version,
            "root_uid": row.root_uid,
            "parent_uid": row.parent_uid,
            "depth": row.depth,
            "outcome": ending.outcome.value,
            "reason": ending.reason,
            "started": used.started,
            "started_at": ending.started_at,
            "completed_at": ending.completed_at,
            "active_ms": used.active_ms,
            "output_items": used.output_items,
            "prices": row.prices,
            "cost": price,
            "currency": row.currency,
            "recorded_at": at,
        },
    )
    return price


async def usage_of(tx: AsyncConnection, uid: str) -> dict[str, Any] | None:
    """A run's usage record."""
    found = await tx.execute(select(usage_records).where(usage_records.c.run_uid == uid))
    row = found.mappings().one_or_none()
    return None if row is None else dict(row)
