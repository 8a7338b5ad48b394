"""The whole thing: a real cluster with the chart installed. These tests fail without one."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from itertools import count

import httpx
import pytest
from support.cluster import example_models
from support.cluster.example_models import Person
from support.cluster.installation import (
    SYSTEM,
    Kubectl,
    Namespace,
    administrators_kubectl,
    every_namespace_gone,
    make_namespace,
)

from localcluster.installation import models as localcluster_models

NAMES = count(1)
BINDING = f"mayfly-e2e-{os.getpid()}"
"""Of this process alone: another one that has ended must not take its rights away."""


@pytest.fixture(scope="session")
def kubectl() -> Iterator[Kubectl]:
    for variable in ("KUBECONFIG", "MAYFLY_URL", "MAYFLY_TOKEN", "SSL_CERT_FILE"):
        if not os.environ.get(variable):
            pytest.fail(f'{variable} is not set: run `make up` and eval "$(make -s env)" first')
    with administrators_kubectl() as made:
        yield made


def administrator(kubectl: Kubectl) -> str:
    """A token that may read runs everywhere."""
    kubectl("create", "serviceaccount", "e2e", "-n", SYSTEM, check=False)
    kubectl(
        "create",
        "clusterrolebinding",
        BINDING,
        "--clusterrole=view",
        f"--serviceaccount={SYSTEM}:e2e",
        check=False,
    )
    return kubectl("create", "token", "e2e", "-n", SYSTEM, "--audience=mayfly").strip()


@pytest.fixture(scope="session")
def api(kubectl: Kubectl) -> Iterator[httpx.Client]:
    context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    headers = {"Authorization": f"Bearer {administrator(kubectl)}"}
    # Other tests kill the gateway meanwhile; a connection is tried again until it is back.
    transport = httpx.HTTPTransport(verify=context, retries=8)
    with httpx.Client(
        base_url=os.environ["MAYFLY_URL"], headers=headers, transport=transport, timeout=30
    ) as client:
        yield client
    kubectl("delete", "clusterrolebinding", BINDING, "--ignore-not-found")


@pytest.fixture(scope="session")
def leaving(kubectl: Kubectl) -> Iterator[None]:
    """At the end, no namespace of a test is left: one that stays has something that never ends.

    Kubernetes takes six seconds to forget an empty one, so nobody waits for each.
    """
    yield
    every_namespace_gone(kubectl)


@pytest.fixture
def namespace(
    kubectl: Kubectl, api: httpx.Client, leaving: None, request: pytest.FixtureRequest
) -> Iterator[Namespace]:
    """A namespace of the test's own, gone after it: a test that leaves something fails."""
    name = f"e2e-{os.getpid()}-{next(NAMES)}"
    make_namespace(kubectl, name, request.node.nodeid)
    yield Namespace(kubectl, name, api)
    kubectl.api.delete("namespace", name=name)


@pytest.fixture(scope="session")
def models_image(kubectl: Kubectl) -> str:
    """The reference of the example models' image, in the cluster."""
    return example_models.image()


@pytest.fixture(scope="session")
def models(kubectl: Kubectl, api: httpx.Client, models_image: str) -> Iterator[Namespace]:
    """A namespace with every example model, as `make models` puts them there."""
    name = f"e2e-{os.getpid()}-models"
    kubectl("create", "namespace", name)
    # A model's pod that would not pass Pod Security `restricted` would not get ready.
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    localcluster_models.install(example_models.cluster(), name)
    yield Namespace(kubectl, name, api)
    kubectl("delete", "namespace", name, "--timeout=120s")


@pytest.fixture(scope="session")
def person(models: Namespace) -> Person:
    """Somebody who may call models and pipelines there, and cancel."""
    return Person(models)
