"""Reads predictions for those who follow them: slim rows, from the ledger and from the watch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.database.engine import Database
from mayfly.gateway.cache.runs import Runs, Seen
from mayfly.gateway.lifecycle.states import state_of
from mayfly.gateway.predictions.snapshots import Prediction
from mayfly.gateway.runs.rows import row_of, state_of_run
from mayfly.metering import filters, ledger, listing
from mayfly.metering.filters import Filter
from mayfly.metering.ledger import RunRow
from mayfly.metering.listing import Span

PIECE = 500
"""Predictions that are read and told at a time."""

PARENTS = 100
"""Parents whose children are asked for at a time."""

TREE_LIMIT = 10_000


class Reader:
    """Reads predictions without authorization, outputs and long inputs."""

    def __init__(self, database: Database, runs: Runs) -> None:
        self._database = database
        self._runs = runs

    async def by_uids(self, uids: Sequence[str]) -> list[Prediction]:
        """The predictions with these UIDs, as far as they are there; at most `PIECE`."""
        async with self._database.read(bulk=True) as tx:
            rows = await listing.by_uids(tx, uids)
        known = {row.uid for row in rows}
        return [*_shown(rows), *self._watched(uid for uid in uids if uid not in known)]

    async def one(self, found: Prediction) -> Prediction:
        """A prediction's state now, or as it was if it is gone. Its output comes with its end."""
        uid = found.row.uid
        async with self._database.read() as tx:
            rows = await listing.by_uids(tx, [uid])
        return next(iter([*_shown(rows), *([] if rows else self._watched([uid]))]), found)

    async def filtered(
        self, span: Span, wanted: Filter
    ) -> tuple[list[Prediction], tuple[datetime, str] | None]:
        """The predictions of a span that a filter holds, newest first.

        Returns:
            The predictions, and `Listed.searched_to`.
        """
        fresh = self._fresh()
        async with self._database.read(bulk=True) as tx:
            return await _filtered(tx, fresh, span, wanted)

    async def of_models(
        self, span: Span, models: Sequence[tuple[str, str]]
    ) -> list[list[Prediction]]:
        """The newest predictions of each Pipeline or Model, by namespace and name, of a span."""
        fresh = self._fresh()
        async with self._database.read(bulk=True) as tx:
            return [(await _filtered(tx, fresh, span, Filter(model=each)))[0] for each in models]

    def _fresh(self) -> list[Prediction]:
        """Unfinished runs, from their objects: the ledger may not have them yet."""
        return [self._of_object(each) for each in self._runs.unfinished()]

    async def touched(self, since: datetime) -> list[Prediction]:
        """What was created or closed since a moment, whichever gateway did it."""
        async with self._database.read(bulk=True) as tx:
            return _shown(await listing.touched(tx, since, PIECE))

    async def below(self, uid: str) -> AsyncIterator[list[Prediction]]:
        """Everything below a prediction, in pieces, parents before children.

        At most `TREE_LIMIT`: the rest is left out.
        """
        level, left = [uid], TREE_LIMIT
        while level:
            parents, level = level[:PARENTS], level[PARENTS:]
            async for piece in self._children(parents):
                shown = piece[:left]
                left -= len(shown)
                yield shown
                if not left:
                    return
                # A call of a Model makes nothing.
                level += [each.row.uid for each in shown if each.row.is_run]

    async def _children(self, parents: Sequence[str]) -> AsyncIterator[list[Prediction]]:
        last, more = ("", ""), True
        while more:
            async with self._database.read(bulk=True) as tx:
                rows = await listing.children(tx, parents, last, PIECE)
            more = len(rows) == PIECE
            if rows:
                last = (rows[-1].parent_uid or "", rows[-1].uid)
                yield _shown(rows)
        queued = [each for uid in parents for each in self._runs.children_of(uid)]
        async with self._database.read() as tx:
            known = await ledger.known(tx, [each.uid for each in queued])
        fresh = [each.uid for each in queued if each.uid not in known]
        for start in range(0, len(fresh), PIECE):
            yield self._watched(fresh[start : start + PIECE])

    def _watched(self, uids: Iterable[str]) -> list[Prediction]:
        """Runs that the ledger does not have yet, from their objects."""
        found = (self._runs.get(uid) or self._runs.departed(uid) for uid in uids)
        return [self._of_object(each) for each in found if each is not None]

    def _of_object(self, seen: Seen) -> Prediction:
        return Prediction(row_of(seen, self._runs.root_of(seen)), state_of_run(seen), None, seen)


async def _filtered(
    tx: AsyncConnection, fresh: Sequence[Prediction], span: Span, wanted: Filter
) -> tuple[list[Prediction], tuple[datetime, str] | None]:
    found = {
        each.row.uid: each
        for each in fresh
        if span.holds(each.row) and wanted.holds(each.row, each.state.value)
    }
    listed = await filters.page(tx, span, wanted)
    known = await ledger.known(tx, list(found))
    every = _shown(listed.rows) + [each for uid, each in found.items() if uid not in known]
    every.sort(key=lambda each: (each.row.created_at, each.row.id), reverse=True)
    return every[: span.limit], listed.searched_to


def _shown(rows: Iterable[RunRow]) -> list[Prediction]:
    return [Prediction(row, state_of(row), None) for row in rows]
