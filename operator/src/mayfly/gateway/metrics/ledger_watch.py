"""Gauges of the ledger: is the database up, and which ends are not recorded yet."""

from __future__ import annotations

import asyncio
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from mayfly.clock import Clock
from mayfly.database.engine import Database
from mayfly.gateway.metrics.counters import Metrics
from mayfly.metering import ledger
from mayfly.telemetry import catalog

LOOK_SECONDS = 10.0


class LedgerWatch:
    """Counts ends that are journalled but not closed, every few seconds."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._count = 0
        self._oldest: datetime | None = None
        self._up = True

    async def run(self) -> None:
        """Update the gauges until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Update the gauges once."""
        try:
            async with self._database.read(bulk=True) as tx:
                self._count, self._oldest = await ledger.unrecorded(tx)
        except (SQLAlchemyError, OSError):
            self._up = False
        else:
            self._up = True

    def gauges(self, metrics: Metrics) -> None:
        """Register the gauges; the age increases while the database is unavailable."""
        metrics.families.gauge(catalog.DATABASE_UP, lambda: float(self._up))
        metrics.families.gauge(catalog.LEDGER_UNRECORDED, lambda: float(self._count))
        metrics.families.gauge(catalog.LEDGER_LAG, self._lag)

    def _lag(self) -> float:
        oldest = self._oldest
        return 0.0 if oldest is None else max(0.0, (self._clock() - oldest).total_seconds())
