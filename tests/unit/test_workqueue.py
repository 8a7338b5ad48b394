"""The work queue's promises: one worker a key, a look after the last add, none forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.clock import monotonic
from mayfly.kube.errors import Unavailable
from mayfly.workqueue import (
    BACKOFF_LIMIT,
    SPARE_TIMERS,
    UNEXPECTED_LIMIT,
    Failure,
    Result,
    WorkQueue,
)


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def working(
    queue: WorkQueue[str], work: Callable[[str], Awaitable[None]], workers: int = 1
) -> AsyncIterator[None]:
    task = asyncio.create_task(queue.run(work, workers))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_key_is_looked_at_once_for_many_adds():
    queue: WorkQueue[str] = WorkQueue(Time())
    for _ in range(5):
        queue.add("a")
    assert len(queue) == 1
    assert await queue.take() == "a"
    assert len(queue) == 0


async def test_an_add_while_busy_is_a_look_afterwards():
    queue: WorkQueue[str] = WorkQueue(Time())
    queue.add("a")
    taken = await queue.take()
    queue.add("a")
    assert len(queue) == 0
    queue.done(taken)
    assert await queue.take() == "a"


async def test_the_earliest_of_several_wishes_stands():
    time = Time()
    queue: WorkQueue[str] = WorkQueue(time)
    queue.add_after("a", 10)
    queue.add_after("a", 5)
    queue.add_after("a", 20)
    time.now = 5.0
    assert await queue.take() == "a"
    queue.done("a")
    time.now = 100.0
    queue.add("b")
    assert await queue.take() == "b"


async def test_an_add_wakes_a_waiting_worker():
    queue: WorkQueue[str] = WorkQueue(Time())
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    queue.add("a")
    assert await taking == "a"


async def test_an_add_wakes_one_worker_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    queue: WorkQueue[str] = WorkQueue(Time())
    looked: list[str] = []
    waits = 0

    async def work(key: str) -> None:
        looked.append(key)

    async def wait() -> None:
        nonlocal waits
        waits += 1
        await unpatched()

    unpatched = queue._wait
    monkeypatch.setattr(queue, "_wait", wait)
    async with working(queue, work, workers=16):
        await asyncio.sleep(0.01)
        before = waits
        for key in ("a", "b", "c"):
            queue.add(key)
            await asyncio.sleep(0.01)
        assert looked == ["a", "b", "c"]
        assert waits - before == 3


async def test_a_cancel_is_not_lost_to_news_that_comes_with_it():
    queue: WorkQueue[str] = WorkQueue(Time())
    queue.add_after("later", 60)
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0.01)
    queue.add("a")
    taking.cancel()
    await asyncio.wait([taking])
    assert taking.cancelled()


async def test_failures_are_tried_again_later_each_time():
    time = Time()
    queue: WorkQueue[str] = WorkQueue(time)
    pauses = []
    for _ in range(12):
        queue.retry("a")
        before = time.now
        while not len(queue):
            time.now += 0.05
            queue._promote()
        pauses.append(time.now - before)
        queue.done(await queue.take())
    pauses = [round(pause, 1) for pause in pauses]
    assert pauses == sorted(pauses)
    assert pauses[-1] <= BACKOFF_LIMIT + 0.1
    queue.succeeded("a")
    queue.retry("a")
    time.now += 0.1
    assert await queue.take() == "a"


async def test_it_knows_how_long_the_oldest_has_waited():
    time = Time()
    queue: WorkQueue[str] = WorkQueue(time)
    assert queue.oldest_seconds == 0
    queue.add("a")
    time.now = 7.0
    queue.add("b")
    assert queue.oldest_seconds == 7.0


async def test_an_add_drops_the_timer_that_it_overtakes():
    time = Time()
    queue: WorkQueue[str] = WorkQueue(time)
    queue.add_after("a", 10)
    queue.add("a")
    assert (len(queue), queue.later) == (1, 0)
    queue.done(await queue.take())
    time.now = 10.0
    queue.add("b")
    assert await queue.take() == "b"
    assert len(queue) == 0


async def test_an_add_while_busy_drops_it_too_and_a_later_wish_stands():
    time = Time()
    queue: WorkQueue[str] = WorkQueue(time)
    queue.add("a")
    taken = await queue.take()
    queue.add("a")
    queue.add_after("a", 5)
    queue.done(taken)
    assert (len(queue), queue.later) == (1, 0)
    taken = await queue.take()
    queue.add_after("a", 5)
    queue.done(taken)
    time.now = 5.0
    assert await queue.take() == "a"


async def test_timers_that_were_overtaken_are_not_kept():
    queue: WorkQueue[str] = WorkQueue(Time())
    queue.add_after("b", 7200)
    for _ in range(1000):
        queue.add_after("a", 3600)
        queue.add("a")
        queue.done(await queue.take())
    assert queue.later == 1
    assert len(queue._timers) <= 2 + SPARE_TIMERS


async def test_a_key_is_worked_on_once_at_a_time_and_again_for_news():
    queue: WorkQueue[str] = WorkQueue(monotonic)
    began, go, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    active = most = runs = 0

    async def work(_key: str) -> None:
        nonlocal active, most, runs
        active += 1
        runs += 1
        most = max(most, active)
        began.set()
        await go.wait()
        active -= 1
        if runs == 2:
            ended.set()

    async with working(queue, work, workers=4):
        queue.add("a")
        queue.add("a")
        await began.wait()
        queue.add("a")
        queue.add("a")
        go.set()
        await ended.wait()
    assert (runs, most) == (2, 1)


@pytest.mark.parametrize(
    ("error", "result", "level"),
    [
        (Unavailable(0, "away"), "retried", logging.WARNING),
        (RuntimeError("a bug"), "failed", logging.ERROR),
    ],
)
async def test_a_key_that_failed_comes_back(
    error: Exception, result: Result, level: int, caplog: pytest.LogCaptureFixture
):
    results: list[tuple[str, Result]] = []
    queue: WorkQueue[str] = WorkQueue(
        monotonic,
        passing=(Unavailable,),
        observe=lambda key, result, _: results.append((key, result)),
    )
    ended = asyncio.Event()
    seen: list[str] = []

    async def work(key: str) -> None:
        seen.append(key)
        if seen.count("bad") == 1 and key == "bad":
            raise error
        if seen.count("bad") == 2:
            assert queue.failing == 1
            ended.set()

    async with working(queue, work):
        queue.add("bad")
        queue.add("good")
        await ended.wait()
        await asyncio.sleep(0)
        assert queue.failing == 0
    assert seen == ["bad", "good", "bad"]
    assert results == [("bad", result), ("good", "done"), ("bad", "done")]
    assert [each.levelno for each in caplog.records] == [level]


async def test_the_soonest_wish_stands_and_news_overtakes_it():
    queue: WorkQueue[str] = WorkQueue(monotonic)
    ended = asyncio.Event()

    async def work(_key: str) -> None:
        ended.set()

    async with working(queue, work):
        queue.add_after("a", 3600)
        queue.add_after("a", 7200)
        queue.add_after("a", 0)
        await ended.wait()
        ended.clear()
        queue.add_after("a", 3600)
        queue.add("a")
        await ended.wait()
        assert not queue.later


async def test_metrics_see_what_its_keys_do():
    queue: WorkQueue[str] = WorkQueue(Time())
    for name in "abc":
        queue.add(name)
    await queue.take()
    queue.add_after("d", 1)
    queue.retry("e")
    depth = {state: read() for state, read in queue.depth.items()}
    assert depth == {"ready": 2, "busy": 1, "later": 2, "failing": 1}


@given(st.lists(st.tuples(st.sampled_from(["add", "take", "done"]), st.sampled_from("abc"))))
def test_no_key_is_forgotten_or_given_to_two(steps):
    async def live() -> None:
        queue: WorkQueue[str] = WorkQueue(Time())
        busy: set[str] = set()
        wanted: set[str] = set()
        for what, name in steps:
            if what == "add":
                queue.add(name)
                wanted.add(name)
            elif what == "take" and len(queue):
                taken = await queue.take()
                assert taken not in busy
                busy.add(taken)
                wanted.discard(taken)
            elif what == "done" and name in busy:
                busy.discard(name)
                queue.done(name)
        for each in sorted(busy):
            queue.done(each)
        while len(queue):
            taken = await queue.take()
            wanted.discard(taken)
            queue.done(taken)
        assert not wanted

    asyncio.run(live())


async def test_unexpected_errors_in_a_row_are_told_and_come_less_and_less_often():
    time = Time()
    queue: WorkQueue[str] = WorkQueue(time, passing=(Unavailable,))
    told: list[tuple[int, float, str]] = []
    pauses: list[float] = []
    errors: list[Exception | None] = [ValueError("a"), Unavailable(0, "b"), ValueError("c")]
    errors += [ValueError("d")] * 50 + [None, ValueError("e")]

    async def work(_key: str) -> None:
        if errors and (error := errors.pop(0)) is not None:
            raise error

    async def failing(_key: str, failure: Failure) -> None:
        told.append((failure.tries, failure.seconds, str(failure.error)))
        raise RuntimeError("can't be told")

    task = asyncio.create_task(queue.run(work, 1, failing))
    queue.add("x")
    while errors:
        await asyncio.sleep(0)
        if queue.later:
            due = queue._later["x"][0]
            pauses += [due - time.now] if due > time.now else []
            time.now = due
            queue._wake.set()
        elif not queue.busy and not len(queue):
            queue.add("x")
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert told[0] == (1, 0.0, "a")
    assert [each[0] for each in told[1:3]] == [2, 3]
    assert told[1][1] == pytest.approx(0.3)
    assert told[-1] == (1, 0.0, "e")
    assert pauses[:3] == pytest.approx([0.1, 0.2, 0.4])
    assert max(pauses) == UNEXPECTED_LIMIT


async def test_an_outage_of_any_length_is_waited_out():
    queue: WorkQueue[str] = WorkQueue(Time())
    for _ in range(2000):
        queue.retry("x")
    assert queue._later["x"][0] <= BACKOFF_LIMIT
