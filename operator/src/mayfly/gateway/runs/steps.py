"""Decides the next step of one run from what is known, by checks in order. Pure.

The facts come from the object, the pod's session and the ledger row. The first check that applies
wins. `dispatcher` carries out the step and asks again, until the answer is WAIT or DONE, so after a
restart a gateway continues where another one stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from mayfly.api.v1alpha1 import PipelineRun, Reason
from mayfly.api.v1alpha1.conditions import ConditionType, find
from mayfly.gateway.runs.sessions import Session
from mayfly.gateway.runs.status import tells_storage_full
from mayfly.metering.ledger import RunRow
from mayfly.reconcile.deadlines import start_due
from mayfly.reconcile.observed import Refusal

STORAGE_RECOVERED_AFTER = timedelta(seconds=10)
"""If a connection lasted this long, its messages could be stored: the disk has space again."""

BELOW_POLL = timedelta(milliseconds=500)
"""How often to recheck children of a cancelled run: another gateway may have heard from them."""


class Link(Enum):
    """State of the connection to the claimed pod."""

    NONE = auto()
    """No connection."""
    IDLE = auto()
    """Connected, without work."""
    OURS = auto()
    """This run's work was sent to it."""
    OTHER = auto()
    """Another run's work was sent to it, and may still be lost."""
    TAKEN = auto()
    """It has accepted another run, so it never accepts this one."""
    RETIRED = auto()
    """It takes no work any more, connected or not."""


class Step(Enum):
    """What the dispatcher can do for a run."""

    DONE = auto()
    """The end is final: acknowledge it and release the pod."""
    OPEN = auto()
    """Open the ledger row, or record another attempt or the dispatch in it."""
    RECORD = auto()
    """The object has an end: copy it into the ledger, whose row may have to be opened for that;
    mark the object recorded and finished."""
    END = auto()
    """The journal has an end: write it to the object."""
    LOSE_CLAIM = auto()
    """Tell the controller that the pod has another run, or takes none any more."""
    FAIL_UNSTARTED = auto()
    """A Secret is unavailable or a budget is spent: end the claimed run as not started."""
    REFUSE = auto()
    """A budget was spent before the run had a pod: end it."""
    CONFIRM_BUDGET = auto()
    """Tell the controller that the namespace has budget left for the run."""
    RETIRE = auto()
    """The connected pod must not get the work: end the run as not started."""
    BLOCK_POD = auto()
    """The pod has no agent, and must not get one: end the run as not started."""
    CANCEL = auto()
    """Send `cancel` to the agent."""
    ASK_CANCEL = auto()
    """Set spec.cancel: the run's Cancel-After has passed."""
    CANCEL_UNLESS_STARTED = auto()
    """Send `cancel` with `unlessStarted` to the agent: the run's parent was cancelled."""
    CLOSE_QUEUES = auto()
    """End the cancelled run's queued calls, and let it queue no more."""
    ACCEPT_CANCEL = auto()
    """Write CancelAccepted=True."""
    FINISH = auto()
    """The end was recorded before the children answered the cancel; now they have: finish."""
    SEND = auto()
    """Send the work."""
    MARK_STARTED = auto()
    """Write Started=True, and clear "disk full"."""
    WAIT = auto()
    """Do nothing until something changes."""


@dataclass(frozen=True)
class Facts:
    """What is known of a run.

    Attributes:
        run: the object.
        row: its ledger row.
        link: state of the connection to its pod.
        pod_seen: its pod has connected at some time.
        cancel_sent: `cancel` was sent on this connection.
        cancel_unless_started_sent: `cancel` with `unlessStarted` was sent on this connection.
        canceled_above: why the run must not start any more, as a sentence: its parent was
            cancelled; "" if it was not.
        cancel_at: when to cancel the run if it has not ended by then.
        queue_open: the run's cancel is not accepted yet, and it has queued calls of Models, or
            may still queue some.
        open_below: the run's cancel is not accepted yet, and a child of it may still start.
        sent: when its work was sent on this connection.
        now: the time.
        started_write: how long a run works before Started=True is written.
        connected_at: when that connection began.
        refusal: why it must not start: a secret is unavailable, or a budget is spent.
        needs_budget_check: the controller waits for the gateway's budget check.
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
    """The state of a session as seen from a run."""
    if session is None:
        return Link.NONE
    if session.run == uid:
        return Link.OURS
    if session.run is not None:
        return Link.TAKEN if session.accepted else Link.OTHER
    return Link.RETIRED if session.retired else Link.IDLE


def too_late(run: PipelineRun, now: datetime) -> bool:
    """Whether the run's start deadline has passed; then the controller ends the run."""
    return now >= start_due(run, now=now)


def may_send(run: PipelineRun, link: Link, now: datetime, *, canceled_above: bool) -> bool:
    """Whether the run's work may be sent on this connection now."""
    return (
        link is Link.IDLE
        and not canceled_above
        and bool(run.status.pod_uid)
        and not run.status.ended
        and not run.status.finished
        # A cancel that the controller has not seen yet counts too.
        and not run.spec.cancel
        and not run.status.cancelling
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
        or _left(facts)
        or _cancelled_above(facts)
        or _cancelled(facts)
        or _sendable(facts)
        or _marked(facts)
        or Step.WAIT
    )


def _queueing(facts: Facts) -> Step | None:
    if not facts.queue_open:
        return None
    # Tell the run first: its code must not read the ends of its calls and return before it is
    # cancelled itself.
    over = facts.run.status.ended or (
        facts.row is not None and (facts.row.journalled or facts.row.closed)
    )
    untold = facts.link is Link.OURS and not facts.cancel_sent and not over
    return Step.CANCEL if untold else Step.CLOSE_QUEUES


def _final(facts: Facts) -> Step | None:
    if facts.row is None or not facts.row.closed:
        return None
    status = facts.run.status
    if not status.recorded or status.finished:
        return Step.DONE
    return Step.WAIT if facts.open_below else Step.FINISH


def is_unopened(run: PipelineRun, row: RunRow | None, sent: datetime | None) -> bool:
    """Whether a run's row is to be opened, or its newest attempt or dispatch to be noted in it."""
    status = run.status
    if row is None:
        # That of a run that ended without a pod is opened together with its end.
        return bool(status.pod_uid)
    if row.journalled:
        return False
    if status.attempt is not None and row.attempt != status.attempt:
        return True
    return row.sent_at is None and sent is not None


def _unopened(facts: Facts) -> Step | None:
    return Step.OPEN if is_unopened(facts.run, facts.row, facts.sent) else None


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
    return _claim_lost(facts) if facts.link is Link.TAKEN else None


def _claim_lost(facts: Facts) -> Step:
    started = find(facts.run.status.conditions, ConditionType.STARTED)
    told = started is not None and started.reason == Reason.CLAIM_LOST
    return Step.WAIT if told else Step.LOSE_CLAIM


def _never_to_start(facts: Facts) -> Step | None:
    if not facts.run.status.cancelling and (not facts.canceled_above or _started(facts)):
        return None
    if facts.link is Link.IDLE:
        return Step.RETIRE
    return Step.BLOCK_POD if _without_agent(facts) else None


def _never_connected(facts: Facts) -> Step | None:
    """The step for a run that must not start and whose pod has no agent that may start it."""
    if facts.refusal is None or facts.run.spec.cancel or _started(facts):
        return None
    return Step.FAIL_UNSTARTED if _without_agent(facts) else None


def _without_agent(facts: Facts) -> bool:
    """Whether no agent of the pod has the run, or can get it unless it connects for the first time.

    Once started, a run was never without one.
    """
    if facts.link is Link.RETIRED:
        return not _started(facts)
    return facts.link is Link.NONE and not facts.pod_seen


def _left(facts: Facts) -> Step | None:
    """The pod's agent has left without the run: the run gets another pod."""
    if facts.link is not Link.RETIRED or _started(facts) or facts.run.spec.cancel:
        return None
    return _claim_lost(facts)


def _started(facts: Facts) -> bool:
    row = facts.row
    return facts.run.status.started or (row is not None and row.started_at is not None)


def _cancelled_above(facts: Facts) -> Step | None:
    if not facts.canceled_above or facts.run.status.cancelling or _started(facts):
        return None
    # If the agent is disconnected, it reports its state when it is back, and gets the cancel then.
    return (
        Step.CANCEL_UNLESS_STARTED
        if facts.link is Link.OURS and not facts.cancel_unless_started_sent
        else None
    )


def _cancelled(facts: Facts) -> Step | None:
    if not facts.run.status.cancelling:
        return None
    if facts.link is Link.OURS and not facts.cancel_sent:
        return Step.CANCEL
    done = facts.run.status.cancel_accepted or facts.open_below
    return None if done else Step.ACCEPT_CANCEL


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
    """When a waiting run needs another look even if nothing happens."""
    due = _mark_due(facts)
    moments = [] if due is None else [due]
    if facts.cancel_at is not None and not facts.run.spec.cancel:
        moments.append(facts.cancel_at)
    if facts.open_below:
        moments.append(facts.now + BELOW_POLL)
    return min(moments, default=None)
