"""When a waiting pod that a run has claimed becomes the run's own."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from support.builders import NOW, at, claimed, condition, pod, run, seen, target

from mayfly.reconcile.actions import AdoptPod, DeletePod, Plan
from mayfly.reconcile.deadlines import start_due
from mayfly.reconcile.observed import ObservedPod
from mayfly.reconcile.run import ADOPT_AFTER, START_MARGIN, plan_run

DUE = NOW + ADOPT_AFTER
STARTED = condition("Started", "True", "Started")
ENDED = [condition("Finished", "True", "Finished"), condition("Succeeded", "True", "Succeeded")]


def warm(**parts: Any) -> ObservedPod:
    """The pod that the run has claimed, which waited for it since an hour before."""
    facts = {"phase": "Running", "ready": True, "ever_started": True, "started_at": at(-3600)}
    return pod(**{"waits": True, **facts, **parts})


def look(now: datetime, *conditions: dict[str, Any], **parts: Any) -> Plan:
    return plan_run(seen(claimed(*conditions), **{"pod": warm(), "now": now, **parts}))


def adopted(plan: Plan) -> list[str]:
    return [each.name for each in plan.actions if isinstance(each, AdoptPod)]


@pytest.mark.parametrize("conditions", [[], [STARTED]], ids=["not started", "started"])
def test_it_is_some_time_after_the_claim_and_a_look_is_due_then(conditions: list[Any]):
    for early in (NOW, DUE - timedelta(milliseconds=1)):
        plan = look(early, *conditions)
        assert (plan.actions, plan.wake) == ((), DUE)
    for due in (DUE, DUE + timedelta(hours=1)):
        assert adopted(look(due, STARTED)) == ["pod-1"]


def test_what_is_due_earlier_is_looked_at_earlier():
    soon = run({**claimed().status.body()}, startDeadline="1s")
    never_ran = warm(ever_started=False)
    plan = plan_run(seen(soon, pod=never_ran, now=NOW))
    assert plan.wake == start_due(soon, now=NOW) == at(1)
    # And what is due later is not forgotten once the pod is the run's.
    own = replace(warm(), waits=False)
    plan = look(DUE, pod=own)
    assert plan.wake == start_due(claimed(), now=NOW) + START_MARGIN
    assert adopted(plan) == []


def test_a_run_that_has_ended_never_adopts_its_pod():
    for now in (NOW, DUE, at(60)):
        plan = look(now, *ENDED)
        assert [type(each) for each in plan.actions] == [DeletePod]
        assert plan.wake != DUE


@pytest.mark.parametrize(
    "parts",
    [
        {"waits": False},
        {"phase": "Failed"},
        {"deleting": True},
    ],
)
def test_a_pod_that_is_the_runs_or_goes_is_not_adopted(parts: dict[str, Any]):
    plan = look(at(3), STARTED, pod=warm(**parts))
    assert adopted(plan) == []
    assert look(NOW, STARTED, pod=warm(**parts)).wake != DUE


def test_a_pod_that_has_another_run_is_not_adopted():
    lost = condition("Started", "False", "ClaimLost")
    assert adopted(look(DUE, lost, resolution=target(waits="No place."))) == []


@pytest.mark.parametrize("late", [0, 2, 600])
def test_the_pods_deadline_is_reckoned_from_the_claim_however_late_it_is_adopted(late: int):
    def deadline(seen_at: datetime, **parts: Any) -> int:
        [action] = look(seen_at, STARTED, pod=warm(**parts)).actions
        assert isinstance(action, AdoptPod)
        [found] = [each for each in action.patch if each["path"] == "/spec/activeDeadlineSeconds"]
        return int(found["value"])

    alone = deadline(DUE, started_at=NOW)
    assert deadline(DUE + timedelta(seconds=late)) == alone + 3600
    # A later pod of a run that lost its first one has no less.
    assert deadline(at(60), started_at=at(30)) == alone
