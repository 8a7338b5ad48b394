"""What people get wrong: told in words, before any pod is used (invariant 10)."""

from __future__ import annotations

import pytest
from support.cluster.installation import message, reason

MAIN = """
from cog import Input
def main(name: str, times: int = Input(default=1, ge=1, le=3)) -> str:
    return name * times
"""


def refused(namespace, spec, why: str, *words: str) -> None:
    run = namespace.create(spec)
    ended = namespace.finished(run)
    assert reason(ended, "Accepted") == why
    assert reason(ended) == "Refused"
    for word in words:
        assert word in message(ended, "Accepted")
        assert word in ended["status"]["error"]
    assert ended["status"]["usage"]["activeMilliseconds"] == 0
    assert "podName" not in ended["status"]
    assert namespace.pods() == []


def inline(source: str, **spec):
    return {"pipelineSpec": {"source": {"inline": source}}, **spec}


@pytest.mark.parametrize(
    ("spec", "why", "words"),
    [
        (
            inline("def main() -> int:\n    x = = 1\n"),
            "InvalidSource",
            ["main.py line 2", "x = = 1"],
        ),
        (inline("def other(): ...\n"), "InvalidSource", ["main", "other"]),
        (inline(MAIN), "InvalidInput", ["name"]),
        (inline(MAIN, input={"name": 5}), "InvalidInput", ["name", "string"]),
        (inline(MAIN, input={"name": "a", "times": 4}), "InvalidInput", ["times", "3"]),
        ({"pipelineRef": {"name": "nobody"}}, "NotFound", ["nobody"]),
        (
            {"pipelineSpec": {"source": {"inline": MAIN}, "runtime": "none"}},
            "NotFound",
            ["none"],
        ),
    ],
    ids=["syntax", "no-main", "missing", "type", "range", "pipeline", "runtime"],
)
def test_it_is_told_and_costs_no_pod(namespace, spec, why, words):
    refused(namespace, spec, why, *words)


def test_an_unknown_version(namespace):
    namespace.apply(
        {
            "apiVersion": "mayfly.dev/v1alpha1",
            "kind": "Pipeline",
            "metadata": {"name": "p"},
            "spec": {"source": {"inline": MAIN}},
        }
    )
    spec = {"pipelineRef": {"name": "p", "version": "0" * 64}, "input": {"name": "a"}}
    refused(namespace, spec, "NotFound", "version", "0" * 64)


def test_an_image_that_cant_be_pulled(namespace, kubectl):
    runtime = {
        "apiVersion": "mayfly.dev/v1alpha1",
        "kind": "PipelineRuntime",
        "metadata": {"name": f"{namespace.name}-nowhere"},
        "spec": {"image": f"registry.invalid/nothing@sha256:{'0' * 64}"},
    }
    namespace.apply(runtime)
    try:
        spec = {
            "pipelineSpec": {
                "source": {"inline": MAIN},
                "runtime": runtime["metadata"]["name"],
            },
            "input": {"name": "a"},
            "startDeadline": "15s",
        }
        ended = namespace.finished(namespace.create(spec))
        assert reason(ended) == "StartDeadlineExceeded"
        assert "pull" in ended["status"]["error"]
        assert ended["status"]["usage"]["activeMilliseconds"] == 0
        namespace.no_pods()
    finally:
        kubectl("delete", "mprt", runtime["metadata"]["name"])
