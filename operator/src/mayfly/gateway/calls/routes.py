"""HTTP route for callbacks: Cog servers report the progress of predictions here.

Every path carries a signature, known only to the server that was given the path.
"""

from __future__ import annotations

import logging

from fastapi import APIRouter, Request
from fastapi.responses import Response

from mayfly.api.v1alpha1 import Reason
from mayfly.gateway.access.signing import SigningKey
from mayfly.gateway.calls import news
from mayfly.gateway.calls.cog import PURPOSE
from mayfly.gateway.calls.recorder import CallRecorder
from mayfly.gateway.calls.replies import Replies
from mayfly.gateway.http.errors import Forbidden, Invalid, TooLarge

logger = logging.getLogger(__name__)


class CallbackRoutes:
    """HTTP route: callbacks of Cog servers."""

    def __init__(self, calls: CallRecorder, replies: Replies, key: SigningKey, limit: int) -> None:
        """Create the route.

        Args:
            calls: the rows of calls.
            replies: applies the reports.
            key: signs paths.
            limit: the maximum size of a callback in bytes.
        """
        self._calls = calls
        self._replies = replies
        self._key = key
        self._limit = limit

    def router(self) -> APIRouter:
        """The route."""
        router = APIRouter()
        router.add_api_route(
            "/callback/v1/models/{uid}/{signature}",
            self.hear,
            methods=["POST"],
            include_in_schema=False,
        )
        return router

    async def hear(self, request: Request, uid: str, signature: str) -> Response:
        """Receive a server's report about a prediction."""
        if not self._key.verify(signature, PURPOSE, uid):
            raise Forbidden("The path is not valid.")
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > self._limit:
                words = f"The model's server sent a report of more than {self._limit} bytes."
                await self._calls.fail(uid, Reason.OUTPUT_TOO_LARGE, words)
                raise TooLarge(words)
        try:
            told = news.read(bytes(body))
        except news.Garbage as error:
            # A retry would say the same, so don't ask for one.
            words = f"The model's server does not behave like a Cog server: {error}."
            await self._calls.fail(uid, Reason.USER_ERROR, words)
            raise Invalid(words) from None
        if told.ended:
            await self._replies.hear(uid, told)
        else:
            self._replies.note(uid, told)
        return Response(status_code=200)
