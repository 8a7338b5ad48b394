"""What people, a kubelet and a gateway do with the pods that wait in one namespace."""

from __future__ import annotations

from typing import Any

from support.controller.control_plane import ControlPlane
from support.controller.world import IMAGE, Controllers, Runs, container
from support.waiting import eventually

Json = dict[str, Any]

WARM, ID = "mayfly.dev/warm", "mayfly.dev/id"


class Pool:
    """The pool of a PipelineRuntime, made with it, in the namespace of some runs."""

    def __init__(
        self, runs: Runs, controllers: Controllers, runtime: str = "default", **warm: int
    ) -> None:
        self.runs = runs
        self.controllers = controllers
        self.plane: ControlPlane = runs.plane
        self.runtime = runtime
        self.plane.apply(
            {
                "apiVersion": "mayfly.dev/v1alpha1",
                "kind": "PipelineRuntime",
                "metadata": {"name": runtime},
                "spec": {"image": IMAGE, "warm": warm},
            }
        )

    def label(self, runtime: str | None = "") -> None:
        """Ask for the pool in the namespace, or for another one, or none."""
        change = {"metadata": {"labels": {WARM: self.runtime if runtime == "" else runtime}}}
        self.plane.api.merge("namespace", "", self.runs.namespace, change)

    def change(self, **spec: object) -> None:
        """Change the runtime."""
        self.plane.api.merge("mprt", "", self.runtime, {"spec": spec})

    def pods(self) -> list[Json]:
        """The pods that wait and that no run has claimed."""
        found = self.plane.api.get("pods", "-n", self.runs.namespace, "-l", f"{ID}=waiting")
        # Asked second: a pod that comes after a claim is never seen without the claim.
        every = self.plane.api.get("prun", "-n", self.runs.namespace)["items"]
        claimed = {each.get("status", {}).get("podUID") for each in every}
        return [each for each in found["items"] if each["metadata"]["uid"] not in claimed]

    def names(self) -> set[str]:
        return {each["metadata"]["name"] for each in self.pods()}

    def boot(self, pod: Json) -> None:
        """Start a pod, and let it become ready, like the kubelet."""
        metadata = pod["metadata"]
        began = metadata["creationTimestamp"]
        running = {**container({"running": {"startedAt": began}}), "started": True, "ready": True}
        status = {
            "phase": "Running",
            "startTime": began,
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": began}],
            "containerStatuses": [running],
        }
        # Another leader may delete it.
        self.plane.api.try_merge(
            "pod", self.runs.namespace, metadata["name"], {"status": status}, "status"
        )

    def came(self, count: int) -> list[Json]:
        """Wait for so many pods, in whatever state."""
        eventually(lambda: len(self.pods()), accept=lambda seen: seen == count)
        return self.pods()

    def fill(self, count: int, everywhere: int | None = None) -> set[str]:
        """Boot pods as they come, until the controller knows of so many; their names.

        Args:
            count: how many here.
            everywhere: how many in all namespaces together; by default those that are here.
        """
        known = count if everywhere is None else everywhere

        def ready() -> bool:
            there = self.pods()
            coming = [each for each in there if not is_ready(each)]
            for each in coming:
                self.boot(each)
            # Its status tells the same, some seconds later.
            told = self.controllers.metric('mayfly_warm_pods{state="waiting"}')
            return not coming and len(there) == count and told == known

        eventually(ready)
        return self.names()

    def status(self) -> Json:
        return dict(self.plane.api.get("mprt", self.runtime).get("status", {}))

    def shows(self, **counts: int) -> None:
        """Wait until the runtime's status has these counts."""
        eventually(
            lambda: self.status().get("warm", {}),
            accept=lambda seen: counts.items() <= seen.items(),
        )

    def degraded(self) -> Json:
        """The condition that says whether fewer pods wait than should; empty before it is there."""
        found = self.status().get("conditions", [])
        return next((each for each in found if each["type"] == "Degraded"), {})


def is_ready(pod: Json) -> bool:
    """Whether the kubelet says that a pod is ready."""
    found = pod["status"].get("conditions", [])
    return any((each["type"], each["status"]) == ("Ready", "True") for each in found)


def owner(pod: Json) -> tuple[str, str]:
    """The kind and the name of what a pod belongs to."""
    [found] = pod["metadata"]["ownerReferences"]
    return found["kind"], found["name"]
