"""Messages that arrive together are given together; none is lost, whatever comes between."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from support.waiting import within

from mayfly.gateway.http.errors import Rejected
from mayfly.gateway.lifecycle.dispatches import Moment
from mayfly.gateway.runs.bursts import MOST_MESSAGES, bursts

RUN = "0190163d-8694-739b-aea5-966c26f8ad91"
AT = "2026-01-01T00:00:00Z"
STARTED = {"type": "started", "run": RUN, "attempt": 1, "at": AT}
RESULT = {
    "type": "result", "run": RUN, "attempt": 1, "outcome": "succeeded", "reason": "Succeeded",
    "outputJSON": "1", "started": True, "startedAt": AT, "completedAt": AT, "activeMs": 1,
}  # fmt: skip


def log(offset: int = 0) -> dict:
    return {"type": "log", "run": RUN, "offset": offset, "data": "a"}


class Line:
    """A connection; a number among what arrives is a pause in seconds."""

    def __init__(self, *arrives: dict | float | str) -> None:
        self.arrives = arrives
        self.seconds = 0.0

    async def texts(self) -> AsyncIterator[str]:
        for each in self.arrives:
            if isinstance(each, float):
                await asyncio.sleep(each)
            else:
                yield each if isinstance(each, str) else json.dumps(each)

    def now(self) -> Moment:
        self.seconds += 1
        return Moment(datetime(2026, 1, 1, tzinfo=UTC), self.seconds)


async def given(line: Line) -> list[list[str]]:
    async with asyncio.timeout(30):
        return [
            [each.message.type for each in burst] async for burst in bursts(line.texts(), line.now)
        ]


async def test_what_has_arrived_together_is_given_together() -> None:
    assert await given(Line(log(), log(1), log(2))) == [["log"] * 3]
    assert await given(Line(log(), 0.1, log(1))) == [["log"], ["log"]]
    assert await given(Line()) == []


async def test_the_start_of_a_short_run_waits_for_its_end() -> None:
    short = Line(STARTED, 0.001, log(), 0.001, RESULT)
    assert await given(short) == [["started", "log", "result"]]


async def test_the_start_of_a_longer_run_is_told_in_a_moment() -> None:
    assert await given(Line(STARTED, 1.0, RESULT)) == [["started"], ["result"]]
    hung = Line(STARTED, 1000.0)
    texts = bursts(hung.texts(), hung.now)
    [first] = await within(10, anext(texts))
    assert first.message.type == "started"
    await texts.aclose()


async def test_each_has_the_moment_at_which_it_arrived() -> None:
    line = Line(STARTED, log(), RESULT)
    [burst] = [each async for each in bursts(line.texts(), line.now)]
    assert [each.at.seconds for each in burst] == [1.0, 2.0, 3.0]


async def test_what_came_before_a_wrong_message_is_given_first() -> None:
    line = Line(log(), log(1), "{}", log(2))
    texts = bursts(line.texts(), line.now)
    assert [each.message.type for each in await anext(texts)] == ["log", "log"]
    with pytest.raises(Rejected):
        await anext(texts)


async def test_a_burst_is_bounded() -> None:
    sizes = [len(each) for each in await given(Line(*map(log, range(3 * MOST_MESSAGES))))]
    assert sizes == [MOST_MESSAGES] * 3
