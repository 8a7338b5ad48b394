"""Dispatches runs: carries out their steps, from the claimed pod to the recorded end.

A loop of gather (`gather`), decide (`steps`) and act (here).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from mayfly.api.v1alpha1 import Reason
from mayfly.clock import Clock, Monotonic
from mayfly.config import GatewayLimits
from mayfly.database.engine import Database
from mayfly.gateway.access import run_tokens
from mayfly.gateway.access.signing import SigningKey
from mayfly.gateway.cache.programs import Programs
from mayfly.gateway.cache.runs import Runs, Seen
from mayfly.gateway.lifecycle.dispatches import Dispatches
from mayfly.gateway.metrics.counters import Metrics
from mayfly.gateway.namespaces.budgets import Budgets
from mayfly.gateway.runs import messages, steps
from mayfly.gateway.runs.gather import ChildQueue, Departed, Gatherer, View, in_ledger, over_budget
from mayfly.gateway.runs.opening import LedgerOpener
from mayfly.gateway.runs.recorder import Recorder
from mayfly.gateway.runs.sessions import Session, Sessions
from mayfly.gateway.runs.steps import Step
from mayfly.gateway.runs.trees import Trees
from mayfly.gateway.runs.work import work
from mayfly.gateway.secrets.lookup import SecretLookup, SecretUnavailable
from mayfly.kube.client import Cluster
from mayfly.kube.errors import Conflict, NotFound
from mayfly.kube.kinds import RUNS
from mayfly.metering import ledger, tree
from mayfly.metering.ledger import RunRow
from mayfly.reconcile.observed import Refusal
from mayfly.workqueue import OnFailure, WorkQueue

logger = logging.getLogger(__name__)

MAX_STEPS = 24
"""Maximum number of steps per look. More means that two writers keep undoing each other's work."""

OPEN_SECONDS = 0.25
"""How long after its work was sent a run's row is opened if its agent has said nothing: the
database need not work while the agent does."""

CANCELLED = "The run was cancelled before it started."


class Dispatcher:
    """Reconciles runs one step at a time, until nothing more can be done now."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        runs: Runs,
        sessions: Sessions,
        gatherer: Gatherer,
        opener: LedgerOpener,
        recorder: Recorder,
        programs: Programs,
        database: Database,
        workqueue: WorkQueue[str],
        trees: Trees,
        dispatches: Dispatches,
        lookup: SecretLookup,
        budgets: Budgets,
        key: SigningKey,
        limits: GatewayLimits,
        metrics: Metrics,
        clock: Clock,
        monotonic: Monotonic,
        queues: Sequence[ChildQueue] = (),
    ) -> None:
        self._cluster = cluster
        self._queues = tuple(queues)
        self._runs = runs
        self._sessions = sessions
        self._gatherer = gatherer
        self._opener = opener
        self._recorder = recorder
        self._programs = programs
        self._database = database
        self._workqueue = workqueue
        self._trees = trees
        self._dispatches = dispatches
        self._lookup = lookup
        self._budgets = budgets
        self._key = key
        self._limits = limits
        self._metrics = metrics
        self._clock = clock
        self._monotonic = monotonic
        self._refusals: dict[str, Refusal] = {}

    async def run(self, failing: OnFailure[str] | None = None) -> None:
        """Work until cancelled, beginning with what an earlier process left unfinished."""
        await self._runs.synced.wait()
        async with self._database.read(bulk=True) as tx:
            for uid in (*await ledger.unclosed(tx), *await tree.unsettled(tx)):
                self._workqueue.add(uid)
        await self._workqueue.run(self.look, failing=failing)

    async def look(self, uid: str) -> None:
        """Do everything that can be done for a run now."""
        before = self._runs.get(uid) or self._runs.departed(uid)
        try:
            if await self._send_now(uid):
                # The agent's first word opens the row; without one, a later look does.
                self._workqueue.add_after(uid, OPEN_SECONDS)
                return
            await self._take_steps(uid)
        finally:
            self._refusals.pop(uid, None)
        if before is not None:
            await self._notify_parent(before)

    async def _take_steps(self, uid: str) -> None:
        latest: Seen | None = None
        for _ in range(MAX_STEPS):
            view = await self._gatherer.view(uid, latest, self._refusals.get(uid))
            if view is None:
                return
            if isinstance(view, Departed):
                await self._close_departed(view)
                return
            for child in view.unstarted_children:
                self._workqueue.add(child)
            try:
                if not await self._act(view, steps.decide(view.facts)):
                    return
                latest = self._runs.get(uid)
            except Conflict:
                latest = await self._runs.fetch(*view.seen.key, uid)
            except NotFound:
                if await self._runs.fetch(*view.seen.key, uid) is not None:
                    raise
                await self._close_deleted(view.seen, view.row)
                return
        logger.warning("a run takes too many steps", extra={"run": uid})
        self._workqueue.add_after(uid, 1.0)

    async def _notify_parent(self, child: Seen) -> None:
        """Queue a cancelled parent that may be waiting only for this run."""
        parent = self._runs.get(child.parent_uid or "")
        if parent is None or not parent.run.status.cancelling or parent.run.status.cancel_accepted:
            return
        now = self._runs.get(child.uid)
        if now is None or not await self._gatherer.unstarted([now]):
            self._workqueue.add(parent.uid)

    # -- the steps -------------------------------------------------------------------------------

    async def _act(self, view: View, step: Step) -> bool:
        """Carry out a step. Returns whether to look again at once."""
        match step:
            case Step.WAIT:
                self._wake_later(view)
                return False
            case Step.DONE:
                await self._done(view.seen.uid, view.ledger_row)
                return False
            case Step.RECORD | Step.END:
                return await self._record_end(view, step)
            case Step.SEND:
                return await self._send(view)
            case _:
                await ACTS[step](self, view)
                return True

    async def open(self, view: View) -> None:
        """Open the ledger row, or record another attempt or the dispatch in it."""
        await self._opener.open(view.seen, view.row, view.facts.sent)

    async def _record_end(self, view: View, step: Step) -> bool:
        """Record a run's end. Returns whether more is to be done for the run."""
        seen, below = view.seen, view.facts.open_below
        if step is Step.END:
            row = await self._recorder.end(seen, view.ledger_row, open_below=below)
        else:
            row = await self._recorder.record(seen, view.row, open_below=below)
        if below:
            await self._release_agent(seen.uid, row)  # it has no part in the rest
        elif row.settled:
            await self._done(seen.uid, row)
            return False
        return True

    async def _done(self, uid: str, row: RunRow) -> None:
        await self.release(uid, row)
        self._runs.forget(uid)

    async def lose_claim(self, view: View) -> None:
        """Tell the controller that the pod never takes the run."""
        await self._recorder.lose_claim(view.seen)

    async def refuse(self, view: View) -> None:
        """End a run that has no pod yet."""
        await self._recorder.refuse(view.seen, view.refusal)

    async def confirm_budget(self, view: View) -> None:
        """Tell the controller that there is budget left."""
        await self._recorder.confirm_budget(view.seen)

    async def fail_unstarted(self, view: View) -> None:
        """End a claimed run as failed, and make sure that its pod never gets the work."""
        await self._end_without_start(view, view.refusal)

    async def cancel_unstarted(self, view: View) -> None:
        """End a claimed run as canceled, and make sure that its pod never gets the work."""
        why = view.facts.canceled_above or CANCELLED
        await self._end_without_start(view, Refusal(Reason.CANCELED, why))

    async def _end_without_start(self, view: View, why: Refusal) -> None:
        session = view.session
        if session is not None:
            session.retired = True
        await self._recorder.end_without_start(
            view.seen, view.ledger_row, why, unless_connected=session is None
        )
        if session is not None:
            await session.send(messages.retire())

    async def cancel(self, view: View) -> None:
        """Send `cancel` to the agent."""
        view.agent.cancelled = True
        await view.agent.send(messages.cancel(view.seen.uid))

    async def cancel_unless_started(self, view: View) -> None:
        """Send `cancel` with `unlessStarted` to the agent."""
        view.agent.cancelled_unless_started = True
        await view.agent.send(messages.cancel_unless_started(view.seen.uid))

    async def ask_cancel(self, view: View) -> None:
        """Set spec.cancel."""
        namespace, name = view.seen.key
        # With the UID, so that a newer run of the same name is not affected.
        asked = {"metadata": {"uid": view.seen.uid}, "spec": {"cancel": True}}
        self._runs.update(await self._cluster.patch(RUNS, namespace, name, asked))

    async def close_queues(self, view: View) -> None:
        """End the queued calls of Models of a cancelled run, and let it queue no more."""
        for queue in self._queues:
            await queue.close_queue_of(view.seen.uid)

    async def accept_cancel(self, view: View) -> None:
        """Write CancelAccepted=True."""
        await self._recorder.accept_cancel(view.seen)

    async def finish(self, view: View) -> None:
        """Mark a recorded run as finished."""
        await self._recorder.finish(view.seen)

    async def mark_started(self, view: View) -> None:
        """Write Started=True."""
        await self._recorder.mark_started(view.seen, view.ledger_row)

    def _wake_later(self, view: View) -> None:
        due = steps.look_again_at(view.facts)
        if due is not None and due > view.facts.now:
            self._workqueue.add_after(view.seen.uid, (due - view.facts.now).total_seconds())

    # -- the work --------------------------------------------------------------------------------

    async def _send(self, view: View) -> bool:
        """Send the work. Returns whether it was sent, or can never be sent."""
        uid = view.seen.uid
        await self._send_now(uid)
        sent = self._sessions.of_run(uid, view.seen.run.status.pod_uid) is not None
        again = sent or uid in self._refusals
        if not again:
            self._wake_later(view)
        return again

    async def _send_now(self, uid: str) -> bool:
        """Send a run's work if its pod is waiting for it: without SQL, unless a budget bounds it.

        Returns whether it was sent. If not, it may have been refused.
        """
        began = self._monotonic()
        if self._sendable(uid) is None:
            return False
        asked = self._runs_now(uid)
        program = await self._programs.program(asked.run)
        try:
            unlocked = await self._lookup.unlock(asked, program)
        except SecretUnavailable as error:
            self._refusals[uid] = Refusal(Reason.SECRET_UNAVAILABLE, str(error))
            return False
        refusal = over_budget(await self._budgets.why_no_run(asked))
        if refusal is not None:
            self._refusals[uid] = refusal
            return False
        if self._budgets.may_bound(uid):
            # What main() calls at once reads from this row which budget bounds it.
            await self._opener.open(asked, None, None)
        found = self._sendable(uid)  # again: a cancel may have come in the meantime
        if found is None:
            return False
        seen, session = found
        now = self._dispatches.now()
        namespace, _ = seen.key
        token = run_tokens.mint(self._key, namespace, uid)
        message = work(seen, program, unlocked, token, self._limits, now.at)
        # No await between the check and these lines. From here on, the pod has this run.
        session.run = uid
        session.attempt = seen.run.status.attempt or 1
        session.sent_at = now.at
        self._dispatches.open(uid, now, session.attempt)
        await session.send(message)
        self._metrics.dispatch_seconds.observe(self._monotonic() - began)
        return True

    def _sendable(self, uid: str) -> tuple[Seen, Session] | None:
        seen = self._runs.get(uid)
        session = self._sessions.of_pod(seen.run.status.pod_uid) if seen else None
        if seen is None or session is None:
            return None
        link, above = steps.link_of(uid, session), bool(self._runs.canceled_above(seen))
        if not steps.may_send(seen.run, link, self._clock(), canceled_above=above):
            return None
        return seen, session

    def _runs_now(self, uid: str) -> Seen:
        seen = self._runs.get(uid)
        assert seen is not None  # noqa: S101 - the caller has just seen it, without an await
        return seen

    # -- the end ---------------------------------------------------------------------------------

    async def _close_departed(self, departed: Departed) -> None:
        row = departed.row
        if row is not None and row.closed:
            await self.release(departed.uid, row)
        else:
            await self._close_deleted(departed.last, row)
        self._runs.forget(departed.uid)

    async def _close_deleted(self, seen: Seen | None, row: RunRow | None) -> None:
        if row is None and seen is not None and in_ledger(seen):
            row = await self._opener.open(seen, None, None)
        if row is None:
            if seen is not None and seen.parent_uid:
                self._workqueue.add(seen.parent_uid)  # it may have waited only for this run
            return
        if not row.closed:
            session = self._sessions.of_run(row.uid, row.pod_uid)
            running = session is not None and not session.ended
            await self._recorder.close_deleted(row, seen, running=running)
        await self.release(row.uid, row)
        self._runs.forget(row.uid)

    async def release(self, uid: str, row: RunRow) -> None:
        """The end is final: release the agent, and settle the tree sums that waited for it."""
        await self._release_agent(uid, row)
        self._dispatches.forget(uid)
        if row.settled and row.parent_uid is None:
            return  # there is no sum that waits for it
        parent = await self._trees.finalize(uid)
        if parent is not None:
            self._workqueue.add(parent)

    async def _release_agent(self, uid: str, row: RunRow) -> None:
        """Acknowledge the result, stop superfluous work, retire a pod without work."""
        session = self._sessions.of_pod(row.pod_uid)
        if session is None:
            return
        if session.run == uid:
            if session.ended:
                await session.send(messages.ack(uid, session.attempt))
            elif not session.cancelled:
                # Its work is superfluous: the run was deleted, or another end was recorded.
                session.cancelled = True
                await session.send(messages.cancel(uid))
        elif session.run is None and not session.retired:
            session.retired = True
            await session.send(messages.retire())


Act = Callable[[Dispatcher, View], Awaitable[None]]

ACTS: Mapping[Step, Act] = {
    Step.OPEN: Dispatcher.open,
    Step.LOSE_CLAIM: Dispatcher.lose_claim,
    Step.REFUSE: Dispatcher.refuse,
    Step.CONFIRM_BUDGET: Dispatcher.confirm_budget,
    Step.FAIL_UNSTARTED: Dispatcher.fail_unstarted,
    Step.RETIRE: Dispatcher.cancel_unstarted,
    Step.BLOCK_POD: Dispatcher.cancel_unstarted,
    Step.CANCEL: Dispatcher.cancel,
    Step.CANCEL_UNLESS_STARTED: Dispatcher.cancel_unless_started,
    Step.ASK_CANCEL: Dispatcher.ask_cancel,
    Step.CLOSE_QUEUES: Dispatcher.close_queues,
    Step.ACCEPT_CANCEL: Dispatcher.accept_cancel,
    Step.FINISH: Dispatcher.finish,
    Step.MARK_STARTED: Dispatcher.mark_started,
}
"""The method for each step after which the run is looked at again at once."""
