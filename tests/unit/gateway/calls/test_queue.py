"""Whose turn it is: nobody is forgotten, overtaken in its own tree, or starved by others."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mayfly.gateway.calls.queue import Queue, Waiting

calls = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), min_size=1, max_size=60
).map(
    lambda pairs: [
        Waiting(f"{number}", namespace, f"{namespace}-{tree}")
        for number, (namespace, tree) in enumerate(pairs)
    ]
)


def filled(waiting: list[Waiting]) -> Queue:
    queue = Queue()
    for each in waiting:
        queue.add(each)
    return queue


def drained(queue: Queue) -> list[Waiting]:
    taken = []
    while (each := queue.take()) is not None:
        taken.append(each)
    return taken


@given(calls)
def test_everybody_is_served_once(waiting: list[Waiting]) -> None:
    queue = filled(waiting)
    for each in waiting:
        queue.add(each)
    assert len(queue) == len(waiting)
    taken = drained(queue)
    assert sorted(taken, key=lambda each: int(each.uid)) == waiting
    assert len(queue) == 0
    assert queue.take() is None


@given(calls)
def test_within_a_tree_first_come_is_first_served(waiting: list[Waiting]) -> None:
    taken = drained(filled(waiting))
    for root in {each.root_uid for each in waiting}:
        numbers = [int(each.uid) for each in taken if each.root_uid == root]
        assert numbers == sorted(numbers)


@given(calls)
def test_namespaces_take_turns_while_they_wait(waiting: list[Waiting]) -> None:
    left = Counter(each.namespace for each in waiting)
    served: Counter[str] = Counter()
    for each in drained(filled(waiting)):
        for other in left:
            if left[other] and other != each.namespace:
                # Who still waits is at most one turn behind anybody.
                assert served[each.namespace] - served[other] <= 1
        served[each.namespace] += 1
        left[each.namespace] -= 1


@given(calls)
def test_trees_of_a_namespace_take_turns(waiting: list[Waiting]) -> None:
    taken = [each for each in drained(filled(waiting)) if each.namespace == "a"]
    left = Counter(each.root_uid for each in taken)
    served: Counter[str] = Counter()
    for each in taken:
        for other in left:
            if left[other] and other != each.root_uid:
                assert served[each.root_uid] - served[other] <= 1
        served[each.root_uid] += 1
        left[each.root_uid] -= 1


@given(calls, st.sets(st.integers(0, 59)))
def test_who_leaves_takes_no_turn(waiting: list[Waiting], gone: set[int]) -> None:
    queue = filled(waiting)
    removed = {each.uid for each in waiting if int(each.uid) in gone}
    for uid in removed:
        assert queue.remove(uid)
        assert not queue.remove(uid)
    rest = filled([each for each in waiting if each.uid not in removed])
    assert {each.uid for each in drained(queue)} == {each.uid for each in drained(rest)}


@given(calls)
def test_who_was_taken_too_early_is_next(waiting: list[Waiting]) -> None:
    queue = filled(waiting)
    first = queue.take()
    assert first is not None
    queue.put_back(first)
    queue.put_back(first)
    assert queue.take() == first
    assert len(queue) == len(waiting) - 1
