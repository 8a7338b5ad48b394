"""Counts what comes in and what is asked of the API server."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from prometheus_client import Counter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mayfly.clock import Monotonic
from mayfly.gateway.http.routing import BASES
from mayfly.gateway.metrics.counters import Metrics
from mayfly.kube.client import Cluster
from mayfly.kube.errors import KubeError
from mayfly.telemetry.families import OTHER, Bounded

Json = dict[str, Any]

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "QUERY", "OPTIONS"})

_LONGEST_FIRST = sorted((base for base in BASES if base), key=len, reverse=True)


class Requests:
    """ASGI middleware around all others: counts requests by route, method and class of code."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, monotonic: Monotonic) -> None:
        self._app = app
        self._metrics = metrics
        self._monotonic = monotonic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through."""
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
        route = route_of(scope)
        method = scope["method"] if scope["method"] in METHODS else OTHER
        self._metrics.requests.of(route, method, f"{status // 100}xx").inc()
        self._metrics.request_seconds.observe(seconds)
        if status == 429 and route == OTHER:
            # Refused before anybody looked where it leads; the queue of a Model says it later.
            self._metrics.rate_limited.inc()


def route_of(scope: Scope) -> str:
    """The template of a request's route, without its base; `other` where it leads nowhere."""
    path = getattr(scope.get("route"), "path", None)
    if not isinstance(path, str):
        return OTHER
    for base in _LONGEST_FIRST:
        if path.startswith(f"{base}/"):
            return path.removeprefix(base)
    return path


class Reviews:
    """The API server's word on tokens and rights, counted."""

    def __init__(self, cluster: Cluster, metrics: Metrics) -> None:
        self._cluster = cluster
        self._metrics = metrics

    async def token_review(self, token: str, audiences: list[str]) -> Json:
        """The status of a TokenReview."""
        asked = self._cluster.token_review(token, audiences)
        return await self._answer(asked, self._metrics.token_reviews, "authenticated")

    async def subject_access_review(self, spec: Json) -> Json:
        """The status of a SubjectAccessReview."""
        asked = self._cluster.subject_access_review(spec)
        return await self._answer(asked, self._metrics.access_reviews, "allowed")

    async def _answer(self, asked: Awaitable[Json], results: Bounded[Counter], good: str) -> Json:
        try:
            status = await asked
        except KubeError:
            results.of("error").inc()
            raise
        results.of("allowed" if status.get(good) is True else "denied").inc()
        return status
