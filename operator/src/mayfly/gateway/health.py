"""Health checks: liveness and readiness."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from mayfly.database.engine import Database, StorageAway
from mayfly.gateway.cache.runs import Runs

SILENCE_SECONDS = 150.0
"""Bookmarks come every minute; a watch that is silent for more than two minutes is dead."""


class HealthRoutes:
    """HTTP routes `/healthz` and `/readyz`."""

    def __init__(
        self, database: Database, runs: Runs, ended_tasks: Callable[[], list[str]]
    ) -> None:
        self._database = database
        self._runs = runs
        self._ended_tasks = ended_tasks

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/healthz", self.healthz, methods=["GET"])
        router.add_api_route("/readyz", self.readyz, methods=["GET"])
        return router

    async def healthz(self) -> Response:
        """Liveness: 500 if a background task has ended; the kubelet then restarts the container."""
        ended = self._ended_tasks()
        status = f"ended: {', '.join(ended)}" if ended else "ok"
        return JSONResponse({"status": status}, status_code=500 if ended else 200)

    async def readyz(self) -> Response:
        """Readiness: the database answers and the watch is alive."""
        problems = []
        try:
            await self._database.ping()
        except StorageAway:
            problems.append("the database does not answer")
        if not self._runs.synced.is_set():
            problems.append("the runs are not listed yet")
        elif self._runs.silent_seconds > SILENCE_SECONDS:
            problems.append("the watch of the Kubernetes API is silent")
        status = "ok" if not problems else "; ".join(problems)
        return JSONResponse({"status": status}, status_code=503 if problems else 200)
