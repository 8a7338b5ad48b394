"""Stores what agents report of their runs: what has arrived together, in one transaction.

Every report is stored before it is answered, so after an answer the agent may forget it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import assert_never

from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.config import GatewayLimits
from mayfly.database.engine import Database
from mayfly.gateway.files.links import FileLinks
from mayfly.gateway.lifecycle import archive
from mayfly.gateway.lifecycle.dispatches import Dispatches, Moment
from mayfly.gateway.lifecycle.notices import Notices
from mayfly.gateway.metrics.counters import Metrics
from mayfly.gateway.runs import messages
from mayfly.gateway.runs.messages import Heartbeat, Log, Output, Result, Started
from mayfly.gateway.runs.opening import LedgerOpener, Opening
from mayfly.gateway.runs.recorder import Recorder
from mayfly.gateway.runs.sessions import Session
from mayfly.metering import ledger
from mayfly.workqueue import WorkQueue
from mayfly_runtime.spec import strict_json

PLAIN_STRING = re.compile(r'"[^"\\\x00-\x1f]*"')
"""A JSON string without escapes, which most items are: no parser is needed to see that."""

Report = Started | Log | Output | Heartbeat | Result
Answer = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Reported:
    """A report, and when it arrived.

    Attributes:
        items: those of an output that can be stored.
    """

    report: Report
    at: Moment
    items: Sequence[str] = ()


class Reports:
    """Stores reports, and answers them."""

    def __init__(
        self,
        *,
        database: Database,
        links: FileLinks,
        opener: LedgerOpener,
        recorder: Recorder,
        workqueue: WorkQueue[str],
        notices: Notices,
        metrics: Metrics,
        limits: GatewayLimits,
        dispatches: Dispatches,
    ) -> None:
        self._database = database
        self._links = links
        self._opener = opener
        self._recorder = recorder
        self._workqueue = workqueue
        self._notices = notices
        self._metrics = metrics
        self._limits = limits
        self._dispatches = dispatches

    async def store(
        self, session: Session, reported: Sequence[Reported], opening: Opening | None
    ) -> None:
        """Store reports on a session's run, in order, and then answer them.

        Args:
            session: of the run's agent.
            reported: the reports.
            opening: the run's row, if it is to be opened.
        """
        ready = [await self._with_references(session, each) for each in reported]
        async with self._database.write() as tx:
            if opening is not None:
                await self._opener.write(tx, opening, session.sent_at)
            answers = [await self._stored(tx, session, each) for each in ready]
        session.opened = True
        for answer in answers:
            await answer()

    async def _with_references(self, session: Session, told: Reported) -> Reported:
        """The report with files as references. This reads, so it comes before the transaction.

        The run has the files of its children as links, which expire and work in the cluster only.
        """
        report, namespace = told.report, session.pod.namespace
        if isinstance(report, Output):
            # Nothing is stored after an item that is not JSON; the result is checked as a whole.
            texts = [
                await self._links.to_references(text, namespace)
                for text in takewhile(_is_json, report.items_json)
            ]
            return replace(told, items=texts)
        if isinstance(report, Result) and report.output_json is not None:
            text = await self._links.to_references(report.output_json, namespace)
            return replace(told, report=report.model_copy(update={"output_json": text}))
        return told

    async def _stored(self, tx: AsyncConnection, session: Session, told: Reported) -> Answer:
        """Store a report. Returns what to do once that is committed."""
        match told.report:
            case Started() as started:
                return await self._started(tx, started, told.at)
            case Log() as log:
                return await self._log(tx, session, log)
            case Output() as output:
                return await self._output(tx, session, output, told.items)
            case Heartbeat() as heartbeat:
                return await self._heartbeat(tx, heartbeat, told.at)
            case Result() as result:
                return await self._result(tx, session, result, told.at)
        assert_never(told.report)

    async def _started(self, tx: AsyncConnection, started: Started, at: Moment) -> Answer:
        tell = await self._recorder.start(tx, started.run, started.at, at)

        async def answer() -> None:
            tell()
            self._workqueue.add(started.run)

        return answer

    async def _log(self, tx: AsyncConnection, session: Session, log: Log) -> Answer:
        most = self._limits.log_bytes
        offset = await archive.append_log(tx, log.run, log.offset, log.data, most)

        async def answer() -> None:
            self._metrics.log_bytes.inc(len(log.data.encode("utf-8", "replace")))
            await session.send(messages.logack(offset))
            self._notices.tell(log.run)

        return answer

    async def _output(
        self, tx: AsyncConnection, session: Session, output: Output, items: Sequence[str]
    ) -> Answer:
        most = self._limits.output_bytes
        await archive.append_items(tx, output.run, output.index, items, most)

        async def answer() -> None:
            await session.send(messages.outputack(output.index + len(output.items_json)))
            self._notices.tell(output.run)

        return answer

    async def _heartbeat(self, tx: AsyncConnection, beat: Heartbeat, at: Moment) -> Answer:
        row = await ledger.find(tx, beat.run)
        if row is not None and row.started_at is not None:
            # No pod can have worked longer than the time since its work was sent.
            most = self._dispatches.of(row, at).length_ms
            active_ms = beat.active_ms if most is None else min(beat.active_ms, most)
            await ledger.note_heartbeat(tx, beat.run, active_ms, at.at)
        return _nothing

    async def _result(
        self, tx: AsyncConnection, session: Session, result: Result, at: Moment
    ) -> Answer:
        await self._recorder.journal(tx, result.run, result, at)

        async def answer() -> None:
            session.ended = True
            self._workqueue.add(result.run)

        return answer


async def _nothing() -> None:
    """The answer to what needs none."""


def _is_json(text: str) -> bool:
    if PLAIN_STRING.fullmatch(text):
        return True
    try:
        strict_json.parse(text, "The item")
    except ValueError:
        return False
    return True
