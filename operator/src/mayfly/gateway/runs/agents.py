"""Agent sessions: accepts agents' connections and handles their messages.

Every message is stored before it is acknowledged, so after an acknowledgement the agent may forget
it. If a message can't be stored, the connection is closed with 1012: the agent reconnects and
resumes from what `welcome` says.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Mapping
from itertools import takewhile
from typing import Protocol, assert_never

from mayfly.clock import Clock
from mayfly.config import GatewayLimits
from mayfly.database.engine import Database, StorageAway, StorageFull
from mayfly.gateway.access.authentication import Authenticator, Pod
from mayfly.gateway.cache.runs import Runs
from mayfly.gateway.http.errors import BAD_MESSAGE, RESTART, RETIRED, Rejected
from mayfly.gateway.lifecycle import archive
from mayfly.gateway.lifecycle.dispatches import Dispatches
from mayfly.gateway.lifecycle.notices import Notices
from mayfly.gateway.metrics.counters import Metrics
from mayfly.gateway.runs import messages, pod_secrets
from mayfly.gateway.runs.messages import (
    Accepted,
    BadMessage,
    Heartbeat,
    Hello,
    Leaving,
    Log,
    Output,
    Result,
    RunMessage,
    Started,
)
from mayfly.gateway.runs.opening import LedgerOpener
from mayfly.gateway.runs.recorder import Recorder
from mayfly.gateway.runs.sessions import Session, Sessions, Wire
from mayfly.kube.errors import KubeError
from mayfly.metering import ledger
from mayfly.metering.ledger import RunRow
from mayfly.workqueue import WorkQueue
from mayfly_runtime.spec import strict_json

logger = logging.getLogger(__name__)

SESSION_HEADER = "mayfly-session"
HELLO_SECONDS = 30.0
SYNC_SECONDS = 60.0

PLAIN_STRING = re.compile(r'"[^"\\\x00-\x1f]*"')
"""A JSON string without escapes, which most items are: no parser is needed to see that."""


class Connection(Wire, Protocol):
    """Interface of an agent's WebSocket."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The request's headers; names in any case."""

    def texts(self) -> AsyncIterator[str]:
        """The text messages until the agent disconnects."""


class Agents:
    """Serves agent sessions."""

    def __init__(
        self,
        *,
        authenticator: Authenticator,
        database: Database,
        runs: Runs,
        sessions: Sessions,
        opener: LedgerOpener,
        recorder: Recorder,
        workqueue: WorkQueue[str],
        notices: Notices,
        metrics: Metrics,
        limits: GatewayLimits,
        dispatches: Dispatches,
        clock: Clock,
    ) -> None:
        self._authenticator = authenticator
        self._database = database
        self._runs = runs
        self._sessions = sessions
        self._opener = opener
        self._recorder = recorder
        self._workqueue = workqueue
        self._notices = notices
        self._metrics = metrics
        self._limits = limits
        self._dispatches = dispatches
        self._clock = clock

    async def pod(self, headers: Mapping[str, str]) -> Pod:
        """Authenticate an agent's HTTP request, and return its pod.

        Raises:
            Rejected: it is not that pod's agent.
        """
        pod = await self._authenticator.pod(headers)
        secret = pod_secrets.secret_hash(headers.get(SESSION_HEADER, ""))
        async with self._database.read() as tx:
            await pod_secrets.check(tx, pod.uid, secret)
        return pod

    async def run_of(self, pod: Pod) -> RunRow | None:
        """The run of a pod's agent."""
        session = self._sessions.of_pod(pod.uid)
        if session is not None and session.run is not None:
            return await self._row(session.run, pod)
        # The session may be at another gateway. A pod has at most one unfinished run.
        async with self._database.read() as tx:
            rows = await ledger.find_by_pod(tx, pod.uid)
        return next((row for row in rows if not row.closed and row.sent_at), None)

    async def serve(self, connection: Connection) -> None:
        """Serve one connection until it ends.

        Raises:
            Rejected: the connection is closed with this close code.
        """
        pod = await self._authenticator.pod(connection.headers)
        try:
            await self._serve(connection, pod)
        except StorageFull as error:
            await self._report_full(pod)
            raise Rejected(RESTART, str(error)) from error
        except StorageAway as error:
            raise Rejected(RESTART, str(error)) from error

    async def _report_full(self, pod: Pod) -> None:
        """Write "storage full" to the pod's runs: the object is the only place with space left."""
        for uid in self._runs.claimed_for(pod.uid):
            seen = self._runs.get(uid)
            if seen is not None and not seen.run.status.ended:
                try:
                    await self._recorder.report_storage_full(seen)
                except KubeError as error:
                    logger.info(
                        "could not report the full disk on the run: %s", error, extra={"run": uid}
                    )

    async def _serve(self, connection: Connection, pod: Pod) -> None:
        secret = pod_secrets.secret_hash(connection.headers.get(SESSION_HEADER, ""))
        try:
            async with asyncio.timeout(SYNC_SECONDS):
                await self._runs.synced.wait()
        except TimeoutError as error:
            raise Rejected(RESTART, "the Kubernetes API does not answer") from error
        async with self._database.write() as tx:
            await pod_secrets.admit(tx, pod.uid, secret, self._clock())
        texts = connection.texts()
        session = await self._greet(connection, pod, texts)
        if session is None:
            return
        try:
            async for text in texts:
                await self._take(session, _parsed(text))
        finally:
            self._sessions.remove(session)

    async def _greet(
        self, connection: Connection, pod: Pod, texts: AsyncIterator[str]
    ) -> Session | None:
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                text = await anext(texts, None)
        except TimeoutError as error:
            raise Rejected(BAD_MESSAGE, "no hello") from error
        if text is None:
            return None
        hello = _parsed(text)
        if not isinstance(hello, Hello) or hello.protocol != messages.PROTOCOL:
            raise Rejected(BAD_MESSAGE, "the first message is hello of protocol 1")
        session = Session(pod, connection, self._clock())
        offset, items, recorded = 0, 0, False
        row = await self._bind(session, hello)
        if row is not None:
            recorded = row.closed
            async with self._database.read() as tx:
                offset = (await archive.log_size(tx, row.uid)).received
                items = (await archive.output_size(tx, row.uid)).items
        before = self._sessions.add(session)
        if before is not None:
            await before.close(1001, "the agent has reconnected")
        await session.send(
            messages.welcome(log_offset=offset, output_index=items, recorded=recorded)
        )
        await self._look(session)
        return session

    async def _bind(self, session: Session, hello: Hello) -> RunRow | None:
        """Bind the session to the run that the agent reports, if the ledger or the claim agrees."""
        if hello.run is None or hello.state == "idle":
            return None
        row = await self._row(hello.run, session.pod)
        if row is None:
            # Neither in SQL nor in the cluster: nobody waits for this agent's run.
            raise Rejected(RETIRED, "the run is unknown")
        session.run, session.attempt, session.accepted = row.uid, hello.attempt or 1, True
        session.ended = hello.state == "done"
        return row

    async def _look(self, session: Session) -> None:
        """Queue the runs that this connection may affect."""
        uids = set(self._runs.claimed_for(session.pod.uid))
        if session.run is not None:
            uids.add(session.run)
        elif not uids:
            # An idle pod whose run is over will never be claimed again.
            async with self._database.read() as tx:
                uids.update(row.uid for row in await ledger.find_by_pod(tx, session.pod.uid))
        for uid in uids:
            self._workqueue.add(uid)

    async def _row(self, uid: str, pod: Pod) -> RunRow | None:
        """The ledger row of a run, if this pod may report on it."""
        seen = self._runs.get(uid) or self._runs.departed(uid)
        claimed = seen is not None and seen.run.status.pod_uid == pod.uid
        async with self._database.read() as tx:
            row = await ledger.find(tx, uid)
        if row is None and seen is not None and claimed:
            session = self._sessions.of_run(uid, pod.uid)
            row = await self._opener.open(seen, row, session.sent_at if session else None)
        return row if row is not None and (claimed or row.pod_uid == pod.uid) else None

    # -- messages --------------------------------------------------------------------------------

    async def _take(self, session: Session, message: Hello | Leaving | RunMessage) -> None:
        match message:
            case Hello():
                # The answer to work that the agent refuses, because it has another run.
                await self._bind(session, message)
                await self._look(session)
            case Leaving():
                await self._leave(session)
            case _:
                await self._take_of_run(session, message)

    async def _take_of_run(self, session: Session, message: RunMessage) -> None:
        if session.run is None or message.run != session.run:
            raise Rejected(BAD_MESSAGE, "the message is about another run")
        if isinstance(message, Accepted):
            session.accepted = True
            # Other runs that were claimed for this pod have lost it; queue them.
            for uid in {*self._runs.claimed_for(session.pod.uid)} - {session.run}:
                self._workqueue.add(uid)
            return
        await self._check_claim(session, message.run)
        match message:
            case Started():
                await self._recorder.start(message.run, message.at, self._dispatches.now())
                self._workqueue.add(message.run)
            case Log():
                await self._log(session, message)
            case Output():
                await self._output(session, message)
            case Heartbeat():
                await self._heartbeat(message)
            case Result():
                await self._result(session, message)
            case _:
                assert_never(message)

    async def _leave(self, session: Session) -> None:
        """No work was accepted, and none will be: runs that were claimed for the pod lose it."""
        if session.accepted:
            raise Rejected(BAD_MESSAGE, "an agent with a run does not leave")
        async with self._database.write() as tx:
            await pod_secrets.retire(tx, session.pod.uid, self._clock())
        session.run, session.retired = None, True
        for uid in self._runs.claimed_for(session.pod.uid):
            self._workqueue.add(uid)

    async def _check_claim(self, session: Session, uid: str) -> None:
        """Check that the session's pod may report on its run, whose row is opened if need be."""
        seen = self._runs.get(uid)
        if session.opened and seen is not None and seen.run.status.pod_uid == session.pod.uid:
            return
        if await self._row(uid, session.pod) is None:
            raise Rejected(RETIRED, "the run is unknown")
        session.opened = True

    async def _log(self, session: Session, message: Log) -> None:
        async with self._database.write() as tx:
            offset = await archive.append_log(
                tx, message.run, message.offset, message.data, self._limits.log_bytes
            )
        self._metrics.log_bytes.inc(len(message.data.encode("utf-8", "replace")))
        await session.send(messages.logack(offset))
        self._notices.tell(message.run)

    async def _output(self, session: Session, message: Output) -> None:
        # Nothing is stored after an item that is not JSON; the result is checked as a whole.
        texts = [
            await self._recorder.with_references(message.run, text)
            for text in takewhile(_is_json, message.items_json)
        ]
        async with self._database.write() as tx:
            await archive.append_items(
                tx, message.run, message.index, texts, self._limits.output_bytes
            )
        await session.send(messages.outputack(message.index + len(message.items_json)))
        self._notices.tell(message.run)

    async def _heartbeat(self, message: Heartbeat) -> None:
        now = self._dispatches.now()
        async with self._database.write() as tx:
            row = await ledger.find(tx, message.run)
            if row is None or row.started_at is None:
                return
            # No pod can have worked longer than the time since its work was sent.
            most = self._dispatches.of(row, now).length_ms
            active_ms = message.active_ms if most is None else min(message.active_ms, most)
            await ledger.note_heartbeat(tx, message.run, active_ms, now.at)

    async def _result(self, session: Session, message: Result) -> None:
        if message.attempt != session.attempt:
            raise Rejected(BAD_MESSAGE, "the result is of another attempt")
        await self._recorder.journal(message.run, message, self._dispatches.now())
        session.ended = True
        self._workqueue.add(message.run)


def _is_json(text: str) -> bool:
    if PLAIN_STRING.fullmatch(text):
        return True
    try:
        strict_json.parse(text, "The item")
    except ValueError:
        return False
    return True


def _parsed(text: str) -> Hello | Leaving | RunMessage:
    try:
        return messages.parse(text)
    except BadMessage as error:
        logger.warning("invalid message from an agent: %s", error)
        raise Rejected(BAD_MESSAGE, str(error)[:100]) from error
