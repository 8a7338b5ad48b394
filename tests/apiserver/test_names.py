"""A Pipeline and a Model of one name: the later is told, and gets the name when the other goes."""

import time
from typing import Any

from support.controller.world import SOURCE, message, reason
from support.waiting import eventually

Json = dict[str, Any]
MODEL = {"endpoint": {"url": "https://models.example"}}


def apply(plane, runs, kind: str, spec: object) -> None:
    body = {
        "apiVersion": "mayfly.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "writer", "namespace": runs.namespace},
        "spec": spec,
    }
    plane.api.create({"Pipeline": "mpl", "Model": "mmdl"}[kind], body, runs.namespace)


def into_the_next_second() -> None:
    """Objects of one second are equally old."""
    time.sleep(1.1)


def pipeline(plane, runs) -> Json:
    found: Json = plane.api.get("mpl", "writer", "-n", runs.namespace)
    return found


def test_a_pipeline_that_comes_after_a_model_of_its_name(controller, runs, plane):
    apply(plane, runs, "Model", MODEL)
    into_the_next_second()
    apply(plane, runs, "Pipeline", {"source": {"inline": SOURCE}})
    eventually(lambda: reason(pipeline(plane, runs), "Ready", "False") == "NameConflict")
    # A run of it ends with the same words, and costs no pod.
    runs.create("a", pipelineSpec=None, pipelineRef={"name": "writer"})
    ended = runs.ended("a")
    assert reason(ended, "Accepted", "False") == "NameConflict"
    assert message(ended, "Accepted").startswith('Pipeline "writer": The older Model "writer"')
    assert runs.pods() == []
    # Once the Model is gone the name is free.
    plane.api.delete("mmdl", runs.namespace, "writer")
    eventually(lambda: reason(pipeline(plane, runs), "Ready") == "Ready")


def test_a_model_that_comes_after_a_pipeline_of_its_name_takes_nothing(controller, runs, plane):
    apply(plane, runs, "Pipeline", {"source": {"inline": SOURCE}})
    eventually(lambda: reason(pipeline(plane, runs), "Ready") == "Ready")
    into_the_next_second()
    apply(plane, runs, "Model", MODEL)
    runs.create("a", pipelineSpec=None, pipelineRef={"name": "writer"})
    runs.claimed("a")
    assert reason(pipeline(plane, runs), "Ready") == "Ready"
