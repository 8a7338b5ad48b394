"""Records every change of state of calls of Models, in one transaction each."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.api.v1alpha1 import Reason
from mayfly.clock import Clock
from mayfly.database.engine import Database, insert_once
from mayfly.gateway.calls import rows, shut_parents
from mayfly.gateway.calls.rows import UNDER_WAY, Bounded, Call, Step, model_calls
from mayfly.gateway.lifecycle import archive
from mayfly.gateway.lifecycle.dispatches import Dispatches, Moment
from mayfly.gateway.lifecycle.notices import Notices
from mayfly.gateway.lifecycle.states import ENDS, state_of
from mayfly.gateway.lifecycle.text import ERROR_BYTES, storable, utf8_head
from mayfly.gateway.metrics.counters import Metrics
from mayfly.gateway.secrets.sealed import Sealed
from mayfly.listeners import Listeners
from mayfly.metering import ledger, tables
from mayfly.metering.clocks import Flag, measured
from mayfly.metering.ending import Ending, Outcome
from mayfly.metering.ledger import ClosedBy, RunRow
from mayfly_runtime.spec.redaction import Redactor

logger = logging.getLogger(__name__)

Json = dict[str, Any]

CANCELED_UNSTARTED = "The prediction was cancelled before it started."
CANCELED = "The prediction was cancelled."


class Shut(Exception):
    """The calling run's cancel was accepted, so it can queue no more calls."""


class CallRecorder:
    """Moves calls through their states: create, claim, put back, accept, cancel, end."""

    def __init__(
        self,
        *,
        database: Database,
        sealed: Sealed,
        notices: Notices,
        metrics: Metrics,
        dispatches: Dispatches,
        clock: Clock,
    ) -> None:
        self.ends: Listeners[str] = Listeners()
        self._database = database
        self._sealed = sealed
        self._notices = notices
        self._metrics = metrics
        self._dispatches = dispatches
        self._clock = clock

    # -- read ------------------------------------------------------------------------------------

    async def find(self, uid: str) -> tuple[Call, RunRow] | None:
        """A call and its row in the ledger."""
        async with self._database.read() as tx:
            return await rows.find_with_row(tx, uid)

    async def unfinished(self) -> list[tuple[Call, str, str]]:
        """Unfinished calls, oldest first, each with its payer and the root of its tree."""
        async with self._database.read(bulk=True) as tx:
            return await rows.unfinished(tx)

    async def bounded(self, limited: Collection[str]) -> list[Bounded]:
        """Waiting calls that are subject to a budget."""
        async with self._database.read(bulk=True) as tx:
            return await rows.bounded(tx, limited)

    # -- made ------------------------------------------------------------------------------------

    async def waiting(self, tx: AsyncConnection, namespace: str, model: str) -> int:
        """How many calls wait for a Model."""
        return await rows.count(tx, namespace, model, (Step.QUEUED.value,))

    async def create(self, tx: AsyncConnection, call: Call, row: RunRow) -> None:
        """Create a call in the state queued.

        Raises:
            Shut: the parent's cancel was accepted.
        """
        if await self._is_shut(tx, call):
            raise Shut
        await ledger.open_run(tx, row)
        values = {each.name: getattr(call, each.name) for each in fields(call)}
        await insert_once(tx, model_calls, {**values, "step": call.step.value})

    # -- on its way ------------------------------------------------------------------------------

    async def claim(
        self,
        uid: str,
        *,
        prices: str,
        version: str,
        target: Json,
        incarnation: str,
        limit: int,
    ) -> bool:
        """Claim a queued call in order to send it; pins its prices.

        Args:
            uid: of the call.
            prices: JSON text of the Model's price list.
            version: the id of the version that is called; "" if unknown.
            target: what it is sent to.
            incarnation: which start of the server it is sent to, if the server reports one.
            limit: the maximum number of calls under way.

        Returns:
            False if it is no longer queued, or `limit` calls of its Model are under way.
        """
        now = self._dispatches.now()
        async with self._database.write() as tx:
            found = await rows.find_with_row(tx, uid)
            if found is None or found[0].step is not Step.QUEUED:
                return False
            if await rows.count(tx, *found[0].key, UNDER_WAY) >= limit:
                return False
            await self._step(tx, uid, Step.SENT, target=json.dumps(target), upstream=incarnation)
            await tx.execute(
                update(tables.runs)
                .where(tables.runs.c.uid == uid)
                .values(prices=prices, version=version, sent_at=now.at)
            )
        self._dispatches.open(uid, now)
        self._metrics.sent(found[1], now.at)
        return True

    async def put_back(self, uid: str) -> bool:
        """Requeue a call that its server did not take; end it if it must not start any more.

        Returns:
            Whether it is queued. If not, it was cancelled: itself, or the run that made it.
        """
        now = self._dispatches.now()
        async with self._database.write() as tx:
            found = await rows.find_with_row(tx, uid)
            if found is None or found[0].step is not Step.SENT:
                return found is not None and found[0].step is Step.QUEUED
            await self._step(tx, uid, Step.QUEUED, target="", upstream="")
            await tx.execute(
                update(tables.runs)
                .where(tables.runs.c.uid == uid)
                .values(prices="[]", version="", sent_at=None)
            )
            waits = not found[0].cancel and not await self._is_shut(tx, found[0])
            for row in [] if waits else await _rows(tx, [uid]):
                await self._end_unstarted(tx, row, now)
        if not waits:
            self._after_end(uid)
        return waits

    async def _is_shut(self, tx: AsyncConnection, call: Call) -> bool:
        """Whether the run that made a call was cancelled: nothing of it is queued any more."""
        return call.parent_uid is not None and await shut_parents.is_shut(tx, call.parent_uid)

    async def accepted(self, uid: str, upstream: str = "") -> None:
        """Record that the server has accepted the call."""
        async with self._database.write() as tx:
            await tx.execute(
                update(model_calls)
                .where(model_calls.c.uid == uid, model_calls.c.step == Step.SENT.value)
                .values(step=Step.ACCEPTED.value)
            )
            if upstream:
                await self._note(tx, uid, upstream=upstream)

    async def alive(self, uid: str) -> None:
        """Record a sign of life: if the call is lost, it is billed up to this moment."""
        async with self._database.write() as tx:
            await self.alive_in(tx, uid)

    async def alive_in(self, tx: AsyncConnection, uid: str) -> None:
        """The same, in the caller's transaction."""
        await tx.execute(
            update(tables.runs)
            .where(tables.runs.c.uid == uid, tables.runs.c.closed_at.is_(None))
            .values(heard_at=self._clock())
        )

    async def _step(self, tx: AsyncConnection, uid: str, step: Step, **values: Any) -> None:
        await self._note(tx, uid, step=step.value, **values)

    async def _note(self, tx: AsyncConnection, uid: str, **values: Any) -> None:
        await tx.execute(update(model_calls).where(model_calls.c.uid == uid).values(**values))

    # -- ended -----------------------------------------------------------------------------------

    async def fail(self, uid: str, reason: Reason, error: str) -> None:
        """End a call that failed on our side, or whose outcome is unknown.

        It is billed up to the last report of its server; if it never started, it costs nothing.
        """
        await self._cut(uid, Outcome.FAILED, reason, error, to_now=False)

    async def stop(self, uid: str, outcome: Outcome, reason: Reason, error: str) -> None:
        """End a call whose server was asked to cancel it; it is billed up to now."""
        await self._cut(uid, outcome, reason, error, to_now=True)

    async def _cut(
        self, uid: str, outcome: Outcome, reason: Reason, error: str, *, to_now: bool
    ) -> None:
        now = self._dispatches.now()
        async with self._database.write() as tx:
            found = await rows.find_with_row(tx, uid)
            if found is None or found[1].closed:
                return
            await self._cut_in(tx, found[1], outcome, reason, error, now, to_now=to_now)
        self._after_end(uid)

    async def _cut_in(
        self,
        tx: AsyncConnection,
        row: RunRow,
        outcome: Outcome,
        reason: Reason,
        error: str,
        now: Moment,
        *,
        to_now: bool,
    ) -> None:
        started, at = row.started_at, now.at
        last = at if to_now else max(row.heard_at or at, started or at)
        window = self._dispatches.of(row, now)
        stamps = measured(
            started_at=started,
            completed_at=last,
            active_ms=window.since(started, last) if started else 0,
            window=window,
            flags={Flag.ESTIMATED},
        )
        ending = Ending(
            outcome=outcome,
            reason=reason,
            error=error,
            output=await archive.items(tx, row.uid),
            started_at=stamps.started_at,
            completed_at=stamps.completed_at or at,
            active_ms=stamps.active_ms,
            flags=stamps.flags,
        )
        await self._close(tx, row, ending, at)

    async def end(self, uid: str, ending: Ending) -> None:
        """Close a call, once, and write its usage record."""
        async with self._database.write() as tx:
            found = await rows.find_with_row(tx, uid)
            if found is None or found[1].closed:
                return
            await self._close(tx, found[1], ending, self._clock())
        self._after_end(uid)

    async def _close(self, tx: AsyncConnection, row: RunRow, ending: Ending, at: datetime) -> None:
        if state_of(row) in ENDS:
            return
        redactor = Redactor()
        redactor.hide((await self._sealed.texts_in(tx, row.uid)).values())
        error = redactor.error(ending.error, ERROR_BYTES)
        kept = Ending(
            **{
                **vars(ending),
                "error": storable(utf8_head(error, ERROR_BYTES)),
                "output": storable(ending.output) if ending.output is not None else None,
            }
        )
        await ledger.close(tx, row, kept, by=ClosedBy.GATEWAY, at=at)
        await self._step(tx, row.uid, Step.DONE)
        await self._sealed.forget(tx, row.uid)

    def _after_end(self, uid: str) -> None:
        self._dispatches.forget(uid)
        self._notices.tell(uid)
        self.ends.tell(uid)

    # -- cancelled -------------------------------------------------------------------------------

    async def cancel(self, uid: str) -> bool:
        """Request a cancel: a waiting call ends at once; the server of a sent one is asked later.

        Returns:
            Whether the call has ended.
        """
        now = self._dispatches.now()
        async with self._database.write() as tx:
            found = await rows.find_with_row(tx, uid)
            if found is None or found[0].step is Step.DONE:
                return True
            ended = found[0].step is Step.QUEUED
            if ended:
                await self._end_unstarted(tx, found[1], now)
            else:
                await self._note(tx, uid, cancel=True)
        if ended:
            self._after_end(uid)
        else:
            self._notices.tell(uid)
        return ended

    async def refuse(self, uid: str, why: str) -> bool:
        """End a waiting call because a budget is spent. Returns whether it was waiting."""
        now = self._dispatches.now()
        async with self._database.write() as tx:
            found = await rows.find_with_row(tx, uid)
            if found is None or found[0].step is not Step.QUEUED:
                return False
            reason = Reason.BUDGET_EXCEEDED
            await self._cut_in(tx, found[1], Outcome.FAILED, reason, why, now, to_now=True)
        self._after_end(uid)
        return True

    async def queue_is_open(self, parent_uid: str) -> bool:
        """Whether a call made by a run is waiting, or the run may still queue one."""
        async with self._database.read() as tx:
            if not await shut_parents.is_shut(tx, parent_uid):
                return True
            return bool(await rows.queued_by(tx, parent_uid))

    async def close_queue_of(self, parent_uid: str) -> list[str]:
        """After a run's cancel was accepted: end its waiting calls, and let it queue no more.

        One transaction. Calls that were sent are not affected and run to their ends.

        Returns:
            The UIDs of the calls that ended.
        """
        now = self._dispatches.now()
        async with self._database.write(bulk=True) as tx:
            await shut_parents.shut(tx, parent_uid)
            ended = await rows.queued_by(tx, parent_uid)
            for row in await _rows(tx, ended):
                await self._end_unstarted(tx, row, now)
        for uid in ended:
            self._after_end(uid)
        return ended

    async def forget_shut(self, before: datetime, is_there: Callable[[str], bool]) -> None:
        """Delete the records of cancelled runs whose token has expired."""
        async with self._database.write(bulk=True) as tx:
            await shut_parents.forget(tx, before, is_there)

    async def _end_unstarted(self, tx: AsyncConnection, row: RunRow, now: Moment) -> None:
        await self._cut_in(
            tx, row, Outcome.CANCELED, Reason.CANCELED, CANCELED_UNSTARTED, now, to_now=True
        )


async def _rows(tx: AsyncConnection, uids: Iterable[str]) -> list[RunRow]:
    found = [await ledger.find(tx, uid) for uid in uids]
    return [each for each in found if each is not None]
