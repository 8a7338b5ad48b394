"""The machine under the local cluster: takes parts of it away, and gives them back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from support.cluster.installation import SYSTEM, Kubectl

from localcluster import state
from localcluster.node.processes import Processes

ROOT = Path(__file__).parents[3]
BALLAST = "ballast"
POD_NAME = "authentication.kubernetes.io/pod-name"


class NotLocal(RuntimeError):
    """There is no local cluster on this machine."""


class Machine:
    """The host processes of the local cluster, and those inside its pods."""

    def __init__(self) -> None:
        self.state = state.current()
        self._processes = Processes(self.state)
        self._audit_log = self.state.folder / "audit.log"
        if not self._processes.running("kube-apiserver"):
            raise NotLocal(f"no local cluster runs from {self.state.folder}")

    @contextmanager
    def silent(self, name: str) -> Iterator[None]:
        """Pause one of the cluster's processes, so that it answers nobody."""
        assert self._processes.pause(name), f"{name} does not run"
        try:
            yield
        finally:
            self._processes.resume(name)

    def kill(self, name: str) -> None:
        """SIGKILL one of the cluster's processes."""
        self._processes.stop(name, grace=0)

    def heal(self) -> None:
        """Restart what was killed."""
        subprocess.run(
            [sys.executable, "-m", "localcluster", "up", "--cluster-only"],
            check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT / "local-cluster")},
        )

    @contextmanager
    def asleep(self, pod: dict[str, Any]) -> Iterator[None]:
        """Pause the processes of a pod."""
        pids = processes_of(pod)
        assert pids, f"no process of {pod['metadata']['name']} on this machine"
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    @contextmanager
    def small_disk(self, kubectl: Kubectl, spare_bytes: int) -> Iterator[Path]:
        """Replace the gateway's volume by a small disk with this much space; yields its folder."""
        folder = self.state.gateway_volume
        aside = folder.with_name(f"{folder.name}-aside")
        size = sum(each.stat().st_size for each in folder.rglob("*")) + spare_bytes
        with no_gateway(kubectl):
            shutil.copytree(folder, aside)
            command("mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", str(folder))
            shutil.copytree(aside, folder, dirs_exist_ok=True)
            own(folder)
        try:
            yield folder
        finally:
            (folder / BALLAST).unlink(missing_ok=True)
            with no_gateway(kubectl):
                shutil.rmtree(aside)
                shutil.copytree(folder, aside)
                command("umount", str(folder))
                shutil.copytree(aside, folder, dirs_exist_ok=True)
                own(folder)
                shutil.rmtree(aside)

    def audited(self) -> int:
        """How much of the API server's audit log is written."""
        return self._audit_log.stat().st_size

    def writes(self, pod: str, namespace: str, since: int) -> list[str]:
        """The writes of a pod of the installation in a namespace: verb, object, code."""
        found = []
        with self._audit_log.open("rb") as lines:
            lines.seek(since)
            for event in map(json.loads, lines):
                names = event["user"].get("extra", {}).get(POD_NAME, [])
                target = event.get("objectRef", {})
                wrote = event["verb"] != "get"
                if wrote and pod in names and target.get("namespace") == namespace:
                    code = event["responseStatus"]["code"]
                    what = f"{target['resource']}/{target.get('name', '')}"
                    found.append(f"{event['verb']} {what} {code}")
        return found


@contextmanager
def without(kubectl: Kubectl, component: str) -> Iterator[None]:
    """Scale the Deployment of the controller or the gateway to zero."""
    deployment = ("-n", SYSTEM, f"deploy/mayfly-{component}")
    replicas = kubectl.json("get", *deployment)["spec"]["replicas"]
    kubectl("scale", *deployment, "--replicas=0")
    try:
        label = f"app.kubernetes.io/component={component}"
        kubectl("wait", "--for=delete", "pod", "-n", SYSTEM, "-l", label, "--timeout=60s")
        yield
    finally:
        kubectl("scale", *deployment, f"--replicas={replicas}")


def no_gateway(kubectl: Kubectl) -> AbstractContextManager[None]:
    """Scale the gateway's Deployment to zero."""
    return without(kubectl, "gateway")


def kill(kubectl: Kubectl, component: str) -> None:
    """Kill the pods of the controller or the gateway like a crash: all at once, no grace period."""
    label = f"app.kubernetes.io/component={component}"
    kubectl("delete", "pods", "-n", SYSTEM, "-l", label, "--grace-period=0", "--force")


def fill(folder: Path) -> Path:
    """Fill up a folder's disk; yields the file that does."""
    ballast = folder / BALLAST
    with ballast.open("wb", buffering=0) as file:
        for size in (1024 * 1024, 4096):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
    return ballast


def own(folder: Path) -> None:
    """Change the owner of a folder and its content to the gateway's user."""
    command("chown", "-R", "65532:65532", str(folder))


def command(*words: str) -> None:
    subprocess.run(words, check=True)


def processes_of(pod: dict[str, Any]) -> list[int]:
    """The host's pids of the processes in a pod, without its pause container."""
    uid = pod["metadata"]["uid"]
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            inside = uid in (entry / "cgroup").read_text()
            command = (entry / "cmdline").read_bytes().split(b"\0")[0]
        except OSError:
            continue  # it ended meanwhile
        if inside and command != b"/pause":
            found.append(int(entry.name))
    return found
