"""The work queue's promises: one worker a key, a look after the last add, none forgotten."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from mayfly.controller.queue import BACKOFF_LIMIT, Key, WorkQueue


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def key(name: str) -> Key:
    return Key("run", "team", name)


async def test_a_key_is_looked_at_once_for_many_adds():
    queue = WorkQueue(Time())
    for _ in range(5):
        queue.add(key("a"))
    assert len(queue) == 1
    assert await queue.take() == key("a")
    assert len(queue) == 0


async def test_an_add_while_busy_is_a_look_afterwards():
    queue = WorkQueue(Time())
    queue.add(key("a"))
    taken = await queue.take()
    queue.add(key("a"))
    assert len(queue) == 0
    queue.done(taken)
    assert await queue.take() == key("a")


async def test_the_earliest_of_several_wishes_stands():
    time = Time()
    queue = WorkQueue(time)
    queue.add_after(key("a"), 10)
    queue.add_after(key("a"), 5)
    queue.add_after(key("a"), 20)
    time.now = 5.0
    assert await queue.take() == key("a")
    queue.done(key("a"))
    time.now = 100.0
    queue.add(key("b"))
    assert await queue.take() == key("b")


async def test_an_add_wakes_a_waiting_worker():
    queue = WorkQueue(Time())
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    queue.add(key("a"))
    assert await taking == key("a")


async def test_a_cancel_is_not_lost_to_news_that_comes_with_it():
    queue = WorkQueue(Time())
    queue.add_after(key("later"), 60)
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0.01)
    queue.add(key("a"))
    taking.cancel()
    await asyncio.wait([taking])
    assert taking.cancelled()


async def test_failures_are_tried_again_later_each_time():
    time = Time()
    queue = WorkQueue(time)
    pauses = []
    for _ in range(12):
        queue.retry(key("a"))
        before = time.now
        while not len(queue):
            time.now += 0.05
            queue._promote()
        pauses.append(time.now - before)
        queue.done(await queue.take())
    pauses = [round(pause, 1) for pause in pauses]
    assert pauses == sorted(pauses)
    assert pauses[-1] <= BACKOFF_LIMIT + 0.1
    queue.succeeded(key("a"))
    queue.retry(key("a"))
    time.now += 0.1
    assert await queue.take() == key("a")


async def test_it_knows_how_long_the_oldest_has_waited():
    time = Time()
    queue = WorkQueue(time)
    assert queue.oldest_seconds == 0
    queue.add(key("a"))
    time.now = 7.0
    queue.add(key("b"))
    assert queue.oldest_seconds == 7.0


@given(st.lists(st.tuples(st.sampled_from(["add", "take", "done"]), st.sampled_from("abc"))))
def test_no_key_is_forgotten_or_given_to_two(steps):
    async def live() -> None:
        queue = WorkQueue(Time())
        busy: set[Key] = set()
        wanted: set[Key] = set()
        for what, name in steps:
            if what == "add":
                queue.add(key(name))
                wanted.add(key(name))
            elif what == "take" and len(queue):
                taken = await queue.take()
                assert taken not in busy
                busy.add(taken)
                wanted.discard(taken)
            elif what == "done" and key(name) in busy:
                busy.discard(key(name))
                queue.done(key(name))
        for each in sorted(busy):
            queue.done(each)
        while len(queue):
            taken = await queue.take()
            wanted.discard(taken)
            queue.done(taken)
        assert not wanted

    asyncio.run(live())
