"""Who is next: depth, fairness, age, quotas."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mayfly.reconcile.places import Places, Waiting, in_line


def one(name: str, namespace: str = "a", depth: int = 1, created: str = "1") -> Waiting[str]:
    return Waiting(name, namespace, depth, created)


def free(number: int) -> Places:
    return Places(number, Counter())


def test_the_oldest_is_next():
    waiting = [one("new", created="2"), one("old", created="1")]
    assert in_line(waiting, free(1), {}, {}) == ["old"]
    assert in_line(waiting, free(5), {}, {}) == ["old", "new"]
    assert in_line(waiting, free(0), {}, {}) == []
    assert in_line(waiting, free(-3), {}, {}) == []


def test_a_deeper_run_comes_before_an_older_one():
    assert in_line([one("root"), one("child", depth=2, created="9")], free(1), {}, {}) == ["child"]


def test_a_namespace_with_fewer_pods_comes_before_an_older_run():
    waiting = [one("a1", "a", created="1"), one("b1", "b", created="9")]
    assert in_line(waiting, free(1), {"a": 3, "b": 1}, {}) == ["b1"]


def test_one_namespace_with_many_runs_does_not_starve_another():
    many = [one(f"a{number:03}", "a", created=f"{number:03}") for number in range(100)]
    assert in_line([*many, one("b", "b", created="999")], free(4), {}, {}) == [
        "a000",
        "b",
        "a001",
        "a002",
    ]


def test_a_quota_holds_even_when_places_are_free():
    waiting = [one("a1", created="1"), one("a2", created="2"), one("b", "b", created="3")]
    assert in_line(waiting, free(9), {"a": 1}, {"a": 2}) == ["b", "a1"]
    assert in_line(waiting, free(9), {}, {"a": 0}) == ["b"]


RUNS = st.lists(
    st.builds(
        Waiting,
        key=st.uuids().map(str),
        namespace=st.sampled_from("abc"),
        depth=st.integers(1, 3),
        created=st.integers(0, 9).map(str),
    ),
    max_size=20,
)
COUNTS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 5))


@given(RUNS, st.integers(-1, 10), COUNTS, COUNTS)
def test_nobody_is_chosen_twice_and_nothing_is_exceeded(waiting, places, active, quotas):
    chosen = in_line(waiting, Places(places, Counter()), active, quotas)
    assert len(chosen) == len(set(chosen)) <= max(places, 0)
    namespaces = {each.key: each.namespace for each in waiting}
    given_out = Counter(namespaces[key] for key in chosen)
    for namespace, count in given_out.items():
        assert active.get(namespace, 0) + count <= quotas.get(namespace, 10**9)
    able = [
        each
        for each in waiting
        if active.get(each.namespace, 0) + given_out[each.namespace]
        < quotas.get(each.namespace, 10**9)
    ]
    # A place stays empty only when nobody who waits may have it.
    assert len(chosen) == max(places, 0) or all(each.key in chosen for each in able)
