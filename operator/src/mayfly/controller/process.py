"""The controller's process: wait for the Lease, lead, release the Lease at the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
from collections.abc import Coroutine, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import kopf
from aiohttp import web

from mayfly.clock import Clock, Monotonic
from mayfly.config import ControllerConfig, NetworkConfig
from mayfly.controller.caches import Caches
from mayfly.controller.capacity import Capacity
from mayfly.controller.events import Events
from mayfly.controller.execute import MANAGER, Executor
from mayfly.controller.failing import Failing
from mayfly.controller.handlers import Handlers, settings
from mayfly.controller.health import Health
from mayfly.controller.lease import Lease, LeaseSettings
from mayfly.controller.metrics import Metrics
from mayfly.controller.pipelines import PipelineWorker
from mayfly.controller.pools import Pools, new_suffix
from mayfly.controller.resolve import Resolver
from mayfly.controller.sweep import Sweep
from mayfly.controller.worker import Worker
from mayfly.kube.client import Cluster
from mayfly.kube.errors import Conflict, KubeError, Unavailable
from mayfly.kube.kinds import CLUSTER_ROLES, RUNTIMES
from mayfly.ports import EVERY, listening
from mayfly.reconcile.network import NetworkSettings
from mayfly.reconcile.observed import PodSettings
from mayfly.source_check.checker import SourceChecker
from mayfly.workqueue import WorkQueue

logger = logging.getLogger(__name__)

Json = dict[str, Any]

OWNER_RETRY_SECONDS = 2.0


class Controller:
    """One replica of the controller."""

    def __init__(
        self,
        config: ControllerConfig,
        *,
        namespace: str,
        identity: str,
        clock: Clock,
        monotonic: Monotonic,
        kubeconfig: str | None = None,
    ) -> None:
        self._config = config
        self._namespace = namespace
        self._identity = identity
        self._clock = clock
        self._monotonic = monotonic
        self._kubeconfig = kubeconfig
        self._stop = asyncio.Event()
        self._owner: Json | None = None
        self.caches = Caches()
        self.capacity = Capacity(
            self.caches,
            reserve=config.reserve_depth,
            standstill=timedelta(seconds=config.standstill_seconds),
        )
        self.metrics = Metrics()
        self.queue = WorkQueue(
            monotonic, passing=(Conflict, Unavailable), observe=self.metrics.looked
        )
        self.health = Health(self.queue, self.metrics.registry)
        self.metrics.show(self.queue, self.caches, self.capacity, self.health)

    async def run(self) -> None:
        """Stand by, lead, stop. Returns when told to stop, or when the Lease was lost."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        server = await self._serve()
        cluster = await Cluster.connect(self._kubeconfig)
        self.metrics.show_writes(cluster)
        try:
            if not await self._unless_stopped(self._installation(cluster)):
                return
            lease = Lease(cluster, self._lease_settings(), self._clock, self._monotonic)
            if await self._unless_stopped(lease.acquire()):
                self.health.leading = True
                holding = asyncio.create_task(lease.hold(), name="lease")
                holding.add_done_callback(lambda _: self._stop.set())
                await self._lead(cluster, lease)
                holding.cancel()
                await lease.release()
        finally:
            await cluster.close()
            await server.cleanup()

    async def _lead(self, cluster: Cluster, lease: Lease) -> None:
        network = _network(self._config.network_policy)
        events = Events(cluster, self._clock, self._identity)
        executor = Executor(cluster, network, lambda: lease.held, self._owner, events)
        sources = SourceChecker()
        sources.start()
        pools = self._pools(executor)
        worker = self._worker(cluster, executor, sources, pools)
        failing = Failing(cluster, executor, self.caches, pools, self._pod_settings(), self._clock)
        sweep = Sweep(
            cluster,
            self.caches,
            self.queue,
            self.health,
            self._clock,
            self._config.sweep_seconds,
            failed=self.metrics.failed,
        )
        tasks = [
            asyncio.create_task(self._work(worker, sweep, failing), name="workers"),
            asyncio.create_task(self._apply_runtime(cluster), name="runtime"),
            asyncio.create_task(sweep.run(), name="sweep"),
            asyncio.create_task(events.run(), name="events"),
        ]
        tasks.append(asyncio.create_task(self._dismiss(tuple(tasks)), name="stop"))
        registry = kopf.OperatorRegistry()
        Handlers(self.caches, self.capacity, self.queue, self._clock).register(
            registry, kubeconfig=self._kubeconfig is not None
        )
        try:
            await kopf.operator(
                registry=registry,
                settings=settings(),
                standalone=True,
                clusterwide=True,
                # Else kopf asks for the name of a user that a container doesn't have.
                identity=cast("Any", self._identity),
                stop_flag=self._stop,
            )
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            sources.close()

    def _pools(self, executor: Executor) -> Pools:
        pools = Pools(
            executor,
            self.caches,
            self.capacity,
            self.queue,
            self._pod_settings(),
            self.metrics,
            self._clock,
            new_suffix,
            network_enabled=self._config.network_policy.enabled,
        )
        self.metrics.show_pools(pools.counts)
        return pools

    def _worker(
        self, cluster: Cluster, executor: Executor, sources: SourceChecker, pools: Pools
    ) -> Worker:
        """The worker, and what it asks."""
        resolver = Resolver(cluster, self.caches, sources, self._config.depth_limit)
        pipelines = PipelineWorker(
            cluster, executor, self.caches, self.queue, sources, resolver, pools, self._clock
        )
        return Worker(
            cluster,
            executor,
            self.caches,
            self.capacity,
            self.queue,
            resolver,
            pipelines,
            pools,
            self._pod_settings(),
            self.metrics,
            self._clock,
            network_enabled=self._config.network_policy.enabled,
            horizon_seconds=self._config.sweep_seconds,
        )

    async def _work(self, worker: Worker, sweep: Sweep, failing: Failing) -> None:
        await sweep.pods_listed.wait()
        await self.queue.run(worker.look, self._config.workers, failing.failed)

    async def _dismiss(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """End the workers as soon as this process does not lead any more: kopf takes its time."""
        await self._stop.wait()
        for task in tasks:
            task.cancel()

    async def _unless_stopped(self, waiting: Coroutine[Any, Any, None]) -> bool:
        task = asyncio.create_task(waiting)
        stop = asyncio.create_task(self._stop.wait())
        done, pending = await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        for each in pending:
            each.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await each
        return task in done

    async def _serve(self) -> web.AppRunner:
        runner = web.AppRunner(self.health.app(), access_log=None)
        await runner.setup()
        await web.SockSite(runner, listening(EVERY, self._config.listen_port)).start()
        return runner

    async def _apply_runtime(self, cluster: Cluster) -> None:
        """Apply the chart's default PipelineRuntime: Helm can't install an object with its CRD."""
        if self._config.runtime_file is None:
            return
        body = json.loads(await asyncio.to_thread(Path(self._config.runtime_file).read_text))
        if self._owner is not None:
            body["metadata"]["ownerReferences"] = [self._owner]
        while True:
            try:
                await cluster.apply(RUNTIMES, None, body, MANAGER)
            except KubeError as error:
                logger.warning("default PipelineRuntime: %s", error)
                await asyncio.sleep(5)
            else:
                return

    async def _installation(self, cluster: Cluster) -> None:
        """The controller's ClusterRole, as the owner of objects that an uninstall deletes."""
        name = self._config.owner_cluster_role
        while name is not None and self._owner is None:
            try:
                role = await cluster.get(CLUSTER_ROLES, None, name)
            except KubeError as error:
                logger.warning("ClusterRole %s: %s", name, error)
                await asyncio.sleep(OWNER_RETRY_SECONDS)
                continue
            self._owner = {
                "apiVersion": CLUSTER_ROLES.api_version,
                "kind": "ClusterRole",
                "name": name,
                "uid": role["metadata"]["uid"],
            }

    def _pod_settings(self) -> PodSettings:
        file = self._config.ca_file
        pem = Path(file).read_text(encoding="utf-8") if file else None
        return PodSettings(
            self._config.gateway_url,
            pem,
            self._config.pod_image_pull_policy,
            fetch_allow=tuple(str(each) for each in self._config.network_policy.allowed),
            set_ids=self._config.pod_set_ids,
        )

    def _lease_settings(self) -> LeaseSettings:
        return LeaseSettings(
            self._namespace,
            self._config.lease_name,
            self._identity,
            self._config.lease_seconds,
            owner=self._owner,
        )


def _network(config: NetworkConfig) -> NetworkSettings:
    return NetworkSettings(
        gateway_namespace=config.gateway_namespace,
        gateway_labels=config.gateway_pod_labels,
        gateway_port=config.gateway_port,
        internet=config.internet,
        dns_namespace=config.dns_namespace,
        dns_ports=config.dns_ports,
        dns_cidrs=tuple(str(each) for each in config.dns_cidrs),
        denied=tuple(str(each) for each in config.denied),
        allowed=tuple(str(each) for each in config.allowed),
        extra_egress=config.extra_egress,
    )
