"""Resolves a run's references: its version, runtime, input and place in its tree."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from mayfly.api.v1alpha1 import (
    Pipeline,
    PipelineRun,
    PipelineRuntime,
    Reason,
    Source,
)
from mayfly.api.v1alpha1.conditions import ConditionType, find, is_true
from mayfly.api.v1alpha1.identity import run_id, version_id, version_name
from mayfly.api.v1alpha1.names import PIPELINE_LABEL, ROOT_LABEL, UNFINISHED
from mayfly.api.v1alpha1.pipelinerun import DEFAULT_TIMEOUT
from mayfly.api.v1alpha1.source import MAX_BYTES
from mayfly.controller.caches import Caches
from mayfly.controller.key import Key
from mayfly.kube.client import Cluster, find_object
from mayfly.kube.kinds import PIPELINES, RUNS, RUNTIMES, VERSIONS
from mayfly.reconcile.lineage import Lineage, lineage
from mayfly.reconcile.observed import (
    Place,
    Refusal,
    SourceProblem,
    Target,
    Unsettled,
)
from mayfly.reconcile.runtime import is_pinned
from mayfly.reconcile.visibility import not_callable
from mayfly.source_check.checker import SourceChecker
from mayfly_runtime.spec import strict_json
from mayfly_runtime.spec.inputs import parse

Json = dict[str, Any]


REMEMBERED_VERSIONS = 256


@dataclass(frozen=True)
class _Version:
    """The parts of a PipelineVersion that a run needs here; not its source."""

    id: str
    runtime: str
    schema: Json


@dataclass(frozen=True)
class References:
    """What a run names, as it is now: all of its target but the place in its tree."""

    version: str
    runtime: PipelineRuntime
    pipeline: str
    timeout: str

    def at(self, place: Place) -> Target:
        """The target of a run at this place."""
        return Target(
            self.version,
            self.runtime,
            place.depth,
            place.root,
            self.pipeline,
            timeout=self.timeout,
            root_id=place.root_id,
            parent_id=place.parent_id,
        )


class _Stop(Exception):
    """Ends a resolution early with its result."""

    def __init__(self, result: Refusal | Unsettled) -> None:
        super().__init__(result)
        self.result = result


class Resolver:
    """Resolves and checks a run's references before any pod is used."""

    def __init__(
        self, cluster: Cluster, caches: Caches, sources: SourceChecker, depth_limit: int
    ) -> None:
        self._cluster = cluster
        self._caches = caches
        self._sources = sources
        self._depth_limit = depth_limit
        self._versions: OrderedDict[str, _Version] = OrderedDict()

    async def lineage(self, run: PipelineRun) -> Lineage:
        """The run's place in its tree, by its parent's state.

        An unfinished parent is in the cache. Its cancel counts from the moment at which this
        controller writes that claims have stopped, and that write is in the cache at once.

        Raises:
            KubeError: the API server could not be asked.
        """
        ref, namespace = run.spec.parent_ref, run.metadata.namespace or ""
        body: Json | None = None
        if ref is not None:
            body = self._caches.runs.get(Key("run", namespace, ref.name))
            if body is None or body["metadata"]["uid"] != ref.uid:
                body = await find_object(self._cluster, RUNS, namespace, ref.name)
        parent = None if body is None else PipelineRun.model_validate(body)
        return lineage(run, parent, self._depth_limit)

    async def resolve(self, key: Key, run: PipelineRun) -> References | Refusal | Unsettled:
        """What a run names, a refusal with a sentence, or "not yet".

        Raises:
            KubeError: the API server could not be asked.
        """
        try:
            if run.spec.pipeline_spec is not None:
                template = run.spec.pipeline_spec
                runtime = await self._pinned(template.runtime)
                schema = await self._schema(template.source, template.entrypoint)
                version = version_id("", template.source, template.entrypoint, runtime.spec.image)
                pipeline, timeout = "", None
            else:
                found, timeout = await self._version(key, run)
                runtime = await self._pinned(found.runtime)
                schema, version = found.schema, found.id
                pipeline = run.spec.pipeline_ref.name if run.spec.pipeline_ref else ""
            await self._check_input(run, schema)
        except _Stop as stop:
            return stop.result
        return References(
            version, runtime, pipeline, run.spec.timeout or timeout or DEFAULT_TIMEOUT
        )

    async def runtime(self, name: str) -> PipelineRuntime | None:
        """A runtime; read from the API server if not cached, as the watch may be starting.

        Raises:
            KubeError: the API server could not be asked.
        """
        cached = self._caches.runtimes.get(name)
        body = cached or await find_object(self._cluster, RUNTIMES, None, name)
        return None if body is None else PipelineRuntime.model_validate(body)

    async def _pinned(self, name: str) -> PipelineRuntime:
        runtime = await self.runtime(name)
        if runtime is None:
            words = f'There is no PipelineRuntime "{name}"; `kubectl get mprt` lists them.'
            raise _Stop(Refusal(Reason.NOT_FOUND, words))
        if not is_pinned(runtime):
            words = f'PipelineRuntime "{name}" names its image without a digest (name@sha256:…).'
            raise _Stop(Refusal(Reason.NOT_PINNED, words))
        return runtime

    async def _schema(self, source: Source, entrypoint: str) -> Json:
        schema = await self._sources.schema(source.texts(), entrypoint)
        if isinstance(schema, SourceProblem):
            raise _Stop(Refusal(Reason.INVALID_SOURCE, schema.message))
        return schema

    async def _version(self, key: Key, run: PipelineRun) -> tuple[_Version, str | None]:
        """The version to run, and the Pipeline's timeout."""
        ref = run.spec.pipeline_ref
        assert ref is not None, "the CRD wants pipelineRef or pipelineSpec"  # noqa: S101
        namespace = ref.namespace or run.metadata.namespace or ""
        pipeline = await self._pipeline(namespace, ref.name, live=ref.version is None)
        words = not_callable(pipeline, run.metadata.namespace)
        if words:
            raise _Stop(Refusal(Reason.FORBIDDEN, words))
        wanted = ref.version or self._latest(key, namespace, pipeline)
        found = self._remembered(wanted) if wanted == pipeline.status.latest_version else None
        if found is None:
            found = await self._read_version(namespace, ref.name, wanted)
        return found, pipeline.spec.timeout

    def _remembered(self, version: str) -> _Version | None:
        """A version that was read before; it never changes: its id is a hash of its content.

        Only the latest version is taken from the cache: others may have been removed by the history
        limit.
        """
        if version in self._versions:
            self._versions.move_to_end(version)
        return self._versions.get(version)

    async def _read_version(self, namespace: str, pipeline: str, wanted: str) -> _Version:
        name = version_name(pipeline, wanted)
        body = await find_object(self._cluster, VERSIONS, namespace, name)
        if body is None or body["spec"]["id"] != wanted:
            words = (
                f'Pipeline "{pipeline}" has no version {wanted}; '
                f"`kubectl get mplv -l {PIPELINE_LABEL}={pipeline}` lists them."
            )
            raise _Stop(Refusal(Reason.NOT_FOUND, words))
        spec = body["spec"]
        self._versions[wanted] = _Version(wanted, spec["runtime"], spec.get("openapiSchema") or {})
        while len(self._versions) > REMEMBERED_VERSIONS:
            self._versions.popitem(last=False)
        return self._versions[wanted]

    async def _pipeline(self, namespace: str, name: str, *, live: bool) -> Pipeline:
        """The Pipeline; without its source if it is from the cache.

        Args:
            namespace: where it is.
            name: its name.
            live: for a run that names no version: the cache may lag behind the edit that the run
                was made for. Runs of the HTTP API name theirs.
        """
        cached = None if live else self._caches.pipelines.get((namespace, name))
        body = cached or await find_object(self._cluster, PIPELINES, namespace, name)
        if body is None:
            words = f'There is no Pipeline "{name}" in namespace {namespace}; `kubectl get mpl -n '
            raise _Stop(Refusal(Reason.NOT_FOUND, f"{words}{namespace}` lists them."))
        return Pipeline.model_validate(body)

    def _latest(self, key: Key, namespace: str, pipeline: Pipeline) -> str:
        """The version of the current spec, not of the spec before the last edit."""
        name = pipeline.metadata.name
        if pipeline.status.observed_generation != pipeline.metadata.generation:
            self._caches.dependents.setdefault((namespace, name), set()).add(key)
            raise _Stop(Unsettled(f'Pipeline "{name}" is being read.', seconds=2.0))
        ready = find(pipeline.status.conditions, ConditionType.READY)
        if not is_true(pipeline.status.conditions, ConditionType.READY):
            words = ready.message if ready else "it has no version yet"
            told = ready is not None and ready.reason in {Reason.NOT_FOUND, Reason.NAME_CONFLICT}
            reason = Reason(ready.reason) if ready and told else Reason.INVALID_SOURCE
            raise _Stop(Refusal(reason, f'Pipeline "{name}": {words}'))
        return pipeline.status.latest_version or ""

    async def _check_input(self, run: PipelineRun, schema: Json) -> None:
        if run.spec.input_from is not None:
            return  # the gateway checked it when it took it
        value: Any = run.spec.input or {}
        if run.spec.input_json is not None:
            try:
                value = parse(run.spec.input_json)
            except ValueError as error:
                raise _Stop(Refusal(Reason.INVALID_INPUT, f"spec.inputJSON: {error}")) from None
            if not isinstance(value, dict):
                words = "spec.inputJSON is not a JSON object: {…}"
                raise _Stop(Refusal(Reason.INVALID_INPUT, words))
        elif _size(value) > MAX_BYTES:
            words = "spec.input is larger than 128 KiB; send larger input through the HTTP API"
            raise _Stop(Refusal(Reason.INVALID_INPUT, words))
        problems = await self._sources.input_problems(schema, value)
        if problems:
            raise _Stop(Refusal(Reason.INVALID_INPUT, "; ".join(problems)[:4000]))


def _size(value: Json) -> int:
    """The size of an input as JSON in UTF-8; a lone surrogate counts as its escape."""
    return strict_json.size(strict_json.dump(value))


async def tree_finished(cluster: Cluster, root: PipelineRun) -> bool:
    """Whether every run below a finished root has ended and is recorded.

    A run that was not reconciled yet has no rootRef in its status, but every run has the label from
    its creation. A label may be removed by hand; the field can't be. So either is sufficient.

    Raises:
        KubeError: the API server could not be asked.
    """
    namespace = root.metadata.namespace
    label = f"{ROOT_LABEL}={run_id(root.metadata.uid)}"
    page = await cluster.list(
        RUNS, namespace, label_selector=label, field_selector=UNFINISHED, limit=1
    )
    if page.get("items"):
        return False
    field = f"status.rootRef.uid={root.metadata.uid},{UNFINISHED}"
    page = await cluster.list(RUNS, namespace, field_selector=field, limit=1)
    return not page.get("items")
