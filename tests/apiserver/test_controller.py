"""The real controller process on a real API server; the tests play kubelet and gateway."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime

import pytest
from support.controller.world import IMAGE, SOURCE, Runs, container, message, reason
from support.waiting import eventually

from mayfly.api.v1alpha1 import PipelineRun, Reason
from mayfly.api.v1alpha1.identity import pod_name, run_id
from mayfly.reconcile.ending import refused
from mayfly.reconcile.observed import Refusal

TAKES_A_SECRET = "from cog import Secret\ndef main(key: Secret = None) -> int: ...\n"


def test_a_run_gets_a_pod_is_claimed_and_loses_it_at_its_end(controller, runs):
    created = runs.create("a")
    claimed = runs.claimed("a")
    status = claimed["status"]
    assert status["id"] == run_id(created["metadata"]["uid"])
    assert status["podName"] == pod_name(status["id"], 1)
    assert status["attempt"] == 1
    assert status["depth"] == 1
    assert status["rootRef"]["uid"] == created["metadata"]["uid"]
    assert status["phase"] == "Starting"
    assert reason(claimed, "Accepted") == "Accepted"
    (pod,) = runs.pods()
    assert pod["metadata"]["uid"] == status["podUID"]
    assert pod["metadata"]["ownerReferences"][0]["uid"] == created["metadata"]["uid"]
    assert pod["spec"]["containers"][0]["resources"]["limits"]["memory"] == "2Gi"
    runs.run_pod(status["podName"])
    runs.finish("a")
    eventually(lambda: not runs.pods())


def test_depth_and_lineage_are_the_controllers_words(controller, runs, plane):
    forged = {f"mayfly.dev/{each}": "forged" for each in ("id", "root", "parent", "depth")}
    body = {
        "apiVersion": "mayfly.dev/v1alpha1",
        "kind": "PipelineRun",
        "metadata": {"name": "a", "namespace": runs.namespace, "labels": forged},
        "spec": {"pipelineSpec": {"source": {"inline": SOURCE}}, "input": {"name": "a"}},
        "status": {"id": "forged", "depth": 0, "rootRef": {"name": "x", "uid": "y"}},
    }
    plane.api.create("prun", body, runs.namespace)
    claimed = runs.claimed("a")
    uid, identity = claimed["metadata"]["uid"], run_id(claimed["metadata"]["uid"])
    assert claimed["status"]["id"] == identity
    assert claimed["status"]["depth"] == 1
    assert claimed["status"]["rootRef"] == {"name": "a", "uid": uid}
    (pod,) = runs.pods()
    labels = pod["metadata"]["labels"]
    assert (labels["mayfly.dev/id"], labels["mayfly.dev/root"]) == (identity, identity)
    assert labels["mayfly.dev/depth"] == "1"
    assert "mayfly.dev/parent" not in labels


@pytest.mark.parametrize(
    ("own", "pipelines", "holds", "deadline"),
    [(None, None, "30m", 3670), (None, "2h", "2h", 9070), ("5m", "2h", "5m", 2170)],
)
def test_a_runs_timeout_is_its_own_or_its_pipelines(
    controller, runs, plane, own, pipelines, holds, deadline
):
    spec = {"source": {"inline": SOURCE}, "timeout": pipelines}
    body = {
        "apiVersion": "mayfly.dev/v1alpha1",
        "kind": "Pipeline",
        "metadata": {"name": "slow", "namespace": runs.namespace},
        "spec": {name: value for name, value in spec.items() if value},
    }
    plane.api.create("mpl", body, runs.namespace)
    runs.create("a", pipelineSpec=None, pipelineRef={"name": "slow"}, timeout=own)
    assert runs.claimed("a")["status"]["timeout"] == holds
    (pod,) = runs.pods()
    assert pod["spec"]["activeDeadlineSeconds"] == deadline


def test_a_namespace_gets_its_network_policy_before_the_first_pod(controller, runs, plane):
    runs.create("a")
    runs.claimed("a")
    policy = plane.api.get("networkpolicy", "mayfly-runs", "-n", runs.namespace)["spec"]
    assert policy["ingress"] == [] if "ingress" in policy else True
    assert "Egress" in policy["policyTypes"]
    blocks = [to["ipBlock"] for rule in policy["egress"] for to in rule["to"] if "ipBlock" in to]
    assert any("169.254.0.0/16" in block["except"] for block in blocks)


@pytest.mark.parametrize(
    ("spec", "why", "words"),
    [
        ({"input": {}}, "InvalidInput", "name"),
        ({"input": {"name": 5}}, "InvalidInput", "name"),
        ({"input": None, "inputJSON": "[1]"}, "InvalidInput", "JSON object"),
        ({"input": None, "inputJSON": "{"}, "InvalidInput", "inputJSON"),
        (
            {"pipelineSpec": {"source": {"inline": "def main(:\n"}}},
            "InvalidSource",
            "main.py line 1",
        ),
        ({"pipelineSpec": {"source": {"inline": "x = 1\n"}}}, "InvalidSource", "main"),
        (
            {"pipelineSpec": {"source": {"inline": SOURCE}, "runtime": "nope"}},
            "NotFound",
            '"nope"',
        ),
        ({"pipelineSpec": None, "pipelineRef": {"name": "nope"}}, "NotFound", '"nope"'),
        (
            {"pipelineSpec": {"source": {"inline": TAKES_A_SECRET}}, "input": {"key": "hunter2"}},
            "InvalidInput",
            "key: is a secret: a PipelineRun is readable, so name a Secret",
        ),
    ],
)
def test_a_wrong_run_ends_without_a_pod(controller, runs, spec, why, words):
    runs.create("wrong", **spec)
    ended = runs.ended("wrong")
    assert reason(ended, "Accepted", "False") == why
    assert reason(ended, "Succeeded", "False") == "Refused"
    assert words in message(ended, "Accepted")
    assert words in ended["status"]["error"]
    assert ended["status"]["phase"] == "Failed"
    assert runs.pods() == []


def test_a_secret_is_named_or_left_out(controller, runs):
    for name, given in (
        ("named", {"key": {"secretKeyRef": {"name": "a", "key": "b"}}}),
        ("absent", {}),
    ):
        runs.create(name, pipelineSpec={"source": {"inline": TAKES_A_SECRET}}, input=given)
        assert reason(runs.claimed(name), "Accepted", "True") == "Accepted"


def test_secrets_stay_in_their_pipelines_namespace(controller, runs, plane):
    other = f"{runs.namespace}-other"
    plane.api.create("namespace", {"metadata": {"name": other}})
    reference = {"name": "tokens", "key": "api"}
    for name, secrets in (("plain", []), ("with", [{"env": "KEY", "secretKeyRef": reference}])):
        plane.apply(
            {
                "apiVersion": "mayfly.dev/v1alpha1",
                "kind": "Pipeline",
                "metadata": {"name": name, "namespace": other},
                "spec": {
                    "source": {"inline": SOURCE},
                    "visibility": "public",
                    "secrets": secrets,
                },
            }
        )
        runs.create(name, pipelineSpec=None, pipelineRef={"name": name, "namespace": other})
    runs.claimed("plain")
    ended = runs.ended("with")
    assert reason(ended, "Accepted", "False") == "Forbidden"
    assert f"only runs in namespace {other} can use" in message(ended, "Accepted")


def test_a_pipeline_is_pinned_as_a_version(controller, runs, plane):
    pipeline = {
        "apiVersion": "mayfly.dev/v1alpha1",
        "kind": "Pipeline",
        "metadata": {"name": "p", "namespace": runs.namespace},
        "spec": {"source": {"inline": SOURCE}},
    }
    plane.apply(pipeline)
    runs.create("a", pipelineSpec=None, pipelineRef={"name": "p"})
    first = runs.claimed("a")["status"]["version"]
    (version,) = plane.api.get("mplv", "-n", runs.namespace)["items"]
    assert version["spec"]["id"] == first
    assert version["metadata"]["name"] == f"p-{first[:10]}"
    assert (
        "name" in version["spec"]["openapiSchema"]["components"]["schemas"]["Input"]["properties"]
    )
    pipeline["spec"]["source"]["inline"] = SOURCE + "# changed\n"
    plane.apply(pipeline)
    runs.create("b", pipelineSpec=None, pipelineRef={"name": "p"})
    assert runs.claimed("b")["status"]["version"] != first
    runs.create("c", pipelineSpec=None, pipelineRef={"name": "p", "version": first})
    assert runs.claimed("c")["status"]["version"] == first


def test_a_broken_pipeline_says_so_and_refuses_runs(controller, runs, plane):
    plane.apply(
        {
            "apiVersion": "mayfly.dev/v1alpha1",
            "kind": "Pipeline",
            "metadata": {"name": "broken", "namespace": runs.namespace},
            "spec": {"source": {"inline": "def main(x: complex) -> str:\n    return ''\n"}},
        }
    )
    runs.create("a", pipelineSpec=None, pipelineRef={"name": "broken"})
    ended = runs.ended("a")
    assert reason(ended, "Accepted", "False") == "InvalidSource"
    assert "complex" in message(ended, "Accepted")


def test_a_cancel_before_the_claim_ends_it_in_one_write(controller, runs, plane):
    plane.api.merge("mprt", "", "default", {"spec": {"maxPods": 1}})
    runs.create("first")
    runs.claimed("first")
    runs.create("second")
    eventually(lambda: reason(runs.get("second"), "Started", "False") == "Queued")
    runs.patch("second", cancel=True)
    ended = runs.ended("second")
    assert reason(ended, "Succeeded", "False") == "Canceled"
    assert reason(ended, "CancelAccepted") == "CancelAccepted"
    assert ended["status"]["phase"] == "Canceled"
    assert "podUID" not in ended["status"]


def test_a_freed_place_goes_to_the_one_who_waits(controller, runs, plane):
    plane.api.merge("mprt", "", "default", {"spec": {"maxPods": 1}})
    runs.create("first")
    pod = runs.claimed("first")["status"]["podName"]
    runs.create("second")
    eventually(lambda: reason(runs.get("second"), "Started", "False") == "Queued")
    assert "maxPods 1" in message(runs.get("second"), "Started")
    runs.run_pod(pod)
    runs.finish("first")
    runs.claimed("second")


def test_a_namespaces_quota_of_active_runs(controller, runs, plane):
    quota = "mayfly.dev/max-active-runs"
    runs.annotate_namespace(quota, "1")
    runs.create("first")
    runs.claimed("first")
    # The annotation and the run reach the controller by two watches, in any order.
    runs.annotate_namespace("touched", "yes")
    runs.create("second")
    eventually(lambda: reason(runs.get("second"), "Started", "False") == "Queued")
    assert quota in message(runs.get("second"), "Started")
    runs.annotate_namespace(quota, "2")
    runs.claimed("second")


def test_the_queue_deadline_ends_the_wait(controller, runs, plane):
    plane.api.merge("mprt", "", "default", {"spec": {"maxPods": 1}})
    runs.create("first")
    runs.claimed("first")
    runs.create("second", queueDeadline="1s")
    ended = runs.ended("second")
    assert reason(ended, "Succeeded", "False") == "QueueDeadlineExceeded"
    assert "maxPods 1" in ended["status"]["error"]


def test_a_cancel_after_the_claim_stops_claims_and_leaves_the_rest_to_the_gateway(controller, runs):
    runs.create("a")
    pod = runs.claimed("a")["status"]["podName"]
    runs.run_pod(pod)
    runs.patch("a", cancel=True)
    eventually(lambda: reason(runs.get("a"), "CancelAccepted", "False") == "ClaimsStopped")
    assert len(runs.pods()) == 1


def test_the_start_deadline_ends_a_pod_that_never_comes(controller, runs):
    runs.create("a", startDeadline="2s")
    pod = runs.claimed("a")["status"]["podName"]
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    runs.pod_status(pod, {"containerStatuses": [container(waiting)]})
    ended = runs.ended("a")
    assert reason(ended, "Succeeded", "False") == "StartDeadlineExceeded"
    assert "no such image" in ended["status"]["error"]
    eventually(lambda: not runs.pods())


def test_an_image_that_cant_be_pulled_is_told_at_once(controller, runs):
    runs.create("a")
    pod = runs.claimed("a")["status"]["podName"]
    waiting = {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}
    runs.pod_status(pod, {"containerStatuses": [container(waiting)]})
    eventually(lambda: reason(runs.get("a"), "Started", "False") == "ImagePull")
    assert "no such image" in message(runs.get("a"), "Started")


def test_a_pod_that_vanished_before_it_started_is_claimed_again(controller, runs, plane):
    runs.create("a")
    first = runs.claimed("a")["status"]
    plane.api.delete("pod", runs.namespace, first["podName"])
    second = eventually(
        lambda: status if (status := runs.get("a")["status"])["attempt"] == 2 else None
    )
    assert second["podUID"] != first["podUID"]
    assert second["podName"].endswith("-2")


def test_a_pod_that_started_is_never_replaced(controller, runs, plane):
    runs.create("a")
    first = runs.claimed("a")["status"]
    runs.run_pod(first["podName"])
    eventually(lambda: len(runs.pods()) == 1)
    plane.api.delete("pod", runs.namespace, first["podName"])
    ended = runs.ended("a")
    assert reason(ended, "Succeeded", "False") == "Lost"
    assert ended["status"]["attempt"] == 1
    assert "deleted" in ended["status"]["error"]


def test_an_outcome_in_the_termination_message_is_the_end(controller, runs):
    created = runs.create("a")
    pod = runs.claimed("a")["status"]["podName"]
    left = {
        "v": 1,
        "run": created["metadata"]["uid"],
        "attempt": 1,
        "outcome": "succeeded",
        "reason": "Succeeded",
        "error": "",
        "started": True,
        "startedAt": "2026-01-01T00:00:01.000000Z",
        "completedAt": "2026-01-01T00:00:02.000000Z",
        "activeMs": 1000,
        "outputJSON": '{"a": null, "b": 1.0}',
        "outputOmitted": False,
    }
    runs.end_pod(pod, json.dumps(left), code=0, reason="Completed")
    ended = runs.ended("a")
    assert reason(ended, "Succeeded") == "Succeeded"
    assert ended["status"]["output"] == {"a": None, "b": 1}
    assert ended["status"]["startedAt"] == "2026-01-01T00:00:01.000000Z"
    assert "finished" not in ended["status"]


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({"reason": "OOMKilled", "code": 137}, "OutOfMemory"),
        ({"reason": "Error", "code": 3}, "Lost"),
    ],
)
def test_a_container_that_left_nothing_is_judged_by_its_state(controller, runs, status, why):
    runs.create("a")
    pod = runs.claimed("a")["status"]["podName"]
    runs.end_pod(pod, "", status["code"], status["reason"])
    assert reason(runs.ended("a"), "Succeeded", "False") == why


def test_an_evicted_pod_ends_its_run(controller, runs):
    runs.create("a")
    pod = runs.claimed("a")["status"]["podName"]
    runs.run_pod(pod)
    eventually(lambda: runs.pods()[0]["status"]["phase"] == "Running")
    runs.pod_status(pod, {"phase": "Failed", "reason": "Evicted", "message": "disk pressure"})
    ended = runs.ended("a")
    assert reason(ended, "Succeeded", "False") == "Evicted"
    assert "disk pressure" in ended["status"]["error"]


def test_the_ttl_deletes_a_finished_run(controller, runs):
    runs.create("a", ttlSecondsAfterFinished=0)
    runs.claimed("a")
    runs.finish("a")
    eventually(lambda: not _names(runs))


def _names(runs: Runs) -> list[str]:
    found = runs.plane.api.get("prun", "-n", runs.namespace)["items"]
    return [each["metadata"]["name"] for each in found]


def test_a_run_that_is_not_recorded_outlives_its_ttl(controller, runs):
    runs.create("wrong", input={}, ttlSecondsAfterFinished=0)
    runs.ended("wrong")
    runs.create("other", ttlSecondsAfterFinished=0)
    runs.claimed("other")
    runs.finish("other")
    eventually(lambda: _names(runs) == ["wrong"])


def test_a_second_leader_takes_over_and_makes_no_second_pod(controllers, runtime, runs):
    first = controllers.start()
    runs.create("a")
    status = runs.claimed("a")["status"]
    controllers.start()
    first.kill()
    first.wait()
    runs.create("b")
    runs.claimed("b")
    assert len(runs.pods()) == 2
    assert runs.get("a")["status"]["podUID"] == status["podUID"]


def test_a_clean_stop_hands_the_lease_over(controllers, runtime, runs, plane):
    first = controllers.start(leaseSeconds=600)
    runs.create("a")
    runs.claimed("a")
    controllers.start(leaseSeconds=600)
    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 0
    runs.create("b")
    runs.claimed("b")


def test_two_leaders_at_once_make_one_pod_and_one_claim(controllers, runtime, runs):
    """As after a pause longer than the Lease: both believe that they lead."""
    controllers.start(leaseName="one")
    controllers.start(leaseName="two")
    for number in range(10):
        runs.create(f"r{number}")
    for number in range(10):
        runs.claimed(f"r{number}")
    pods = runs.pods()
    assert len(pods) == 10
    claimed = {runs.get(f"r{number}")["status"]["podUID"] for number in range(10)}
    assert claimed == {pod["metadata"]["uid"] for pod in pods}
    assert {runs.get(f"r{number}")["status"]["attempt"] for number in range(10)} == {1}


def test_a_default_runtime_is_applied_by_the_leader(controllers, plane, tmp_path, runs):
    file = tmp_path / "runtime.json"
    file.write_text(
        json.dumps(
            {
                "apiVersion": "mayfly.dev/v1alpha1",
                "kind": "PipelineRuntime",
                "metadata": {"name": "default"},
                "spec": {"image": IMAGE, "packages": ["torch==2.9.1+cpu"]},
            }
        )
    )
    controllers.start(runtimeFile=str(file))
    runs.create("a")
    try:
        eventually(lambda: "default" in plane.kubectl("get", "mprt", "-o", "name").stdout)
        packages = ("get", "mprt", "default", "-o", "jsonpath={.status.packages}")
        eventually(lambda: plane.kubectl(*packages).stdout == '["torch==2.9.1+cpu"]')
        # The run may have come before the runtime; then it was refused in words.
        eventually(
            lambda: (
                "podUID" in runs.get("a").get("status", {})
                or reason(runs.get("a"), "Accepted", "False") == "NotFound"
            )
        )
    finally:
        plane.kubectl("delete", "mprt", "default", "--ignore-not-found")


def test_where_a_namespace_has_a_budget_its_gateway_is_asked_first(
    controllers, runtime, runs, plane
):
    """A run by kubectl has no pod before the gateway's word; a child, which is its own, has."""
    budget = "mayfly.dev/budget-monthly"
    # Before the controller: later, annotation and run would reach it by two watches, in any order.
    runs.annotate_namespace(budget, "25")
    controllers.start()
    runs.create("first", queueDeadline="10m")
    eventually(lambda: reason(runs.get("first"), "Started", "False") == "Queued")
    assert budget in message(runs.get("first"), "Started")
    assert runs.pods() == []
    runs.write_status("first", {"budgetChecked": True})
    parent = runs.claimed("first")
    assert parent["status"]["budgetChecked"] is True
    runs.child("child", parent)
    runs.claimed("child")
    # Without the annotation nobody is asked, and what waited goes on.
    runs.create("second")
    eventually(lambda: reason(runs.get("second"), "Started", "False") == "Queued")
    runs.annotate_namespace(budget, None)
    runs.claimed("second")


def test_an_end_by_the_gateway_before_any_claim_is_left_alone(controllers, runtime, runs, plane):
    """Its queue place is free, no pod is made, and the run goes when its time is over."""
    runs.annotate_namespace("mayfly.dev/budget-monthly", "25")
    controllers.start()
    body = runs.create("beyond", ttlSecondsAfterFinished=2)
    eventually(lambda: reason(runs.get("beyond"), "Started", "False") == "Queued")
    run = PipelineRun.model_validate(runs.get("beyond"))
    refusal = Refusal(Reason.BUDGET_EXCEEDED, "No money is left.")
    ended = refused(run, refusal, now=datetime.now(UTC)).body()
    runs.write_status("beyond", {**ended, "recorded": True, "finished": True})
    assert reason(runs.get("beyond"), "Accepted", "False") == "BudgetExceeded"
    gone = plane.kubectl(
        "wait", "--for=delete", f"prun/{body['metadata']['name']}", "-n", runs.namespace,
        "--timeout=60s",
    )  # fmt: skip
    assert gone.returncode == 0
    assert runs.pods() == []
