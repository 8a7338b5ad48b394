"""Tests that take parts of the machine away. They need the local cluster, and it for themselves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.cluster.books import Books
from support.cluster.installation import SYSTEM, Kubectl
from support.cluster.machine import Machine, NotLocal
from support.waiting import eventually

OURS = "app.kubernetes.io/name=mayfly"


@pytest.fixture(scope="session")
def machine(kubectl: Kubectl) -> Machine:
    try:
        return Machine()
    except NotLocal as missing:
        pytest.fail(f"{missing}: these tests stop its processes; MAYFLY_CLUSTER=local make up")


@pytest.fixture
def books(kubectl: Kubectl) -> Books:
    return Books(kubectl)


class Restarts:
    """How often the containers of the installation have started again."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self._before = self._counts()

    def since(self) -> dict[str, int]:
        """By component, since the test began; a pod that is new counts from nothing."""
        return {
            component: sum(
                count - self._before[component].get(pod, 0) for pod, count in counts.items()
            )
            for component, counts in self._counts().items()
        }

    def _counts(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {"controller": {}, "gateway": {}}
        for pod in self._kubectl.json("get", "pods", "-n", SYSTEM, "-l", OURS)["items"]:
            component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
            states = pod["status"].get("containerStatuses", [])
            restarts = sum(each["restartCount"] for each in states)
            found[component][pod["metadata"]["name"]] = restarts
        return found


@pytest.fixture
def restarts(kubectl: Kubectl) -> Restarts:
    return Restarts(kubectl)


@pytest.fixture(autouse=True)
def healed(kubectl: Kubectl) -> Iterator[None]:
    """What a test took away is back before the next one."""
    yield
    for name in ("mayfly-controller", "mayfly-gateway"):
        eventually(lambda name=name: ready(kubectl, name), 180)


def ready(kubectl: Kubectl, deployment: str) -> bool:
    body = kubectl.json("get", "deploy", deployment, "-n", SYSTEM)
    return body["status"].get("readyReplicas", 0) == body["spec"]["replicas"] > 0
