"""Gathers what is known of one run, so that `steps` can decide. Read-only.

The facts come from the watch, the API server, the pod's session and the ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.api.v1alpha1 import Reason
from mayfly.api.v1alpha1.identity import run_id
from mayfly.api.v1alpha1.names import PARENT_LABEL, UNFINISHED
from mayfly.clock import Clock
from mayfly.config import GatewayLimits
from mayfly.database.engine import Database
from mayfly.gateway.cache.runs import Runs, Seen
from mayfly.gateway.namespaces.budgets import Budgets
from mayfly.gateway.runs import pod_secrets, steps
from mayfly.gateway.runs.pod_secrets import Trace
from mayfly.gateway.runs.sessions import Session, Sessions
from mayfly.gateway.runs.steps import Facts, Link
from mayfly.kube.client import Cluster
from mayfly.kube.kinds import RUNS
from mayfly.metering import ledger
from mayfly.metering.ledger import RunRow
from mayfly.reconcile.lineage import reaches_children
from mayfly.reconcile.observed import Refusal


class ChildQueue(Protocol):
    """What a run may have queued besides runs: calls of Models."""

    async def queue_is_open(self, parent_uid: str) -> bool:
        """Whether the run has something queued, or may still queue something."""

    async def close_queue_of(self, parent_uid: str) -> object:
        """End what a cancelled run has queued and not started, in one transaction.

        After that the run can queue nothing.
        """


@dataclass(frozen=True)
class View:
    """A run with everything that belongs to it, at one moment.

    Attributes:
        seen: the object.
        row: its ledger row.
        session: the connection of the claimed pod.
        facts: the input of the decision.
        unstarted_children: UIDs of children of a cancelled run that neither started nor ended.
    """

    seen: Seen
    row: RunRow | None
    session: Session | None
    facts: Facts
    unstarted_children: tuple[str, ...] = ()

    @property
    def ledger_row(self) -> RunRow:
        """The ledger row, for steps that are decided only if there is one."""
        if self.row is None:
            raise AssertionError("a step was decided without the ledger row that it needs")
        return self.row

    @property
    def agent(self) -> Session:
        """The session, for steps that are decided only if the pod is connected."""
        if self.session is None:
            raise AssertionError("a step was decided without the connection that it needs")
        return self.session

    @property
    def refusal(self) -> Refusal:
        """Why the run must not start; only for steps that need it."""
        if self.facts.refusal is None:
            raise AssertionError("a run was to be refused without a reason")
        return self.facts.refusal


@dataclass(frozen=True)
class Departed:
    """A run whose object is deleted, or whose ledger row is closed.

    Attributes:
        uid: of the run.
        last: its last state in the watch; None if it was gone before this process began.
        row: its ledger row.
    """

    uid: str
    last: Seen | None
    row: RunRow | None


@dataclass(frozen=True)
class _Below:
    """What a cancelled run has made and may still start."""

    unstarted: tuple[str, ...] = ()
    queue_open: bool = False
    open: bool = False


class Gatherer:
    """Reads the state of one run from the watch, the ledger, the session and the API server."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        database: Database,
        runs: Runs,
        sessions: Sessions,
        budgets: Budgets,
        limits: GatewayLimits,
        clock: Clock,
        queues: Sequence[ChildQueue] = (),
    ) -> None:
        self._cluster = cluster
        self._database = database
        self._runs = runs
        self._sessions = sessions
        self._budgets = budgets
        self._limits = limits
        self._clock = clock
        self._queues = tuple(queues)

    async def view(
        self, uid: str, latest: Seen | None, refusal: Refusal | None
    ) -> View | Departed | None:
        """What is known of a run now.

        Args:
            uid: of the run.
            latest: a state that the API server just returned, and the watch may not have yet.
            refusal: why its work was not sent a moment ago.

        Returns:
            None if there is nothing to decide: the UID is of a call of a Model.
        """
        known = self._runs.get(uid)
        seen = max((each for each in (known, latest) if each), key=_version, default=None)
        async with self._database.read() as tx:
            row = await ledger.find(tx, uid)
            trace = await self._trace(tx, seen) if seen is not None else Trace.SEEN
        if seen is None:
            return await self._outside_watch(uid, row, refusal)
        return await self._assemble(seen, row, refusal, trace)

    async def _trace(self, tx: AsyncConnection, seen: Seen) -> Trace:
        """What SQL knows of a claimed pod; not asked if there is none, or it is connected."""
        pod_uid = seen.run.status.pod_uid
        if not pod_uid or self._sessions.of_pod(pod_uid) is not None:
            return Trace.SEEN
        return await pod_secrets.trace(tx, pod_uid)

    async def _outside_watch(
        self, uid: str, row: RunRow | None, refusal: Refusal | None
    ) -> View | Departed | None:
        """A run that is not in the watch: finished, deleted, or from before this process began."""
        last = self._runs.departed(uid)
        departed = Departed(uid, last, row)
        if row is None and (last is None or not in_ledger(last)):
            return departed
        if row is not None and row.closed:
            return departed
        if row is not None and not row.is_run:
            return None  # a call of a Model, which the other engine ends; it never had an object
        key = (row.namespace, row.name) if row is not None else last.key if last else ("", "")
        found = await self._runs.fetch(*key, uid)
        if found is None:
            return departed
        async with self._database.read() as tx:
            trace = await self._trace(tx, found)
        return await self._assemble(found, row, refusal, trace)

    async def _assemble(
        self, seen: Seen, row: RunRow | None, refusal: Refusal | None, trace: Trace
    ) -> View:
        session = self._sessions.of_pod(seen.run.status.pod_uid)
        link = steps.link_of(seen.uid, session)
        if session is None and trace is Trace.RETIRED:
            link = Link.RETIRED
        ours = session if link is Link.OURS else None
        below = await self._below(seen)
        facts = Facts(
            run=seen.run,
            row=row,
            link=link,
            pod_seen=trace is Trace.SEEN or link is not Link.NONE,
            cancel_sent=ours is not None and ours.cancelled,
            sent=ours.sent_at if ours else None,
            connected_at=ours.connected_at if ours else None,
            now=self._clock(),
            started_write=timedelta(milliseconds=self._limits.started_write_ms),
            refusal=refusal or await self._over_budget(seen, row, link),
            needs_budget_check=self._budgets.needs_budget_check(seen),
            cancel_unless_started_sent=ours is not None and ours.cancelled_unless_started,
            canceled_above=self._runs.canceled_above(seen),
            queue_open=below.queue_open,
            open_below=below.open,
            cancel_at=seen.cancel_at,
        )
        return View(seen, row, session, facts, below.unstarted)

    async def _over_budget(self, seen: Seen, row: RunRow | None, link: Link) -> Refusal | None:
        """The budget that stops a run from starting, as a sentence; "" if none does."""
        status = seen.run.status
        began = row is not None and (row.started_at is not None or row.journalled)
        if began or status.ended or status.started or link is Link.OURS:
            return None
        return over_budget(await self._budgets.why_no_run(seen))

    # -- what a cancelled run has made -----------------------------------------------------------

    async def _below(self, seen: Seen) -> _Below:
        """What a cancelled run has made and may still start.

        The watch may not have a run yet that is being claimed right now, so the answer is confirmed
        by a consistent list from the API server. No later child is ever claimed: the controller
        knows its own write that claims have stopped, and looks for it before each claim.
        """
        run = seen.run
        if not reaches_children(run) or run.status.finished or run.status.cancel_accepted:
            return _Below()
        unstarted = tuple(await self.unstarted(self._runs.children_of(seen.uid)))
        if not run.status.cancelling:
            return _Below(unstarted)  # requested, but the controller has not stopped the claims yet
        for queue in self._queues:
            if await queue.queue_is_open(seen.uid):
                return _Below(unstarted, queue_open=True, open=True)
        remaining = unstarted or await self.unstarted(await self._listed_children(seen))
        return _Below(unstarted, open=bool(remaining))

    async def _listed_children(self, seen: Seen) -> list[Seen]:
        """The unfinished children of a run, read from the API server."""
        namespace, _ = seen.key
        label = f"{PARENT_LABEL}={run_id(seen.uid)}"
        found: list[Seen] = []
        async for page in self._cluster.pages(
            RUNS, namespace, label_selector=label, field_selector=UNFINISHED
        ):
            found += [Seen(each) for each in page["items"]]
        return found

    async def unstarted(self, runs: Sequence[Seen]) -> list[str]:
        """The UIDs of those runs that have neither started nor ended."""
        waiting = [
            each.uid for each in runs if not (each.run.status.ended or each.run.status.started)
        ]
        if not waiting:
            return []
        async with self._database.read() as tx:
            begun = await ledger.begun(tx, waiting)
        return [uid for uid in waiting if uid not in begun]


def over_budget(why: str) -> Refusal | None:
    """The end of a run that a budget stops; None if `why` is empty."""
    return Refusal(Reason.BUDGET_EXCEEDED, why) if why else None


def in_ledger(seen: Seen) -> bool:
    """Whether a run belongs in the ledger: it had a pod or has an end."""
    return bool(seen.run.status.pod_uid) or seen.run.status.ended


def _version(seen: Seen) -> int:
    return seen.version
