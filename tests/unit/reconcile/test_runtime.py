"""What is said of a PipelineRuntime."""

from datetime import UTC, datetime
from typing import Any

from mayfly.api.v1alpha1 import PipelineRuntime
from mayfly.reconcile.actions import NOTHING
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


def test_what_is_written_of_waiting_pods_stays():
    pods = {"waiting": 2, "booting": 1, "claimed": 0, "namespaces": 1}
    degraded = {
        "type": "Degraded",
        "status": "True",
        "reason": "PodsFail",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    (write,) = plan_runtime(runtime({"warm": pods, "conditions": [degraded]}), NOW).actions
    assert write.status["warm"] == pods
    assert [each["type"] for each in write.status["conditions"]] == ["Degraded", "Ready"]
    assert plan_runtime(runtime(write.status), NOW) == NOTHING
