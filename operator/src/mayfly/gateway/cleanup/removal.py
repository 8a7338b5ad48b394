"""Retention: removes the data of old predictions; their ids, states and bills stay.

A tree is removed as a whole, once all of it has ended and its last end is older than the
namespace's retention. For each prediction, one transaction removes input, output, error, log,
items, webhook and the rows of its files, and marks it; from then on the API shows `data_removed`.
The bytes of its files are deleted later, from a list in SQL, so that after a crash the next sweep
continues. A file that an unfinished tree names stays until that tree has ended.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, false, literal, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.clock import Clock
from mayfly.database.engine import Database
from mayfly.gateway.cache.runs import Runs
from mayfly.gateway.calls.rows import model_calls
from mayfly.gateway.files.store import SCHEME, Files, files, references
from mayfly.gateway.files.uploads import uploads
from mayfly.gateway.lifecycle import archive, sources
from mayfly.gateway.lifecycle.deliveries import deliveries
from mayfly.gateway.namespaces.retention import Retention
from mayfly.metering import listing
from mayfly.metering.tables import RUN, runs

PREDICTIONS_A_QUERY = 100

PREDICTIONS = 20
"""Number of predictions per transaction: a log may have 10 MiB, and other writers wait."""


class Removal:
    """Removes inputs, outputs, logs and files past their retention."""

    def __init__(
        self,
        *,
        database: Database,
        runs: Runs,
        files: Files,
        retention: Retention,
        input_bytes: int,
        clock: Clock,
    ) -> None:
        """Create the removal.

        Args:
            database: where everything is stored.
            runs: unfinished runs, whose trees stay.
            files: the file store.
            retention: of each namespace.
            input_bytes: the maximum size of an input.
            clock: to compute ages.
        """
        self._database = database
        self._runs = runs
        self._files = files
        self._retention = retention
        self._input_bytes = input_bytes
        self._clock = clock

    async def once(self) -> None:
        """Remove everything past its retention."""
        await self._retention.synced()
        now = self._clock()
        for theirs, before in self._retention.scopes(runs.c.namespace, now):
            await self._remove(theirs, before)
        await self._left_files(now)
        await self._files.delete_doomed()

    async def _remove(self, theirs: ColumnElement[bool], before: datetime) -> None:
        last: tuple[datetime, str] | None = None
        while True:
            async with self._database.read(bulk=True) as tx:
                found = (await tx.execute(over(theirs, before, after=last))).all()
            if not found:
                return
            last = (found[-1].closed_at, found[-1].uid)
            unfinished = {self._runs.tree_of(each) for each in self._runs.unfinished()}
            named = await self.named()
            for root in dict.fromkeys(row.root_uid for row in found):
                if root not in unfinished:
                    await self._remove_tree(root, named)

    async def _remove_tree(self, root: str, named: Collection[str]) -> None:
        kept = (runs.c.root_uid == root, runs.c.data_removed.is_(False))
        async with self._database.read(bulk=True) as tx:
            uids = list((await tx.execute(select(runs.c.uid).where(*kept))).scalars())
        for batch in _batches(uids, PREDICTIONS):
            async with self._database.write(bulk=True) as tx:
                await _remove(tx, batch, named)

    async def named(self) -> set[str]:
        """The ids of the files that unfinished trees name."""
        found: set[str] = set()
        for seen in self._runs.unfinished():
            source = seen.run.spec.input_from
            if source is None:
                found.update(references(seen.input_text))
                continue
            found.add(source.file.removeprefix(SCHEME))
            text = await self._files.text(source.file, source.sha256, self._input_bytes)
            found.update(references(text))
        async with self._database.read(bulk=True) as tx:
            async for text in listing.open_texts(tx, '"mayfly-file:'):
                found.update(references(text))
        return found

    async def _left_files(self, now: datetime) -> None:
        """Files that an unfinished tree named, and inputs of runs that were never created."""
        left: list[str] = []
        async with self._database.read(bulk=True) as tx:
            for theirs, before in self._retention.scopes(files.c.namespace, now):
                found = await tx.execute(
                    select(files.c.id).where(
                        theirs,
                        files.c.run_uid == "",
                        files.c.created_at < before,
                        files.c.id.not_in(select(uploads.c.file_id)),
                    )
                )
                left += found.scalars()
        if not left:
            return
        named = await self.named()
        for batch in _batches([each for each in left if each not in named], 500):
            async with self._database.write(bulk=True) as tx:
                await _doom(tx, batch)


def over(
    theirs: ColumnElement[bool], before: datetime, *, after: tuple[datetime, str] | None
) -> Select[Any]:
    """The query of predictions with data, all of whose trees' ends are older than a moment.

    It goes by their ends, oldest first, so that an index finds that there are none.

    Args:
        theirs: a filter of namespaces.
        before: the moment.
        after: only those behind the one with this end and UID.
    """
    other = runs.alias()
    young = (
        select(other.c.uid)
        .where(
            other.c.root_uid == runs.c.root_uid,
            other.c.closed_at.is_(None)
            | (other.c.closed_at >= before)
            | ((other.c.kind == RUN) & other.c.downstream.is_(None)),
        )
        .exists()
    )
    wanted = select(runs.c.closed_at, runs.c.uid, runs.c.root_uid).where(
        runs.c.data_removed == false(), runs.c.closed_at < before, theirs, ~young
    )
    if after is not None:
        place = tuple_(literal(after[0], runs.c.closed_at.type), literal(after[1]))
        wanted = wanted.where(tuple_(runs.c.closed_at, runs.c.uid) > place)
    return wanted.order_by(runs.c.closed_at, runs.c.uid).limit(PREDICTIONS_A_QUERY)


async def _remove(tx: AsyncConnection, uids: Sequence[str], named: Collection[str]) -> None:
    for table in (archive.logs, archive.log_chunks, archive.output_chunks, deliveries):
        await tx.execute(delete(table).where(table.c.run_uid.in_(uids)))
    await tx.execute(delete(model_calls).where(model_calls.c.uid.in_(uids)))
    found = await tx.execute(select(files.c.id).where(files.c.run_uid.in_(uids)))
    await _doom(tx, [each for each in found.scalars() if each not in named])
    # The others are left without a run; so they are found later without a look at all old runs.
    await tx.execute(update(files).where(files.c.run_uid.in_(uids)).values(run_uid=""))
    await tx.execute(
        update(runs)
        .where(runs.c.uid.in_(uids))
        .values(input_json="{}", output=None, error="", data_removed=True)
    )
    versions = select(runs.c.version).where(runs.c.uid.in_(uids)).distinct()
    await sources.forget(tx, set((await tx.execute(versions)).scalars()))


async def _doom(tx: AsyncConnection, ids: Sequence[str]) -> None:
    await tx.execute(delete(uploads).where(uploads.c.file_id.in_(ids)))
    await Files.doom(tx, ids)


def _batches(uids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (uids[start : start + size] for start in range(0, len(uids), size))
