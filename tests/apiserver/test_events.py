"""`kubectl describe` shows what went wrong, and nothing about a run that just succeeds."""

from __future__ import annotations

import json
import time

import pytest
from support.controller.world import SOURCE, container
from support.waiting import eventually


def describe(plane, runs, kind: str, name: str) -> str:
    shown = plane.kubectl("describe", kind, name, "-n", runs.namespace).stdout
    return " ".join(shown.partition("\nEvents:")[2].split())


def events(plane, runs) -> list[dict]:
    found = plane.kubectl("get", "events", "-n", runs.namespace, "-o", "json").stdout
    return json.loads(found)["items"]


def test_a_refused_run(controller, runs, plane):
    runs.create("a", input={"nam": "x"})
    runs.ended("a")
    shown = eventually(lambda: (text := describe(plane, runs, "prun", "a")) != "<none>" and text)
    assert "Warning InvalidInput" in shown
    assert "mayfly.dev/controller" in shown


def test_a_cancelled_run_and_one_whose_image_is_missing(controller, runs, plane):
    runs.create("a")
    name = runs.claimed("a")["status"]["podName"]
    state = {"waiting": {"reason": "ErrImagePull", "message": "manifest unknown"}}
    runs.pod_status(name, {"phase": "Pending", "containerStatuses": [container(state)]})
    eventually(lambda: "Warning ImagePull" in describe(plane, runs, "prun", "a"))
    assert "manifest unknown" in describe(plane, runs, "prun", "a")
    runs.create("b", cancel=True)
    eventually(lambda: "Normal Canceled" in describe(plane, runs, "prun", "b"))


def test_a_run_that_the_gateway_ended_badly(controller, runs, plane):
    runs.create("a")
    runs.run_pod(runs.claimed("a")["status"]["podName"])
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    kept = runs.get("a")["status"]["conditions"]
    ends = [
        ("Finished", "True", "Finished", ""),
        ("Succeeded", "False", "UserError", "ValueError: no"),
    ]
    new = [
        {
            "type": kind,
            "status": truth,
            "reason": why,
            "message": words,
            "lastTransitionTime": stamp,
        }
        for kind, truth, why, words in ends
    ]
    kept = [each for each in kept if each["type"] not in {"Finished", "Succeeded"}]
    status = {"conditions": kept + new, "recorded": True, "finished": True}
    runs.write_status("a", {**status, "error": "ValueError: no"})
    eventually(lambda: "Warning UserError" in describe(plane, runs, "prun", "a"))
    eventually(lambda: not runs.pods())
    time.sleep(1)
    assert len(events(plane, runs)) == 1


@pytest.mark.parametrize("kind", ["mpl", "mmdl"])
def test_a_pipeline_or_model_that_is_not_ready(controller, runs, plane, kind):
    spec = {"source": {"inline": SOURCE + "return\n"}}
    if kind == "mmdl":
        spec = {"endpoint": {"url": "https://models.example"}}
    body = {
        "apiVersion": "mayfly.dev/v1alpha1",
        "kind": "Pipeline" if kind == "mpl" else "Model",
        "metadata": {"name": "writer", "namespace": runs.namespace},
        "spec": spec,
    }
    plane.kubectl("create", "-f", "-", stdin=json.dumps(body))
    if kind == "mmdl":  # like the gateway
        condition = {
            "type": "Ready",
            "status": "False",
            "reason": "Unreachable",
            "message": "It does not answer.",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        plane.api.merge(
            "mmdl", runs.namespace, "writer", {"status": {"conditions": [condition]}}, "status"
        )
    why = "InvalidSource" if kind == "mpl" else "Unreachable"
    eventually(lambda: f"Warning {why}" in describe(plane, runs, kind, "writer"))


def test_a_run_that_succeeds_has_none(controller, runs, plane):
    runs.create("a")
    runs.run_pod(runs.claimed("a")["status"]["podName"])
    runs.finish("a")
    eventually(lambda: not runs.pods())
    runs.create("b", input={"nam": "x"})  # whose event comes after any of the first
    eventually(lambda: "InvalidInput" in describe(plane, runs, "prun", "b"))
    assert {each["involvedObject"]["name"] for each in events(plane, runs)} == {"b"}
