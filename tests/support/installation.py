"""What tests do with a cluster on which Mayfly is installed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from support.waiting import eventually

SYSTEM = "mayfly-system"

Json = dict[str, Any]


class Kubectl:
    """kubectl as the cluster's administrator."""

    def __call__(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        done = subprocess.run(
            ["kubectl", *arguments], input=stdin, text=True, capture_output=True, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done.stdout if check else done.stdout + done.stderr

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "-o", "json"))


class Namespace:
    """One namespace and what a person does in it."""

    def __init__(self, kubectl: Kubectl, name: str, api: httpx.Client) -> None:
        self.kubectl = kubectl
        self.name = name
        self.api = api

    def apply(self, body: Json) -> None:
        self.kubectl("apply", "-n", self.name, "-f", "-", stdin=json.dumps(body))

    def run(self, source: str, /, name: str = "", **spec: Any) -> str:
        """Create a run of this source; returns its name."""
        return self.create({"pipelineSpec": {"source": {"inline": source}}, **spec}, name)

    def create(self, spec: Json, name: str = "") -> str:
        metadata = {"name": name} if name else {"generateName": "run-"}
        body = {
            "apiVersion": "mayfly.dev/v1alpha1",
            "kind": "PipelineRun",
            "metadata": metadata,
            "spec": spec,
        }
        made = self.kubectl(
            "create", "-n", self.name, "-f", "-", "-o", "name", stdin=json.dumps(body)
        )
        return made.strip().split("/")[1]

    def get(self, run: str) -> Json:
        return self.kubectl.json("get", "prun", run, "-n", self.name)

    def wait(self, run: str, condition: str = "Finished", seconds: int = 120) -> Json:
        self.kubectl(
            "wait",
            f"--for=condition={condition}",
            f"prun/{run}",
            "-n",
            self.name,
            f"--timeout={seconds}s",
        )
        return self.get(run)

    def finished(self, run: str, seconds: int = 120) -> Json:
        """The run once its end is in the ledger too."""
        self.wait(run, seconds=seconds)
        return eventually(
            lambda: body if (body := self.get(run))["status"].get("finished") else None
        )

    def started(self, run: str) -> Json:
        return self.wait(run, "Started")

    def pods(self) -> list[Json]:
        return self.kubectl.json("get", "pods", "-n", self.name)["items"]

    def no_pods(self) -> None:
        eventually(lambda: not self.pods())

    def prediction(self, run: str) -> Json:
        """The run as the HTTP API shows it."""
        identity = self.get(run)["status"]["id"]
        answer = self.api.get(f"/v1/predictions/{identity}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def logs(self, run: str) -> str:
        identity = self.get(run)["status"]["id"]
        answer = self.api.get(f"/v1/predictions/{identity}/logs")
        assert answer.status_code == 200, answer.text
        return answer.text


@contextmanager
def runtime(kubectl: Kubectl, name: str, spec: Json) -> Iterator[str]:
    """A PipelineRuntime of a test's own; its name."""
    body = {
        "apiVersion": "mayfly.dev/v1alpha1",
        "kind": "PipelineRuntime",
        "metadata": {"name": name},
        "spec": spec,
    }
    kubectl("create", "-f", "-", stdin=json.dumps(body))
    try:
        yield name
    finally:
        kubectl("delete", "mprt", name)


def reason(run: Json, kind: str = "Succeeded") -> str:
    return str(next(c["reason"] for c in run["status"]["conditions"] if c["type"] == kind))


def message(run: Json, kind: str = "Succeeded") -> str:
    return str(next(c["message"] for c in run["status"]["conditions"] if c["type"] == kind))
