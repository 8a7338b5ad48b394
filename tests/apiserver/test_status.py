"""What `kubectl get` and `kubectl wait` say about a run, on a real API server."""

from __future__ import annotations

FINISHED = "--for=jsonpath={.status.finished}=true"


def columns(plane, runs, name: str) -> dict[str, str]:
    table = plane.kubectl("get", "prun", name, "-n", runs.namespace).stdout.splitlines()
    starts = {word: table[0].index(word) for word in table[0].split()}
    return {word: table[1][start:].split(" ")[0] for word, start in starts.items()}


def test_phase_and_reason_agree(controller, runs, plane):
    runs.create("a")
    runs.claimed("a")
    shown = columns(plane, runs, "a")
    assert (shown["PHASE"], shown["REASON"]) == ("Starting", "PodPending")
    runs.create("b", input={"nam": "x"})
    runs.ended("b")
    shown = columns(plane, runs, "b")
    assert (shown["PHASE"], shown["REASON"]) == ("Failed", "InvalidInput")


def test_a_run_is_listed_with_its_pipeline_whatever_becomes_of_it(controller, runs, plane):
    runs.create("a")
    runs.claimed("a")
    runs.create("b", input={"nam": "x"})
    runs.create("c", pipelineSpec=None, pipelineRef={"name": "nope"})
    for name in "bc":
        runs.ended(name)
    shown = {name: columns(plane, runs, name)["PIPELINE"] for name in "abc"}
    assert shown == {"a": "(inline)", "b": "(inline)", "c": "nope"}
    own = ("--field-selector", "spec.pipelineRef.name=", "-o", "name")
    found = plane.kubectl("get", "prun", "-n", runs.namespace, *own).stdout.split()
    assert found == ["pipelinerun.mayfly.dev/a", "pipelinerun.mayfly.dev/b"]


def test_who_waits_for_finished_misses_nothing(controller, runs, plane):
    """The controller ends a refused run before the gateway has recorded it."""
    runs.create("a", input={"nam": "x"})
    assert "usage" not in runs.ended("a")["status"]
    where = ("prun/a", "-n", runs.namespace)
    early = plane.kubectl("wait", FINISHED, *where, "--timeout=1s", check=False)
    assert early.returncode != 0
    usage = {"activeMilliseconds": 0, "cost": "0", "final": True}
    runs.write_status("a", {"recorded": True, "finished": True, "usage": usage})
    plane.kubectl("wait", FINISHED, *where, "--timeout=10s")
