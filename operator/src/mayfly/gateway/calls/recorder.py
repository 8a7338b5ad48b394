"""Calls of Models: every change of their rows."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.api.v1alpha1 import Reason
from mayfly.clock import Clock
from mayfly.database.engine import Database, insert_once
from mayfly.gateway.calls.rows import UNDER_WAY, Call, Step, model_calls, shut_parents
from mayfly.gateway.lifecycle import archive
from mayfly.gateway.lifecycle.dispatches import Dispatches
from mayfly.gateway.lifecycle.notices import Notices
from mayfly.gateway.lifecycle.states import ENDS, state_of
from mayfly.gateway.lifecycle.text import ERROR_BYTES, storable, utf8_head
from mayfly.gateway.metrics.counters import Metrics
from mayfly.gateway.secrets.sealed import Sealed
from mayfly.metering import ledger, tables
from mayfly.metering.clocks import Flag, measured
from mayfly.metering.ending import Ending, Outcome
from mayfly.metering.ledger import ClosedBy, RunRow
from mayfly_runtime.spec.redaction import Redactor

logger = logging.getLogger(__name__)

Json = dict[str, Any]

CANCELED_UNSTARTED = "The prediction was cancelled before it started."
CANCELED = "The prediction was cancelled."


@dataclass(frozen=True)
class Bounded:
    """A call that waits, and who pays.

    Attributes:
        uid: of its row.
        key: namespace and name of the Model.
        payer: the namespace that pays.
        budget_uid: the nearest run above with a budget.
    """

    uid: str
    key: tuple[str, str]
    payer: str
    budget_uid: str | None


class Shut(Exception):
    """The calling run's cancel was accepted: nothing of it is queued any more."""


class CallRecorder:
    """The rows."""

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
        self._listeners: list[Callable[[str], None]] = []
        self._database = database
        self._sealed = sealed
        self._notices = notices
        self._metrics = metrics
        self._dispatches = dispatches
        self._clock = clock

    def listen(self, hear: Callable[[str], None]) -> None:
        """Have `hear` called with the UID of each call that ended."""
        self._listeners.append(hear)

    # -- read ------------------------------------------------------------------------------------

    async def find(self, uid: str) -> tuple[Call, RunRow] | None:
        """A call and its row of the ledger."""
        async with self._database.read() as tx:
            return await self._find(tx, uid)

    async def _find(self, tx: AsyncConnection, uid: str) -> tuple[Call, RunRow] | None:
        found = await tx.execute(select(model_calls).where(model_calls.c.uid == uid))
        call = found.mappings().one_or_none()
        row = await ledger.find(tx, uid)
        return None if call is None or row is None else (Call.of(call), row)

    async def unfinished(self) -> list[tuple[Call, str, str]]:
        """Calls that are not done, oldest first, each with who pays and the root of its tree."""
        async with self._database.read() as tx:
            found = await tx.execute(
                select(model_calls, tables.runs.c.namespace.label("payer"), tables.runs.c.root_uid)
                .join(tables.runs, tables.runs.c.uid == model_calls.c.uid)
                .where(model_calls.c.step != Step.DONE.value)
                .order_by(model_calls.c.queued_at, model_calls.c.uid)
            )
            return [_unfinished(dict(each)) for each in found.mappings()]

    async def bounded(self, limited: Collection[str]) -> list[Bounded]:
        """Calls that wait, with a budget over them.

        Args:
            limited: namespaces with a monthly budget.
        """
        async with self._database.read() as tx:
            found = await tx.execute(
                select(
                    model_calls.c.uid,
                    model_calls.c.namespace,
                    model_calls.c.model,
                    tables.runs.c.namespace.label("payer"),
                    tables.runs.c.budget_uid,
                )
                .join(tables.runs, tables.runs.c.uid == model_calls.c.uid)
                .where(
                    model_calls.c.step == Step.QUEUED.value,
                    tables.runs.c.budget_uid.is_not(None) | tables.runs.c.namespace.in_(limited),
                )
            )
            return [
                Bounded(row.uid, (row.namespace, row.model), row.payer, row.budget_uid)
                for row in found
            ]

    # -- made ------------------------------------------------------------------------------------

    async def waiting(self, tx: AsyncConnection, namespace: str, model: str) -> int:
        """How many calls wait for a Model."""
        found = await tx.execute(
            select(func.count()).where(
                model_calls.c.namespace == namespace,
                model_calls.c.model == model,
                model_calls.c.step == Step.QUEUED.value,
            )
        )
        return int(found.scalar_one())

    async def create(self, tx: AsyncConnection, call: Call, row: RunRow) -> None:
        """Queue a call.

        Raises:
            Shut: the cancel of its parent was accepted.
        """
        if call.parent_uid is not None:
            shut = select(shut_parents.c.uid).where(shut_parents.c.uid == call.parent_uid)
            if (await tx.execute(shut)).first() is not None:
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
        """Take a call out of the queue, to send it now; its prices are pinned.

        Args:
            uid: of the call.
            prices: JSON text of the Model's price list.
            version: the id of the version that is called, "" where nobody knows.
            target: what it is sent to.
            incarnation: which life of its server that is, where the server tells.
            limit: calls that may be under way.

        Returns:
            False when it waits no more, or `limit` calls of its Model are under way.
        """
        now = self._clock()
        async with self._database.write() as tx:
            found = await self._find(tx, uid)
            if found is None or found[0].step is not Step.QUEUED:
                return False
            if await self._under_way(tx, found[0]) >= limit:
                return False
            await self._step(tx, uid, Step.SENT, target=json.dumps(target), upstream=incarnation)
            await tx.execute(
                update(tables.runs)
                .where(tables.runs.c.uid == uid)
                .values(prices=prices, version=version, sent_at=now)
            )
        self._dispatches.open(uid, now)
        self._metrics.sent(found[1], now)
        return True

    async def _under_way(self, tx: AsyncConnection, call: Call) -> int:
        found = await tx.execute(
            select(func.count()).where(
                model_calls.c.namespace == call.namespace,
                model_calls.c.model == call.model,
                model_calls.c.step.in_(UNDER_WAY),
            )
        )
        return int(found.scalar_one())

    async def put_back(self, uid: str) -> None:
        """Queue a call again that its server did not take."""
        async with self._database.write() as tx:
            found = await self._find(tx, uid)
            if found is None or found[0].step is not Step.SENT:
                return
            await self._step(tx, uid, Step.QUEUED, target="", upstream="")
            await tx.execute(
                update(tables.runs)
                .where(tables.runs.c.uid == uid)
                .values(prices="[]", version="", sent_at=None)
            )

    async def accepted(self, uid: str, upstream: str = "") -> None:
        """The server has it."""
        async with self._database.write() as tx:
            await tx.execute(
                update(model_calls)
                .where(model_calls.c.uid == uid, model_calls.c.step == Step.SENT.value)
                .values(step=Step.ACCEPTED.value)
            )
            if upstream:
                await self._note(tx, uid, upstream=upstream)

    async def alive(self, uid: str) -> None:
        """Its server still works: should it be lost, it is billed to this moment."""
        async with self._database.write() as tx:
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
        """End a call that failed on our side, or that nobody can tell of.

        It is billed to the last word of its server; one that never started costs nothing.
        """
        await self._cut(uid, Outcome.FAILED, reason, error, now=False)

    async def stop(self, uid: str, outcome: Outcome, reason: Reason, error: str) -> None:
        """End a call that its server was told to stop; it is billed to now."""
        await self._cut(uid, outcome, reason, error, now=True)

    async def _cut(
        self, uid: str, outcome: Outcome, reason: Reason, error: str, *, now: bool
    ) -> None:
        at = self._clock()
        async with self._database.write() as tx:
            found = await self._find(tx, uid)
            if found is None or found[1].closed:
                return
            await self._cut_in(tx, found[1], outcome, reason, error, at, to_now=now)
        self._told(uid)

    async def _cut_in(
        self,
        tx: AsyncConnection,
        row: RunRow,
        outcome: Outcome,
        reason: Reason,
        error: str,
        at: datetime,
        *,
        to_now: bool,
    ) -> None:
        started = row.started_at
        last = at if to_now else max(row.heard_at or at, started or at)
        window = self._dispatches.of(row, at)
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
        """Close a call, once, with its usage record."""
        async with self._database.write() as tx:
            found = await self._find(tx, uid)
            if found is None or found[1].closed:
                return
            await self._close(tx, found[1], ending, self._clock())
        self._told(uid)

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

    def _told(self, uid: str) -> None:
        self._dispatches.forget(uid)
        self._notices.tell(uid)
        for hear in self._listeners:
            hear(uid)

    # -- cancelled -------------------------------------------------------------------------------

    async def cancel(self, uid: str) -> bool:
        """Ask for a cancel: one that waits ends at once, another's server is told by and by.

        Returns:
            Whether it has ended.
        """
        now = self._clock()
        async with self._database.write() as tx:
            found = await self._find(tx, uid)
            if found is None or found[0].step is Step.DONE:
                return True
            ended = found[0].step is Step.QUEUED
            if ended:
                await self._end_unstarted(tx, found[1], now)
            else:
                await self._note(tx, uid, cancel=True)
        if ended:
            self._told(uid)
        else:
            self._notices.tell(uid)
        return ended

    async def refuse(self, uid: str, why: str) -> bool:
        """End a call that waits: a budget was reached. Returns whether it waited."""
        now = self._clock()
        async with self._database.write() as tx:
            found = await self._find(tx, uid)
            if found is None or found[0].step is not Step.QUEUED:
                return False
            reason = Reason.BUDGET_EXCEEDED
            await self._cut_in(tx, found[1], Outcome.FAILED, reason, why, now, to_now=True)
        self._told(uid)
        return True

    async def queue_is_open(self, parent_uid: str) -> bool:
        """Whether a call that a run has made waits, or the run may still queue one."""
        async with self._database.read() as tx:
            shut = await tx.execute(
                select(shut_parents.c.uid).where(shut_parents.c.uid == parent_uid)
            )
            if shut.first() is None:
                return True
            waiting = await tx.execute(
                select(model_calls.c.uid)
                .where(
                    model_calls.c.parent_uid == parent_uid,
                    model_calls.c.step == Step.QUEUED.value,
                )
                .limit(1)
            )
            return waiting.first() is not None

    async def close_queue_of(self, parent_uid: str) -> list[str]:
        """A run's cancel is accepted: its calls that wait end, and it can queue no others.

        One transaction. What was sent is untouched, and runs to its end.

        Returns:
            The UIDs of the calls that ended.
        """
        now = self._clock()
        async with self._database.write() as tx:
            await insert_once(tx, shut_parents, {"uid": parent_uid})
            found = await tx.execute(
                select(model_calls.c.uid).where(
                    model_calls.c.parent_uid == parent_uid,
                    model_calls.c.step == Step.QUEUED.value,
                )
            )
            ended: list[str] = list(found.scalars())
            for row in await _rows(tx, ended):
                await self._end_unstarted(tx, row, now)
        for uid in ended:
            self._told(uid)
        return ended

    # -- forgotten -------------------------------------------------------------------------------

    async def forget_shut(self, before: datetime, is_there: Callable[[str], bool]) -> None:
        """Forget the cancelled runs whose token is worth nothing any more.

        Args:
            before: those that were over before this moment.
            is_there: whether a run that the ledger does not know is not finished.
        """
        over = select(tables.runs.c.uid).where(tables.runs.c.closed_at < before)
        known = select(tables.runs.c.uid)
        async with self._database.write() as tx:
            await tx.execute(delete(shut_parents).where(shut_parents.c.uid.in_(over)))
            unknown = await tx.execute(
                select(shut_parents.c.uid).where(shut_parents.c.uid.not_in(known))
            )
            gone = [uid for uid in unknown.scalars() if not is_there(uid)]
            for uid in gone:
                await tx.execute(delete(shut_parents).where(shut_parents.c.uid == uid))

    async def _end_unstarted(self, tx: AsyncConnection, row: RunRow, now: datetime) -> None:
        await self._cut_in(
            tx, row, Outcome.CANCELED, Reason.CANCELED, CANCELED_UNSTARTED, now, to_now=True
        )


async def _rows(tx: AsyncConnection, uids: Iterable[str]) -> list[RunRow]:
    found = [await ledger.find(tx, uid) for uid in uids]
    return [each for each in found if each is not None]


def _unfinished(row: Json) -> tuple[Call, str, str]:
    payer, root = row.pop("payer"), row.pop("root_uid")
    return (Call.of(row), payer, root)
