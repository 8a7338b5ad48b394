"""A tree of runs, and the controller or the gateway dies or is away: same outcome, same bill."""

from __future__ import annotations

from decimal import Decimal

import pytest
from support.cluster.installation import Json, Namespace, message, reason
from support.cluster.machine import kill, without
from support.cluster.programs import SLOW
from support.cluster.trees import (
    SPAWNS,
    at_most,
    billed_once,
    children,
    pipelines,
    runs,
    settled,
    start,
)
from support.waiting import eventually

SECONDS = 300
"""For a tree whose pods meet a gateway or controller that has to start first."""
OUTLIVES = 45
"""Seconds of a child's work: longer than the component needs to be back on a busy machine, so that
the cancel reaches a root that still waits."""


LINGERS = """
import time
import replicate
lingers = replicate.use("HERE/lingers")
def main(level: int, lingers_at: int) -> int:
    time.sleep(4 + (20 if level == lingers_at else 0))
    return 1 if level == 3 else 1 + lingers(level=level + 1, lingers_at=lingers_at)
"""
"""Three levels, each of four seconds; one of them works for longer before it calls the next."""


@pytest.mark.parametrize("component", ["controller", "gateway"])
def test_killed_in_the_middle_of_a_tree_it_ends_as_if_nothing_had_happened(
    namespace, kubectl, books, component
):
    pipelines(namespace, lingers=LINGERS)
    # Three trees of three levels: when it is killed, they have one, two and three.
    roots = {at: start(namespace, "lingers", level=1, lingers_at=at) for at in (1, 2, 3)}
    eventually(
        lambda: [depths(namespace, root) for root in roots.values()],
        60,
        lambda found: found == [{1}, {1, 2}, {1, 2, 3}],
    )
    kill(kubectl, component)
    every_end = {root: settled(namespace, root, SECONDS) for root in roots.values()}
    for root, ended in every_end.items():
        assert reason(ended) == "Succeeded", message(ended)
        assert ended["status"]["output"] == 3
        every = tree(namespace, root)
        assert sorted(each["status"]["depth"] for each in every) == [1, 2, 3]
        for each in every:
            assert reason(each) == "Succeeded", message(each)
            assert each["status"]["attempt"] == 1
            assert each["status"]["usage"]["activeMilliseconds"] >= 4000
            assert each["status"]["children"]["total"] == (0 if each["status"]["depth"] == 3 else 1)
        billed_once(namespace, books, root)
    namespace.no_pods()


def tree(namespace: Namespace, root: str) -> list[Json]:
    found = [each for each in runs(namespace) if "rootRef" in each.get("status", {})]
    return [each for each in found if each["status"]["rootRef"]["name"] == root]


def depths(namespace: Namespace, root: str) -> set[int]:
    return {each["status"]["depth"] for each in tree(namespace, root)}


@pytest.mark.parametrize("component", ["controller", "gateway"])
def test_a_cancel_while_one_of_them_is_away_ends_what_had_not_started_and_nothing_else(
    namespace, kubectl, books, component
):
    pipelines(namespace, root=SPAWNS, leaf=SLOW)
    at_most(namespace, 2)
    root = start(namespace, "root", seconds=[OUTLIVES, OUTLIVES], waits=True)
    eventually(lambda: states(namespace, root) == ["Processing", "Queued"], 60)
    made = {
        each["status"]["phase"]: each["metadata"]["name"] for each in children(namespace, root, 2)
    }
    with without(kubectl, component):
        kubectl(
            "patch", "prun", root, "-n", namespace.name,
            "--type=merge", "-p", '{"spec":{"cancel":true}}',
        )  # fmt: skip
    ended = namespace.finished(root, SECONDS)
    assert reason(ended) == "Canceled", message(ended)
    assert reason(ended, "CancelAccepted") == "CancelAccepted"
    never = namespace.finished(made["Queued"])
    assert reason(never) == "Canceled", message(never)
    assert "podName" not in never["status"]
    assert Decimal(never["status"]["usage"]["totalCost"]) == 0
    came = namespace.finished(made["Processing"], SECONDS)
    assert reason(came) == "Succeeded", message(came)
    assert namespace.logs(made["Processing"]).split() == ["before", "after"]
    assert came["status"]["usage"]["activeMilliseconds"] >= OUTLIVES * 1000
    status = settled(namespace, root)["status"]
    assert status["children"] == {"total": 2, "succeeded": 1, "failed": 0, "canceled": 1}
    billed_once(namespace, books, root)
    namespace.no_pods()


def states(namespace: Namespace, root: str) -> list[str]:
    return sorted(
        each.get("status", {}).get("phase", "")
        for each in runs(namespace)
        if each["metadata"]["name"] != root
    )
