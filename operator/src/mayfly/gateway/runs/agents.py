"""Agent sessions: accepts agents' connections and handles their messages.

Every message is stored before it is acknowledged, so after an acknowledgement the agent may forget
it. If a message can't be stored, the connection is closed with 1012: the agent reconnects and
resumes from what `welcome` says.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from mayfly.clock import Clock
from mayfly.database.engine import Database, StorageAway, StorageFull
from mayfly.gateway.access.authentication import Authenticator, Pod
from mayfly.gateway.cache.runs import Runs
from mayfly.gateway.http.errors import BAD_MESSAGE, RESTART, RETIRED, Rejected
from mayfly.gateway.lifecycle import archive
from mayfly.gateway.lifecycle.dispatches import Dispatches
from mayfly.gateway.runs import messages, pod_secrets
from mayfly.gateway.runs.bursts import Arrived, bursts, parsed
from mayfly.gateway.runs.messages import Accepted, Hello, Leaving, Result, RunMessage
from mayfly.gateway.runs.opening import LedgerOpener, Opening
from mayfly.gateway.runs.recorder import Recorder
from mayfly.gateway.runs.reports import Reported, Reports
from mayfly.gateway.runs.sessions import Session, Sessions, Wire
from mayfly.gateway.runs.steps import is_unopened
from mayfly.kube.errors import KubeError
from mayfly.metering import ledger
from mayfly.metering.ledger import RunRow
from mayfly.workqueue import WorkQueue

logger = logging.getLogger(__name__)

SESSION_HEADER = "mayfly-session"
HELLO_SECONDS = 30.0
SYNC_SECONDS = 60.0


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
        reports: Reports,
        workqueue: WorkQueue[str],
        dispatches: Dispatches,
        clock: Clock,
    ) -> None:
        self._authenticator = authenticator
        self._database = database
        self._runs = runs
        self._sessions = sessions
        self._opener = opener
        self._recorder = recorder
        self._reports = reports
        self._workqueue = workqueue
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
            async for burst in bursts(texts, self._dispatches.now):
                await self._take(session, burst)
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
        hello = parsed(text)
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
        """The ledger row of a run, opened if need be, if this pod may report on it."""
        row, opening = await self._found(uid, pod)
        if opening is None:
            return row
        async with self._database.write() as tx:
            return await self._opener.write(tx, opening, self._sent(uid, pod))

    def _sent(self, uid: str, pod: Pod) -> datetime | None:
        session = self._sessions.of_run(uid, pod.uid)
        return session.sent_at if session is not None else None

    async def _found(self, uid: str, pod: Pod) -> tuple[RunRow | None, Opening | None]:
        """The ledger row of a run, if this pod may report on it; and what is to be written first.

        That is the row itself, or that this pod has the run now.
        """
        seen = self._runs.get(uid) or self._runs.departed(uid)
        claimed = seen is not None and seen.run.status.pod_uid == pod.uid
        async with self._database.read() as tx:
            row = await ledger.find(tx, uid)
        if seen is not None and claimed and is_unopened(seen.run, row, self._sent(uid, pod)):
            return row, await self._opener.prepare(seen)
        known = row is not None and (claimed or row.pod_uid == pod.uid)
        return row if known else None, None

    # -- messages --------------------------------------------------------------------------------

    async def _take(self, session: Session, burst: Sequence[Arrived]) -> None:
        """Take messages that have arrived together: the reports among them are stored at once."""
        reported: list[Reported] = []
        for each in burst:
            match each.message:
                case Hello() | Leaving() | Accepted() as message:
                    await self._store(session, reported)
                    reported = []
                    await self._take_own(session, message)
                case report:
                    try:
                        self._check(session, report)
                    except Rejected:
                        await self._store(session, reported)
                        raise
                    reported.append(Reported(report, each.at))
        await self._store(session, reported)

    async def _take_own(self, session: Session, message: Hello | Leaving | Accepted) -> None:
        """Take what an agent says of itself."""
        match message:
            case Hello():
                # The answer to work that the agent refuses, because it has another run.
                await self._bind(session, message)
                await self._look(session)
            case Leaving():
                await self._leave(session)
            case Accepted():
                self._check(session, message)
                session.accepted = True
                # Other runs that were claimed for this pod have lost it; queue them.
                for uid in {*self._runs.claimed_for(session.pod.uid)} - {session.run}:
                    self._workqueue.add(uid)

    def _check(self, session: Session, message: RunMessage) -> None:
        if session.run is None or message.run != session.run:
            raise Rejected(BAD_MESSAGE, "the message is about another run")
        if isinstance(message, Result) and message.attempt != session.attempt:
            raise Rejected(BAD_MESSAGE, "the result is of another attempt")

    async def _store(self, session: Session, reported: Sequence[Reported]) -> None:
        """Store reports of the session's run, whose row is opened if need be."""
        if not reported:
            return
        uid, opening = reported[0].report.run, None
        seen = self._runs.get(uid)
        claimed = seen is not None and seen.run.status.pod_uid == session.pod.uid
        if not (session.opened and claimed):
            row, opening = await self._found(uid, session.pod)
            if row is None and opening is None:
                raise Rejected(RETIRED, "the run is unknown")
        await self._reports.store(session, reported, opening)

    async def _leave(self, session: Session) -> None:
        """No work was accepted, and none will be: runs that were claimed for the pod lose it."""
        if session.accepted:
            raise Rejected(BAD_MESSAGE, "an agent with a run does not leave")
        async with self._database.write() as tx:
            await pod_secrets.retire(tx, session.pod.uid, self._clock())
        session.run, session.retired = None, True
        for uid in self._runs.claimed_for(session.pod.uid):
            self._workqueue.add(uid)
