"""Cache of PipelineVersions and PipelineRuntimes: source, schema, image digest, prices.

Versions never change, so they are cached for a long time. A runtime's price may be edited, so it is
cached for seconds only.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any

from mayfly.api.v1alpha1 import PipelineRun, PipelineRuntime, PipelineVersion
from mayfly.api.v1alpha1.identity import version_name
from mayfly.clock import Monotonic
from mayfly.gateway.cache.ttl import Cache
from mayfly.kube.client import Cluster
from mayfly.kube.errors import NotFound
from mayfly.kube.kinds import RUNTIMES, VERSIONS
from mayfly.reconcile.observed import SourceProblem
from mayfly.source_check.checker import SourceChecker

logger = logging.getLogger(__name__)

VERSION_SECONDS = 3600.0
VERSIONS_KEPT = 256
RUNTIME_SECONDS = 10.0


@dataclass(frozen=True)
class Program:
    """Source, entrypoint and schema that an agent loads."""

    files: dict[str, str]
    entrypoint: str
    schema: dict[str, Any]


@dataclass(frozen=True)
class Terms:
    """Image digest and prices of a run, pinned when its work is sent.

    Attributes:
        runtime_digest: the image's digest; "" if unknown.
        prices: JSON text of the price list.
    """

    runtime_digest: str = ""
    prices: str = "[]"


class Programs:
    """Read-through cache of PipelineVersions and PipelineRuntimes."""

    def __init__(self, cluster: Cluster, sources: SourceChecker, monotonic: Monotonic) -> None:
        self._cluster = cluster
        self._sources = sources
        self._versions: Cache[tuple[str, str], PipelineVersion] = Cache(
            seconds=VERSION_SECONDS, size=VERSIONS_KEPT, monotonic=monotonic
        )
        self._runtimes: Cache[str, PipelineRuntime] = Cache(
            seconds=RUNTIME_SECONDS, size=64, monotonic=monotonic
        )
        self._every: Cache[None, dict[str, PipelineRuntime]] = Cache(
            seconds=RUNTIME_SECONDS, size=1, monotonic=monotonic
        )

    async def program(self, run: PipelineRun) -> Program:
        """The source, entrypoint and schema of a claimed run.

        Raises:
            NotFound: its version was deleted.
        """
        own = run.spec.pipeline_spec
        if own is not None:
            files = own.source.texts()
            schema = await self._sources.schema(files, own.entrypoint)
            # The controller refuses a source that can't be read before it claims a pod. If the
            # checker was too slow here, the agent loads the source without that second check.
            known = {} if isinstance(schema, SourceProblem) else schema
            return Program(files, own.entrypoint, known)
        version = await self._version(run)
        spec = version.spec
        return Program(spec.source.texts(), spec.entrypoint, spec.openapi_schema)

    async def terms(self, run: PipelineRun) -> Terms:
        """The image digest and price of a claimed run; without a runtime there is no price."""
        try:
            own = run.spec.pipeline_spec
            if own is not None:
                runtime = await self._runtime(own.runtime)
                return Terms(runtime.spec.image, _prices(runtime))
            version = (await self._version(run)).spec
            return Terms(version.runtime_digest, _prices(await self._runtime(version.runtime)))
        except NotFound as error:
            logger.warning("a run has no price: %s", error, extra={"run": list(run.key)})
            return Terms()

    async def packages(self, runtime: str) -> tuple[str, ...] | None:
        """The packages of a runtime, each `name==version`; None if there is no such runtime."""
        found = (await self._listed()).get(runtime)
        return None if found is None else found.spec.packages

    async def runtimes(self) -> list[str]:
        """The names of all runtimes, sorted."""
        return sorted(await self._listed())

    async def every_runtime(self) -> list[PipelineRuntime]:
        """All runtimes, by name; at most some seconds old."""
        listed = await self._listed()
        return [listed[name] for name in sorted(listed)]

    async def _listed(self) -> dict[str, PipelineRuntime]:
        # All at once: this is for anyone who asks, and must not lead to a read for each name that
        # somebody makes up.
        known = self._every.get(None)
        if known is None:
            listed = (await self._cluster.list(RUNTIMES))["items"]
            runtimes = [PipelineRuntime.model_validate(body) for body in listed]
            known = {found.metadata.name: found for found in runtimes}
            self._every.put(None, known)
        return known

    async def _version(self, run: PipelineRun) -> PipelineVersion:
        reference = run.spec.pipeline_ref
        identity = run.status.version
        if reference is None or identity is None:
            raise NotFound(404, "the run names no version")
        namespace = reference.namespace or run.metadata.namespace or ""
        known = self._versions.get((namespace, identity))
        if known is None:
            name = version_name(reference.name, identity)
            known = PipelineVersion.model_validate(
                await self._cluster.get(VERSIONS, namespace, name)
            )
            if known.spec.id != identity:
                raise NotFound(404, f"PipelineVersion {name} is another version")
            self._versions.put((namespace, identity), known)
        return known

    async def _runtime(self, name: str) -> PipelineRuntime:
        known = self._runtimes.get(name)
        if known is None:
            known = PipelineRuntime.model_validate(await self._cluster.get(RUNTIMES, None, name))
            self._runtimes.put(name, known)
        return known


def _prices(runtime: PipelineRuntime) -> str:
    return json.dumps([price.body() for price in runtime.spec.price])
