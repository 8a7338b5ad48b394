"""How the gateway stands at this moment: what its objects say, and what the ledger says."""

from __future__ import annotations

import asyncio
import math
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from mayfly.clock import Clock
from mayfly.gateway.cache.runs import Runs
from mayfly.gateway.calls.dispatcher import Conductor
from mayfly.gateway.metrics.counters import Metrics
from mayfly.gateway.runs.sessions import Sessions
from mayfly.kube.client import Cluster
from mayfly.metering import ledger
from mayfly.metering.database import FAILURES, Database

LOOK_SECONDS = 10.0
WRITES = 30
"""Series of API writes: half as many kinds, verbs and results come together."""


class LedgerWatch:
    """Looks now and then for ends that the ledger has taken down and not closed."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._count = 0
        self._oldest: datetime | None = None
        self._up = True

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look once."""
        try:
            async with self._database.read() as tx:
                self._count, self._oldest = await ledger.unrecorded(tx)
        except (SQLAlchemyError, OSError):
            self._up = False
        else:
            self._up = True

    def gauges(self, metrics: Metrics) -> None:
        """Show what was seen last; the age goes on while the database is away."""
        metrics.families.gauge(
            "mayfly_database_up",
            "1 while the database answers; it is asked every ten seconds.",
            lambda: float(self._up),
        )
        metrics.families.gauge(
            "mayfly_ledger_unrecorded_runs",
            "Ends that are in the journal and not yet recorded.",
            lambda: float(self._count),
        )
        metrics.families.gauge(
            "mayfly_ledger_lag_seconds",
            "Age of the oldest end that is in the journal and not yet recorded; 0 without one.",
            self._lag,
        )

    def _lag(self) -> float:
        oldest = self._oldest
        return 0.0 if oldest is None else max(0.0, (self._clock() - oldest).total_seconds())


def install(
    metrics: Metrics,
    *,
    cluster: Cluster,
    database: Database,
    runs: Runs,
    sessions: Sessions,
    conductor: Conductor,
) -> None:
    """Show how these objects stand."""
    families = metrics.families
    families.tally(
        "mayfly_kubernetes_writes_total",
        "Writes to the Kubernetes API, by verb, kind and how they went.",
        ("verb", "kind", "result"),
        WRITES,
        lambda: dict(cluster.results),
    )
    families.tally(
        "mayfly_database_errors_total",
        "Failed transactions, by what was wrong: full, busy, connection, other.",
        ("error",),
        len(FAILURES),
        lambda: {(word,): database.errors[word] for word in FAILURES},
    )
    families.gauge(
        "mayfly_database_full",
        "1 while the database's disk has no room: nothing can start or end.",
        lambda: float(database.full),
    )
    families.gauge(
        "mayfly_agent_sessions", "Agents of run pods that are connected.", lambda: len(sessions)
    )
    families.gauge(
        "mayfly_gateway_unfinished_runs", "Runs that the gateway's watch knows.", lambda: len(runs)
    )
    families.gauge(
        "mayfly_gateway_watch_silence_seconds",
        "How long the watch of runs has told nothing; bookmarks come every minute.",
        lambda: _finite(runs.silent_seconds),
    )
    families.gauges(
        "mayfly_model_queue_depth",
        "Calls of Models that wait (queued), or were sent (active).",
        "state",
        {"queued": lambda: conductor.queued, "active": lambda: conductor.active},
    )


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0
