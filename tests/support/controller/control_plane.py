"""A real etcd and kube-apiserver for tests, on loopback; no kubelet, no scheduler."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import httpx
from support.cluster.kube_api import KubeAPI
from support.servers.ports import free_port

ADMIN = "test-admin-token"
STAY = {"default", "kube-node-lease", "kube-public", "kube-system", "mayfly-system"}
"""Namespaces that are of no test."""

WATCHED = ("prun", "pod", "mpl", "mmdl")
"""What a controller looks at when it starts, in whatever namespace."""

TOKENS = f"""{ADMIN},admin,admin,"system:masters"
"""


class ControlPlaneError(RuntimeError):
    """The servers did not start; the message has the end of their logs."""


@dataclass
class ControlPlane:
    """etcd and an API server, with their data in a temporary folder."""

    binary: str
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="mayfly-api-")))
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    etcd_port: int = field(default_factory=free_port)
    peer_port: int = field(default_factory=free_port)
    port: int = field(default_factory=free_port)

    @property
    def kubeconfig(self) -> str:
        return str(self.folder / "kubeconfig")

    @cached_property
    def api(self) -> KubeAPI:
        """The API as an administrator."""
        return KubeAPI(
            httpx.Client(
                base_url=f"https://127.0.0.1:{self.port}",
                headers={"Authorization": f"Bearer {ADMIN}"},
                verify=False,
                timeout=30,
            )
        )

    @property
    def authority(self) -> str:
        """The file of the certificates by which the API server is known, once it has started."""
        return str(self.folder / "certs" / "apiserver.crt")

    def start(self) -> None:
        self._keys()
        self._write_kubeconfig()
        self.start_etcd()
        self.start_apiserver()
        self._wait_ready()

    def stop(self) -> None:
        for process in reversed(list(self.processes.values())):
            process.kill()
            process.wait()
        self.api.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start_etcd(self) -> None:
        self._spawn(
            "etcd",
            f"--data-dir={self.folder}/etcd",
            f"--listen-client-urls=http://127.0.0.1:{self.etcd_port}",
            f"--advertise-client-urls=http://127.0.0.1:{self.etcd_port}",
            f"--listen-peer-urls=http://127.0.0.1:{self.peer_port}",
            "--unsafe-no-fsync",
            "--log-level=error",
        )

    def start_apiserver(self) -> None:
        self._spawn(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--cert-dir={self.folder}/certs",
            f"--token-auth-file={self.folder}/tokens.csv",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.97.0.0/24",
            f"--service-account-key-file={self.folder}/sa.pub",
            f"--service-account-signing-key-file={self.folder}/sa.key",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--disable-admission-plugins=ServiceAccount",
            "--v=1",
        )

    def kubectl(
        self, *arguments: str, stdin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as an administrator."""
        done = subprocess.run(
            [self.binary, "kubectl", f"--kubeconfig={self.kubeconfig}", *arguments],
            input=stdin,
            text=True,
            capture_output=True,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done

    def apply(self, *objects: dict) -> None:
        for each in objects:
            self.api.apply(each, each["metadata"].get("namespace", ""))

    def clean(self) -> None:
        """Remove what a test has left in namespaces: nobody collects garbage here.

        It would take places from the next test, and each controller that starts would look at it.
        """
        found = {each["metadata"]["name"] for each in self.api.get("namespaces")["items"]}
        for name in found - STAY:
            for kind in WATCHED:
                self.api.delete(kind, name)
            self.api.remove_namespace(name)

    def _keys(self) -> None:
        key, public = self.folder / "sa.key", self.folder / "sa.pub"
        made = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key]
        subprocess.run(made, check=True, capture_output=True)
        told = ["openssl", "ec", "-in", key, "-pubout", "-out", public]
        subprocess.run(told, check=True, capture_output=True)
        (self.folder / "tokens.csv").write_text(TOKENS)

    def _write_kubeconfig(self) -> None:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "test",
                    "cluster": {
                        "server": f"https://127.0.0.1:{self.port}",
                        "certificate-authority": self.authority,
                    },
                }
            ],
            "users": [{"name": "admin", "user": {"token": ADMIN}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
            "current-context": "test",
        }
        Path(self.kubeconfig).write_text(json.dumps(config))

    def _spawn(self, command: str, *arguments: str) -> None:
        log = (self.folder / f"{command}.log").open("ab")
        with log:
            self.processes[command] = subprocess.Popen(
                [self.binary, command, *arguments],
                stdout=log,
                stderr=log,
                # Garbage is collected half as often: a tenth less CPU for a hundred MB.
                env={**os.environ, "HOME": str(self.folder), "GOGC": "200"},
            )

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise ControlPlaneError(f"{name} ended:\n{self.log(name)}")
            if self.api.ready():
                return
            time.sleep(0.1)
        raise ControlPlaneError(f"not ready:\n{self.log('kube-apiserver')}")

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-4000:]


def start() -> ControlPlane:
    """Start a control plane from the binary that `localcluster binaries` built."""
    binary = os.environ.get("MAYFLY_KUBERNETES_BINARY")
    if not binary:
        raise ControlPlaneError(
            "MAYFLY_KUBERNETES_BINARY is not set: run `make test`, or `PYTHONPATH=local-cluster "
            "python3 -m localcluster binaries` and export what it prints"
        )
    plane = ControlPlane(binary)
    try:
        plane.start()
    except BaseException:
        plane.stop()
        raise
    return plane
