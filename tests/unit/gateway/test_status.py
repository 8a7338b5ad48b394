"""What goes into a run's status."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mayfly.gateway.cache.runs import Seen
from mayfly.gateway.runs import status
from mayfly.metering.ending import Ending, Outcome

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
BILL = status.Bill(Decimal("0.10"), "USD", "log", "https://gateway/output")
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
    assert patch["status"].keys() == {"conditions", "phase", "startedAt"}
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
