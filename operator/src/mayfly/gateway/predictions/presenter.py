"""The prediction object in Replicate's format, with links under the reader's base URL.

Inputs and outputs are JSON text made by user code. They are inserted unparsed, so that 1.0 stays
1.0, long integers keep their digits, and keys keep their order.
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
from mayfly.gateway.cache.programs import Programs
from mayfly.gateway.catalog import schemas
from mayfly.gateway.catalog.schemas import NO_VERSION, gives_files, is_iterator
from mayfly.gateway.files.links import FileLinks
from mayfly.gateway.http import rawjson, urls
from mayfly.gateway.lifecycle import archive, deliveries, sources
from mayfly.gateway.lifecycle.sources import KeptSource
from mayfly.gateway.lifecycle.states import ENDS, State
from mayfly.gateway.predictions.snapshots import Prediction, Snapshot, costs
from mayfly.gateway.predictions.stream_links import stream_link
from mayfly.gateway.secrets.sealed import redacted
from mayfly.kube.errors import NotFound
from mayfly.metering.ledger import RunRow
from mayfly.metering.pricing import decimal_text
from mayfly_runtime.spec import strict_json

LISTED_BYTES = 16 * 1024
"""Inputs and outputs larger than this are omitted from lists."""


class Presenter:
    """Renders predictions as JSON, logs, source; the reader must be authorized already."""

    def __init__(
        self,
        *,
        database: Database,
        links: FileLinks,
        key: SigningKey,
        directory: Directory,
        programs: Programs,
        clock: Clock,
    ) -> None:
        self._database = database
        self._programs = programs
        self._links = links
        self._key = key
        self._directory = directory
        self._clock = clock

    async def body(self, found: Snapshot, base: str) -> str:
        """The prediction object as JSON text, with links under the reader's base URL.

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
        """The answer to a create: an unfinished prediction is shown as `starting`, without output.

        Clients treat any other status as the end of a waiting create, and skip output that is
        already there when they begin to read its stream.
        """
        if not found.ended:
            found = replace(found, state=State.STARTING, output=None)
        return await self.body(found, base)

    async def listed(self, found: Sequence[Prediction], base: str) -> list[rawjson.RawJSON]:
        """Predictions as shown in a list: without logs, and without large inputs and outputs."""
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
        """A prediction's JSON text with file ids replaced by links; all other bytes unchanged."""
        if text is None:
            return None
        return await self._links.to_links(text, row.namespace, urls.host_of(base))

    def _stream(self, row: RunRow, base: str) -> str:
        files = gives_files(schemas.of_prediction(self._directory, row))
        return stream_link(self._key, urls.host_of(base), row.id, self._clock(), files=files)

    async def items_from(self, row: RunRow, position: int) -> list[str]:
        """The items of an iterator's output from a position on, as JSON texts."""
        async with self._database.read() as tx:
            return await archive.items_from(tx, row.uid, position)

    def is_iterator(self, row: RunRow) -> bool:
        """Whether the output comes item by item."""
        return is_iterator(schemas.of_prediction(self._directory, row))

    async def log_from(self, row: RunRow, position: int) -> tuple[str, int]:
        """A piece of the prediction's log from a position on, and the next position."""
        async with self._database.read() as tx:
            return await archive.read_log(tx, row.uid, position)

    async def source(self, found: Prediction) -> KeptSource | None:
        """The source that a prediction runs or ran, if it is still there."""
        async with self._database.read() as tx:
            kept = await sources.find(tx, found.row.version)
        seen = found.seen
        if kept is not None or seen is None or not seen.run.status.pod_uid:
            return kept
        try:  # its work is sent before its row is stored, with its source
            program = await self._programs.program(seen.run)
        except NotFound:
            return None
        return KeptSource(found.row.version, program.entrypoint, program.files)

    async def log_end(self, row: RunRow) -> str:
        """The line that says how much of the log was dropped, or ""."""
        async with self._database.read() as tx:
            return (await archive.log_size(tx, row.uid)).dropped_line


def _small(text: str | None) -> str | None:
    return text if text is not None and strict_json.size(text) <= LISTED_BYTES else None


def _text(own: Decimal | None) -> str | None:
    return None if own is None else decimal_text(own)


def _beside(found: Snapshot) -> dict[str, Any]:
    """Fields besides the input: what the caller requested, and the totals of the runs below."""
    fields: dict[str, Any] = {**_asked(found), **_below(found)}
    return fields | (found.delivery.fields() if found.delivery else {})


def _asked(found: Snapshot) -> dict[str, Any]:
    """What the caller requested besides the input, from a run's object or a call's row."""
    seen, call = found.seen, found.call
    fields: dict[str, Any] = {}
    deadline = seen.cancel_at if seen else call.cancel_at if call else None
    if deadline is not None:
        fields["deadline"] = rfc3339(deadline)
    webhook = seen.run.spec.webhook if seen else None
    if webhook is not None:
        fields |= deliveries.webhook_fields(webhook.url, webhook.events)
    return fields


def _below(found: Snapshot) -> dict[str, Any]:
    """The children so far and their cost; `total_cost` once the run has ended."""
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
        state: the status in the API.
        input_json: the input's text, with links.
        output: the output's text, with links.
        logs: the end of the log.
        cost: the run's own cost, once it is known.
        base: the reader's base URL.
        stream: URL of its events.
        extra: additional fields that only some predictions have.
    """
    url = f"{base}/v1/predictions/{row.id}"
    ended = state in ENDS
    return {
        "id": row.id,
        "kind": "pipeline" if row.is_run else "model",
        "model": row.model,
        "version": row.version or NO_VERSION,
        "status": state.value,
        "input": rawjson.RawJSON(input_json or "{}"),
        "output": rawjson.RawJSON(output or "null"),
        "logs": None if row.data_removed else logs,
        # A cancelled one has none, as on Replicate: what it ended for is its `reason`.
        "error": _error(row) if state is State.FAILED else None,
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
