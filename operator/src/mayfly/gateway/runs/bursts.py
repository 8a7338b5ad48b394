"""An agent's messages as they arrive: what has arrived together is given together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from mayfly.gateway.http.errors import BAD_MESSAGE, Rejected
from mayfly.gateway.lifecycle.dispatches import Moment
from mayfly.gateway.runs import messages
from mayfly.gateway.runs.messages import BadMessage, Hello, Leaving, Result, RunMessage, Started

logger = logging.getLogger(__name__)

START_SECONDS = 0.02
"""How long a `started` waits for what follows it. A run that ends within this time costs one
transaction instead of three, and the database does not work while its code does."""

MOST_MESSAGES = 32
"""In a burst, so that a talkative run does not hold the only writer of the database for long."""


@dataclass(frozen=True)
class Arrived:
    """A message, and when it arrived."""

    message: Hello | Leaving | RunMessage
    at: Moment


async def bursts(
    texts: AsyncIterator[str], now: Callable[[], Moment]
) -> AsyncIterator[list[Arrived]]:
    """The messages of a connection, in order, until it ends.

    Args:
        texts: the messages' texts.
        now: the current moment.

    Raises:
        Rejected: a message is not of the protocol. Those before it were given.
    """
    following = asyncio.ensure_future(_next(texts, now))
    try:
        while (first := await following) is not None:
            burst = [first]
            following = asyncio.ensure_future(_next(texts, now))
            until = _until(first)
            while len(burst) < MOST_MESSAGES and (more := await _come(following, until)):
                burst.append(more)
                until = max(until, _until(more))
                following = asyncio.ensure_future(_next(texts, now))
                if isinstance(more.message, Result):
                    break
            yield burst
    finally:
        following.cancel()


def _until(arrived: Arrived) -> float:
    """How long a message waits for what follows it, in the event loop's time."""
    wait = START_SECONDS if isinstance(arrived.message, Started) else 0.0
    return asyncio.get_running_loop().time() + wait


async def _next(texts: AsyncIterator[str], now: Callable[[], Moment]) -> Arrived | None:
    text = await anext(texts, None)
    return None if text is None else Arrived(parsed(text), now())


async def _come(following: asyncio.Future[Arrived | None], until: float) -> Arrived | None:
    """What arrives until then, or has arrived; an error or an end is left to who asks next."""
    await asyncio.sleep(0)
    wait = until - asyncio.get_running_loop().time()
    if wait > 0 and not following.done():
        await asyncio.wait({following}, timeout=wait)
    if not following.done() or following.exception() is not None:
        return None
    return following.result()


def parsed(text: str) -> Hello | Leaving | RunMessage:
    """A message from its text.

    Raises:
        Rejected: it is not of the protocol.
    """
    try:
        return messages.parse(text)
    except BadMessage as error:
        logger.warning("invalid message from an agent: %s", error)
        raise Rejected(BAD_MESSAGE, str(error)[:100]) from error
