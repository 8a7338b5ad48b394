"""HTTP route of a prediction's event stream, by signed link: JavaScript's client sends no token."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from mayfly.clock import Clock
from mayfly.gateway.access.signing import SigningKey
from mayfly.gateway.http import urls
from mayfly.gateway.http.errors import Forbidden, Missing
from mayfly.gateway.predictions.finder import Predictions
from mayfly.gateway.predictions.stream_links import stream_holds
from mayfly.gateway.predictions.streams import Place, Streams


class StreamRoutes:
    """HTTP route: server-sent events of a prediction."""

    def __init__(
        self, streams: Streams, predictions: Predictions, key: SigningKey, clock: Clock
    ) -> None:
        self._streams = streams
        self._predictions = predictions
        self._key = key
        self._clock = clock

    def router(self) -> APIRouter:
        """The route."""
        router = APIRouter()
        for path in ("/v1/streams/{identity}", "/v1/files/streams/{identity}"):
            router.add_api_route(path, self.stream, methods=["GET"])
        return router

    async def stream(
        self, request: Request, identity: str, expires: str = "", signature: str = ""
    ) -> Response:
        """Output and log as they arrive, then `done`; `Last-Event-ID` resumes a stream."""
        if not stream_holds(self._key, identity, expires, signature, self._clock()):
            raise Forbidden("The link is not valid any more; read the prediction again.")
        found = await self._predictions.get_trusted(identity)
        if found is None:
            raise Missing("The prediction does not exist any more.")
        place = Place.of(request.headers.get("last-event-id", ""))
        return StreamingResponse(
            self._streams.events(found, place, urls.base_of(request, None)),
            media_type="text/event-stream",
            headers={
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
                # Stops proxies from buffering the stream.
                "X-Accel-Buffering": "no",
                "Access-Control-Allow-Origin": "*",
            },
        )
