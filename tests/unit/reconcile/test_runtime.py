"""What is said of a PipelineRuntime."""

from datetime import UTC, datetime
from typing import Any

from mayfly.api.v1alpha1 import PipelineRuntime, Reason, WarmStatus
from mayfly.reconcile.actions import NOTHING
from mayfly.reconcile.observed import Failure
from mayfly.reconcile.runtime import plan_runtime

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def runtime(status: Any = None, **spec: Any) -> PipelineRuntime:
    return PipelineRuntime.model_validate(
        {
            "metadata": {"name": "own", "uid": "1", "resourceVersion": "1", "generation": 1},
            "spec": {"image": f"x@sha256:{'a' * 64}", **spec},
            "status": status or {},
        }
    )


def test_the_status_says_what_runs_find_and_is_written_once():
    spec = {"packages": ["httpx==0.28.1"]}
    (write,) = plan_runtime(runtime(**spec), NOW).actions
    assert write.status["packages"] == ["httpx==0.28.1"]
    assert plan_runtime(runtime(write.status, **spec), NOW) == NOTHING
    (again,) = plan_runtime(runtime(write.status, packages=["httpx==1.0"]), NOW).actions
    assert again.status["packages"] == ["httpx==1.0"]


def degraded(status: Any) -> tuple[str, str, str] | None:
    found = [each for each in status["conditions"] if each["type"] == "Degraded"]
    return (found[0]["status"], found[0]["reason"], found[0]["message"]) if found else None


def test_the_status_says_what_waits_and_why_too_little():
    pods = WarmStatus(waiting=2, booting=1, namespaces=1)
    (write,) = plan_runtime(runtime(), NOW, pods).actions
    assert write.status["warm"] == {"waiting": 2, "booting": 1, "claimed": 0, "namespaces": 1}
    assert degraded(write.status)[:2] == ("False", "AsExpected")
    assert plan_runtime(runtime(write.status), NOW, pods) == NOTHING
    short = Failure(Reason.PODS_FAIL, "In namespace team: pod x ended with exit code 1")
    (worse,) = plan_runtime(runtime(write.status), NOW, pods, short).actions
    assert degraded(worse.status) == ("True", "PodsFail", short.words)
    (none,) = plan_runtime(runtime(worse.status), NOW).actions
    assert none.status["warm"] is None  # a merge patch keeps what it does not name
    assert degraded(none.status) is None


def test_a_runtime_that_is_not_pinned_has_no_waiting_pods_and_says_so():
    (write,) = plan_runtime(runtime(image="x:latest"), NOW, WarmStatus(namespaces=1)).actions
    assert degraded(write.status)[:2] == ("True", "NotPinned")
