"""Who has a name that a Pipeline and a Model share; a Pipeline without a source."""

from typing import Any

import pytest
from support.builders import NOW, runtime

from mayfly.api.v1alpha1 import Model, Pipeline
from mayfly.reconcile.actions import NOTHING, CreateVersion, WriteStatus
from mayfly.reconcile.observed import ObservedPipeline
from mayfly.reconcile.pipeline import plan_pipeline

EARLIER, LATER = "2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z"


def metadata(created: str, uid: str) -> dict[str, Any]:
    return {
        "name": "writer",
        "namespace": "team",
        "uid": uid,
        "resourceVersion": "1",
        "generation": 1,
        "creationTimestamp": created,
    }


def observed(pipeline: str, model: str | None, status: Any = None) -> ObservedPipeline:
    body = {
        "metadata": metadata(pipeline, "b"),
        "spec": {"source": {"inline": "def main(): ..."}},
        "status": status or {},
    }
    spec = {"endpoint": {"url": "https://models.example"}}
    rival = {"metadata": metadata(model, "c"), "spec": spec} if model else None
    return observed_body(body, rival)


def observed_body(body: dict[str, Any], rival: dict[str, Any] | None = None) -> ObservedPipeline:
    return ObservedPipeline(
        pipeline=Pipeline.model_validate(body),
        now=NOW,
        runtime=runtime(),
        schema={},
        model=Model.model_validate(rival) if rival else None,
    )


def test_the_later_pipeline_is_told_and_gets_no_version():
    (write,) = plan_pipeline(observed(LATER, EARLIER)).actions
    assert isinstance(write, WriteStatus)
    (ready,) = write.status["conditions"]
    assert (ready["status"], ready["reason"]) == ("False", "NameConflict")
    assert ready["message"] == (
        'The older Model "writer" of this namespace has the name: give the Pipeline another one, '
        "or delete the Model."
    )
    assert plan_pipeline(observed(LATER, EARLIER, write.status)) == NOTHING


@pytest.mark.parametrize("model", [None, LATER])
def test_the_older_pipeline_keeps_its_name(model):
    version, write = plan_pipeline(observed(EARLIER, model)).actions
    assert isinstance(version, CreateVersion)
    assert isinstance(write, WriteStatus)
    assert write.status["conditions"][0]["status"] == "True"


def test_within_one_second_the_uid_decides_as_in_the_gateway():
    # The pipeline's is "b", the Model's "c".
    assert len(plan_pipeline(observed(EARLIER, EARLIER)).actions) == 2


@pytest.mark.parametrize("source", [{"inline": ""}, {"inline": "\n "}, {"files": {"main.py": ""}}])
def test_without_a_source_there_is_no_version_and_the_words_say_what_to_do(source):
    body = {"metadata": metadata(EARLIER, "b"), "spec": {"source": source}}
    (write,) = plan_pipeline(observed_body(body)).actions
    assert isinstance(write, WriteStatus)
    assert "latestVersion" not in write.status
    (ready,) = write.status["conditions"]
    assert (ready["status"], ready["reason"]) == ("False", "NoSource")
    assert "push a version" in ready["message"]
