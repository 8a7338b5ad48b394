"""Builds the cache room."""

from __future__ import annotations

from dataclasses import dataclass

from mayfly.gateway.cache.directory import Directory
from mayfly.gateway.cache.programs import Programs
from mayfly.gateway.cache.runs import Runs
from mayfly.gateway.process import Process, Tasks
from mayfly.source_check.checker import SourceChecker


@dataclass(frozen=True)
class Caches:
    """What the room offers: caches of the Kubernetes API."""

    runs: Runs
    directory: Directory
    programs: Programs
    sources: SourceChecker

    @property
    def tasks(self) -> Tasks:
        """Background tasks: the watches."""
        return {"watch:runs": self.runs.watch, "watch:directory": self.directory.watch}


def build(process: Process) -> Caches:
    """Build the room."""
    cluster, monotonic = process.cluster, process.monotonic
    sources = SourceChecker()
    return Caches(
        runs=Runs(cluster, monotonic),
        directory=Directory(cluster, process.config.shared_namespaces, monotonic),
        programs=Programs(cluster, sources, monotonic),
        sources=sources,
    )
