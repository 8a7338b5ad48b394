"""Daily sums of usage records, kept beside them, so that a report does not read every record.

A record and its corrections are added in the transaction that writes them, so the sums are exact
at every moment, and each record is in them once. A day is one in UTC, of `recorded_at`. The parts
of a span that are no whole days are read from the records.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import BigInteger, Column, Row, Select, String, Table, and_, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.api.v1alpha1.identity import run_id
from mayfly.api.v1alpha1.names import INLINE
from mayfly.database.engine import Exact, metadata
from mayfly.metering.pricing import EXACT
from mayfly.metering.tables import usage_records

if TYPE_CHECKING:
    from mayfly.metering.records import UsageRecord

BATCH = 1000
"""Number of rows that are fetched at once; other work goes on in between."""

usage_days = Table(
    "usage_days",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("namespace", String(63), primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("model", String(320), primary_key=True),
    Column("currency", String(8), primary_key=True),
    Column("predictions", BigInteger, nullable=False),
    Column("active_ms", BigInteger, nullable=False),
    Column("output_items", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost", Exact, nullable=False),
)


class Sum(NamedTuple):
    """The sum of some records that belong together; the fields are those of `usage_days`, in order.

    Attributes:
        day: of `recorded_at`, in UTC: "2026-11-05".
        model: what was called, by `called_model`.
        predictions: how many bills; corrections are none.
        tree: the id of the root; "" where records of several trees are summed.
    """

    day: str
    namespace: str
    kind: str
    model: str
    currency: str
    predictions: int
    active_ms: int
    output_items: int
    input_tokens: int
    output_tokens: int
    cost: Decimal
    tree: str = ""


@dataclass(frozen=True)
class Split:
    """A span in whole days and the rest.

    Attributes:
        days: the first day and the first one after the last, each None where there is no bound;
            None if there is no whole day.
        rest: spans of moments before and after them: from (inclusive), to (exclusive).
    """

    days: tuple[str | None, str | None] | None
    rest: tuple[tuple[datetime | None, datetime | None], ...]


def split(since: datetime | None, until: datetime | None) -> Split:
    """Split a span into whole days, whose sums are kept, and the rest."""
    first = None if since is None else _day_from(since)
    end = None if until is None else _midnight(until)
    if (since and not first) or (first and end and first >= end):
        return Split(None, ((since, until),))
    before = ((since, first),) if since != first else ()
    after = ((end, until),) if until != end else ()
    days = (day_of(first) if first else None, day_of(end) if end else None)
    return Split(days, (*before, *after))


def day_of(moment: datetime) -> str:
    """The day of a moment, UTC: "2026-11-05"."""
    return moment.astimezone(UTC).date().isoformat()


def _midnight(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _day_from(moment: datetime) -> datetime | None:
    """The first midnight from a moment on; None if the calendar ends before it."""
    before = _midnight(moment)
    if before == moment:
        return before
    return None if before.date() == date.max else before + timedelta(days=1)


async def add(tx: AsyncConnection, record: UsageRecord) -> None:
    """Add a new usage record to its day, in the transaction that writes it."""
    place = {
        "day": day_of(record.recorded_at),
        "namespace": record.namespace,
        "kind": record.kind,
        "model": record.model,
        "currency": record.currency,
    }
    amounts = {
        "predictions": int(record.corrects is None),
        "active_ms": record.active_ms,
        "output_items": record.output_items,
        "input_tokens": record.input_tokens,
        "output_tokens": record.output_tokens,
    }
    here = and_(*(usage_days.c[name] == value for name, value in place.items()))
    cost = await tx.scalar(select(usage_days.c.cost).where(here))
    if cost is None:
        await tx.execute(insert(usage_days).values(**place, **amounts, cost=record.cost))
        return
    more = {name: usage_days.c[name] + amount for name, amount in amounts.items()}
    cost = EXACT.add(cost, record.cost)
    await tx.execute(update(usage_days).where(here).values(**more, cost=cost))


async def find(
    tx: AsyncConnection,
    since: datetime | None,
    until: datetime | None,
    namespace: str | None,
    *,
    trees: bool,
) -> AsyncGenerator[list[Sum], None]:
    """Sums that add up to those of a span's records, in batches.

    Args:
        tx: a transaction.
        since: from this `recorded_at` on; None for the first record.
        until: before this; None for all after it.
        namespace: who pays; None for all.
        trees: whether each belongs to one tree: then every record is read.
    """
    parts = Split(None, ((since, until),)) if trees else split(since, until)
    queries = [] if parts.days is None else [(query_days(*parts.days, namespace), _of_day)]
    queries += [(query_rest(start, end, namespace), _of_record) for start, end in parts.rest]
    for query, read in queries:
        found = await tx.stream(query.execution_options(yield_per=BATCH))
        try:
            async for batch in found.partitions():
                yield [read(row) for row in batch]
        finally:
            await found.close()


def query_days(first: str | None, end: str | None, namespace: str | None) -> Select[Any]:
    """The query of daily sums, from a day (inclusive) to another (exclusive)."""
    wanted = select(usage_days)
    if first is not None:
        wanted = wanted.where(usage_days.c.day >= first)
    if end is not None:
        wanted = wanted.where(usage_days.c.day < end)
    if namespace is not None:
        wanted = wanted.where(usage_days.c.namespace == namespace)
    return wanted


def query_rest(
    since: datetime | None, until: datetime | None, namespace: str | None
) -> Select[Any]:
    """The query of what is summed of records, from a moment (inclusive) to another (exclusive)."""
    record = usage_records.c
    place = (record.namespace, record.kind, record.pipeline_namespace, record.pipeline)
    what = (record.called, record.root_uid, record.recorded_at, record.currency, record.corrects)
    amounts = (record.active_ms, record.output_items, record.input_tokens, record.output_tokens)
    wanted = select(*place, *what, *amounts, record.cost)
    if since is not None:
        wanted = wanted.where(record.recorded_at >= since)
    if until is not None:
        wanted = wanted.where(record.recorded_at < until)
    if namespace is not None:
        wanted = wanted.where(record.namespace == namespace)
    return wanted


def _of_day(row: Any) -> Sum:
    return Sum(*row)


def _of_record(row: Row[Any]) -> Sum:
    return Sum(
        day=day_of(row.recorded_at),
        namespace=row.namespace,
        kind=row.kind,
        model=called_model(row.called, row.pipeline_namespace, row.pipeline),
        currency=row.currency,
        predictions=int(row.corrects is None),
        active_ms=row.active_ms,
        output_items=row.output_items,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cost=row.cost,
        tree=run_id(row.root_uid),
    )


def called_model(called: str, pipeline_namespace: str, pipeline: str) -> str:
    """What was called, as owner/name; `(inline)` for runs that bring their own source."""
    if called or not pipeline:
        return called or INLINE
    return f"{pipeline_namespace}/{pipeline}"
