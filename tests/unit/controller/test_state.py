"""The caches: news never goes back, places are counted once, nothing finished stays."""

from __future__ import annotations

from typing import Any

from support.builders import NOW, UID, at

from mayfly.controller.queue import Key
from mayfly.controller.state import State, Taken

KEY = Key("run", "team", "run")


def run(version: int) -> dict[str, Any]:
    return {"metadata": {"name": "run", "namespace": "team", "resourceVersion": str(version)}}


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
    state = State()
    state.put_run(KEY, run(5))
    state.put_run(KEY, run(4))
    assert state.runs[KEY]["metadata"]["resourceVersion"] == "5"


def test_old_news_of_a_pod_is_ignored_and_a_gone_one_stays_gone():
    state = State()
    state.put_pod(pod(version=5, phase="Running"), NOW)
    state.put_pod(pod(version=4, phase="Pending"), NOW)
    assert state.pods[UID]["pod-1"].seen.phase == "Running"
    state.put_pod(pod(version=6), at(1), gone=True)
    state.put_pod(pod(version=7), at(2))
    seen = state.pods[UID]["pod-1"].seen
    assert seen.gone
    assert seen.noticed == at(1)


def test_the_last_words_of_a_pod_count_though_a_listing_missed_it_first():
    state = State()
    state.put_pod(pod(version=5, phase="Pending"), NOW)
    state.mark_gone(UID, "pod-1", at(1))
    # It may have started since: nothing else may be claimed for its run.
    assert state.pods[UID]["pod-1"].seen.unseen
    state.put_pod(pod(version=6, phase="Running"), at(2))
    assert state.pods[UID]["pod-1"].seen.unseen
    ended = {"exitCode": 1, "message": "told", "startedAt": "2026-01-01T00:00:00Z"}
    last = [{"name": "agent", "state": {"terminated": ended}}]
    state.put_pod(pod(version=7, containerStatuses=last), at(3), gone=True)
    seen = state.pods[UID]["pod-1"].seen
    assert seen.terminated is not None
    assert seen.terminated.message == "told"
    assert (seen.gone, seen.unseen, seen.ever_started) == (True, False, True)
    assert seen.noticed == at(1)


def test_what_started_once_has_started():
    state = State()
    running = [{"name": "agent", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]
    state.put_pod(pod(version=1, containerStatuses=running), NOW)
    state.put_pod(pod(version=2, phase="Failed"), at(1))
    assert state.pods[UID]["pod-1"].seen.ever_started


def test_places_in_use():
    state = State()
    state.put_pod(pod(), NOW)
    assert state.places("default", 9).held == {1: 1}
    state.creating[KEY] = Taken("default", 2)
    assert state.places("default", 9).held == {1: 1, 2: 1}
    assert state.active() == {"team": 2}
    state.creating.pop(KEY)
    state.put_pod(pod(version=2, phase="Succeeded"), NOW)
    assert state.places("default", 9).held == {}
    assert not state.active()


def test_a_place_belongs_to_the_one_who_waits_longest():
    state = State()
    older, newer = Key("run", "team", "older"), Key("run", "team", "newer")
    state.join_queue("default", newer, 1, "2026-01-01T00:00:02Z")
    state.join_queue("default", older, 1, "2026-01-01T00:00:01Z")
    assert state.why_waits("default", older, 1) == ""
    assert "maxPods 1" in state.why_waits("default", newer, 1)
    assert state.in_line("default", 1) == [older]
    state.leave_queue(older)
    assert state.why_waits("default", newer, 1) == ""


def test_a_quota_is_told_in_words():
    state = State(quotas={"team": 1})
    state.put_pod(pod(), NOW)
    state.join_queue("default", KEY, 1, "2026-01-01T00:00:01Z")
    assert "mayfly.dev/max-active-runs" in state.why_waits("default", KEY, 10)
    state.quotas["team"] = 2
    assert state.why_waits("default", KEY, 10) == ""


def test_nothing_of_a_finished_run_stays():
    """Invariant 7."""
    state = State()
    state.put_run(KEY, run(1))
    state.put_pod(pod(), NOW)
    state.join_queue("default", KEY, 1, "2026-01-01T00:00:01Z")
    state.creating[KEY] = Taken("default", 1)
    state.pod_refused[KEY] = "quota"
    state.dependents["team", "p"] = {KEY}
    state.forget_run(KEY, UID)
    assert state == State(waiting={"default": {}}, dependents={("team", "p"): set()})


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


def chain(levels: int, limit: int) -> State:
    """A chain that holds `levels` pods, whose last run has made one more, "next"."""
    state = State(runtimes={"default": {"spec": {"maxPods": limit}}}, reserve=3)
    above = ""
    for level in range(1, levels + 1):
        name = f"level-{level}"
        state.put_run(Key("run", "team", name), member(name, above))
        state.put_pod(pod_of(name, level), NOW)
        above = name
    state.put_run(Key("run", "team", "next"), member("next", above))
    state.join_queue("default", Key("run", "team", "next"), levels + 1, "1")
    return state


NEXT = Key("run", "team", "next")


def test_a_chain_that_holds_every_pod_itself_can_never_go_on():
    words = chain(4, 4).too_long("default", 4, NEXT)
    assert "The 4 runs above this one hold every pod" in words
    assert "maxPods 4" in words
    assert chain(4, 5).too_long("default", 5, NEXT) == ""


def test_an_ancestor_that_has_ended_leaves_its_pod():
    state = chain(4, 4)
    body = member("level-2", "level-1", ended=True)
    state.put_run(Key("run", "team", "level-2"), body)
    assert state.too_long("default", 4, NEXT) == ""
    assert state.standstills(NOW) == {}


def test_when_parents_hold_every_pod_the_deepest_gives_up_after_a_minute_of_standstill():
    state = chain(3, 4)
    state.put_run(Key("run", "team", "other"), member("other"))
    state.put_pod(pod_of("other", 1), NOW)
    assert state.standstills(NOW) == {}  # that one may end by itself
    waits = Key("run", "team", "of-other")
    state.put_run(waits, member("of-other", "other"))
    state.join_queue("default", waits, 2, "2")
    found = state.standstills(at(10))
    assert list(found) == [NEXT]
    assert found[NEXT].at == at(70)
    assert "(level 4) was the deepest" in found[NEXT].why
    assert "maxPods 4" in found[NEXT].why
    assert state.standstills(at(69))[NEXT].at == at(70)


def test_a_place_that_is_left_begins_the_minute_anew():
    state = chain(4, 4)
    assert state.standstills(NOW)[NEXT].at == at(60)
    state.put_pod(pod_of("level-2", 2, phase="Succeeded"), at(30))
    assert state.standstills(at(30)) == {}
    state.put_pod({**pod_of("again", 2)}, at(31))
    state.put_run(Key("run", "team", "again"), member("again", "level-1"))
    state.put_run(Key("run", "team", "below"), member("below", "again"))
    state.join_queue("default", Key("run", "team", "below"), 3, "3")
    assert state.standstills(at(32))[NEXT].at == at(92)


def test_a_quota_that_parents_hold_is_a_standstill_too():
    state = chain(2, 50)
    state.quotas["team"] = 2
    (found,) = state.standstills(NOW).values()
    assert "mayfly.dev/max-active-runs allows (2)" in found.why


def test_who_has_ended_leaves_the_queue():
    state = chain(1, 2)
    assert state.leave_queue(NEXT) == ["default"]
    assert state.leave_queue(NEXT) == []


def test_the_children_of_a_run_are_those_that_wait_and_are_unfinished():
    def child(version: int, parent: str, **status: str) -> dict[str, Any]:
        spec = {"parentRef": {"name": parent, "uid": f"uid-{parent}"}}
        return {**run(version), "spec": spec, "status": status}

    state = State()
    other = Key("run", "team", "other")
    state.put_run(KEY, child(1, "first"))
    state.put_run(other, child(1, "first"))
    assert sorted(state.unclaimed_children("uid-first"), key=str) == sorted([KEY, other], key=str)
    state.put_run(other, child(2, "first", podUID="claimed"))
    assert state.unclaimed_children("uid-first") == [KEY]
    # One of the same name that another run made.
    state.put_run(KEY, child(3, "second"))
    assert state.unclaimed_children("uid-first") == []
    assert state.unclaimed_children("uid-second") == [KEY]
    state.forget_run(KEY, None)
    state.forget_run(other, None)
    assert state.children == {}
