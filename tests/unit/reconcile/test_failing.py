"""Objects at which Mayfly itself fails: what they say, and how a run ends."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError
from support.builders import NOW, claimed, condition, pod, run, seen

from mayfly.api.v1alpha1.conditions import ConditionType, find
from mayfly.reconcile.actions import DeletePod, Plan, WriteRunStatus
from mayfly.reconcile.failing import (
    END_SECONDS,
    END_TRIES,
    TELL_TRIES,
    Trouble,
    bare_run,
    not_ready,
    one_line,
    plan_failing,
)

STARTED = condition("Started", "True", "Started")


def trouble(tries: int = END_TRIES, seconds: float = END_SECONDS, *, passes: bool = False):
    return Trouble("controller", tries, seconds, KeyError("a"), passes=passes)


def status(plan: Plan):
    (write,) = [each for each in plan.actions if isinstance(each, WriteRunStatus)]
    return write.status


def test_the_first_errors_are_not_told():
    assert not plan_failing(seen(run()), trouble(TELL_TRIES - 1, 0)).actions


@pytest.mark.parametrize(
    ("the_run", "kind", "truth"),
    [(run(), "Started", "False"), (claimed(STARTED), "Succeeded", "Unknown")],
)
def test_a_run_says_what_failed_and_where_to_look(the_run, kind, truth):
    told = status(plan_failing(seen(the_run), trouble(TELL_TRIES, 0)))
    said = find(told.conditions, ConditionType(kind))
    assert (said.status, said.reason) == (truth, "InternalError")
    assert "KeyError: 'a'" in said.message
    assert "The log of mayfly-controller" in said.message
    assert not told.ended
    again = the_run.model_copy(update={"status": told})
    assert not plan_failing(seen(again), trouble(TELL_TRIES + 1, 1)).actions


@pytest.mark.parametrize(("tries", "seconds"), [(END_TRIES - 1, 3600), (1000, END_SECONDS - 1)])
def test_an_end_takes_both_tries_and_time(tries: int, seconds: float):
    assert not status(plan_failing(seen(run()), trouble(tries, seconds))).ended


def test_what_may_pass_by_itself_never_ends_a_run():
    assert not status(plan_failing(seen(run()), trouble(1000, 1e6, passes=True))).ended


def test_the_end_comes_first_and_frees_the_pod():
    plan = plan_failing(seen(claimed(), strays=(pod(),)), trouble())
    assert [type(each) for each in plan.actions] == [WriteRunStatus, DeletePod]
    ended = status(plan)
    assert ended.phase == "Failed"
    assert find(ended.conditions, ConditionType.SUCCEEDED).reason == "InternalError"
    assert "KeyError" in ended.error
    over = claimed().model_copy(update={"status": ended})
    assert [
        type(each) for each in plan_failing(seen(over, strays=(pod(),)), trouble()).actions
    ] == [DeletePod]


def test_a_main_that_runs_goes_on_until_it_ends_or_is_cancelled():
    running = pod(phase="Running", ever_started=True)
    assert not status(plan_failing(seen(claimed(STARTED), strays=(running,)), trouble())).ended
    canceled = plan_failing(seen(claimed(STARTED, cancel=True), strays=(running,)), trouble())
    assert status(canceled).phase == "Canceled"
    gone = pod(phase="Running", ever_started=True, gone=True)
    assert status(plan_failing(seen(claimed(STARTED), strays=(gone,)), trouble())).ended


def test_a_run_is_read_for_its_end_whatever_its_author_wrote():
    body = claimed(timeout="1h").model_dump(by_alias=True, exclude_none=True)
    body["spec"] |= {"timeout": "10000h", "cancel": True}
    body["status"]["depth"] = -1
    found = bare_run(body)
    assert found.spec.cancel
    assert found.status.pod_uid == "pod-uid-1"
    assert find(found.status.conditions, ConditionType.STARTED)


def test_another_kind_is_not_ready_in_words_and_keeps_its_other_conditions():
    body = {
        "metadata": {"generation": 2},
        "status": {
            "conditions": [condition("Other", "True", "Odd"), condition("Ready", "True", "Ready")]
        },
    }
    told = not_ready(body, trouble(), NOW)
    assert [each["type"] for each in told["conditions"]] == ["Other", "Ready"]
    assert told["conditions"][1]["reason"] == "InternalError"
    assert not_ready({**body, "status": told}, trouble(END_TRIES + 1), NOW) is None


class Strict(BaseModel):
    number: int


def test_an_error_is_one_short_line_that_can_be_shown():
    assert one_line(KeyError("x\x1b[0m")) == r"KeyError: 'x\x1b[0m'"
    assert one_line(ValueError("\nfirst\x07\nsecond")) == r"ValueError: first\x07"
    assert len(one_line(ValueError("x" * 10_000))) < 400
    assert one_line(RuntimeError()) == "RuntimeError"
    with pytest.raises(ValidationError) as caught:
        Strict.model_validate({"number": "a secret"})
    assert "number: Input should be a valid integer" in one_line(caught.value)
    assert "secret" not in one_line(caught.value)
