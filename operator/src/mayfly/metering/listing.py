"""Queries over predictions: pages, counts, and the versions and files that they name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Select, func, literal, null, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.metering.ledger import RunRow
from mayfly.metering.tables import MODEL, call_counts, runs


@dataclass(frozen=True)
class Span:
    """Which predictions to list: newest first, by creation and id.

    Attributes:
        namespace: of the predictions; None for all.
        root_uid: only this tree; None for all.
        before: only older than this (created_at, id); None to begin with the newest.
        created_after: created at this moment or later.
        created_before: created before this moment.
        limit: the maximum number.
    """

    namespace: str | None = None
    root_uid: str | None = None
    before: tuple[datetime, str] | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    limit: int = 100

    def holds(self, row: RunRow) -> bool:
        """Whether a row belongs to the span, apart from its limit."""
        return (
            self.namespace in {None, row.namespace}
            and self.root_uid in {None, row.root_uid}
            and (self.before is None or (row.created_at, row.id) < self.before)
            and (self.created_after is None or row.created_at >= self.created_after)
            and (self.created_before is None or row.created_at < self.created_before)
        )


async def page(tx: AsyncConnection, span: Span) -> Sequence[RunRow]:
    """Rows of a span."""
    found = await tx.execute(query(span))
    return [RunRow(**each) for each in found.mappings()]


def query(span: Span) -> Select[Any]:
    """The query of a span's rows; an index serves its order, whatever is asked for."""
    return within(select(runs), span)


def within(wanted: Select[Any], span: Span) -> Select[Any]:
    """A query of `runs`, limited to a span and in its order."""
    wanted = wanted.order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(span.limit)
    if span.namespace is not None:
        wanted = wanted.where(runs.c.namespace == span.namespace)
    if span.root_uid is not None:
        wanted = wanted.where(runs.c.root_uid == span.root_uid)
    if span.before is not None:
        moment, identity = span.before
        # Compared as a pair, because an index is not used as a whole for an OR.
        place = tuple_(literal(moment, runs.c.created_at.type), literal(identity))
        wanted = wanted.where(tuple_(runs.c.created_at, runs.c.id) < place)
    if span.created_after is not None:
        wanted = wanted.where(runs.c.created_at >= span.created_after)
    if span.created_before is not None:
        wanted = wanted.where(runs.c.created_at < span.created_before)
    return wanted


INPUT_HEAD = 2048
"""Characters of an input that a slim row has: enough for its first fields."""


def _slim() -> Select[Any]:
    kept = [each for each in runs.c if each.name not in {"input_json", "output"}]
    head = func.substr(runs.c.input_json, 1, INPUT_HEAD).label("input_json")
    return select(*kept, head, null().label("output"))


# Built once: to build a query of so many columns takes longer than to execute it.
SLIM = _slim()
"""Rows without outputs, and with the first characters of the inputs."""


async def slim_rows(tx: AsyncConnection, wanted: Select[Any]) -> list[RunRow]:
    """The rows of a query of `SLIM`."""
    found = await tx.execute(wanted)
    return [RunRow(**each) for each in found.mappings()]


async def by_uids(tx: AsyncConnection, uids: Sequence[str]) -> list[RunRow]:
    """The rows of at most some hundred predictions, as slim rows."""
    return await slim_rows(tx, SLIM.where(runs.c.uid.in_(uids))) if uids else []


async def touched(tx: AsyncConnection, since: datetime, limit: int) -> list[RunRow]:
    """Predictions that were created or closed since a moment, as slim rows.

    Args:
        tx: the transaction.
        since: the moment.
        limit: how many of the created, and how many of the closed; the newest of each.
    """
    found: dict[str, RunRow] = {}
    for moment in (runs.c.created_at, runs.c.closed_at):
        rows = await slim_rows(tx, query_touched(moment, since, limit))
        found |= {row.uid: row for row in rows}
    return list(found.values())


def query_touched(moment: Column[datetime], since: datetime, limit: int) -> Select[Any]:
    """The query of rows with a moment that is not before another; an index serves it."""
    return SLIM.where(moment >= since).order_by(moment.desc()).limit(limit)


async def children(
    tx: AsyncConnection, parents: Sequence[str], after: tuple[str, str], limit: int
) -> list[RunRow]:
    """What some predictions have made, by parent and UID; slim rows.

    Args:
        tx: the transaction.
        parents: the predictions.
        after: parent and UID of the last one that was read; two empty texts for the beginning.
        limit: how many to read.
    """
    return await slim_rows(tx, query_children(parents, after, limit))


def query_children(parents: Sequence[str], after: tuple[str, str], limit: int) -> Select[Any]:
    """The query of `children`; in an order that tempts no database to walk through all UIDs."""
    place = (runs.c.parent_uid, runs.c.uid)
    wanted = SLIM.where(runs.c.parent_uid.in_(parents))
    wanted = wanted.where(tuple_(*place) > tuple_(literal(after[0]), literal(after[1])))
    return wanted.order_by(*place).limit(limit)


async def count_calls(
    tx: AsyncConnection, keys: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """The number of predictions of Pipelines and Models, by namespace and name."""
    found: dict[tuple[str, str], int] = {}
    key = tuple_(call_counts.c.namespace, call_counts.c.name)
    for start in range(0, len(keys), 200):
        counted = await tx.execute(select(call_counts).where(key.in_(keys[start : start + 200])))
        found |= {(namespace, name): calls for namespace, name, calls in counted}
    return found


async def versions_in_use(tx: AsyncConnection) -> Sequence[str]:
    """Versions of Models named by unfinished predictions."""
    found = await tx.execute(
        select(runs.c.version).where(runs.c.closed_at.is_(None), runs.c.kind == MODEL).distinct()
    )
    return found.scalars().all()


async def kept_texts(tx: AsyncConnection, mark: str) -> AsyncIterator[str]:
    """Stored inputs and outputs that contain a mark: a text without SQL wildcards."""
    for text in (runs.c.input_json, runs.c.output):
        async for row in await tx.stream(select(text).where(text.contains(mark))):
            yield row[0]


async def open_texts(tx: AsyncConnection, mark: str) -> AsyncIterator[str]:
    """The same, of unfinished trees only."""
    open_trees = select(runs.c.root_uid).where(runs.c.closed_at.is_(None))
    for text in (runs.c.input_json, runs.c.output):
        wanted = select(text).where(text.contains(mark), runs.c.root_uid.in_(open_trees))
        async for row in await tx.stream(wanted):
            yield row[0]
