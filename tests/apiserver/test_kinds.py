"""The CRDs on a real API server: what it refuses and in which words."""

from __future__ import annotations

import pytest

from mayfly.api.v1alpha1.names import WARM_LABEL

SOURCE = "def main() -> str:\n    return 'hello'\n"


def run(name: str, **spec: object) -> dict:
    spec = {"pipelineSpec": {"source": {"inline": SOURCE}}, **spec}
    return {
        "apiVersion": "mayfly.dev/v1alpha1",
        "kind": "PipelineRun",
        "metadata": {"name": name},
        "spec": {key: value for key, value in spec.items() if value is not None},
    }


def create(plane, namespace: str, body: dict, **how: bool):
    return plane.api.try_create(body, namespace, **how)


def test_a_run_gets_its_defaults(plane, namespace):
    assert create(plane, namespace, run("a")).accepted
    spec = plane.api.get("prun", "a", "-n", namespace)["spec"]
    assert "timeout" not in spec
    assert spec["startDeadline"] == "5m"
    assert spec["queueDeadline"] == "1h"
    assert spec["ttlSecondsAfterFinished"] == 3600
    assert spec["pipelineSpec"]["entrypoint"] == "main.py:main"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"pipelineRef": {"name": "x"}}, "exactly one of pipelineRef"),
        ({"pipelineSpec": None}, "exactly one of pipelineRef"),
        ({"pipelineSpec": {"source": {}}}, "exactly one of source.inline"),
        ({"input": {}, "inputJSON": "{}"}, "at most one of input, inputJSON"),
        ({"timeout": "soon"}, "spec.timeout"),
        ({"timeout": 5}, "spec.timeout"),
        ({"timeout": "0s"}, "more than 0 and at most 30d"),
        ({"startDeadline": "29d24h1ms"}, "more than 0 and at most 30d"),
        ({"queueDeadline": "720.1h"}, "more than 0 and at most 30d"),
        ({"inputJSON": "x" * 131_073}, "spec.inputJSON"),
        (
            {"pipelineSpec": {"source": {"inline": "#" * 70_000}}, "inputJSON": "x" * 70_000},
            "larger than 128 KiB",
        ),
        ({"pipelineSpec": {"source": {"files": {"../x.py": ""}}}}, "relative paths"),
        ({"pipelineSpec": {"source": {"inline": ""}, "entrypoint": "main"}}, "entrypoint"),
        ({"ttlSecondsAfterFinished": -1}, "ttlSecondsAfterFinished"),
        ({"budget": "1e3"}, "spec.budget"),
        ({"webhook": {"url": "http://[::1/x"}}, "url must have a host"),
        ({"webhook": {"url": "http://a..b/x"}}, "url must have a host"),
        ({"webhook": {"url": "http://h:99999/"}}, "a port from 1 to 65535"),
        ({"webhook": {"url": f"https://{'a' * 64}.example/"}}, "url must have a host"),
        ({"budget": "0.00"}, "spec.budget is above 0"),
    ],
)
def test_a_wrong_run_is_refused_in_words(plane, namespace, spec, words):
    done = create(plane, namespace, run("wrong", **spec))
    assert not done.accepted
    assert words in done.words


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example/x?y=1#z",
        "https://b\u00fccher.example/k\u00f6ln",
        "http://bot:s3cret@h:8080/x",
        "http://[::1]:65535",
        "http://10.0.0.1/x@y",
    ],
)
def test_a_webhook_that_can_be_called_is_accepted(plane, namespace, url):
    assert create(plane, namespace, run("a", webhook={"url": url})).accepted


def test_every_unit_of_a_duration_is_accepted(plane, namespace):
    spec = {"timeout": "29d23h59m59s1000ms", "startDeadline": "1ms", "queueDeadline": "1.5h"}
    assert create(plane, namespace, run("a", **spec)).accepted


def test_an_unknown_field_is_named(plane, namespace):
    done = create(plane, namespace, run("wrong", timeOut="5s"))
    assert not done.accepted
    assert "timeOut" in done.words


def test_names_are_bounded(plane, namespace):
    done = create(plane, namespace, run("a" * 64))
    assert "at most 63 characters" in done.words
    pipeline = {
        "apiVersion": "mayfly.dev/v1alpha1",
        "kind": "Pipeline",
        "metadata": {"name": "p" * 53},
        "spec": {"source": {"inline": SOURCE}},
    }
    assert "at most 52 characters" in create(plane, namespace, pipeline).words


@pytest.mark.parametrize(
    ("secrets", "words"),
    [
        ([("KEY", "a", "b"), ("OTHER", "a", "b")], ""),
        ([("KEY", "a", "b"), ("KEY", "a", "c")], "Duplicate value"),
        ([("REPLICATE_API_TOKEN", "a", "b")], "Mayfly sets this variable itself"),
        ([("MAYFLY_X", "a", "b")], "Mayfly sets this variable itself"),
        ([("KEY", "../x", "b")], "secretKeyRef.name"),
        ([("KEY", "a", "b/c")], "secretKeyRef.key"),
        ([("a-b", "a", "b")], "env"),
    ],
)
def test_a_pipelines_secrets(plane, namespace, secrets, words):
    given = [{"env": e, "secretKeyRef": {"name": n, "key": k}} for e, n, k in secrets]
    pipeline = {
        "apiVersion": "mayfly.dev/v1alpha1",
        "kind": "Pipeline",
        "metadata": {"name": "p"},
        "spec": {"source": {"inline": SOURCE}, "secrets": given},
    }
    done = create(plane, namespace, pipeline)
    assert done.accepted == (not words)
    assert words in done.words


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ({"timeout": "1h"}, "spec.timeout can't change"),
        ({"inputJSON": "{}"}, "spec.inputJSON can't change"),
        ({"pipelineSpec": {"source": {"inline": "x = 1"}}}, "spec.pipelineSpec can't change"),
        ({"budget": "1"}, "spec.budget can't change"),
    ],
)
def test_a_spec_stands_still(plane, namespace, patch, words):
    create(plane, namespace, run("a"))
    done = plane.api.try_merge("prun", namespace, "a", {"spec": patch})
    assert not done.accepted
    assert words in done.words


def test_cancel_is_asked_once_and_ttl_may_change(plane, namespace):
    create(plane, namespace, run("a"))

    def patch(**spec: object):
        return plane.api.try_merge("prun", namespace, "a", {"spec": spec})

    assert patch(ttlSecondsAfterFinished=5).accepted
    assert patch(cancel=True).accepted
    assert "can't be taken back" in patch(cancel=False).words


def status(plane, namespace: str, body: dict):
    return plane.api.try_merge("prun", namespace, "a", {"status": body}, "status")


def condition(kind: str, truth: str, reason: str) -> dict:
    return {
        "type": kind,
        "status": truth,
        "reason": reason,
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


def test_an_end_is_written_once(plane, namespace):
    create(plane, namespace, run("a"))
    end = [condition("Finished", "True", "Finished"), condition("Succeeded", "True", "Succeeded")]
    assert status(plane, namespace, {"conditions": end}).accepted
    other = [condition("Finished", "True", "Finished"), condition("Succeeded", "False", "Lost")]
    assert "an end is written once" in status(plane, namespace, {"conditions": other}).words
    reopened = [condition("Finished", "False", "Finished"), end[1]]
    assert "Finished stays True" in status(plane, namespace, {"conditions": reopened}).words


def test_a_pod_is_written_once_an_attempt(plane, namespace):
    create(plane, namespace, run("a"))
    assert status(plane, namespace, {"attempt": 1, "podUID": "u1"}).accepted
    assert "once an attempt" in status(plane, namespace, {"podUID": "u2"}).words
    assert status(plane, namespace, {"attempt": 2, "podUID": "u2"}).accepted


def test_finished_comes_with_recorded(plane, namespace):
    create(plane, namespace, run("a"))
    assert "recorded" in status(plane, namespace, {"finished": True}).words
    assert status(plane, namespace, {"finished": True, "recorded": True}).accepted
    assert "stays true" in status(plane, namespace, {"finished": False}).words


def test_finished_is_selectable(plane, namespace):
    create(plane, namespace, run("a"))
    create(plane, namespace, run("b"))
    status(plane, namespace, {"finished": True, "recorded": True})

    def names(selector: str) -> list[str]:
        done = plane.kubectl(
            "get", "prun", "-n", namespace, f"--field-selector={selector}", "-o", "name"
        )
        return done.stdout.split()

    assert names("status.finished!=true") == ["pipelinerun.mayfly.dev/b"]
    assert names("status.finished=true") == ["pipelinerun.mayfly.dev/a"]


def test_runs_are_selected_by_pipeline_and_phase(plane, namespace):
    for name, pipeline, phase in (("a", "x", "Queued"), ("b", "x", "Failed"), ("c", "y", "Queued")):
        body = run(name, pipelineSpec=None, pipelineRef={"name": pipeline})
        assert create(plane, namespace, body).accepted
        plane.api.merge("prun", namespace, name, {"status": {"phase": phase}}, "status")

    def found(selector: str) -> list[str]:
        asked = ("get", "prun", "-n", namespace, "-o", "name", "--field-selector", selector)
        return [line.partition("/")[2] for line in plane.kubectl(*asked).stdout.split()]

    assert found("spec.pipelineRef.name=x") == ["a", "b"]
    assert found("status.phase=Queued") == ["a", "c"]
    assert found("spec.pipelineRef.name=x,status.phase!=Failed") == ["a"]


def test_explain_describes_every_field(plane):
    text = plane.kubectl("explain", "pipelineruns.mayfly.dev.spec").stdout
    for field in ("pipelineRef", "inputJSON", "timeout", "startDeadline", "cancel", "budget"):
        assert field in text
    assert "<no description>" not in text
    told = " ".join(plane.kubectl("explain", "prun.spec.queueDeadline").stdout.split())
    assert "For example: 90s, 1h30m, 7d. Default: 1h." in told


def test_a_version_never_changes(plane, namespace):
    body = {
        "apiVersion": "mayfly.dev/v1alpha1",
        "kind": "PipelineVersion",
        "metadata": {"name": "v"},
        "spec": {
            "id": "0" * 64,
            "source": {"inline": SOURCE},
            "entrypoint": "main.py:main",
            "runtime": "default",
            "runtimeDigest": "x@sha256:1",
            "openapiSchema": {"a": [1, {"b": None}]},
        },
    }
    assert create(plane, namespace, body).accepted
    changed = {"spec": {"source": {"inline": "x"}}}
    done = plane.api.try_merge("mplv", namespace, "v", changed)
    assert "never changes" in done.words


def test_the_wide_list_has_the_cost_of_the_whole_tree(plane, namespace):
    assert create(plane, namespace, run("a")).accepted
    usage = {"activeMilliseconds": 3, "cost": "0.01", "downstreamCost": "0.0000251"}
    usage |= {"totalCost": "0.0100251", "currency": "USD", "final": True}
    assert status(plane, namespace, {"usage": usage}).accepted
    wide = plane.kubectl("get", "prun", "a", "-n", namespace, "-o", "wide").stdout
    header, row = wide.splitlines()
    assert row[header.index("COST") :].split()[0] == "0.0100251"
    assert "COST" not in plane.kubectl("get", "prun", "a", "-n", namespace).stdout


def pooled(warm: dict | None, name: str = "pooled") -> dict:
    spec = {"image": "x@sha256:1"} | ({} if warm is None else {"warm": warm})
    return {
        "apiVersion": "mayfly.dev/v1alpha1",
        "kind": "PipelineRuntime",
        "metadata": {"name": name},
        "spec": spec,
    }


@pytest.mark.parametrize(
    ("warm", "words"),
    [
        ({"min": 2}, ""),
        ({"max": 2}, ""),
        ({"min": 0, "max": 0}, ""),
        ({"min": 1000, "max": 1000}, ""),
        ({"min": 3, "max": 2}, "warm.min is at most warm.max"),
        ({"min": -1}, "spec.warm.min"),
        ({"min": 1001}, "spec.warm.min"),
        ({"max": 1001}, "spec.warm.max"),
    ],
)
def test_how_many_pods_of_a_runtime_wait(plane, namespace, warm, words):
    done = create(plane, namespace, pooled(warm), dry_run=True)
    assert done.accepted == (not words)
    assert words in done.words


def test_namespaces_can_be_labelled_with_a_runtime_that_has_waiting_pods(plane, namespace):
    longest = "r" * 63
    done = create(plane, namespace, pooled({"min": 1}, f"{longest}r"), dry_run=True)
    assert "at most 63 characters" in done.words
    assert create(plane, namespace, pooled(None, f"{longest}r"), dry_run=True).accepted
    assert create(plane, namespace, pooled({"min": 1}, longest), dry_run=True).accepted
    label = {"metadata": {"labels": {WARM_LABEL: longest}}}
    assert plane.api.try_merge("namespace", "", namespace, label).accepted


def test_the_wide_list_has_the_waiting_pods_of_runtimes_with_some(plane, namespace):
    def row(name: str) -> str:
        return plane.kubectl("get", "mprt", name, "-o", "wide").stdout

    try:
        assert create(plane, namespace, pooled({"min": 2})).accepted
        assert create(plane, namespace, pooled(None, "bare")).accepted
        pods = {"waiting": 11, "booting": 12, "claimed": 13, "namespaces": 14}
        status = {"warm": pods, "conditions": [condition("Degraded", "True", "PodsFail")]}
        assert plane.api.try_merge("mprt", "", "pooled", {"status": status}, "status").accepted
        header, shown = row("pooled").splitlines()
        columns = ("WAITING", "BOOTING", "CLAIMED", "DEGRADED")
        found = [shown[header.index(each) :].split()[0] for each in columns]
        assert found == ["11", "12", "13", "True"]
        assert not any(number in row("bare") for number in ("11", "12", "13", "True"))
        assert "WAITING" not in plane.kubectl("get", "mprt").stdout
    finally:
        for name in ("pooled", "bare"):
            plane.api.delete("mprt", name=name)


@pytest.mark.parametrize("field", ["podLabels", "podAnnotations"])
def test_a_runtimes_labels_and_annotations_of_pods(plane, namespace, field):
    def made(name: str, given: dict) -> str:
        body = {
            "apiVersion": "mayfly.dev/v1alpha1",
            "kind": "PipelineRuntime",
            "metadata": {"name": name},
            "spec": {"image": "x@sha256:1", field: given},
        }
        return create(plane, namespace, body, dry_run=True).words

    assert "those are Mayfly's own" in made("a", {"mayfly.dev/id": "x"})
    assert "as Kubernetes takes them" in made("a", {"no key": "x"})
    assert made("a", {"team": "vision", "example.com/cost-center": "4711", "empty": ""}) == ""
    sentence = "as Kubernetes takes them" in made("a", {"team": "two words"})
    assert sentence is (field == "podLabels")
