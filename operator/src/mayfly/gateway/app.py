"""The gateway, put together: every object is made here, once, and handed what it needs.

Longer than other modules, because it is the one place to see what depends on what.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from mayfly import __version__
from mayfly.clock import Clock, Monotonic
from mayfly.config import GatewayConfig
from mayfly.gateway.access.authentication import Access, Authenticator
from mayfly.gateway.access.callers import Callers
from mayfly.gateway.access.rates import RateLimit
from mayfly.gateway.access.routes import AccountRoutes
from mayfly.gateway.access.signing import SigningKey
from mayfly.gateway.billing.correction_routes import CorrectionRoutes
from mayfly.gateway.billing.corrections import Corrections
from mayfly.gateway.billing.routes import UsageRoutes
from mayfly.gateway.cache.directory import Directory
from mayfly.gateway.cache.programs import Catalog
from mayfly.gateway.cache.runs import Runs
from mayfly.gateway.calls.cog import CogCourier
from mayfly.gateway.calls.dispatcher import Conductor
from mayfly.gateway.calls.outputs import Outputs
from mayfly.gateway.calls.recorder import ModelCalls
from mayfly.gateway.calls.replicate import ReplicateCourier
from mayfly.gateway.calls.replies import Hearing
from mayfly.gateway.calls.routes import CallbackListener, CallbackRoutes
from mayfly.gateway.calls.versions import Versions
from mayfly.gateway.catalog.presenter import Cards
from mayfly.gateway.catalog.publishing import Publishing
from mayfly.gateway.catalog.routes import ModelRoutes
from mayfly.gateway.catalog.runtime_routes import RuntimeRoutes
from mayfly.gateway.catalog.schemas import Schemas
from mayfly.gateway.cleanup.removal import Removal
from mayfly.gateway.cleanup.sweep import Sweep
from mayfly.gateway.files.routes import FileRoutes
from mayfly.gateway.files.store import Files, open_store
from mayfly.gateway.files.uploads import Uploads
from mayfly.gateway.health import HealthRoutes
from mayfly.gateway.http import errors, openapi
from mayfly.gateway.http.outbound import Outbound
from mayfly.gateway.lifecycle.dispatches import Windows
from mayfly.gateway.lifecycle.notices import Notices
from mayfly.gateway.metrics.counters import Metrics
from mayfly.gateway.metrics.ledger_watch import LedgerWatch
from mayfly.gateway.metrics.ledger_watch import install as install_gauges
from mayfly.gateway.metrics.requests import Requests, Reviews
from mayfly.gateway.namespaces.budgets import Budgets
from mayfly.gateway.namespaces.retention import Retention
from mayfly.gateway.namespaces.watch import Namespaces
from mayfly.gateway.predictions.create_call import Intake
from mayfly.gateway.predictions.create_run import Creation
from mayfly.gateway.predictions.finder import Predictions
from mayfly.gateway.predictions.long_polls import Polls
from mayfly.gateway.predictions.presenter import Presenter
from mayfly.gateway.predictions.routes import PredictionRoutes
from mayfly.gateway.predictions.stream_routes import StreamRoutes
from mayfly.gateway.predictions.streams import Streams
from mayfly.gateway.predictions.webhooks import Webhooks
from mayfly.gateway.runs.agents import Agents
from mayfly.gateway.runs.dispatcher import Dispatcher
from mayfly.gateway.runs.recorder import Recorder
from mayfly.gateway.runs.routes import AgentRoutes
from mayfly.gateway.runs.sessions import Sessions
from mayfly.gateway.runs.trees import Trees
from mayfly.gateway.secrets.lookup import Vault
from mayfly.gateway.secrets.sealed import Sealed
from mayfly.gateway.worklist import Worklist
from mayfly.kube.client import Cluster
from mayfly.metering.database import Database, stand_by
from mayfly.source_check import SourceChecker
from mayfly.telemetry.payers import PayerSettings

logger = logging.getLogger(__name__)


class Gateway:
    """The process's objects.

    Attributes:
        app: the ASGI application.
        metrics: what Prometheus may know.
        stopping: set when the process is about to end, so that long answers end too.
    """

    def __init__(  # noqa: PLR0915 - what depends on what is to be seen in one piece
        self,
        config: GatewayConfig,
        *,
        cluster: Cluster,
        key: SigningKey,
        clock: Clock,
        monotonic: Monotonic,
        new_id: Callable[[], str],
        new_uid: Callable[[], str],
    ) -> None:
        self.stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.metrics = Metrics(PayerSettings(**config.metrics.model_dump()), config.currency)
        self.notices = Notices()
        self.sessions = Sessions()
        self.worklist = Worklist()
        self.database = Database(config.database_url)
        self.database.on_commit = self.metrics.recorded
        self.runs = Runs(cluster, self.worklist.add, monotonic)
        self.files = Files(
            open_store(config.files_url, config.files_options),
            self.database,
            config.limits,
            clock,
            new_id,
        )
        sources = SourceChecker()
        catalog = Catalog(cluster, sources, monotonic)
        reviews = Reviews(cluster, self.metrics)
        authenticator = Authenticator(reviews, key, monotonic)
        self.directory = Directory(cluster, config.shared_namespaces, self._on_model, monotonic)
        callers = Callers(authenticator, Access(reviews, monotonic), self.runs, self.directory)
        trees = Trees(cluster, self.database, self.runs)
        windows = Windows(monotonic)
        self.namespaces = Namespaces(cluster, monotonic)
        self.retention = Retention(self.namespaces, config.retention_seconds)
        self.budgets = Budgets(
            namespaces=self.namespaces,
            database=self.database,
            runs=self.runs,
            poke=self.worklist.add,
            currency=config.currency,
            clock=clock,
        )
        self.outbound = Outbound(
            allowed=config.outbound.allow_cidrs, denied=config.outbound.deny_cidrs
        )
        sealed = Sealed(database=self.database, key=key, clock=clock, new_id=new_id)
        vault = Vault(
            cluster, self.files, sealed, config.service_account, config.limits.input_bytes
        )
        self.calls = ModelCalls(
            database=self.database,
            sealed=sealed,
            notices=self.notices,
            metrics=self.metrics,
            windows=windows,
            clock=clock,
            on_end=self.worklist.add,
        )
        hearing = Hearing(
            calls=self.calls,
            database=self.database,
            outputs=Outputs(self.files, self.outbound),
            sealed=sealed,
            notices=self.notices,
            limits=config.limits,
            windows=windows,
            clock=clock,
        )
        cog = CogCourier(
            outbound=self.outbound,
            calls=self.calls,
            files=self.files,
            sealed=sealed,
            key=key,
            callbacks=lambda target: self._callback_base(config, target),
            fate_seconds=config.models.fate_seconds,
            clock=clock,
            monotonic=monotonic,
        )
        replicate = ReplicateCourier(
            outbound=self.outbound,
            calls=self.calls,
            hearing=hearing,
            files=self.files,
            sealed=sealed,
            vault=vault,
            fate_seconds=config.models.fate_seconds,
            answer_bytes=config.limits.message_bytes,
            monotonic=monotonic,
        )
        self.versions = Versions(
            cluster=cluster,
            database=self.database,
            directory=self.directory,
            cog=cog,
            replicate=replicate,
            probe_seconds=config.models.probe_seconds,
            clock=clock,
        )
        self.conductor = Conductor(
            calls=self.calls,
            directory=self.directory,
            versions=self.versions,
            cog=cog,
            replicate=replicate,
            budgets=self.budgets,
            notices=self.notices,
            config=config.models,
            clock=clock,
            monotonic=monotonic,
        )
        schemas = Schemas(self.directory, self.versions.schema_of)
        self.predictions = Predictions(
            cluster=cluster,
            database=self.database,
            runs=self.runs,
            callers=callers,
            calls=self.calls,
            conductor=self.conductor,
            notices=self.notices,
            polls=Polls(monotonic),
            stopping=self.stopping,
        )
        presenter = Presenter(
            database=self.database,
            trees=trees,
            files=self.files,
            calls=self.calls,
            key=key,
            schemas=schemas,
            limits=config.limits,
            clock=clock,
        )
        self.webhooks = Webhooks(
            predictions=self.predictions,
            presenter=presenter,
            database=self.database,
            outbound=self.outbound,
            notices=self.notices,
            metrics=self.metrics,
            key=key,
            base=(config.external_url or config.internal_url).rstrip("/"),
            clock=clock,
            monotonic=monotonic,
        )
        self.recorder = Recorder(
            cluster=cluster,
            database=self.database,
            runs=self.runs,
            catalog=catalog,
            files=self.files,
            sealed=sealed,
            notices=self.notices,
            webhooks=self.webhooks,
            metrics=self.metrics,
            trees=trees,
            windows=windows,
            config=config,
            clock=clock,
        )
        self.dispatcher = Dispatcher(
            cluster=cluster,
            runs=self.runs,
            sessions=self.sessions,
            recorder=self.recorder,
            catalog=catalog,
            database=self.database,
            worklist=self.worklist,
            trees=trees,
            windows=windows,
            vault=vault,
            budgets=self.budgets,
            queues=(self.calls,),
            key=key,
            limits=config.limits,
            metrics=self.metrics,
            clock=clock,
            monotonic=monotonic,
        )
        self.agents = Agents(
            authenticator=authenticator,
            database=self.database,
            runs=self.runs,
            sessions=self.sessions,
            recorder=self.recorder,
            worklist=self.worklist,
            notices=self.notices,
            metrics=self.metrics,
            limits=config.limits,
            windows=windows,
            clock=clock,
        )
        uploads = Uploads(
            files=self.files,
            database=self.database,
            callers=callers,
            runs=self.runs,
            retention=self.retention,
            clock=clock,
        )
        self.sweep = Sweep(
            cluster=cluster,
            database=self.database,
            runs=self.runs,
            directory=self.directory,
            uploads=uploads,
            removal=Removal(
                database=self.database,
                runs=self.runs,
                files=self.files,
                retention=self.retention,
                input_bytes=config.limits.input_bytes,
                clock=clock,
            ),
            calls=self.calls,
            versions=self.versions,
            sealed=sealed,
            retention_seconds=config.retention_seconds,
            clock=clock,
        )
        creation = Creation(
            cluster=cluster,
            database=self.database,
            runs=self.runs,
            files=self.files,
            directory=self.directory,
            budgets=self.budgets,
            callers=callers,
            sealed=sealed,
            sources=sources,
            notices=self.notices,
            config=config,
            clock=clock,
            new_id=new_id,
        )
        intake = Intake(
            creation=creation,
            budgets=self.budgets,
            calls=self.calls,
            versions=self.versions,
            conductor=self.conductor,
            directory=self.directory,
            runs=self.runs,
            sealed=sealed,
            sources=sources,
            database=self.database,
            webhooks=self.webhooks,
            config=config,
            clock=clock,
            new_uid=new_uid,
        )
        file_routes = FileRoutes(self.files, uploads, callers, key, clock)
        callback_routes = CallbackRoutes(self.calls, hearing, key, config.models.callback_bytes)
        self.callbacks = CallbackListener(
            [callback_routes.router(), file_routes.links()],
            config.listen_host,
            config.models.callback_port,
        )
        self.app = FastAPI(
            title="Mayfly",
            version=__version__,
            lifespan=self._lifespan,
            docs_url=None,
            redoc_url=None,
            openapi_url="/openapi.json",
            redirect_slashes=False,
        )
        errors.install(self.app)
        self.app.add_middleware(
            RateLimit,
            rates=config.rates,
            key=key,
            root_of=self._root_of,
            monotonic=monotonic,
        )
        self.app.add_middleware(Requests, metrics=self.metrics, monotonic=monotonic)
        for routes in (
            HealthRoutes(self.database, self.runs, self._ended_tasks),
            AgentRoutes(self.agents, self.files, self.runs),
            file_routes,
            callback_routes,
            PredictionRoutes(
                predictions=self.predictions,
                presenter=presenter,
                creation=creation,
                intake=intake,
                budgets=self.budgets,
                callers=callers,
                notices=self.notices,
                stopping=self.stopping,
                input_bytes=config.limits.input_bytes,
            ),
            ModelRoutes(
                cards=Cards(
                    cluster=cluster,
                    database=self.database,
                    directory=self.directory,
                    callers=callers,
                    schemas=schemas,
                ),
                publishing=Publishing(
                    cluster=cluster,
                    directory=self.directory,
                    callers=callers,
                    catalog=catalog,
                    sources=sources,
                ),
                callers=callers,
            ),
            StreamRoutes(
                Streams(self.predictions, presenter, self.notices, self.stopping),
                self.predictions,
                key,
                clock,
            ),
            CorrectionRoutes(
                Corrections(
                    database=self.database,
                    predictions=self.predictions,
                    callers=callers,
                    worklist=self.worklist,
                    clock=clock,
                ),
                callers,
            ),
            AccountRoutes(callers, catalog, key),
            RuntimeRoutes(catalog),
            UsageRoutes(database=self.database, callers=callers, clock=clock),
        ):
            self.app.include_router(routes.router())
        openapi.install(self.app)
        self.ledger_watch = LedgerWatch(self.database, clock)
        self.ledger_watch.gauges(self.metrics)
        install_gauges(
            self.metrics,
            cluster=cluster,
            database=self.database,
            runs=self.runs,
            sessions=self.sessions,
            conductor=self.conductor,
        )

    def _root_of(self, uid: str) -> str | None:
        seen = self.runs.get(uid)
        return None if seen is None else self.runs.tree_of(seen)

    def stop(self) -> None:
        """Let long answers end; called before the server closes its connections."""
        self.stopping.set()
        self.notices.tell_all()

    @asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        try:
            await self.database.create()
            stand_by()
            self.callbacks.bind()
            self._tasks = [
                asyncio.create_task(self.runs.watch(), name="watch:runs"),
                asyncio.create_task(self.directory.watch(), name="watch:directory"),
                asyncio.create_task(self.namespaces.watch(), name="watch:namespaces"),
                asyncio.create_task(self.budgets.run(), name="watch:budgets"),
                asyncio.create_task(self.dispatcher.run(), name="work:runs"),
                asyncio.create_task(self.webhooks.run(), name="work:webhooks"),
                asyncio.create_task(self.callbacks.run(), name="serve:callbacks"),
                asyncio.create_task(self.versions.run(), name="watch:models"),
                asyncio.create_task(self.conductor.run(), name="work:models"),
                asyncio.create_task(self.sweep.run(), name="sweep"),
                asyncio.create_task(self.ledger_watch.run(), name="watch:ledger"),
            ]
            for task in self._tasks:
                task.add_done_callback(_on_task_end)
            logger.info("the gateway serves")
            yield
        finally:
            self.stop()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self.callbacks.close()
            await self.outbound.close()
            await self.database.close()

    def _on_model(self, namespace: str, name: str) -> None:
        self.versions.changed(namespace, name)
        self.conductor.changed(namespace, name)

    def _callback_base(self, config: GatewayConfig, target: dict[str, Any]) -> str:
        """How the server of a Model reaches us: one that is elsewhere by the public address."""
        if target["endpoint"].get("url") and config.external_url:
            return config.external_url.rstrip("/")
        inside = config.models.callback_url or f"http://127.0.0.1:{self.callbacks.port}"
        return inside.rstrip("/")

    def _ended_tasks(self) -> list[str]:
        return [task.get_name() for task in self._tasks if task.done()]


def _on_task_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        # Without it nothing moves: the liveness probe says so, and the kubelet starts us again.
        logger.critical("%s ended", task.get_name(), exc_info=task.exception())
