"""Builds the namespaces room."""

from __future__ import annotations

from dataclasses import dataclass

from mayfly.gateway.cache.room import Caches
from mayfly.gateway.namespaces.budgets import Budgets
from mayfly.gateway.namespaces.retention import Retention
from mayfly.gateway.namespaces.watch import Namespaces
from mayfly.gateway.process import Process, Tasks


@dataclass(frozen=True)
class NamespaceSettings:
    """What the room offers: settings that namespaces have in annotations."""

    watch: Namespaces
    retention: Retention
    budgets: Budgets

    @property
    def tasks(self) -> Tasks:
        """Background tasks: the watch of namespaces, and the recheck of budgets."""
        return {"watch:namespaces": self.watch.watch, "watch:budgets": self.budgets.run}


def build(process: Process, caches: Caches) -> NamespaceSettings:
    """Build the room from the rooms below it."""
    watch = Namespaces(process.cluster, process.monotonic)
    budgets = Budgets(
        namespaces=watch,
        database=process.database,
        runs=caches.runs,
        currency=process.config.currency,
        clock=process.clock,
    )
    return NamespaceSettings(watch, Retention(watch, process.config.retention_seconds), budgets)
