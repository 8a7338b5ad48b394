import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from mayfly.gateway.cache.ttl import Cache
from mayfly.gateway.lifecycle.notices import Notices
from mayfly.gateway.worklist import Worklist
from mayfly.kube.errors import Unavailable


@asynccontextmanager
async def working(worklist: Worklist, work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(worklist.run(work))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_key_is_worked_on_once_at_a_time_and_again_for_news() -> None:
    worklist = Worklist(workers=4)
    began, go, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    active = most = runs = 0

    async def work(key: str) -> None:
        nonlocal active, most, runs
        active += 1
        runs += 1
        most = max(most, active)
        began.set()
        await go.wait()
        active -= 1
        if runs == 2:
            ended.set()

    async with working(worklist, work):
        worklist.add("a")
        worklist.add("a")
        await began.wait()
        worklist.add("a")
        worklist.add("a")
        go.set()
        await ended.wait()
    assert (runs, most) == (2, 1)


@pytest.mark.parametrize("error", [Unavailable(0, "away"), RuntimeError("a bug")])
async def test_a_key_that_failed_comes_back(error: Exception) -> None:
    worklist = Worklist(workers=1)
    ended = asyncio.Event()
    seen: list[str] = []

    async def work(key: str) -> None:
        seen.append(key)
        if seen.count("bad") == 1 and key == "bad":
            raise error
        if seen.count("bad") == 2:
            ended.set()

    async with working(worklist, work):
        worklist.add("bad")
        worklist.add("good")
        await ended.wait()
    assert seen == ["bad", "good", "bad"]


async def test_the_soonest_wish_stands_and_news_overtakes_it() -> None:
    worklist = Worklist(workers=1)
    ended = asyncio.Event()

    async def work(_key: str) -> None:
        ended.set()

    async with working(worklist, work):
        worklist.add_after("a", 3600)
        worklist.add_after("a", 7200)
        worklist.add_after("a", 0)
        await ended.wait()
        ended.clear()
        worklist.add_after("a", 3600)
        worklist.add("a")
        await ended.wait()
        assert not worklist._timers


def test_a_cache_forgets_by_age_and_by_size() -> None:
    now = 0.0
    cache: Cache[str, int] = Cache(seconds=10, size=2, monotonic=lambda: now)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.put("c", 3)
    assert [cache.get(key) for key in "abc"] == [None, 2, 3]
    now = 10.0
    assert cache.get("c") is None


async def test_news_between_two_waits_is_not_missed() -> None:
    notices = Notices()
    with notices.subscribe("a") as news:
        notices.tell("b")
        notices.tell("a")
        await news.wait(3600)
        notices.tell_all()
        await news.wait(3600)
        await news.wait(0)
    assert not notices._waiters
