"""The cluster for machines with Docker: kind, with kind-config.yaml."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from localcluster.builds import cache, programs
from localcluster.clone import LOCAL_CLUSTER, ROOT
from localcluster.failure import Failure
from localcluster.images import recipes
from localcluster.images.docker import Docker
from localcluster.images.recipes import Image, Recipe
from localcluster.kubectl import Kubectl
from localcluster.progress import note, step
from localcluster.state import State, write

_NAME = "mayfly"
_NODE = f"{_NAME}-control-plane"
_CTR = ["docker", "exec", _NODE, "ctr", "--namespace", "k8s.io"]


class KindCluster:
    """A kind cluster of one node, called mayfly."""

    title = "the kind cluster `mayfly`"
    url = "https://127.0.0.1:8443"  # mapped by kind-config.yaml
    manifests = ""  # kind has a StorageClass
    warm = True

    def __init__(self, state: State) -> None:
        self.state = state
        self.values = [LOCAL_CLUSTER / "values-kind.yaml"]

    @property
    def kubectl(self) -> Kubectl:
        """An administrator's kubectl."""
        return Kubectl(self.state.bin / "kubectl", self.state.kubeconfig)

    @property
    def helm(self) -> Path:
        """The user's helm, or our build."""
        return self.state.bin / "helm"

    def prepare(self, wanted: Sequence[Recipe]) -> None:
        """Do nothing: there is no Kubernetes to compile."""

    def up(self) -> None:
        """Create the cluster, or start its stopped node."""
        missing = [name for name in ("docker", "kind") if shutil.which(name) is None]
        if missing:
            raise Failure(f"{self.title} needs {' and '.join(missing)}: install, or choose another")
        clients = programs.clients()
        with self.state.locked(), step("start kind", _log("kind")) as current:
            self.state.bin.mkdir(parents=True, exist_ok=True)
            for name, target in clients.items():
                (self.state.bin / name).unlink(missing_ok=True)
                (self.state.bin / name).symlink_to(target)
            if _NAME not in _output("kind", "get", "clusters").split():
                config = ROOT / "kind-config.yaml"
                current.run(
                    ["kind", "create", "cluster", "--name", _NAME, "--config", config,
                     "--kubeconfig", self.state.kubeconfig, "--wait", "180s"]
                )  # fmt: skip
            else:
                current.run(["docker", "start", _NODE])  # nothing to do for one that runs
                write(self.state.kubeconfig, _output("kind", "get", "kubeconfig", "--name", _NAME))
            current.wait(lambda: self.kubectl.ok("get", "--raw=/readyz"), 120, "the API is ready")

    def down(self) -> None:
        """Delete the cluster."""
        with self.state.locked():
            if shutil.which("kind") is None:
                note("kind is not installed")
                return
            with step("delete the kind cluster", _log("kind")) as current:
                current.run(["kind", "delete", "cluster", "--name", _NAME])
                shutil.rmtree(self.state.folder, ignore_errors=True)

    def running(self) -> bool:
        """Whether the API answers."""
        return self.state.kubeconfig.exists() and self.kubectl.ok("get", "--raw=/readyz")

    def image(self, recipe: Recipe) -> str:
        """Build with Docker, load the image into the node, and name it by digest there."""
        image = recipes.build(recipe, Docker())
        digest = _digest(image)
        if digest is None or _digest_of(f"{image.name}@{digest}") is None:
            with step(f"load {image.tagged}", _log("load")) as current:
                current.run(["kind", "load", "image-archive", image.archive, "--name", _NAME])
                digest = _digest(image)
                if digest is None:
                    raise current.failure(f"kind loaded no image {image.tagged}")
                tag = [*_CTR, "images", "tag", "--force"]
                current.run([*tag, image.tagged, f"{image.name}@{digest}"])
        return f"{image.name}@{digest}"

    @contextmanager
    def gateway(self) -> Iterator[str]:
        """The port that kind maps to the host."""
        yield self.url

    def status(self) -> list[str]:
        """The state of the node's container."""
        return [_output("docker", "ps", "--filter", f"name={_NODE}").strip()]


def _digest(image: Image) -> str | None:
    return _digest_of(image.tagged)


def _digest_of(name: str) -> str | None:
    """The digest of an image in the node; None if it is missing."""
    lines = _output(*_CTR, "images", "list", f"name=={name}").splitlines()
    return lines[1].split()[2] if len(lines) > 1 else None


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""  # the tool is not installed


def _log(name: str) -> Path:
    return cache.folder() / "logs" / f"{name}.log"
