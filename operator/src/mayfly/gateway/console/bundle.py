"""A prediction with everything that belongs to it, as one JSON: to send to somebody, or to keep."""

from __future__ import annotations

from typing import Any

from mayfly import __version__
from mayfly.clock import Clock, rfc3339
from mayfly.database.engine import Database
from mayfly.gateway.access.callers import Caller, Callers
from mayfly.gateway.billing import presenter as bills
from mayfly.gateway.console.reader import TREE_LIMIT, Reader
from mayfly.gateway.console.summaries import Summaries
from mayfly.gateway.http import rawjson
from mayfly.gateway.http.rawjson import RawJSON
from mayfly.gateway.lifecycle import archive
from mayfly.gateway.predictions.finder import Predictions
from mayfly.gateway.predictions.presenter import Presenter
from mayfly.gateway.predictions.snapshots import Prediction
from mayfly.metering.explain import explain
from mayfly.metering.ledger import RunRow

Json = dict[str, Any]

FORMAT = 1
"""Of the bundle; a reader that knows a lower one may not know every field."""

LOG_BYTES = 1024 * 1024
"""How much of the log's end it has."""


class Bundles:
    """Puts bundles together; the reader must be authorized already."""

    def __init__(
        self,
        *,
        database: Database,
        predictions: Predictions,
        presenter: Presenter,
        reader: Reader,
        summaries: Summaries,
        callers: Callers,
        clock: Clock,
    ) -> None:
        self._database = database
        self._predictions = predictions
        self._presenter = presenter
        self._reader = reader
        self._summaries = summaries
        self._callers = callers
        self._clock = clock

    async def of(self, caller: Caller, found: Prediction, base: str) -> str:
        """The bundle of a prediction as JSON text.

        Args:
            caller: who reads; its bill is left out unless the caller may read it.
            found: the prediction.
            base: the reader's base URL, for links.
        """
        snapshot = await self._predictions.snapshot(found)
        fields: Json = {
            "format": FORMAT,
            "mayfly": __version__,
            "made_at": rfc3339(self._clock()),
            "prediction": RawJSON(await self._presenter.body(snapshot, base)),
            "tree": await self._tree(found),
            "source": await self._source(found),
            "log": await self._log(found.row),
            "usage": await self._usage(caller, found.row),
        }
        return rawjson.dumps(fields)

    async def _tree(self, found: Prediction) -> Json:
        results = await self._summaries.of([found])
        async for piece in self._reader.below(found.row.uid):
            results += await self._summaries.of(piece)
        return {"results": results, "truncated": len(results) > TREE_LIMIT}

    async def _source(self, found: Prediction) -> Json | None:
        kept = None if found.row.data_removed else await self._presenter.source(found)
        if kept is None:
            return None
        return {"version": kept.version, "entrypoint": kept.entrypoint, "files": kept.files}

    async def _log(self, row: RunRow) -> Json:
        if row.data_removed:
            return {"text": "", "limit": LOG_BYTES, "truncated": False, "dropped": 0}
        async with self._database.read() as tx:
            size = await archive.log_size(tx, row.uid)
            text = await archive.log_tail(tx, row.uid, LOG_BYTES)
        return {
            "text": text,
            "limit": LOG_BYTES,
            "truncated": size.kept + len(size.dropped_line) > LOG_BYTES,
            "dropped": size.dropped,
        }

    async def _usage(self, caller: Caller, row: RunRow) -> Json | None:
        """The explanation of its bill; None before its end, or if the caller may not read it."""
        if not await self._callers.may(caller, "list", "pipelineruns", row.namespace):
            return None
        found = await explain(self._database, row.uid)
        return None if found is None else bills.explanation(found)
