"""Builds the predictions room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter

from mayfly.gateway.access.room import AccessControl
from mayfly.gateway.cache.room import Caches
from mayfly.gateway.calls.room import Calls
from mayfly.gateway.files.room import FileStorage
from mayfly.gateway.http.room import HTTP
from mayfly.gateway.lifecycle.room import Lifecycle
from mayfly.gateway.metrics.room import Telemetry
from mayfly.gateway.namespaces.room import NamespaceSettings
from mayfly.gateway.predictions.create import Creator
from mayfly.gateway.predictions.create_call import CallMaker
from mayfly.gateway.predictions.create_run import RunMaker
from mayfly.gateway.predictions.finder import Predictions as Finder
from mayfly.gateway.predictions.long_polls import LongPolls
from mayfly.gateway.predictions.permits import Permits
from mayfly.gateway.predictions.presenter import Presenter
from mayfly.gateway.predictions.routes import PredictionRoutes
from mayfly.gateway.predictions.snapshots import Snapshots
from mayfly.gateway.predictions.streams import Streams
from mayfly.gateway.predictions.targets import Targets
from mayfly.gateway.predictions.webhooks import Webhooks
from mayfly.gateway.process import Process, Tasks
from mayfly.gateway.runs.room import Runs
from mayfly.gateway.secrets.room import Secrets
from mayfly.workqueue import WorkQueue


@dataclass(frozen=True)
class Predictions:
    """What the room offers: the API resource `prediction`."""

    finder: Finder
    presenter: Presenter
    targets: Targets
    creator: Creator
    webhooks: Webhooks
    routers: Sequence[APIRouter]

    @property
    def tasks(self) -> Tasks:
        """Background tasks: webhook delivery."""
        return {"work:webhooks": self.webhooks.run}


def build(
    process: Process,
    http: HTTP,
    caches: Caches,
    lifecycle: Lifecycle,
    telemetry: Telemetry,
    namespaces: NamespaceSettings,
    access: AccessControl,
    files: FileStorage,
    secrets: Secrets,
    runs: Runs,
    calls: Calls,
) -> Predictions:
    """Build the room from the rooms below it."""
    config, database, clock = process.config, process.database, process.clock
    snapshots = Snapshots(database, caches.runs, runs.trees, config.limits.log_tail_bytes)
    finder = Finder(
        cluster=process.cluster,
        database=database,
        runs=caches.runs,
        callers=access.callers,
        calls=calls.recorder,
        dispatcher=calls.dispatcher,
        notices=lifecycle.notices,
        snapshots=snapshots,
        long_polls=LongPolls(process.monotonic),
        stopping=process.stopping,
    )
    presenter = Presenter(
        database=database,
        links=files.links,
        key=access.key,
        directory=caches.directory,
        programs=caches.programs,
        clock=clock,
    )
    webhooks = _webhooks(process, http, lifecycle, telemetry, access, finder, presenter)
    database.commits.listen(webhooks.committed)
    targets = Targets(access.callers, caches.directory)
    creator = _creator(
        process, caches, lifecycle, namespaces, access, files, secrets, calls, snapshots
    )
    routes = PredictionRoutes(
        predictions=finder,
        presenter=presenter,
        targets=targets,
        creator=creator,
        budgets=namespaces.budgets,
        callers=access.callers,
        notices=lifecycle.notices,
        stopping=process.stopping,
        input_bytes=config.limits.input_bytes,
        key=access.key,
    )
    streams = Streams(finder, presenter, lifecycle.notices, process.stopping, access.key, clock)
    routers = [routes.router(), streams.router()]
    return Predictions(finder, presenter, targets, creator, webhooks, routers)


def _creator(
    process: Process,
    caches: Caches,
    lifecycle: Lifecycle,
    namespaces: NamespaceSettings,
    access: AccessControl,
    files: FileStorage,
    secrets: Secrets,
    calls: Calls,
    snapshots: Snapshots,
) -> Creator:
    return Creator(
        permits=Permits(access.callers, process.database, lifecycle.notices),
        callers=access.callers,
        budgets=namespaces.budgets,
        sources=caches.sources,
        sealed=secrets.sealed,
        links=files.links,
        database=process.database,
        clock=process.clock,
        runs=_run_maker(process, caches, files, secrets, snapshots),
        calls=_call_maker(process, caches, namespaces, secrets, calls, snapshots),
    )


def _webhooks(
    process: Process,
    http: HTTP,
    lifecycle: Lifecycle,
    telemetry: Telemetry,
    access: AccessControl,
    finder: Finder,
    presenter: Presenter,
) -> Webhooks:
    config = process.config
    workqueue: WorkQueue[str] = process.workqueue(telemetry.counters.errors_of("webhooks"))
    telemetry.counters.show_queue("webhooks", workqueue)
    return Webhooks(
        predictions=finder,
        presenter=presenter,
        database=process.database,
        outbound=http.outbound,
        notices=lifecycle.notices,
        metrics=telemetry.counters,
        workqueue=workqueue,
        key=access.key,
        base=(config.external_url or config.internal_url).rstrip("/"),
        clock=process.clock,
        monotonic=process.monotonic,
    )


def _run_maker(
    process: Process,
    caches: Caches,
    files: FileStorage,
    secrets: Secrets,
    snapshots: Snapshots,
) -> RunMaker:
    return RunMaker(
        cluster=process.cluster,
        database=process.database,
        runs=caches.runs,
        files=files.store,
        directory=caches.directory,
        sealed=secrets.sealed,
        snapshots=snapshots,
        depth_limit=process.config.depth_limit,
        clock=process.clock,
        new_id=process.new_id,
    )


def _call_maker(
    process: Process,
    caches: Caches,
    namespaces: NamespaceSettings,
    secrets: Secrets,
    calls: Calls,
    snapshots: Snapshots,
) -> CallMaker:
    return CallMaker(
        calls=calls.recorder,
        versions=calls.versions,
        probe=calls.probe,
        dispatcher=calls.dispatcher,
        directory=caches.directory,
        namespaces=namespaces.watch,
        runs=caches.runs,
        sealed=secrets.sealed,
        snapshots=snapshots,
        database=process.database,
        config=process.config,
        clock=process.clock,
        new_uid=process.new_uid,
    )
