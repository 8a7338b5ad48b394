"""Applies server reports to calls: logs, items, files, ends. Each is applied once."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from sqlalchemy.ext.asyncio import AsyncConnection

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
from mayfly.workqueue import WorkQueue
from mayfly_runtime.spec import strict_json
from mayfly_runtime.spec.redaction import Redactor

OVERTAKEN = 4096
"""Number of characters at the end of a log by which its position is found again."""


@dataclass(frozen=True)
class _Waiting:
    """The newest report of a call that is not applied yet.

    Attributes:
        news: the report.
        received: when it came, or the first of those that it replaced and that said `started`.
    """

    news: Reply
    received: Moment


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
        workqueue: WorkQueue[str],
    ) -> None:
        """Get ready.

        Args:
            calls: the rows of calls.
            database: holds logs and items.
            outputs: stores files in outputs.
            sealed: the secrets to remove from logs.
            notices: wakes readers.
            limits: bytes of logs and outputs.
            dispatches: when calls were sent.
            workqueue: UIDs of calls with a report that waits.
        """
        self._calls = calls
        self._database = database
        self._outputs = outputs
        self._sealed = sealed
        self._notices = notices
        self._limits = limits
        self._dispatches = dispatches
        self._workqueue = workqueue
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._waiting: dict[str, _Waiting] = {}

    async def run(self) -> None:
        """Apply waiting reports until cancelled."""
        await self._workqueue.run(self._apply_waiting)

    def note(self, uid: str, news: Reply) -> None:
        """Queue a report that is not the end; a newer report replaces one that still waits.

        The server does not wait for the database. Nothing is lost, because each report contains
        everything that the earlier ones did.
        """
        received = self._dispatches.now()
        before = self._waiting.get(uid)
        if before is not None and before.news.started:
            received = before.received
        self._waiting[uid] = _Waiting(news, received)
        self._workqueue.add(uid)

    async def _apply_waiting(self, uid: str) -> None:
        async with self._lock(uid):
            waiting = self._waiting.pop(uid, None)
            if waiting is None:
                return
            try:
                await self._hear(uid, waiting.news, waiting.received, None, None)
            except Exception:
                self._waiting.setdefault(uid, waiting)
                raise

    async def hear(
        self,
        uid: str,
        news: Reply,
        *,
        fetchable: Fetchable | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Apply a report now. What is known already, or comes after the end, has no effect.

        Args:
            uid: of the call.
            news: the report.
            fetchable: which URLs in the output are files to fetch.
            headers: of such a fetch.
        """
        received = self._dispatches.now()
        async with self._lock(uid):
            replaced = self._waiting.get(uid)
            began = replaced.received if replaced is not None and replaced.news.started else None
            await self._hear(uid, news, received, fetchable, headers, began=began)
            self._waiting.pop(uid, None)

    def _lock(self, uid: str) -> asyncio.Lock:
        return self._locks.setdefault(uid, asyncio.Lock())

    async def _hear(
        self,
        uid: str,
        news: Reply,
        received: Moment,
        fetchable: Fetchable | None,
        headers: dict[str, str] | None,
        *,
        began: Moment | None = None,
    ) -> None:
        found = await self._calls.find(uid)
        if found is None or found[0].step in {Step.QUEUED, Step.DONE}:
            return
        call, row = found
        if call.step is Step.SENT:
            await self._calls.accepted(uid)
        if row.started_at is None and (news.started or began is not None):
            row = await self._started(row, began or received)
        await self._progress(row, news, fetchable, headers)
        if news.ended:
            await self._ended(call, row, news, received, fetchable, headers)
        else:
            self._notices.tell(uid)

    async def _progress(
        self,
        row: RunRow,
        news: Reply,
        fetchable: Fetchable | None,
        headers: dict[str, str] | None,
    ) -> None:
        """Store what is new in a report, in one transaction."""
        async with self._database.read() as tx:
            position = (await archive.output_size(tx, row.uid)).items
        fresh: list[str] = []
        with suppress(OutputLost):  # reported at the end, when the whole output is checked
            for value in _list(news.output)[position:]:
                text = await self._outputs.stored(
                    strict_json.dump(value),
                    namespace=row.namespace,
                    uid=row.uid,
                    fetchable=fetchable,
                    headers=headers,
                )
                fresh.append(text)
        if news.ended and not news.logs and not fresh:
            return
        async with self._database.write() as tx:
            if news.logs:
                await self._append_log(tx, row.uid, news)
            if fresh:
                limit = self._limits.output_bytes
                await archive.append_items(tx, row.uid, position, fresh, limit)
            if not news.ended:
                await self._calls.alive_in(tx, row.uid)

    async def _append_log(self, tx: AsyncConnection, uid: str, news: Reply) -> None:
        logs = _shown(news, await self._sealed.texts_in(tx, uid))
        size = await archive.log_size(tx, uid)
        tail = await archive.log_tail(tx, uid, self._limits.log_tail_bytes)
        fresh = unseen(tail if not size.dropped else "", logs, whole=size.received)
        await archive.append_log(tx, uid, size.received, fresh, self._limits.log_bytes)

    async def _started(self, row: RunRow, received: Moment) -> RunRow:
        async with self._database.write() as tx:
            await ledger.note_start(tx, row.uid, max(received.at, row.sent_at or received.at))
            return await ledger.find(tx, row.uid) or row

    async def _with_stored_items(self, uid: str, output: str) -> str:
        """A list with references in the items that are stored; without files, unchanged."""
        values = _list(output)
        async with self._database.read() as tx:
            stored = await archive.items_from(tx, uid, 0)
        known = [json.loads(text) for text in stored[: len(values)]]
        if known == values[: len(known)]:
            return output
        return strict_json.dump([*known, *values[len(known) :]])

    async def _ended(
        self,
        call: Call,
        row: RunRow,
        news: Reply,
        received: Moment,
        fetchable: Fetchable | None,
        headers: dict[str, str] | None,
    ) -> None:
        outcome, reason, error = _end_of(news)
        output = news.output
        try:
            if output is not None:
                output = await self._outputs.stored(
                    await self._with_stored_items(row.uid, output),
                    namespace=row.namespace,
                    uid=row.uid,
                    fetchable=fetchable,
                    headers=headers,
                )
        except OutputLost as problem:
            outcome, reason, error = Outcome.FAILED, Reason.OUTPUT_UPLOAD_FAILED, str(problem)
            output = None
        limit = self._limits.output_bytes
        if output is not None and strict_json.size(output) > limit:
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


def _list(output: str | None) -> list[Any]:
    """The items of an output that is a list; of any other, none."""
    return list(json.loads(output)) if output is not None and output.startswith("[") else []


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
