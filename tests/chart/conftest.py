"""Renders the chart with helm itself; where a template asks a cluster, a stand-in answers."""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

CHART = Path(__file__).parents[2] / "charts" / "mayfly"
NAMESPACE = "mayfly-system"
DIGEST = "sha256:" + "0123456789abcdef" * 4

REQUIRED = {
    "image": {"reference": f"registry.example/mayfly@{DIGEST}"},
    "runtime": {"default": {"image": f"registry.example/runtime@{DIGEST}"}},
}

SCALED_OUT = {
    "gateway": {
        "replicas": 2,
        "persistence": {"enabled": False},
        "database": {"existingSecret": {"name": "postgres"}},
        "files": {"url": "s3://mayfly", "existingSecret": "s3-keys"},
    }
}

Manifest = dict
Render = Callable[..., "Manifests"]


class Manifests(list[Manifest]):
    """What helm rendered."""

    def named(self, kind: str, name: str) -> Manifest:
        found = [m for m in self if m["kind"] == kind and m["metadata"]["name"] == name]
        assert len(found) == 1, f"{len(found)} of {kind}/{name}"
        return found[0]

    def of(self, kind: str) -> list[Manifest]:
        return [manifest for manifest in self if manifest["kind"] == kind]

    def config(self, file: str) -> dict:
        return json.loads(self.named("ConfigMap", "mayfly-config")["data"][file])


def merged(below: dict, above: dict) -> dict:
    both = dict(below)
    for key, value in above.items():
        inner = below.get(key)
        both[key] = merged(inner, value) if isinstance(inner, dict) and value else value
    return both


@pytest.fixture(scope="session")
def chart() -> Path:
    return CHART


@pytest.fixture(scope="session")
def required() -> dict:
    return REQUIRED


@pytest.fixture(scope="session")
def helm() -> str:
    found = os.environ.get("MAYFLY_HELM") or shutil.which("helm")
    if not found:
        pytest.fail("no helm: put it on PATH or name it in MAYFLY_HELM")
    return found


@pytest.fixture(scope="session")
def helm_template(helm: str, tmp_path_factory: pytest.TempPathFactory) -> Callable:
    folder = tmp_path_factory.mktemp("values")

    def run(values: dict, *arguments: str, chart: Path = CHART) -> subprocess.CompletedProcess:
        file = folder / "values.yaml"
        file.write_text(yaml.safe_dump(values))
        # The version is said, since without a cluster helm assumes one of its own choice.
        command = [helm, "template", "mayfly", str(chart), "--namespace", NAMESPACE]
        command += ["--kube-version", "1.35.0", "--values", str(file), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def render(helm_template: Callable) -> Render:
    """Manifests for the required values with others on top."""

    def run(values: dict | None = None, *arguments: str, chart: Path = CHART) -> Manifests:
        done = helm_template(merged(REQUIRED, values or {}), *arguments, chart=chart)
        assert done.returncode == 0, done.stderr
        return Manifests(m for m in yaml.safe_load_all(done.stdout) if m)

    return run


@pytest.fixture(scope="session")
def refusal(helm_template: Callable) -> Callable[[dict], str]:
    """What helm says of values that it must not take."""

    def run(values: dict) -> str:
        done = helm_template(merged(REQUIRED, values))
        assert done.returncode != 0, "helm took these values"
        return done.stderr

    return run


@pytest.fixture(scope="session")
def default(render: Render) -> Manifests:
    return render()


@pytest.fixture(scope="session")
def scaled_out(render: Render) -> Manifests:
    """Two gateways, with PostgreSQL and an object store."""
    return render(SCALED_OUT)


class SecretsOnly(BaseHTTPRequestHandler):
    """As much of an API server as helm's `lookup` of a Secret needs."""

    secrets: dict[str, Manifest]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        resource = {"name": "secrets", "kind": "Secret", "namespaced": True, "verbs": ["get"]}
        answers = {
            "/api/v1": {
                "kind": "APIResourceList",
                "groupVersion": "v1",
                "resources": [resource],
            },
            **{
                f"/api/v1/namespaces/{NAMESPACE}/secrets/{name}": secret
                for name, secret in self.secrets.items()
            },
        }
        missing = {"kind": "Status", "apiVersion": "v1", "reason": "NotFound", "code": 404}
        body = json.dumps(answers.get(path, missing)).encode()
        self.send_response(200 if path in answers else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Quiet."""


@pytest.fixture
def upgrade(render: Render, tmp_path: Path) -> Iterator[Callable[..., Manifests]]:
    """Renders over what an earlier rendering has left in the cluster."""
    handler = type("Handler", (SecretsOnly,), {"secrets": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        here = {"name": "here", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
        context = {"name": "here", "context": {"cluster": "here", "user": ""}}
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [here],
                    "contexts": [context],
                    "current-context": "here",
                }
            )
        )

        def run(before: Manifests, values: dict | None = None) -> Manifests:
            handler.secrets = {m["metadata"]["name"]: m for m in before.of("Secret")}
            return render(values, "--dry-run=server", "--kubeconfig", str(kubeconfig))

        yield run
        server.shutdown()
        thread.join()
