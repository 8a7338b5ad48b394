"""What goes wrong while a run is on its way, running or ending: it ends right, once."""

from __future__ import annotations

from support.cluster.installation import message, reason
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
