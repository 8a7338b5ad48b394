"""The prediction object as Replicate's clients want it, with links in the reader's own base.

Inputs and outputs are JSON text that user code made; they are put in as they are, so that 1.0
stays 1.0, a long integer whole and keys in order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from mayfly.api.v1alpha1.identity import run_id
from mayfly.clock import Clock, rfc3339
from mayfly.database.engine import Database
from mayfly.gateway.access.signing import SigningKey
from mayfly.gateway.cache.directory import Directory
from mayfly.gateway.catalog import schemas
from mayfly.gateway.catalog.schemas import NO_VERSION, gives_files, is_iterator
from mayfly.gateway.files.links import FileLinks
from mayfly.gateway.http import rawjson, urls
from mayfly.gateway.lifecycle import archive, sources
from mayfly.gateway.lifecycle.sources import KeptSource
from mayfly.gateway.lifecycle.states import ENDS, State
from mayfly.gateway.predictions.snapshots import Prediction, Snapshot, costs
from mayfly.gateway.predictions.stream_links import stream_link
from mayfly.gateway.secrets.sealed import redacted
from mayfly.metering.ledger import RunRow
from mayfly.metering.pricing import decimal_text

LISTED_BYTES = 16 * 1024
"""Inputs and outputs above this are left out of lists."""


class Presenter:
    """Shows predictions, whole or in pieces; whoever asks was found to be allowed to read them."""

    def __init__(
        self,
        *,
        database: Database,
        links: FileLinks,
        key: SigningKey,
        directory: Directory,
        clock: Clock,
    ) -> None:
        self._database = database
        self._links = links
        self._key = key
        self._directory = directory
        self._clock = clock

    async def body(self, found: Snapshot, base: str) -> str:
        """The prediction object as JSON text, with links in the reader's own base.

        Args:
            found: the prediction.
            base: the reader's base URL, without a slash at its end.
        """
        row = found.row
        fields = prediction_object(
            row,
            found.state,
            input_json=await self.linked(row, redacted(row.input_json), base),
            output=await self.linked(row, found.output, base),
            logs=found.logs,
            cost=_text(found.cost),
            base=base,
            stream=self._stream(row, base),
            extra=_beside(found),
        )
        return rawjson.dumps(fields)

    async def created(self, found: Snapshot, base: str) -> str:
        """The answer to a create: what has not ended is `starting`, without output.

        Clients take any other word for the end of a waiting create, and skip what output is
        there when they begin to read a stream of it.
        """
        if not found.ended:
            found = replace(found, state=State.STARTING, output=None)
        return await self.body(found, base)

    async def listed(self, found: Sequence[Prediction], base: str) -> list[rawjson.RawJSON]:
        """Predictions for a list: without logs, and without large inputs and outputs."""
        async with self._database.read() as tx:
            own = await costs(tx, found)
        return [
            rawjson.RawJSON(
                rawjson.dumps(
                    prediction_object(
                        each.row,
                        each.state,
                        input_json=await self.linked(
                            each.row, _small(redacted(each.row.input_json)), base
                        ),
                        output=await self.linked(each.row, _small(each.output), base),
                        logs=None,
                        cost=_text(own.get(each.row.uid)),
                        base=base,
                        stream=self._stream(each.row, base),
                    )
                )
            )
            for each in found
        ]

    async def linked(self, row: RunRow, text: str | None, base: str) -> str | None:
        """A prediction's JSON text with its files as links; everything else byte for byte."""
        if text is None:
            return None
        return await self._links.to_links(text, row.namespace, urls.host_of(base))

    def _stream(self, row: RunRow, base: str) -> str:
        files = gives_files(schemas.of_prediction(self._directory, row))
        return stream_link(self._key, urls.host_of(base), row.id, self._clock(), files=files)

    async def items_from(self, row: RunRow, position: int) -> list[str]:
        """The JSON texts of an iterator's items from a position on, as they came so far."""
        async with self._database.read() as tx:
            return await archive.items_from(tx, row.uid, position)

    def is_iterator(self, row: RunRow) -> bool:
        """Whether the output comes item by item."""
        return is_iterator(schemas.of_prediction(self._directory, row))

    async def log_from(self, row: RunRow, position: int) -> tuple[str, int]:
        """A piece of a prediction's log from a position on, and the position after it."""
        async with self._database.read() as tx:
            return await archive.read_log(tx, row.uid, position)

    async def source(self, row: RunRow) -> KeptSource | None:
        """The source that a prediction ran, where it is kept."""
        async with self._database.read() as tx:
            return await sources.find(tx, row.version)

    async def log_end(self, row: RunRow) -> str:
        """The line on what was not kept of a log, or ""."""
        async with self._database.read() as tx:
            return (await archive.log_size(tx, row.uid)).dropped_line


def _small(text: str | None) -> str | None:
    return text if text is not None and len(text) <= LISTED_BYTES else None


def _text(own: Decimal | None) -> str | None:
    return None if own is None else decimal_text(own)


def _beside(found: Snapshot) -> dict[str, Any]:
    """What the caller asked for beside the input, and what came of a run below it."""
    fields: dict[str, Any] = {**_asked(found), **_below(found)}
    return fields | (found.delivery.fields() if found.delivery else {})


def _asked(found: Snapshot) -> dict[str, Any]:
    """What the caller asked for beside the input, as a run's object or a call's row keeps it."""
    seen, call = found.seen, found.call
    fields: dict[str, Any] = {}
    deadline = seen.cancel_at if seen else call.cancel_at if call else None
    if deadline is not None:
        fields["deadline"] = rfc3339(deadline)
    webhook = seen.run.spec.webhook if seen else None
    if webhook is not None:
        fields |= {"webhook": webhook.url, "webhook_events_filter": list(webhook.events)}
    return fields


def _below(found: Snapshot) -> dict[str, Any]:
    """What a run has made so far, and what that costs; `total_cost` with the run's own end."""
    tally, own = found.tally, found.cost
    fields: dict[str, Any] = {
        "downstream_cost": decimal_text(tally.downstream),
        "total_cost": None if own is None else decimal_text(tally.total(own)),
        "final": found.ended and tally.settled,
    }
    if not found.row.is_run:
        return fields
    children = tally.children
    return fields | {
        "children": {
            "total": children.total,
            "succeeded": children.succeeded,
            "failed": children.failed,
            "canceled": children.canceled,
        }
    }


def prediction_object(
    row: RunRow,
    state: State,
    *,
    input_json: str | None,
    output: str | None,
    logs: str | None,
    cost: str | None,
    base: str,
    stream: str,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The prediction object, field by field.

    Args:
        row: the run.
        state: the word of the API.
        input_json: the input's text, with links.
        output: the output's text, with links.
        logs: the end of the log.
        cost: the run's own cost, once it is known.
        base: the reader's base URL.
        stream: where its events are read.
        extra: further members: what only some predictions have.
    """
    url = f"{base}/v1/predictions/{row.id}"
    ended = state in ENDS
    return {
        "id": row.id,
        "kind": "pipeline" if row.is_run else "model",
        "model": row.called or f"{row.pipeline_namespace}/{row.pipeline or row.name}",
        "version": row.version or NO_VERSION,
        "status": state.value,
        "input": rawjson.RawJSON(input_json or "{}"),
        "output": rawjson.RawJSON(output or "null"),
        "logs": None if row.data_removed else logs,
        "error": _error(row) if ended and state is not State.SUCCEEDED else None,
        "metrics": _metrics(row) if ended else {},
        "created_at": rfc3339(row.created_at),
        "started_at": _stamp(row.started_at),
        "completed_at": _stamp(row.completed_at) if ended else None,
        "urls": {
            "get": url,
            "cancel": f"{url}/cancel",
            "web": f"{urls.host_of(base)}/ui/predictions/{row.id}",
            "stream": stream,
        },
        "data_removed": row.data_removed,
        "source": "api",
        "namespace": row.namespace,
        "name": row.name,
        "depth": row.depth,
        "parent": run_id(row.parent_uid) if row.parent_uid else None,
        "root": run_id(row.root_uid),
        "reason": row.reason if ended else None,
        "cost": cost,
        "currency": row.currency,
        **(extra or {}),
    }


def _error(row: RunRow) -> str | None:
    return None if row.data_removed else row.error


def _metrics(row: RunRow) -> dict[str, float]:
    metrics: dict[str, float] = {"predict_time": row.active_ms / 1000}
    if row.input_tokens:
        metrics["input_token_count"] = row.input_tokens
    if row.output_tokens:
        metrics["output_token_count"] = row.output_tokens
    if row.completed_at is not None:
        metrics["total_time"] = max(0.0, (row.completed_at - row.created_at).total_seconds())
    return metrics


def _stamp(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
