"""Applies server reports to calls: logs, items, files, ends. Each is applied once."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime

from mayfly.api.v1alpha1 import Reason
from mayfly.api.v1alpha1.duration import seconds
from mayfly.config import GatewayLimits
from mayfly.database.engine import Database
from mayfly.gateway.calls.news import Reply
from mayfly.gateway.calls.outputs import Fetchable, OutputLost, Outputs
from mayfly.gateway.calls.recorder import CANCELED, CallRecorder
from mayfly.gateway.calls.rows import Call, Step
from mayfly.gateway.lifecycle import archive
from mayfly.gateway.lifecycle.dispatches import Dispatches, Moment
from mayfly.gateway.lifecycle.notices import Notices
from mayfly.gateway.secrets.sealed import Sealed
from mayfly.metering import ledger
from mayfly.metering.clocks import Flag, measured
from mayfly.metering.ending import Ending, Outcome
from mayfly.metering.ledger import RunRow
from mayfly_runtime.spec.redaction import Redactor

OVERTAKEN = 4096
"""Number of characters at the end of a log by which its position is found again."""


class Replies:
    """Applies a server's report to the call's row; reports of one call are serialised."""

    def __init__(
        self,
        *,
        calls: CallRecorder,
        database: Database,
        outputs: Outputs,
        sealed: Sealed,
        notices: Notices,
        limits: GatewayLimits,
        dispatches: Dispatches,
    ) -> None:
        self._calls = calls
        self._database = database
        self._outputs = outputs
        self._sealed = sealed
        self._notices = notices
        self._limits = limits
        self._dispatches = dispatches
        self._locks: dict[str, asyncio.Lock] = {}

    async def hear(
        self,
        uid: str,
        news: Reply,
        *,
        fetchable: Fetchable | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Apply a report. What is known already, or comes after the end, has no effect.

        Args:
            uid: of the call.
            news: the report.
            fetchable: which URLs in the output are files to fetch.
            headers: of such a fetch.
        """
        lock = self._locks.setdefault(uid, asyncio.Lock())
        try:
            async with lock:
                await self._hear(uid, news, fetchable, headers)
        finally:
            if not lock.locked():
                self._locks.pop(uid, None)

    async def _hear(
        self, uid: str, news: Reply, fetchable: Fetchable | None, headers: dict[str, str] | None
    ) -> None:
        received = self._dispatches.now()
        found = await self._calls.find(uid)
        if found is None or found[0].step in {Step.QUEUED, Step.DONE}:
            return
        call, row = found
        if call.step is Step.SENT:
            await self._calls.accepted(uid)
        await self._log(uid, news)
        if news.started and row.started_at is None:
            row = await self._started(row, received.at)
        output = news.output
        if output is not None and output.startswith("["):
            output = await self._items(row, output, fetchable, headers)
        if not news.ended:
            await self._calls.alive(uid)
            self._notices.tell(uid)
            return
        await self._ended(call, row, news, output, received, fetchable, headers)

    async def _log(self, uid: str, news: Reply) -> None:
        if not news.logs:
            return
        async with self._database.write() as tx:
            logs = _shown(news, await self._sealed.texts_in(tx, uid))
            size = await archive.log_size(tx, uid)
            tail = await archive.log_tail(tx, uid, self._limits.log_tail_bytes)
            fresh = unseen(tail if not size.dropped else "", logs, whole=size.received)
            await archive.append_log(tx, uid, size.received, fresh, self._limits.log_bytes)

    async def _started(self, row: RunRow, received: datetime) -> RunRow:
        async with self._database.write() as tx:
            await ledger.note_start(tx, row.uid, max(received, row.sent_at or received))
            return await ledger.find(tx, row.uid) or row

    async def _items(
        self,
        row: RunRow,
        output: str,
        fetchable: Fetchable | None,
        headers: dict[str, str] | None,
    ) -> str:
        """Store the new items of a list; returns the list with references to all its files."""
        async with self._database.read() as tx:
            known = json.loads(await archive.items(tx, row.uid) or "[]")
        values = json.loads(output)
        limit = self._limits.output_bytes
        for position in range(len(known), len(values)):
            text = json.dumps(values[position], ensure_ascii=False, separators=(",", ":"))
            try:
                stored = await self._outputs.stored(
                    text,
                    namespace=row.namespace,
                    uid=row.uid,
                    fetchable=fetchable,
                    headers=headers,
                )
            except OutputLost:
                return output  # reported at the end, when the whole output is checked
            value = json.loads(stored)
            async with self._database.write() as tx:
                held = await archive.append_items(tx, row.uid, position, [stored], limit)
            if held <= position:
                return output
            known.append(value)
        # Items with files are replaced by the stored ones; without files, the text is unchanged.
        same = known == values
        return output if same else json.dumps(known[: len(values)], ensure_ascii=False)

    async def _ended(
        self,
        call: Call,
        row: RunRow,
        news: Reply,
        output: str | None,
        received: Moment,
        fetchable: Fetchable | None,
        headers: dict[str, str] | None,
    ) -> None:
        outcome, reason, error = _end_of(news)
        try:
            if output is not None:
                output = await self._outputs.stored(
                    output,
                    namespace=row.namespace,
                    uid=row.uid,
                    fetchable=fetchable,
                    headers=headers,
                )
        except OutputLost as problem:
            outcome, reason, error = Outcome.FAILED, Reason.OUTPUT_UPLOAD_FAILED, str(problem)
            output = None
        limit = self._limits.output_bytes
        if output is not None and len(output.encode("utf-8", "replace")) > limit:
            outcome, reason = Outcome.FAILED, Reason.OUTPUT_TOO_LARGE
            output, error = None, f"The output has more than {limit} bytes."
        if output is None and outcome is not Outcome.SUCCEEDED:
            async with self._database.read() as tx:
                output = await archive.items(tx, row.uid)
        started = row.started_at
        if started is None and (news.started or outcome is Outcome.SUCCEEDED):
            started = row.sent_at or received.at
        window = self._dispatches.of(row, received)
        span = window.since(started, received.at) if started else 0
        stamps = measured(
            started_at=started,
            completed_at=received.at,
            active_ms=span if news.active_ms is None else news.active_ms,
            window=window,
            limit_ms=int(seconds(call.sent_to["timeout"]) * 1000),
            flags={Flag.CLAIM_REFUSED} if news.unbelievable else (),
        )
        await self._calls.end(
            row.uid,
            Ending(
                outcome=outcome,
                reason=reason,
                error=error,
                output=output,
                started_at=stamps.started_at,
                completed_at=stamps.completed_at or received.at,
                active_ms=stamps.active_ms,
                input_tokens=news.input_tokens,
                output_tokens=news.output_tokens,
                flags=stamps.flags,
            ),
        )


def _shown(news: Reply, secrets: dict[str, str]) -> str:
    """The server's log with the prediction's secrets redacted; always from its beginning."""
    redactor = Redactor()
    redactor.hide(secrets.values())
    told = redactor.feed((news.logs or "").encode("utf-8", "replace"))
    if news.ended:
        told += redactor.rest()
    return told.decode("utf-8", "ignore")


def _end_of(news: Reply) -> tuple[Outcome, Reason, str]:
    if news.status == "succeeded":
        return Outcome.SUCCEEDED, Reason.SUCCEEDED, ""
    if news.status in {"canceled", "aborted"}:
        return Outcome.CANCELED, Reason.CANCELED, CANCELED
    words = news.error or "The model failed without an error message."
    return Outcome.FAILED, Reason.USER_ERROR, words


def unseen(tail: str, logs: str, *, whole: int) -> str:
    """The new part of a server's log.

    Args:
        tail: the end of the stored log; "" if the log limit cut it off.
        logs: the server's log: from its beginning, or only its end if the server limits it.
        whole: number of bytes received so far.
    """
    raw = logs.encode("utf-8", "replace")
    if len(raw) >= whole and raw[:whole].endswith(tail.encode("utf-8", "replace")):
        return raw[whole:].decode("utf-8", "ignore")
    if logs[-OVERTAKEN:] in tail:
        return ""  # older than the stored log: reports may arrive out of order
    # The end of a longer log: continue after the last text that both contain.
    for size in (4096, 1024, 256, 64):
        mark = tail[-size:]
        if mark and mark in logs:
            return logs[logs.rindex(mark) + len(mark) :]
    return logs
