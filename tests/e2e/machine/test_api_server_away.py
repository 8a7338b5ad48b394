"""The API server, or what it keeps its objects in, is away: runs go on, and end right."""

from __future__ import annotations

import time

import httpx
from support.cluster.installation import message, reason
from support.cluster.programs import LONG, SLOW, came_through
from support.cluster.trees import CHAIN, billed_once, pipelines, runs, settled, start
from support.cluster.warm import pool
from support.lengths import length
from support.waiting import eventually

AWAY_SECONDS = length(35, 120)
"""Longer than the run works, a lease holds, and the controller waits for the gateway's word."""
RUNS_SECONDS = 12
LEVELS = 3
LEVEL_SECONDS = 10
TREE_SECONDS = 300


def test_what_ends_while_the_api_server_is_silent_is_delivered_after(
    namespace, machine, books, restarts
):
    with pool(namespace, 1) as warm:
        waiting = warm.filled()
        away(namespace, machine, books, restarts)
        # No healthy pod was replaced, and a run uses it.
        assert warm.filled().keys() == waiting.keys()
        last = namespace.finished(warm.run(SLOW, input={"seconds": 0}))
        assert last["status"]["podUID"] in waiting
    namespace.no_pods()


def away(namespace, machine, books, restarts) -> None:
    pipelines(namespace, chain=CHAIN)
    root = start(namespace, "chain", levels=LEVELS, seconds=LEVEL_SECONDS)
    leaf = deepest(namespace)
    namespace.started(leaf)
    run = namespace.run(LONG, input={"seconds": RUNS_SECONDS})
    namespace.started(run)
    assert not namespace.get(leaf)["status"].get("finished")
    address = f"/v1/predictions/{namespace.get(run)['status']['id']}"
    with machine.silent("kube-apiserver"):
        began = time.monotonic()
        # The gateway still knows the reader, for some seconds; then it says why it can't answer.
        told = eventually(
            lambda: namespace.api.get(address),
            60,
            lambda answer: answer.status_code == 503,
        )
        assert told.json()["detail"] == "The Kubernetes API does not answer; try again."
        time.sleep(AWAY_SECONDS - (time.monotonic() - began))
    created = eventually(lambda: later(namespace), 60)
    for name, output in ((run, "long " * 2000), (created, "done")):
        came_through(namespace, name)
        assert namespace.prediction(name)["output"] == output
    active = namespace.get(run)["status"]["usage"]["activeMilliseconds"]
    assert RUNS_SECONDS * 1000 <= active < (RUNS_SECONDS + 20) * 1000
    assert books.record(namespace.get(run))["active_ms"] == active
    tree = settled(namespace, root, TREE_SECONDS)
    assert reason(tree) == "Succeeded", message(tree)
    assert tree["status"]["output"] == LEVELS
    billed_once(namespace, books, root)
    # A leader that can't renew its lease ends, and is started again; nothing else is.
    assert restarts.since()["controller"] <= 1
    assert restarts.since()["gateway"] == 0


def deepest(namespace) -> str:
    """The run at the end of the chain, once it is made."""
    made = eventually(lambda: runs(namespace), 90, lambda found: len(found) == LEVELS)
    parents = {each["spec"].get("parentRef", {}).get("name") for each in made}
    (leaf,) = {each["metadata"]["name"] for each in made} - parents
    return leaf


def later(namespace) -> str:
    """A run that is created as soon as the API server takes one."""
    try:
        return namespace.run(SLOW, input={"seconds": 0})
    except (AssertionError, httpx.HTTPError):
        return ""


def test_etcd_killed_and_started_again_while_runs_run(namespace, machine, books, restarts):
    ends_meanwhile = namespace.run(SLOW, input={"seconds": 4})
    ends_after = namespace.run(SLOW, input={"seconds": 25})
    namespace.started(ends_meanwhile)
    namespace.started(ends_after)
    machine.kill("etcd")
    time.sleep(6)  # the first one ends while nothing can be written
    machine.heal()
    created = eventually(lambda: later(namespace), 60)
    for name in (ends_meanwhile, ends_after, created):
        came_through(namespace, name)
    assert len(books.records(namespace.name, 3)) == 3
    assert restarts.since()["controller"] <= 1
    assert restarts.since()["gateway"] == 0
    namespace.no_pods()
