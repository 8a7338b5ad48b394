"""The gateway is away for a while: what ends meanwhile is told later and billed once. When it is
back, it removes what was to be gone by then."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import httpx
import pytest
from support.cluster.installation import (
    SYSTEM,
    Json,
    Kubectl,
    Namespace,
    make_namespace,
    reason,
)
from support.cluster.machine import no_gateway
from support.cluster.programs import LONG, SLOW, came_through
from support.lengths import length
from support.waiting import eventually

AWAY_SECONDS = length(35, 120)
"""Longer than the run works, a lease holds, and the controller waits for the gateway's word."""
RUNS_SECONDS = 12
SWEPT_SECONDS = 150
"""A gateway sweeps a minute after its start."""

SECRETIVE = "a word of the user's"
WRITES_A_FILE = """
from cog import Path
def main(word: str) -> Path:
    print(word)
    Path("said.txt").write_text(word)
    return Path("said.txt")
"""


@dataclass(frozen=True)
class Archived:
    """A run whose object has been deleted, of a namespace that keeps data for a minute.

    Attributes:
        body: the object as it was.
        before: the prediction while there was the object.
        after: the prediction after it.
        output: the content of its output file, after it.
        source: its source, after it.
    """

    body: Json
    before: Json
    after: Json
    output: str
    source: Json


@pytest.fixture(scope="module")
def archived(kubectl: Kubectl, api: httpx.Client, leaving: None) -> Iterator[Archived]:
    name = f"e2e-{os.getpid()}-minute"
    make_namespace(kubectl, name, "a run whose data are kept for a minute")
    kubectl("annotate", "namespace", name, "mayfly.dev/retention=1m")
    namespace = Namespace(kubectl, name, api)
    run = namespace.run(WRITES_A_FILE, input={"word": SECRETIVE})
    body = namespace.finished(run)
    before = namespace.prediction(run)
    kubectl("delete", "prun", run, "-n", name)
    one = f"/v1/predictions/{before['id']}"
    after = api.get(one).json()
    yield Archived(
        body, before, after, api.get(after["output"]).text, api.get(f"{one}/source").json()
    )
    kubectl.api.delete("namespace", name=name)


@pytest.mark.usefixtures("archived")  # its minute passes meanwhile
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


def test_a_run_is_readable_after_its_object_and_until_its_retention_is_over(
    archived, kubectl, api, books
):
    before, after = archived.before, archived.after
    for name in ("status", "input", "logs", "cost", "metrics"):
        assert after[name] == before[name], name
    assert archived.output == SECRETIVE
    assert "def main" in archived.source["files"]["main.py"]
    record = books.record(archived.body)

    if gateways_start(kubectl) < before["completed_at"]:  # no test before has restarted it
        with no_gateway(kubectl):
            pass
    one = f"/v1/predictions/{before['id']}"
    gone = eventually(
        lambda: api.get(one).json(), SWEPT_SECONDS, lambda told: told.get("data_removed")
    )
    assert (gone["input"], gone["output"], gone["logs"]) == ({}, None, None)
    for name in ("status", "cost", "metrics", "created_at", "completed_at"):
        assert gone[name] == before[name], name
    for lost in (after["output"], f"{one}/source", f"{one}/logs"):
        assert api.get(lost).status_code == 404
    assert books.record(archived.body) == record
    namespace = archived.body["metadata"]["namespace"]
    usage = api.get("/usage", params={"namespace": namespace}).json()
    (total,) = usage["totals"]
    assert total["cost"] == before["cost"]


def gateways_start(kubectl: Kubectl) -> str:
    """When the gateway's pod started (RFC 3339)."""
    label = "app.kubernetes.io/component=gateway"
    (pod,) = kubectl.json("get", "pods", "-n", SYSTEM, "-l", label)["items"]
    return str(pod["status"]["startTime"])
