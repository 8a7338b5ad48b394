"""Builds the runs room."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from fastapi import APIRouter

from mayfly.gateway.access.room import AccessControl
from mayfly.gateway.cache.room import Caches
from mayfly.gateway.cache.runs import Runs as UnfinishedRuns
from mayfly.gateway.files.room import FileStorage
from mayfly.gateway.lifecycle.room import Lifecycle
from mayfly.gateway.metrics.room import Telemetry
from mayfly.gateway.namespaces.room import NamespaceSettings
from mayfly.gateway.process import Process, Tasks
from mayfly.gateway.runs.agents import Agents
from mayfly.gateway.runs.dispatcher import Dispatcher
from mayfly.gateway.runs.failing import FailingRuns
from mayfly.gateway.runs.gather import ChildQueue, Gatherer
from mayfly.gateway.runs.opening import LedgerOpener
from mayfly.gateway.runs.recorder import Recorder
from mayfly.gateway.runs.reports import Reports
from mayfly.gateway.runs.routes import AgentRoutes
from mayfly.gateway.runs.sessions import Sessions
from mayfly.gateway.runs.trees import Trees
from mayfly.gateway.secrets.room import Secrets
from mayfly.telemetry import catalog
from mayfly.telemetry.families import Families
from mayfly.workqueue import WorkQueue


@dataclass(frozen=True)
class Runs:
    """What the room offers: the engine for runs of Pipelines."""

    sessions: Sessions
    workqueue: WorkQueue[str]
    trees: Trees
    gatherer: Gatherer
    recorder: Recorder
    dispatcher: Dispatcher
    failing: FailingRuns
    agents: Agents
    routers: Sequence[APIRouter]

    @property
    def tasks(self) -> Tasks:
        """Background tasks: dispatching."""
        return {"work:runs": partial(self.dispatcher.run, self.failing.failed)}


def build(
    process: Process,
    caches: Caches,
    lifecycle: Lifecycle,
    telemetry: Telemetry,
    namespaces: NamespaceSettings,
    access: AccessControl,
    files: FileStorage,
    secrets: Secrets,
    queues: Sequence[ChildQueue],
) -> Runs:
    """Build the room; `queues` are what a run may have queued, to be closed by a cancel."""
    sessions = Sessions()
    workqueue: WorkQueue[str] = process.workqueue(telemetry.counters.errors_of("runs"))
    telemetry.counters.show_queue("runs", workqueue)
    trees = Trees(process.cluster, process.database, caches.runs)
    opener = _opener(process, caches, files)
    recorder = _recorder(process, caches, lifecycle, telemetry, files, secrets, trees, opener)
    gatherer = _gatherer(process, caches, namespaces, sessions, queues)
    dispatcher = Dispatcher(
        cluster=process.cluster,
        runs=caches.runs,
        sessions=sessions,
        gatherer=gatherer,
        opener=opener,
        recorder=recorder,
        programs=caches.programs,
        database=process.database,
        workqueue=workqueue,
        trees=trees,
        dispatches=lifecycle.dispatches,
        lookup=secrets.lookup,
        budgets=namespaces.budgets,
        queues=queues,
        key=access.key,
        limits=process.config.limits,
        metrics=telemetry.counters,
        clock=process.clock,
        monotonic=process.monotonic,
    )
    failing = _failing(process, caches, sessions, opener, recorder, dispatcher)
    agents = _agents(
        process, caches, lifecycle, telemetry, access, files, sessions, workqueue, opener, recorder
    )
    caches.runs.changes.listen(workqueue.add)
    namespaces.budgets.rechecks.listen(workqueue.add)
    _gauges(telemetry.counters.families, caches.runs, sessions)
    routes = AgentRoutes(agents, files.store, caches.runs)
    return Runs(
        sessions=sessions,
        workqueue=workqueue,
        trees=trees,
        gatherer=gatherer,
        recorder=recorder,
        dispatcher=dispatcher,
        failing=failing,
        agents=agents,
        routers=[routes.router()],
    )


def _opener(process: Process, caches: Caches, files: FileStorage) -> LedgerOpener:
    return LedgerOpener(
        database=process.database,
        runs=caches.runs,
        programs=caches.programs,
        files=files.store,
        config=process.config,
        clock=process.clock,
    )


def _failing(
    process: Process,
    caches: Caches,
    sessions: Sessions,
    opener: LedgerOpener,
    recorder: Recorder,
    dispatcher: Dispatcher,
) -> FailingRuns:
    return FailingRuns(
        cluster=process.cluster,
        database=process.database,
        runs=caches.runs,
        sessions=sessions,
        opener=opener,
        recorder=recorder,
        release=dispatcher.release,
        clock=process.clock,
    )


def _agents(
    process: Process,
    caches: Caches,
    lifecycle: Lifecycle,
    telemetry: Telemetry,
    access: AccessControl,
    files: FileStorage,
    sessions: Sessions,
    workqueue: WorkQueue[str],
    opener: LedgerOpener,
    recorder: Recorder,
) -> Agents:
    reports = Reports(
        database=process.database,
        links=files.links,
        opener=opener,
        recorder=recorder,
        workqueue=workqueue,
        notices=lifecycle.notices,
        metrics=telemetry.counters,
        limits=process.config.limits,
        dispatches=lifecycle.dispatches,
    )
    return Agents(
        authenticator=access.authenticator,
        database=process.database,
        runs=caches.runs,
        sessions=sessions,
        opener=opener,
        recorder=recorder,
        reports=reports,
        workqueue=workqueue,
        dispatches=lifecycle.dispatches,
        clock=process.clock,
    )


def _recorder(
    process: Process,
    caches: Caches,
    lifecycle: Lifecycle,
    telemetry: Telemetry,
    files: FileStorage,
    secrets: Secrets,
    trees: Trees,
    opener: LedgerOpener,
) -> Recorder:
    return Recorder(
        cluster=process.cluster,
        database=process.database,
        runs=caches.runs,
        files=files.store,
        links=files.links,
        opener=opener,
        sealed=secrets.sealed,
        notices=lifecycle.notices,
        metrics=telemetry.counters,
        trees=trees,
        dispatches=lifecycle.dispatches,
        config=process.config,
        clock=process.clock,
    )


def _gatherer(
    process: Process,
    caches: Caches,
    namespaces: NamespaceSettings,
    sessions: Sessions,
    queues: Sequence[ChildQueue],
) -> Gatherer:
    return Gatherer(
        cluster=process.cluster,
        database=process.database,
        runs=caches.runs,
        sessions=sessions,
        budgets=namespaces.budgets,
        limits=process.config.limits,
        clock=process.clock,
        queues=queues,
    )


def _gauges(families: Families, runs: UnfinishedRuns, sessions: Sessions) -> None:
    families.gauge(catalog.AGENT_SESSIONS, lambda: len(sessions))
    families.gauge(catalog.GATEWAY_UNFINISHED_RUNS, lambda: len(runs))
    families.gauge(
        catalog.GATEWAY_WATCH_SILENCE,
        lambda: _finite(runs.silent_seconds),
    )


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0
