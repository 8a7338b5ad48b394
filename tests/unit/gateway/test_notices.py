"""News wake those who wait for them, and take no cancel away."""

import asyncio

import pytest
from support.waiting import within

from mayfly.gateway.lifecycle.notices import Notices


async def test_a_cancel_that_comes_with_the_news_is_not_forgotten() -> None:
    notices = Notices()

    async def follow() -> None:
        with notices.subscribe("a") as news:
            while True:
                await news.wait(60)

    task = asyncio.create_task(follow())
    await asyncio.sleep(0)
    notices.tell_all()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(5, task)


async def test_a_wait_ends_without_news_too() -> None:
    with Notices().subscribe("a") as news:
        await news.wait(0.01)


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
