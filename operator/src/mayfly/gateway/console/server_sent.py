"""Server-sent events as text, and a response that drops readers who do not read."""

from __future__ import annotations

import asyncio
import logging
import re

from fastapi.responses import StreamingResponse
from starlette.types import Message, Send
from typing_extensions import override

from mayfly.gateway.http.routing import UNCACHED

logger = logging.getLogger(__name__)

SLOW_SECONDS = 30.0
"""A reader that takes nothing for so long is dropped; it comes back with its last event's id."""

OPENING = "retry: 1000\n: mayfly\n\n"
HEARTBEAT = ": waiting\n\n"

_LINE_END = re.compile("[\r\n]")
_OTHER_LINE_END = re.compile("[\v\f\x1c\x1d\x1e\x85\u2028\u2029]")
"""Characters that some client's library takes for line ends, though the standard does not."""


def event(name: str, data: str, identity: str = "") -> str:
    """An event whose data is JSON text.

    Args:
        name: of the event.
        data: JSON text; a raw line end in it is white space, so it may become a space.
        identity: the event's id; "" for none.
    """
    line = _LINE_END.sub(" ", data).encode("utf-8", "replace").decode()
    line = _OTHER_LINE_END.sub(lambda found: f"\\u{ord(found[0]):04x}", line)
    told = f"id: {identity}\n" if identity else ""
    return f"event: {name}\n{told}data: {line}\n\n"


class EventResponse(StreamingResponse):
    """A stream of server-sent events.

    It is made as it is read, so a slow reader costs no more than a piece. One that stops reading is
    dropped.
    """

    media_type = "text/event-stream"

    @override
    async def stream_response(self, send: Send) -> None:
        async def sent(message: Message) -> None:
            async with asyncio.timeout(SLOW_SECONDS):
                await send(message)

        try:
            await super().stream_response(sent)
        except TimeoutError:
            logger.info("dropped a reader of events that does not read")
        finally:
            close = getattr(self.body_iterator, "aclose", None)
            if close is not None:
                await close()


HEADERS = {
    **UNCACHED,
    # A proxy that waits for the whole would hold every event back.
    "X-Accel-Buffering": "no",
}
