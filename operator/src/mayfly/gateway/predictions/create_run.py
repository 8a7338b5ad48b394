"""Makes predictions: a call of a Pipeline becomes a PipelineRun, a call of a Model a queued row.

Everything that can be wrong is found before anything is made, and told as a problem that names
the field. What is made is made once, also when the client or the API server loses an answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from mayfly.api.v1alpha1 import Pipeline
from mayfly.api.v1alpha1.conditions import ConditionType, find
from mayfly.api.v1alpha1.identity import run_id
from mayfly.api.v1alpha1.names import (
    CANCEL_AFTER,
    DEPTH_LABEL,
    PARENT_LABEL,
    PIPELINE_LABEL,
    ROOT_LABEL,
    VERSION_LABEL,
)
from mayfly.api.v1alpha1.resource import API_VERSION
from mayfly.clock import Clock, rfc3339
from mayfly.config import GatewayConfig
from mayfly.database.engine import Database, StorageError
from mayfly.gateway.access.callers import CANCELLED_RUN, Caller, Callers
from mayfly.gateway.cache.directory import Directory, Entry, PipelineVersionEntry
from mayfly.gateway.cache.runs import Runs, Seen
from mayfly.gateway.files.links import FileLinks
from mayfly.gateway.files.store import Files
from mayfly.gateway.http.errors import Busy, Forbidden, Invalid, Missing, Refusal
from mayfly.gateway.lifecycle.notices import Notices
from mayfly.gateway.namespaces.budgets import Budgets
from mayfly.gateway.predictions import idempotency
from mayfly.gateway.predictions.idempotency import Created
from mayfly.gateway.predictions.request import CreateRequest
from mayfly.gateway.predictions.snapshots import Snapshot, Snapshots
from mayfly.gateway.secrets.sealed import Concealed, Sealed
from mayfly.kube.client import Cluster
from mayfly.kube.errors import Conflict, NotFound, Refused, Unavailable
from mayfly.kube.kinds import RUNS
from mayfly.metering import ledger
from mayfly.source_check import SourceChecker

logger = logging.getLogger(__name__)

Json = dict[str, Any]

INLINE_BYTES = 16 * 1024
"""Input above this is kept as a file, and the object names it."""

COMMIT_SECONDS = 5.0
"""A create is done by then, or was not: clients post again after a minute."""

STARTED_SECONDS = 8.0
"""How long a call may overtake the message that its run has started: seconds, on a busy machine.
Less than an import may take, so that who calls there is told why before that is over."""

SETTLE_SECONDS = 3.0
"""How long a call waits for a pipeline that was just written to get its version."""

SUFFIX = 10


@dataclass(frozen=True)
class Target:
    """What a create calls.

    Attributes:
        entry: the Pipeline or Model.
        version: the version that the caller pinned; None for the latest.
        called: the name by which the caller called it, owner/name.
    """

    entry: Entry
    version: str | None
    called: str


class RunCreator:
    """Checks a call and makes the prediction."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        database: Database,
        runs: Runs,
        files: Files,
        links: FileLinks,
        directory: Directory,
        budgets: Budgets,
        callers: Callers,
        sealed: Sealed,
        sources: SourceChecker,
        notices: Notices,
        snapshots: Snapshots,
        config: GatewayConfig,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._cluster = cluster
        self._database = database
        self._runs = runs
        self._files = files
        self._links = links
        self._directory = directory
        self._budgets = budgets
        self._callers = callers
        self._sealed = sealed
        self._sources = sources
        self._notices = notices
        self._snapshots = snapshots
        self._config = config
        self._clock = clock
        self._new_id = new_id

    # -- what is called --------------------------------------------------------------------------

    async def target(
        self, caller: Caller, *, owner: str = "", name: str = "", version: str | None = None
    ) -> Target:
        """What a create names: `owner/name`, with or without a version, or a version alone.

        Raises:
            Missing: there is no such thing, or the caller may not know of it.
            Invalid: nothing is named.
        """
        if version and "/" in version:
            named, _, version = version.partition(":")
            owner, _, name = named.partition("/")
        if not owner:
            if not version:
                raise Invalid('Name what to run: "version" is missing.', pointer="/version")
            return await self._by_version(caller, version)
        entry = await self._callers.entry(caller, owner, name)
        return Target(entry, version or None, f"{owner}/{name}")

    async def _by_version(self, caller: Caller, version: str) -> Target:
        found = self._directory.version(version)
        entry: Entry | None = None
        if found is not None:
            entry = self._directory.pipeline(*found.key)
        else:
            entry = self._directory.model_of_version(version)
        if entry is None or not await self._callers.sees(caller, entry):
            raise Missing(f'There is no version "{version[:64]}" that you may call.')
        return Target(entry, version, f"{entry.namespace}/{entry.name}")

    # -- a run of a Pipeline ---------------------------------------------------------------------

    async def run(
        self,
        caller: Caller,
        target: Target,
        order: CreateRequest,
        headers: Mapping[str, str],
        base: str,
    ) -> Snapshot:
        """Make the PipelineRun, or find the one that this same create made before.

        Args:
            caller: who calls.
            target: what.
            order: with what.
            headers: the request's.
            base: the caller's base URL: links to files of ours begin with it.

        Raises:
            Forbidden: the caller may not, or its run may create nothing (any more).
            BudgetReached: nothing more may be started.
            Invalid: the input or an option is wrong; the run is nowhere.
            Busy: the API server does not answer; nothing was made, or it will be found by a
                repeat.
        """
        namespace = caller.namespace or target.entry.namespace
        await self.permit(caller, namespace)
        known = idempotency.digest(
            headers, f"{namespace} {target.called} {target.version}", order.body
        )
        if idempotency.is_repeat(headers):
            before = await self._recall(known)
            if before is not None:
                return await self._snapshots.of_run(before)
        await self._budgets.require(namespace, caller.run)
        entry, version = await self._checked(target, namespace, order)
        concealed = self._sealed.conceal(version.schema, order.input, order.input_json)
        order = replace(order, input=concealed.input, input_json=concealed.input_json)
        order = await self.with_references(order, namespace, base)
        name = f"{entry.name[:52]}-{self._new_id()[-SUFFIX:]}"
        spec = await self._spec(entry, version, namespace, order)
        body = self._body(caller, entry, version, namespace, name, spec, order)
        async with self._database.write() as tx:
            await self._sealed.keep_for_run(tx, concealed, namespace, name, body["spec"])
            await idempotency.remember(tx, known, Created(namespace, name), self._clock())
        seen = Seen(await self._made(namespace, body, concealed))
        self._runs.add(seen)
        return self._snapshots.of_new_run(seen)

    async def _made(self, namespace: str, body: Json, concealed: Concealed) -> Json:
        """Create the run, and seal its secrets for it."""
        name = body["metadata"]["name"]
        try:
            made = await self._create(namespace, body)
        except (Forbidden, Invalid, Missing):
            if concealed.texts:
                await self._sealed.forget_unmade(namespace, name)
            raise
        if concealed.texts:
            try:
                await self._sealed.bind(made["metadata"]["uid"], namespace, name, made["spec"])
            except StorageError as error:
                logger.warning("a run's secrets are sealed later: %s", error)
        return made

    async def permit(self, caller: Caller, namespace: str) -> None:
        """Whether the caller may create predictions in a namespace now.

        Raises:
            Forbidden: it may not.
        """
        if caller.run is None:
            await self._callers.require(caller, "create", "pipelineruns", namespace)
            return
        run = caller.run.run
        if run.spec.cancel or find(run.status.conditions, ConditionType.CANCEL_ACCEPTED):
            raise Forbidden(CANCELLED_RUN)
        if not await self._has_started(caller.run):
            raise Forbidden(
                "Call models inside main(): while the source is imported, nothing can be started."
            )

    async def _has_started(self, seen: Seen) -> bool:
        """Whether main() was called; the word of it may be a moment behind its first call."""
        deadline = asyncio.get_running_loop().time() + STARTED_SECONDS
        with self._notices.subscribe(seen.uid) as news:
            while True:
                if seen.run.status.started:
                    return True
                async with self._database.read() as tx:
                    row = await ledger.find(tx, seen.uid)
                if row is not None and row.started_at is not None:
                    return True
                left = deadline - asyncio.get_running_loop().time()
                if left <= 0:
                    return False
                await news.wait(left)

    async def _recall(self, known: str) -> Seen | None:
        async with self._database.read() as tx:
            made = await idempotency.recall(tx, known, self._clock())
        if made is None:
            return None
        try:
            return Seen(await self._cluster.get(RUNS, made.namespace, made.name))
        except NotFound:
            return None

    async def _checked(
        self, target: Target, namespace: str, order: CreateRequest
    ) -> tuple[Entry, PipelineVersionEntry]:
        """The pipeline as it is now and the version to run, with the input checked against it."""
        entry = target.entry
        if not entry.settled:
            settled = await self._directory.settled(entry.namespace, entry.name, SETTLE_SECONDS)
            entry = settled or entry
        self._callers.require_callable(entry, namespace)
        wanted = target.version or entry.latest_version
        if target.version is None and entry.problem:
            raise Invalid(f'Pipeline "{target.called}" can\'t be run: {entry.problem}')
        version = self._directory.version(wanted) if wanted else None
        if version is None or version.key != (entry.namespace, entry.name):
            if target.version:
                raise Missing(f'"{target.called}" has no version "{target.version[:64]}".')
            raise Busy(f'Pipeline "{target.called}" is being read; try again in a moment.')
        await self._check_input(version, order)
        return entry, version

    async def _check_input(self, version: PipelineVersionEntry, order: CreateRequest) -> None:
        problems = await self._sources.input_problems(version.schema, order.input, literals=True)
        if problems:
            raise Refusal(problems)

    async def with_references(
        self, order: CreateRequest, namespace: str, base: str
    ) -> CreateRequest:
        """The order with our own files as references instead of links that expire."""
        text = await self._links.to_references(order.input_json, namespace, base)
        return replace(order, input_json=text)

    async def _spec(
        self, entry: Entry, version: PipelineVersionEntry, namespace: str, order: CreateRequest
    ) -> Json:
        reference: Json = {"name": entry.name, "version": version.id}
        if entry.namespace != namespace:
            reference["namespace"] = entry.namespace
        spec: Json = {"pipelineRef": reference, **await self._input(namespace, order)}
        pipeline = entry.typed
        if isinstance(pipeline, Pipeline) and pipeline.spec.timeout:
            spec["timeout"] = pipeline.spec.timeout
        if order.webhook:
            spec["webhook"] = {"url": order.webhook, "events": list(order.events)}
        if order.budget:
            spec["budget"] = order.budget
        return spec

    async def _input(self, namespace: str, order: CreateRequest) -> Json:
        if len(order.input_json.encode()) <= INLINE_BYTES:
            return {"inputJSON": order.input_json}
        stored = await self._files.put_text(order.input_json, namespace=namespace)
        return {"inputFrom": {"file": stored.reference, "sha256": stored.sha256}}

    def _body(
        self,
        caller: Caller,
        entry: Entry,
        version: PipelineVersionEntry,
        namespace: str,
        name: str,
        spec: Json,
        order: CreateRequest,
    ) -> Json:
        labels = {PIPELINE_LABEL: entry.name, VERSION_LABEL: version.id[:10]}
        metadata: Json = {"name": name, "namespace": namespace, "labels": labels}
        if order.cancel_after is not None:
            deadline = self._clock() + timedelta(seconds=order.cancel_after)
            metadata["annotations"] = {CANCEL_AFTER: rfc3339(deadline)}
        parent = caller.run
        if parent is not None:
            depth = self._child_depth(parent)
            labels |= {
                ROOT_LABEL: run_id(self._runs.tree_of(parent)),
                PARENT_LABEL: run_id(parent.uid),
                DEPTH_LABEL: str(depth),
            }
            _, parent_name = parent.key
            metadata["ownerReferences"] = [
                {
                    "apiVersion": API_VERSION,
                    "kind": "PipelineRun",
                    "name": parent_name,
                    "uid": parent.uid,
                }
            ]
            spec = {**spec, "parentRef": {"name": parent_name, "uid": parent.uid}}
        else:
            labels[DEPTH_LABEL] = "1"
        return {
            "apiVersion": API_VERSION,
            "kind": "PipelineRun",
            "metadata": metadata,
            "spec": spec,
        }

    def _child_depth(self, parent: Seen) -> int:
        depth = (parent.run.status.depth or 1) + 1
        limit = self._config.depth_limit
        if depth > limit:
            raise Invalid(
                f"Pipelines call pipelines at most {limit} levels deep; this call would be level "
                f"{depth}."
            )
        return depth

    async def _create(self, namespace: str, body: Json) -> Json:
        """Create the object; an answer that was lost is asked for again by the object's name."""
        name = body["metadata"]["name"]
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


def _refused(error: Refused) -> Exception:
    if error.status == 403:
        return Forbidden(f"The cluster refuses the run: {error.message}")
    return Invalid(f"The cluster refuses the run: {error.message}")
