"""What every kind of cluster offers, and which one is taken."""

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
    """A Kubernetes that Mayfly can be installed on."""

    @property
    def title(self) -> str:
        """What it is, for a person."""
        ...

    @property
    def state(self) -> State:
        """Where things about it are kept; a folder per kind of cluster."""
        ...

    @property
    def kubectl(self) -> Kubectl:
        """A kubectl bound to it."""
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
        """What must be there before the chart, as YAML or JSON; empty for nothing."""
        ...

    def prepare(self, wanted: Sequence[Recipe]) -> None:
        """Build side by side what `up` and `image` will ask for, where that takes minutes."""
        ...

    def up(self) -> None:
        """Make it run, whatever state it was left in."""
        ...

    def down(self) -> None:
        """Take it away and leave nothing."""
        ...

    def running(self) -> bool:
        """Whether it answers."""
        ...

    def image(self, recipe: Recipe) -> str:
        """Build an image, make it available to the nodes, and return its reference by digest."""
        ...

    def gateway(self) -> AbstractContextManager[str]:
        """The gateway's base URL as seen from here, usable inside the block."""
        ...

    @property
    def url(self) -> str:
        """The gateway's base URL for `env`."""
        ...

    def status(self) -> list[str]:
        """What runs, in words."""
        ...


def choose(local: State) -> Cluster:
    """The caller's own cluster if asked for, kind where Docker answers, else the local one.

    One that is there already is kept, whatever the machine has learnt meanwhile.
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
