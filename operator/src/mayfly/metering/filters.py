"""Lists of predictions by filters: status, model, kind, words, only roots; newest first.

Each list is read in the order of an index, and stops at its limit. Words have no index, so at most
`SEARCHED` predictions are looked through at a time; a list says how far it has come.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.metering import listing
from mayfly.metering.ledger import RunRow
from mayfly.metering.listing import SLIM, Span
from mayfly.metering.tables import RARE_ENDS, runs

SEARCHED = 20_000
"""Predictions that one search looks through."""

HEAD = 256
"""Characters of an input in which words are looked for."""

OPEN = ("starting", "processing")
RARE = ("failed", "canceled")


@dataclass(frozen=True)
class Filter:
    """Which predictions of a span to list. What is empty or None filters nothing.

    Attributes:
        statuses: as the API names them.
        model: namespace and name of the Pipeline or Model.
        kind: `RUN` or `MODEL`.
        words: lower case; each must be in the id, name, model, namespace or the input's head.
        roots: only predictions that nothing called.
    """

    statuses: frozenset[str] = frozenset()
    model: tuple[str, str] | None = None
    kind: str | None = None
    words: tuple[str, ...] = ()
    roots: bool = False

    def holds(self, row: RunRow, status: str) -> bool:
        """Whether a row belongs to the list.

        Args:
            row: the row.
            status: of it, in the API.
        """
        words = " ".join((*_named(row), row.input_json[:HEAD])).lower()
        return (
            (not self.statuses or status in self.statuses)
            and self.model in {None, (row.pipeline_namespace, row.pipeline)}
            and self.kind in {None, row.kind}
            and not (self.roots and row.parent_uid)
            and all(word in words for word in self.words)
        )


def _named(row: RunRow) -> tuple[str, ...]:
    return row.id, row.name, f"{row.pipeline_namespace}/{row.pipeline}", row.called, row.namespace


@dataclass(frozen=True)
class Listed:
    """Slim rows, newest first.

    Attributes:
        searched_to: creation and id of the last prediction that was looked through, if there may
            be more behind it; None if the rows alone say where to go on.
    """

    rows: list[RunRow]
    searched_to: tuple[datetime, str] | None = None


async def page(tx: AsyncConnection, span: Span, wanted: Filter) -> Listed:
    """The newest predictions of a span that a filter holds."""
    if wanted.words:
        return await _search(tx, span, wanted)
    found: dict[str, RunRow] = {}
    for statuses in _apart(wanted.statuses):
        asked = replace(wanted, statuses=statuses)
        rows = await listing.slim_rows(tx, query(SLIM, span, asked))
        found |= {row.uid: row for row in rows}
    return Listed(_newest(found.values(), span.limit))


def _newest(rows: Any, limit: int) -> list[RunRow]:
    return sorted(rows, key=lambda row: (row.created_at, row.id), reverse=True)[:limit]


def _apart(statuses: frozenset[str]) -> list[frozenset[str]]:
    """Statuses that are asked for one by one, because an index has the order of each alone."""
    return [frozenset({each}) for each in sorted(statuses)] or [statuses]


def query(columns: Select[Any], span: Span, wanted: Filter) -> Select[Any]:
    """The query of what a filter without words holds, of at most one status.

    Args:
        columns: what is selected of `runs`.
        span: where, and how many.
        wanted: the filter.
    """
    found = listing.within(columns, span)
    if wanted.statuses:
        found = found.where(or_(*(_has(status) for status in sorted(wanted.statuses))))
    if wanted.model is not None:
        namespace, name = wanted.model
        found = found.where(runs.c.pipeline_namespace == namespace, runs.c.pipeline == name)
    if wanted.kind is not None:
        found = found.where(runs.c.kind == wanted.kind)
    if wanted.roots:
        found = found.where(runs.c.parent_uid.is_(None))
    return found


def _has(status: str) -> ColumnElement[bool]:
    if status not in OPEN:
        ended = runs.c.closed_at.is_not(None) & (runs.c.outcome == status)
        return ended & text(RARE_ENDS) if status in RARE else ended
    begun = runs.c.started_at
    begun_or_not = begun.is_(None) if status == "starting" else begun.is_not(None)
    return runs.c.closed_at.is_(None) & begun_or_not


def _text() -> ColumnElement[str]:
    model = runs.c.pipeline_namespace + "/" + runs.c.pipeline
    named = runs.c.id + " " + runs.c.name + " " + model + " " + runs.c.called
    return named + " " + runs.c.namespace + " " + func.substr(runs.c.input_json, 1, HEAD)


async def _search(tx: AsyncConnection, span: Span, wanted: Filter) -> Listed:
    places = select(
        runs.c.uid,
        runs.c.created_at,
        runs.c.id,
        func.lower(_text()).label("text"),
    )
    looked = query(places, replace(span, limit=SEARCHED), replace(wanted, words=())).subquery()
    order = (looked.c.created_at.desc(), looked.c.id.desc())
    hits = select(looked.c.uid).order_by(*order).limit(span.limit)
    for word in wanted.words:
        hits = hits.where(looked.c.text.contains(word, autoescape=True))
    uids = (await tx.execute(hits)).scalars().all()
    rows = _newest(await listing.by_uids(tx, uids), span.limit)
    if len(uids) == span.limit:
        return Listed(rows)
    last = select(looked.c.created_at, looked.c.id).order_by(*order).offset(SEARCHED - 1).limit(1)
    end = (await tx.execute(last)).one_or_none()
    return Listed(rows, None if end is None else (end.created_at, end.id))
