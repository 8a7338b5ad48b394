"""The interface of a cluster, and the choice of the cluster to use."""

import os
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from localcluster.clusters.given import GivenCluster
from localcluster.clusters.kind import KindCluster
from localcluster.clusters.local import LocalCluster
from localcluster.failure import Failure
from localcluster.images import docker
from localcluster.images.recipes import Recipe
from localcluster.kubectl import Kubectl
from localcluster.state import State


class Cluster(Protocol):
    """A Kubernetes cluster that Mayfly can be installed on."""

    @property
    def title(self) -> str:
        """A description for people."""
        ...

    @property
    def state(self) -> State:
        """The folder for its state; one per kind of cluster."""
        ...

    @property
    def kubectl(self) -> Kubectl:
        """A kubectl for this cluster."""
        ...

    @property
    def helm(self) -> Path:
        """The helm binary."""
        ...

    @property
    def values(self) -> list[Path]:
        """Helm values files for this kind of cluster."""
        ...

    @property
    def manifests(self) -> str:
        """Objects to apply before the chart, as YAML or JSON; "" for none."""
        ...

    @property
    def warm(self) -> bool:
        """Whether pods wait for runs in the demo's namespace; `values` say how many."""
        ...

    def prepare(self, wanted: Sequence[Recipe]) -> None:
        """Build in parallel what `up` and `image` will need, if that takes minutes."""
        ...

    def up(self) -> None:
        """Make the cluster run, whatever state it was left in."""
        ...

    def down(self) -> None:
        """Remove the cluster completely."""
        ...

    def running(self) -> bool:
        """Whether the cluster answers."""
        ...

    def image(self, recipe: Recipe) -> str:
        """Build an image, make it available to the nodes, and return its reference by digest."""
        ...

    def gateway(self) -> AbstractContextManager[str]:
        """The gateway's base URL from this machine, valid inside the block."""
        ...

    @property
    def url(self) -> str:
        """The gateway's base URL for `env`."""
        ...

    def status(self) -> list[str]:
        """What is running, for people."""
        ...


def choose(local: State) -> Cluster:
    """The caller's own cluster if requested, kind if Docker answers, otherwise the local one.

    An existing cluster is reused, even if the machine would now choose another kind.
    """
    kind, given = local.beside("kind"), local.beside("current")
    match os.environ.get("MAYFLY_CLUSTER", ""):
        case "current":
            return GivenCluster(given)
        case "kind":
            return KindCluster(kind)
        case "local":
            return LocalCluster(local)
        case "":
            pass
        case unknown:
            raise Failure(f"MAYFLY_CLUSTER is current, kind, local or unset, not {unknown!r}")
    if kind.folder.exists():
        return KindCluster(kind)
    if not local.folder.exists() and shutil.which("kind") and docker.answers():
        return KindCluster(kind)
    return LocalCluster(local)
