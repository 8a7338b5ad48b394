"""Makes calls of Models: checked, queued once, or refused in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.api.v1alpha1.identity import run_id
from mayfly.clock import Clock
from mayfly.config import GatewayConfig
from mayfly.database.engine import Database
from mayfly.gateway.access.callers import CANCELLED_RUN, Caller, Callers
from mayfly.gateway.cache.directory import Directory
from mayfly.gateway.cache.runs import Runs
from mayfly.gateway.calls.dispatcher import CallDispatcher
from mayfly.gateway.calls.probe import Probe, name_conflict
from mayfly.gateway.calls.recorder import CallRecorder, Shut
from mayfly.gateway.calls.rows import Call, Step
from mayfly.gateway.calls.versions import ModelVersion, Versions
from mayfly.gateway.http.errors import Forbidden, Invalid, Missing, Refusal, TooMany
from mayfly.gateway.lifecycle import deliveries
from mayfly.gateway.lifecycle.states import State
from mayfly.gateway.namespaces.budgets import Budgets
from mayfly.gateway.predictions import idempotency
from mayfly.gateway.predictions.create_run import RunCreator, Target
from mayfly.gateway.predictions.idempotency import Created
from mayfly.gateway.predictions.request import CreateRequest
from mayfly.gateway.predictions.snapshots import Snapshot, Snapshots
from mayfly.gateway.secrets.sealed import Concealed, Sealed
from mayfly.metering.ledger import RunRow
from mayfly.metering.tables import MODEL
from mayfly.source_check import SourceChecker

SETTLE_SECONDS = 3.0
"""How long a call waits for a Model that nobody has looked at yet."""

FULL_SECONDS = 5


class CallCreator:
    """Queues calls."""

    def __init__(
        self,
        *,
        create_run: RunCreator,
        budgets: Budgets,
        callers: Callers,
        calls: CallRecorder,
        versions: Versions,
        probe: Probe,
        dispatcher: CallDispatcher,
        directory: Directory,
        runs: Runs,
        sealed: Sealed,
        sources: SourceChecker,
        snapshots: Snapshots,
        database: Database,
        config: GatewayConfig,
        clock: Clock,
        new_uid: Callable[[], str],
    ) -> None:
        self._create_run = create_run
        self._budgets = budgets
        self._callers = callers
        self._calls = calls
        self._versions = versions
        self._probe = probe
        self._dispatcher = dispatcher
        self._directory = directory
        self._runs = runs
        self._sealed = sealed
        self._sources = sources
        self._snapshots = snapshots
        self._database = database
        self._config = config
        self._clock = clock
        self._new_uid = new_uid

    async def call(
        self,
        caller: Caller,
        target: Target,
        order: CreateRequest,
        headers: Mapping[str, str],
        base: str,
    ) -> Snapshot:
        """Queue a call, or find the one that this same create queued before.

        Args:
            caller: who calls.
            target: the Model.
            order: with what.
            headers: the request's.
            base: the caller's base URL.

        Returns:
            The prediction.

        Raises:
            Forbidden: the caller may not, or its run may create nothing (any more).
            Missing: the Model has no such version, or none that can still be called.
            Invalid: a Pipeline has the Model's name, or the order has a budget.
            Refusal: the input is wrong.
            TooMany: too many calls wait for the Model.
            BudgetReached: nothing more may be started.
        """
        entry = target.entry
        namespace = caller.namespace or entry.namespace
        await self._create_run.permit(caller, namespace)
        self._callers.require_callable(entry, namespace)
        conflict = name_conflict(self._directory, entry)
        if conflict:
            raise Invalid(f'Model "{target.called}" can\'t be called: {conflict}')
        known = idempotency.digest(
            headers, f"{namespace} {target.called} {target.version}", order.body
        )
        repeat = idempotency.is_repeat(headers)
        if repeat:
            async with self._database.read() as tx:
                before = await idempotency.recall(tx, known, self._clock())
            if before is not None:
                return await self._created(before)
        await self._budgets.require(namespace, caller.run)
        concealed = await self._checked(target, order)
        order = replace(order, input=concealed.input, input_json=concealed.input_json)
        order = await self._create_run.with_references(order, namespace, base)
        row, call = self._row(caller, target, namespace, order)
        async with self._database.write() as tx:
            before = await idempotency.recall(tx, known, self._clock()) if repeat else None
            if before is None:
                made = await self._queue(tx, target, order, row, call)
                await self._sealed.keep_for_call(tx, concealed, row.uid, namespace)
                await idempotency.remember(tx, known, Created(namespace, row.id), self._clock())
        if before is not None:
            return await self._created(before)
        self._dispatcher.add(call, row.namespace, row.root_uid)
        return made

    async def _queue(
        self, tx: AsyncConnection, target: Target, order: CreateRequest, row: RunRow, call: Call
    ) -> Snapshot:
        if await self._calls.waiting(tx, *call.key) >= self._config.models.queue:
            raise TooMany(
                f'{self._config.models.queue} predictions wait for "{target.called}" already; '
                f"try again later.",
                retry_after=FULL_SECONDS,
            )
        try:
            await self._calls.create(tx, call, row)
        except Shut:
            raise Forbidden(CANCELLED_RUN) from None
        delivery = None
        if order.webhook:
            delivery = await deliveries.expect(tx, row, url=order.webhook, events=order.events)
        return Snapshot(row, State.STARTING, None, delivery=delivery, call=call)

    async def _created(self, before: Created) -> Snapshot:
        """The prediction that an earlier create of the same made."""
        found = await self._snapshots.snapshot(before.name)
        if found is None:
            raise Missing(f'There is no prediction "{before.name}".')
        return found

    async def _checked(self, target: Target, order: CreateRequest) -> Concealed:
        if order.budget:
            raise Invalid("Mayfly-Budget bounds a run of a pipeline, and this is a Model.")
        version = await self._version(target)
        if version is None:
            return Concealed(
                order.input, order.input_json
            )  # its server will say what it thinks of the input
        problems = await self._sources.input_problems(version.schema, order.input, references=False)
        if problems:
            raise Refusal(problems)
        return self._sealed.conceal(version.schema, order.input, order.input_json)

    async def _version(self, target: Target) -> ModelVersion | None:
        entry = target.entry
        latest = await self._versions.latest(entry)
        if latest is None and not entry.settled:
            self._probe.look(entry.namespace, entry.name)
            await self._directory.settled(entry.namespace, entry.name, SETTLE_SECONDS)
            latest = await self._versions.latest(entry)
        wanted = target.version
        if wanted is None or (latest is not None and latest.id == wanted):
            return latest
        known = await self._versions.find(wanted)
        if known is None or known.model_uid != entry.uid:
            raise Missing(f'"{target.called}" has no version "{wanted[:64]}".')
        raise Missing(
            f'The version "{wanted[:64]}" of "{target.called}" is not served any more; the latest '
            f'is "{latest.id if latest else ""}".'
        )

    def _row(
        self, caller: Caller, target: Target, namespace: str, order: CreateRequest
    ) -> tuple[RunRow, Call]:
        now = self._clock()
        uid = self._new_uid()
        entry = target.entry
        parent = caller.run
        row = RunRow(
            uid=uid,
            id=run_id(uid),
            namespace=namespace,
            name="",
            pipeline_namespace=entry.namespace,
            pipeline=entry.name,
            version=entry.latest_version or "",
            root_uid=uid,
            parent_uid=None,
            depth=1,
            runtime_digest="",
            prices="[]",
            currency=self._config.currency,
            input_json=order.input_json,
            created_at=now,
            opened_at=now,
            kind=MODEL,
            called=target.called,
        )
        if parent is not None:
            row = replace(
                row,
                parent_uid=parent.uid,
                root_uid=self._runs.tree_of(parent),
                depth=(parent.run.status.depth or 1) + 1,
            )
        cancel_at = None
        if order.cancel_after is not None:
            cancel_at = now + timedelta(seconds=order.cancel_after)
        call = Call(
            uid=uid,
            namespace=entry.namespace,
            model=entry.name,
            step=Step.QUEUED,
            queued_at=now,
            parent_uid=row.parent_uid,
            cancel_at=cancel_at,
        )
        return row, call
