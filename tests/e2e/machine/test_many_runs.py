"""Two hundred runs at once on a small machine: all end, each once, and nothing is left."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from support.installation import message, reason
from support.waiting import eventually

RUNS = 200
SECONDS = 280
SOURCE = "def main(number: int) -> int:\n    print(number)\n    return number\n"


def manifest(number: int) -> dict:
    return {
        "apiVersion": "mayfly.dev/v1alpha1",
        "kind": "PipelineRun",
        "metadata": {"name": f"run-{number}"},
        "spec": {"pipelineSpec": {"source": {"inline": SOURCE}}, "input": {"number": number}},
    }


@pytest.mark.timeout(600)
def test_two_hundred_runs_at_once_all_end_and_each_is_billed_once(
    namespace, kubectl, books, restarts
):
    most = kubectl.json("get", "mprt", "default")["spec"]["maxPods"]
    every = {"apiVersion": "v1", "kind": "List", "items": [manifest(each) for each in range(RUNS)]}
    kubectl("create", "-n", namespace.name, "-f", "-", stdin=json.dumps(every))
    queued: Counter[str] = Counter()

    def finished() -> int:
        runs = kubectl.json("get", "prun", "-n", namespace.name)["items"]
        assert len(namespace.pods()) <= most
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
    words = f'Every pod of runtime "default" (maxPods {most}) is in use or has a taker.'
    assert set(queued) == {words}
    records = eventually(
        lambda: books.records(namespace.name), accept=lambda found: len(found) >= RUNS
    )
    uids = {run["metadata"]["uid"] for run in runs}
    assert Counter(record["run_uid"] for record in records) == Counter(uids)
    assert books.open_rows(namespace.name) == []
    assert set(restarts.since().values()) == {0}
    namespace.no_pods()
