"""What is told by Kubernetes Events, and what is not."""

from __future__ import annotations

from typing import Any

import pytest
from support.builders import CLAIMED, at, claimed, condition, pod, run, runtime, seen, target

from mayfly.api.v1alpha1 import Model, Pipeline, PipelineRuntime, Reason
from mayfly.api.v1alpha1.conditions import REASONS, ConditionType
from mayfly.reconcile.actions import WriteRunStatus
from mayfly.reconcile.events import not_ready
from mayfly.reconcile.observed import Refusal, Terminated
from mayfly.reconcile.run import plan_run
from mayfly.reconcile.runtime import plan_runtime

STARTED = condition("Started", "True", "Started")
CANCEL = condition("CancelAccepted", "True", "CancelAccepted")


def told(plan) -> list[tuple[str, str, bool]]:
    return [(each.reason, each.note, each.warning) for each in plan.events]


def ended(reason: str, message: str = "", truth: str = "False", **status: Any):
    conditions = [
        condition("Succeeded", truth, reason, message),
        condition("Finished", "True", "Finished"),
    ]
    return run({**CLAIMED, "recorded": True, "finished": True, "conditions": conditions, **status})


def test_a_run_that_succeeds_has_no_event_at_any_step():
    plans = [
        plan_run(seen(run(), resolution=target(), network_ready=False)),
        plan_run(seen(run(), resolution=target(), next_pod=pod())),
        plan_run(seen(claimed(), pod=pod())),
        plan_run(seen(claimed(), pod=pod(ever_started=True))),
        plan_run(seen(claimed(STARTED), pod=pod(ever_started=True))),
        plan_run(seen(ended("Succeeded", truth="True"), pod=pod(ever_started=True))),
        plan_run(seen(ended("Succeeded", truth="True"), now=at(7200))),
    ]
    assert [plan.events for plan in plans] == [()] * len(plans)


def test_a_refusal_is_told_by_its_own_reason():
    plan = plan_run(seen(run(), resolution=Refusal(Reason.INVALID_INPUT, "name: gone")))
    assert told(plan) == [("InvalidInput", "name: gone", True)]
    (event,) = plan.events
    assert (event.kind, event.namespace, event.name) == ("PipelineRun", "team", "run")


def test_an_end_of_the_gateway_is_told_for_some_minutes():
    failed = ended("UserError", "ValueError: no", error="ValueError: no")
    for now in (at(0), at(300)):
        assert told(plan_run(seen(failed, now=now))) == [("UserError", "ValueError: no", True)]
    assert plan_run(seen(failed, now=at(301))).events == ()


def test_an_end_of_the_controller_is_told():
    gone = pod(
        ever_started=True, gone=True, noticed=at(-20), terminated=Terminated(137, "OOMKilled")
    )
    ((reason, note, warning),) = told(plan_run(seen(claimed(STARTED), pod=gone)))
    assert (reason, warning) == ("OutOfMemory", True)
    assert "more memory" in note


@pytest.mark.parametrize("reason", REASONS[ConditionType.SUCCEEDED])
def test_an_end_is_told_by_its_reason_unless_all_went_well(reason):
    truth = "True" if reason == Reason.SUCCEEDED else "False"
    plan = plan_run(seen(ended(reason, "Its own words.", truth)))
    if truth == "True":
        assert plan.events == ()
    else:
        assert told(plan) == [(reason, "Its own words.", reason != Reason.CANCELED)]


@pytest.mark.parametrize("kind", [Model, Pipeline, PipelineRuntime])
@pytest.mark.parametrize("reason", REASONS[ConditionType.READY])
def test_whatever_keeps_an_object_from_being_ready_is_told(kind, reason):
    spec = {
        Model: {"endpoint": {"url": "https://models.example"}},
        Pipeline: {"source": {"inline": "x = 1"}},
        PipelineRuntime: {"image": "example.test/runtime:1"},
    }[kind]
    truth = "True" if reason == Reason.READY else "False"
    conditions = [condition("Ready", truth, reason, "Its own words.")]
    body = {"metadata": {"name": "one", "uid": "u"}, "spec": spec}
    made = kind.model_validate({**body, "status": {"conditions": conditions}})
    events = not_ready(made, made.status.conditions)
    wanted = [] if truth == "True" else [(kind.kind_name, reason, "Its own words.")]
    assert [(each.kind, each.reason, each.note) for each in events] == wanted


@pytest.mark.parametrize("where", ["before a pod", "in its pod"])
def test_a_cancel_is_normal(where):
    if where == "before a pod":
        plan = plan_run(seen(run(cancel=True)))
    else:
        plan = plan_run(seen(ended("Canceled", "The run was cancelled.")))
    assert told(plan) == [("Canceled", "The run was cancelled.", False)]


def test_who_waits_for_a_place_is_told_of_after_a_minute():
    full = target(waits="No place.")
    first = plan_run(seen(run(), resolution=full))
    assert first.events == ()
    (write,) = [each for each in first.actions if isinstance(each, WriteRunStatus)]
    waiting = run({"conditions": [each.body() for each in write.status.conditions]})
    assert plan_run(seen(waiting, resolution=full, now=at(59))).events == ()
    assert told(plan_run(seen(waiting, resolution=full, now=at(60)))) == [
        ("Queued", "No place.", False)
    ]


def test_an_image_that_cant_be_pulled():
    stuck = pod(waiting=("ErrImagePull", "not found"))
    ((reason, note, warning),) = told(plan_run(seen(claimed(), pod=stuck)))
    assert (reason, warning) == ("ImagePull", True)
    assert note.endswith("not found")


def test_a_pod_that_the_cluster_refuses():
    ((reason, note, _),) = told(
        plan_run(seen(run(), resolution=target(), pod_refused="exceeded quota"))
    )
    assert (reason, note) == ("PodRefused", "The cluster refuses the pod: exceeded quota")


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        (condition("Started", "False", "ClaimLost", "It has another run."), "It has another run."),
        (
            condition("Started", "False", "PodPending"),
            "Pod pod-1 could not start the run: no node.",
        ),
    ],
)
def test_a_lost_claim(lost, words):
    before = claimed(lost)
    gone = pod(gone=True, message="no node")
    other = pod(name="pod-2", uid="pod-uid-2")
    plan = plan_run(seen(before, resolution=target(), pod=gone, next_pod=other))
    assert told(plan) == [("ClaimLost", f"{words} Attempt 2 is in pod pod-2.", True)]


def test_each_attempt_is_an_occasion_of_its_own():
    stuck = pod(waiting=("ErrImagePull", "not found"))
    first = plan_run(seen(claimed(), pod=stuck)).events[0]
    second = run({**CLAIMED, "attempt": 2})
    assert plan_run(seen(second, pod=stuck)).events[0].occasion != first.occasion


def test_a_runtime_and_a_model_that_are_not_ready():
    plan = plan_runtime(runtime(image="example.test/runtime:latest"), at(0))
    ((reason, note, warning),) = told(plan)
    assert (reason, warning) == ("NotPinned", True)
    assert "digest" in note
    assert plan_runtime(runtime(), at(0)).events == ()
    body: dict[str, Any] = {
        "metadata": {"name": "writer", "namespace": "team", "uid": "u"},
        "spec": {"endpoint": {"url": "https://models.example"}},
        "status": {"conditions": [condition("Ready", "False", "Unreachable", "It is away.")]},
    }
    model = Model.model_validate(body)
    (event,) = not_ready(model, model.status.conditions)
    assert (event.kind, event.reason, event.note) == ("Model", "Unreachable", "It is away.")
    body["status"]["conditions"] = [condition("Ready", "True", "Ready")]
    good = Model.model_validate(body)
    assert not_ready(good, good.status.conditions) == ()
    assert not_ready(good, ()) == ()
