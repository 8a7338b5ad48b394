"""Records every change of a run's state, in ledger and object: start, journal, end, close.

An end is made durable in this order: journal it in SQL, write it to the object, close the ledger
row, acknowledge. After a crash in between, the next look at the run (`steps`) continues where it
stopped. If two ends compete, the object decides: the first write wins, and the ledger copies it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.api.v1alpha1 import PipelineRun, Reason
from mayfly.api.v1alpha1.duration import seconds
from mayfly.clock import Clock
from mayfly.config import GatewayConfig
from mayfly.database.engine import Database
from mayfly.gateway.cache.runs import Runs, Seen
from mayfly.gateway.files.links import FileLinks
from mayfly.gateway.files.store import Files
from mayfly.gateway.lifecycle import archive
from mayfly.gateway.lifecycle.dispatches import Dispatches, Moment
from mayfly.gateway.lifecycle.notices import Notices
from mayfly.gateway.lifecycle.states import MOVES, State, state_of
from mayfly.gateway.lifecycle.text import ERROR_BYTES, storable, utf8_head
from mayfly.gateway.metrics.counters import Metrics
from mayfly.gateway.runs import active_time, pod_secrets, status
from mayfly.gateway.runs.ends import checked, outcome_of
from mayfly.gateway.runs.messages import Result
from mayfly.gateway.runs.opening import LedgerOpener
from mayfly.gateway.runs.status_writer import StatusWriter
from mayfly.gateway.runs.trees import Trees
from mayfly.gateway.secrets.sealed import Sealed
from mayfly.kube.client import Cluster
from mayfly.metering import ledger, tree
from mayfly.metering.clocks import measured
from mayfly.metering.ending import Ending, Outcome
from mayfly.metering.ledger import ClosedBy, RunRow
from mayfly.metering.pricing import cost
from mayfly.reconcile.ending import LOGS_TAIL_BYTES, End, agent_reason
from mayfly.reconcile.lineage import lineage
from mayfly.reconcile.observed import Refusal

logger = logging.getLogger(__name__)

DELETED = "The run was deleted."


class Recorder:
    """Writes every change of a run's state, to the ledger and to its object."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        database: Database,
        runs: Runs,
        files: Files,
        links: FileLinks,
        opener: LedgerOpener,
        sealed: Sealed,
        notices: Notices,
        metrics: Metrics,
        trees: Trees,
        dispatches: Dispatches,
        config: GatewayConfig,
        clock: Clock,
    ) -> None:
        self._trees = trees
        self._dispatches = dispatches
        self._statuses = StatusWriter(cluster, runs)
        self._database = database
        self._runs = runs
        self._files = files
        self._links = links
        self._opener = opener
        self._sealed = sealed
        self._notices = notices
        self._metrics = metrics
        self._config = config
        self._clock = clock

    # -- the start -------------------------------------------------------------------------------

    async def start(
        self, tx: AsyncConnection, uid: str, at: datetime, received: Moment
    ) -> Callable[[], None]:
        """Record that main() was called; the object gets it only if the run lasts long enough.

        Returns:
            Tells it, once it is committed.
        """
        row = await ledger.find(tx, uid)
        if row is None or State.PROCESSING not in MOVES[state_of(row)]:
            return lambda: None
        window = self._dispatches.of(row, received)
        stamps = measured(started_at=at, completed_at=None, active_ms=0, window=window)
        started_at, known = stamps.started_at or received.at, row
        await ledger.note_start(tx, uid, started_at)

        def tell() -> None:
            if known.started_at is None:
                self._metrics.started(known, started_at)
            self._notices.tell(uid)

        return tell

    async def mark_started(self, seen: Seen, row: RunRow) -> None:
        """Write Started=True."""
        await self._statuses.write(
            seen, status.started(seen, row.started_at or row.opened_at, self._clock())
        )

    # -- the end ---------------------------------------------------------------------------------

    async def journal(
        self, tx: AsyncConnection, uid: str, result: Result, received: Moment
    ) -> None:
        """Journal an agent's result; a repeat, or one that comes too late, changes nothing."""
        row = await ledger.find(tx, uid)
        if row is None or row.journalled:
            return
        partial = None
        if result.output_json is None and result.outcome != "succeeded":
            partial = await archive.items(tx, uid)
        ending = self._ending(row, result, partial, received)
        await ledger.journal(tx, uid, ending, received.at)

    async def _told(self, seen: Seen) -> Ending:
        """The end that a run's object tells, with files as references."""
        told = status.ending_of(seen)
        if told.output is None:
            return told
        namespace, _ = seen.key
        return replace(told, output=await self._links.to_references(told.output, namespace))

    def _ending(self, row: RunRow, result: Result, partial: str | None, received: Moment) -> Ending:
        reason = agent_reason(result.outcome, result.reason)
        error = result.error or self._why_canceled(row, result)
        error = utf8_head(storable(error), ERROR_BYTES)
        output = partial if result.output_json is None else result.output_json
        if output is not None:
            reason, error, output = checked(reason, error, output, self._config.limits.output_bytes)
        seen = self._runs.get(row.uid)
        timeout = seen.run.spec.timeout if seen is not None else None
        window = self._dispatches.of(row, received)
        stamps = active_time.of_result(
            row, result, window, timeout=seconds(timeout) if timeout else None
        )
        return Ending(
            outcome=outcome_of(reason),
            reason=reason,
            error=error,
            output=output,
            started_at=stamps.started_at,
            completed_at=stamps.completed_at or received.at,
            active_ms=stamps.active_ms,
            flags=stamps.flags,
        )

    def _why_canceled(self, row: RunRow, result: Result) -> str:
        """Who cancelled a run that had not started, if it was not its own cancel."""
        seen = self._runs.get(row.uid)
        if seen is None or result.outcome != "canceled" or result.started or seen.run.spec.cancel:
            return ""
        return self._runs.canceled_above(seen)

    async def end_without_start(
        self, seen: Seen, row: RunRow, why: Refusal, *, unless_connected: bool
    ) -> bool:
        """Journal the end of a claimed run that never gets its work, and block its pod.

        Args:
            seen: the claimed run, whose work was not sent.
            row: its ledger row.
            why: the reason: cancelled, or why it must not start.
            unless_connected: only if the pod has never connected; otherwise nothing is done.

        Returns:
            Whether it was done.
        """
        now = self._clock()
        pod_uid = seen.run.status.pod_uid or ""
        ending = Ending(
            outcome=outcome_of(why.reason),
            reason=why.reason,
            error=utf8_head(why.message, ERROR_BYTES),
            completed_at=now,
        )
        async with self._database.write() as tx:
            if not unless_connected:
                await pod_secrets.retire(tx, pod_uid, now)
            elif not await pod_secrets.block_unless_connected(tx, pod_uid, now):
                return False
            await ledger.journal(tx, row.uid, ending, now)
        return True

    async def refuse(self, seen: Seen, refusal: Refusal) -> None:
        """End a run that has no pod. Between this and the controller's claim, the first write wins.

        Raises:
            Conflict: the object changed; look again.
            NotFound: it was deleted.
        """
        parent = await self._parent(seen)
        place = lineage(seen.run, parent, self._config.depth_limit).place
        await self._statuses.write(seen, status.refused(seen, refusal, place, self._clock()))

    async def _parent(self, seen: Seen) -> PipelineRun | None:
        ref = seen.run.spec.parent_ref
        if ref is None:
            return None
        known = self._runs.get(ref.uid)
        found = known or await self._runs.fetch(seen.key[0], ref.name, ref.uid)
        return None if found is None else found.run

    async def confirm_budget(self, seen: Seen) -> None:
        """Write that there is budget left; the controller waits for this."""
        await self._statuses.write(seen, status.budget_checked(seen))

    async def end(self, seen: Seen, row: RunRow, *, open_below: bool) -> RunRow:
        """Write a journalled end to its object, in one write, and close the row.

        Args:
            seen: the run.
            row: its ledger row.
            open_below: something below the cancelled run may still start; `finish` comes later.

        Returns:
            The row as it is now.

        Raises:
            Conflict: the object changed; look again.
            NotFound: it was deleted.
        """
        ending = row.ending
        async with self._database.read() as tx:
            bill = await self._bill(tx, row, ending)
        await self._statuses.write(
            seen, status.ended(seen, ending, bill, self._clock(), open_below=open_below)
        )
        return await self._close(row, ending, ClosedBy.GATEWAY, bill)

    async def record(self, seen: Seen, row: RunRow | None, *, open_below: bool) -> RunRow:
        """Copy the object's end into the ledger, and mark the object recorded and finished.

        Args:
            seen: the run.
            row: its ledger row; None if it must be opened first.
            open_below: as in `end`.

        Returns:
            The row as it is now.

        Raises:
            Conflict: the object changed; look again.
            NotFound: it was deleted.
        """
        told = await self._told(seen)
        ours = row is not None and (row.outcome, row.reason) == (told.outcome, told.reason)
        if row is not None and ours and seen.run.status.recorded:
            # Our own write: a gateway made it and stopped before it closed the row.
            by = ClosedBy(row.closed_by or ClosedBy.GATEWAY)
            return await self._close(row, row.ending, by)
        opening = await self._opener.prepare(seen) if row is None else None
        async with self._database.write() as tx:
            if opening is not None:
                row = await self._opener.write(tx, opening)
            assert row is not None  # noqa: S101 - one of the two is there
            ending = await self._completed(tx, row, told)
            await ledger.rejournal(tx, row.uid, ending, self._clock())
            bill = await self._bill(tx, row, ending)
        if seen.run.status.recorded and seen.run.status.finished:
            return await self._close(row, ending, ClosedBy.CONTROLLER)
        await self._statuses.write(
            seen, status.recorded(seen, ending, bill, self._clock(), open_below=open_below)
        )
        return await self._close(row, ending, ClosedBy.CONTROLLER, bill)

    async def _completed(self, tx: AsyncConnection, row: RunRow, written: Ending) -> Ending:
        """A controller's end completed from the ledger: timestamps, active time, partial output."""
        output = row.output if written.output is None else written.output
        if output is None and written.outcome is not Outcome.SUCCEEDED:
            output = await archive.items(tx, row.uid)
        now = self._dispatches.now()
        sent = self._dispatches.with_dispatch(row)
        stamps = active_time.of_object(sent, written, self._dispatches.of(row, now))
        return replace(
            written,
            output=output,
            started_at=stamps.started_at,
            completed_at=stamps.completed_at or active_time.ended_unstarted(row, written, now.at),
            active_ms=stamps.active_ms,
            flags=stamps.flags,
        )

    async def close_deleted(self, row: RunRow, last: Seen | None, *, running: bool) -> None:
        """Close the row of a deleted run with what is known.

        Args:
            row: the run's row.
            last: its last state.
            running: its agent is connected and has reported no end, so it has worked until now;
                otherwise it is billed to its last heartbeat.
        """
        now = self._dispatches.now()
        if row.journalled:
            ending = row.ending
        elif last is not None and last.run.status.ended:
            told = await self._told(last)
            async with self._database.read() as tx:
                ending = await self._completed(tx, row, told)
        else:
            end = End(Reason.CANCELED, DELETED)
            ending = await self._unreported(row, end, now, running=running)
        await self._close(row, ending, ClosedBy.DELETED)

    async def journal_failure(self, row: RunRow, end: End) -> RunRow:
        """Journal an end because Mayfly failed at the run; billed to its last heartbeat."""
        now = self._dispatches.now()
        if not row.journalled:
            ending = await self._unreported(row, end, now, running=False)
            async with self._database.write() as tx:
                await ledger.journal(tx, row.uid, ending, now.at)
                row = await ledger.find(tx, row.uid) or row
        return row

    async def _unreported(self, row: RunRow, end: End, now: Moment, *, running: bool) -> Ending:
        """An end that no agent has reported, with what the ledger knows."""
        async with self._database.read() as tx:
            partial = await archive.items(tx, row.uid)
        sent = self._dispatches.with_dispatch(row)
        stamps = active_time.of_deleted(sent, self._dispatches.of(row, now), running=running)
        return Ending(
            outcome=outcome_of(end.reason),
            reason=end.reason,
            error=utf8_head(end.error, ERROR_BYTES),
            output=partial,
            started_at=stamps.started_at,
            completed_at=stamps.completed_at or now.at,
            active_ms=stamps.active_ms,
            flags=stamps.flags,
        )

    async def accept_cancel(self, seen: Seen) -> None:
        """Write CancelAccepted=True."""
        await self._statuses.write(seen, status.cancel_accepted(seen, self._clock()))

    async def report_storage_full(self, seen: Seen) -> None:
        """Write that the gateway's storage is full, so nothing can be stored for the run now."""
        await self._statuses.write(seen, status.storage_full(seen, self._clock()))

    async def finish(self, seen: Seen) -> None:
        """Write CancelAccepted=True and `finished` on a run whose end is recorded."""
        await self._statuses.write(seen, status.finished(seen, self._clock()))

    async def lose_claim(self, seen: Seen) -> None:
        """Write Started=False/ClaimLost."""
        await self._statuses.write(seen, status.claim_lost(seen, self._clock()))

    async def _bill(self, tx: AsyncConnection, row: RunRow, ending: Ending) -> status.Bill:
        # More than the status carries, by a character at least, if the log is longer.
        tail = await archive.log_tail(tx, row.uid, LOGS_TAIL_BYTES + 4)
        tally = await self._trees.tally(tx, row.uid)
        base = (self._config.external_url or self._config.internal_url).rstrip("/")
        return status.Bill(
            cost=cost(ending.consumption, row.pins),
            currency=row.currency,
            logs_tail=tail,
            url=f"{base}/v1/predictions/{row.id}",
            children=tally.children,
            downstream=tally.downstream,
            final=tally.settled,
        )

    async def _close(
        self, row: RunRow, ending: Ending, by: ClosedBy, bill: status.Bill | None = None
    ) -> RunRow:
        """Make an end final; `bill` is what was just written to the object. Returns the new row."""
        if State(ending.outcome) not in MOVES[state_of(row)]:
            return row
        now = self._clock()
        async with self._database.write() as tx:
            await ledger.close(tx, row, ending, by=by, at=now)
            if bill is not None and bill.final:
                await tree.settle(tx, row.uid, own=bill.cost, downstream=bill.downstream)
            await self._sealed.forget(tx, row.uid)
            closed = await ledger.find(tx, row.uid) or row
        self._dispatches.forget(row.uid)
        if by is ClosedBy.GATEWAY and ending.started_at is not None:
            self._metrics.ended(ending.completed_at, now)
        self._notices.tell(row.uid)
        return closed
