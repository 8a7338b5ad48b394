"""`kubectl describe` shows what went wrong, and nothing about a run that just succeeds."""

from __future__ import annotations

import time

import pytest
from support.controller.world import SOURCE, container
from support.waiting import eventually


def describe(plane, runs, kind: str, name: str) -> str:
    shown = plane.kubectl("describe", kind, name, "-n", runs.namespace).stdout
    return " ".join(shown.partition("\nEvents:")[2].split())


def events(plane, runs) -> list[dict]:
    found: list[dict] = plane.api.get("events", "-n", runs.namespace)["items"]
    return found


def described(plane, runs, kind: str, name: str, words: str) -> str:
    """What `kubectl describe` shows of an object that has an event with this type and reason."""

    def told(event: dict) -> bool:
        return (event["involvedObject"]["name"], f"{event['type']} {event['reason']}") == (
            name,
            words,
        )

    eventually(lambda: any(map(told, events(plane, runs))))
    shown = describe(plane, runs, kind, name)
    assert words in shown
    return shown


def test_a_refused_run(controller, runs, plane):
    runs.create("a", input={"nam": "x"})
    runs.ended("a")
    shown = described(plane, runs, "prun", "a", "Warning InvalidInput")
    assert "mayfly.dev/controller" in shown


def test_a_cancelled_run_and_one_whose_image_is_missing(controller, runs, plane):
    runs.create("a")
    name = runs.claimed("a")["status"]["podName"]
    state = {"waiting": {"reason": "ErrImagePull", "message": "manifest unknown"}}
    runs.pod_status(name, {"phase": "Pending", "containerStatuses": [container(state)]})
    shown = described(plane, runs, "prun", "a", "Warning ImagePull")
    assert "manifest unknown" in shown
    runs.create("b", cancel=True)
    described(plane, runs, "prun", "b", "Normal Canceled")


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
    described(plane, runs, "prun", "a", "Warning UserError")
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
    plane.api.create(kind, body, runs.namespace)
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
    described(plane, runs, kind, "writer", f"Warning {why}")


def test_a_run_that_succeeds_has_none(controller, runs, plane):
    runs.create("a")
    runs.run_pod(runs.claimed("a")["status"]["podName"])
    runs.finish("a")
    eventually(lambda: not runs.pods())
    runs.create("b", input={"nam": "x"})  # whose event comes after any of the first
    described(plane, runs, "prun", "b", "Warning InvalidInput")
    assert {each["involvedObject"]["name"] for each in events(plane, runs)} == {"b"}
