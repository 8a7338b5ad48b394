"""What is taken from under a run: its pod, its disk, its pipeline, its namespace."""

from __future__ import annotations

import json

import pytest
from support.cluster.books import Books
from support.cluster.installation import message, reason, runtime
from support.cluster.programs import SLOW
from support.waiting import eventually

FILLS = """
import time
def main(megabytes: int) -> int:
    print("before", flush=True)
    with open("filler", "wb") as file:
        for _ in range(megabytes):
            file.write(bytes(1024 * 1024))
    time.sleep(600)
    return megabytes
"""


@pytest.fixture
def books(kubectl) -> Books:
    return Books(kubectl)


@pytest.fixture
def small_disk(kubectl, namespace):
    """A runtime whose pods may write 16 MiB."""
    spec = kubectl.json("get", "mprt", "default")["spec"]
    for part in spec["resources"].values():
        part["ephemeral-storage"] = "16Mi"
    with runtime(kubectl, f"small-disk-{namespace.name}", spec) as name:
        yield name


def test_a_run_that_fills_its_disk_is_evicted_and_told_which_limit(namespace, books, small_disk):
    run = namespace.create(
        {
            "pipelineSpec": {"source": {"inline": FILLS}, "runtime": small_disk},
            "input": {"megabytes": 64},
        }
    )
    ended = namespace.finished(run, seconds=240)
    assert reason(ended) == "Evicted", ended["status"]
    assert "exceeds the" in message(ended)
    assert "16Mi" in message(ended)
    assert namespace.prediction(run)["error"] == message(ended)
    assert "before" in namespace.logs(run)
    assert ended["status"]["usage"]["activeMilliseconds"] > 0
    assert books.record(ended)["reason"] == "Evicted"
    namespace.no_pods()


def test_a_pod_evicted_through_the_api_ends_its_run_in_words(namespace, kubectl, books):
    run = namespace.run(SLOW, input={"seconds": 600})
    pod = namespace.started(run)["status"]["podName"]
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": namespace.name},
    }
    path = f"/api/v1/namespaces/{namespace.name}/pods/{pod}/eviction"
    kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    ended = namespace.finished(run)
    assert reason(ended) == "Evicted", ended["status"]
    assert message(ended) == (
        "The pod was evicted: it was evicted through the API, for example by `kubectl drain` "
        "(Eviction API: evicting)."
    )
    assert namespace.logs(run).split() == ["before"]
    assert ended["status"]["attempt"] == 1
    assert ended["status"]["usage"]["activeMilliseconds"] > 0
    assert books.record(ended)["reason"] == "Evicted"
    namespace.no_pods()


def test_runs_of_a_deleted_pipeline_come_to_their_end_and_its_versions_go(
    namespace, kubectl, books
):
    spec = {"source": {"inline": SLOW}}
    namespace.apply(
        {
            "apiVersion": "mayfly.dev/v1alpha1",
            "kind": "Pipeline",
            "metadata": {"name": "passing"},
            "spec": spec,
        }
    )
    reference = {"pipelineRef": {"name": "passing"}}
    run = namespace.create({**reference, "input": {"seconds": 12}})
    namespace.started(run)
    kubectl("delete", "mpl", "passing", "-n", namespace.name, "--timeout=60s")
    refused = namespace.finished(namespace.create({**reference, "input": {"seconds": 0}}))
    assert reason(refused, "Accepted") == "NotFound"
    assert "passing" in message(refused)
    ended = namespace.finished(run)
    assert reason(ended) == "Succeeded", message(ended)
    assert namespace.prediction(run)["output"] == "done"
    assert books.record(ended)["pipeline"] == "passing"
    eventually(lambda: kubectl.json("get", "mplv", "-n", namespace.name)["items"] == [], 60)
    namespace.no_pods()


def test_a_namespace_deleted_under_its_runs_goes_and_every_bill_is_closed(
    kubectl, api, books, namespace
):
    doomed = type(namespace)(kubectl, f"{namespace.name}-doomed", api)
    kubectl("create", "namespace", doomed.name)
    running = [doomed.run(SLOW, input={"seconds": 600}) for _ in range(2)]
    for run in running:
        doomed.started(run)
    waiting = doomed.run(SLOW, input={"seconds": 600})
    known = {run: doomed.get(run) for run in running}
    kubectl("delete", "namespace", doomed.name, "--timeout=120s")
    records = {
        record["name"]: record
        for record in eventually(
            lambda: books.records(doomed.name),
            accept=lambda found: {each["name"] for each in found} >= set(running),
        )
    }
    for run in running:
        assert records[run]["outcome"] == "canceled"
        assert 0 < records[run]["active_ms"] < 120_000
        told = api.get(f"/v1/predictions/{known[run]['status']['id']}")
        # Who may read all namespaces reads it still.
        assert told.json()["status"] == "canceled"
    if waiting in records:
        assert records[waiting]["active_ms"] < 120_000
    assert len(records) <= 3
    eventually(lambda: books.open_rows(doomed.name) == [])
    # What was deleted does not keep others from running.
    ended = namespace.finished(namespace.run(SLOW, input={"seconds": 0}))
    assert reason(ended) == "Succeeded", message(ended)
