"""A Prometheus (Debian's package) that scrapes the installed chart.

It scrapes each pod through the API server, so it works on any cluster that kubectl can reach.
Debian's build has no service discovery for Kubernetes, so a thread lists the pods, because other
tests kill some in the meantime.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import httpx
import yaml
from support.cluster.installation import SYSTEM, Kubectl
from support.families import ALERTS
from support.servers.ports import free_port
from support.waiting import eventually

Json = dict[str, Any]
ACCOUNT = f"e2e-prometheus-{os.getpid()}"
LOOK_SECONDS = 2.0


class Prometheus:
    """A Prometheus server with its data in a folder."""

    def __init__(self, kubectl: Kubectl, folder: Path) -> None:
        self._kubectl = kubectl
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._looking = threading.Thread(target=self._look, name="prometheus-targets")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        program = shutil.which("prometheus")
        assert program, "no prometheus: python3 -m localcluster packages installs it"
        self._permit()
        (self._folder / "prometheus.yaml").write_text(yaml.safe_dump(self._config()))
        self._write_targets()
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    f"--config.file={self._folder}/prometheus.yaml",
                    f"--storage.tsdb.path={self._folder}/data",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                ],
                stdout=log,
                stderr=log,
            )
        self._looking.start()
        eventually(self._ready)

    def stop(self) -> None:
        self._stopping.set()
        if self._looking.ident is not None:
            self._looking.join()
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
        for kind in ("rolebinding", "role", "serviceaccount"):
            self._kubectl("delete", kind, ACCOUNT, "-n", SYSTEM, "--ignore-not-found")

    def log(self) -> str:
        return (self._folder / "prometheus.log").read_text()[-5000:]

    # -- what it knows ---------------------------------------------------------------------------

    def ask(self, path: str, **query: str) -> Any:
        """The data of an answer of its HTTP API."""
        with httpx.Client(trust_env=False, timeout=30) as client:
            answer = client.get(f"{self.url}/api/v1/{path}", params=query)
        body = answer.json()
        assert body["status"] == "success", f"{query}: {body}"
        assert not body.get("warnings"), f"{query}: {body['warnings']}"
        return body["data"]

    def query(self, expr: str) -> list[Json]:
        """The current result of an expression."""
        data = self.ask("query", query=expr)
        assert data["resultType"] == "vector", expr
        return list(data["result"])

    # -- the way in ------------------------------------------------------------------------------

    def _permit(self) -> None:
        """Create an account that may read the pods' metrics through the API server."""
        kubectl = self._kubectl
        place = ("-n", SYSTEM)
        kubectl("create", "serviceaccount", ACCOUNT, *place, check=False)
        kubectl(
            *("create", "role", ACCOUNT, *place, "--verb=get", "--resource=pods/proxy"),
            check=False,
        )
        kubectl(
            *("create", "rolebinding", ACCOUNT, *place, f"--role={ACCOUNT}"),
            f"--serviceaccount={SYSTEM}:{ACCOUNT}",
            check=False,
        )
        token = kubectl("create", "token", ACCOUNT, *place, "--duration=2h").strip()
        (self._folder / "token").write_text(token)

    def _cluster(self) -> Json:
        shown = self._kubectl("config", "view", "--minify", "--flatten", "-o", "json")
        return dict(json.loads(shown)["clusters"][0]["cluster"])

    def _config(self) -> Json:
        authority = self._cluster().get("certificate-authority-data", "")
        (self._folder / "ca.crt").write_bytes(base64.b64decode(authority))
        return {
            "global": {
                "scrape_interval": "1s",
                "scrape_timeout": "1s",
                "evaluation_interval": "1s",
            },
            "rule_files": [str(ALERTS)],
            "scrape_configs": [
                {
                    "job_name": "mayfly",
                    "scheme": "https",
                    # As the chart's monitors do where the label `namespace` is switched on.
                    "honor_labels": True,
                    "authorization": {"credentials_file": str(self._folder / "token")},
                    "tls_config": {"ca_file": str(self._folder / "ca.crt")},
                    "file_sd_configs": [
                        {"files": [str(self._folder / "targets.json")], "refresh_interval": "2s"}
                    ],
                }
            ],
        }

    def _look(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            self._write_targets()

    def _write_targets(self) -> None:
        shown = self._kubectl(
            *("get", "pods", "-n", SYSTEM, "-l", "app.kubernetes.io/name=mayfly", "-o", "json"),
            check=False,
        )
        try:
            pods = json.loads(shown)["items"]
        except ValueError:
            return  # the API server is away for a moment
        host = self._cluster()["server"].removeprefix("https://")
        pages = f"/api/v1/namespaces/{SYSTEM}/pods"
        targets = [
            {
                "targets": [host],
                "labels": {
                    "__metrics_path__": f"{pages}/{name}:8080/proxy/metrics",
                    "instance": name,
                },
            }
            for name in (pod["metadata"]["name"] for pod in pods if _runs(pod))
        ]
        new = self._folder / "targets.json.new"
        new.write_text(json.dumps(targets))
        new.rename(self._folder / "targets.json")

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        try:
            with httpx.Client(trust_env=False) as client:
                return client.get(f"{self.url}/-/ready").status_code == 200
        except httpx.TransportError:
            return False


def _runs(pod: Json) -> bool:
    return pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
