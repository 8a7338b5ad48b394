"""Helpers for tests on a cluster with Mayfly installed: namespaces, runs, waiting."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from support.cluster.kube_api import KubeAPI
from support.waiting import eventually

SYSTEM = "mayfly-system"

MADE_BY = "mayfly-tests"
"""The label of a test's namespace, and the annotation that names the test."""

Json = dict[str, Any]


PODS_GONE_SECONDS = 60.0
"""On a busy machine, and after a gateway that was killed has started again."""

PROXIED_SECONDS = 30.0
"""Maximum time for an answer: while the API server is unavailable there is none."""


class Kubectl:
    """kubectl as the cluster's administrator; `json` reads through `kubectl proxy`.

    Attributes:
        api: the API behind the proxy.
    """

    def __init__(self, api: KubeAPI) -> None:
        self.api = api

    def __call__(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        done = subprocess.run(
            ["kubectl", *arguments], input=stdin, text=True, capture_output=True, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done.stdout if check else done.stdout + done.stderr

    def json(self, verb: str, *arguments: str) -> Any:
        assert verb == "get"
        return self.api.get(*arguments)


@contextmanager
def administrators_kubectl() -> Iterator[Kubectl]:
    """kubectl with the caller's kubeconfig, and a `kubectl proxy` for it."""
    with tempfile.TemporaryDirectory(prefix="mayfly-proxy-") as folder:
        socket = Path(folder, "socket")
        command = ["kubectl", "proxy", f"--unix-socket={socket}"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as proxy:
            try:
                eventually(socket.is_socket)
                transport = httpx.HTTPTransport(uds=str(socket))
                with httpx.Client(
                    base_url="http://localhost", transport=transport, timeout=PROXIED_SECONDS
                ) as client:
                    yield Kubectl(KubeAPI(client))
            finally:
                proxy.kill()


class Namespace:
    """A test's namespace, and what a person does in it."""

    def __init__(self, kubectl: Kubectl, name: str, api: httpx.Client) -> None:
        self.kubectl = kubectl
        self.name = name
        self.api = api

    def apply(self, body: Json) -> None:
        """Create or change an object, or each of a List."""
        for each in body["items"] if body["kind"] == "List" else [body]:
            self.kubectl.api.apply(each, self.name)

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
        return str(self.kubectl.api.create("prun", body, self.name)["metadata"]["name"])

    def get(self, run: str) -> Json:
        return self.kubectl.json("get", "prun", run, "-n", self.name)

    def wait(self, run: str, condition: str = "Finished", seconds: int = 120) -> Json:
        """Wait until the run has a condition; returns the run."""
        return eventually(
            lambda: self.get(run), seconds, lambda body: status(body, condition) == "True"
        )

    def finished(self, run: str, seconds: int = 120) -> Json:
        """The run once its end is final; the ledger closes its row just after that."""
        self.wait(run, seconds=seconds)
        return eventually(lambda: self.get(run), accept=lambda body: body["status"].get("finished"))

    def started(self, run: str) -> Json:
        return self.wait(run, "Started")

    def ready(self, kind: str, name: str, seconds: float = 60) -> Json:
        """Wait until a Pipeline or Model can be called; returns it."""
        return eventually(
            lambda: self.kubectl.json("get", kind, name, "-n", self.name),
            seconds,
            lambda body: status(body, "Ready") == "True",
        )

    def pods(self) -> list[Json]:
        return self.kubectl.json("get", "pods", "-n", self.name)["items"]

    def no_pods(self) -> None:
        eventually(lambda: not self.pods(), PODS_GONE_SECONDS)

    def prediction(self, run: str) -> Json:
        """The run's prediction, from the HTTP API."""
        identity = self.get(run)["status"]["id"]
        answer = self.api.get(f"/v1/predictions/{identity}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def logs(self, run: str) -> str:
        identity = self.get(run)["status"]["id"]
        answer = self.api.get(f"/v1/predictions/{identity}/logs")
        assert answer.status_code == 200, answer.text
        return answer.text


def make_namespace(kubectl: Kubectl, name: str, test: str) -> None:
    """Create a namespace, labelled with the test that owns it."""
    metadata = {"name": name, "labels": {MADE_BY: "e2e"}, "annotations": {MADE_BY: test}}
    kubectl.api.create("namespace", {"metadata": metadata})


def every_namespace_gone(kubectl: Kubectl, seconds: float = 90) -> None:
    """Wait until the namespaces of finished tests are gone, in all test processes."""

    def leaving() -> dict[str, str]:
        return {
            each["metadata"]["name"]: each["metadata"]["annotations"][MADE_BY]
            for each in kubectl.json("get", "namespaces", "-l", MADE_BY)["items"]
            if "deletionTimestamp" in each["metadata"]
        }

    now = leaving()
    eventually(
        lambda: {name: test for name, test in leaving().items() if name in now},
        seconds,
        lambda found: not found,
    )


@contextmanager
def runtime(kubectl: Kubectl, name: str, spec: Json) -> Iterator[str]:
    """Create a PipelineRuntime for one test; returns its name."""
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


def status(body: Json, kind: str) -> str:
    """The status of a condition of an object; "" if it has none yet."""
    listed = body.get("status", {}).get("conditions", [])
    return next((str(each["status"]) for each in listed if each["type"] == kind), "")


def reason(run: Json, kind: str = "Succeeded") -> str:
    return str(next(c["reason"] for c in run["status"]["conditions"] if c["type"] == kind))


def message(run: Json, kind: str = "Succeeded") -> str:
    return str(next(c["message"] for c in run["status"]["conditions"] if c["type"] == kind))
