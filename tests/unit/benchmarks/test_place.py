from __future__ import annotations

import pytest
from benchmarks import place, workload
from benchmarks.place import Place

from mayfly.api.v1alpha1 import PipelineRuntime

RUNTIME = {
    "metadata": {"name": "default"},
    "spec": {
        "image": "image@sha256:1",
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1"}},
        "maxPods": 36,
    },
}


def pod(identity, *, ready=True):
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {
        "metadata": {"labels": {"mayfly.dev/id": identity}},
        "status": {"conditions": conditions},
    }


WAITS = pod("waiting")


@pytest.mark.parametrize(
    ("pods", "settled"),
    [
        ({"mayfly-warm-a": WAITS, "mayfly-warm-b": WAITS}, True),
        ({"mayfly-warm-a": WAITS, "mayfly-warm-b": WAITS, "pod-cold-1": pod("")}, True),
        ({"mayfly-warm-a": WAITS}, False),
        ({"mayfly-warm-a": WAITS, "mayfly-warm-b": pod("waiting", ready=False)}, False),
        ({"mayfly-warm-a": WAITS, "mayfly-warm-b": WAITS, "mayfly-warm-c": pod("0f")}, False),
        ({"mayfly-warm-a": WAITS, "mayfly-warm-b": WAITS, "mayfly-0f-1": pod("0f")}, False),
    ],
)
async def test_a_place_is_settled_once_the_pool_alone_is_there(monkeypatch, pods, settled):
    monkeypatch.setattr(place, "SETTLE_SECONDS", 0.01)
    monkeypatch.setattr(place, "CALM_SECONDS", 0.0)
    here = Place(None, RUNTIME, pool=2)
    here.pods.current.update(pods)
    if settled:
        await here.settle()
    else:
        with pytest.raises(TimeoutError, match=r"wait \d of 2 pods, and \d others"):
            await here.settle()


async def test_a_pod_that_a_run_has_just_taken_does_not_wait(monkeypatch):
    monkeypatch.setattr(place, "SETTLE_SECONDS", 0.01)
    here = Place(None, RUNTIME, pool=1)
    here.pods.current["mayfly-warm-a"] = WAITS
    here.runs.current["run"] = {"status": {"podName": "mayfly-warm-a"}}
    with pytest.raises(TimeoutError, match="wait 0 of 1 pods, and 1 others"):
        await here.settle()


def test_the_pools_runtime_differs_in_its_size_and_what_it_asks_for():
    body = workload.runtime_with_pool("bench", RUNTIME["spec"], 20)
    typed = PipelineRuntime.model_validate(body)
    assert (typed.spec.warm.min, typed.spec.warm.max) == (20, 20)
    assert typed.spec.max_pods >= 80
    assert body["spec"]["resources"] == {
        "requests": {"cpu": workload.POOL_CPU, "memory": "1Gi"},
        "limits": {"cpu": "1"},
    }
    assert body["spec"]["image"] == RUNTIME["spec"]["image"]
    assert "warm" not in RUNTIME["spec"]
