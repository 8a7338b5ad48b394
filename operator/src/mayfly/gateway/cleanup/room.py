"""Builds the cleanup room."""

from __future__ import annotations

from dataclasses import dataclass

from mayfly.gateway.access.room import AccessControl
from mayfly.gateway.cache.room import Caches
from mayfly.gateway.calls.room import Calls
from mayfly.gateway.cleanup.removal import Removal
from mayfly.gateway.cleanup.sweep import Sweep
from mayfly.gateway.files.room import FileStorage
from mayfly.gateway.metrics.room import Telemetry
from mayfly.gateway.namespaces.room import NamespaceSettings
from mayfly.gateway.process import Process, Tasks
from mayfly.gateway.secrets.room import Secrets


@dataclass(frozen=True)
class Cleanup:
    """What the room offers: the sweep."""

    sweep: Sweep

    @property
    def tasks(self) -> Tasks:
        """Background tasks: the sweep."""
        return {"sweep": self.sweep.run}


def build(
    process: Process,
    caches: Caches,
    telemetry: Telemetry,
    namespaces: NamespaceSettings,
    access: AccessControl,
    files: FileStorage,
    secrets: Secrets,
    calls: Calls,
) -> Cleanup:
    """Build the room from the rooms below it."""
    config = process.config
    removal = Removal(
        database=process.database,
        runs=caches.runs,
        files=files.store,
        retention=namespaces.retention,
        input_bytes=config.limits.input_bytes,
        clock=process.clock,
    )
    sweep = Sweep(
        cluster=process.cluster,
        database=process.database,
        runs=caches.runs,
        directory=caches.directory,
        uploads=files.uploads,
        removal=removal,
        calls=calls.recorder,
        versions=calls.versions,
        sealed=secrets.sealed,
        codes=access.codes,
        failed=telemetry.counters.failed,
        retention_seconds=config.retention_seconds,
        clock=process.clock,
    )
    return Cleanup(sweep)
