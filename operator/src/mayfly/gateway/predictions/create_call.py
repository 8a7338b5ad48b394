"""Creates calls of Models: queued rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.api.v1alpha1.identity import run_id
from mayfly.api.v1alpha1.names import CREATED_BY_LENGTH
from mayfly.clock import Clock
from mayfly.config import GatewayConfig
from mayfly.database.engine import Database
from mayfly.gateway.access.callers import CANCELLED_RUN
from mayfly.gateway.cache.directory import Directory
from mayfly.gateway.cache.runs import Runs
from mayfly.gateway.calls.dispatcher import CallDispatcher
from mayfly.gateway.calls.probe import Probe, name_conflict
from mayfly.gateway.calls.recorder import CallRecorder, Shut
from mayfly.gateway.calls.rows import Call, Step
from mayfly.gateway.calls.versions import ModelVersion, Versions
from mayfly.gateway.http.errors import Forbidden, Invalid, Missing, TooMany
from mayfly.gateway.lifecycle import deliveries
from mayfly.gateway.lifecycle.states import State
from mayfly.gateway.namespaces.watch import Namespaces
from mayfly.gateway.predictions import idempotency
from mayfly.gateway.predictions.create import Callee, Order, Plan
from mayfly.gateway.predictions.idempotency import Created, Fingerprint
from mayfly.gateway.predictions.snapshots import Snapshot, Snapshots
from mayfly.gateway.predictions.targets import Target
from mayfly.gateway.secrets.sealed import Sealed
from mayfly.metering.ledger import RunRow
from mayfly.metering.tables import MODEL
from mayfly.reconcile.lineage import child_depth

SETTLE_SECONDS = 3.0
"""How long a create waits for a Model whose schema is not known yet."""

FULL_SECONDS = 5


class CallMaker:
    """Creates calls of Models and queues each once."""

    def __init__(
        self,
        *,
        calls: CallRecorder,
        versions: Versions,
        probe: Probe,
        dispatcher: CallDispatcher,
        directory: Directory,
        namespaces: Namespaces,
        runs: Runs,
        sealed: Sealed,
        snapshots: Snapshots,
        database: Database,
        config: GatewayConfig,
        clock: Clock,
        new_uid: Callable[[], str],
    ) -> None:
        self._calls = calls
        self._versions = versions
        self._probe = probe
        self._dispatcher = dispatcher
        self._directory = directory
        self._namespaces = namespaces
        self._runs = runs
        self._sealed = sealed
        self._snapshots = snapshots
        self._database = database
        self._config = config
        self._clock = clock
        self._new_uid = new_uid

    async def callee(self, order: Order) -> Callee:
        """Resolve the Model and its latest version.

        Raises:
            Missing: the Model has no such version, or none that can still be called; or there is no
                namespace that could pay.
            Invalid: a Pipeline has the Model's name, or the order has a budget.
        """
        entry = order.target.entry
        conflict = name_conflict(self._directory, entry)
        if conflict:
            raise Invalid(f'Model "{order.target.called}" can\'t be called: {conflict}')
        if order.request.budget:
            raise Invalid("Mayfly-Budget bounds a run of a pipeline, and this is a Model.")
        if order.caller.run is None and not await self._namespaces.exists(order.namespace):
            # Who may create runs in all namespaces may name one that isn't there.
            raise Missing(f'There is no namespace "{order.namespace}" to pay for the call.')
        version = await self._version(order.target)
        return Callee(entry, entry.latest_version or "", version.schema if version else None)

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

    async def make(self, plan: Plan, known: Fingerprint) -> Snapshot:
        """Queue the call, in the transaction that stores its fingerprint.

        Raises:
            MadeBefore: the create repeats one that is remembered.
            TooMany: too many calls wait for the Model.
            Forbidden: the cancel of the calling run was accepted meanwhile.
        """
        row = self._row(plan)
        call = self._call(plan, row)
        async with self._database.write() as tx:
            await idempotency.remember(tx, known, Created(row.namespace, row.id), self._clock())
            made = await self._queue(tx, plan, row, call)
            await self._sealed.keep_for_call(tx, plan.given, row.uid, row.namespace)
        self._dispatcher.add(call, row.namespace, row.root_uid)
        return made

    async def recall(self, made: Created) -> Snapshot | None:
        """The prediction that an earlier create made; None if its row was removed."""
        return await self._snapshots.snapshot(made.name)

    async def _queue(self, tx: AsyncConnection, plan: Plan, row: RunRow, call: Call) -> Snapshot:
        if await self._calls.waiting(tx, *call.key) >= self._config.models.queue:
            raise TooMany(
                f'{self._config.models.queue} predictions wait for "{row.called}" already; '
                f"try again later.",
                retry_after=FULL_SECONDS,
            )
        try:
            await self._calls.create(tx, call, row)
        except Shut:
            raise Forbidden(CANCELLED_RUN) from None
        delivery, request = None, plan.order.request
        if request.webhook:
            delivery = await deliveries.expect(tx, row, url=request.webhook, events=request.events)
        return Snapshot(row, State.STARTING, None, delivery=delivery, call=call)

    def _row(self, plan: Plan) -> RunRow:
        now = self._clock()
        uid = self._new_uid()
        entry, user = plan.callee.entry, plan.order.caller.user
        row = RunRow(
            uid=uid,
            id=run_id(uid),
            namespace=plan.order.namespace,
            name="",
            pipeline_namespace=entry.namespace,
            pipeline=entry.name,
            version=plan.callee.version,
            root_uid=uid,
            parent_uid=None,
            depth=1,
            runtime_digest="",
            prices="[]",
            currency=self._config.currency,
            input_json=plan.given.input_json,
            created_at=now,
            opened_at=now,
            kind=MODEL,
            called=plan.order.target.called,
            created_by=user.name[:CREATED_BY_LENGTH] if user is not None else None,
        )
        parent = plan.order.caller.run
        if parent is None:
            return row
        # A Model makes nothing further: its calls have no limit of depth.
        depth = child_depth(parent.run)
        root_uid = self._runs.tree_of(parent)
        return replace(row, parent_uid=parent.uid, root_uid=root_uid, depth=depth)

    def _call(self, plan: Plan, row: RunRow) -> Call:
        cancel_at, seconds = None, plan.order.request.cancel_after
        if seconds is not None:
            cancel_at = row.created_at + timedelta(seconds=seconds)
        return Call(
            uid=row.uid,
            namespace=row.pipeline_namespace,
            model=row.pipeline,
            step=Step.QUEUED,
            queued_at=row.created_at,
            parent_uid=row.parent_uid,
            cancel_at=cancel_at,
        )
