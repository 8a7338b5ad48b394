"""Reading predictions: `/v1/predictions/{id}` and below, with and without a namespace before it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from mayfly.gateway import wire
from mayfly.gateway.errors import Missing
from mayfly.gateway.notices import Notices
from mayfly.gateway.predictions import Prediction, Predictions

BASES = ("/v1", "", "/ns/{namespace}/v1", "/ns/{namespace}")
"""Clients differ on whether /v1 is in their base URL."""

UNCACHED = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}

POLL_SECONDS = 5.0
"""A followed log looks again after so long even when nobody told it to: another gateway may hold
the run's session."""


class PredictionRoutes:
    """The routes and what they need."""

    def __init__(self, predictions: Predictions, notices: Notices, stopping: asyncio.Event) -> None:
        self._predictions = predictions
        self._notices = notices
        self._stopping = stopping

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter()
        for base in BASES:
            path = f"{base}/predictions/{{identity}}"
            shown = base == BASES[0]
            router.add_api_route(path, self.get, methods=["GET"], include_in_schema=shown)
            router.add_api_route(
                f"{path}/logs", self.logs, methods=["GET"], include_in_schema=shown
            )
            router.add_api_route(
                f"{path}/output", self.output, methods=["GET"], include_in_schema=shown
            )
        return router

    async def get(self, request: Request, identity: str) -> Response:
        """The prediction object."""
        found, base = await self._find(request, identity)
        body = await self._predictions.body(found, base)
        return Response(body, media_type="application/json", headers=UNCACHED)

    async def output(self, request: Request, identity: str) -> Response:
        """The output as the run made it, with its files as links."""
        found, base = await self._find(request, identity)
        text = await self._predictions.linked(found.row, found.output, base)
        if text is None:
            raise Missing("The prediction has no output.")
        return Response(text, media_type="application/json", headers=UNCACHED)

    async def logs(self, request: Request, identity: str, follow: bool = False) -> Response:
        """The log as text; with `follow`, as it comes, until the prediction ends."""
        found, _ = await self._find(request, identity)
        return StreamingResponse(
            self._log(found, follow=follow),
            media_type="text/plain; charset=utf-8",
            headers=UNCACHED,
        )

    async def _log(self, found: Prediction, *, follow: bool) -> AsyncIterator[str]:
        position = 0
        with self._notices.subscribe(found.row.uid) as news:
            while True:
                # The state is read before the log: what a run logs is stored before its end.
                found = await self._predictions.again(found) if follow else found
                while True:
                    text, position = await self._predictions.log_from(found.row, position)
                    if not text:
                        break
                    yield text
                if not follow or found.ended or self._stopping.is_set():
                    break
                await news.wait(POLL_SECONDS)
        yield await self._predictions.log_end(found.row)

    async def _find(self, request: Request, identity: str) -> tuple[Prediction, str]:
        namespace = request.path_params.get("namespace")
        found = await self._predictions.find(request.headers, identity, namespace)
        return found, wire.base_of(request, namespace)
