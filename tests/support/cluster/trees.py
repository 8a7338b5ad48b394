"""Trees of pipelines in a test's own namespace: create, cancel, inspect."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import httpx
from support.cluster.books import Books
from support.cluster.installation import Json, Namespace
from support.waiting import eventually

HERE = "HERE"
"""Placeholder in a source for the namespace of its pipelines."""

SPAWNS = """
import replicate
leaf = replicate.use("HERE/leaf")
def main(seconds: list[float], waits: bool) -> list[str]:
    made = [leaf.create(seconds=each) for each in seconds]
    print("made", flush=True)
    return [each.output() for each in made] if waits else []
"""
"""Creates leaves; waits for them or not."""

CHAIN = """
import time
import replicate
chain = replicate.use("HERE/chain")
def main(levels: int, seconds: float = 0.0) -> int:
    time.sleep(seconds)
    return 1 if levels <= 1 else 1 + chain(levels=levels - 1, seconds=seconds)
"""
"""Calls itself down to a number of levels; returns how many there were."""


def pipelines(namespace: Namespace, **sources: str) -> None:
    """Create Pipelines and wait until they can be called."""
    for name, source in sources.items():
        pipeline(namespace, name, source)
    for name in sources:
        namespace.ready("mpl", name)


def pipeline(namespace: Namespace, name: str, source: str, **spec: object) -> None:
    """Create a Pipeline; its source may name its namespace as `HERE`."""
    namespace.apply(
        {
            "apiVersion": "mayfly.dev/v1alpha1",
            "kind": "Pipeline",
            "metadata": {"name": name},
            "spec": {"source": {"inline": source.replace(HERE, namespace.name)}, **spec},
        }
    )


def start(namespace: Namespace, name: str, /, ttl: int = 3600, **inputs: object) -> str:
    """Create a run of a Pipeline, with a TTL in seconds; returns its name."""
    spec = {"pipelineRef": {"name": name}, "input": inputs, "ttlSecondsAfterFinished": ttl}
    return namespace.create(spec)


def at_most(namespace: Namespace, runs: int) -> None:
    """Limit the namespace's pods at a time; further runs wait unstarted."""
    namespace.kubectl(
        "annotate", "namespace", namespace.name, f"mayfly.dev/max-active-runs={runs}", "--overwrite"
    )


@contextmanager
def person(namespace: Namespace) -> Iterator[httpx.Client]:
    """The API as a person who may edit in this namespace only."""
    name = namespace.name
    namespace.kubectl("create", "serviceaccount", "person", "-n", name)
    namespace.kubectl(
        "create", "rolebinding", "person", "-n", name,
        "--clusterrole=edit", f"--serviceaccount={name}:person",
    )  # fmt: skip
    token = namespace.kubectl("create", "token", "person", "-n", name, "--audience=mayfly")
    with caller(namespace, token.strip()) as client:
        yield client


def caller(namespace: Namespace, token: str) -> httpx.Client:
    """The API with this token."""
    context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    return httpx.Client(
        base_url=namespace.api.base_url,
        headers={"Authorization": f"Bearer {token}"},
        transport=httpx.HTTPTransport(verify=context, retries=8),
        timeout=30,
    )


def runs(namespace: Namespace) -> list[Json]:
    """Every run of the namespace."""
    found: list[Json] = namespace.kubectl.json("get", "prun", "-n", namespace.name)["items"]
    return found


def children(namespace: Namespace, run: str, count: int) -> list[Json]:
    """A run's children, by the name of what they run, once there are so many."""

    def look() -> list[Json]:
        return [
            each
            for each in runs(namespace)
            if each["spec"].get("parentRef", {}).get("name") == run
            and "id" in each.get("status", {})
        ]

    found = eventually(look, 60, lambda each: len(each) >= count)
    assert len(found) == count, [each["metadata"]["name"] for each in found]
    return sorted(found, key=lambda each: each["spec"]["pipelineRef"]["name"])


def settled(namespace: Namespace, run: str, seconds: float = 60) -> Json:
    """A run, once everything below it has ended too."""
    return eventually(
        lambda: namespace.get(run),
        seconds,
        lambda body: body.get("status", {}).get("usage", {}).get("final") is True,
    )


def billed_once(namespace: Namespace, books: Books, root: str) -> None:
    """Assert that each run has one usage record, and that a tree's add up to its root's."""
    every = runs(namespace)
    records = books.records(namespace.name, len(every))
    assert sorted(each["run_uid"] for each in records) == sorted(
        each["metadata"]["uid"] for each in every
    )
    eventually(lambda: books.open_rows(namespace.name) == [])
    body = next(each for each in every if each["metadata"]["name"] == root)
    usage = body["status"]["usage"]
    assert usage["final"] is True
    uid = body["metadata"]["uid"]
    parts = [Decimal(each["cost"]) for each in records if each["root_uid"] == uid]
    assert Decimal(usage["totalCost"]) == sum(parts)
    assert Decimal(usage["totalCost"]) == Decimal(usage["cost"]) + Decimal(usage["downstreamCost"])
