"""The chart's admission policies and roles on a real API server, tried as the people they meet."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from support.waiting import eventually

from mayfly.api.v1alpha1.names import PIPELINE_LABEL, RUN_ID_LABEL, WAITING

CHART = Path(__file__).parents[2] / "charts" / "mayfly"
DIGEST = f"@sha256:{'0' * 64}"
CONTROLLER = "system:serviceaccount:mayfly-system:mayfly-controller"
GATEWAY = "system:serviceaccount:mayfly-system:mayfly-gateway"
SOURCE = "def main() -> int:\n    return 1\n"

RULES = {
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ClusterRole",
    "ClusterRoleBinding",
}


@pytest.fixture(scope="module")
def installed(plane):
    """The chart's policies and roles, without its Deployments: nothing schedules pods here."""
    helm = os.environ.get("MAYFLY_HELM")
    assert helm, "MAYFLY_HELM is not set: run `make test`"
    rendered = subprocess.run(
        [
            helm, "template", "mayfly", str(CHART), "-n", "mayfly-system",
            "--kube-version", "1.35.0", "--set", f"image.reference=example.test/operator{DIGEST}",
            "--set", f"runtime.default.image=example.test/runtime{DIGEST}",
        ],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    objects = [each for each in yaml.safe_load_all(rendered.stdout) if each]
    rules = [each for each in objects if each["kind"] in RULES]
    assert {each["kind"] for each in rules} == RULES
    plane.kubectl("create", "namespace", "mayfly-system", check=False)
    plane.apply(*rules)
    yield
    for each in rules:
        plane.kubectl("delete", each["kind"], each["metadata"]["name"], "--ignore-not-found")


def run(**spec: object) -> dict:
    return {
        "apiVersion": "mayfly.dev/v1alpha1",
        "kind": "PipelineRun",
        "metadata": {"generateName": "r-"},
        "spec": {"pipelineSpec": {"source": {"inline": SOURCE}}, **spec},
    }


def pod(labels: dict) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "p-", "labels": labels},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }


def create(plane, namespace: str, body: dict, user: str = ""):
    return plane.api.try_create(body, namespace, user=user)


def refused(done, words: str) -> bool:
    return not done.accepted and words in done.words


def test_only_the_gateway_names_a_parent(plane, namespace, installed):
    child = run(parentRef={"name": "x", "uid": "y"})
    eventually(lambda: refused(create(plane, namespace, child), "Only the gateway sets"))
    done = create(plane, namespace, child, GATEWAY)
    assert done.accepted, done.words
    assert create(plane, namespace, run()).accepted


def test_only_the_controller_labels_pods(plane, namespace, installed):
    body = pod({"mayfly.dev/id": "x"})
    eventually(lambda: not create(plane, namespace, body).accepted)
    done = create(plane, namespace, body, CONTROLLER)
    assert done.accepted, done.words
    assert create(plane, namespace, pod({"app": "x"})).accepted
    name, without = done.body["metadata"]["name"], {"metadata": {"labels": {"mayfly.dev/id": None}}}
    assert not plane.api.try_merge("pod", namespace, name, without).accepted


def test_the_controller_alone_gives_a_waiting_pod_to_a_run(plane, namespace, installed):
    body = pod({RUN_ID_LABEL: WAITING})
    eventually(lambda: not create(plane, namespace, body).accepted)
    made = create(plane, namespace, body, CONTROLLER)
    assert made.accepted, made.words
    owner = create(plane, namespace, run()).body
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "controller": True}
    reference |= {each: owner["metadata"][each] for each in ("name", "uid")}
    metadata = {
        "labels": {RUN_ID_LABEL: "0" * 26, PIPELINE_LABEL: "p"},
        "ownerReferences": [{**reference, "blockOwnerDeletion": True}],
        "resourceVersion": made.body["metadata"]["resourceVersion"],
    }
    adoption = {"metadata": metadata, "spec": {"activeDeadlineSeconds": 60}}

    def patch(body: dict, user: str = ""):
        return plane.api.try_merge("pod", namespace, made.body["metadata"]["name"], body, user=user)

    assert "Only Mayfly's controller" in patch(adoption).words
    done = patch(adoption, CONTROLLER)
    assert done.accepted, done.words
    assert done.body["spec"]["activeDeadlineSeconds"] == 60
    again = {"metadata": {"labels": {RUN_ID_LABEL: WAITING}}}
    assert "Only Mayfly's controller" in patch(again).words


def test_an_input_stands_still(plane, namespace, installed):
    done = create(plane, namespace, run(input={"a": [1, {"b": None}]}))
    name = done.body["metadata"]["name"]

    def patch(spec: dict):
        return plane.api.try_merge("prun", namespace, name, {"spec": spec})

    eventually(lambda: refused(patch({"input": {"a": [2]}}), "cannot change after its creation"))
    assert patch({"cancel": True}).accepted
    assert patch({"ttlSecondsAfterFinished": 1}).accepted


CAN = [
    (CONTROLLER, "create", "pods", "yes"),
    (CONTROLLER, "delete", "pods", "yes"),
    (CONTROLLER, "patch", "pods", "yes"),
    (CONTROLLER, "update", "pods/status", "no"),
    (CONTROLLER, "patch", "pipelineruns.mayfly.dev/status", "yes"),
    (CONTROLLER, "delete", "pipelineruns.mayfly.dev", "yes"),
    (CONTROLLER, "create", "pipelineruns.mayfly.dev", "no"),
    (CONTROLLER, "get", "secrets", "no"),
    (CONTROLLER, "create", "pods/exec", "no"),
    (GATEWAY, "create", "pipelineruns.mayfly.dev", "yes"),
    (GATEWAY, "update", "pipelineruns.mayfly.dev/status", "yes"),
    (GATEWAY, "create", "tokenreviews.authentication.k8s.io", "yes"),
    (GATEWAY, "get", "pods", "no"),
    (GATEWAY, "create", "pods", "no"),
    (GATEWAY, "patch", "pods", "no"),
    (GATEWAY, "get", "secrets", "no"),
    (GATEWAY, "patch", "pipelineruntimes.mayfly.dev", "no"),
]


@pytest.mark.parametrize(("user", "verb", "what", "answer"), CAN)
def test_rights(plane, installed, user, verb, what, answer):
    assert plane.api.may(user, verb, what, "default") is (answer == "yes")
