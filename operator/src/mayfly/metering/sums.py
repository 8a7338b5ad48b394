"""Daily sums of usage records, kept beside them, so that a report does not read every record.

A record and its corrections are added in the transaction that writes them, so the sums are exact
at every moment, and each record is in them once. A day is one in UTC, of `recorded_at`. The parts
of a span that are no whole days are read from the records. Whatever is read is added up by the
database, into no more rows than the report tells apart.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Insert,
    Select,
    String,
    Table,
    case,
    cast,
    func,
    literal,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.api.v1alpha1.names import INLINE
from mayfly.database.engine import insert_of, metadata
from mayfly.database.exact import Exact, Plus, Total
from mayfly.metering.tables import usage_records

if TYPE_CHECKING:
    from mayfly.metering.records import UsageRecord

BATCH = 100
"""Number of rows that are fetched at once; other work goes on in between, and waits for each."""

COUNTS = ("predictions", "active_ms", "output_items", "input_tokens", "output_tokens")


def _amounts() -> list[Column[Any]]:
    counts = (Column(name, BigInteger, nullable=False) for name in COUNTS)
    return [*counts, Column("cost", Exact, nullable=False)]


usage_days = Table(
    "usage_days",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("namespace", String(63), primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("model", String(320), primary_key=True),
    Column("currency", String(8), primary_key=True),
    *_amounts(),
)

usage_trees = Table(
    "usage_trees",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("root_uid", String(64), primary_key=True),
    Column("namespace", String(63), primary_key=True),
    Column("currency", String(8), primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("model", String(320), primary_key=True),
    *_amounts(),
)
"""The same for each tree, in the order in which a report by tree reads them (in SQLite without
row ids, which only the migration says: to say it here would load its dialect at each start)."""


class Sum(NamedTuple):
    """The sum of some records. What they are not told apart by is "", but for the currency.

    Attributes:
        day: of `recorded_at`, in UTC: "2026-11-05".
        model: what was called, by `called_model`.
        root_uid: of their tree.
        predictions: how many bills; corrections are none.
    """

    day: str
    namespace: str
    kind: str
    model: str
    currency: str
    root_uid: str
    predictions: int
    active_ms: int
    output_items: int
    input_tokens: int
    output_tokens: int
    cost: Decimal


@dataclass(frozen=True)
class Split:
    """A span in whole days and the rest.

    Attributes:
        days: the first day and the first one after the last, each None where there is no bound;
            None if there is no whole day.
        rest: spans of moments of one day, before and after them: from (inclusive), to (exclusive).
    """

    days: tuple[str | None, str | None] | None
    rest: tuple[tuple[datetime, datetime | None], ...]


def split(since: datetime | None, until: datetime | None) -> Split:
    """Split a span into whole days, whose sums are kept, and the rest."""
    first = None if since is None else _day_from(since)
    end = None if until is None else _midnight(until)
    if since is not None and (first is None or (end is not None and first > end)):
        return Split(None, ((since, until),))
    before = () if since is None or since == first else ((since, first),)
    after = () if end is None or until == end else ((end, until),)
    if first is not None and first == end:
        return Split(None, (*before, *after))
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
    """Add a new usage record to its day and its tree, in the transaction that writes it."""
    values = {
        "day": day_of(record.recorded_at),
        "namespace": record.namespace,
        "kind": record.kind,
        "model": record.model,
        "currency": record.currency,
        "predictions": int(record.corrects is None),
        "active_ms": record.active_ms,
        "output_items": record.output_items,
        "input_tokens": record.input_tokens,
        "output_tokens": record.output_tokens,
        "cost": record.cost,
    }
    await tx.execute(_adding(usage_days, tx.dialect.name), values)
    await tx.execute(_adding(usage_trees, tx.dialect.name), values | {"root_uid": record.root_uid})


@cache
def _adding(table: Table, dialect: str) -> Insert:
    """The statement that makes a row of a table of sums, or adds to it."""
    insert = insert_of(dialect, table)
    more: dict[str, ColumnElement[Any]] = {
        name: table.c[name] + insert.excluded[name] for name in COUNTS
    }
    more["cost"] = Plus(table.c.cost, insert.excluded.cost)
    places = list(table.primary_key)
    statement: Insert = insert.on_conflict_do_update(index_elements=places, set_=more)
    return statement


async def find(
    tx: AsyncConnection,
    since: datetime | None,
    until: datetime | None,
    namespace: str | None,
    apart: Collection[str],
) -> AsyncGenerator[Sequence[Sum], None]:
    """Sums that add up to those of a span's records, in batches.

    Args:
        tx: a transaction.
        since: from this `recorded_at` on; None for the first record.
        until: before this; None for all after it.
        namespace: who pays; None for all.
        apart: what they are told apart by: fields of `Sum`. Several may still belong together.
    """
    parts = split(since, until)
    queries = [] if parts.days is None else [query_days(*parts.days, namespace, apart)]
    queries += [query_rest(start, end, namespace, apart) for start, end in parts.rest]
    for query in queries:
        found = await tx.stream(query.execution_options(yield_per=BATCH))
        try:
            async for batch in found.partitions():
                yield [Sum._make(row) for row in batch]
        finally:
            await found.close()


def query_days(
    first: str | None, end: str | None, namespace: str | None, apart: Collection[str]
) -> Select[Any]:
    """The query of sums that are kept, from a day (inclusive) to another (exclusive).

    Days are told apart, so that none adds up much at once. Sums of trees are read in the order of
    their key, so that too many are seen before all are read.
    """
    table, apart = usage_days, {*apart, "day"}
    if "root_uid" in apart:
        table, apart = usage_trees, {*apart, "namespace"}
    wanted = _added_up(
        {column.name: column for column in table.primary_key},
        {name: func.sum(table.c[name]) for name in COUNTS},
        table.c.cost,
        apart,
    )
    if first is not None:
        wanted = wanted.where(table.c.day >= first)
    if end is not None:
        wanted = wanted.where(table.c.day < end)
    if namespace is not None:
        # Not the bare column, because SQLite would leave it out of the order, and sort all.
        wanted = wanted.where(table.c.namespace + _text("") == namespace)
    return wanted


def query_rest(
    since: datetime, until: datetime | None, namespace: str | None, apart: Collection[str]
) -> Select[Any]:
    """The query of sums of records from a moment (inclusive) to another (exclusive) of its day."""
    record = usage_records.c
    places: dict[str, ColumnElement[Any]] = {
        "root_uid": record.root_uid,
        "namespace": record.namespace,
        "currency": record.currency,
        "kind": record.kind,
        "model": _CALLED,
    }
    counts: dict[str, ColumnElement[Any]] = {
        "predictions": func.count() - func.count(record.corrects),
        **{name: func.sum(record[name]) for name in COUNTS[1:]},
    }
    wanted = _added_up(places, counts, record.cost, apart, day=day_of(since))
    wanted = wanted.where(record.recorded_at >= since)
    if until is not None:
        wanted = wanted.where(record.recorded_at < until)
    if namespace is not None:
        wanted = wanted.where(record.namespace == namespace)
    return wanted


def _added_up(
    places: Mapping[str, ColumnElement[Any]],
    counts: Mapping[str, ColumnElement[Any]],
    cost: ColumnElement[Any],
    apart: Collection[str],
    day: str = "",
) -> Select[Any]:
    """The query of a `Sum` of each combination of some places, which are grouped in their order."""
    grouped = {name: each for name, each in places.items() if name in {*apart, "currency"}}
    shown = {"day": _text(day), **grouped}
    return select(
        *(shown.get(name, _text("")).label(name) for name in Sum._fields[:6]),
        *(cast(counts[name], BigInteger).label(name) for name in COUNTS),
        Total(cost).label("cost"),
    ).group_by(*grouped.values())


def _text(constant: str) -> ColumnElement[str]:
    """A constant in the text of a query: parameters of two places are not the same to GROUP BY."""
    return literal(constant, literal_execute=True)


def called_model(called: str, pipeline_namespace: str, pipeline: str) -> str:
    """What was called, as owner/name; `(inline)` for runs that bring their own source."""
    if called or not pipeline:
        return called or INLINE
    return f"{pipeline_namespace}/{pipeline}"


_CALLED: ColumnElement[str] = case(
    (usage_records.c.called != _text(""), usage_records.c.called),
    (usage_records.c.pipeline == _text(""), _text(INLINE)),
    else_=usage_records.c.pipeline_namespace + _text("/") + usage_records.c.pipeline,
)
"""The same in SQL."""
