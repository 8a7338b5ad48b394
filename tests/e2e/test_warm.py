"""Runs that use pods that waited for them: the same as others, sooner, and nothing is kept."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.cluster.books import Books
from support.cluster.installation import Json, Namespace, message, reason
from support.cluster.trees import pipeline
from support.cluster.warm import WarmPool, pool, was_warm
from support.waiting import eventually

WORK = """
import sys
import time
from cog import BaseModel, Path, Secret

class Output(BaseModel):
    text: str
    file: Path

def main(word: str, key: Secret) -> Output:
    print("begins", flush=True)
    print("oops", file=sys.stderr, flush=True)
    time.sleep(1)
    file = Path("result.txt")
    file.write_text(word * 3)
    Path("/tmp/left").write_text(word + key.get_secret_value())
    return Output(text=word.upper(), file=file)
"""

SEARCHES = """
import os
from pathlib import Path
def main(word: str) -> list[str]:
    found = [name for name, value in os.environ.items() if word in value]
    for folder in ("/scratch", "/tmp", "/var/tmp", "/run", "/dev/shm"):
        for path in Path(folder).rglob("*"):
            try:
                if path.is_file() and word[::-1].encode() in path.read_bytes():
                    found.append(str(path))
            except OSError:
                pass
    return found
"""
"""Looks for a word that is given backwards, so that the input itself is not found."""

PARENT = """
import replicate
leaf = replicate.use("HERE/leaf")
def main(word: str) -> str:
    return leaf(word=word) + "!"
"""

LEAF = "def main(word: str) -> str:\n    return word[::-1]\n"

SHORT = "def main(number: int) -> int:\n    return number + 1\n"


@pytest.fixture
def warm(namespace) -> Iterator[WarmPool]:
    with pool(namespace, 2) as made:
        yield made


def shown(namespace: Namespace, run: str) -> Json:
    """What a run leaves, without what differs from run to run."""
    ended = namespace.finished(run)
    assert reason(ended) == "Succeeded", message(ended)
    prediction = namespace.prediction(run)
    file = namespace.api.get(prediction["output"]["file"])
    usage = ended["status"]["usage"]
    return {
        "text": prediction["output"]["text"],
        "file": file.text,
        "status": prediction["status"],
        "logs": namespace.logs(run),
        "usage": usage.keys(),
        "status of the object": ended["status"].keys(),
        "conditions": [
            {key: each[key] for key in ("type", "status", "reason", "message")}
            for each in ended["status"]["conditions"]
        ],
    }


def test_a_run_of_the_pool_leaves_what_another_one_leaves_and_nothing_for_the_next(
    warm, namespace, kubectl
):
    kubectl("create", "secret", "generic", "tokens", "-n", namespace.name, "--from-literal=api=xyz")
    role = "mayfly-secret-tokens"
    account = "mayfly-system:mayfly-gateway"
    for command in (
        f"create role {role} --verb=get --resource=secrets --resource-name=tokens",
        f"create rolebinding {role} --role={role} --serviceaccount={account}",
    ):
        kubectl(*command.split(), "-n", namespace.name)
    key = {"secretKeyRef": {"name": "tokens", "key": "api"}}
    inputs = {"word": "marzipan", "key": key}
    run = warm.run(WORK, input=inputs)
    cold = namespace.run(WORK, input=inputs)
    assert shown(namespace, run) == shown(namespace, cold)
    first, other = namespace.get(run), namespace.get(cold)
    assert was_warm(first)
    assert not was_warm(other)
    # It waited for longer than it worked, and that is nobody's to pay.
    for each in (first, other):
        assert 1000 <= each["status"]["usage"]["activeMilliseconds"] < 3000
    assert Books(kubectl).record(first)["active_ms"] < 3000
    uid = first["status"]["podUID"]
    warm.filled(without=uid)
    for _ in range(warm.least):
        search = warm.run(SEARCHES, input={"word": "napizram"})
        ended = namespace.finished(search)
        assert (was_warm(ended), ended["status"]["podUID"] != uid) == (True, True)
        assert reason(ended) == "Succeeded", message(ended)
        assert ended["status"]["output"] == []


def test_a_run_of_the_pool_calls_another_one(warm, namespace):
    for name, source in (("leaf", LEAF), ("parent", PARENT)):
        pipeline(namespace, name, source, runtime=warm.runtime)
        namespace.ready("mpl", name)
    run = namespace.create({"pipelineRef": {"name": "parent"}, "input": {"word": "abc"}})
    ended = namespace.finished(run)
    assert reason(ended) == "Succeeded", message(ended)
    assert ended["status"]["output"] == "cba!"
    every = namespace.kubectl.json("get", "prun", "-n", namespace.name)["items"]
    assert [was_warm(each) for each in every] == [True, True]


def test_three_times_as_many_runs_as_pods_wait_all_have_one(warm, namespace):
    names = [warm.run(SHORT, input={"number": number}) for number in range(6)]
    ended = [namespace.finished(name) for name in names]
    assert [reason(each) for each in ended] == ["Succeeded"] * 6
    assert [each["status"]["output"] for each in ended] == [1, 2, 3, 4, 5, 6]
    assert len({each["status"]["podUID"] for each in ended}) == 6
    assert sum(was_warm(each) for each in ended) >= warm.least
    warm.filled()
    # Nothing else is left.
    eventually(lambda: len(namespace.pods()), accept=lambda count: count == warm.least)


def test_a_pod_deleted_at_its_claim_ends_the_run_in_words_or_is_replaced(namespace, kubectl):
    with pool(namespace, 1) as warm:
        for _ in range(2):
            (pod,) = warm.filled().values()
            run = warm.run(SHORT, input={"number": 1})
            kubectl.api.delete("pod", namespace.name, pod["metadata"]["name"])
            ended = namespace.finished(run)
            if reason(ended) != "Succeeded":
                assert reason(ended) == "Lost"
                assert message(ended) == "The pod was deleted while the run was in it."
        # What was deleted was no failed boot: the pool is full again, and says so.
        warm.filled()
        assert reason(kubectl.json("get", "mprt", warm.runtime), "Degraded") == "AsExpected"
