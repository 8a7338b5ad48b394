"""Trees of runs: the real controller on a real API server; the tests play kubelet and gateway."""

from __future__ import annotations

from support.controller.world import Runs, message, reason
from support.waiting import eventually

from mayfly.api.v1alpha1 import PipelineRun
from mayfly.controller.resolve import tree_finished


def max_pods(plane, number: int) -> None:
    plane.api.merge("mprt", "", "default", {"spec": {"maxPods": number}})


def queued(runs: Runs, name: str) -> None:
    eventually(lambda: reason(runs.get(name), "Started", "False") == "Queued")


def names(runs: Runs) -> set[str]:
    found = runs.plane.api.get("prun", "-n", runs.namespace)["items"]
    return {each["metadata"]["name"] for each in found}


def test_a_child_has_its_place_in_the_tree_from_its_parent(controller, runs):
    runs.create("root")
    root = runs.claimed("root")
    runs.child("middle", root)
    middle = runs.claimed("middle")
    runs.child("leaf", middle)
    status = runs.claimed("leaf")["status"]
    assert (status["depth"], status["rootRef"]["name"]) == (3, "root")
    pod = next(each for each in runs.pods() if each["metadata"]["name"] == status["podName"])
    labels = pod["metadata"]["labels"]
    assert labels["mayfly.dev/root"] == root["status"]["id"]
    assert labels["mayfly.dev/parent"] == middle["status"]["id"]


def test_level_251_is_refused_in_words_and_belongs_to_its_tree(controller, runs):
    runs.create("root")
    root = runs.claimed("root")
    runs.write_status("root", {"depth": 249})
    runs.child("level-250", runs.get("root"))
    level = runs.claimed("level-250")
    assert level["status"]["depth"] == 250
    runs.child("level-251", level)
    ended = runs.ended("level-251")
    assert reason(ended, "Accepted", "False") == "DepthExceeded"
    assert message(ended, "Accepted") == (
        "Pipelines call pipelines at most 250 levels deep; this run would be level 251."
    )
    assert ended["status"]["rootRef"]["uid"] == root["metadata"]["uid"]


def test_a_cancel_ends_queued_children_and_leaves_claimed_ones_to_the_gateway(
    controllers, runtime, runs, plane
):
    max_pods(plane, 3)
    controllers.start(reserveDepth=0)
    runs.create("root")
    root = runs.claimed("root")
    runs.child("started", root)
    started = runs.claimed("started")
    runs.child("claimed", root)
    claimed = runs.claimed("claimed")
    runs.child("below-started", started)
    runs.child("waits", root)
    queued(runs, "waits")
    queued(runs, "below-started")
    runs.patch("root", cancel=True)
    ended = runs.ended("waits")
    assert reason(ended, "Succeeded", "False") == "Canceled"
    assert ended["status"]["phase"] == "Canceled"
    assert ended["status"]["error"] == (
        'The parent run "root" was cancelled before this run had started.'
    )
    assert ended["status"]["rootRef"]["uid"] == root["metadata"]["uid"]
    eventually(lambda: reason(runs.get("root"), "CancelAccepted", "False") == "ClaimsStopped")
    # A place is free: it goes to the child of the run that goes on, not to one of the cancelled.
    runs.child("late", root)
    assert reason(runs.ended("late"), "Succeeded", "False") == "Canceled"
    runs.finish("claimed")
    runs.claimed("below-started")
    for name, before in (("started", started), ("claimed", claimed)):
        assert runs.get(name)["status"]["podUID"] == before["status"]["podUID"]
        assert reason(runs.get(name), "CancelAccepted") is None
    assert reason(runs.get("started"), "Finished") is None


def test_a_parent_that_ends_leaves_its_children_running_and_queued_ones_too(
    controllers, runtime, runs, plane
):
    max_pods(plane, 2)
    controllers.start(reserveDepth=0)
    runs.create("other")
    runs.claimed("other")
    runs.create("root")
    root = runs.claimed("root")
    runs.child("waits", root)
    queued(runs, "waits")
    runs.finish("root")
    child = runs.claimed("waits")
    assert child["status"]["depth"] == 2
    assert child["status"]["rootRef"]["uid"] == root["metadata"]["uid"]
    # A cancel of a run that is over is too late.
    runs.child("later", runs.get("root"))
    runs.patch("root", cancel=True)
    runs.finish("waits")
    assert runs.claimed("later")["status"]["depth"] == 2


def test_the_ttl_of_a_root_waits_for_its_whole_tree(controllers, runtime, runs, plane):
    max_pods(plane, 9)
    first = controllers.start()
    runs.create("root", ttlSecondsAfterFinished=0)
    root = runs.claimed("root")
    runs.child("running", root)
    running = runs.claimed("running")
    runs.child("below", running)
    runs.claimed("below")
    # Nobody leads when the root ends and its TTL is over: the next one finds it all at once.
    first.kill()
    first.wait()
    runs.child("new", root)
    runs.finish("root")
    runs.create("alone", ttlSecondsAfterFinished=0)
    controllers.start()
    runs.finish("running")
    runs.claimed("new")
    runs.finish("new")
    runs.claimed("alone")
    runs.finish("alone")
    eventually(lambda: "alone" not in names(runs))
    assert names(runs) == {"root", "running", "below", "new"}
    runs.finish("below")
    eventually(lambda: "root" not in names(runs), seconds=60)


async def test_a_tree_is_over_only_with_what_nobody_has_looked_at(runs, cluster):
    """No controller here: a new child has its label, one whose label was taken has its status."""
    body = runs.create("root")
    reference = {"name": "root", "uid": body["metadata"]["uid"]}
    runs.write_status("root", {"depth": 1, "rootRef": reference})
    root = PipelineRun.model_validate(runs.get("root"))
    runs.write_status("root", {"recorded": True, "finished": True})
    assert await tree_finished(cluster, root)
    runs.child("new", runs.get("root"))
    assert "status" not in runs.get("new")
    assert not await tree_finished(cluster, root)
    runs.write_status("new", {"depth": 2, "rootRef": reference})
    unlabelled = {"metadata": {"labels": {"mayfly.dev/root": None}}}
    runs.plane.api.merge("prun", runs.namespace, "new", unlabelled)
    assert not await tree_finished(cluster, root)
    runs.write_status("new", {"recorded": True, "finished": True})
    assert await tree_finished(cluster, root)


def test_a_chain_longer_than_the_runtimes_pods_fails_at_once_in_words(controller, runs, plane):
    max_pods(plane, 2)
    runs.create("root")
    runs.child("middle", runs.claimed("root"))
    runs.child("leaf", runs.claimed("middle"))
    ended = runs.ended("leaf")
    assert reason(ended, "Succeeded", "False") == "CapacityExhausted"
    assert ended["status"]["phase"] == "Failed"
    assert "The 2 runs above this one hold every pod" in ended["status"]["error"]
    assert "maxPods 2" in ended["status"]["error"]


def test_when_parents_hold_every_pod_the_deepest_ends_and_the_rest_goes_on(
    controllers, runtime, runs, plane
):
    max_pods(plane, 4)
    controllers.start(reserveDepth=0, standstillSeconds=3)
    for name in ("a", "b"):
        runs.create(name)
        runs.child(f"{name}2", runs.claimed(name))
        runs.claimed(f"{name}2")
    runs.child("a3", runs.get("a2"))
    queued(runs, "a3")
    runs.child("b3", runs.get("b2"))
    ended = runs.ended("b3")
    assert reason(ended, "Succeeded", "False") == "CapacityExhausted"
    assert ended["status"]["error"].startswith(
        'Every pod of runtime "default" (maxPods 4) is held by a run that waits for a run below it'
    )
    # Its parent goes on with the error, ends, and leaves its pod to the other one.
    assert reason(runs.get("a3"), "Finished") is None
    runs.finish("b2")
    runs.claimed("a3")


def test_places_are_kept_for_children(controller, runs, plane):
    max_pods(plane, 3)
    runs.create("first")
    first = runs.claimed("first")
    runs.create("second")
    queued(runs, "second")
    assert "kept for runs that others wait for" in message(runs.get("second"), "Started")
    runs.child("middle", first)
    runs.child("leaf", runs.claimed("middle"))
    runs.claimed("leaf")
    for name in ("leaf", "middle", "first"):
        runs.finish(name)
    runs.claimed("second")


def test_a_root_deleted_by_hand_refuses_what_is_left_of_its_tree(controller, runs, plane):
    """Garbage collection takes the children; nobody collects here."""
    runs.create("root")
    root = runs.claimed("root")
    plane.api.delete("prun", runs.namespace, "root")
    runs.child("orphan", root)
    ended = runs.ended("orphan")
    assert reason(ended, "Accepted", "False") == "ParentEnded"
    assert 'The parent run "root" is gone.' in message(ended, "Accepted")
