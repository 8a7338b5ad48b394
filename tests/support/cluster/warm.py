"""Pools of waiting pods on a real cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from support.cluster.installation import Json, Namespace, runtime, status
from support.waiting import eventually

from mayfly.api.v1alpha1.names import RUN_ID_LABEL, WAITING, WARM_LABEL

FILL_SECONDS = 120


@dataclass(frozen=True)
class WarmPool:
    """The pool of a test's own runtime, in the test's namespace.

    Attributes:
        namespace: where the pods wait.
        runtime: the name of their PipelineRuntime.
        least: how many wait.
    """

    namespace: Namespace
    runtime: str
    least: int

    def run(self, source: str, **spec: Any) -> str:
        """Create a run of this source that may use a waiting pod; returns its name."""
        of = {"source": {"inline": source}, "runtime": self.runtime}
        return self.namespace.create({"pipelineSpec": of, **spec})

    def waiting(self) -> dict[str, Json]:
        """The pods that are ready for a run, by UID; none that one has just taken."""
        runs = self.namespace.kubectl.json("get", "prun", "-n", self.namespace.name)["items"]
        taken = {each.get("status", {}).get("podUID") for each in runs}
        found = self.namespace.kubectl.json(
            "get", "pods", "-n", self.namespace.name, "-l", f"{RUN_ID_LABEL}={WAITING}"
        )["items"]
        return {
            each["metadata"]["uid"]: each
            for each in found
            if status(each, "Ready") == "True"
            and "deletionTimestamp" not in each["metadata"]
            and each["metadata"]["uid"] not in taken
        }

    def filled(self, without: str = "") -> dict[str, Json]:
        """The pods that wait once there are enough, and the controller knows.

        Args:
            without: the UID of one that is not to be among them.
        """

        def full() -> dict[str, Json]:
            pods = self.waiting()
            there = self.namespace.kubectl.json("get", "mprt", self.runtime)
            known = there.get("status", {}).get("warm", {}).get("waiting")
            return pods if len(pods) == known == self.least and without not in pods else {}

        return eventually(full, FILL_SECONDS)


@contextmanager
def pool(namespace: Namespace, least: int) -> Iterator[WarmPool]:
    """A pool of a copy of the default runtime, once it is full."""
    kubectl = namespace.kubectl
    spec = {**kubectl.json("get", "mprt", "default")["spec"], "warm": {"min": least}}
    with runtime(kubectl, f"warm-{namespace.name}", spec) as name:
        labels = {"metadata": {"labels": {WARM_LABEL: name}}}
        kubectl.api.merge("namespace", "", namespace.name, labels)
        made = WarmPool(namespace, name, least)
        made.filled()
        yield made


def was_warm(run: Json) -> bool:
    """Whether a run has a pod that waited."""
    return str(run["status"]["podName"]).startswith("mayfly-warm-")
