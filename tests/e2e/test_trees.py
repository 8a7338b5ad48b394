"""Pipelines that call pipelines with Replicate's client: lineage, bills, ends, cancels, words."""

from __future__ import annotations

from decimal import Decimal

import pytest
from support.cluster.books import Books
from support.cluster.installation import Namespace, message, reason
from support.cluster.programs import SLOW
from support.cluster.trees import (
    SPAWNS,
    at_most,
    billed_once,
    caller,
    children,
    person,
    pipelines,
    runs,
    settled,
    start,
)
from support.waiting import eventually

LABELS = ("pipeline", "version", "root", "parent", "depth")

ROOT = """
import replicate
middle = replicate.use("HERE/middle")
leaf = replicate.use("HERE/leaf")
def main() -> list[str]:
    left, right = middle.create(word="left"), leaf.create(word="right")
    return [left.output(), right.output()]
"""

MIDDLE = """
import replicate
leaf = replicate.use("HERE/leaf")
def main(word: str) -> str:
    return leaf(word=word + " below") + "!"
"""

ECHO = """
import time
def main(word: str) -> str:
    time.sleep(2)
    return word.upper()
"""


@pytest.fixture
def books(kubectl) -> Books:
    return Books(kubectl)


# -- lineage, counts, costs, the end ---------------------------------------------------------------


def test_a_tree_of_three_levels_is_told_by_the_api_the_objects_and_the_pods(namespace, books):
    pipelines(namespace, root=ROOT, middle=MIDDLE, leaf=ECHO)
    root = start(namespace, "root")
    labels = labels_of_pods(namespace, root)
    ended = settled(namespace, root)
    assert reason(ended) == "Succeeded", message(ended)
    assert ended["status"]["output"] == ["LEFT BELOW!", "RIGHT"]

    right, middle = children(namespace, root, 2)
    (below,) = children(namespace, middle["metadata"]["name"], 1)
    identity = {
        name: body["status"]["id"]
        for name, body in {"root": ended, "middle": middle, "right": right, "below": below}.items()
    }
    places = {
        "root": (1, None),
        "middle": (2, "root"),
        "right": (2, "root"),
        "below": (3, "middle"),
    }
    tree = namespace.api.get(f"/v1/predictions/{identity['root']}/tree").json()["predictions"]
    assert tree[0]["id"] == identity["root"]
    assert sorted(each["id"] for each in tree) == sorted(identity.values())
    for name, (depth, above) in places.items():
        parent = identity[above] if above else None
        shown = namespace.api.get(f"/v1/predictions/{identity[name]}").json()
        listed = next(each for each in tree if each["id"] == identity[name])
        for told in (shown, listed):
            assert (told["depth"], told["root"], told["parent"]) == (
                depth,
                identity["root"],
                parent,
            )
    for body, depth, above in ((middle, 2, ended), (right, 2, ended), (below, 3, middle)):
        assert body["status"]["depth"] == depth
        assert body["status"]["rootRef"]["uid"] == ended["metadata"]["uid"]
        assert body["spec"]["parentRef"]["uid"] == above["metadata"]["uid"]
        expected = {
            "pipeline": body["spec"]["pipelineRef"]["name"],
            "version": body["status"]["version"][:10],
            "root": identity["root"],
            "parent": above["status"]["id"],
            "depth": str(depth),
        }
        assert named(body["metadata"]["labels"]) == expected
        pod = labels[body["status"]["podName"]]
        assert named(pod) == expected
        assert pod["mayfly.dev/id"] == body["status"]["id"]
    assert labels[ended["status"]["podName"]]["mayfly.dev/depth"] == "1"

    assert ended["status"]["children"] == {"total": 2, "succeeded": 2, "failed": 0, "canceled": 0}
    billed_once(namespace, books, root)
    costs = [Decimal(each["status"]["usage"]["cost"]) for each in (ended, middle, right, below)]
    assert min(costs) > 0
    assert Decimal(ended["status"]["usage"]["totalCost"]) == sum(costs)
    shown = namespace.prediction(root)
    assert (shown["total_cost"], shown["final"]) == (ended["status"]["usage"]["totalCost"], True)
    assert shown["children"] == ended["status"]["children"]
    namespace.no_pods()


def labels_of_pods(namespace: Namespace, root: str) -> dict[str, dict[str, str]]:
    """By name, of every pod that was seen until a run ended."""
    found: dict[str, dict[str, str]] = {}

    def look() -> bool:
        found.update(
            {pod["metadata"]["name"]: pod["metadata"]["labels"] for pod in namespace.pods()}
        )
        return bool(namespace.get(root).get("status", {}).get("finished"))

    eventually(look, 120)
    return found


def named(labels: dict[str, str]) -> dict[str, str]:
    return {name: labels[f"mayfly.dev/{name}"] for name in LABELS if f"mayfly.dev/{name}" in labels}


def test_a_parent_that_ends_first_leaves_its_child_running_and_the_ttl_waits_for_it(
    namespace, books
):
    pipelines(namespace, root=SPAWNS, leaf=SLOW)
    root = start(namespace, "root", ttl=2, seconds=[20], waits=False)
    ended = namespace.finished(root)
    assert reason(ended) == "Succeeded", message(ended)
    assert ended["status"]["usage"]["final"] is False
    assert ended["status"]["children"] == {"total": 1, "succeeded": 0, "failed": 0, "canceled": 0}
    (child,) = children(namespace, root, 1)
    namespace.started(child["metadata"]["name"])
    # The root's time to live is over long before its tree is.
    log = f"/v1/predictions/{child['status']['id']}/logs"
    words = eventually(lambda: namespace.api.get(log).text, 60, lambda text: "after" in text)
    assert words.split() == ["before", "after"]
    eventually(lambda: runs(namespace) == [], 90)
    namespace.no_pods()
    identity = {run: body["status"]["id"] for run, body in (("root", ended), ("child", child))}
    told = {run: namespace.api.get(f"/v1/predictions/{identity[run]}").json() for run in identity}
    assert told["child"]["status"] == "succeeded"
    assert told["root"]["final"] is True
    assert told["root"]["children"] == {"total": 1, "succeeded": 1, "failed": 0, "canceled": 0}
    records = {each["run_uid"]: each for each in books.records(namespace.name)}
    assert len(records) == 2
    assert records[child["metadata"]["uid"]]["root_uid"] == ended["metadata"]["uid"]
    total = sum(Decimal(each["cost"]) for each in records.values())
    assert Decimal(told["root"]["total_cost"]) == total
    assert records[child["metadata"]["uid"]]["active_ms"] >= 20_000


def test_a_root_deleted_by_hand_takes_its_tree_with_it(namespace, books):
    pipelines(namespace, root=SPAWNS, leaf=SLOW)
    root = start(namespace, "root", seconds=[600, 600], waits=True)
    made = children(namespace, root, 2)
    for child in made:
        namespace.started(child["metadata"]["name"])
    namespace.kubectl("delete", "prun", root, "-n", namespace.name, "--timeout=60s")
    eventually(lambda: runs(namespace) == [], 60)
    namespace.no_pods()
    records = eventually(
        lambda: books.records(namespace.name), accept=lambda found: len(found) == 3
    )
    assert {each["outcome"] for each in records} == {"canceled"}
    active = sorted(each["active_ms"] for each in records)
    assert active[0] > 0
    assert active[-1] < 120_000
    for child in made:
        told = namespace.api.get(f"/v1/predictions/{child['status']['id']}").json()
        assert told["status"] == "canceled"
    eventually(lambda: books.open_rows(namespace.name) == [])


# -- cancel ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["the API", "kubectl"])
def test_a_cancel_ends_what_has_not_started_and_leaves_what_has(namespace, books, way):
    pipelines(namespace, root=SPAWNS, leaf=SLOW)
    at_most(namespace, 2)
    root = start(namespace, "root", seconds=[15, 15], waits=True)
    one, other = (each["metadata"]["name"] for each in children(namespace, root, 2))
    started, waiting = sorted(
        (one, other), key=lambda each: "podUID" not in with_place(namespace, each)
    )
    namespace.started(started)
    if way == "kubectl":
        patch(namespace, root, '{"spec":{"cancel":true}}')
    else:
        with person(namespace) as client:
            identity = namespace.get(root)["status"]["id"]
            answer = client.post(f"/v1/predictions/{identity}/cancel")
            assert answer.status_code == 200, answer.text
    ended = namespace.finished(root)
    assert reason(ended) == "Canceled"
    assert reason(ended, "CancelAccepted") == "CancelAccepted"
    assert "made" in namespace.logs(root)
    never = namespace.finished(waiting)
    assert reason(never) == "Canceled"
    assert message(never) == (f'The parent run "{root}" was cancelled before this run had started.')
    assert "podName" not in never["status"]
    assert Decimal(never["status"]["usage"]["totalCost"]) == 0
    assert namespace.get(started)["status"]["phase"] == "Processing"
    came = namespace.finished(started)
    assert reason(came) == "Succeeded", message(came)
    assert namespace.logs(started).split() == ["before", "after"]
    assert came["status"]["usage"]["activeMilliseconds"] >= 15_000
    status = settled(namespace, root)["status"]
    assert status["children"] == {"total": 2, "succeeded": 1, "failed": 0, "canceled": 1}
    billed_once(namespace, books, root)
    namespace.no_pods()


def with_place(namespace: Namespace, run: str) -> dict:
    """The status of a run that has a pod, or waits in line for one."""
    return eventually(
        lambda: namespace.get(run).get("status", {}),
        accept=lambda status: "podUID" in status or status.get("phase") == "Queued",
    )


def patch(namespace: Namespace, run: str, body: str) -> None:
    namespace.kubectl("patch", "prun", run, "-n", namespace.name, "--type=merge", "-p", body)


def test_a_cancelled_child_returns_none(namespace):
    source = """
import replicate
leaf = replicate.use("HERE/leaf")
def main() -> dict:
    return {"output": leaf(seconds=600)}
"""
    pipelines(namespace, root=source, leaf=SLOW)
    root = start(namespace, "root")
    (child,) = children(namespace, root, 1)
    namespace.started(child["metadata"]["name"])
    patch(namespace, child["metadata"]["name"], '{"spec":{"cancel":true}}')
    ended = namespace.finished(root)
    assert reason(ended) == "Succeeded", message(ended)
    assert ended["status"]["output"] == {"output": None}
    assert ended["status"]["children"] == {"total": 1, "succeeded": 0, "failed": 0, "canceled": 1}
    namespace.no_pods()


# -- what a caller is told -------------------------------------------------------------------------


def test_a_child_that_fails_raises_its_last_line_in_the_parent(namespace):
    bad = "def main() -> str:\n    raise ValueError('no such colour: blurple')\n"
    catches = """
import replicate
from replicate.exceptions import ModelError
bad = replicate.use("HERE/bad")
def main() -> dict:
    try:
        bad()
    except ModelError as error:
        return {"text": str(error), "status": error.prediction.status}
"""
    lets = (
        'import replicate\nbad = replicate.use("HERE/bad")\ndef main() -> str:\n    return bad()\n'
    )
    pipelines(namespace, bad=bad, catches=catches, lets=lets)
    caught, let = start(namespace, "catches"), start(namespace, "lets")
    ended = namespace.finished(caught)
    assert reason(ended) == "Succeeded", message(ended)
    assert ended["status"]["output"] == {
        "text": "ValueError: no such colour: blurple",
        "status": "failed",
    }
    ended = namespace.finished(let)
    assert reason(ended) == "UserError"
    assert "ValueError: no such colour: blurple" in ended["status"]["error"]
    assert "ModelError" in ended["status"]["error"]
    assert "return bad()" in namespace.logs(let)
    assert ended["status"]["children"]["failed"] == 1
    namespace.no_pods()


CALLS = """
import replicate
def main(name: str, inputs: dict) -> str:
    return replicate.use(name)(**inputs)
"""


def test_calls_that_are_refused_are_told_in_the_callers_error_and_log(namespace, kubectl, api):
    elsewhere = type(namespace)(kubectl, f"{namespace.name}-other", api)
    kubectl("create", "namespace", elsewhere.name)
    pipelines(elsewhere, hidden=SLOW)
    pipelines(namespace, calls=CALLS, leaf=SLOW)
    cases = {
        "unknown": (f"{namespace.name}/nothing", {}, "There is no model"),
        "private": (f"{elsewhere.name}/hidden", {"seconds": 1}, "There is no model"),
        "wrong input": (f"{namespace.name}/leaf", {"seconds": "soon"}, "seconds"),
        "missing input": (f"{namespace.name}/leaf", {}, "seconds"),
    }
    made = {
        case: start(namespace, "calls", name=name, inputs=inputs)
        for case, (name, inputs, _) in cases.items()
    }
    for case, (name, _, words) in cases.items():
        ended = namespace.finished(made[case])
        print(case, ended["status"]["error"])
        assert reason(ended) == "UserError", case
        error, logs = ended["status"]["error"], namespace.logs(made[case])
        assert words in error, (case, error)
        assert words in logs, (case, logs)
        assert "replicate.use(name)(**inputs)" in logs
        if case in {"unknown", "private"}:
            assert f'"{name}"' in error
        assert ended["status"]["children"]["total"] == 0
    assert len(runs(namespace)) == len(cases)
    assert runs(elsewhere) == []
    kubectl("delete", "namespace", elsewhere.name, "--timeout=90s")
    namespace.no_pods()


# -- tokens ----------------------------------------------------------------------------------------

TELLS = """
import os
import replicate
from cog import current_scope
leaf = replicate.use("HERE/leaf")
def main() -> list[str]:
    leaf(seconds=0)
    return [os.environ["REPLICATE_API_TOKEN"], *current_scope().context.values()]
"""

USES = """
import os, threading
import replicate
tells = replicate.use("HERE/tells")
leaf = replicate.use("HERE/leaf")

def ask(token: str) -> str:
    try:
        made = replicate.Client(api_token=token).models.predictions.create(
            model="HERE/leaf", input={"seconds": 0}
        )
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return made.id

def main() -> dict:
    ended = tells()[0]
    told = {"ended": ask(ended), "forged": ask(ended[:-1] + "x")}
    os.environ["REPLICATE_API_TOKEN"] = ended
    told["own"] = leaf(seconds=0)
    os.environ["REPLICATE_API_TOKEN"] = "nonsense"
    found = []
    thread = threading.Thread(target=lambda: found.append(leaf(seconds=0)))
    thread.start()
    thread.join()
    return {**told, "thread": found}
"""


def test_a_token_of_a_run_that_is_over_is_worth_nothing_and_the_own_one_cannot_be_lost(namespace):
    pipelines(namespace, uses=USES, tells=TELLS, leaf=SLOW)
    root = start(namespace, "uses")
    ended = namespace.finished(root)
    assert reason(ended) == "Succeeded", message(ended)
    told = ended["status"]["output"]
    assert "The run of this token has ended." in told["ended"]
    assert "The token is not valid." in told["forged"]
    # Whatever the environment says by then, calls are the run's own.
    assert (told["own"], told["thread"]) == ("done", ["done"])
    assert len(children(namespace, root, 3)) == 3
    (tells,) = (each for each in runs(namespace) if each["spec"]["pipelineRef"]["name"] == "tells")
    tokens = tells["status"]["output"]
    assert len(set(tokens)) == 1
    with caller(namespace, tokens[0]) as client:
        for answer in (
            client.post(f"/v1/models/{namespace.name}/leaf/predictions", json={"input": {}}),
            client.get(f"/v1/predictions/{tells['status']['id']}"),
        ):
            assert answer.status_code == 401
            assert answer.json()["detail"] == "The run of this token has ended."
    namespace.no_pods()


LEAVES_A_THREAD = """
import threading, time
import replicate
leaf = replicate.use("HERE/leaf")
def call_for_ever():
    while True:
        try:
            leaf.create(seconds=0)
            print("created", flush=True)
        except Exception as error:
            print("refused:", error, flush=True)
        time.sleep(0.5)
def main() -> str:
    threading.Thread(target=call_for_ever).start()
    time.sleep(3)
    return "over"
"""


def test_a_thread_that_outlives_main_makes_nothing_after_the_end(namespace, books):
    pipelines(namespace, root=LEAVES_A_THREAD, leaf=SLOW)
    root = start(namespace, "root")
    ended = namespace.finished(root)
    assert reason(ended) == "Succeeded", message(ended)
    assert ended["status"]["output"] == "over"
    made = namespace.logs(root).count("created")
    body = settled(namespace, root, 120)
    total = body["status"]["children"]["total"]
    assert made <= total <= made + 1
    assert total == len(runs(namespace)) - 1
    end = body["status"]["completedAt"][:19]
    assert all(each["metadata"]["creationTimestamp"] <= end + "Z" for each in runs(namespace))
    billed_once(namespace, books, root)
    namespace.no_pods()
