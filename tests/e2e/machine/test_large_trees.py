"""Trees as deep, as many and as wide as the local cluster bears with its default values."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest
from support.cluster.installation import message, reason
from support.cluster.trees import CHAIN, at_most, billed_once, pipelines, runs, settled, start
from support.lengths import length

LEVELS = 30
ROOTS = 10
CHILDREN = length(24, 200)
MOST = 13
"""Pods of the wide tree at one time: what two cores bear without anybody getting too little."""


@pytest.mark.timeout(600)
def test_a_chain_of_thirty_levels_completes(namespace, books, restarts):
    pipelines(namespace, chain=CHAIN)
    root = start(namespace, "chain", levels=LEVELS)
    ended = settled(namespace, root, 500)
    assert reason(ended) == "Succeeded", message(ended)
    assert ended["status"]["output"] == LEVELS
    every = runs(namespace)
    assert sorted(each["status"]["depth"] for each in every) == list(range(1, LEVELS + 1))
    assert Counter(reason(each) for each in every) == {"Succeeded": LEVELS}
    assert {each["status"]["attempt"] for each in every} == {1}
    billed_once(namespace, books, root)
    assert set(restarts.since().values()) == {0}
    namespace.no_pods()


@pytest.mark.timeout(600)
def test_ten_roots_with_three_levels_each_started_at_once_all_complete(namespace, books, restarts):
    pipelines(namespace, chain=CHAIN)
    roots = [start(namespace, "chain", levels=3) for _ in range(ROOTS)]
    for root in roots:
        ended = settled(namespace, root, 500)
        assert reason(ended) == "Succeeded", message(ended)
        assert ended["status"]["output"] == 3
    every = runs(namespace)
    assert Counter(each["status"]["depth"] for each in every) == {1: ROOTS, 2: ROOTS, 3: ROOTS}
    assert Counter(each["status"]["rootRef"]["name"] for each in every) == dict.fromkeys(roots, 3)
    assert {each["status"]["attempt"] for each in every} == {1}
    for root in roots:
        billed_once(namespace, books, root)
    assert set(restarts.since().values()) == {0}
    namespace.no_pods()


WIDE = """
import replicate
square = replicate.use("HERE/square")
def main(count: int) -> list[int]:
    made = [square.create(number=each) for each in range(count)]
    print(len(made), "made", flush=True)
    return [each.output() for each in made]
"""

SQUARE = """
def main(number: int) -> int:
    return number * number
"""


@pytest.mark.timeout(900)
def test_many_children_made_at_once_by_one_run_all_complete(namespace, books, restarts):
    pipelines(namespace, root=WIDE, square=SQUARE)
    at_most(namespace, MOST)
    root = start(namespace, "root", count=CHILDREN)
    ended = settled(namespace, root, 850)
    assert reason(ended) == "Succeeded", message(ended)
    assert namespace.logs(root) == f"{CHILDREN} made\n"
    assert ended["status"]["output"] == [each * each for each in range(CHILDREN)]
    assert ended["status"]["children"] == {
        "total": CHILDREN,
        "succeeded": CHILDREN,
        "failed": 0,
        "canceled": 0,
    }
    every = runs(namespace)
    assert len(every) == CHILDREN + 1
    assert {each["status"]["attempt"] for each in every} == {1}
    assert Decimal(ended["status"]["usage"]["downstreamCost"]) > 0
    billed_once(namespace, books, root)
    assert set(restarts.since().values()) == {0}
    namespace.no_pods()
