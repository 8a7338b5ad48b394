"""A real API server for the tests of this folder; they fail where it can't be had."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest
from support.controller import control_plane
from support.controller.control_plane import ControlPlane
from support.controller.world import IMAGE, Controllers, Runs
from support.waiting import eventually

from mayfly.api.crd import KINDS, crd
from mayfly.kube.client import Cluster

NAMES = count(1)


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    running = control_plane.start()
    try:
        running.apply(*(crd(kind) for kind in KINDS))
        # Established is not served yet: for a moment the answer is "storage is (re)initializing".
        eventually(lambda: all(running.api.serves(kind.short) for kind in KINDS), 60)
        yield running
    finally:
        running.stop()


@pytest.fixture
def namespace(plane: ControlPlane) -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"t{next(NAMES)}"
    plane.api.create("namespace", {"metadata": {"name": name}})
    yield name
    plane.clean()


@pytest.fixture
async def cluster(plane: ControlPlane) -> AsyncIterator[Cluster]:
    connection = await Cluster.connect(plane.kubeconfig)
    yield connection
    await connection.close()


@pytest.fixture
def controllers(plane, namespace, tmp_path) -> Iterator[Controllers]:
    """Controllers, which are gone when the namespaces are cleaned."""
    plane.api.delete("lease", "default", "mayfly-controller")
    started = Controllers(plane, tmp_path)
    yield started
    started.stop()
    sys.stderr.write(started.logs())  # pytest shows it with a failure


@pytest.fixture
def runtime(plane) -> Iterator[None]:
    body = {
        "apiVersion": "mayfly.dev/v1alpha1",
        "kind": "PipelineRuntime",
        "metadata": {"name": "default"},
        "spec": {"image": IMAGE},
    }
    plane.api.create("mprt", body)
    yield
    plane.api.delete("mprt", name="default")


@pytest.fixture
def runs(plane, namespace) -> Runs:
    return Runs(plane, namespace)


@pytest.fixture
def controller(controllers, runtime) -> Controllers:
    controllers.start()
    return controllers
