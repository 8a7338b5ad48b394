"""Health checks and metrics of the controller: /healthz, /readyz, /metrics."""

from __future__ import annotations

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from mayfly.controller.key import Key
from mayfly.workqueue import WorkQueue

STALLED_SECONDS = 120.0


class Health:
    """Answers /healthz, /readyz and /metrics.

    Attributes:
        leading: whether this replica leads.
        listed_at: time of the last full list, in Unix seconds; 0 before the first.
    """

    def __init__(self, queue: WorkQueue[Key], registry: CollectorRegistry) -> None:
        self._queue = queue
        self._registry = registry
        self._dead_watch = ""
        self.leading = False
        self.listed_at = 0.0

    @property
    def watch_dead(self) -> bool:
        """Whether a watch is silent while objects change."""
        return bool(self._dead_watch)

    def watch_is_dead(self, plural: str) -> None:
        """Record that a watch missed a change that a listing showed; only a restart helps."""
        self._dead_watch = plural

    def watch_is_alive(self) -> None:
        """Record that the caches are as new as the listing."""
        self._dead_watch = ""

    def problem(self) -> str:
        """What is wrong, or ""."""
        if self._dead_watch:
            return f"the watch of {self._dead_watch} is silent while objects change"
        if self._queue.oldest_seconds > STALLED_SECONDS:
            return f"a key has waited {self._queue.oldest_seconds:.0f} s for a worker"
        return ""

    def app(self) -> web.Application:
        """The HTTP server's routes."""
        application = web.Application()
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._metrics)
        return application

    async def _healthz(self, _: web.Request) -> web.Response:
        problem = self.problem()
        return web.Response(status=503 if problem else 200, text=problem or "ok")

    async def _readyz(self, _: web.Request) -> web.Response:
        # A standby is ready too: it can take over.
        return web.Response(text="leading" if self.leading else "standby")

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )
