"""The caches: news never goes back, places are counted once, nothing finished stays."""

from __future__ import annotations

from typing import Any

from support.builders import NOW, UID, at

from mayfly.controller.caches import Caches
from mayfly.controller.capacity import Capacity, Taken
from mayfly.controller.key import Key

KEY = Key("run", "team", "run")


def run(version: int) -> dict[str, Any]:
    named = {"name": "run", "namespace": "team", "uid": UID}
    return {"metadata": {**named, "resourceVersion": str(version)}}


def pod(name: str = "pod-1", version: int = 1, uid: str = "u1", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": "team",
            "uid": uid,
            "resourceVersion": str(version),
            "annotations": {"mayfly.dev/runtime": "default"},
            "ownerReferences": [{"kind": "PipelineRun", "name": "run", "uid": UID}],
        },
        "status": {"phase": "Running", **status},
    }


def test_old_news_of_a_run_is_ignored():
    caches = Caches()
    caches.put_run(KEY, run(5))
    caches.put_run(KEY, run(4))
    assert caches.runs[KEY]["metadata"]["resourceVersion"] == "5"


def test_old_news_of_a_pod_is_ignored_and_a_gone_one_stays_gone():
    caches = Caches()
    caches.put_pod(pod(version=5, phase="Running"), NOW)
    caches.put_pod(pod(version=4, phase="Pending"), NOW)
    assert caches.pods[UID]["pod-1"].seen.phase == "Running"
    caches.put_pod(pod(version=6), at(1), gone=True)
    caches.put_pod(pod(version=7), at(2))
    seen = caches.pods[UID]["pod-1"].seen
    assert seen.gone
    assert seen.noticed == at(1)


def test_the_last_words_of_a_pod_count_though_a_listing_missed_it_first():
    caches = Caches()
    caches.put_pod(pod(version=5, phase="Pending"), NOW)
    caches.mark_gone(UID, "pod-1", at(1))
    # It may have started since: nothing else may be claimed for its run.
    assert caches.pods[UID]["pod-1"].seen.unseen
    caches.put_pod(pod(version=6, phase="Running"), at(2))
    assert caches.pods[UID]["pod-1"].seen.unseen
    ended = {"exitCode": 1, "message": "told", "startedAt": "2026-01-01T00:00:00Z"}
    last = [{"name": "agent", "state": {"terminated": ended}}]
    caches.put_pod(pod(version=7, containerStatuses=last), at(3), gone=True)
    seen = caches.pods[UID]["pod-1"].seen
    assert seen.terminated is not None
    assert seen.terminated.message == "told"
    assert (seen.gone, seen.unseen, seen.ever_started) == (True, False, True)
    assert seen.noticed == at(1)


def test_what_started_once_has_started():
    caches = Caches()
    running = [{"name": "agent", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]
    caches.put_pod(pod(version=1, containerStatuses=running), NOW)
    caches.put_pod(pod(version=2, phase="Failed"), at(1))
    assert caches.pods[UID]["pod-1"].seen.ever_started


def test_places_in_use():
    caches = Caches()
    capacity = Capacity(caches)
    caches.put_pod(pod(), NOW)
    assert capacity.places("default", 9).held == {1: 1}
    capacity.creating[KEY] = Taken("default", 2)
    assert capacity.places("default", 9).held == {1: 1, 2: 1}
    assert capacity.active() == {"team": 2}
    capacity.creating.pop(KEY)
    caches.put_pod(pod(version=2, phase="Succeeded"), NOW)
    assert capacity.places("default", 9).held == {}
    assert not capacity.active()


def test_a_place_belongs_to_the_one_who_waits_longest():
    caches = Caches()
    capacity = Capacity(caches)
    older, newer = Key("run", "team", "older"), Key("run", "team", "newer")
    capacity.join_queue("default", newer, 1, "2026-01-01T00:00:02Z")
    capacity.join_queue("default", older, 1, "2026-01-01T00:00:01Z")
    assert capacity.why_waits("default", older, 1) == ""
    assert "maxPods 1" in capacity.why_waits("default", newer, 1)
    assert capacity.in_line("default", 1) == [older]
    capacity.leave_queue(older)
    assert capacity.why_waits("default", newer, 1) == ""


def test_a_quota_is_told_in_words():
    caches = Caches(quotas={"team": 1})
    capacity = Capacity(caches)
    caches.put_pod(pod(), NOW)
    capacity.join_queue("default", KEY, 1, "2026-01-01T00:00:01Z")
    assert "mayfly.dev/max-active-runs" in capacity.why_waits("default", KEY, 10)
    caches.quotas["team"] = 2
    assert capacity.why_waits("default", KEY, 10) == ""


def test_nothing_of_a_finished_run_stays():
    """Invariant 7."""
    caches = Caches()
    capacity = Capacity(caches)
    caches.put_run(KEY, run(1))
    caches.put_pod(pod(), NOW)
    capacity.join_queue("default", KEY, 1, "2026-01-01T00:00:01Z")
    capacity.creating[KEY] = Taken("default", 1)
    caches.pod_refused[KEY] = "quota"
    caches.dependents["team", "p"] = {KEY}
    caches.forget_run(KEY, UID)
    capacity.forget(KEY)
    assert caches == Caches(dependents={("team", "p"): set()})
    assert capacity == Capacity(caches, waiting={"default": {}})


def member(name: str, parent: str = "", ended: bool = False) -> dict[str, Any]:
    """A run of a tree; its UID is its name."""
    conditions = [{"type": "Finished", "status": "True"}] if ended else []
    return {
        "metadata": {"name": name, "namespace": "team", "uid": name, "resourceVersion": "1"},
        "spec": {"parentRef": {"name": parent, "uid": parent}} if parent else {},
        "status": {"conditions": conditions},
    }


def pod_of(name: str, depth: int, **status: Any) -> dict[str, Any]:
    body = pod(f"pod-of-{name}", uid=f"pod-{name}", **status)
    body["metadata"]["labels"] = {"mayfly.dev/depth": str(depth)}
    body["metadata"]["ownerReferences"] = [{"kind": "PipelineRun", "name": name, "uid": name}]
    return body


def chain(levels: int, limit: int) -> Capacity:
    """A chain that holds `levels` pods, whose last run has made one more, "next"."""
    caches = Caches(runtimes={"default": {"spec": {"maxPods": limit}}})
    capacity = Capacity(caches, reserve=3)
    above = ""
    for level in range(1, levels + 1):
        name = f"level-{level}"
        caches.put_run(Key("run", "team", name), member(name, above))
        caches.put_pod(pod_of(name, level), NOW)
        above = name
    caches.put_run(Key("run", "team", "next"), member("next", above))
    capacity.join_queue("default", Key("run", "team", "next"), levels + 1, "1")
    return capacity


NEXT = Key("run", "team", "next")


def test_a_chain_that_holds_every_pod_itself_can_never_go_on():
    words = chain(4, 4).too_long("default", 4, NEXT)
    assert "The 4 runs above this one hold every pod" in words
    assert "maxPods 4" in words
    assert chain(4, 5).too_long("default", 5, NEXT) == ""


def test_an_ancestor_that_has_ended_leaves_its_pod():
    capacity = chain(4, 4)
    caches = capacity.caches
    body = member("level-2", "level-1", ended=True)
    caches.put_run(Key("run", "team", "level-2"), body)
    assert capacity.too_long("default", 4, NEXT) == ""
    assert capacity.standstills(NOW) == {}


def test_when_parents_hold_every_pod_the_deepest_gives_up_after_a_minute_of_standstill():
    capacity = chain(3, 4)
    caches = capacity.caches
    caches.put_run(Key("run", "team", "other"), member("other"))
    caches.put_pod(pod_of("other", 1), NOW)
    assert capacity.standstills(NOW) == {}  # that one may end by itself
    waits = Key("run", "team", "of-other")
    caches.put_run(waits, member("of-other", "other"))
    capacity.join_queue("default", waits, 2, "2")
    found = capacity.standstills(at(10))
    assert list(found) == [NEXT]
    assert found[NEXT].at == at(70)
    assert "(level 4) was the deepest" in found[NEXT].why
    assert "maxPods 4" in found[NEXT].why
    assert capacity.standstills(at(69))[NEXT].at == at(70)


def test_a_place_that_is_left_begins_the_minute_anew():
    capacity = chain(4, 4)
    caches = capacity.caches
    assert capacity.standstills(NOW)[NEXT].at == at(60)
    caches.put_pod(pod_of("level-2", 2, phase="Succeeded"), at(30))
    assert capacity.standstills(at(30)) == {}
    caches.put_pod({**pod_of("again", 2)}, at(31))
    caches.put_run(Key("run", "team", "again"), member("again", "level-1"))
    caches.put_run(Key("run", "team", "below"), member("below", "again"))
    capacity.join_queue("default", Key("run", "team", "below"), 3, "3")
    assert capacity.standstills(at(32))[NEXT].at == at(92)


def test_a_quota_that_parents_hold_is_a_standstill_too():
    capacity = chain(2, 50)
    caches = capacity.caches
    caches.quotas["team"] = 2
    (found,) = capacity.standstills(NOW).values()
    assert "mayfly.dev/max-active-runs allows (2)" in found.why


def test_who_has_ended_leaves_the_queue():
    capacity = chain(1, 2)
    assert capacity.leave_queue(NEXT) == ["default"]
    assert capacity.leave_queue(NEXT) == []


def test_the_children_of_a_run_are_those_that_wait_and_are_unfinished():
    def child(version: int, parent: str, **status: str) -> dict[str, Any]:
        spec = {"parentRef": {"name": parent, "uid": f"uid-{parent}"}}
        return {**run(version), "spec": spec, "status": status}

    caches = Caches()
    other = Key("run", "team", "other")
    caches.put_run(KEY, child(1, "first"))
    caches.put_run(other, child(1, "first"))
    assert sorted(caches.unclaimed_children("uid-first"), key=str) == sorted([KEY, other], key=str)
    caches.put_run(other, child(2, "first", podUID="claimed"))
    assert caches.unclaimed_children("uid-first") == [KEY]
    # One of the same name that another run made.
    caches.put_run(KEY, child(3, "second"))
    assert caches.unclaimed_children("uid-first") == []
    assert caches.unclaimed_children("uid-second") == [KEY]
    caches.forget_run(KEY, None)
    caches.forget_run(other, None)
    assert caches.children == {}
