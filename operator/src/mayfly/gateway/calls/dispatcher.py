"""Dispatches calls of Models: one queue per Model, one task per call, from queued to recorded.

Which calls wait or are under way is stored in SQL; after a restart the queues are rebuilt from
there. A call that was sent by an earlier process is only followed.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

from mayfly.api.v1alpha1 import Model, Reason
from mayfly.api.v1alpha1.duration import seconds
from mayfly.clock import Clock, Monotonic
from mayfly.config import ModelsConfig
from mayfly.database.engine import StorageError, insist, stand_by
from mayfly.gateway.cache.directory import Directory, Key
from mayfly.gateway.calls.patience import Patience
from mayfly.gateway.calls.queue import ModelQueue, Waiting
from mayfly.gateway.calls.recorder import CANCELED, CallRecorder
from mayfly.gateway.calls.rows import Call, Step
from mayfly.gateway.calls.server import Follower, Json, Lost, ModelServer, NotNow, Refused, Unknown
from mayfly.gateway.calls.versions import Versions, target_of
from mayfly.gateway.lifecycle.notices import Notices
from mayfly.gateway.namespaces.budgets import LOOK_SECONDS, Budgets
from mayfly.metering.ending import Outcome
from mayfly.metering.ledger import RunRow

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
TICK_SECONDS = 1.0
"""Precision of a Cancel-After."""


class CallDispatcher:
    """Takes calls from their Models' queues to their ends: sends, follows, retries, times out."""

    def __init__(
        self,
        *,
        calls: CallRecorder,
        directory: Directory,
        versions: Versions,
        cog: ModelServer,
        replicate: ModelServer,
        budgets: Budgets,
        notices: Notices,
        config: ModelsConfig,
        failed: Callable[[str], None],
        clock: Clock,
        monotonic: Monotonic,
    ) -> None:
        self._calls = calls
        self._directory = directory
        self._versions = versions
        self._cog = cog
        self._replicate = replicate
        self._budgets = budgets
        self._notices = notices
        self._config = config
        self._failed = failed
        self._patience = Patience(calls, failed, monotonic)
        self._clock = clock
        self._monotonic = monotonic
        self._lanes: dict[Key, ModelQueue] = {}
        self._waiting_since: dict[str, float] = {}
        self._cancel_at: dict[str, datetime] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._budgets_due = 0.0
        self._runs = False

    @property
    def queued(self) -> int:
        """Number of calls that wait."""
        return sum(len(lane.queue) for lane in list(self._lanes.values()))

    @property
    def active(self) -> int:
        """Number of calls that are being sent or were sent."""
        return sum(len(lane.under_way) for lane in list(self._lanes.values()))

    async def run(self) -> None:
        """Dispatch until cancelled, beginning with what an earlier process left."""
        await self._directory.synced()
        try:
            self._runs = True
            for call, payer, root in await self._calls.unfinished():
                self._take_on(call, payer, root)
            for key in list(self._lanes):
                self._pump(key)
            while True:
                await asyncio.sleep(TICK_SECONDS)
                try:
                    await self._tick()
                except StorageError:
                    continue  # the next tick is soon
                except Exception:
                    # Whatever is wrong with one call, the others go on.
                    logger.exception("a look at the calls of Models failed")
                    self._failed("calls")
        finally:
            self._runs = False
            for lane in self._lanes.values():
                if lane.timer is not None:
                    lane.timer.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def add(self, call: Call, payer: str, root_uid: str) -> None:
        """Called when a call was queued."""
        self._take_on(call, payer, root_uid)
        self._pump(call.key)

    def changed(self, namespace: str, name: str) -> None:
        """Called when a Model was changed or deleted."""
        if (namespace, name) in self._lanes:
            self._pump((namespace, name))

    def forget(self, uid: str, key: Key) -> None:
        """Called when a waiting call was ended."""
        lane = self._lanes.get(key)
        if lane is not None and lane.queue.remove(uid):
            self._leave(uid)
            self._drop_if_idle(key)

    def _take_on(self, call: Call, payer: str, root_uid: str) -> None:
        lane = self._lanes.setdefault(call.key, ModelQueue())
        if call.uid in lane.under_way or call.uid in lane.queue:
            return
        if call.cancel_at is not None:
            self._cancel_at[call.uid] = call.cancel_at
        if call.step is Step.QUEUED:
            lane.queue.add(Waiting(call.uid, payer, root_uid))
            self._waiting_since[call.uid] = self._monotonic()
        else:
            lane.under_way.add(call.uid)
            self._spawn(self._resume(call.key, call.uid), call.uid)

    def _spawn(self, work: Coroutine[Any, Any, None], uid: str) -> None:
        async def patient() -> None:
            stand_by()  # the caller waits for an answer to its create; the call itself can wait
            try:
                await work
            except Exception:
                logger.exception("a call of a Model can't be ended", extra={"call": uid})
                self._failed("calls")

        task = asyncio.create_task(patient(), name=f"model-call:{uid}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tick(self) -> None:
        now = self._clock()
        for uid in [uid for uid, due in self._cancel_at.items() if due <= now]:
            await self._calls.cancel(uid)
            self._cancel_at.pop(uid, None)
        if self._monotonic() >= self._budgets_due:
            self._budgets_due = self._monotonic() + LOOK_SECONDS
            await self._end_unpaid()

    async def _end_unpaid(self) -> None:
        """End the waiting calls whose budget has been spent."""
        known: dict[tuple[str, str | None], str] = {}
        for each in await self._calls.bounded(self._budgets.limited):
            payer = (each.payer, each.budget_uid)
            if payer not in known:
                known[payer] = await self._budgets.why_not(*payer)
            if known[payer] and await self._calls.refuse(each.uid, known[payer]):
                self.forget(each.uid, each.key)

    # -- whose turn ------------------------------------------------------------------------------

    def _pump(self, key: Key) -> None:
        """Send the next calls of a Model, as long as it has free places."""
        lane = self._lanes.get(key)
        if lane is None or not self._runs:
            return
        entry = self._directory.model(*key)
        if entry is None:
            self._bury(key, lane)
            return
        model = entry.typed
        assert isinstance(model, Model)  # noqa: S101 - it is what the directory gives
        held = lane.held_until - self._monotonic()
        if held > 0:
            self._wake(key, lane, held)
            return
        while len(lane.under_way) < model.spec.concurrency:
            waiting = lane.queue.take()
            if waiting is None:
                break
            lane.under_way.add(waiting.uid)
            self._spawn(self._carry(key, waiting), waiting.uid)
        self._drop_if_idle(key)

    def _wake(self, key: Key, lane: ModelQueue, delay: float) -> None:
        if lane.timer is None:

            def again() -> None:
                lane.timer = None
                self._pump(key)

            lane.timer = asyncio.get_running_loop().call_later(delay, again)

    def _bury(self, key: Key, lane: ModelQueue) -> None:
        namespace, name = key
        words = f'The Model "{namespace}/{name}" was deleted before the prediction was sent to it.'
        for waiting in lane.queue:
            lane.queue.remove(waiting.uid)
            lane.under_way.add(waiting.uid)
            self._spawn(self._end(key, waiting.uid, Reason.NOT_FOUND, words), waiting.uid)

    async def _end(self, key: Key, uid: str, reason: Reason, words: str) -> None:
        try:
            await insist(lambda: self._calls.fail(uid, reason, words))
        finally:
            self._done(key, uid)

    def _done(self, key: Key, uid: str) -> None:
        lane = self._lanes.get(key)
        if lane is not None:
            lane.under_way.discard(uid)
        self._leave(uid)
        self._pump(key)

    def _leave(self, uid: str) -> None:
        self._waiting_since.pop(uid, None)
        self._cancel_at.pop(uid, None)

    def _drop_if_idle(self, key: Key) -> None:
        lane = self._lanes.get(key)
        if lane is not None and lane.idle:
            if lane.timer is not None:
                lane.timer.cancel()
            del self._lanes[key]

    # -- one call --------------------------------------------------------------------------------

    async def _carry(self, key: Key, waiting: Waiting) -> None:
        lane = self._lanes[key]
        uid, waits = waiting.uid, False
        try:
            await self._patience.with_call(uid, lambda: self._dispatch_and_follow(key, uid))
        except NotNow as error:
            await self._later(lane, waiting, error)
            waits = uid in lane.queue
        except Refused as error:
            refusal = error
            await insist(lambda: self._calls.fail(uid, refusal.reason, str(refusal)))
        finally:
            if waits:
                lane.under_way.discard(uid)
                self._pump(key)
            else:
                self._done(key, uid)

    async def _dispatch_and_follow(self, key: Key, uid: str) -> None:
        try:
            await self._dispatch(key, uid)
        except StorageError as error:
            # A claimed call is followed, as after a restart; an unclaimed one stays queued.
            found = await insist(lambda: self._calls.find(uid))
            if found is not None and found[0].step is Step.QUEUED:
                raise NotNow(str(error), down=False) from error
        await insist(lambda: self._follow(uid))

    async def _dispatch(self, key: Key, uid: str) -> None:
        found = await self._calls.find(uid)
        entry = self._directory.model(*key)
        if found is None or found[0].step is not Step.QUEUED:
            return
        call, row = found
        why = await self._budgets.why_not(row.namespace, row.budget_uid)
        if why:
            raise Refused(Reason.BUDGET_EXCEEDED, why)
        if entry is None:
            namespace, name = key
            raise Refused(Reason.NOT_FOUND, f'The Model "{namespace}/{name}" was deleted.')
        version = await self._versions.latest(entry)
        target = target_of(entry, version)
        server = self._server_of(target)
        request = await server.prepare(row, target)
        claimed = await self._calls.claim(
            uid,
            prices=json.dumps(entry.body["spec"].get("price") or []),
            version=version.id if version else "",
            target=target,
            incarnation=request.incarnation,
            limit=target["concurrency"],
        )
        if not claimed:
            found = await self._calls.find(uid)
            if found is not None and found[0].step is Step.QUEUED:
                raise NotNow("others are under way", down=False)
            return
        try:
            await server.send(call, request, target)
        except NotNow:
            if await insist(lambda: self._calls.put_back(uid)):
                raise
            return  # it was cancelled meanwhile
        except Unknown as error:
            # If the server got the call, it may still report on it.
            logger.warning("the outcome of a call is unknown: %s", error, extra={"call": uid})
        self._lanes[key].down_since = None

    async def _later(self, lane: ModelQueue, waiting: Waiting, error: NotNow) -> None:
        """Requeue a call, or end it if its server was unavailable for too long."""
        now = self._monotonic()
        lane.held_until = now + max(RETRY_SECONDS, error.after)
        if not error.down:
            lane.down_since = None
        elif lane.down_since is None:
            lane.down_since = now
        if error.down and lane.down_since is not None:
            waited = now - max(lane.down_since, self._waiting_since.get(waiting.uid, now))
            if waited >= self._config.patience_seconds:
                lane.held_until = now
                words = (
                    f"The model's server could not be used for {waited:.0f} s: {error}. "
                    f"Nothing was sent to it."
                )
                await insist(lambda: self._calls.fail(waiting.uid, Reason.UNREACHABLE, words))
                return
        lane.queue.put_back(waiting)

    async def _resume(self, key: Key, uid: str) -> None:
        try:
            await self._patience.with_call(uid, lambda: self._follow(uid))
        finally:
            self._done(key, uid)

    async def _follow(self, uid: str) -> None:
        """Follow a call until it is done."""
        began = self._monotonic()
        told_at: float | None = None
        follower: Follower | None = None
        with self._notices.subscribe(uid) as news:
            while True:
                found = await self._calls.find(uid)
                if found is None or found[0].step in {Step.DONE, Step.QUEUED}:
                    return
                call, row = found
                target = call.sent_to
                if call.cancel and told_at is None:
                    told_at = self._monotonic()
                    await self._server_of(target).cancel(call, target)
                    continue
                if await self._over(call, row, target, began, told_at):
                    return
                follower = follower or self._server_of(target).follow(target)
                try:
                    pause = await follower.look(call, row)
                except Lost as error:
                    await self._lose(uid, str(error))
                    return
                await news.wait(max(0.05, min(pause, self._left(row, target), TICK_SECONDS)))

    def _left(self, row: RunRow, target: Json) -> float:
        """Seconds until a call's timeout."""
        spent = (self._clock() - (row.sent_at or row.created_at)).total_seconds()
        return max(0.0, seconds(target["timeout"]) - spent)

    async def _over(
        self, call: Call, row: RunRow, target: Json, began: float, told_at: float | None
    ) -> bool:
        """End a call that has timed out. Returns whether it did."""
        now = self._monotonic()
        if told_at is not None and now - told_at >= self._config.grace_seconds:
            await self._calls.stop(call.uid, Outcome.CANCELED, Reason.CANCELED, CANCELED)
            return True
        if self._left(row, target) <= 0:
            await self._server_of(target).cancel(call, target)
            words = f"The model took longer than {target['timeout']} (spec.timeout of the Model)."
            await self._calls.stop(call.uid, Outcome.FAILED, Reason.TIMED_OUT, words)
            return True
        if call.step is Step.SENT and now - began >= self._config.fate_seconds:
            await self._lose(call.uid, "its server never confirmed that it has the prediction")
            return True
        return False

    async def _lose(self, uid: str, why: str) -> None:
        words = f"The outcome of the prediction is unknown: {why}. It was not sent again."
        await self._calls.fail(uid, Reason.LOST, words)

    def _server_of(self, target: Json) -> ModelServer:
        return self._cog if "endpoint" in target else self._replicate
