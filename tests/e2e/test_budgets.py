"""Budgets on a real cluster: of a tree, and of a namespace's month."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.cluster.books import Books
from support.cluster.installation import Namespace, message, reason, runtime
from support.cluster.trees import (
    at_most,
    billed_once,
    children,
    person,
    pipeline,
    pipelines,
    runs,
    settled,
)

PARENT = """
import replicate
leaf = replicate.use("HERE/leaf")
def said(make) -> str:
    try:
        return make()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
def main() -> list[str]:
    made = [leaf.create(word=each) for each in ("one", "two")]
    return [said(each.output) for each in made] + [said(lambda: leaf(word="three"))]
"""
"""Makes two children and waits for both, then a third; says what came of each."""

LEAF = """
def main(word: str) -> str:
    return word
"""

BUDGET = "mayfly.dev/budget-monthly"


@pytest.fixture
def books(kubectl) -> Books:
    return Books(kubectl)


@pytest.fixture
def priced(kubectl, namespace: Namespace) -> Iterator[str]:
    """A runtime on which each run that succeeds costs 1, however long it took."""
    spec = {
        **kubectl.json("get", "mprt", "default")["spec"],
        "price": [{"meter": "prediction", "unitPrice": "1"}],
    }
    with runtime(kubectl, f"priced-{namespace.name}", spec) as name:
        pipeline(namespace, "leaf", LEAF, runtime=name)
        pipelines(namespace, parent=PARENT)
        namespace.ready("mpl", "leaf")
        yield name


def test_a_tree_that_has_spent_its_budget_starts_nothing_more(namespace, books, priced):
    """One child runs; its sibling, which waits for a place, fails; a third can't be made."""
    at_most(namespace, 2)
    root = namespace.create({"pipelineRef": {"name": "parent"}, "budget": "1"})
    ended = settled(namespace, root, 120)
    assert reason(ended) == "Succeeded", message(ended)
    *made, third = ended["status"]["output"]
    why = f'The run "{root}" has reached its budget of 1 USD'
    (good,) = (each for each in made if each in {"one", "two"})
    (bad,) = (each for each in made if each != good)
    assert bad.startswith("ModelError: ")
    assert why in bad
    assert third.startswith("ReplicateError")
    assert why in third
    assert "402" in third
    by_outcome = {reason(each): each for each in children(namespace, root, 2)}
    (failed,) = (each for why, each in by_outcome.items() if why != "Succeeded")
    assert failed["status"]["phase"] == "Failed"
    assert why in failed["status"]["error"]
    assert "BudgetExceeded" in {reason(failed), reason(failed, "Accepted")}
    assert reason(failed, "Started") == "NotStarted"
    assert ended["status"]["usage"]["downstreamCost"] == "1"
    assert ended["status"]["children"] == {"total": 2, "succeeded": 1, "failed": 1, "canceled": 0}
    billed_once(namespace, books, root)
    namespace.no_pods()


def test_a_namespace_that_has_spent_its_budget_makes_nothing_more(namespace, priced):
    namespace.kubectl("annotate", "namespace", namespace.name, f"{BUDGET}=1")
    first = namespace.create({"pipelineRef": {"name": "leaf"}, "input": {"word": "one"}})
    ended = namespace.finished(first)
    assert reason(ended) == "Succeeded", message(ended)
    assert ended["status"]["budgetChecked"] is True
    beyond = namespace.create({"pipelineRef": {"name": "leaf"}, "input": {"word": "two"}})
    refused = namespace.finished(beyond)
    # If the gateway answers late, the controller has accepted the run in the meantime.
    assert "BudgetExceeded" in {reason(refused), reason(refused, "Accepted")}
    assert "podName" not in refused["status"]
    why = refused["status"]["error"]
    assert f'Namespace "{namespace.name}" has reached its budget of 1 USD' in why
    assert namespace.prediction(beyond)["error"] == why
    path = f"/v1/models/{namespace.name}/leaf/predictions"
    with person(namespace) as client:
        answer = client.post(path, json={"input": {"word": "three"}})
        assert (answer.status_code, answer.json()["detail"]) == (402, why)
        assert len(runs(namespace)) == 2
        namespace.kubectl("annotate", "namespace", namespace.name, f"{BUDGET}=2", "--overwrite")
        again = namespace.create({"pipelineRef": {"name": "leaf"}, "input": {"word": "four"}})
        assert reason(namespace.finished(again)) == "Succeeded"
