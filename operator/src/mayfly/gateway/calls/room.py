"""Builds the calls room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter

from mayfly.gateway.access.room import AccessControl
from mayfly.gateway.cache.directory import Key
from mayfly.gateway.cache.room import Caches
from mayfly.gateway.calls.callbacks import CallbackListener
from mayfly.gateway.calls.cog import CogServer
from mayfly.gateway.calls.dispatcher import CallDispatcher
from mayfly.gateway.calls.outputs import Outputs
from mayfly.gateway.calls.probe import Probe
from mayfly.gateway.calls.recorder import CallRecorder
from mayfly.gateway.calls.replicate import ReplicateServer
from mayfly.gateway.calls.replies import Replies
from mayfly.gateway.calls.routes import CallbackRoutes
from mayfly.gateway.calls.versions import Versions
from mayfly.gateway.files.room import FileStorage
from mayfly.gateway.http.room import HTTP
from mayfly.gateway.lifecycle.room import Lifecycle
from mayfly.gateway.metrics.room import Telemetry
from mayfly.gateway.namespaces.room import NamespaceSettings
from mayfly.gateway.process import Process, Tasks
from mayfly.gateway.secrets.room import Secrets
from mayfly.telemetry import catalog
from mayfly.workqueue import WorkQueue


@dataclass(frozen=True)
class Calls:
    """What the room offers: the engine for calls of Models."""

    recorder: CallRecorder
    dispatcher: CallDispatcher
    versions: Versions
    probe: Probe
    listener: CallbackListener
    replies: Replies
    routers: Sequence[APIRouter]

    @property
    def tasks(self) -> Tasks:
        """Background tasks: dispatching, checks of Models, the callback listener, its reports."""
        return {
            "watch:models": self.probe.run,
            "work:models": self.dispatcher.run,
            "serve:callbacks": self.listener.run,
            "work:callbacks": self.replies.run,
        }


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
) -> Calls:
    """Build the room from the rooms below it."""
    config, clock = process.config, process.clock
    recorder = CallRecorder(
        database=process.database,
        sealed=secrets.sealed,
        notices=lifecycle.notices,
        metrics=telemetry.counters,
        dispatches=lifecycle.dispatches,
        clock=clock,
    )
    reports: WorkQueue[str] = process.workqueue(telemetry.counters.errors_of("reports"))
    replies = Replies(
        calls=recorder,
        database=process.database,
        outputs=Outputs(files.store, http.outbound),
        sealed=secrets.sealed,
        notices=lifecycle.notices,
        limits=config.limits,
        dispatches=lifecycle.dispatches,
        workqueue=reports,
    )
    routes = CallbackRoutes(recorder, replies, access.key, config.models.callback_bytes).router()
    listener = CallbackListener(
        [routes, files.downloads], config.listen_host, config.models, config.external_url
    )
    cog = _cog(process, http, access, files, secrets, recorder, listener)
    replicate = _replicate(process, http, files, secrets, recorder, replies)
    versions = Versions(process.database, caches.directory, clock)
    probe = _probe(process, caches, telemetry, versions, cog, replicate)
    dispatcher = _dispatcher(
        process, caches, lifecycle, telemetry, namespaces, recorder, versions, cog, replicate
    )
    caches.directory.model_changes.listen(probe.changed)
    caches.directory.model_changes.listen(dispatcher.changed)
    telemetry.counters.families.gauges(
        catalog.MODEL_QUEUE_DEPTH,
        {"queued": lambda: dispatcher.queued, "active": lambda: dispatcher.active},
    )
    return Calls(recorder, dispatcher, versions, probe, listener, replies, [routes])


def _probe(
    process: Process,
    caches: Caches,
    telemetry: Telemetry,
    versions: Versions,
    cog: CogServer,
    replicate: ReplicateServer,
) -> Probe:
    workqueue: WorkQueue[Key] = process.workqueue(telemetry.counters.errors_of("models"))
    telemetry.counters.show_queue("models", workqueue)
    return Probe(
        cluster=process.cluster,
        directory=caches.directory,
        versions=versions,
        cog=cog,
        replicate=replicate,
        workqueue=workqueue,
        probe_seconds=process.config.models.probe_seconds,
        clock=process.clock,
    )


def _dispatcher(
    process: Process,
    caches: Caches,
    lifecycle: Lifecycle,
    telemetry: Telemetry,
    namespaces: NamespaceSettings,
    recorder: CallRecorder,
    versions: Versions,
    cog: CogServer,
    replicate: ReplicateServer,
) -> CallDispatcher:
    return CallDispatcher(
        calls=recorder,
        directory=caches.directory,
        versions=versions,
        cog=cog,
        replicate=replicate,
        budgets=namespaces.budgets,
        notices=lifecycle.notices,
        config=process.config.models,
        failed=telemetry.counters.failed,
        clock=process.clock,
        monotonic=process.monotonic,
    )


def _cog(
    process: Process,
    http: HTTP,
    access: AccessControl,
    files: FileStorage,
    secrets: Secrets,
    recorder: CallRecorder,
    listener: CallbackListener,
) -> CogServer:
    return CogServer(
        outbound=http.outbound,
        calls=recorder,
        links=files.links,
        sealed=secrets.sealed,
        key=access.key,
        callbacks=listener.base_for,
        fate_seconds=process.config.models.fate_seconds,
        monotonic=process.monotonic,
    )


def _replicate(
    process: Process,
    http: HTTP,
    files: FileStorage,
    secrets: Secrets,
    recorder: CallRecorder,
    replies: Replies,
) -> ReplicateServer:
    return ReplicateServer(
        outbound=http.outbound,
        calls=recorder,
        replies=replies,
        files=files.store,
        sealed=secrets.sealed,
        lookup=secrets.lookup,
        fate_seconds=process.config.models.fate_seconds,
        answer_bytes=process.config.limits.message_bytes,
        monotonic=process.monotonic,
    )
