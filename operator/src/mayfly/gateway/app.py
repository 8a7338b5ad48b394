"""Composition root of the gateway: builds each room once, from the bottom up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from mayfly import __version__
from mayfly.database.engine import stand_by
from mayfly.gateway import welcome
from mayfly.gateway.access import room as access
from mayfly.gateway.access.proxy import ProxyAuth
from mayfly.gateway.access.rates import RateLimit
from mayfly.gateway.access.signing import SigningKey
from mayfly.gateway.billing import room as billing
from mayfly.gateway.cache import room as cache
from mayfly.gateway.calls import room as calls
from mayfly.gateway.catalog import room as catalog
from mayfly.gateway.cleanup import room as cleanup
from mayfly.gateway.console import room as console
from mayfly.gateway.files import room as files
from mayfly.gateway.health import HealthRoutes
from mayfly.gateway.http import errors, openapi
from mayfly.gateway.http import room as http
from mayfly.gateway.http.prefix import Prefix
from mayfly.gateway.lifecycle import room as lifecycle
from mayfly.gateway.metrics import room as metrics
from mayfly.gateway.metrics.requests import Requests
from mayfly.gateway.namespaces import room as namespaces
from mayfly.gateway.predictions import room as predictions
from mayfly.gateway.process import Process
from mayfly.gateway.runs import room as runs
from mayfly.gateway.secrets import room as secrets
from mayfly.gateway.web import room as web
from mayfly.gateway.web.session import SessionCookie

logger = logging.getLogger(__name__)


class Gateway:
    """The composition root: builds the rooms, the ASGI app and its background tasks.

    Attributes:
        app: the ASGI application.
        process: the singletons; the rooms are attributes too, by the names of their folders.
    """

    def __init__(self, process: Process, key: SigningKey) -> None:
        self.process = process
        self._running: list[asyncio.Task[None]] = []
        self.http = http.build(process)
        self.cache = cache.build(process)
        self.lifecycle = lifecycle.build(process)
        self.metrics = metrics.build(process, self.cache)
        self.namespaces = namespaces.build(process, self.cache)
        self.access = access.build(process, key, self.cache, self.metrics, self.namespaces)
        self.files = files.build(process, self.access, self.cache, self.namespaces)
        self.catalog = catalog.build(process, self.access, self.cache)
        self.secrets = secrets.build(process, self.access, self.files)
        ground = (self.cache, self.lifecycle, self.metrics, self.namespaces)
        engines = (*ground, self.access, self.files, self.secrets)
        self.calls = calls.build(process, self.http, *engines)
        self.runs = runs.build(process, *engines, queues=(self.calls.recorder,))
        # What called a Model may have waited for that to say its last word.
        self.calls.recorder.ends.listen(self.runs.workqueue.add)
        self.predictions = predictions.build(process, self.http, *engines, self.runs, self.calls)
        self.billing = billing.build(process, self.access, self.runs, self.predictions)
        self.console = console.build(
            process, *ground, self.access, self.catalog, self.runs, self.predictions
        )
        self.cleanup = cleanup.build(
            process,
            self.cache,
            self.metrics,
            self.namespaces,
            self.access,
            self.files,
            self.secrets,
            self.calls,
        )
        self.web = web.build(process, self.access)
        self.app = self._application()

    def _application(self) -> FastAPI:
        process = self.process
        app = FastAPI(
            title="Mayfly",
            version=__version__,
            lifespan=self._lifespan,
            docs_url=None,
            redoc_url=None,
            openapi_url="/openapi.json",
            redirect_slashes=False,
        )
        errors.install(app)
        self._wrap(app)
        health = HealthRoutes(process.database, self.cache.runs, self._ended_tasks)
        app.include_router(health.router())
        app.include_router(welcome.router(self.web.pages.there))
        for room in (
            self.runs,
            self.files,
            self.calls,
            self.console,  # first: `/predictions/summaries` is no prediction's id
            self.predictions,
            self.catalog,
            self.billing,
            self.access,
            self.web,
        ):
            for router in room.routers:
                app.router.routes.extend(router.routes)
        openapi.install(app)
        return app

    def _wrap(self, app: FastAPI) -> None:
        """Add what each request passes before its route: the last one added is the first."""
        config, monotonic = self.process.config, self.process.monotonic
        app.add_middleware(
            RateLimit,
            rates=config.rates,
            key=self.access.key,
            root_of=self.cache.runs.root_of_uid,
            monotonic=monotonic,
        )
        app.add_middleware(SessionCookie)
        if config.proxy_auth is not None:
            app.add_middleware(ProxyAuth, config=config.proxy_auth)
        app.add_middleware(Prefix, path=config.path)
        app.add_middleware(Requests, metrics=self.metrics.counters, monotonic=monotonic)

    def stop(self) -> None:
        """Stop: let long requests end; called before the server closes its connections."""
        self.process.stopping.set()
        self.lifecycle.notices.tell_all()

    @asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        try:
            await self.process.database.create()
            self.cache.sources.start()
            stand_by()
            self.calls.listener.bind()
            self._start()
            logger.info("the gateway is serving")
            yield
        finally:
            self.stop()
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)
            self.calls.listener.close()
            self.cache.sources.close()
            await self.http.outbound.close()
            await self.process.database.close()

    def _start(self) -> None:
        for room in (
            self.cache,
            self.namespaces,
            self.runs,
            self.predictions,
            self.console,
            self.calls,
            self.cleanup,
            self.metrics,
        ):
            for name, work in room.tasks.items():
                task = asyncio.create_task(work(), name=name)
                task.add_done_callback(_on_task_end)
                self._running.append(task)

    def _ended_tasks(self) -> list[str]:
        return [task.get_name() for task in self._running if task.done()]


def _on_task_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        # Without it nothing moves: the liveness probe says so, and the kubelet starts us again.
        logger.critical("%s ended", task.get_name(), exc_info=task.exception())
