"""The controller or the gateway is killed around a run. Runs alone: nobody else is to meet that."""

from __future__ import annotations

import time

import httpx
import pytest
from support.cluster.installation import Json, Namespace, message, reason
from support.cluster.machine import kill
from support.cluster.programs import SLOW
from support.cluster.warm import pool
from support.waiting import eventually


def test_a_pod_deleted_while_running_and_nobody_reads_its_last_words(namespace, kubectl):
    """The pod is gone when a controller is there again, its termination message with it: the run
    is billed to what its agent told the gateway."""
    run = namespace.run(SLOW, input={"seconds": 600})
    pod = namespace.started(run)["status"]["podName"]
    kill(kubectl, "controller")
    kubectl("delete", "pod", pod, "-n", namespace.name, "--timeout=60s")
    ended = namespace.finished(run, seconds=180)
    assert reason(ended) == "Lost"
    assert message(ended) == "The pod was deleted while the run was in it."
    assert ended["status"]["usage"]["activeMilliseconds"] > 0
    assert ended["status"]["startedAt"]
    namespace.no_pods()


@pytest.mark.parametrize("component", ["controller", "gateway"])
def test_killed_while_a_run_is_on_its_way(namespace, kubectl, component):
    run = namespace.run(SLOW, input={"seconds": 1})
    eventually(lambda: "podName" in namespace.get(run).get("status", {}))
    kill(kubectl, component)
    ended = namespace.finished(run, seconds=180)
    assert reason(ended) == "Succeeded", message(ended)
    assert ended["status"]["attempt"] == 1
    assert namespace.logs(run).count("before") == 1
    namespace.no_pods()


@pytest.mark.parametrize("component", ["controller", "gateway"])
def test_killed_before_the_run_is_seen(namespace, kubectl, component):
    kill(kubectl, component)
    run = namespace.run(SLOW, input={"seconds": 0})
    ended = namespace.finished(run, seconds=180)
    assert reason(ended) == "Succeeded", message(ended)
    namespace.no_pods()


@pytest.mark.parametrize("component", ["controller", "gateway"])
def test_killed_while_a_run_is_running(namespace, kubectl, component):
    run = namespace.run(SLOW, input={"seconds": 8})
    namespace.started(run)
    kill(kubectl, component)
    ended = namespace.finished(run, seconds=180)
    assert reason(ended) == "Succeeded", message(ended)
    assert namespace.logs(run).split() == ["before", "after"]
    assert 8000 <= ended["status"]["usage"]["activeMilliseconds"] < 16_000
    namespace.no_pods()


@pytest.mark.parametrize("component", ["controller", "gateway"])
def test_killed_while_a_run_is_ending(namespace, kubectl, component):
    """The kill lands around the moment at which main() returns."""
    run = namespace.run(SLOW, input={"seconds": 3})
    began = time.monotonic()
    namespace.started(run)
    time.sleep(max(0.0, 1.0 - (time.monotonic() - began) % 1.0))
    kill(kubectl, component)
    ended = namespace.finished(run, seconds=180)
    assert reason(ended) == "Succeeded", message(ended)
    assert eventually(lambda: shown(namespace, ended))["output"] == "done"
    namespace.no_pods()


@pytest.mark.parametrize("component", ["controller", "gateway"])
def test_killed_while_pods_wait_and_they_go_on_waiting(namespace, kubectl, component):
    with pool(namespace, 2) as warm:
        before = warm.filled()
        kill(kubectl, component)
        run = warm.run(SLOW, input={"seconds": 0})
        ended = namespace.finished(run, seconds=180)
        assert reason(ended) == "Succeeded", message(ended)
        assert ended["status"]["podUID"] in before
        left = before.keys() - {ended["status"]["podUID"]}
        assert left < warm.filled().keys()
    namespace.no_pods()


def shown(namespace: Namespace, run: Json) -> Json:
    """A run by HTTP; nothing where the gateway is just being killed."""
    try:
        answer = namespace.api.get(f"/v1/predictions/{run['status']['id']}")
    except httpx.TransportError:
        return {}
    return answer.json() if answer.is_success else {}
