"""Reconciles Pipelines and PipelineRuntimes: gather, plan, execute. Tells of Models."""

from __future__ import annotations

import logging

from mayfly.api.v1alpha1 import Model, Pipeline, PipelineRuntime, PipelineVersion
from mayfly.api.v1alpha1.names import PIPELINE_LABEL
from mayfly.clock import Clock
from mayfly.controller.caches import Caches
from mayfly.controller.execute import Executor, may_pass
from mayfly.controller.key import Key
from mayfly.controller.pools import Pools
from mayfly.controller.resolve import Resolver
from mayfly.kube.client import Cluster, Json, find_object
from mayfly.kube.errors import Conflict, KubeError, Refused, Unavailable
from mayfly.kube.kinds import MODELS, PIPELINES, RUNTIMES, VERSIONS
from mayfly.reconcile.actions import Action
from mayfly.reconcile.events import not_ready
from mayfly.reconcile.observed import ObservedPipeline
from mayfly.reconcile.pipeline import plan_pipeline
from mayfly.reconcile.runtime import plan_runtime
from mayfly.source_check.checker import SourceChecker
from mayfly.workqueue import WorkQueue

logger = logging.getLogger(__name__)


class PipelineWorker:
    """Reconciles one Pipeline or PipelineRuntime at a time, by its key."""

    def __init__(
        self,
        cluster: Cluster,
        executor: Executor,
        caches: Caches,
        queue: WorkQueue[Key],
        sources: SourceChecker,
        resolver: Resolver,
        pools: Pools,
        clock: Clock,
    ) -> None:
        self._cluster = cluster
        self._executor = executor
        self._caches = caches
        self._queue = queue
        self._sources = sources
        self._resolver = resolver
        self._pools = pools
        self._generations: dict[str, tuple[str, int | None]] = {}
        self._clock = clock

    async def look_at_pipeline(self, key: Key) -> None:
        """Reconcile a Pipeline: its versions, its status, and the runs that wait for it."""
        body = await find_object(self._cluster, PIPELINES, key.namespace, key.name)
        if body is None:
            self._caches.pipelines.pop((key.namespace, key.name), None)
            self._release_dependents(key)
            return
        pipeline = Pipeline.model_validate(body)
        spec = pipeline.spec
        seen = ObservedPipeline(
            pipeline=pipeline,
            now=self._clock(),
            runtime=await self._resolver.runtime(spec.runtime),
            schema=await self._sources.schema(spec.source.texts(), spec.entrypoint),
            versions=await self._versions(key),
            used=self._used_versions(),
            model=await self._model(key),
        )
        plan = plan_pipeline(seen)
        for action in plan.actions:
            left = await self._execute(key, action)
            if left is not None and left.get("kind") == "Pipeline":
                self._caches.pipelines[key.namespace, key.name] = left
        self._executor.tell(plan.events)
        self._release_dependents(key)

    async def _execute(self, key: Key, action: Action) -> Json | None:
        try:
            return await self._executor.execute(action)
        except Unavailable as error:
            if may_pass(error, self._queue.failures(key)):
                raise
            # Such as an admission webhook without its service: the Pipeline is to say so.
            raise Refused(error.status, error.message) from error

    async def _model(self, key: Key) -> Model | None:
        body = await find_object(self._cluster, MODELS, key.namespace, key.name)
        return None if body is None else Model.model_validate(body)

    async def look_at_model(self, key: Key) -> None:
        """Tell of a Model that is not ready; its status is the gateway's."""
        model = await self._model(key)
        if model is not None:
            self._executor.tell(not_ready(model, model.status.conditions))

    def _release_dependents(self, key: Key) -> None:
        for run in self._caches.dependents.pop((key.namespace, key.name), set()):
            self._queue.add(run)

    async def _versions(self, key: Key) -> tuple[PipelineVersion, ...]:
        found: list[PipelineVersion] = []
        label = f"{PIPELINE_LABEL}={key.name}"
        async for page in self._cluster.pages(VERSIONS, key.namespace, label_selector=label):
            found += [PipelineVersion.model_validate(each) for each in page["items"]]
        return tuple(found)

    def _used_versions(self) -> frozenset[str]:
        used: set[str] = set()
        for body in self._caches.runs.values():
            ref = body["spec"].get("pipelineRef") or {}
            used |= {body.get("status", {}).get("version", ""), ref.get("version", "")}
        return frozenset(used - {""})

    async def look_at_runtime(self, key: Key) -> None:
        """Reconcile a PipelineRuntime, and queue the Pipelines that use it."""
        body = await find_object(self._cluster, RUNTIMES, None, key.name)
        if body is None:
            self._caches.runtimes.pop(key.name, None)
            self._generations.pop(key.name, None)
            return
        runtime = PipelineRuntime.model_validate(body)
        warm, short = self._pools.status(key.name), self._pools.short(key.name)
        plan = plan_runtime(runtime, self._clock(), warm, short)
        for action in plan.actions:
            try:
                await self._executor.execute(action)
            except KubeError as error:
                if isinstance(error, Conflict):
                    raise
                logger.warning("runtime %s: %s", key.name, error)
        self._executor.tell(plan.events)
        generation = (runtime.metadata.uid, runtime.metadata.generation)
        if self._generations.get(key.name) == generation:
            return  # only its pools have changed
        self._generations[key.name] = generation
        for pipeline in list(self._caches.pipelines):
            if self._caches.pipelines[pipeline]["spec"].get("runtime", "default") == key.name:
                self._queue.add(Key("pipeline", *pipeline))
