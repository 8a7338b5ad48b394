"""Usage reports: reads, sums and counts usage records.

Sums are made of those that are kept (`sums`). Records are read in batches, each in a transaction
of its own, so that neither memory nor a slow reader of an answer holds anything up; what is behind
a reader in time doesn't change any more. Whatever is long is done in turns (`mayfly.turns`).
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal, localcontext
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.api.v1alpha1.identity import run_id
from mayfly.database.engine import Database
from mayfly.metering import periods, sums
from mayfly.metering.periods import Month, Period, Totals
from mayfly.metering.pricing import EXACT
from mayfly.metering.records import UsageRecord, of
from mayfly.metering.sheets import line
from mayfly.metering.sums import Sum
from mayfly.metering.tables import RUN, usage_records
from mayfly.turns import Turn, in_turns

BATCH = 100
"""Number of records that are read at once: other tasks wait while they are made of rows."""

MAX_ROWS = 10_000
"""Maximum number of rows of a report, which bounds its memory."""

_FIRST = ("record_id", "recorded_at", "cost", "currency", "namespace")
COLUMNS = (
    *_FIRST,
    *("id", "run_uid", "kind", "name", "pipeline_namespace", "pipeline", "called", "version"),
    *("runtime_digest", "root_uid", "parent_uid", "depth", "outcome", "reason", "started"),
    *("started_at", "completed_at", "active_ms", "output_items", "input_tokens", "output_tokens"),
    *("prices", "flags", "corrects", "why", "author"),
)
"""Of a record as CSV. Closed months are checked by these lines, so they stay as they are; no comma
can be in the first of them, so that simple tools can cut them out."""

HEADER = line(COLUMNS)


class Key(StrEnum):
    """Keys that a report can be grouped by."""

    NAMESPACE = "namespace"
    PIPELINE = "pipeline"
    MODEL = "model"
    DAY = "day"
    TREE = "tree"

    @property
    def parts(self) -> tuple[str, ...]:
        """The fields of a `Sum` that it looks at."""
        match self:
            case Key.PIPELINE | Key.MODEL:
                return ("kind", "model")
            case Key.TREE:
                return ("root_uid",)
            case _:
                return (self.value,)

    def of(self, part: Sum) -> str | None:
        """Where a sum of records belongs; None where the key says nothing of it.

        A run of a Pipeline has no model and a call of a Model no pipeline; a day is one in UTC, of
        `recorded_at`; a tree is known by the UID of its root, until it is shown.
        """
        match self:
            case Key.NAMESPACE:
                return part.namespace
            case Key.PIPELINE:
                return part.model if part.kind == RUN else None
            case Key.MODEL:
                return None if part.kind == RUN else part.model
            case Key.DAY:
                return part.day
            case Key.TREE:
                return part.root_uid

    def shown(self, place: str | None) -> str | None:
        """What a report says of where a sum belongs: of a tree, the id of its root."""
        return run_id(place) if self is Key.TREE and place is not None else place


@dataclass(frozen=True)
class Span:
    """Which records to read: by `recorded_at`, from (inclusive) and to (exclusive).

    Attributes:
        namespace: who pays; None for all.
    """

    since: datetime | None = None
    until: datetime | None = None
    namespace: str | None = None


@dataclass(frozen=True)
class Row:
    """A row of a report, or a total.

    Attributes:
        keys: what it is of, in the order that was asked for.
        predictions: how many bills; corrections are none.
    """

    keys: tuple[str | None, ...]
    currency: str
    predictions: int = 0
    active_ms: int = 0
    output_items: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal = Decimal(0)


class TooManyRows(Exception):
    """A report would have more rows than `MAX_ROWS`."""


class NotOver(Exception):
    """A month that is not over can't be closed; the message says from when it can."""


class NotClosed(Exception):
    """A month is not closed, or its close was interrupted."""


async def page(
    database: Database, span: Span, after: tuple[datetime, str] | None, limit: int
) -> Sequence[UsageRecord]:
    """Records in order: by `recorded_at`, then by id.

    Args:
        database: the ledger's.
        span: which.
        after: behind the one of this moment and id; None from the first on.
        limit: at most so many.
    """
    async with database.read(bulk=True) as tx:
        found = await tx.execute(_in_order(span, after, _by_bytes(tx)).limit(limit))
        return [UsageRecord(**each) for each in found.mappings()]


def _in_order(
    span: Span, after: tuple[datetime, str] | None, identity: ColumnElement[str]
) -> Select[Any]:
    moment = usage_records.c.recorded_at
    wanted = select(*(usage_records.c[each.name] for each in fields(UsageRecord)))
    if span.since is not None:
        wanted = wanted.where(moment >= span.since)
    if span.until is not None:
        wanted = wanted.where(moment < span.until)
    if span.namespace is not None:
        wanted = wanted.where(usage_records.c.namespace == span.namespace)
    if after is not None:
        # The first condition is for the index, which does not look into an OR.
        wanted = wanted.where(moment >= after[0], (moment > after[0]) | (identity > after[1]))
    return wanted.order_by(moment, identity)


def _by_bytes(tx: AsyncConnection) -> ColumnElement[str]:
    """Order by id byte by byte, which is the same in every database."""
    collation = "C" if tx.dialect.name == "postgresql" else "BINARY"
    return usage_records.c.record_id.collate(collation)


async def records(database: Database, span: Span) -> AsyncIterator[UsageRecord]:
    """Every record of a span, in order."""
    after: tuple[datetime, str] | None = None
    while True:
        found = await page(database, span, after, BATCH)
        for record in found:
            yield record
        if len(found) < BATCH:
            return
        after = (found[-1].recorded_at, found[-1].record_id)


async def with_corrected(
    database: Database, span: Span
) -> AsyncIterator[tuple[UsageRecord, UsageRecord | None]]:
    """Every record of a span, in order; corrections with the bill that they correct."""
    async for record in records(database, span):
        corrected = None
        if record.corrects is not None:
            async with database.read(bulk=True) as tx:
                corrected = (await of(tx, record.run_uid))[0]
        yield record, corrected


def line_of(record: UsageRecord) -> str:
    """A record as a CSV line."""
    return line(getattr(record, column) for column in COLUMNS)


async def report(database: Database, span: Span, keys: Sequence[Key]) -> list[Row]:
    """Sums over a span: one row per combination of keys and currency, sorted by the keys.

    Raises:
        TooManyRows: there are more of them than `MAX_ROWS`.
    """
    amounts: dict[tuple[tuple[str | None, ...], str], _Amounts] = {}
    apart = {part for key in keys for part in key.parts}
    async with (
        database.read(bulk=True) as tx,
        aclosing(sums.find(tx, span.since, span.until, span.namespace, apart)) as parts,
    ):
        async for batch in parts:
            for part in batch:
                place = (tuple(key.of(part) for key in keys), part.currency)
                amounts.setdefault(place, _Amounts()).add(part)
            if len(amounts) > MAX_ROWS:
                raise TooManyRows
    # UIDs are in the order of ids.
    places = sorted(amounts, key=lambda place: ([part or "" for part in place[0]], place[1]))
    rows = []
    async for place in in_turns(places):
        shown = tuple(key.shown(part) for key, part in zip(keys, place[0], strict=True))
        rows.append(amounts[place].row(shown, place[1]))
    return rows


def totals_of(rows: Sequence[Row]) -> list[Row]:
    """The totals of a report's rows, one per currency."""
    found: dict[str, _Amounts] = {}
    for row in rows:
        found.setdefault(row.currency, _Amounts()).add(row)
    return [found[currency].row((), currency) for currency in sorted(found)]


@dataclass(slots=True)
class _Amounts:
    """The amounts of a row while they are added up."""

    predictions: int = 0
    active_ms: int = 0
    output_items: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal = Decimal(0)

    def add(self, more: Row | Sum) -> None:
        self.predictions += more.predictions
        self.active_ms += more.active_ms
        self.output_items += more.output_items
        self.input_tokens += more.input_tokens
        self.output_tokens += more.output_tokens
        self.cost = EXACT.add(self.cost, more.cost)

    def row(self, keys: tuple[str | None, ...], currency: str) -> Row:
        """The row of them."""
        counts = (self.predictions, self.active_ms, self.output_items)
        return Row(keys, currency, *counts, self.input_tokens, self.output_tokens, self.cost)


async def count(database: Database, month: Month) -> Totals:
    """The current totals of a month's records."""
    digest, number, sums = hashlib.sha256(), 0, dict[str, Decimal]()
    turn = Turn()
    async for record in records(database, Span(month.start, month.end)):
        await turn.pass_on()
        digest.update(line_of(record).encode())
        number += 1
        with localcontext(EXACT):
            sums[record.currency] = sums.get(record.currency, Decimal(0)) + record.cost
    return Totals(number, sums, digest.hexdigest())


async def close(database: Database, month: Month, at: datetime, by: str) -> Period:
    """Close a month; repeating it gives the same answer.

    Args:
        database: the ledger's.
        month: the month.
        at: the clock.
        by: the name of who closes it.

    Raises:
        NotOver: the month goes on.
    """
    if at < month.end:
        raise NotOver(f"{month} is not over: it can be closed from {month.end:%Y-%m-%d} UTC on.")
    async with database.write(bulk=True) as tx:
        await periods.draw_line(tx, month, at, by)
        found = await periods.find(tx, month)
    if found is None or found.totals is None:
        totals = await count(database, month)
        async with database.write(bulk=True) as tx:
            await periods.keep(tx, month, totals)
            found = await periods.find(tx, month)
    if found is None:
        raise LookupError(str(month))
    return found


async def verify(database: Database, month: Month) -> tuple[Period, Totals]:
    """A closed month and its current totals, which are the same unless records were altered.

    Raises:
        NotClosed: there is nothing to compare with.
    """
    async with database.read(bulk=True) as tx:
        found = await periods.find(tx, month)
    if found is None or found.totals is None:
        raise NotClosed(str(month))
    return found, await count(database, month)


async def closed(database: Database) -> Sequence[Period]:
    """The closed months, newest first."""
    async with database.read(bulk=True) as tx:
        return await periods.every(tx)
