"""What to do next with a PipelineRun. The life of a run, read top-down.

    not there, or being deleted    nothing: its owner references take the pod
    ended                          delete the pod; at its TTL delete the run
    cancel asked, no pod claimed   end it: Canceled
    cancel asked, pod claimed      stop claims below it; the gateway stops the pod
    claimed, pod over              claim again if nothing can have started, else end it
    claimed, pod on its way        start deadline; say why it waits
    not claimed, cancelled above   end it: Canceled
    not claimed, wrong             refuse it
    not claimed, waiting           queue deadline; wait for the budget check and for a place
    not claimed, next in line      make the pod, then claim it

Every decision is made on the run as it was read: a write carries that resourceVersion, so a
decision on old news is refused by the API server and made again.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from mayfly.api.v1alpha1 import Reason
from mayfly.api.v1alpha1.conditions import ConditionType, find
from mayfly.api.v1alpha1.names import BUDGET_MONTHLY
from mayfly.clock import parse_rfc3339
from mayfly.reconcile.actions import (
    NOTHING,
    Action,
    AdoptPod,
    CreatePod,
    DeletePod,
    DeleteRun,
    EnsureNetworkPolicy,
    Plan,
)
from mayfly.reconcile.deadlines import (
    claimed_at,
    created_at,
    queue_due,
    queued_long_at,
    start_due,
    ttl_due,
)
from mayfly.reconcile.ending import End, ended, from_pod, refused, termination_message
from mayfly.reconcile.events import run_events
from mayfly.reconcile.observed import (
    PULL_REASONS,
    CanceledAbove,
    GivesUp,
    ObservedPod,
    ObservedRun,
    Refusal,
    Unsettled,
)
from mayfly.reconcile.pods import adoption_patch, pod_for
from mayfly.reconcile.run_status import cancel_marked, claimed, started_false, write

MAX_ATTEMPTS = 3
"""How many pods a run may get, as long as none of them can have started its code."""

RESULT_GRACE = timedelta(seconds=10)
"""How long the gateway has to write a reported end after the pod has ended."""

START_MARGIN = timedelta(seconds=15)
"""The agent enforces the start deadline itself. The controller acts only this much later, when a
`Started` write (sent after a second of running) would have arrived."""

ADOPT_AFTER = timedelta(seconds=2)
"""A waiting pod becomes the run's own so long after its claim, whose time is in whole seconds: the
patch, and what the kubelet does because of it, take the CPU of a run that has just started. A run
that is over by then does without."""

CANCEL_GRACE = timedelta(seconds=60)
"""A cancelled run that has not ended after this time loses its pod."""

CANCEL_GRACE_POD_SECONDS = 5

TREE_POLL = timedelta(seconds=30)

PENDING_PATIENCE = timedelta(seconds=5)
"""A pod that starts within this time is not told to be pending: no write for what passes."""

BUDGET_PATIENCE = timedelta(seconds=5)
"""The gateway confirms a budget within milliseconds; a run that waits longer shows why."""

WAITS_FOR_BUDGET = (
    f"The namespace has a monthly budget (its annotation {BUDGET_MONTHLY}), and the gateway has "
    f"not said yet that something is left of it."
)


def plan_run(seen: ObservedRun) -> Plan:
    """The next step of a run."""
    run = seen.run
    if run.metadata.deletion_timestamp:
        return NOTHING
    plan = _step(seen)
    strays = tuple(_delete(seen, pod) for pod in seen.strays if not pod.deleting)
    adoption = _adopt(seen)
    return replace(
        plan,
        actions=(*strays, *plan.actions, *adoption.actions),
        wake=min(filter(None, (plan.wake, adoption.wake)), default=None),
        events=run_events(seen, plan.actions),
    )


def _adopt(seen: ObservedRun) -> Plan:
    """Make a waiting pod that the run has claimed the run's own, once that is in nobody's way."""
    run, pod = seen.run, seen.pod
    if pod is None or not pod.waits or pod.over or pod.deleting or run.status.ended:
        return NOTHING
    started = find(run.status.conditions, ConditionType.STARTED)
    if started is not None and started.reason == Reason.CLAIM_LOST:
        return NOTHING  # it has another run
    claimed = claimed_at(run, now=seen.now)
    if seen.now < claimed + ADOPT_AFTER:
        return Plan((), claimed + ADOPT_AFTER)
    patch = tuple(adoption_patch(run, pod, claimed))
    return Plan((AdoptPod(run.metadata.namespace or "", pod.name, patch),))


def _step(seen: ObservedRun) -> Plan:
    run = seen.run
    if run.status.ended:
        return _ended(seen)
    if run.spec.cancel and not run.status.pod_uid:
        return _cancel_unclaimed(seen, "The run was cancelled.")
    if run.status.pod_uid:
        return _claimed(seen)
    return _unclaimed(seen)


# Ended


def _ended(seen: ObservedRun) -> Plan:
    actions: list[Action] = [
        _delete(seen, pod)
        for pod in (seen.pod, seen.next_pod)
        if pod is not None and not pod.gone and not pod.deleting
    ]
    due = ttl_due(seen.run)
    if due is None or seen.now < due:
        return Plan(tuple(actions), due)
    if not seen.tree_finished:
        return Plan(tuple(actions), seen.now + TREE_POLL)
    actions.append(
        DeleteRun(seen.run.metadata.namespace or "", seen.run.metadata.name, seen.run.metadata.uid)
    )
    return Plan(tuple(actions))


def _delete(seen: ObservedRun, pod: ObservedPod, grace_seconds: int | None = None) -> DeletePod:
    return DeletePod(seen.run.metadata.namespace or "", pod.name, pod.uid, grace_seconds)


# Cancel


def _cancel_unclaimed(seen: ObservedRun, words: str) -> Plan:
    """Cancel a run without a claimed pod: cancel and end are one write."""
    status = cancel_marked(seen, "True", Reason.CANCEL_ACCEPTED, "Nothing had started.")
    marked = seen.run.model_copy(update={"status": status})
    end = End(Reason.CANCELED, words, started=False)
    return Plan((write(seen, ended(marked, end, now=seen.now)),))


def _stop_claims(seen: ObservedRun) -> Plan | None:
    """The first half of a cancel: stop the claims below. The gateway writes the second half."""
    known = find(seen.run.status.conditions, ConditionType.CANCEL_ACCEPTED)
    if known is None:
        words = "No further child gets a pod."
        status = cancel_marked(seen, "False", Reason.CLAIMS_STOPPED, words)
        return Plan((write(seen, status),), seen.now + CANCEL_GRACE)
    pod = seen.pod
    if pod is None or pod.over or pod.deleting:
        return None
    due = parse_rfc3339(known.last_transition_time) + CANCEL_GRACE
    if seen.now < due:
        return Plan((), due)
    return Plan((_delete(seen, pod, CANCEL_GRACE_POD_SECONDS),), seen.now + RESULT_GRACE)


# Claimed


def _claimed(seen: ObservedRun) -> Plan:
    if seen.run.spec.cancel and (plan := _stop_claims(seen)) is not None:
        return plan
    started = find(seen.run.status.conditions, ConditionType.STARTED)
    if started is not None and started.reason == Reason.CLAIM_LOST:
        return _claim_again(seen)
    pod = seen.pod
    if pod is None:
        return Plan((), seen.now + RESULT_GRACE)
    if pod.over:
        return _pod_over(seen, pod)
    if not seen.run.status.started:
        return _pod_on_its_way(seen, pod)
    return NOTHING


def _pod_over(seen: ObservedRun, pod: ObservedPod) -> Plan:
    if _started_message(seen, Reason.START_DEADLINE_EXCEEDED) is not None and not _left_word(
        seen, pod
    ):
        return _start_deadline_exceeded(seen, pod)
    if _never_started(seen, pod) and not seen.run.spec.cancel:
        if seen.now >= start_due(seen.run, now=seen.now):
            return _start_deadline_exceeded(seen, pod)
        return _claim_again(seen)
    due = (pod.noticed or seen.now) + RESULT_GRACE
    if seen.now < due:
        return Plan((), due)
    return Plan((write(seen, ended(seen.run, from_pod(seen.run, pod), now=seen.now)),))


def _never_started(seen: ObservedRun, pod: ObservedPod) -> bool:
    """Whether the pod can't have started any code: only then may the run get another pod."""
    return not (pod.ever_started or pod.unseen or seen.run.status.started)


def _claim_again(seen: ObservedRun) -> Plan:
    attempt = seen.run.status.attempt or 1
    if attempt >= MAX_ATTEMPTS and not isinstance(seen.resolution, CanceledAbove):
        pod = seen.pod
        words = (pod.blocked or pod.message or pod.reason) if pod is not None else ""
        end = End(
            Reason.LOST,
            f"{attempt} pods in a row ended or disappeared before they could start the run"
            + (f"; the last one: {words}" if words else "."),
            started=False,
        )
        return Plan((write(seen, ended(seen.run, end, now=seen.now)),))
    return _unclaimed(seen)


def _pod_on_its_way(seen: ObservedRun, pod: ObservedPod) -> Plan:
    due = start_due(seen.run, now=seen.now)
    # A pod whose container never ran has no agent that could have started in the meantime.
    late = due + START_MARGIN if pod.ever_started else due
    if seen.now >= late:
        return _start_deadline_exceeded(seen, pod)
    reason, message = _why_waiting(seen, pod)
    started = find(seen.run.status.conditions, ConditionType.STARTED)
    if not _worth_telling(pod) or (started is not None and started.message == message):
        return Plan((), late)
    tell_at = claimed_at(seen.run, now=seen.now) + PENDING_PATIENCE
    if reason == Reason.POD_PENDING and seen.now < tell_at:
        return Plan((), min(tell_at, late))
    return Plan((write(seen, started_false(seen, reason, message)),), late)


def _worth_telling(pod: ObservedPod) -> bool:
    """Whether the cluster says why the pod does not start."""
    waits = pod.waiting is not None and (bool(pod.waiting[1]) or pod.waiting[0] in PULL_REASONS)
    return waits or (not pod.ever_started and bool(pod.blocked or pod.message))


def _start_deadline_exceeded(seen: ObservedRun, pod: ObservedPod) -> Plan:
    told = _started_message(seen, Reason.START_DEADLINE_EXCEEDED)
    sentence = told if told is not None else _too_late(seen, pod)
    end = End(Reason.START_DEADLINE_EXCEEDED, sentence, started=False)
    last = write(seen, ended(seen.run, end, now=seen.now))
    if pod.over or pod.deleting:
        return Plan((last,))
    if told is None:
        # Said before the pod goes: who comes after a crash must not take a pod that we deleted
        # for one that was lost.
        return Plan((write(seen, started_false(seen, end.reason, sentence)),))
    # The pod goes first: when the end stands, nothing can start any more.
    return Plan((_delete(seen, pod, 0), last))


def _too_late(seen: ObservedRun, pod: ObservedPod) -> str:
    _, why = _why_waiting(seen, pod)
    deadline = seen.run.spec.start_deadline
    return f"main() was not called within spec.startDeadline ({deadline}): {why}"


def _started_message(seen: ObservedRun, reason: Reason) -> str | None:
    """The message of the condition Started, if it has this reason."""
    started = find(seen.run.status.conditions, ConditionType.STARTED)
    return started.message if started is not None and started.reason == reason else None


def _left_word(seen: ObservedRun, pod: ObservedPod) -> bool:
    """Whether the pod's agent has left a result, which takes precedence."""
    text = pod.terminated.message if pod.terminated else ""
    return termination_message(seen.run, text) is not None


def _why_waiting(seen: ObservedRun, pod: ObservedPod) -> tuple[Reason, str]:
    full = _started_message(seen, Reason.STORAGE_FULL)
    if full is not None:
        return Reason.STORAGE_FULL, full
    if pod.waiting is not None and pod.waiting[0] in PULL_REASONS:
        words = pod.waiting[1] or pod.waiting[0]
        return Reason.IMAGE_PULL, f"the node can't pull the runtime's image: {words}"
    if pod.waiting is not None and pod.waiting[1]:
        return Reason.POD_PENDING, f"{pod.waiting[0]}: {pod.waiting[1]}"
    if pod.blocked and not pod.ever_started:
        return Reason.POD_PENDING, pod.blocked
    if pod.ever_started:
        return Reason.POD_PENDING, "the pod runs, but its agent has not started the code"
    return Reason.POD_PENDING, pod.message or "the pod is not running yet"


# Not claimed


def _unclaimed(seen: ObservedRun) -> Plan:
    resolution = seen.resolution
    due = queue_due(seen.run, now=seen.now)
    if isinstance(resolution, CanceledAbove):
        return _cancel_unclaimed(seen, resolution.message)
    if isinstance(resolution, Refusal):
        return Plan((write(seen, refused(seen.run, resolution, now=seen.now)),))
    if seen.now >= due and not seen.run.status.pod_uid:
        return _queue_deadline_exceeded(seen)
    if resolution is None or isinstance(resolution, Unsettled):
        pause = timedelta(seconds=resolution.seconds if resolution else 0.2)
        return Plan((), min(seen.now + pause, max(due, seen.now)))
    if seen.waits_for_budget:
        return _wait_for_budget(seen)
    attempt = _next_attempt(seen)
    if seen.next_pod is not None:
        return Plan((write(seen, claimed(seen, resolution, seen.next_pod, attempt)),))
    if resolution.waits:
        return _wait_for_place(seen, resolution.waits, resolution.gives_up)
    if seen.pod_refused:
        return _wait(seen, Reason.POD_REFUSED, f"The cluster refuses the pod: {seen.pod_refused}")
    actions: list[Action] = []
    if not seen.network_ready:
        actions.append(EnsureNetworkPolicy(seen.run.metadata.namespace or ""))
    actions.append(CreatePod(pod_for(seen.run, resolution, attempt, seen.pods)))
    return Plan(tuple(actions), due)


def _next_attempt(seen: ObservedRun) -> int:
    return (seen.run.status.attempt or 0) + 1


def _queue_deadline_exceeded(seen: ObservedRun) -> Plan:
    why = find(seen.run.status.conditions, ConditionType.STARTED)
    words = why.message if why is not None else ""
    if not words and isinstance(seen.resolution, Unsettled):
        words = seen.resolution.message
    sentence = f"The run got no pod within spec.queueDeadline ({seen.run.spec.queue_deadline})"
    sentence = f"{sentence}: {words}" if words else f"{sentence}."
    end = End(Reason.QUEUE_DEADLINE_EXCEEDED, sentence, started=False)
    return Plan((write(seen, ended(seen.run, end, now=seen.now)),))


def _wait_for_budget(seen: ObservedRun) -> Plan:
    """Wait for the gateway, which knows what is spent, to confirm the run or end it."""
    due = created_at(seen.run, now=seen.now) + BUDGET_PATIENCE
    if seen.now < due:
        return Plan((), due)
    return _wait(seen, Reason.QUEUED, WAITS_FOR_BUDGET)


def _wait_for_place(seen: ObservedRun, words: str, gives_up: GivesUp | None) -> Plan:
    plan = _wait(seen, Reason.QUEUED, words)
    if gives_up is None:
        return plan
    if seen.now < gives_up.at:
        return replace(plan, wake=min(gives_up.at, plan.wake or gives_up.at))
    end = End(Reason.CAPACITY_EXHAUSTED, gives_up.why, started=False)
    return Plan((write(seen, ended(seen.run, end, now=seen.now)),))


def _wait(seen: ObservedRun, reason: Reason, message: str) -> Plan:
    due = queue_due(seen.run, now=seen.now)
    started = find(seen.run.status.conditions, ConditionType.STARTED)
    wake = min(due, seen.now + timedelta(seconds=5)) if reason == Reason.POD_REFUSED else due
    long = queued_long_at(seen.run, now=seen.now)
    if reason == Reason.QUEUED and seen.now < long:
        wake = min(wake, long)
    if started is not None and (started.reason, started.message) == (reason, message):
        return Plan((), wake)
    return Plan((write(seen, started_false(seen, reason, message)),), wake)
