"""Brings a run and its pod together, and every run to its end: look, decide, act, look again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, assert_never

from mayfly.api.v1alpha1 import Reason
from mayfly.api.v1alpha1.conditions import ConditionType, is_true
from mayfly.api.v1alpha1.identity import run_id
from mayfly.api.v1alpha1.names import PARENT_LABEL, UNFINISHED
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
from mayfly.gateway.runs import messages, pod_secrets, steps
from mayfly.gateway.runs.recorder import Recorder
from mayfly.gateway.runs.sessions import Session, Sessions
from mayfly.gateway.runs.steps import Facts, Link, Step, Withheld
from mayfly.gateway.runs.trees import Trees
from mayfly.gateway.runs.work import work
from mayfly.gateway.secrets.lookup import SecretLookup, SecretUnavailable
from mayfly.gateway.worklist import Worklist
from mayfly.kube.client import Cluster
from mayfly.kube.errors import Conflict, NotFound
from mayfly.kube.kinds import RUNS
from mayfly.metering import ledger, tree
from mayfly.metering.ledger import RunRow
from mayfly.reconcile.lineage import reaches_children

logger = logging.getLogger(__name__)

MAX_STEPS = 24
"""Steps of one look. A run takes fewer; more means that two writers disagree for ever."""


CANCELLED = "The run was cancelled before it started."


class ChildQueue(Protocol):
    """What else a run makes that waits for its start, beside runs: calls of Models."""

    async def close_queue_of(self, parent_uid: str) -> object:
        """End what a cancelled run has made and has not started, in one transaction.

        From then on nothing of that run starts. Called again while the cancel is not accepted.
        """


@dataclass(frozen=True)
class View:
    """A run with everything that belongs to it, at one moment."""

    seen: Seen
    row: RunRow | None
    session: Session | None
    facts: Facts


class Dispatcher:
    """Carries out the steps of every run."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        runs: Runs,
        sessions: Sessions,
        recorder: Recorder,
        programs: Programs,
        database: Database,
        worklist: Worklist,
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
        self._recorder = recorder
        self._programs = programs
        self._database = database
        self._worklist = worklist
        self._trees = trees
        self._dispatches = dispatches
        self._lookup = lookup
        self._budgets = budgets
        self._key = key
        self._limits = limits
        self._metrics = metrics
        self._clock = clock
        self._monotonic = monotonic
        self._withheld: dict[str, Withheld] = {}

    async def run(self) -> None:
        """Work until cancelled, beginning with what an earlier process left open."""
        await self._runs.synced.wait()
        async with self._database.read() as tx:
            for uid in (*await ledger.unclosed(tx), *await tree.unsettled(tx)):
                self._worklist.add(uid)
        await self._worklist.run(self.look)

    async def look(self, uid: str) -> None:
        """Do everything that can be done for a run now."""
        before = self._runs.get(uid) or self._runs.gone(uid)
        try:
            await self._send_now(uid)
            await self._step_on(uid)
        finally:
            self._withheld.pop(uid, None)
        if before is not None:
            await self._tell_parent(before)

    async def _step_on(self, uid: str) -> None:
        latest: Seen | None = None
        for _ in range(MAX_STEPS):
            view = await self._view(uid, latest)
            if view is None:
                return
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
        logger.warning("a run does not settle", extra={"run": uid})
        self._worklist.add_after(uid, 1.0)

    # -- what is known ---------------------------------------------------------------------------

    async def _view(self, uid: str, latest: Seen | None) -> View | None:
        known = self._runs.get(uid)
        seen = max((each for each in (known, latest) if each), key=_version, default=None)
        async with self._database.read() as tx:
            row = await ledger.find(tx, uid)
        if seen is None:
            seen = await self._departed(uid, row)
            if seen is None:
                return None
        return await self._assemble(seen, row)

    async def _departed(self, uid: str, row: RunRow | None) -> Seen | None:
        """A run that the watch does not show: finished, deleted, or from before our start.

        Returns:
            The object when it is there and not closed here yet.
        """
        last = self._runs.gone(uid)
        if row is not None and row.closed:
            await self._settle(uid, row)
            await self._settle_tree(uid)
        elif row is not None and not row.is_run:
            return None  # a call of a Model: its conductor ends it, and no object ever was
        elif row is not None or (last is not None and _matters(last)):
            key = (row.namespace, row.name) if row is not None else last.key if last else ("", "")
            found = await self._runs.fetch(*key, uid)
            if found is not None:
                return found
            await self._close_deleted(last, row)
        self._runs.forget(uid)
        return None

    async def _assemble(self, seen: Seen, row: RunRow | None) -> View:
        pod_uid = seen.run.status.pod_uid
        session = self._sessions.of_pod(pod_uid)
        link = steps.link_of(seen.uid, session)
        pod_seen = True
        if link is Link.NONE and pod_uid:
            async with self._database.read() as tx:
                pod_seen = await pod_secrets.trace(tx, pod_uid) is pod_secrets.Trace.SEEN
        ours = session if link is Link.OURS else None
        open_below = await self._open_below(seen)
        facts = Facts(
            run=seen.run,
            row=row,
            link=link,
            pod_seen=pod_seen,
            cancel_sent=ours is not None and ours.cancelled,
            sent=ours.sent_at if ours else None,
            connected_at=ours.connected_at if ours else None,
            now=self._clock(),
            started_write=timedelta(milliseconds=self._limits.started_write_ms),
            withheld=await self._why_withheld(seen, row, link),
            wants_a_word=self._budgets.wants_a_word(seen),
            spare_sent=ours is not None and ours.spared,
            canceled_above=self._runs.canceled_above(seen),
            open_below=open_below,
            cancel_at=seen.cancel_at,
        )
        return View(seen, row, session, facts)

    async def _why_withheld(self, seen: Seen, row: RunRow | None, link: Link) -> Withheld | None:
        known = self._withheld.get(seen.uid)
        status = seen.run.status
        began = row is not None and (row.started_at is not None or row.journalled)
        if known is not None or began or status.ended or status.started or link is Link.OURS:
            return known
        return _beyond(await self._budgets.why_no_run(seen))

    # -- what a cancelled run has made -----------------------------------------------------------

    async def _open_below(self, seen: Seen) -> bool:
        """Whether something that a cancelled run made may still start; such runs are looked at.

        A run that is claimed while we look may not be in our watch yet, so the last word has a
        list that the API server answers from its own store. What comes after that is never
        claimed: the controller reads the parent before each claim, and its cancel is written.
        """
        run = seen.run
        if not reaches_children(run) or run.status.finished or _accepted(seen):
            return False
        unsettled = await self._unsettled(self._runs.children_of(seen.uid))
        for uid in unsettled:
            self._worklist.add(uid)
        if not steps.cancelling(run):
            return False  # asked, and the controller has not stopped the claims yet
        for queue in self._queues:
            await queue.close_queue_of(seen.uid)
        return bool(unsettled) or bool(await self._unsettled(await self._children_now(seen)))

    async def _children_now(self, seen: Seen) -> list[Seen]:
        namespace, _ = seen.key
        label = f"{PARENT_LABEL}={run_id(seen.uid)}"
        found: list[Seen] = []
        async for page in self._cluster.pages(
            RUNS, namespace, label_selector=label, field_selector=UNFINISHED
        ):
            found += [Seen(each) for each in page["items"]]
        return found

    async def _unsettled(self, children: Sequence[Seen]) -> list[str]:
        """Those that have neither started nor ended."""
        waiting = [
            each.uid for each in children if not (each.run.status.ended or each.run.status.started)
        ]
        if not waiting:
            return []
        async with self._database.read() as tx:
            begun = await ledger.begun(tx, waiting)
        return [uid for uid in waiting if uid not in begun]

    async def _tell_parent(self, child: Seen) -> None:
        """Have a cancelled parent looked at that may wait for this run alone."""
        parent = self._runs.get(child.parent_uid or "")
        if parent is None or not steps.cancelling(parent.run) or _accepted(parent):
            return
        now = self._runs.get(child.uid)
        if now is None or not await self._unsettled([now]):
            self._worklist.add(parent.uid)

    # -- what is done ----------------------------------------------------------------------------

    async def _act(  # noqa: C901, PLR0912, PLR0915 - one case a step
        self, view: View, step: Step
    ) -> bool:
        """Carry a step out. Returns whether to look again at once."""
        seen, row, session = view.seen, view.row, view.session
        match step:
            case Step.OPEN:
                await self._recorder.open(seen, view.facts.sent)
            case Step.WAIT:
                self._wake_later(view)
                return False
            case Step.SEND:
                await self._send_now(seen.uid)
                sent = self._sessions.of_run(seen.uid, seen.run.status.pod_uid) is not None
                again = sent or seen.uid in self._withheld
                if not again:
                    self._wake_later(view)
                return again
            case Step.CANCEL if session is not None:
                session.cancelled = True
                await session.send(messages.cancel(seen.uid))
            case Step.SPARE if session is not None:
                session.spared = True
                await session.send(messages.cancel_unless_started(seen.uid))
            case Step.ASK_CANCEL:
                namespace, name = seen.key
                # With the UID, so that it can't meet another run that has the name now.
                asked = {"metadata": {"uid": seen.uid}, "spec": {"cancel": True}}
                self._runs.learn(await self._cluster.patch(RUNS, namespace, name, asked))
            case Step.FINISH:
                await self._recorder.finish(seen)
            case Step.ACCEPT_CANCEL:
                await self._recorder.accept_cancel(seen)
            case Step.LOSE_CLAIM:
                await self._recorder.lose_claim(seen)
            case Step.DONE if row is not None:
                await self._settle(seen.uid, row)
                await self._settle_tree(seen.uid)
                self._runs.forget(seen.uid)
                return False
            case Step.RECORD if row is not None:
                await self._recorder.record(seen, row, open_below=view.facts.open_below)
                await self._settle_early(view, row)
            case Step.END if row is not None:
                await self._recorder.end(seen, row, open_below=view.facts.open_below)
                await self._settle_early(view, row)
            case Step.RETIRE if row is not None and session is not None:
                session.retired = True
                why = view.facts.canceled_above or CANCELLED
                await self._recorder.end_unstarted(seen, row, why, bury=False)
                await session.send(messages.retire())
            case Step.REFUSE if view.facts.withheld is not None:
                await self._recorder.refuse(seen, view.facts.withheld)
            case Step.PASS:
                await self._recorder.pass_on(seen)
            case Step.WITHHOLD if row is not None and view.facts.withheld is not None:
                if session is not None:
                    session.retired = True
                bury = session is None
                await self._recorder.withhold(seen, row, view.facts.withheld, bury=bury)
                if session is not None:
                    await session.send(messages.retire())
            case Step.BURY if row is not None:
                why = view.facts.canceled_above or CANCELLED
                await self._recorder.end_unstarted(seen, row, why, bury=True)
            case Step.MARK_STARTED if row is not None:
                await self._recorder.mark_started(seen, row)
            case (
                Step.CANCEL
                | Step.SPARE
                | Step.DONE
                | Step.RECORD
                | Step.END
                | Step.RETIRE
                | Step.WITHHOLD
                | Step.REFUSE
                | Step.BURY
                | Step.MARK_STARTED
            ):
                raise AssertionError(f"{step} was decided without what it needs")
            case _:
                assert_never(step)
        return True

    async def _send_now(self, uid: str) -> None:
        """Send a run's work if its pod waits for it. No SQL: this is the way to main().

        But for a run with a budget over it, which is looked at once more.
        """
        began = self._monotonic()
        if self._sendable(uid) is None:
            return
        asked = self._runs_now(uid)
        program = await self._programs.program(asked.run)
        try:
            unlocked = await self._lookup.unlock(asked, program)
        except SecretUnavailable as error:
            self._withheld[uid] = Withheld(Reason.SECRET_UNAVAILABLE, str(error))
            return
        beyond = _beyond(await self._budgets.why_no_run(asked))
        if beyond is not None:
            self._withheld[uid] = beyond
            return
        found = self._sendable(uid)  # once more: the cancel may have come meanwhile
        if found is None:
            return
        seen, session = found
        now = self._clock()
        namespace, _ = seen.key
        token = run_tokens.mint(self._key, namespace, uid)
        message = work(seen, program, unlocked, token, self._limits, now)
        # No await between the check and these lines: from here on the pod has this run.
        session.run = uid
        session.attempt = seen.run.status.attempt or 1
        session.sent_at = now
        self._dispatches.open(uid, now, session.attempt)
        await session.send(message)
        self._metrics.dispatch_seconds.observe(self._monotonic() - began)

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

    async def _close_deleted(self, seen: Seen | None, row: RunRow | None) -> None:
        if row is None and seen is not None and _matters(seen):
            row = await self._recorder.open(seen, None)
        if row is None:
            if seen is not None and seen.parent_uid:
                self._worklist.add(seen.parent_uid)  # it may have waited for this one alone
            return
        if not row.closed:
            session = self._sessions.of_run(row.uid, row.pod_uid)
            running = session is not None and not session.ended
            await self._recorder.close_deleted(row, seen, running=running)
        await self._settle(row.uid, row)
        await self._settle_tree(row.uid)
        self._runs.forget(row.uid)

    async def _settle_tree(self, uid: str) -> None:
        """The run is over: if all below it is too, say so, and have its parent looked at."""
        self._dispatches.forget(uid)
        parent = await self._trees.settle(uid)
        if parent is not None:
            self._worklist.add(parent)

    async def _settle_early(self, view: View, row: RunRow) -> None:
        """Let the agent go although the object is not finished: it has nothing to say on that."""
        if view.facts.open_below:
            await self._settle(view.seen.uid, row)

    async def _settle(self, uid: str, row: RunRow) -> None:
        """The end is final: let the agent go."""
        session = self._sessions.of_pod(row.pod_uid)
        if session is None:
            return
        if session.run == uid:
            if session.ended:
                await session.send(messages.ack(uid, session.attempt))
            elif not session.cancelled:
                # It works on for nobody: the run was deleted, or ended by another word.
                session.cancelled = True
                await session.send(messages.cancel(uid))
        elif session.run is None and not session.retired:
            session.retired = True
            await session.send(messages.retire())

    def _wake_later(self, view: View) -> None:
        due = steps.look_again_at(view.facts)
        if due is not None and due > view.facts.now:
            self._worklist.add_after(view.seen.uid, (due - view.facts.now).total_seconds())


def _beyond(why: str) -> Withheld | None:
    return Withheld(Reason.BUDGET_EXCEEDED, why) if why else None


def _version(seen: Seen) -> int:
    return seen.version


def _accepted(seen: Seen) -> bool:
    return is_true(seen.run.status.conditions, ConditionType.CANCEL_ACCEPTED)


def _matters(seen: Seen) -> bool:
    """Whether the ledger wants this run: it had a pod or has an end."""
    return bool(seen.run.status.pod_uid) or seen.run.status.ended
