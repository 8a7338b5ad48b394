"""Tells runs at which the gateway fails again and again, and ends them from what the ledger knows.

The work queue calls this after each unexpected error; `reconcile.failing` decides. The end takes
the shortest way there is: journal, object, ledger. If even its bill can't be made, the object ends
without one, so that its pod and its place are free, and the bill is tried again.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from typing_extensions import override

from mayfly.api.v1alpha1 import PipelineRun
from mayfly.clock import Clock
from mayfly.database.engine import Database, StorageError
from mayfly.gateway.cache.runs import Runs, Seen
from mayfly.gateway.runs import status
from mayfly.gateway.runs.opening import LedgerOpener
from mayfly.gateway.runs.recorder import Recorder
from mayfly.gateway.runs.sessions import Sessions
from mayfly.gateway.runs.status_writer import StatusWriter
from mayfly.kube.client import Cluster
from mayfly.kube.errors import KubeError, NotFound
from mayfly.metering import ledger
from mayfly.metering.ledger import RunRow
from mayfly.reconcile.failing import Trouble, bare_run, end_of, told_status
from mayfly.workqueue import Failure

logger = logging.getLogger(__name__)

Release = Callable[[str, RunRow], Awaitable[None]]


class BareSeen(Seen):
    """A run of which nothing that its author wrote has to be readable."""

    @override
    def _read(self) -> PipelineRun:
        return bare_run(self.raw)


class FailingRuns:
    """The gateway's part of what happens to runs at which it fails."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        database: Database,
        runs: Runs,
        sessions: Sessions,
        opener: LedgerOpener,
        recorder: Recorder,
        release: Release,
        clock: Clock,
    ) -> None:
        self._statuses = StatusWriter(cluster, runs)
        self._database = database
        self._runs = runs
        self._sessions = sessions
        self._opener = opener
        self._recorder = recorder
        self._release = release
        self._clock = clock

    async def failed(self, uid: str, failure: Failure) -> None:
        """Called after each unexpected error at a run.

        Raises:
            KubeError: the API server did not do what was asked; the next error tries again.
            StorageError: likewise of the database.
        """
        trouble = Trouble("gateway", failure.tries, failure.seconds, failure.error)
        if not trouble.tells:
            return
        async with self._database.read() as tx:
            row = await ledger.find(tx, uid)
        if row is not None and not row.is_run:
            return
        seen = await self._read(uid, row)
        try:
            if seen is None:
                await self._close(row, trouble)
            elif trouble.ends and self._may_end(seen, row):
                await self._end(seen, row, trouble)
            else:
                await self._say(seen, trouble)
        except NotFound:
            return  # it was deleted meanwhile

    async def _read(self, uid: str, row: RunRow | None) -> BareSeen | None:
        known = self._runs.get(uid) or self._runs.departed(uid)
        if known is not None:
            key = known.key
        elif row is not None:
            key = (row.namespace, row.name)
        else:
            return None
        found = await self._runs.fetch(*key, uid)
        return None if found is None else BareSeen(found.raw)

    def _may_end(self, seen: Seen, row: RunRow | None) -> bool:
        """Whether no better end can come: a main() that runs goes on without us."""
        run = seen.run
        if run.status.ended or (row is not None and row.journalled):
            return True
        started = run.status.started or (row is not None and row.started_at is not None)
        session = self._sessions.of_run(seen.uid, run.status.pod_uid)
        return run.spec.cancel or not started or session is None or session.ended

    async def _say(self, seen: Seen, trouble: Trouble) -> None:
        told = told_status(seen.run, trouble, self._clock())
        if told is not None:
            await self._statuses.write(seen, status.merged(seen, told))

    async def _close(self, row: RunRow | None, trouble: Trouble) -> None:
        """Close the row of a deleted run."""
        if row is not None and trouble.ends and not row.closed:
            await self._recorder.close_deleted(row, None, running=False)
            await self._release(row.uid, row)

    async def _end(self, seen: Seen, row: RunRow | None, trouble: Trouble) -> None:
        if row is None:
            session = self._sessions.of_run(seen.uid, seen.run.status.pod_uid)
            row = await self._opener.open_bare(seen, session.sent_at if session else None)
        if row.closed:
            await self._release(seen.uid, row)
            return
        below = seen.run.status.cancelling and not seen.run.status.cancel_accepted
        try:
            if seen.run.status.ended:
                await self._recorder.record(seen, row, open_below=below)
            else:
                row = await self._recorder.journal_failure(row, end_of(seen.run, trouble))
                await self._recorder.end(seen, row, open_below=below)
        except (KubeError, StorageError):
            raise
        except Exception:
            logger.exception("the bill of a failing run can't be made", extra={"run": seen.uid})
            if not seen.run.status.ended:
                await self._statuses.write(
                    seen, status.unbilled(seen, end_of(seen.run, trouble), self._clock())
                )
        await self._release(seen.uid, row)
