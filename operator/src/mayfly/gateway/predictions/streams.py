"""Server-sent events of a prediction: output as it arrives, then the end; the log on request.

The events are those that Replicate documents: `output`, `error` and `done`. Some clients fail at
any other event, so `logs` are sent only if the URL asks for them.

Every event has a name and an id, because clients drop events without them. The id encodes how much
output and log came before, so a reader whose connection broke resumes from there. Nothing is
polled: changes of the run wake the reader.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from mayfly.clock import Clock
from mayfly.gateway.access.signing import SigningKey
from mayfly.gateway.http import urls
from mayfly.gateway.http.errors import Forbidden, Missing
from mayfly.gateway.lifecycle.notices import Notices
from mayfly.gateway.lifecycle.states import State
from mayfly.gateway.predictions.finder import Predictions
from mayfly.gateway.predictions.presenter import Presenter
from mayfly.gateway.predictions.snapshots import Prediction
from mayfly.gateway.predictions.stream_links import stream_holds

QUIET_SECONDS = 10.0
"""A comment is sent after this time without an event: clients give up on a silent stream."""

LINE_END = re.compile("\r\n|[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]")
"""Characters that some client treats as a line end. Python's client splits at all of them, and the
second half of an output must not be read as a field."""

_JSON_LINE_END = re.compile("[\x85\u2028\u2029]")
"""Those of them that JSON text may hold in a string."""

EVENT_ID = re.compile(r"(\d{1,12}):(\d{1,15})")


@dataclass
class Place:
    """A position in the stream: items of output, bytes of log."""

    items: int = 0
    log: int = 0

    @classmethod
    def of(cls, event_id: str) -> Place:
        """The position after the event with this id; the beginning if the id is not ours."""
        match = EVENT_ID.fullmatch(event_id)
        return cls(int(match[1]), int(match[2])) if match else cls()


class Streams:
    """Generates the server-sent events of a prediction."""

    def __init__(
        self,
        predictions: Predictions,
        presenter: Presenter,
        notices: Notices,
        stopping: asyncio.Event,
        key: SigningKey,
        clock: Clock,
    ) -> None:
        self._predictions = predictions
        self._presenter = presenter
        self._notices = notices
        self._stopping = stopping
        self._key = key
        self._clock = clock

    def router(self) -> APIRouter:
        """HTTP route: the event stream of a prediction."""
        router = APIRouter()
        for path in ("/v1/streams/{identity}", "/v1/files/streams/{identity}"):
            router.add_api_route(path, self.stream, methods=["GET"])
        return router

    async def stream(
        self,
        request: Request,
        identity: str,
        expires: str = "",
        signature: str = "",
        logs: bool = False,
    ) -> Response:
        """Output as it arrives, then `done`; with `logs` also the log.

        `Last-Event-ID` resumes the stream.
        """
        if not stream_holds(self._key, identity, expires, signature, self._clock()):
            raise Forbidden("The link is not valid any more; read the prediction again.")
        found = await self._predictions.get_trusted(identity)
        if found is None:
            raise Missing("The prediction is not there any more.")
        place = Place.of(request.headers.get("last-event-id", ""))
        return StreamingResponse(
            self._events(found, place, urls.base_of(request), logs=logs),
            media_type="text/event-stream",
            headers={
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
                # A proxy that waits for the whole would hold every event back.
                "X-Accel-Buffering": "no",
                "Access-Control-Allow-Origin": "*",
            },
        )

    async def _events(
        self, found: Prediction, place: Place, base: str, *, logs: bool
    ) -> AsyncIterator[str]:
        """Yield events until the prediction has ended, or the gateway stops.

        Args:
            found: the prediction.
            place: the reader's position; it is advanced.
            base: the reader's base URL, for files.
            logs: whether to send the log.
        """
        clock = asyncio.get_running_loop().time
        quiet_since = -math.inf
        with self._notices.subscribe(found.row.uid) as news:
            while True:
                # Read the state first: everything a run makes is stored before its end.
                found = await self._predictions.refresh(found)
                if logs:
                    async for event in self._log(found, place):
                        quiet_since = clock()
                        yield event
                async for event in self._items(found, place, base):
                    quiet_since = clock()
                    yield event
                if found.ended:
                    async for event in self._end(found, place, base):
                        yield event
                    return
                if self._stopping.is_set():
                    return
                if clock() >= quiet_since + QUIET_SECONDS:
                    quiet_since = clock()
                    yield ": waiting\n\n"
                await news.wait(quiet_since + QUIET_SECONDS - clock())

    async def _log(self, found: Prediction, place: Place) -> AsyncIterator[str]:
        while True:
            text, place.log = await self._presenter.log_from(found.row, place.log)
            if not text:
                break
            yield _event("logs", text, place)

    async def _items(self, found: Prediction, place: Place, base: str) -> AsyncIterator[str]:
        for item in await self._presenter.items_from(found.row, place.items):
            place.items += 1
            yield await self._output(found, item, place, base)

    async def _end(self, found: Prediction, place: Place, base: str) -> AsyncIterator[str]:
        for item in self._rest(found, place.items):
            place.items += 1
            yield await self._output(found, item, place, base)
        if found.state is State.FAILED:
            detail = found.row.error or "The prediction failed."
            yield _event("error", json.dumps({"detail": detail}), place)
            yield _event("done", '{"reason": "error"}', place)
        elif found.state is State.CANCELED:
            yield _event("done", '{"reason": "canceled"}', place)
        else:
            yield _event("done", "{}", place)

    def _rest(self, found: Prediction, given: int) -> list[str]:
        """The items of the final output that were not sent before, as JSON texts."""
        if found.output is None:
            return []
        value = json.loads(found.output)
        if isinstance(value, list) and (given or self._presenter.is_iterator(found.row)):
            return [json.dumps(each, ensure_ascii=False) for each in value[given:]]
        return [] if value is None or given else [found.output]

    async def _output(self, found: Prediction, item: str, place: Place, base: str) -> str:
        linked = await self._presenter.linked(found.row, item, base) or "null"
        # Text is sent as it is, not as JSON: readers join the chunks.
        data = json.loads(linked) if linked.startswith('"') else _one_line(linked)
        return _event("output", data, place)


def _one_line(text: str) -> str:
    """JSON text in which no string is split as a line by readers of events."""
    return _JSON_LINE_END.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _event(name: str, data: str, place: Place) -> str:
    # A lone surrogate can't be encoded as UTF-8.
    text = data.encode("utf-8", "replace").decode()
    lines = "".join(f"data: {line}\n" for line in LINE_END.split(text))
    return f"event: {name}\nid: {place.items}:{place.log}\n{lines}\n"
