"""What a cancel would do, without doing it.

The rule is that of the cancel itself (`reconcile.lineage`): it ends the prediction and what that
has made and not started; what has started runs to its end, with everything below it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from mayfly.database.engine import Database
from mayfly.gateway.access.callers import Caller
from mayfly.gateway.cache.runs import Runs
from mayfly.gateway.calls import rows as calls
from mayfly.gateway.console.reader import Reader
from mayfly.gateway.console.summaries import Summaries
from mayfly.gateway.http.errors import Forbidden
from mayfly.gateway.predictions.finder import Predictions
from mayfly.gateway.predictions.snapshots import Prediction
from mayfly.gateway.runs.gather import Gatherer

Json = dict[str, Any]

SHOWN = 100
"""Predictions of each kind that a preview shows; it counts them all."""

ENDED = "It has ended already; a cancel changes nothing."
CANCELLED = "Its cancel was requested already."


class Previews:
    """Says what a cancel would end, and what would run on."""

    def __init__(
        self,
        *,
        database: Database,
        runs: Runs,
        predictions: Predictions,
        gatherer: Gatherer,
        reader: Reader,
        summaries: Summaries,
    ) -> None:
        self._database = database
        self._runs = runs
        self._predictions = predictions
        self._gatherer = gatherer
        self._reader = reader
        self._summaries = summaries

    async def of(self, caller: Caller, found: Prediction) -> Json:
        """The preview of a prediction's cancel: whether the caller may, what ends, what goes on."""
        why_not = await self._why_not(caller, found)
        below = [
            each
            async for piece in self._reader.below(found.row.uid)
            for each in piece
            if not each.ended
        ]
        reached = set() if found.ended else await self._reached(found)
        cancels = [] if found.ended else [found]
        cancels += [each for each in below if each.row.uid in reached]
        runs_on = [each for each in below if each.row.uid not in reached]
        return {
            "may": why_not is None,
            "why_not": why_not,
            "cancels": await self._counted(cancels),
            "runs_on": await self._counted(runs_on),
        }

    async def _why_not(self, caller: Caller, found: Prediction) -> str | None:
        try:
            await self._predictions.require_cancel(caller, found.row)
        except Forbidden as error:
            return error.detail
        if found.ended:
            return ENDED
        return CANCELLED if await self._asked(found) else None

    async def _asked(self, found: Prediction) -> bool:
        if found.row.is_run:
            run = found.seen.run if found.seen else None
            return run is not None and (run.spec.cancel or run.status.cancelling)
        async with self._database.read() as tx:
            call = await calls.find(tx, found.row.uid)
        return call is not None and call.cancel

    async def _reached(self, found: Prediction) -> Collection[str]:
        """The UIDs of what the prediction has made, and a cancel of it ends: nothing deeper."""
        uid = found.row.uid
        unstarted = await self._gatherer.unstarted(self._runs.children_of(uid))
        async with self._database.read() as tx:
            return {*unstarted, *await calls.queued_by(tx, uid)}

    async def _counted(self, found: Sequence[Prediction]) -> Json:
        shown = await self._summaries.of(found[:SHOWN])
        return {"count": len(found), "results": shown}
