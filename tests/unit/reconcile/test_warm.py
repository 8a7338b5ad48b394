"""What is done with a pool of waiting pods, by its pods, its runtime and the time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from support.builders import NOW, at, runtime

from mayfly.api.v1alpha1 import Reason
from mayfly.reconcile.actions import CreatePod, DeletePod, EnsureNetworkPolicy
from mayfly.reconcile.observed import Failure, ObservedPod, PodSettings, Terminated
from mayfly.reconcile.pods import template_of
from mayfly.reconcile.warm import (
    BOOTS_AT_ONCE,
    LATE,
    LONGEST_PAUSE_SECONDS,
    LONGEST_SETTLE,
    MAX_AGE,
    SETTLE,
    SURPLUS,
    SURPLUS_PAUSE,
    TELL_AFTER,
    UNREADY,
    Arrivals,
    Boots,
    ObservedPool,
    PoolPlan,
    WaitingPod,
    plan_pool,
    usable,
)

SETTINGS = PodSettings("https://gateway.test")
NAMES = tuple(f"mayfly-warm-{number}" for number in range(8))
NO_POD = {"phase": "Failed", "terminated": Terminated(1, "Error", "no such package")}


def own(**warm: Any) -> Any:
    return runtime(warm=warm) if warm else runtime()


def waiting(name: str, **parts: Any) -> WaitingPod:
    status = {"ready": True, "phase": "Running", "waits": True, "started_at": NOW}
    names = {each: parts.pop(each) for each in list(parts) if each in ObservedPod.__annotations__}
    seen = ObservedPod(name=name, uid=f"{hash(name) & 0xFFFFFFFF:08x}", **{**status, **names})
    facts: dict[str, Any] = {
        "runtime": "default",
        "template": template_of(own(min=1), SETTINGS),
        "created": NOW,
        "was_ready": seen.ready,
        "ready_since": NOW,
        **parts,
    }
    return WaitingPod(seen, **facts)


def booting(name: str, **parts: Any) -> WaitingPod:
    return waiting(name, ready=False, was_ready=False, ready_since=None, **parts)


def plan(*pods: WaitingPod, **parts: Any) -> PoolPlan:
    facts: dict[str, Any] = {
        "namespace": "team",
        "runtime": own(min=2, max=4),
        "labelled": True,
        "pods": pods,
        "settings": SETTINGS,
        "now": NOW,
        "names": NAMES,
        "room": 100,
        **parts,
    }
    return plan_pool(ObservedPool(**facts))


def created(found: PoolPlan) -> list[str]:
    made = [each for each in found.actions if isinstance(each, CreatePod)]
    return [each.body["metadata"]["name"] for each in made]


def deleted(found: PoolPlan) -> list[str]:
    return [each.name for each in found.actions if isinstance(each, DeletePod)]


def test_an_empty_pool_is_filled_and_a_full_one_left_alone():
    assert created(plan()) == list(NAMES[:2])
    assert created(plan(booting("a"))) == list(NAMES[:1])
    full = plan(waiting("a"), waiting("b"))
    assert full.actions == ()
    assert full.wake is not None


@pytest.mark.parametrize(
    "parts",
    [
        {"labelled": False},
        {"runtime": None},
        {"runtime": own()},
        {"runtime": runtime(image="x:latest", warm={"min": 2})},
        {"room": 0},
    ],
)
def test_without_a_pool_nothing_waits(parts: dict[str, Any]):
    assert created(plan(**parts)) == []
    assert set(deleted(plan(waiting("a"), booting("b"), **parts))) == {"a", "b"}


def test_the_network_policy_is_there_before_the_first_pod():
    first, *others = plan(network_ready=False).actions
    assert first == EnsureNetworkPolicy("team")
    assert all(isinstance(each, CreatePod) for each in others)
    # A policy that somebody deleted comes back while pods wait.
    (again,) = plan(waiting("a"), waiting("b"), network_ready=False).actions
    assert again == first


def test_arrivals_make_it_larger_up_to_the_most():
    pods = (waiting("a"), waiting("b"))
    assert len(created(plan(*pods, rate=0.2, boots=Boots(seconds=5)))) == 1
    assert len(created(plan(*pods, rate=9.0, boots=Boots(seconds=5)))) == 2
    assert len(created(plan(*pods, rate=9.0, room=3))) == 1
    assert created(plan(*pods, rate=9.0, runtime=own(min=2))) == []


def test_boots_are_few_at_a_time_in_all_pools():
    many = own(min=20)
    assert len(created(plan(runtime=many))) == BOOTS_AT_ONCE
    some = plan(runtime=many, booting=BOOTS_AT_ONCE - 1)
    assert len(created(some)) == 1
    none = plan(runtime=many, booting=BOOTS_AT_ONCE)
    assert created(none) == []
    assert none.wake == at(1)


def test_what_can_never_be_given_to_a_run_goes():
    kept = waiting("kept")
    useless = [
        waiting("over", **NO_POD),
        waiting("spent", spent=True),
        waiting("old", template="another"),
    ]
    found = plan(kept, *useless)
    assert deleted(found) == ["over", "spent", "old"]
    assert len(created(found)) == 1


def test_what_is_going_already_is_not_deleted_again_and_replaced():
    found = plan(waiting("a"), waiting("b", deleting=True))
    assert deleted(found) == []
    assert len(created(found)) == 1


def test_an_outage_replaces_nothing_for_minutes():
    away = [waiting(name, ready=False, was_ready=True) for name in ("a", "b")]
    just_before = NOW + UNREADY - timedelta(seconds=1)
    found = plan(*away, now=just_before)
    assert found.actions == ()
    assert found.wake == NOW + UNREADY
    assert deleted(plan(*away, now=NOW + UNREADY)) == ["a", "b"]


def test_a_boot_that_fails_is_told_and_the_next_one_waits():
    found = plan(booting("a", **NO_POD))
    words = "pod a ended with exit code 1: no such package"
    assert found.failed == (Failure(Reason.PODS_FAIL, words),)
    assert (deleted(found), created(found)) == (["a"], [])
    assert found.wake == at(1)


def test_one_that_was_ready_or_that_somebody_deleted_is_no_failed_boot():
    assert plan(waiting("a", was_ready=True, **NO_POD)).failed == ()
    assert plan(booting("a", deleting=True, **NO_POD)).failed == ()


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (
            {"started_at": None, "message": "0/1 nodes are available"},
            Reason.UNSCHEDULABLE,
            "pod a: 0/1 nodes are available",
        ),
        (
            {"waiting": ("ErrImagePull", "not found")},
            Reason.IMAGE_PULL,
            "pod a: ErrImagePull: not found",
        ),
        ({"ever_started": True}, Reason.PODS_FAIL, "pod a: it did not become ready"),
    ],
)
def test_one_that_does_not_become_ready_is_given_up(
    status: dict[str, Any], reason: Reason, words: str
):
    late = booting("a", **status)
    assert plan(late, now=NOW + LATE - timedelta(seconds=1)).failed == ()
    found = plan(late, now=NOW + LATE)
    assert found.failed == (Failure(reason, words),)
    assert deleted(found) == ["a"]


def test_one_whose_image_cannot_be_pulled_is_given_up_at_once():
    first_try = booting("a", waiting=("ErrImagePull", "not found"))
    assert plan(first_try).failed == ()
    found = plan(booting("a", waiting=("ImagePullBackOff", "not found")))
    assert found.failed == (Failure(Reason.IMAGE_PULL, "pod a: ImagePullBackOff: not found"),)
    assert (deleted(found), created(found)) == (["a"], [])


def test_pauses_grow_and_end_with_a_success():
    failure = Failure(Reason.PODS_FAIL, "no")
    boots = Boots()
    pauses = []
    for _ in range(12):
        boots = boots.failed(failure, NOW)
        assert boots.paused_until is not None
        pauses.append((boots.paused_until - NOW).total_seconds())
    assert pauses[:3] == [5, 10, 20]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS
    paused = plan(boots=boots)
    assert (created(paused), paused.wake) == ([], boots.paused_until)
    # Then one is tried, not all.
    assert boots.paused_until is not None
    assert len(created(plan(boots=boots, now=boots.paused_until))) == 1
    assert boots.succeeded(4).paused_until is None


def test_it_is_told_after_some_in_a_row():
    failure = Failure(Reason.PODS_FAIL, "no")
    boots = Boots()
    for count in range(1, TELL_AFTER + 1):
        boots = boots.failed(failure, NOW)
        assert boots.told == (failure if count == TELL_AFTER else None)
    assert boots.succeeded(4).told is None


def test_more_than_allowed_go_at_once_those_that_boot_first():
    pods = [waiting("a"), booting("b"), waiting("c")]
    assert deleted(plan(*pods, runtime=own(min=1))) == ["b", "a"]


def test_more_than_wanted_go_one_by_one_after_a_while():
    pods = [waiting(name) for name in "abcd"]
    first = plan(*pods)
    assert (first.actions, first.surplus_since) == ((), NOW)
    due = NOW + SURPLUS
    assert first.wake == due
    later = plan(*pods, now=due, surplus_since=first.surplus_since)
    assert deleted(later) == ["a"]
    assert later.wake == due + SURPLUS_PAUSE
    soon = plan(*pods[1:], now=due + SURPLUS_PAUSE / 2, surplus_since=later.surplus_since)
    assert soon.actions == ()
    assert plan(*pods[:2], surplus_since=NOW).surplus_since is None


def test_an_old_one_goes_when_its_successor_is_there():
    now = NOW + MAX_AGE * 1.3
    old, young = waiting("old"), waiting("young", created=now)
    found = plan(old, young, now=now)
    assert (deleted(found), len(created(found))) == ([], 1)
    coming = plan(old, young, booting("new", created=now), now=now)
    assert coming.actions == ()
    there = plan(old, young, waiting("new", created=now), now=now)
    assert deleted(there) == ["old"]
    # At its maximum, too, a pool has one more for the while of the change.
    full = {"runtime": own(min=2), "now": now}
    assert len(created(plan(old, young, **full))) == 1
    assert plan(old, young, booting("new", created=now), **full).actions == ()
    assert deleted(plan(old, young, waiting("new", created=now), **full)) == ["old"]


def test_old_ones_are_replaced_one_at_a_time():
    now = NOW + MAX_AGE * 1.3
    old = [waiting(name) for name in "abcd"]
    assert len(created(plan(*old, runtime=own(min=4), now=now))) == 1
    coming = booting("new", created=now)
    assert plan(*old, coming, runtime=own(min=4), now=now).actions == ()


def test_those_of_one_time_grow_old_at_several():
    ages = {waiting(str(number)).age for number in range(50)}
    assert len(ages) > 40
    assert MAX_AGE * 0.8 <= min(ages) <= max(ages) <= MAX_AGE * 1.2


def test_a_run_gets_the_oldest_that_can_take_it():
    mine = own(min=1)
    pods = [
        waiting("young", created=at(5)),
        waiting("old", created=at(-5)),
        booting("boots", created=at(-9)),
        waiting("over", created=at(-9), **NO_POD),
        waiting("going", created=at(-9), deleting=True),
        waiting("spent", created=at(-9), spent=True),
        waiting("unready", created=at(-9), ready=False, was_ready=True),
        waiting("another's", created=at(-9), runtime="other"),
        waiting("outdated", created=at(-9), template="another"),
    ]
    assert [each.seen.name for each in usable(pods, mine, SETTINGS)] == ["old", "young"]


@pytest.mark.parametrize(
    "changed", [{"image": f"y@sha256:{'1' * 64}"}, {"resources": {"limits": {"cpu": "2"}}}]
)
def test_a_change_of_the_runtime_makes_what_waits_useless(changed: dict[str, Any]):
    other = runtime(warm={"min": 1}, **changed)
    assert usable([waiting("a")], other, SETTINGS) == []
    found = plan(waiting("a"), runtime=other)
    assert (deleted(found), len(created(found))) == (["a"], 1)


@pytest.mark.parametrize("changed", [{"max_pods": 7}, {"warm": {"min": 1, "max": 9}}])
def test_what_no_pod_is_made_of_changes_nothing(changed: dict[str, Any]):
    assert usable([waiting("a")], runtime(**{"warm": {"min": 1}, **changed}), SETTINGS)


def test_arrivals_are_averaged_and_fade():
    burst = Arrivals()
    for _ in range(10):
        burst = burst.one_more(NOW)
    assert burst.rate(NOW) == pytest.approx(1.0)
    assert burst.rate(at(30)) < 0.1
    steady = Arrivals()
    for second in range(900):
        steady = steady.one_more(at(second * 2))
    assert steady.rate(at(1800)) == pytest.approx(0.5, rel=0.2)
    assert Arrivals().rate(NOW) == 0


def arrived(*seconds: float) -> Arrivals:
    """What is known after runs that came so many seconds after `NOW`."""
    found = Arrivals()
    for each in seconds:
        found = found.one_more(at(each))
    return found


def test_new_pods_may_boot_once_no_run_has_come_for_a_while():
    assert Arrivals().settled_at is None
    assert arrived(0).settled_at == NOW + SETTLE
    burst = arrived(*(number / 100 for number in range(20)))
    assert burst.settled_at == at(0.19) + SETTLE
    # Another one begins anew.
    assert arrived(0, 0.1, 9).settled_at == at(9) + SETTLE
    assert arrived(0, SETTLE.total_seconds()).since == NOW + SETTLE


def test_runs_that_keep_coming_do_not_put_off_boots_for_longer():
    due = NOW + LONGEST_SETTLE
    pause = SETTLE.total_seconds() * 0.8
    steady = [number * pause for number in range(100)]
    before = [each for each in steady if at(each) < due]
    assert arrived(*before).settled_at == due
    # Nor does any that comes later.
    assert arrived(*steady).settled_at == due
    assert arrived(*steady, steady[-1] + 60).settled_at == at(steady[-1] + 60) + SETTLE


def test_a_pool_creates_nothing_before_runs_have_settled_and_looks_again_then():
    due = NOW + SETTLE
    early = plan(booting("a"), settled_at=due)
    assert (created(early), early.wake) == ([], due)
    assert len(created(plan(booting("a"), settled_at=due, now=due))) == 1
    # What is useless goes meanwhile, and what boots is left alone.
    over = plan(booting("a"), waiting("over", **NO_POD), settled_at=due)
    assert (deleted(over), created(over)) == (["over"], [])
    # An old one waits for its successor.
    now = NOW + MAX_AGE * 1.3
    old = plan(waiting("a"), waiting("b"), now=now, settled_at=now + SETTLE)
    assert (old.actions, old.wake) == ((), now + SETTLE)
    # A full one has nothing to wait for.
    full = plan(waiting("a"), waiting("b"), settled_at=due)
    assert full.wake is not None
    assert full.wake > due


def test_a_pause_after_failed_boots_holds_beside_the_runs_that_come():
    boots = Boots().failed(Failure(Reason.PODS_FAIL, "no"), NOW)
    assert boots.paused_until is not None
    paused = plan(boots=boots, settled_at=NOW + SETTLE, now=NOW + SETTLE)
    assert (created(paused), paused.wake) == ([], boots.paused_until)
    late = boots.paused_until + SETTLE
    assert created(plan(boots=boots, settled_at=late, now=boots.paused_until)) == []
