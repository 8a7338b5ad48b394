"""Creates runs of Pipelines: PipelineRun objects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from mayfly.api.v1alpha1 import Pipeline
from mayfly.api.v1alpha1.identity import run_id
from mayfly.api.v1alpha1.names import (
    CANCEL_AFTER,
    CREATED_BY,
    CREATED_BY_LENGTH,
    DEPTH_LABEL,
    PARENT_LABEL,
    PIPELINE_LABEL,
    ROOT_LABEL,
    VERSION_LABEL,
)
from mayfly.api.v1alpha1.resource import API_VERSION
from mayfly.clock import Clock, rfc3339
from mayfly.database.engine import Database, StorageError
from mayfly.gateway.cache.directory import Directory
from mayfly.gateway.cache.runs import Runs, Seen
from mayfly.gateway.files.store import Files
from mayfly.gateway.http.errors import Busy, Forbidden, Invalid, Missing
from mayfly.gateway.predictions import idempotency
from mayfly.gateway.predictions.create import Callee, Order, Plan
from mayfly.gateway.predictions.idempotency import Created, Fingerprint
from mayfly.gateway.predictions.snapshots import Snapshot, Snapshots
from mayfly.gateway.secrets.sealed import Concealed, Sealed
from mayfly.kube.client import Cluster, find_object
from mayfly.kube.errors import Conflict, NotFound, Refused, Unavailable
from mayfly.kube.kinds import RUNS
from mayfly.reconcile.lineage import child_depth, too_deep
from mayfly_runtime.spec import strict_json

logger = logging.getLogger(__name__)

Json = dict[str, Any]

INLINE_BYTES = 16 * 1024
"""Larger inputs are stored as a file that the object names."""

COMMIT_SECONDS = 5.0
"""After this time a create is done, or was not done: clients time out after a minute."""

SETTLE_SECONDS = 3.0
"""How long a create waits for the version of a Pipeline that was just written."""

SUFFIX = 10


class RunMaker:
    """Creates runs of Pipelines."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        database: Database,
        runs: Runs,
        files: Files,
        directory: Directory,
        sealed: Sealed,
        snapshots: Snapshots,
        depth_limit: int,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._cluster = cluster
        self._database = database
        self._runs = runs
        self._files = files
        self._directory = directory
        self._sealed = sealed
        self._snapshots = snapshots
        self._depth_limit = depth_limit
        self._clock = clock
        self._new_id = new_id

    async def callee(self, order: Order) -> Callee:
        """Resolve the Pipeline, read now, and the version to run.

        Raises:
            Missing: there is no such version.
            Invalid: the pipeline can't be run, or the run would be too deep in its tree.
            Busy: the pipeline has no version yet.
        """
        parent, target = order.caller.run, order.target
        if parent is not None:
            words = too_deep(child_depth(parent.run), self._depth_limit, "call")
            if words:
                raise Invalid(words)
        entry = target.entry
        if not entry.settled:
            settled = await self._directory.settled(entry.namespace, entry.name, SETTLE_SECONDS)
            entry = settled or entry
        wanted = target.version or entry.latest_version
        if target.version is None and entry.problem:
            raise Invalid(f'Pipeline "{target.called}" can\'t be run: {entry.problem}')
        version = self._directory.version(wanted) if wanted else None
        if version is None or version.key != (entry.namespace, entry.name):
            if target.version:
                raise Missing(f'"{target.called}" has no version "{target.version[:64]}".')
            raise Busy(f'Pipeline "{target.called}" is being read; try again in a moment.')
        return Callee(entry, version.id, version.schema)

    async def make(self, plan: Plan, known: Fingerprint) -> Snapshot:
        """Create the PipelineRun, after its name was stored for retries.

        Raises:
            MadeBefore: the create repeats one that is remembered.
            Forbidden, Invalid, Missing: the API server refuses it; the run is nowhere.
            Busy: the API server does not answer; nothing was made, or a repeat will find it.
        """
        namespace = plan.order.namespace
        name = plan.name or f"{plan.callee.entry.name[:52]}-{self._new_id()[-SUFFIX:]}"
        async with self._database.write() as tx:
            await idempotency.remember(tx, known, Created(namespace, name), self._clock())
        body = {
            "apiVersion": API_VERSION,
            "kind": "PipelineRun",
            "metadata": self._metadata(plan, name),
            "spec": await self._spec(plan),
        }
        seen = Seen(await self._sealed_and_created(body, plan.given))
        self._runs.add(seen)
        return self._snapshots.of_new_run(seen)

    async def recall(self, made: Created) -> Snapshot | None:
        """The prediction that an earlier create made; None if there is no such run any more.

        Raises:
            KubeError: the API server could not be asked.
        """
        body = await find_object(self._cluster, RUNS, made.namespace, made.name)
        return None if body is None else await self._snapshots.of_run(Seen(body))

    def _metadata(self, plan: Plan, name: str) -> Json:
        labels = {
            PIPELINE_LABEL: plan.callee.entry.name,
            VERSION_LABEL: plan.callee.version[:10],
            DEPTH_LABEL: "1",
        }
        metadata: Json = {"name": name, "namespace": plan.order.namespace, "labels": labels}
        annotations: Json = {}
        if plan.order.request.cancel_after is not None:
            deadline = self._clock() + timedelta(seconds=plan.order.request.cancel_after)
            annotations[CANCEL_AFTER] = rfc3339(deadline)
        if plan.order.caller.user is not None:
            annotations[CREATED_BY] = plan.order.caller.user.name[:CREATED_BY_LENGTH]
        if annotations:
            metadata["annotations"] = annotations
        parent = plan.order.caller.run
        if parent is not None:
            labels |= {
                ROOT_LABEL: run_id(self._runs.tree_of(parent)),
                PARENT_LABEL: run_id(parent.uid),
                DEPTH_LABEL: str(child_depth(parent.run)),
            }
            owner = {"apiVersion": API_VERSION, "kind": "PipelineRun", **_reference(parent)}
            metadata["ownerReferences"] = [owner]
        return metadata

    async def _spec(self, plan: Plan) -> Json:
        entry, namespace, request = plan.callee.entry, plan.order.namespace, plan.order.request
        reference: Json = {"name": entry.name, "version": plan.callee.version}
        if entry.namespace != namespace:
            reference["namespace"] = entry.namespace
        spec: Json = {"pipelineRef": reference}
        spec |= await self._input(namespace, plan.given.input_json)
        pipeline = entry.typed
        if isinstance(pipeline, Pipeline) and pipeline.spec.timeout:
            spec["timeout"] = pipeline.spec.timeout
        if request.webhook:
            spec["webhook"] = {"url": request.webhook, "events": list(request.events)}
        if request.budget:
            spec["budget"] = request.budget
        if plan.order.caller.run is not None:
            spec["parentRef"] = _reference(plan.order.caller.run)
        return spec

    async def _input(self, namespace: str, text: str) -> Json:
        if strict_json.size(text) <= INLINE_BYTES:
            return {"inputJSON": text}
        stored = await self._files.put_text(text, namespace=namespace)
        return {"inputFrom": {"file": stored.reference, "sha256": stored.sha256}}

    async def _sealed_and_created(self, body: Json, given: Concealed) -> Json:
        """Create the run; its secrets are stored before, and sealed for its UID afterwards."""
        if not given.texts:
            return await self._created(body)
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        async with self._database.write() as tx:
            await self._sealed.keep_for_run(tx, given, namespace, name, body["spec"])
        try:
            made = await self._created(body)
        except (Forbidden, Invalid, Missing):
            # Only its own: another gateway may be creating the same run.
            await self._sealed.forget_unmade(namespace, name, given.texts)
            raise
        try:
            await self._sealed.bind(made["metadata"]["uid"], namespace, name, made["spec"])
        except StorageError as error:
            logger.warning("a run's secrets are sealed later: %s", error)
        return made

    async def _created(self, body: Json) -> Json:
        """Create the object; if the answer is lost, read the object by its name."""
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        last: Exception | None = None
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                while True:
                    try:
                        return await self._cluster.create(RUNS, namespace, body)
                    except Conflict:
                        return await self._cluster.get(RUNS, namespace, name)
                    except Unavailable as error:
                        last = error
                        await asyncio.sleep(0.2)
        except Refused as error:
            raise _refused(error) from error
        except NotFound as error:
            raise Missing(f'There is no namespace "{namespace}".') from error
        except TimeoutError:
            raise Busy("The Kubernetes API does not answer; try again.") from last


def _reference(parent: Seen) -> Json:
    _, name = parent.key
    return {"name": name, "uid": parent.uid}


def _refused(error: Refused) -> Exception:
    if error.status == 403:
        return Forbidden(f"The cluster refuses the run: {error.message}")
    return Invalid(f"The cluster refuses the run: {error.message}")
