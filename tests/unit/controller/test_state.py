"""The caches: news never goes back, places are counted once, nothing finished stays."""

from __future__ import annotations

from typing import Any

from support.builders import NOW, UID, at

from mayfly.controller.queue import Key
from mayfly.controller.state import State

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
    assert state.in_use("default") == 1
    state.creating[KEY] = "default"
    assert state.in_use("default") == 2
    assert state.active() == {"team": 2}
    state.creating.pop(KEY)
    state.put_pod(pod(version=2, phase="Succeeded"), NOW)
    assert state.in_use("default") == 0
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
    state.creating[KEY] = "default"
    state.pod_refused[KEY] = "quota"
    state.dependents["team", "p"] = {KEY}
    state.forget_run(KEY, UID)
    assert state == State(waiting={"default": {}}, dependents={("team", "p"): set()})
