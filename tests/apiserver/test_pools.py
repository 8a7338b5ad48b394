"""Pools of waiting pods: a real controller, a real API server; the tests play the kubelet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.controller.pool import Pool, owner
from support.controller.world import IMAGE, Runs, container
from support.servers.ports import free_port
from support.waiting import eventually

from mayfly.api.v1alpha1.identity import run_id

Json = dict[str, Any]

QUOTA = {"pods": "1"}


@pytest.fixture
def make_pool(plane, runs, controllers) -> Iterator[Callable[..., Pool]]:
    made: list[Pool] = []

    def make(**warm: int) -> Pool:
        made.append(Pool(runs, controllers, **warm))
        return made[-1]

    yield make
    for each in made:
        plane.api.delete("mprt", name=each.runtime)


def columns(plane) -> dict[str, str]:
    head, row = plane.kubectl("get", "mprt", "default", "-o", "wide").stdout.splitlines()[:2]
    return {word: row[head.index(word) :].split(" ")[0] for word in head.split()}


def test_a_run_claims_a_pod_that_waits_and_another_one_comes(controllers, make_pool, runs, plane):
    pool = make_pool(min=2)
    pool.label()
    controllers.start(sweepSeconds=600)
    first, second = pool.came(2)
    for pod in (first, second):
        assert owner(pod) == ("PipelineRuntime", "default")
        assert pod["metadata"]["annotations"]["mayfly.dev/runtime"] == "default"
        [agent] = pod["spec"]["containers"]
        assert "/scratch/ready" in agent["startupProbe"]["exec"]["command"][-1]
        assert "activeDeadlineSeconds" not in pod["spec"]
    names = pool.fill(2)
    created = runs.create("a")
    status = runs.claimed("a")["status"]
    assert status["podName"] in names
    identity = run_id(created["metadata"]["uid"])
    own = eventually(
        lambda: plane.api.get("pod", status["podName"], "-n", runs.namespace),
        accept=lambda pod: owner(pod) == ("PipelineRun", "a"),
    )
    assert own["metadata"]["uid"] == status["podUID"]
    assert own["metadata"]["labels"]["mayfly.dev/id"] == identity
    assert own["metadata"]["labels"]["mayfly.dev/root"] == identity
    assert own["spec"]["activeDeadlineSeconds"] > 0
    pool.came(2)
    pool.shows(waiting=1, booting=1, claimed=1, namespaces=1)
    shown = columns(plane)
    assert (shown["WAITING"], shown["BOOTING"], shown["CLAIMED"]) == ("1", "1", "1")
    runs.finish("a")
    eventually(lambda: status["podName"] not in {p["metadata"]["name"] for p in runs.pods()})
    pool.shows(claimed=0)  # long before a sweep


def unlabel(pool: Pool) -> None:
    pool.label(None)


def without_a_size(pool: Pool) -> None:
    pool.change(warm=None)


def delete_the_runtime(pool: Pool) -> None:
    pool.plane.api.delete("mprt", name=pool.runtime)


def delete_the_namespace(pool: Pool) -> None:
    """It is not gone as long as something is in it."""
    pool.plane.api.delete("namespace", name=pool.runs.namespace)


def test_what_waits_goes_with_what_asked_for_it(controllers, make_pool, runs):
    """And a run that has its pod keeps it."""
    pool = make_pool(min=1)
    pool.label()
    controllers.start()
    pool.fill(1)
    runs.create("a")
    mine = runs.claimed("a")["status"]["podName"]
    for end, again in (
        (unlabel, pool.label),
        (without_a_size, lambda: pool.change(warm={"min": 1})),
        (delete_the_runtime, lambda: Pool(runs, controllers, min=1)),
        (delete_the_namespace, None),
    ):
        pool.came(1)
        end(pool)
        pool.came(0)
        assert [each["metadata"]["name"] for each in runs.pods()] == [mine]
        if again is not None:
            again()


def test_pods_of_an_older_image_are_given_to_no_run(controllers, make_pool, runs):
    pool = make_pool(min=1)
    pool.label()
    controllers.start()
    old = pool.fill(1)
    new = IMAGE.replace("0" * 64, "1" * 64)
    pool.change(image=new)
    eventually(lambda: not pool.names() & old)
    [name] = pool.fill(1)
    runs.create("a")
    assert runs.claimed("a")["status"]["podName"] == name
    own = next(each for each in runs.pods() if each["metadata"]["name"] == name)
    assert own["spec"]["containers"][0]["image"] == new


def test_what_keeps_a_pool_short_is_told_and_runs_get_what_there_is(
    controllers, make_pool, namespace, runs, plane
):
    """A quota that is used up, and an image that can't be pulled."""
    pool, broken = make_pool(min=2), None
    # The controllers of Kubernetes, which are not here, would write the status of a quota.
    quota = {"metadata": {"name": "few"}, "spec": {"hard": QUOTA}}
    plane.api.create("resourcequota", quota, namespace)
    used = {"status": {"hard": QUOTA, "used": {"pods": "0"}}}
    plane.api.merge("resourcequota", namespace, "few", used, "status")
    pool.label()
    other = Runs(plane, f"{namespace}-other")
    plane.api.create("namespace", {"metadata": {"name": other.namespace}})
    broken = Pool(other, controllers, "broken", min=1)
    broken.label()
    controllers.start()
    try:
        pool.came(1)
        pulls: set[str] = set()

        def both_told() -> bool:
            for each in broken.pods():
                if each["metadata"]["name"] not in pulls:
                    pulls.add(each["metadata"]["name"])
                    words = {"reason": "ImagePullBackOff", "message": "no such image"}
                    state = {"containerStatuses": [container({"waiting": words})]}
                    other.pod_status(each["metadata"]["name"], state)
            return all(each.degraded().get("status") == "True" for each in (pool, broken))

        eventually(both_told, 60)
        quota_words, pull_words = pool.degraded(), broken.degraded()
        assert quota_words["reason"] == "QuotaExceeded"
        assert f"In namespace {namespace}: the cluster refuses the pod" in quota_words["message"]
        assert "exceeded quota: few" in quota_words["message"]
        assert pull_words["reason"] == "ImagePull"
        assert "no such image" in pull_words["message"]
        assert len(pulls) == 3
        # What waits is given to runs.
        [name] = pool.fill(1)
        runs.create("a")
        assert runs.claimed("a")["status"]["podName"] == name
    finally:
        plane.api.delete("mprt", name="broken")


def test_what_is_taken_away_is_replaced_and_is_no_failed_boot(controllers, make_pool, runs, plane):
    pool = make_pool(min=3)
    pool.label()
    port = free_port()
    controllers.start(listenPort=port)
    deleted, evicted, killed = sorted(pool.fill(3))
    plane.api.delete("pod", runs.namespace, deleted)
    runs.pod_status(evicted, {"phase": "Failed", "reason": "Evicted", "message": "disk pressure"})
    runs.end_pod(killed, code=137, reason="OOMKilled")
    fresh = eventually(pool.names, accept=lambda seen: len(seen - {deleted, evicted, killed}) == 3)
    # While it boots, too.
    plane.api.delete("pod", runs.namespace, min(fresh))
    pool.fill(3)
    assert pool.degraded()["status"] == "False"


def test_a_burst_of_ten_times_the_pool_gives_each_run_one_pod(controllers, make_pool, runs):
    pool = make_pool(min=2, max=3)
    pool.label()
    controllers.start()
    waited = pool.fill(2)
    names = [f"r{number}" for number in range(20)]
    for name in names:
        runs.create(name)
        assert len(pool.pods()) <= 3
    claims = [runs.claimed(name)["status"] for name in names]
    assert len({status["podUID"] for status in claims}) == len(names)
    assert {status["attempt"] for status in claims} == {1}
    assert waited <= {status["podName"] for status in claims}
    # As many as runs and places to wait, not one more.
    pool.shows(booting=3, claimed=2)
    eventually(lambda: len(runs.pods()), accept=lambda count: count == len(names) + 3)


def test_two_leaders_at_once_and_as_many_pods_as_runs(controllers, make_pool, runs):
    """As after a pause longer than the Lease. Who lost a pod is told so by the gateway."""
    pool = make_pool(min=6)
    pool.label()
    controllers.start(leaseName="one")
    pool.fill(6)
    controllers.start(leaseName="two")
    names = [f"r{number}" for number in range(6)]
    for name in names:
        runs.create(name)

    def each_has_its_own() -> bool:
        owners = {pod["metadata"]["uid"]: owner(pod)[1] for pod in runs.pods()}
        has = {name: runs.claimed(name) for name in names}
        lost = [
            name
            for name, run in has.items()
            if owners.get(run["status"]["podUID"], name) in {*names} - {name}
        ]
        for name in lost:
            claim_lost(runs, has[name])
        found = [owners.get(run["status"]["podUID"]) for run in has.values()]
        return not lost and found == names

    eventually(each_has_its_own)
    claims = [runs.get(name)["status"] for name in names]
    assert len({status["podUID"] for status in claims}) == len(names)
    # The leaders agree on which of too many go.
    pool.fill(6)
    assert len(runs.pods()) == 12


def claim_lost(runs: Runs, run: Json) -> None:
    """Say that another run has the pod, like the gateway, unless the run has changed."""
    lost = {"type": "Started", "status": "False", "reason": "ClaimLost", "message": ""}
    kept = [each for each in run["status"]["conditions"] if each["type"] != "Started"]
    conditions = [*kept, {**lost, "lastTransitionTime": "2026-01-01T00:00:05Z"}]
    metadata = {"resourceVersion": run["metadata"]["resourceVersion"]}
    patch = {"metadata": metadata, "status": {"conditions": conditions}}
    runs.plane.api.try_merge("prun", runs.namespace, run["metadata"]["name"], patch, "status")


def test_a_run_that_lost_its_pod_ends_and_the_pod_stays_with_the_other(
    controllers, make_pool, runs
):
    pool = make_pool(min=1)
    pool.label()
    # A run here waits for the gateway's word, so that a leader of old news is first.
    runs.annotate_namespace("mayfly.dev/budget-monthly", "25")
    controllers.start()
    pool.fill(1)
    runs.create("has")
    runs.write_status("has", {"budgetChecked": True})
    has = runs.claimed("has")["status"]
    runs.create("lost")
    claim = {key: has[key] for key in ("podName", "podUID", "attempt", "conditions")}
    runs.write_status("lost", claim)
    runs.finish("lost")
    plane = runs.plane
    plane.api.delete("prun", runs.namespace, "lost")
    # Whatever the controller did about it, it did it before this one's claim.
    runs.create("last")
    runs.write_status("last", {"budgetChecked": True})
    runs.claimed("last")
    own = eventually(
        lambda: plane.api.get("pod", has["podName"], "-n", runs.namespace),
        accept=lambda pod: owner(pod) == ("PipelineRun", "has"),
    )
    assert own["metadata"]["uid"] == has["podUID"]
    runs.finish("has")
    eventually(lambda: has["podName"] not in {each["metadata"]["name"] for each in runs.pods()})
