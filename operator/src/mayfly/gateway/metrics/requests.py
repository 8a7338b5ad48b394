"""Middleware that counts HTTP requests by route, method and class of status code."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mayfly.clock import Monotonic
from mayfly.gateway.http.routing import BASES
from mayfly.gateway.metrics.counters import Metrics
from mayfly.telemetry.families import OTHER

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "QUERY", "OPTIONS"})

_LONGEST_FIRST = sorted((base for base in BASES if base), key=len, reverse=True)


class Requests:
    """ASGI middleware, the outermost: counts requests by route, method and class of status code."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, monotonic: Monotonic) -> None:
        self._app = app
        self._metrics = metrics
        self._monotonic = monotonic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = self._monotonic()

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._count(scope, int(message["status"]), self._monotonic() - began)
            await send(message)

        await self._app(scope, receive, told)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        # A method that a route doesn't take is the caller's choice: it has no series of its own.
        route = OTHER if status == 405 else route_of(scope)
        method = scope["method"] if scope["method"] in METHODS else OTHER
        self._metrics.requests.of(route, method, f"{status // 100}xx").inc()
        self._metrics.request_seconds.observe(seconds)
        if status == 429 and route == OTHER:
            # Refused before anybody looked where it leads; the queue of a Model says it later.
            self._metrics.rate_limited.inc()


def route_of(scope: Scope) -> str:
    """The template of a request's route, without its base; `other` if there is no route."""
    path = getattr(scope.get("route"), "path", None)
    if not isinstance(path, str):
        return OTHER
    for base in _LONGEST_FIRST:
        if path.startswith(f"{base}/"):
            return path.removeprefix(base)
    return path
