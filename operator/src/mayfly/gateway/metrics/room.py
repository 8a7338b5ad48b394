"""Builds the metrics room."""

from __future__ import annotations

from dataclasses import dataclass

from mayfly.database.engine import FAILURES
from mayfly.gateway.cache.room import Caches
from mayfly.gateway.metrics.counters import Metrics
from mayfly.gateway.metrics.ledger_watch import LedgerWatch
from mayfly.gateway.process import Process, Tasks
from mayfly.telemetry import catalog
from mayfly.telemetry.payers import PayerSettings

WRITES = 30
"""Maximum number of write series: only half of all combinations occur."""


@dataclass(frozen=True)
class Telemetry:
    """What the room offers: the registry and its metrics."""

    counters: Metrics
    ledger_watch: LedgerWatch

    @property
    def tasks(self) -> Tasks:
        """Background tasks: the watch of the ledger."""
        return {"watch:ledger": self.ledger_watch.run}


def build(process: Process, caches: Caches) -> Telemetry:
    """Build the room; counters are updated after every commit."""
    config, cluster, database = process.config, process.cluster, process.database
    counters = Metrics(
        PayerSettings(**config.metrics.model_dump()),
        config.currency,
        lambda namespace, name: caches.directory.pipeline(namespace, name) is not None,
    )
    database.commits.listen(counters.recorded)
    ledger_watch = LedgerWatch(database, process.clock)
    ledger_watch.gauges(counters)
    families = counters.families
    families.tally(
        catalog.KUBERNETES_WRITES,
        WRITES,
        lambda: dict(cluster.results),
    )
    families.tally(
        catalog.DATABASE_ERRORS,
        len(FAILURES),
        lambda: {(word,): database.errors[word] for word in FAILURES},
    )
    families.gauge(
        catalog.DATABASE_FULL,
        lambda: float(database.full),
    )
    return Telemetry(counters, ledger_watch)
