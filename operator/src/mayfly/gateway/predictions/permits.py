"""Who may create predictions now: people by their rights, runs between their start and a cancel."""

from __future__ import annotations

import asyncio

from mayfly.database.engine import Database
from mayfly.gateway.access.callers import CANCELLED_RUN, Caller, Callers
from mayfly.gateway.cache.runs import Seen
from mayfly.gateway.http.errors import Forbidden
from mayfly.gateway.lifecycle.notices import Notices
from mayfly.metering import ledger
from mayfly.reconcile.lineage import reaches_children

STARTED_SECONDS = 8.0
"""How long a create waits for the message that its run has started: on a busy machine a call may
arrive seconds before it. Shorter than the import deadline, so that code which calls a model while
it is imported gets the error in time."""


class Permits:
    """Checks that a caller may create something."""

    def __init__(self, callers: Callers, database: Database, notices: Notices) -> None:
        self._callers = callers
        self._database = database
        self._notices = notices

    async def require(self, caller: Caller, namespace: str) -> None:
        """Refuse a caller who may not create predictions in a namespace now.

        Raises:
            Forbidden: it has no right to, or its run was cancelled or has not started.
        """
        if caller.run is None:
            await self._callers.require(caller, "create", "pipelineruns", namespace)
            return
        if reaches_children(caller.run.run):
            raise Forbidden(CANCELLED_RUN)
        if not await self._has_started(caller.run):
            raise Forbidden(
                "Call models inside main(): while the source is imported, nothing can be started."
            )

    async def _has_started(self, seen: Seen) -> bool:
        """Whether main() was called. The report may arrive a moment after the first call."""
        deadline = asyncio.get_running_loop().time() + STARTED_SECONDS
        with self._notices.subscribe(seen.uid) as news:
            while True:
                if seen.run.status.started:
                    return True
                async with self._database.read() as tx:
                    row = await ledger.find(tx, seen.uid)
                if row is not None and row.started_at is not None:
                    return True
                left = deadline - asyncio.get_running_loop().time()
                if left <= 0:
                    return False
                await news.wait(left)
