"""Finds predictions for callers: get, list, tree, wait, long poll, cancel.

A prediction that the caller may not see is reported as missing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from mayfly.api.v1alpha1.identity import uid_of
from mayfly.database.engine import Database
from mayfly.gateway.access.callers import Caller, Callers
from mayfly.gateway.cache.runs import Runs, Seen
from mayfly.gateway.calls.dispatcher import CallDispatcher
from mayfly.gateway.calls.recorder import CallRecorder
from mayfly.gateway.http.errors import Forbidden, Missing
from mayfly.gateway.lifecycle.notices import Notices
from mayfly.gateway.lifecycle.states import state_of
from mayfly.gateway.predictions.long_polls import LongPolls
from mayfly.gateway.predictions.snapshots import Prediction, Snapshot, Snapshots
from mayfly.gateway.runs.rows import row_of
from mayfly.kube.client import Cluster
from mayfly.kube.errors import KubeError, NotFound
from mayfly.kube.kinds import RUNS
from mayfly.metering import ledger, listing, tree
from mayfly.metering.ledger import RunRow
from mayfly.metering.listing import Span

ID = re.compile(r"[0-9a-hjkmnp-tv-z]{26}")

CANCEL_SECONDS = 2.0
"""A cancel request is answered within this time, accepted or not."""

CLOSING_SECONDS = 1.0
"""How long a reader waits for the ledger to close a run whose end is on its way to the object."""

Found = TypeVar("Found", bound=Prediction)
Read = Callable[[str, Seen | None], Awaitable[Found | None]]


class Predictions:
    """Reads and cancels predictions on behalf of callers, with authorization."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        database: Database,
        runs: Runs,
        callers: Callers,
        calls: CallRecorder,
        dispatcher: CallDispatcher,
        notices: Notices,
        snapshots: Snapshots,
        long_polls: LongPolls,
        stopping: asyncio.Event,
    ) -> None:
        self._cluster = cluster
        self._database = database
        self._runs = runs
        self._callers = callers
        self._calls = calls
        self._dispatcher = dispatcher
        self._notices = notices
        self._snapshots = snapshots
        self._long_polls = long_polls
        self._stopping = stopping

    # -- one -------------------------------------------------------------------------------------

    async def find(self, caller: Caller, identity: str, namespace: str | None) -> Prediction:
        """The prediction with this id, if the caller may read it.

        Args:
            caller: who reads.
            identity: the prediction's 26 characters.
            namespace: of the base URL, if it names one.

        Raises:
            Forbidden: the caller may read nothing in the namespace that the URL names.
            Missing: there is no such prediction, or the caller may not know of it.
        """
        return await self._find(caller, identity, namespace, self._snapshots.prediction)

    async def _find(
        self,
        caller: Caller,
        identity: str,
        namespace: str | None,
        read: Read[Found],
    ) -> Found:
        if namespace and caller.user is not None:
            await self._callers.require(caller, "get", "pipelineruns", namespace)
        found = await read(identity, None) if ID.fullmatch(identity) else None
        if (
            found is None
            or (namespace and found.row.namespace != namespace)
            or not await self._sees(caller, found.row)
        ):
            raise Missing(f'There is no prediction "{identity[:64]}" that you may read.')
        return found if found.ended or not found.row.journalled else await self._final(found, read)

    async def _final(self, found: Found, read: Read[Found]) -> Found:
        """A run whose end is journalled, with that end if its object has it.

        Who saw the end on the object must not read here that the run still works. The ledger
        closes the row right after the object is written; where it can't, the object decides.
        """
        row = found.row
        told: Seen | None = None
        if not (await self.until_ended(found, CLOSING_SECONDS)).ended:
            with suppress(KubeError):
                told = await self._runs.fetch(row.namespace, row.name, row.uid)
        return await read(row.id, told) or found

    async def _sees(self, caller: Caller, row: RunRow) -> bool:
        if caller.run is not None:
            # A run reads its own tree.
            return row.root_uid == self._runs.tree_of(caller.run)
        return await self._callers.may(caller, "get", "pipelineruns", row.namespace)

    async def get_trusted(self, identity: str) -> Prediction | None:
        """The prediction with this id, for callers that have been authorized already."""
        return await self._snapshots.prediction(identity) if ID.fullmatch(identity) else None

    async def refresh(self, found: Prediction) -> Prediction:
        """Read the prediction's current state; if the prediction is gone, the last known state."""
        return await self._snapshots.prediction(found.row.id) or found

    async def snapshot(self, found: Prediction) -> Snapshot:
        """The prediction's current state, with everything that its object shows."""
        now = await self._snapshots.snapshot(found.row.id)
        return now or await self._snapshots.whole(found)

    async def until_ended(self, found: Prediction, seconds: float) -> Prediction:
        """Wait until the prediction has ended, the time is up, or the gateway stops."""
        deadline = asyncio.get_running_loop().time() + seconds
        with self._notices.subscribe(found.row.uid) as news:
            while True:
                found = await self.refresh(found)
                left = deadline - asyncio.get_running_loop().time()
                if found.ended or left <= 0 or self._stopping.is_set():
                    return found
                await news.wait(min(left, 5.0))

    async def long_poll(self, caller: Caller, identity: str, namespace: str | None) -> Snapshot:
        """Get a prediction; hold the answer if a run asks again and nothing has changed.

        Raises:
            Forbidden: as `find`.
            Missing: as `find`.
        """
        uid = _uid(identity)
        if caller.run is None or uid is None:
            return await self._find(caller, identity, namespace, self._snapshots.snapshot)
        reader = caller.run.uid
        # Subscribe before reading, so that no change is missed before the wait.
        with self._notices.subscribe(uid) as news:
            found = await self._find(caller, identity, namespace, self._snapshots.snapshot)
            pause = 0.0 if found.ended else self._long_polls.pause(reader, uid, _mark(found))
            if pause > 0 and not self._stopping.is_set():
                await news.wait(pause)
                found = await self.snapshot(found)
        self._long_polls.note_answer(reader, uid, _mark(found), ended=found.ended)
        return found

    # -- many ------------------------------------------------------------------------------------

    async def page(self, caller: Caller, span: Span) -> list[Prediction]:
        """List the predictions of the caller's namespace, newest first; a run sees its own tree.

        Raises:
            Forbidden: the caller may not list there, or names no namespace.
        """
        return await self._span(await self.listable(caller, span))

    async def listable(self, caller: Caller, span: Span) -> Span:
        """What of a span the caller may list.

        Raises:
            Forbidden: the caller may not list there, or names no namespace.
        """
        if caller.run is not None:
            span = replace(span, root_uid=self._runs.tree_of(caller.run))
        else:
            await self._callers.require(caller, "list", "pipelineruns", caller.namespace or "")
        return replace(span, namespace=caller.namespace)

    async def _span(self, span: Span) -> list[Prediction]:
        fresh = [row_of(each, self._runs.root_of(each)) for each in self._runs.unfinished()]
        wanted = {row.uid: row for row in fresh if span.holds(row)}
        async with self._database.read(bulk=True) as tx:
            stored = await listing.page(tx, span)
            old = await ledger.known(tx, list(wanted))
        rows = [*stored, *(row for uid, row in wanted.items() if uid not in old)]
        rows.sort(key=lambda row: (row.created_at, row.id), reverse=True)
        return [self._listed(row) for row in rows[: span.limit]]

    def _listed(self, row: RunRow) -> Prediction:
        return Prediction(row, state_of(row), row.output if row.closed else None)

    async def tree(self, found: Prediction, limit: int) -> list[Prediction]:
        """A prediction and everything below it, parents before children.

        Raises:
            Forbidden: there are more than `limit`.
        """
        every = await self._span(Span(root_uid=found.row.root_uid, limit=limit + 1))
        if len(every) > limit:
            raise Forbidden(f"The tree has more than {limit} predictions; list them by pages.")
        children: dict[str | None, list[Prediction]] = {}
        for each in reversed(every):
            children.setdefault(each.row.parent_uid, []).append(each)
        tree, position = [found], 0
        while position < len(tree):
            tree += children.get(tree[position].row.uid, [])
            position += 1
        return tree

    # -- cancel ----------------------------------------------------------------------------------

    async def cancel(self, caller: Caller, found: Prediction) -> Prediction:
        """Request a cancel; returns when it is accepted, or after two seconds.

        Raises:
            Forbidden: the caller may read the prediction, but not change it.
        """
        await self.require_cancel(caller, found.row)
        if found.ended:
            return found
        if not found.row.is_run:
            return await self._cancel_call(found)
        try:
            patch = {"spec": {"cancel": True}}
            await self._cluster.patch(RUNS, found.row.namespace, found.row.name, patch)
        except NotFound:
            return await self.refresh(found)
        return await self._until_accepted(found)

    async def require_cancel(self, caller: Caller, row: RunRow) -> None:
        """Require the right to cancel a prediction that the caller may read.

        Raises:
            Forbidden: the caller lacks it.
        """
        if caller.run is None:
            await self._callers.require(caller, "patch", "pipelineruns", row.namespace)
            return
        async with self._database.read() as tx:
            if not await tree.is_within(tx, row.parent_uid, caller.run.uid):
                raise Forbidden("A run may cancel only what it has called itself, at any depth.")

    async def _cancel_call(self, found: Prediction) -> Prediction:
        """Cancel a call of a Model: a queued call ends at once, a sent one at its server."""
        if await self._calls.cancel(found.row.uid):
            key = (found.row.pipeline_namespace, found.row.pipeline)
            self._dispatcher.forget(found.row.uid, key)
            return await self.refresh(found)
        return await self.until_ended(found, CANCEL_SECONDS)

    async def _until_accepted(self, found: Prediction) -> Prediction:
        deadline = asyncio.get_running_loop().time() + CANCEL_SECONDS
        with self._notices.subscribe(found.row.uid) as news:
            while True:
                found = await self.refresh(found)
                seen = self._runs.get(found.row.uid)
                accepted = seen is None or seen.run.status.cancel_accepted
                left = deadline - asyncio.get_running_loop().time()
                if accepted or left <= 0:
                    return found
                await news.wait(min(left, 0.2))


def _mark(found: Snapshot) -> int:
    """A fingerprint of the prediction's state, output and log: it changes when one of them does."""
    return hash((found.state, found.output, found.logs))


def _uid(identity: str) -> str | None:
    try:
        return uid_of(identity)
    except ValueError:
        return None
