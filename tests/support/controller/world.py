"""Real controller processes, and the actors around them: people, the kubelet, the gateway."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
from support.controller.control_plane import ControlPlane
from support.controller.process import ControllerProcess
from support.servers.ports import free_port
from support.waiting import eventually

from mayfly.api.v1alpha1.identity import run_id

SOURCE = "def main(name: str, times: int = 1) -> str:\n    return name * times\n"
IMAGE = f"example.test/runtime@sha256:{'0' * 64}"

Json = dict[str, Any]


class Controllers:
    """Controller processes, each with its own identity, sharing one Lease."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self.plane = plane
        self.folder = folder
        self.running: list[ControllerProcess] = []
        self._port = 0

    def start(
        self, *, identity: str = "", kubeconfig: str = "", **config: object
    ) -> ControllerProcess:
        """Start another controller.

        Args:
            identity: its pod's name; unique by default. A restarted container keeps its pod,
                and so its name.
            kubeconfig: how to reach the API server; directly by default.
            config: settings that differ from the default of the tests.
        """
        number = len(self.running)
        settings = {
            "gatewayURL": "https://gateway.test",
            "leaseName": "mayfly-controller",
            "leaseSeconds": 6,
            "sweepSeconds": 5,
            "networkPolicy": {
                "gatewayNamespace": "mayfly-system",
                "gatewayPodLabels": {"app": "gateway"},
            },
            "listenPort": free_port(),
            **config,
        }
        self._port = settings["listenPort"]
        file = self.folder / f"controller-{number}.json"
        file.write_text(json.dumps(settings))
        environment = {
            "MAYFLY_CONFIG": str(file),
            "KUBECONFIG": kubeconfig or self.plane.kubeconfig,
            # As in a pod: it reads this authority, never the machine's hundreds, which take longer
            # than all else that it does at its start.
            "SSL_CERT_FILE": self.plane.authority,
            "POD_NAMESPACE": "default",
            "POD_NAME": identity or f"controller-{number}",
        }
        process = ControllerProcess(environment, self.folder / f"controller-{number}.log")
        self.running.append(process)
        return process

    def metric(self, sample: str) -> float:
        """A number of the controller that was started last; -1 before it serves any.

        Args:
            sample: its name and labels, as they are exposed.
        """
        try:
            text = httpx.get(f"http://127.0.0.1:{self._port}/metrics").text
        except httpx.TransportError:
            return -1.0
        found = (line.rpartition(" ") for line in text.splitlines())
        return next((float(number) for name, _, number in found if name == sample), -1.0)

    def stop(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()

    def logs(self) -> str:
        return "\n".join(each.read_text()[-20000:] for each in self.folder.glob("*.log"))


class Runs:
    """What a user and a kubelet do in one namespace."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self.plane = plane
        self.namespace = namespace

    def create(self, name: str, **spec: object) -> Json:
        """Create a run, like a person."""
        return self._create({"name": name}, spec)

    def child(self, name: str, parent: Json, **spec: object) -> Json:
        """Create a child run, like the gateway; `parent` is the parent's current object."""
        above = parent["metadata"]
        root = parent["status"]["rootRef"]["uid"]
        owner = {"apiVersion": parent["apiVersion"], "kind": "PipelineRun"}
        labels = {
            "mayfly.dev/root": run_id(root),
            "mayfly.dev/parent": run_id(above["uid"]),
            "mayfly.dev/depth": str(parent["status"]["depth"] + 1),
        }
        reference = {"name": above["name"], "uid": above["uid"]}
        metadata = {"labels": labels, "ownerReferences": [{**owner, **reference}]}
        return self._create({"name": name, **metadata}, {"parentRef": reference, **spec})

    def _create(self, metadata: Json, spec: Json) -> Json:
        body = {
            "apiVersion": "mayfly.dev/v1alpha1",
            "kind": "PipelineRun",
            "metadata": {"namespace": self.namespace, **metadata},
            "spec": {
                "pipelineSpec": {"source": {"inline": SOURCE}},
                "input": {"name": "a"},
                **spec,
            },
        }
        body["spec"] = {key: value for key, value in body["spec"].items() if value is not None}
        return self.plane.api.create("prun", body, self.namespace)

    def get(self, name: str) -> Json:
        return self.plane.api.get("prun", name, "-n", self.namespace)

    def annotate_namespace(self, name: str, value: str | None) -> None:
        """Set an annotation of the namespace, or remove it."""
        change = {"metadata": {"annotations": {name: value}}}
        self.plane.api.merge("namespace", "", self.namespace, change)

    def pods(self) -> list[Json]:
        pods: list[Json] = self.plane.api.get("pods", "-n", self.namespace)["items"]
        return pods

    def claimed(self, name: str) -> Json:
        return eventually(
            lambda: run if "podUID" in (run := self.get(name)).get("status", {}) else None
        )

    def ended(self, name: str) -> Json:
        return eventually(lambda: reason(self.get(name), "Finished") and self.get(name))

    def patch(self, name: str, **spec: object) -> None:
        self.plane.api.merge("prun", self.namespace, name, {"spec": spec})

    def pod_status(self, pod: str, status: Json) -> None:
        """Write a pod's status, like a kubelet."""
        self.plane.api.merge("pod", self.namespace, pod, {"status": status}, "status")

    def run_pod(self, pod: str) -> None:
        state = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
        self.pod_status(pod, {"phase": "Running", "containerStatuses": [container(state)]})

    def end_pod(self, pod: str, message: str = "", code: int = 1, reason: str = "Error") -> None:
        state = {
            "terminated": {
                "exitCode": code,
                "reason": reason,
                "message": message,
                "startedAt": "2026-01-01T00:00:00Z",
                "finishedAt": "2026-01-01T00:00:05Z",
            }
        }
        phase = "Succeeded" if code == 0 else "Failed"
        self.pod_status(pod, {"phase": phase, "containerStatuses": [container(state)]})

    def finish(self, name: str) -> None:
        """Finish a run, like the gateway after an agent's result is in the ledger."""
        body = self.get(name)
        kept = [
            each
            for each in body["status"]["conditions"]
            if each["type"] not in {"Finished", "Succeeded"}
        ]
        stamp = "2026-01-01T00:00:05Z"
        ends = [("Finished", "Finished"), ("Succeeded", "Succeeded")]
        new = [
            {
                "type": kind,
                "status": "True",
                "reason": why,
                "message": "",
                "lastTransitionTime": stamp,
            }
            for kind, why in ends
        ]
        status = {"conditions": kept + new, "recorded": True, "finished": True, "output": "aa"}
        self.write_status(name, status)

    def write_status(self, name: str, status: Json) -> None:
        """Merge into a run's status."""
        self.plane.api.merge("prun", self.namespace, name, {"status": status}, "status")


def container(state: Json) -> Json:
    return {
        "name": "agent",
        "state": state,
        "lastState": {},
        "ready": False,
        "restartCount": 0,
        "image": IMAGE,
        "imageID": "",
    }


def reason(run: Json, kind: str, status: str = "True") -> str | None:
    for each in run.get("status", {}).get("conditions", []):
        if each["type"] == kind and each["status"] == status:
            return str(each["reason"])
    return None


def message(run: Json, kind: str) -> str:
    return next(c["message"] for c in run["status"]["conditions"] if c["type"] == kind)
