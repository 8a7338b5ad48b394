"""Whether the gateway is well: alive as a process, ready to serve."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import SQLAlchemyError

from mayfly.gateway.runs import Runs
from mayfly.metering.database import Database

SILENCE_SECONDS = 150.0
"""Bookmarks come every minute; a watch that is silent for longer than two is dead."""


class HealthRoutes:
    """`/healthz` and `/readyz`."""

    def __init__(self, database: Database, runs: Runs) -> None:
        self._database = database
        self._runs = runs

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/healthz", self.healthz, methods=["GET"])
        router.add_api_route("/readyz", self.readyz, methods=["GET"])
        return router

    async def healthz(self) -> Response:
        """The process serves requests."""
        return JSONResponse({"status": "ok"})

    async def readyz(self) -> Response:
        """SQL answers and the watch is alive."""
        problems = []
        try:
            await self._database.ping()
        except (SQLAlchemyError, OSError):
            problems.append("the database does not answer")
        if not self._runs.synced.is_set():
            problems.append("the runs are not listed yet")
        elif self._runs.silent_seconds > SILENCE_SECONDS:
            problems.append("the watch of the Kubernetes API is silent")
        status = "ok" if not problems else "; ".join(problems)
        return JSONResponse({"status": status}, status_code=503 if problems else 200)
