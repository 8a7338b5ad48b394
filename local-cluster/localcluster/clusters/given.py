"""A cluster that exists already: the one of the caller's kubeconfig."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from localcluster.builds import programs
from localcluster.failure import Failure
from localcluster.images import recipes
from localcluster.images import registry as registries
from localcluster.images.recipes import Recipe
from localcluster.kubectl import Kubectl
from localcluster.progress import note
from localcluster.state import State


class GivenCluster:
    """A cluster that Mayfly is installed on with helm; it is never started or stopped."""

    title = "the cluster of your kubeconfig"
    manifests = ""
    warm = False  # the labels of namespaces are their owner's

    def __init__(self, state: State) -> None:
        self.state = state
        self.values = [
            Path(path) for path in os.environ.get("MAYFLY_VALUES", "").split(":") if path
        ]

    @property
    def kubectl(self) -> Kubectl:
        """A kubectl with the caller's kubeconfig."""
        return Kubectl(self.state.bin / "kubectl", None)

    @property
    def helm(self) -> Path:
        """The user's helm, or our build."""
        return self.state.bin / "helm"

    @property
    def url(self) -> str:
        """$MAYFLY_URL: only the caller knows how to reach the gateway from outside."""
        return os.environ.get("MAYFLY_URL") or "https://mayfly-gateway.mayfly-system.svc"

    def prepare(self, wanted: Sequence[Recipe]) -> None:
        """Do nothing: there is no Kubernetes to compile."""

    def up(self) -> None:
        """Check that the cluster answers."""
        clients = programs.clients()
        self.state.bin.mkdir(parents=True, exist_ok=True)
        for name, target in clients.items():
            (self.state.bin / name).unlink(missing_ok=True)
            (self.state.bin / name).symlink_to(target)
        if not self.running():
            raise Failure(
                "the cluster of your kubeconfig does not answer: try `kubectl cluster-info`"
            )

    def down(self) -> None:
        """Remove only our own state; nothing of the cluster is ours."""
        shutil.rmtree(self.state.folder, ignore_errors=True)

    def running(self) -> bool:
        """Whether the API answers."""
        return self.kubectl.binary.exists() and self.kubectl.ok("get", "--raw=/readyz")

    def image(self, recipe: Recipe) -> str:
        """The image that the caller names; otherwise build one and push it to their registry."""
        named = os.environ.get(f"MAYFLY_{recipe.name.upper()}_IMAGE")
        if named:
            return named
        registry = os.environ.get("MAYFLY_REGISTRY")
        if not registry:
            together = recipes.INSTALLED if recipe in recipes.INSTALLED else (recipe,)
            references = [f"MAYFLY_{each.name.upper()}_IMAGE=…@sha256:…" for each in together]
            raise Failure(
                "your cluster must be able to pull the images; set either\n"
                "  MAYFLY_REGISTRY=registry.example.com/mayfly (to build and push them), or\n"
                f"  {' and '.join(references)}"
            )
        return registries.push(recipe, registry)

    @contextmanager
    def gateway(self) -> Iterator[str]:
        """$MAYFLY_URL, or a port forwarded for the duration of the block."""
        if os.environ.get("MAYFLY_URL"):
            yield self.url
            return
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        forward = ["-n", "mayfly-system", "port-forward", "service/mayfly-gateway", f"{port}:443"]
        process = subprocess.Popen(
            [str(self.kubectl.binary), *forward], env=self.kubectl.env, stdout=subprocess.DEVNULL
        )
        try:
            _wait_for(port, process)
            yield f"https://localhost:{port}"
        finally:
            process.terminate()
            process.wait()

    def status(self) -> list[str]:
        """The address of the cluster."""
        return [self.kubectl.attempt("cluster-info").stdout.strip()]


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(100):
        if process.poll() is not None:
            raise Failure("`kubectl port-forward` to the gateway ended")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    note("the gateway's forwarded port does not answer yet")
