"""The gateway is away for minutes: what ends meanwhile is told later, and billed once."""

from __future__ import annotations

import time
from decimal import Decimal

import httpx
import pytest
from support.cluster.installation import reason
from support.cluster.machine import no_gateway
from support.cluster.programs import LONG, SLOW, came_through
from support.lengths import length
from support.waiting import eventually

AWAY_SECONDS = length(35, 120)
"""Longer than the run works, a lease holds, and the controller waits for the gateway's word."""
RUNS_SECONDS = 12


def test_what_ends_while_the_gateway_is_away_is_delivered_and_billed_once(
    namespace, kubectl, books, restarts
):
    run = namespace.run(LONG, input={"seconds": RUNS_SECONDS})
    namespace.started(run)
    with no_gateway(kubectl):
        began = time.monotonic()
        # Created while nobody can tell its pod what to do: it waits.
        later = namespace.run(SLOW, input={"seconds": 0})
        # Refused, or unanswered while the node still routes to the address that has gone.
        with pytest.raises((httpx.ConnectError, httpx.ConnectTimeout)):
            httpx.get(str(namespace.api.base_url), timeout=5)
        waiting = eventually(
            lambda: body if "podUID" in (body := namespace.get(later)).get("status", {}) else None
        )
        assert reason(waiting, "Started") == "PodPending"
        time.sleep(AWAY_SECONDS - (time.monotonic() - began))
        # main() has long returned; nobody has told the object, and its pod keeps the result.
        unaware = namespace.get(run)
        assert unaware["status"]["phase"] == "Processing"
        assert len(namespace.pods()) == 2
    for name, output in ((run, "long " * 2000), (later, "done")):
        came_through(namespace, name)
        assert namespace.prediction(name)["output"] == output
    active = namespace.get(run)["status"]["usage"]["activeMilliseconds"]
    assert RUNS_SECONDS * 1000 <= active < (RUNS_SECONDS + 20) * 1000
    record = books.record(namespace.get(run))
    assert record["active_ms"] == active
    assert record["outcome"] == "succeeded"
    assert Decimal(record["cost"]) == Decimal(namespace.get(run)["status"]["usage"]["cost"])
    assert len(books.records(namespace.name, 2)) == 2
    assert books.open_rows(namespace.name) == []
    assert restarts.since()["controller"] == 0
    namespace.no_pods()
