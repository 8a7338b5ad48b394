"""What goes into a run's status."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mayfly.api.v1alpha1 import Reason
from mayfly.api.v1alpha1.summary import summarised
from mayfly.gateway.cache.runs import Seen
from mayfly.gateway.runs import status
from mayfly.metering.ending import Ending, Outcome
from mayfly.reconcile.observed import Refusal

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
BILL = status.Bill(Decimal("0.10"), "USD", "log", "https://gateway/v1/predictions/x")
GOOD = Ending(
    Outcome.SUCCEEDED,
    "Succeeded",
    output='{"a": null}',
    started_at=NOW,
    completed_at=NOW + timedelta(seconds=1),
    active_ms=1000,
)


def seen(**fields: Any) -> Seen:
    return Seen(
        {
            "apiVersion": "mayfly.dev/v1alpha1",
            "kind": "PipelineRun",
            "metadata": {
                "name": "run",
                "namespace": "team",
                "resourceVersion": "7",
                "generation": 3,
                "uid": "c6e2bd2e-4a7e-4f3c-8a6c-0d4b9f8f4f11",
            },
            "spec": {"pipelineRef": {"name": "answer"}},
            "status": {"podUID": "pod", "attempt": 1, "unknown": {"kept": None}, **fields},
        }
    )


def by_type(body: dict) -> dict[str, dict]:
    return {each["type"]: each for each in body["conditions"]}


def test_an_end_is_whole() -> None:
    body = status.ended(seen(), GOOD, BILL, NOW)
    assert body["output"] == {"a": None}
    assert body["unknown"] == {"kept": None}
    assert body["usage"]["totalCost"] == "0.1"
    assert body["usage"]["final"] is True
    assert (body["recorded"], body["finished"], body["phase"]) == (True, True, "Succeeded")
    assert body["startedAt"] == "2026-01-01T12:00:00.000000Z"
    assert "error" not in body
    assert by_type(body)["Finished"]["status"] == "True"
    assert by_type(body)["Finished"]["observedGeneration"] == 3


def test_a_cancelled_end_accepts_the_cancel() -> None:
    ending = replace(GOOD, outcome=Outcome.CANCELED, reason="Canceled", output=None)
    body = status.ended(seen(), ending, BILL, NOW)
    assert by_type(body)["CancelAccepted"]["status"] == "True"
    assert body["phase"] == "Canceled"
    assert "output" not in body
    assert "outputURL" not in body


def test_a_patch_names_what_changed_and_nothing_when_nothing_did() -> None:
    body = status.started(seen(), NOW, NOW)
    patch = status.patch(seen(), body)
    assert patch is not None
    assert patch["metadata"] == {"resourceVersion": "7"}
    assert patch["status"].keys() == {
        *("conditions", "phase", "pipeline", "reason", "startedAt"),
    }
    assert status.patch(seen(**body), body) is None


def test_an_end_reads_back() -> None:
    body = status.ended(seen(), GOOD, BILL, NOW)
    told = status.ending_of(seen(**body))
    assert told == replace(GOOD, output='{"a":null}')
    assert seen(**body).run.status.ended
    assert not seen().run.status.ended


@pytest.mark.parametrize(
    ("output", "copied"),
    [
        ("null", True),
        ('"x"', True),
        ("1e400", False),
        ("[NaN]", False),
        ("-Infinity", False),
        ("[" * 100_000, False),
        ('"' + "x" * 16_382 + '"', True),
        ('"' + "x" * 16_383 + '"', False),
        ('"' + "ä" * 8_192 + '"', False),
    ],
)
def test_what_the_object_copies(output: str, copied: bool) -> None:
    assert status.copy_of(output)[0] is copied


@settings(deadline=None)
@given(st.text(max_size=3000), st.text(max_size=3000), st.integers(1, 6))
def test_a_status_fits(log: str, text: str, times: int) -> None:
    bill = replace(BILL, logs_tail=log * times)
    failed = replace(
        GOOD,
        outcome=Outcome.FAILED,
        reason="UserError",
        error=text * times,
        output=json.dumps(text * times),
    )
    body = status.ended(seen(), failed, bill, NOW)
    assert status.wire_size(body) <= status.STATUS_BYTES
    assert len(body.get("logsTail", "").encode()) <= 4096
    assert len(body["error"].encode()) <= 4096


def test_the_log_gives_way_before_the_output() -> None:
    bill = replace(BILL, logs_tail="\x01" * 4096)
    body = status.ended(seen(), replace(GOOD, output=json.dumps("<" * 4000)), bill, NOW)
    assert "output" in body
    assert len(body["logsTail"]) < 4096
    assert status.wire_size(body) <= status.STATUS_BYTES


@pytest.mark.parametrize(
    ("log", "told"),
    [
        ("", None),
        ("a\nb", "a\nb"),
        ("x" * 4096, "x" * 4096),
        ("x" * 4096 + "\n12345", "12345"),
        ("ä" * 2050, None),
        ("first\n" + "y" * 200 + "\n" + "z" * 4000, "z" * 4000),
    ],
)
def test_a_log_that_is_cut_says_so_and_begins_a_line(log: str, told: str | None) -> None:
    body = status.ended(seen(), GOOD, replace(BILL, logs_tail=log), NOW)
    words = "[this is the end of the log; all of it: https://gateway/v1/predictions/x/logs]\n"
    if len(log.encode()) <= 4096:
        assert body.get("logsTail") == told
        return
    assert body["logsTail"].startswith(words)
    assert log.endswith(body["logsTail"].removeprefix(words))
    assert told is None or body["logsTail"].removeprefix(words) == told
    assert len(body["logsTail"].encode()) <= 4096


@pytest.mark.parametrize(
    ("output", "copied"),
    [('"x"', True), ("null", True), ('"' + "x" * 16_383 + '"', False), ("1e400", False)],
)
def test_an_output_that_is_left_out_is_told_and_has_its_url(output: str, copied: bool) -> None:
    body = status.ended(seen(), replace(GOOD, output=output), BILL, NOW)
    assert body["outputURL"] == "https://gateway/v1/predictions/x/output"
    assert ("output" in body) is copied
    assert body.get("outputTruncated") is (None if copied else True)


def test_an_output_that_goes_to_make_room_or_that_kubernetes_refuses_is_told_too() -> None:
    odd = {"unknown": "<" * 5000}
    body = status.ended(seen(**odd), replace(GOOD, output=json.dumps("<" * 2000)), BILL, NOW)
    assert "output" not in body
    assert body["outputTruncated"] is True
    whole = status.ended(seen(), GOOD, BILL, NOW)
    assert "outputTruncated" not in whole
    assert status.bare(whole)["outputTruncated"] is True
    assert "logsTail" not in status.bare(whole)


@pytest.mark.parametrize(
    ("conditions", "phase", "reason"),
    [
        ([("Started", "False", "Queued")], "Queued", "Queued"),
        ([("Started", "False", "PodRefused")], "Queued", "PodRefused"),
        ([("Started", "False", "PodPending"), ("Succeeded", "Unknown", "Running")], None, None),
    ],
)
def test_phase_and_reason_of_unfinished_runs(conditions, phase, reason) -> None:
    given = [
        {"type": kind, "status": truth, "reason": why, "lastTransitionTime": "2026-01-01T00:00:00Z"}
        for kind, truth, why in conditions
    ]
    raw = seen(conditions=given, podUID=None if phase else "pod")
    told = summarised(raw.run, raw.run.status)
    assert (told.phase, told.reason) == (phase or "Starting", reason or "PodPending")
    assert status.started(raw, NOW, NOW)["reason"] == "Started"


@pytest.mark.parametrize(
    ("spec", "pipeline"),
    [
        ({"pipelineRef": {"name": "answer", "namespace": "other"}}, "answer"),
        ({"pipelineSpec": {"source": {"inline": "x"}}}, "(inline)"),
        ({}, "known"),  # what a run is told by that can't be read
    ],
)
def test_a_status_names_the_pipeline_whoever_writes_it_first(spec, pipeline) -> None:
    given = {**seen(podUID=None, pipeline="known" if pipeline == "known" else None).raw}
    raw = Seen({**given, "spec": spec})
    no = Refusal(Reason.BUDGET_EXCEEDED, "no")
    for written in (status.refused(raw, no, None, NOW), status.started(raw, NOW, NOW)):
        assert written["pipeline"] == pipeline
    assert status.ended(raw, GOOD, BILL, NOW)["pipeline"] == pipeline


def test_phase_and_reason_of_ended_runs() -> None:
    refused = status.refused(seen(podUID=None), Refusal(Reason.INVALID_INPUT, "no"), None, NOW)
    assert (refused["phase"], refused["reason"]) == ("Failed", "InvalidInput")
    assert by_type(refused)["Succeeded"]["reason"] == "Refused"
    good = status.ended(seen(), GOOD, BILL, NOW)
    assert (good["phase"], good["reason"]) == ("Succeeded", "Succeeded")
    late = replace(GOOD, outcome=Outcome.FAILED, reason="TimedOut", error="late", output=None)
    failed = status.ended(seen(), late, BILL, NOW)
    assert (failed["phase"], failed["reason"]) == ("Failed", "TimedOut")
