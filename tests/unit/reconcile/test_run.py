"""The life of a run, check by check: what was seen, what is planned."""

from __future__ import annotations

import json

import pytest
from support.builders import CLAIMED, UID, at, claimed, condition, pod, run, seen, target

from mayfly.api.v1alpha1 import Reason, RootRef
from mayfly.api.v1alpha1.conditions import ConditionType, find
from mayfly.reconcile.actions import (
    CreatePod,
    DeletePod,
    DeleteRun,
    EnsureNetworkPolicy,
    WriteRunStatus,
)
from mayfly.reconcile.lineage import canceled_above
from mayfly.reconcile.observed import GivesUp, Place, Refusal, Terminated, Unsettled
from mayfly.reconcile.run import plan_run

ENDED = [condition("Finished", "True", "Finished"), condition("Succeeded", "True", "Succeeded")]
STARTED = condition("Started", "True", "Started")


def kinds(plan) -> list[str]:
    return [type(action).__name__ for action in plan.actions]


def written(plan):
    (write,) = [each for each in plan.actions if isinstance(each, WriteRunStatus)]
    return write.status


def why(status) -> str:
    return find(status.conditions, ConditionType.SUCCEEDED).reason


def test_a_new_run_gets_a_pod_and_then_a_claim():
    first = plan_run(seen(run(), resolution=target()))
    assert kinds(first) == ["CreatePod"]
    second = plan_run(seen(run(), resolution=target(), next_pod=pod()))
    status = written(second)
    assert (status.pod_name, status.pod_uid, status.attempt) == ("pod-1", "pod-uid-1", 1)
    assert status.phase == "Starting"
    assert find(status.conditions, ConditionType.ACCEPTED).status == "True"
    assert second.actions[0].resource_version == "7"


def test_the_network_policy_comes_before_the_first_pod():
    plan = plan_run(seen(run(), resolution=target(), network_ready=False))
    assert [type(each) for each in plan.actions] == [EnsureNetworkPolicy, CreatePod]


def test_a_refused_run_ends_at_once_in_words():
    status = written(plan_run(seen(run(), resolution=Refusal(Reason.INVALID_INPUT, "name: gone"))))
    assert status.ended
    assert status.phase == "Failed"
    assert status.error == "name: gone"
    assert find(status.conditions, ConditionType.ACCEPTED).reason == "InvalidInput"
    assert why(status) == "Refused"
    assert not status.recorded


def test_what_is_not_settled_is_looked_at_again():
    plan = plan_run(seen(run(), resolution=Unsettled("soon", seconds=2)))
    assert plan.actions == ()
    assert plan.wake == at(2)


def test_a_full_runtime_queues_once():
    full = target(waits="No place.")
    status = written(plan_run(seen(run(), resolution=full)))
    started = find(status.conditions, ConditionType.STARTED)
    assert started.reason == "Queued"
    assert status.phase == "Queued"
    again = run({"conditions": [each.body() for each in status.conditions]})
    plan = plan_run(seen(again, resolution=full))
    assert plan.actions == ()
    assert plan.wake == at(60)  # to tell that it waits for long
    late = plan_run(seen(again, resolution=full, now=at(60)))
    assert late.actions == ()
    assert late.wake == at(3600)


def test_a_standstill_ends_the_wait_in_words():
    full = target(waits="No place.", gives_up=GivesUp(at(60), "Every pod is held."))
    queued = plan_run(seen(run(), resolution=full))
    assert find(written(queued).conditions, ConditionType.STARTED).reason == "Queued"
    assert queued.wake == at(60)
    status = written(plan_run(seen(run(), resolution=full, now=at(60))))
    assert (why(status), status.phase, status.error) == (
        "CapacityExhausted",
        "Failed",
        "Every pod is held.",
    )


def test_the_queue_deadline_ends_the_wait():
    status = written(plan_run(seen(run(), resolution=target(waits="No place."), now=at(3600))))
    assert why(status) == "QueueDeadlineExceeded"


def test_a_pod_that_the_cluster_refuses_is_told_and_tried_again():
    plan = plan_run(seen(run(), resolution=target(), pod_refused="exceeded quota"))
    assert "exceeded quota" in find(written(plan).conditions, ConditionType.STARTED).message
    assert plan.wake == at(5)


@pytest.mark.parametrize("next_pod", [None, pod()])
def test_a_cancel_before_the_claim_is_one_write(next_pod):
    status = written(plan_run(seen(run(cancel=True), next_pod=next_pod)))
    assert why(status) == "Canceled"
    assert status.phase == "Canceled"
    assert find(status.conditions, ConditionType.CANCEL_ACCEPTED).status == "True"


@pytest.mark.parametrize(
    "state",
    [
        {"the_run": run()},
        {"the_run": run(), "next_pod": pod()},
        {"the_run": claimed(), "pod": pod(phase="Failed")},
        {"the_run": run({**CLAIMED, "attempt": 3}), "pod": pod(phase="Failed")},
        {"the_run": claimed(condition("Started", "False", "ClaimLost")), "pod": pod()},
    ],
    ids=["queued", "with a pod to come", "its pod failed", "for the third time", "claim lost"],
)
def test_a_run_below_a_cancelled_one_ends_cancelled_if_it_cant_have_started(state):
    plan = plan_run(seen(**state, resolution=canceled_above("parent")))
    status = written(plan)
    assert kinds(plan) == ["WriteRunStatus"]
    assert why(status) == "Canceled"
    assert status.error == ('The parent run "parent" was cancelled before this run had started.')
    assert find(status.conditions, ConditionType.CANCEL_ACCEPTED).status == "True"


@pytest.mark.parametrize(
    "resolution",
    [Refusal(Reason.DEPTH_EXCEEDED, "too deep"), canceled_above("p"), target(waits="No place.")],
)
def test_a_run_that_never_gets_a_pod_has_its_place_in_the_tree_all_the_same(resolution):
    place = Place(3, RootRef(name="root", uid="root-uid"), "", "")
    status = written(plan_run(seen(run(), resolution=resolution, place=place)))
    assert (status.depth, status.root_ref.uid) == (3, "root-uid")


def test_an_unclaimed_pod_of_an_ended_run_goes():
    plan = plan_run(seen(run({"conditions": ENDED}), next_pod=pod()))
    assert kinds(plan) == ["DeletePod"]


def test_a_cancel_after_the_claim_only_stops_claims():
    status = written(plan_run(seen(claimed(cancel=True), pod=pod())))
    assert find(status.conditions, ConditionType.CANCEL_ACCEPTED).reason == "ClaimsStopped"
    assert not status.ended


def test_a_cancel_that_nobody_answers_takes_the_pod():
    stopped = condition("CancelAccepted", "False", "ClaimsStopped")
    the_run = claimed(stopped, cancel=True)
    assert plan_run(seen(the_run, pod=pod(), now=at(59))).actions == ()
    assert kinds(plan_run(seen(the_run, pod=pod(), now=at(61)))) == ["DeletePod"]
    over = pod(gone=True, ever_started=True, noticed=at(61))
    assert why(written(plan_run(seen(the_run, pod=over, now=at(72))))) == "Canceled"


def test_an_ended_run_loses_its_pod_and_then_itself():
    over = run({**CLAIMED, "conditions": ENDED, "recorded": True, "finished": True})
    assert kinds(plan_run(seen(over, pod=pod()))) == ["DeletePod"]
    waiting = plan_run(seen(over))
    assert waiting.actions == ()
    assert waiting.wake == at(3600)
    assert kinds(plan_run(seen(over, now=at(3600)))) == ["DeleteRun"]


def test_a_tree_that_still_runs_keeps_its_root():
    over = run({"conditions": ENDED, "recorded": True, "finished": True})
    plan = plan_run(seen(over, now=at(3600), tree_finished=False))
    assert plan.actions == ()
    assert plan.wake > at(3600)


@pytest.mark.parametrize("state", [{}, {"recorded": True}])
def test_an_end_that_is_not_recorded_stays(state):
    over = run({"conditions": ENDED, **state})
    assert not [e for e in plan_run(seen(over, now=at(9999))).actions if isinstance(e, DeleteRun)]


def test_a_child_goes_with_its_root_not_by_its_own_ttl():
    over = run(
        {"conditions": ENDED, "recorded": True, "finished": True},
        parentRef={"name": "root", "uid": UID},
    )
    assert plan_run(seen(over, now=at(9999))).actions == ()


def test_a_pod_that_never_started_is_replaced():
    over = pod(phase="Failed", message="node is gone")
    plan = plan_run(seen(claimed(), pod=over, resolution=target()))
    assert kinds(plan) == ["CreatePod"]
    assert plan.actions[0].body["metadata"]["name"].endswith("-2")
    second = pod(name="pod-2", uid="pod-uid-2")
    status = written(plan_run(seen(claimed(), pod=over, next_pod=second, resolution=target())))
    assert (status.attempt, status.pod_uid) == (2, "pod-uid-2")


def test_three_pods_are_enough():
    status = {**CLAIMED, "attempt": 3}
    over = pod(phase="Failed", message="node is gone")
    end = written(plan_run(seen(run(status), pod=over, resolution=target())))
    assert why(end) == "Lost"
    assert "node is gone" in end.error


@pytest.mark.parametrize(
    "over",
    [
        pod(gone=True, ever_started=True, noticed=at(0)),
        pod(gone=True, unseen=True, noticed=at(0)),
        pod(phase="Failed", ever_started=True, noticed=at(0)),
        pod(phase="Failed", terminated=Terminated(1), ever_started=True, noticed=at(0)),
    ],
)
def test_a_pod_that_may_have_started_is_never_replaced(over):
    early = plan_run(seen(claimed(), pod=over, resolution=target(), now=at(9)))
    assert early.actions == ()
    assert early.wake == at(10)
    status = written(plan_run(seen(claimed(), pod=over, resolution=target(), now=at(10))))
    assert why(status) == "Lost"


def test_a_run_that_started_is_never_replaced_whatever_the_pod_says():
    over = pod(phase="Failed", noticed=at(0))
    status = written(plan_run(seen(claimed(STARTED), pod=over, resolution=target(), now=at(10))))
    assert why(status) == "Lost"


def test_a_lost_claim_is_claimed_again():
    lost = condition("Started", "False", "ClaimLost")
    plan = plan_run(seen(claimed(lost), pod=pod(ever_started=True), resolution=target()))
    assert kinds(plan) == ["CreatePod"]


def test_the_start_deadline_of_a_pod_that_never_ran():
    waiting = pod(waiting=("ImagePullBackOff", "no such image"))
    told = written(plan_run(seen(claimed(), pod=waiting)))
    assert find(told.conditions, ConditionType.STARTED).reason == "ImagePull"
    again = claimed(*(c.body() for c in told.conditions if c.type == "Started"))
    assert plan_run(seen(again, pod=waiting)).actions == ()
    (write,) = plan_run(seen(again, pod=waiting, now=at(300))).actions
    late = marked(write.status)
    assert not late.status.ended
    plan = plan_run(seen(late, pod=waiting, now=at(300)))
    assert kinds(plan) == ["DeletePod", "WriteRunStatus"]
    assert why(written(plan)) == "StartDeadlineExceeded"
    assert "no such image" in written(plan).error


def marked(status):
    """The run once that status is written."""
    return run().model_copy(update={"status": status})


@pytest.mark.parametrize("parts", [{"unseen": True, "gone": True}, {"terminated": Terminated(137)}])
def test_a_pod_that_the_start_deadline_took_is_not_called_lost(parts):
    (write,) = plan_run(seen(claimed(), pod=pod(message="no node fits"), now=at(300))).actions
    over = pod(noticed=at(301), **parts)
    plan = plan_run(seen(marked(write.status), pod=over, now=at(301)))
    assert kinds(plan) == ["WriteRunStatus"]
    assert why(written(plan)) == "StartDeadlineExceeded"
    assert "no node fits" in written(plan).error


def test_what_an_agent_left_counts_for_more_than_the_start_deadline():
    (write,) = plan_run(seen(claimed(), pod=pod(ever_started=True), now=at(315))).actions
    left_it = Terminated(0, "Completed", left(outcome="succeeded", outputJSON="1"))
    over = pod(phase="Succeeded", ever_started=True, noticed=at(316), terminated=left_it)
    assert plan_run(seen(marked(write.status), pod=over, now=at(316))).actions == ()
    plan = plan_run(seen(marked(write.status), pod=over, now=at(326)))
    assert why(written(plan)) == "Succeeded"


def test_an_agent_gets_a_margin_because_it_keeps_the_deadline_itself():
    running = pod(phase="Running", ever_started=True)
    assert plan_run(seen(claimed(), pod=running, now=at(314))).actions == ()
    (write,) = plan_run(seen(claimed(), pod=running, now=at(315))).actions
    plan = plan_run(seen(marked(write.status), pod=running, now=at(315)))
    assert kinds(plan) == ["DeletePod", "WriteRunStatus"]
    assert "has not started the code" in written(plan).error


def test_a_running_run_is_left_alone():
    plan = plan_run(seen(claimed(STARTED), pod=pod(phase="Running", ever_started=True)))
    assert plan.actions == ()
    assert plan.wake is None


def left(**parts: object) -> str:
    return json.dumps(
        {"run": UID, "attempt": 1, "outcome": "failed", "reason": "UserError", **parts}
    )


@pytest.mark.parametrize(
    ("text", "reason", "error"),
    [
        (left(error="ValueError: no"), "UserError", "ValueError: no"),
        (left(outcome="canceled", reason="x"), "Canceled", ""),
        (left(outcome="succeeded", outputJSON="1"), "Succeeded", None),
        (left(outcome="succeeded", outputOmitted=True), "Lost", "could not be delivered"),
        (left(reason="Evicted"), "Lost", ""),
        (left(outcome=None, started=True), "Lost", "exit code 1"),
        (left(attempt=2), "Lost", "exit code 1"),
        (left(run="another"), "Lost", "exit code 1"),
        ("[]", "Lost", "exit code 1"),
        ("not JSON", "Lost", "exit code 1"),
    ],
)
def test_the_termination_message_speaks_first(text, reason, error):
    over = pod(
        phase="Failed", ever_started=True, noticed=at(0), terminated=Terminated(1, "Error", text)
    )
    status = written(plan_run(seen(claimed(), pod=over, now=at(10))))
    assert why(status) == reason
    assert error is None or error in (status.error or "")


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"terminated": Terminated(137, "OOMKilled")}, "OutOfMemory"),
        ({"reason": "Evicted", "message": "disk"}, "Evicted"),
        ({"reason": "DeadlineExceeded"}, "TimedOut"),
        ({"terminated": Terminated(2)}, "Lost"),
        ({"gone": True}, "Lost"),
        ({"gone": True, "disruption": ("EvictionByEvictionAPI", "evicting")}, "Evicted"),
        ({"terminated": Terminated(1), "disruption": ("PreemptionByScheduler", "")}, "Evicted"),
        ({"disruption": ("DeletionByTaintManager", "deleting due to taint")}, "Evicted"),
        ({"disruption": ("TerminationByKubelet", "node is shutting down")}, "Evicted"),
    ],
)
def test_without_a_message_the_state_speaks(parts, reason):
    over = pod(phase="Failed", ever_started=True, noticed=at(0), **parts)
    assert why(written(plan_run(seen(claimed(), pod=over, now=at(10))))) == reason


def test_a_start_deadline_that_passes_while_the_gateways_disk_is_full_says_so():
    full = condition("Started", "False", "StorageFull", "The gateway's disk is full.")
    there = pod(ever_started=True)
    (write,) = plan_run(seen(claimed(full), pod=there, now=at(400))).actions
    late = plan_run(seen(marked(write.status), pod=there, now=at(400)))
    assert why(written(late)) == "StartDeadlineExceeded"
    assert written(late).error.endswith("The gateway's disk is full.")


def test_an_eviction_is_told_in_words():
    over = pod(
        ever_started=True,
        noticed=at(0),
        gone=True,
        disruption=("EvictionByEvictionAPI", "Eviction API: evicting"),
    )
    status = written(plan_run(seen(claimed(), pod=over, now=at(10))))
    assert status.error == (
        "The pod was evicted: it was evicted through the API, for example by `kubectl drain` "
        "(Eviction API: evicting)."
    )


def test_a_node_that_is_gone_is_told_in_words():
    over = pod(
        ever_started=True,
        noticed=at(0),
        gone=True,
        disruption=("DeletionByPodGC", "PodGC: node no longer exists"),
    )
    status = written(plan_run(seen(claimed(), pod=over, now=at(10))))
    assert why(status) == "Lost"
    assert status.error == "The pod is gone: PodGC: node no longer exists."


def test_a_run_that_is_being_deleted_is_left_to_its_owners():
    the_run = run()
    dying = the_run.metadata.model_copy(update={"deletion_timestamp": "2026-01-01T12:00:00Z"})
    plan = plan_run(seen(the_run.model_copy(update={"metadata": dying}), resolution=target()))
    assert plan.actions == ()


def test_only_the_exact_pod_is_deleted():
    over = run({**CLAIMED, "conditions": ENDED})
    (delete,) = plan_run(seen(over, pod=pod())).actions
    assert isinstance(delete, DeletePod)
    assert delete.uid == "pod-uid-1"


def test_a_pod_that_no_claim_can_name_goes():
    stray = pod(name="pod-0", uid="pod-uid-0")
    running = pod(phase="Running", ever_started=True)
    (delete,) = plan_run(seen(claimed(STARTED), pod=running, strays=(stray,))).actions
    assert delete.uid == "pod-uid-0"
    over = run({**CLAIMED, "conditions": ENDED})
    assert kinds(plan_run(seen(over, pod=pod(), strays=(stray,)))) == ["DeletePod", "DeletePod"]


def test_a_stopped_agent_leaves_its_stamps_for_the_bill():
    text = left(outcome=None, started=True, startedAt="2026-01-01T12:00:00.500000Z", activeMs=1500)
    ended = Terminated(1, "Error", text)
    over = pod(gone=True, deleting=True, ever_started=True, noticed=at(0), terminated=ended)
    status = written(plan_run(seen(claimed(), pod=over, now=at(10))))
    assert why(status) == "Lost"
    assert "deleted" in status.error
    assert status.started_at == "2026-01-01T12:00:00.500000Z"
    assert status.usage.active_milliseconds == 1500
    assert find(status.conditions, ConditionType.STARTED).status == "True"


@pytest.mark.parametrize("told", [True, False, -1, 1.5, "7", None, [7]])
def test_a_time_that_is_no_number_of_milliseconds_is_none(told):
    text = left(started=True, startedAt="2026-01-01T12:00:00.500000Z", activeMs=told)
    over = pod(ever_started=True, noticed=at(0), terminated=Terminated(1, "Error", text))
    status = written(plan_run(seen(claimed(), pod=over, now=at(10))))
    assert why(status) == "UserError"
    assert status.usage is None


def test_a_cancel_has_a_sentence_though_no_error():
    text = left(outcome="canceled", reason="Canceled", error="")
    over = pod(ever_started=True, noticed=at(0), terminated=Terminated(0, "Completed", text))
    status = written(plan_run(seen(claimed(), pod=over, now=at(10))))
    assert find(status.conditions, ConditionType.SUCCEEDED).message == "The run was cancelled."
    assert not status.error


def test_where_a_budget_is_the_gateway_is_waited_for():
    waits = {"resolution": target(), "waits_for_budget": True}
    first = plan_run(seen(run(), **waits))
    assert first.actions == ()
    assert first.wake == at(5)
    # A pod that an earlier look made is not claimed before that either.
    assert plan_run(seen(run(), next_pod=pod(), **waits)).actions == ()
    late = plan_run(seen(run(), now=at(5), **waits))
    told = find(written(late).conditions, ConditionType.STARTED)
    assert (told.reason, written(late).phase) == ("Queued", "Queued")
    assert "mayfly.dev/budget-monthly" in told.message
    refusal = Refusal(Reason.INVALID_INPUT, "name: gone")
    assert written(plan_run(seen(run(), resolution=refusal, waits_for_budget=True))).ended


def test_what_the_cluster_said_stands_in_the_end_of_a_run_that_got_no_pod():
    why = condition("Started", "False", "PodRefused", "The cluster refuses the pod: quota")
    plan = plan_run(
        seen(run({"conditions": [why]}, queueDeadline="20s"), resolution=target(), now=at(21))
    )
    message = find(written(plan).conditions, ConditionType.SUCCEEDED).message
    assert message == (
        "The run got no pod within spec.queueDeadline (20s): The cluster refuses the pod: quota"
    )
    plan = plan_run(seen(run(queueDeadline="20s"), resolution=target(), now=at(21)))
    assert written(plan).error == "The run got no pod within spec.queueDeadline (20s)."


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"waiting": ("CreateContainerConfigError", "no such secret")}, "no such secret"),
        ({"waiting": ("CreateContainerError", "no such runtime")}, "no such runtime"),
        ({"message": "0/3 nodes are available"}, "0/3 nodes are available"),
        ({"blocked": 'the init container "mesh" ended with exit code 1'}, '"mesh" ended'),
    ],
)
def test_why_a_pod_does_not_start_is_told_while_it_waits_and_in_the_end(parts, words):
    waits = pod(**parts)
    early = plan_run(seen(claimed(), pod=waits, now=at(1)))
    assert not early.actions
    assert early.wake == at(5)
    plan = plan_run(seen(claimed(), pod=waits, now=at(6)))
    told = find(written(plan).conditions, ConditionType.STARTED)
    assert (told.status, told.reason) == ("False", "PodPending")
    assert words in told.message
    again = claimed().model_copy(update={"status": written(plan)})
    assert not plan_run(seen(again, pod=waits, now=at(7))).actions
    late = plan_run(seen(claimed(), pod=waits, now=at(301)))
    assert words in find(written(late).conditions, ConditionType.STARTED).message


def test_pods_that_never_start_end_the_run_with_what_the_last_one_said():
    blocked = 'the init container "mesh" ended with exit code 1: no root'
    last = claimed().model_copy(
        update={"status": claimed().status.model_copy(update={"attempt": 3})}
    )
    over = pod(phase="Failed", blocked=blocked)
    plan = plan_run(seen(last, pod=over, resolution=target()))
    assert written(plan).error.endswith(f"the last one: {blocked}")
