"""What goes wrong while a run is on its way, running or ending: it ends right, once."""

from __future__ import annotations

import time

import pytest
from support.cluster.installation import SYSTEM, message, reason
from support.cluster.programs import SLOW
from support.waiting import eventually


def test_a_user_exception(namespace):
    source = "def main() -> str:\n    value = {}\n    return value['missing']\n"
    run = namespace.run(source)
    ended = namespace.finished(run)
    assert reason(ended) == "UserError"
    assert ended["status"]["error"] == "KeyError: 'missing'"
    logs = namespace.logs(run)
    assert 'File "main.py", line 3, in main' in logs or "main.py" in logs
    assert "value['missing']" in logs
    assert ended["status"]["usage"]["final"] is True
    namespace.no_pods()


def test_os_exit(namespace):
    run = namespace.run("import os\ndef main() -> str:\n    os._exit(3)\n")
    ended = namespace.finished(run)
    assert reason(ended) == "Exited"
    assert "3" in ended["status"]["error"]
    assert message(ended) == ended["status"]["error"]
    namespace.no_pods()


def test_out_of_memory(namespace):
    source = (
        "def main() -> int:\n    hoard = []\n    while True:\n"
        "        hoard.append(bytearray(64 * 1024 * 1024))\n"
    )
    ended = namespace.finished(namespace.run(source), seconds=240)
    assert reason(ended) == "OutOfMemory"
    assert "memory" in message(ended)
    assert ended["status"]["usage"]["activeMilliseconds"] > 0
    namespace.no_pods()


def test_the_timeout(namespace):
    run = namespace.run(SLOW, input={"seconds": 600}, timeout="2s")
    ended = namespace.finished(run)
    assert reason(ended) == "TimedOut"
    assert message(ended) == "main() ran longer than its timeout of 2 s"
    assert "before" in namespace.logs(run)
    assert "after" not in namespace.logs(run)
    assert 2000 <= ended["status"]["usage"]["activeMilliseconds"] < 60_000
    namespace.no_pods()


def test_a_cancel_while_it_runs(namespace, kubectl):
    run = namespace.run(SLOW, input={"seconds": 600})
    namespace.started(run)
    kubectl(
        "patch", "prun", run, "-n", namespace.name, "--type=merge", "-p", '{"spec":{"cancel":true}}'
    )
    ended = namespace.finished(run)
    assert reason(ended) == "Canceled"
    assert ended["status"]["phase"] == "Canceled"
    assert "cancel" in message(ended)
    assert reason(ended, "CancelAccepted") == "CancelAccepted"
    assert ended["status"]["usage"]["activeMilliseconds"] > 0
    assert namespace.prediction(run)["status"] == "canceled"
    namespace.no_pods()


def test_a_pod_deleted_while_running(namespace, kubectl):
    run = namespace.run(SLOW, input={"seconds": 600})
    pod = namespace.started(run)["status"]["podName"]
    kubectl("delete", "pod", pod, "-n", namespace.name, "--wait=false")
    ended = namespace.finished(run)
    assert reason(ended) == "Lost"
    assert message(ended) == "The pod was deleted while the run was in it."
    assert ended["status"]["attempt"] == 1
    assert ended["status"]["usage"]["activeMilliseconds"] > 0
    namespace.no_pods()


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


def test_a_run_deleted_while_running(namespace, kubectl):
    run = namespace.run(SLOW, input={"seconds": 600})
    identity = namespace.started(run)["status"]["id"]
    kubectl("delete", "prun", run, "-n", namespace.name, "--timeout=60s")
    namespace.no_pods()
    closed = eventually(
        lambda: (
            body
            if (body := namespace.api.get(f"/v1/predictions/{identity}").json()).get("status")
            in {"failed", "canceled"}
            else None
        )
    )
    assert closed["completed_at"]


def kill(kubectl, component: str) -> None:
    """As a crash: no grace, all replicas at once."""
    kubectl(
        "delete",
        "pods",
        "-n",
        SYSTEM,
        "-l",
        f"app.kubernetes.io/component={component}",
        "--grace-period=0",
        "--force",
    )


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
    assert namespace.prediction(run)["output"] == "done"
    namespace.no_pods()
