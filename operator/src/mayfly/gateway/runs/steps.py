"""What to do next about one run: decided from what is known, by checks in order. Pure.

The facts come from the object, the pod's session and the ledger row; the first check that has
something to say wins. `dispatcher` carries the step out and asks again, until the answer is WAIT or
DONE, so a gateway that starts again goes on wherever another one stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from mayfly.api.v1alpha1 import PipelineRun, Reason
from mayfly.api.v1alpha1.conditions import ConditionType, find, is_true
from mayfly.gateway.runs.sessions import Session
from mayfly.gateway.runs.status import tells_storage_full
from mayfly.metering.ledger import RunRow
from mayfly.reconcile.deadlines import start_due
from mayfly.reconcile.observed import Refusal

STORAGE_RECOVERED_AFTER = timedelta(seconds=10)
"""A connection that lasted for so long could store what came: the disk has room again."""

BELOW_POLL = timedelta(milliseconds=500)
"""A cancel waits for what the run made; another gateway may be the one that hears of it."""


class Link(Enum):
    """How the pod that a run is claimed for is connected."""

    NONE = auto()
    """No connection."""
    IDLE = auto()
    """Connected, without work."""
    OURS = auto()
    """This run's work was sent to it."""
    OTHER = auto()
    """Another run's work was sent to it, and may yet be lost on the way."""
    TAKEN = auto()
    """It has accepted another run: it never takes this one."""
    RETIRED = auto()
    """Connected, and told to go."""


class Step(Enum):
    """What the dispatcher can do for a run."""

    DONE = auto()
    """The end is final: acknowledge it, let the pod go."""
    OPEN = auto()
    """Open the ledger row, or note another attempt or the dispatch in it."""
    RECORD = auto()
    """The object has an end: copy it into the ledger, mark it recorded and finished."""
    END = auto()
    """The journal has an end: write it to the object."""
    LOSE_CLAIM = auto()
    """Tell the controller that the pod has another run."""
    FAIL_UNSTARTED = auto()
    """A Secret can't be had, or a budget was reached: end the claimed run as not started."""
    REFUSE = auto()
    """A budget was reached before the run had a pod: end it."""
    CONFIRM_BUDGET = auto()
    """Tell the controller that the namespace's budget has room for the run."""
    RETIRE = auto()
    """The connected pod never gets the work: end the run as not started."""
    BLOCK_POD = auto()
    """The pod never connected and never may: end the run as not started."""
    CANCEL = auto()
    """Tell the agent to stop."""
    ASK_CANCEL = auto()
    """Set spec.cancel: the moment has come that its maker named."""
    CANCEL_UNLESS_STARTED = auto()
    """Tell the agent to stop unless it has started: the run that made this one was cancelled."""
    CLOSE_QUEUES = auto()
    """End what the cancelled run has queued, beside runs, and let it queue no more."""
    ACCEPT_CANCEL = auto()
    """Write CancelAccepted=True."""
    FINISH = auto()
    """The recorded end came before the children had answered the cancel; now they have."""
    SEND = auto()
    """Send the work."""
    MARK_STARTED = auto()
    """Write Started=True, and no more that the disk is full."""
    WAIT = auto()
    """Nothing until something changes."""


@dataclass(frozen=True)
class Facts:
    """What is known of a run.

    Attributes:
        run: the object.
        row: its ledger row.
        link: the connection of its pod.
        pod_seen: its pod has connected at some time.
        cancel_sent: the agent was told to stop, on this connection.
        cancel_unless_started_sent: it was told to stop unless it has started, on this connection.
        canceled_above: why the run must not start any more, in words: its parent was cancelled;
            "" where it was not.
        cancel_at: when the run is to be cancelled, if it has not ended by then.
        queue_open: the run's cancel is not accepted yet, and calls of Models that it made wait, or
            could still be queued.
        open_below: the run's cancel is not accepted yet, and something that the run made may still
            start.
        sent: when its work was sent, on this connection.
        now: the time.
        started_write: how long a run works before Started=True is written.
        connected_at: when that connection began.
        refusal: why it must not start: its secrets can't be had, or a budget was reached.
        needs_budget_check: the controller waits for our word that the budget has room.
    """

    run: PipelineRun
    row: RunRow | None
    link: Link
    pod_seen: bool
    cancel_sent: bool
    sent: datetime | None
    now: datetime
    started_write: timedelta
    connected_at: datetime | None = None
    refusal: Refusal | None = None
    needs_budget_check: bool = False
    cancel_unless_started_sent: bool = False
    canceled_above: str = ""
    queue_open: bool = False
    open_below: bool = False
    cancel_at: datetime | None = None


def link_of(uid: str, session: Session | None) -> Link:
    """The link that a session makes for a run."""
    if session is None:
        return Link.NONE
    if session.run == uid:
        return Link.OURS
    if session.run is not None:
        return Link.TAKEN if session.accepted else Link.OTHER
    return Link.RETIRED if session.retired else Link.IDLE


def cancelling(run: PipelineRun) -> bool:
    """Whether a cancel was asked for and the controller has stopped the claims below."""
    return find(run.status.conditions, ConditionType.CANCEL_ACCEPTED) is not None


def too_late(run: PipelineRun, now: datetime) -> bool:
    """Whether the run's start deadline has passed. The controller then ends it, in its words."""
    return now >= start_due(run, now=now)


def may_send(run: PipelineRun, link: Link, now: datetime, *, canceled_above: bool) -> bool:
    """Whether the run's work may go down this link now."""
    return (
        link is Link.IDLE
        and not canceled_above
        and bool(run.status.pod_uid)
        and not run.status.ended
        and not run.status.finished
        # A cancel that the controller has not seen yet is a cancel all the same.
        and not run.spec.cancel
        and not cancelling(run)
        and not too_late(run, now)
    )


def decide(facts: Facts) -> Step:
    """The next step of a run."""
    return (
        _queueing(facts)
        or _final(facts)
        or _unopened(facts)
        or _over(facts)
        or _expired(facts)
        or _unclaimed(facts)
        or _lost(facts)
        or _never_to_start(facts)
        or _never_connected(facts)
        or _cancelled_above(facts)
        or _cancelled(facts)
        or _sendable(facts)
        or _marked(facts)
        or Step.WAIT
    )


def _queueing(facts: Facts) -> Step | None:
    return Step.CLOSE_QUEUES if facts.queue_open else None


def _final(facts: Facts) -> Step | None:
    if facts.row is None or not facts.row.closed:
        return None
    status = facts.run.status
    if not status.recorded or status.finished:
        return Step.DONE
    return Step.WAIT if facts.open_below else Step.FINISH


def _unopened(facts: Facts) -> Step | None:
    status, row = facts.run.status, facts.row
    if row is None:
        return Step.OPEN if status.pod_uid or status.ended else None
    if row.journalled:
        return None
    if status.attempt is not None and row.attempt != status.attempt:
        return Step.OPEN
    return Step.OPEN if row.sent_at is None and facts.sent is not None else None


def _over(facts: Facts) -> Step | None:
    if facts.run.status.ended:
        return Step.RECORD
    return Step.END if facts.row is not None and facts.row.journalled else None


def _expired(facts: Facts) -> Step | None:
    due = facts.cancel_at
    if due is None or facts.now < due or facts.run.spec.cancel:
        return None
    return Step.ASK_CANCEL


def _unclaimed(facts: Facts) -> Step | None:
    if facts.run.status.pod_uid:
        return None
    if facts.run.spec.cancel or facts.canceled_above:
        return Step.WAIT  # the controller ends it
    if facts.refusal is not None:
        return Step.REFUSE
    return Step.CONFIRM_BUDGET if facts.needs_budget_check else Step.WAIT


def _lost(facts: Facts) -> Step | None:
    if facts.link is not Link.TAKEN:
        return None
    started = find(facts.run.status.conditions, ConditionType.STARTED)
    told = started is not None and started.reason == Reason.CLAIM_LOST
    return Step.WAIT if told else Step.LOSE_CLAIM


def _never_to_start(facts: Facts) -> Step | None:
    if not cancelling(facts.run) and (not facts.canceled_above or _started(facts)):
        return None
    if facts.link is Link.IDLE:
        return Step.RETIRE
    return Step.BLOCK_POD if facts.link is Link.NONE and not facts.pod_seen else None


def _never_connected(facts: Facts) -> Step | None:
    """What must not start, and whose pod has not connected, never starts."""
    if facts.refusal is None or facts.run.spec.cancel or _started(facts):
        return None
    return Step.FAIL_UNSTARTED if facts.link is Link.NONE and not facts.pod_seen else None


def _started(facts: Facts) -> bool:
    row = facts.row
    return facts.run.status.started or (row is not None and row.started_at is not None)


def _cancelled_above(facts: Facts) -> Step | None:
    if not facts.canceled_above or cancelling(facts.run) or _started(facts):
        return None
    # Away, it will say where it stands when it is back: then it is told.
    return (
        Step.CANCEL_UNLESS_STARTED
        if facts.link is Link.OURS and not facts.cancel_unless_started_sent
        else None
    )


def _cancelled(facts: Facts) -> Step | None:
    if not cancelling(facts.run):
        return None
    if facts.link is Link.OURS and not facts.cancel_sent:
        return Step.CANCEL
    accepted = is_true(facts.run.status.conditions, ConditionType.CANCEL_ACCEPTED)
    return None if accepted or facts.open_below else Step.ACCEPT_CANCEL


def _sendable(facts: Facts) -> Step | None:
    above = bool(facts.canceled_above)
    if not may_send(facts.run, facts.link, facts.now, canceled_above=above):
        return None
    return Step.FAIL_UNSTARTED if facts.refusal else Step.SEND


def _marked(facts: Facts) -> Step | None:
    due = _mark_due(facts)
    return Step.MARK_STARTED if due is not None and facts.now >= due else None


def _mark_due(facts: Facts) -> datetime | None:
    row, run = facts.row, facts.run
    if row is None or row.started_at is None:
        return None
    if not run.status.started:
        return row.started_at + facts.started_write
    if facts.link is Link.OURS and facts.connected_at and tells_storage_full(run):
        return facts.connected_at + STORAGE_RECOVERED_AFTER
    return None


def look_again_at(facts: Facts) -> datetime | None:
    """When a run that waits now needs another look though nothing happens."""
    due = _mark_due(facts)
    moments = [] if due is None else [due]
    if facts.cancel_at is not None and not facts.run.spec.cancel:
        moments.append(facts.cancel_at)
    if facts.open_below:
        moments.append(facts.now + BELOW_POLL)
    return min(moments, default=None)
