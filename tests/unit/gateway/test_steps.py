"""The table of what is done next about a run."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import NOW, ledger_row

from mayfly.api.v1alpha1 import PipelineRun, Reason
from mayfly.gateway.access.authentication import Pod
from mayfly.gateway.runs.sessions import Session
from mayfly.gateway.runs.status import STORAGE_FULL
from mayfly.gateway.runs.steps import (
    Facts,
    Link,
    Step,
    decide,
    link_of,
    look_again_at,
    may_send,
)
from mayfly.metering.ledger import RunRow
from mayfly.reconcile.observed import Refusal

CLAIMED = {"podUID": "pod", "attempt": 1, "id": "0" * 26}
ROW = ledger_row(pod_uid="pod", attempt=1)
SENT = replace(ROW, sent_at=NOW)
ENDED = replace(SENT, outcome="succeeded", reason="Succeeded")
CLOSED = replace(ENDED, closed_at=NOW)
NO_SECRET = Refusal(Reason.SECRET_UNAVAILABLE, "no")
NO_MONEY = Refusal(Reason.BUDGET_EXCEEDED, "no")
STARTED = replace(SENT, started_at=NOW - timedelta(seconds=2))


def condition(kind: str, status: str, reason: str) -> dict:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "lastTransitionTime": "2026-01-01T11:59:00Z",
    }


FINISHED = condition("Finished", "True", "Finished")
STOPPED = condition("CancelAccepted", "False", "ClaimsStopped")
ACCEPTED_CANCEL = condition("CancelAccepted", "True", "CancelAccepted")
ACCEPTED = condition("Accepted", "True", "Accepted")
LOST = condition("Started", "False", "ClaimLost")
RUNS = condition("Started", "True", "Started")
FULL = {**RUNS, "message": f"main() was called. {STORAGE_FULL}"}


def run(*conditions: dict, spec: dict | None = None, **status: Any) -> PipelineRun:
    return PipelineRun.model_validate(
        {
            "metadata": {"name": "run", "namespace": "team", "uid": "uid"},
            "spec": {"pipelineRef": {"name": "answer"}, **(spec or {})},
            "status": {**status, "conditions": list(conditions)},
        }
    )


def facts(
    the_run: PipelineRun, row: RunRow | None = SENT, link: Link = Link.OURS, **changes: Any
) -> Facts:
    base = Facts(
        run=the_run,
        row=row,
        link=link,
        pod_seen=True,
        cancel_sent=False,
        sent=NOW if link is Link.OURS else None,
        now=NOW,
        started_write=timedelta(seconds=1),
    )
    return replace(base, **changes)


claimed = run(ACCEPTED, **CLAIMED)
stopped = run(ACCEPTED, STOPPED, **CLAIMED)

TABLE = [
    ("not claimed", facts(run(), None, Link.NONE), Step.WAIT),
    ("claimed, no row", facts(claimed, None, Link.NONE), Step.OPEN),
    ("ended without a pod, no row", facts(run(FINISHED), None, Link.NONE), Step.RECORD),
    ("sent, not noted", facts(claimed, ROW), Step.OPEN),
    ("claimed again", facts(run(**{**CLAIMED, "attempt": 2}), SENT, Link.NONE), Step.OPEN),
    ("closed", facts(run(FINISHED, **CLAIMED), CLOSED), Step.DONE),
    ("ended by the controller", facts(run(FINISHED, **CLAIMED)), Step.RECORD),
    ("ended by both", facts(run(FINISHED, **CLAIMED), ENDED), Step.RECORD),
    ("journalled", facts(claimed, ENDED), Step.END),
    ("journalled, and cancelled", facts(stopped, ENDED), Step.END),
    ("the pod has another run", facts(claimed, ROW, Link.TAKEN), Step.LOSE_CLAIM),
    ("that was told", facts(run(LOST, **CLAIMED), ROW, Link.TAKEN), Step.WAIT),
    ("the pod's agent has left", facts(claimed, ROW, Link.RETIRED), Step.LOSE_CLAIM),
    ("that was told, too", facts(run(LOST, **CLAIMED), ROW, Link.RETIRED), Step.WAIT),
    ("its agent has left, cancelled", facts(stopped, ROW, Link.RETIRED), Step.BLOCK_POD),
    (
        "its agent has left, cancelled above",
        facts(claimed, ROW, Link.RETIRED, canceled_above="no"),
        Step.BLOCK_POD,
    ),
    (
        "its agent has left, no money",
        facts(claimed, ROW, Link.RETIRED, refusal=NO_MONEY),
        Step.FAIL_UNSTARTED,
    ),
    ("the pod may have another run", facts(claimed, ROW, Link.OTHER), Step.WAIT),
    ("idle", facts(claimed, ROW, Link.IDLE), Step.SEND),
    (
        "idle, a secret is missing",
        facts(claimed, ROW, Link.IDLE, refusal=NO_SECRET),
        Step.FAIL_UNSTARTED,
    ),
    ("the same, no row yet", facts(claimed, None, Link.IDLE, refusal=NO_SECRET), Step.OPEN),
    ("the same, cancelled", facts(stopped, ROW, Link.IDLE, refusal=NO_SECRET), Step.RETIRE),
    ("a secret is missing, sent by then", facts(claimed, refusal=NO_SECRET), Step.WAIT),
    ("no money, not claimed", facts(run(), None, Link.NONE, refusal=NO_MONEY), Step.REFUSE),
    (
        "no money, not claimed, cancelled",
        facts(run(spec={"cancel": True}), None, Link.NONE, refusal=NO_MONEY),
        Step.WAIT,
    ),
    (
        "no money, not claimed, cancelled above",
        facts(run(), None, Link.NONE, refusal=NO_MONEY, canceled_above="no"),
        Step.WAIT,
    ),
    (
        "no money, never connected",
        facts(claimed, ROW, Link.NONE, refusal=NO_MONEY, pod_seen=False),
        Step.FAIL_UNSTARTED,
    ),
    ("no money, away", facts(claimed, ROW, Link.NONE, refusal=NO_MONEY), Step.WAIT),
    ("no money, idle", facts(claimed, ROW, Link.IDLE, refusal=NO_MONEY), Step.FAIL_UNSTARTED),
    (
        "no money, never connected, cancelled",
        facts(stopped, ROW, Link.NONE, refusal=NO_MONEY, pod_seen=False),
        Step.BLOCK_POD,
    ),
    (
        "money to be looked at",
        facts(run(), None, Link.NONE, needs_budget_check=True),
        Step.CONFIRM_BUDGET,
    ),
    (
        "money looked at, none left",
        facts(run(), None, Link.NONE, needs_budget_check=True, refusal=NO_MONEY),
        Step.REFUSE,
    ),
    ("idle, cancelled", facts(stopped, ROW, Link.IDLE), Step.RETIRE),
    (
        "idle, a cancel that the controller has not seen",
        facts(run(ACCEPTED, spec={"cancel": True}, **CLAIMED), ROW, Link.IDLE),
        Step.WAIT,
    ),
    (
        "idle, too late",
        facts(claimed, ROW, Link.IDLE, now=NOW + timedelta(minutes=5)),
        Step.WAIT,
    ),
    ("never connected", facts(claimed, ROW, Link.NONE, pod_seen=False), Step.WAIT),
    ("never connected, cancelled", facts(stopped, ROW, Link.NONE, pod_seen=False), Step.BLOCK_POD),
    ("away, cancelled", facts(stopped, SENT, Link.NONE), Step.ACCEPT_CANCEL),
    (
        "away, cancel accepted",
        facts(run(ACCEPTED_CANCEL, **CLAIMED), SENT, Link.NONE),
        Step.WAIT,
    ),
    (
        "back idle, cancel accepted",
        facts(run(ACCEPTED_CANCEL, **CLAIMED), SENT, Link.IDLE),
        Step.RETIRE,
    ),
    ("running, cancelled", facts(stopped, STARTED), Step.CANCEL),
    ("running, told", facts(stopped, STARTED, cancel_sent=True), Step.ACCEPT_CANCEL),
    (
        "running, cancelled, its calls wait: it hears of it before they end",
        facts(stopped, STARTED, queue_open=True),
        Step.CANCEL,
    ),
    (
        "running, told, its calls wait",
        facts(stopped, STARTED, cancel_sent=True, queue_open=True),
        Step.CLOSE_QUEUES,
    ),
    (
        "its agent is away, cancelled, its calls wait",
        facts(stopped, STARTED, Link.NONE, queue_open=True),
        Step.CLOSE_QUEUES,
    ),
    ("queued, its time is over", facts(run(), None, Link.NONE, cancel_at=NOW), Step.ASK_CANCEL),
    (
        "running, its time is over",
        facts(run(RUNS, **CLAIMED), STARTED, cancel_at=NOW),
        Step.ASK_CANCEL,
    ),
    (
        "its time is not over",
        facts(run(RUNS, **CLAIMED), STARTED, cancel_at=NOW + timedelta(seconds=1)),
        Step.WAIT,
    ),
    (
        "its time is over, and it was cancelled",
        facts(run(RUNS, spec={"cancel": True}, **CLAIMED), STARTED, cancel_at=NOW),
        Step.WAIT,
    ),
    ("its time is over, and it has ended", facts(claimed, ENDED, cancel_at=NOW), Step.END),
    (
        "loading, its parent cancelled",
        facts(claimed, canceled_above="why"),
        Step.CANCEL_UNLESS_STARTED,
    ),
    (
        "that was told",
        facts(claimed, canceled_above="why", cancel_unless_started_sent=True),
        Step.WAIT,
    ),
    (
        "started, its parent cancelled",
        facts(run(RUNS, **CLAIMED), STARTED, canceled_above="why"),
        Step.WAIT,
    ),
    (
        "idle, its parent cancelled",
        facts(claimed, ROW, Link.IDLE, canceled_above="why"),
        Step.RETIRE,
    ),
    (
        "never connected, its parent cancelled",
        facts(claimed, ROW, Link.NONE, pod_seen=False, canceled_above="why"),
        Step.BLOCK_POD,
    ),
    (
        "away, its parent cancelled",
        facts(claimed, SENT, Link.NONE, canceled_above="why"),
        Step.WAIT,
    ),
    ("both cancelled", facts(stopped, canceled_above="why"), Step.CANCEL),
    (
        "cancelled, its children have not answered",
        facts(run(ACCEPTED, STOPPED, RUNS, **CLAIMED), STARTED, cancel_sent=True, open_below=True),
        Step.WAIT,
    ),
    (
        "ended, its children have not answered",
        facts(run(FINISHED, STOPPED, recorded=True, **CLAIMED), CLOSED, open_below=True),
        Step.WAIT,
    ),
    (
        "ended, now they have",
        facts(run(FINISHED, STOPPED, recorded=True, **CLAIMED), CLOSED),
        Step.FINISH,
    ),
    (
        "finished",
        facts(run(FINISHED, STOPPED, recorded=True, finished=True, **CLAIMED), CLOSED),
        Step.DONE,
    ),
    ("just started", facts(claimed, replace(STARTED, started_at=NOW)), Step.WAIT),
    ("runs for a second", facts(claimed, STARTED), Step.MARK_STARTED),
    ("that was written", facts(run(RUNS, **CLAIMED), STARTED), Step.WAIT),
    ("told of a full disk", facts(run(FULL, **CLAIMED), STARTED), Step.WAIT),
    ("connected, told of it", facts(run(FULL, **CLAIMED), STARTED, connected_at=NOW), Step.WAIT),
    (
        "connected for long, told of it",
        facts(run(FULL, **CLAIMED), STARTED, connected_at=NOW - timedelta(seconds=10)),
        Step.MARK_STARTED,
    ),
    ("loading", facts(claimed), Step.WAIT),
]


@pytest.mark.parametrize(("known", "step"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE])
def test_the_next_step(known: Facts, step: Step) -> None:
    assert decide(known) is step


@given(
    st.sampled_from([None, ROW, SENT, STARTED, ENDED, CLOSED]),
    st.sampled_from(list(Link)),
    st.lists(st.sampled_from([FINISHED, STOPPED, ACCEPTED, LOST]), unique_by=lambda c: c["type"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_work_goes_only_to_an_idle_pod_of_a_run_that_may_start(
    row: RunRow | None,
    link: Link,
    conditions: list[dict],
    is_claimed: bool,
    cancel: bool,
    above: bool,
) -> None:
    the_run = run(*conditions, spec={"cancel": cancel}, **(CLAIMED if is_claimed else {}))
    step = decide(facts(the_run, row, link, canceled_above="why" if above else ""))
    if row is not None and row.started_at is not None:
        assert (
            step not in {Step.CANCEL_UNLESS_STARTED, Step.BLOCK_POD}
            or not above
            or "CancelAccepted" in {c["type"] for c in conditions}
        )
    if step is Step.SEND:
        assert link is Link.IDLE
        assert not above
        assert is_claimed
        assert not cancel
        assert {c["type"] for c in conditions}.isdisjoint({"Finished", "CancelAccepted"})
        assert row is not None
        assert not row.journalled
        assert may_send(the_run, link, NOW, canceled_above=False)


def test_links() -> None:
    pod = Pod("pod", "name", "team")

    def session(**fields: Any) -> Session:
        return Session(pod, wire=None, connected_at=NOW, **fields)  # type: ignore[arg-type]

    assert link_of("uid", None) is Link.NONE
    assert link_of("uid", session()) is Link.IDLE
    assert link_of("uid", session(retired=True)) is Link.RETIRED
    assert link_of("uid", session(run="uid")) is Link.OURS
    assert link_of("uid", session(run="other")) is Link.OTHER
    assert link_of("uid", session(run="other", accepted=True)) is Link.TAKEN


def test_a_run_that_just_started_is_looked_at_again() -> None:
    assert look_again_at(facts(claimed, replace(STARTED, started_at=NOW))) == NOW + timedelta(
        seconds=1
    )
    assert look_again_at(facts(claimed, SENT)) is None
    later = NOW + timedelta(days=1)
    assert look_again_at(facts(run(), None, Link.NONE, cancel_at=later)) == later
    assert look_again_at(facts(run(RUNS, **CLAIMED), STARTED)) is None
