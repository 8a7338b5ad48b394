"""Many more runs at once than a small machine has places for: all end, each once."""

from __future__ import annotations

import json
import time
from collections import Counter

import pytest
from support.cluster.installation import message, reason, runtime
from support.lengths import length
from support.waiting import eventually

RUNS = length(24, 200)
MOST = 12
"""Pods at one time: what two cores bear without anybody getting too little."""

SECONDS = 500
LOOK_SECONDS = 3
SOURCE = "def main(number: int) -> int:\n    print(number)\n    return number\n"


@pytest.fixture
def small_runtime(kubectl, namespace):
    """A runtime of which few pods may run at one time."""
    spec = {**kubectl.json("get", "mprt", "default")["spec"], "maxPods": MOST}
    with runtime(kubectl, f"few-pods-{namespace.name}", spec) as name:
        yield name


def manifest(number: int, runtime_name: str) -> dict:
    return {
        "apiVersion": "mayfly.dev/v1alpha1",
        "kind": "PipelineRun",
        "metadata": {"name": f"run-{number}"},
        "spec": {
            "pipelineSpec": {"source": {"inline": SOURCE}, "runtime": runtime_name},
            "input": {"number": number},
        },
    }


def over(pod: dict) -> bool:
    """Whether nothing runs in it any more."""
    states = pod["status"].get("containerStatuses", [])
    return pod["status"]["phase"] in {"Succeeded", "Failed"} or any(
        "terminated" in each["state"] for each in states
    )


@pytest.mark.timeout(600)
def test_many_runs_at_once_all_end_and_each_is_billed_once(
    namespace, kubectl, books, restarts, small_runtime
):
    runs = [manifest(number, small_runtime) for number in range(RUNS)]
    every = json.dumps({"apiVersion": "v1", "kind": "List", "items": runs})
    kubectl("create", "-n", namespace.name, "-f", "-", stdin=every)
    queued: Counter[str] = Counter()

    def finished() -> int:
        time.sleep(LOOK_SECONDS)  # every run is read each time, on a busy machine
        runs = kubectl.json("get", "prun", "-n", namespace.name)["items"]
        assert sum(1 for pod in namespace.pods() if not over(pod)) <= MOST
        for run in runs:
            if run.get("status", {}).get("phase") == "Queued":
                queued[message(run, "Started")] += 1
        return sum(1 for run in runs if run.get("status", {}).get("finished"))

    eventually(finished, SECONDS, lambda count: count == RUNS)
    runs = kubectl.json("get", "prun", "-n", namespace.name)["items"]
    ends = Counter(reason(run) for run in runs)
    assert ends == {"Succeeded": RUNS}, [message(run) for run in runs if reason(run) != "Succeeded"]
    assert {run["status"]["attempt"] for run in runs} == {1}
    assert sorted(run["status"]["output"] for run in runs) == list(range(RUNS))
    assert {run["status"]["logsTail"] for run in runs} == {f"{each}\n" for each in range(RUNS)}
    words = (
        f'Every pod of runtime "{small_runtime}" (maxPods {MOST}) is in use, is assigned, or is '
        f"kept for runs that others wait for."
    )
    assert set(queued) == {words}
    records = books.records(namespace.name, RUNS)
    uids = {run["metadata"]["uid"] for run in runs}
    assert Counter(record["run_uid"] for record in records) == Counter(uids)
    assert books.open_rows(namespace.name) == []
    assert set(restarts.since().values()) == {0}
    namespace.no_pods()
