"""Opens a run's ledger row: prices, input, source, budget and webhook, in one transaction."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.api.v1alpha1 import PipelineRun
from mayfly.clock import Clock
from mayfly.config import GatewayConfig
from mayfly.database.engine import Database
from mayfly.gateway.cache.programs import Programs, Terms
from mayfly.gateway.cache.runs import Runs, Seen
from mayfly.gateway.files.store import Files
from mayfly.gateway.lifecycle import deliveries, sources
from mayfly.gateway.lifecycle.sources import KeptSource
from mayfly.gateway.namespaces.budgets import own_budget
from mayfly.gateway.runs.rows import new_row
from mayfly.gateway.runs.work import shown_input
from mayfly.kube.errors import NotFound
from mayfly.metering import ledger, spending
from mayfly.metering.ledger import RunRow

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opening:
    """A row that is to be opened, with what is stored beside it."""

    seen: Seen
    row: RunRow
    source: KeptSource | None


class LedgerOpener:
    """Opens the ledger row of a run, and records each attempt and dispatch in it."""

    def __init__(
        self,
        *,
        database: Database,
        runs: Runs,
        programs: Programs,
        files: Files,
        config: GatewayConfig,
        clock: Clock,
    ) -> None:
        self._database = database
        self._runs = runs
        self._programs = programs
        self._files = files
        self._config = config
        self._clock = clock

    async def open(self, seen: Seen, row: RunRow | None, sent_at: datetime | None) -> RunRow:
        """Open a run's ledger row with the current prices, or record its newest attempt in it.

        Args:
            seen: the run.
            row: its row, if it exists. Its content is fixed by whoever opens it first.
            sent_at: when its work was sent, if known.
        """
        if row is not None:
            async with self._database.write() as tx:
                return await self._dispatched(tx, seen, row, sent_at)
        opening = await self.prepare(seen)
        async with self._database.write() as tx:
            return await self.write(tx, opening, sent_at)

    async def prepare(self, seen: Seen) -> Opening:
        """Read what a run's new row is made of: outside the transaction that writes it."""
        source = await self._source(seen.run) if seen.run.status.pod_uid else None
        return Opening(seen, await self._new_row(seen), source)

    async def write(
        self, tx: AsyncConnection, opening: Opening, sent_at: datetime | None = None
    ) -> RunRow:
        """Open a row, in a transaction that may write more; an existing row is kept, and returned.

        Args:
            tx: the transaction.
            opening: the row.
            sent_at: as in `open`.
        """
        seen, known = opening.seen, opening.row
        spec, budget = seen.run.spec, own_budget(seen)
        if await ledger.open_run(tx, known) and spec.input_from is not None:
            long = spec.input_from.file
            await Files.own(tx, long, namespace=known.namespace, run_uid=known.uid)
        if opening.source is not None:
            await sources.keep(tx, opening.source)
        if budget is not None:
            await spending.open_budget(tx, known.uid, budget)
        if spec.webhook is not None:
            hook = spec.webhook
            await deliveries.expect(tx, known, url=hook.url, events=hook.events)
        return await self._dispatched(tx, seen, known, sent_at)

    async def open_bare(self, seen: Seen, sent_at: datetime | None) -> RunRow:
        """Open the row of a run at whose opening something fails: without source and webhook.

        It has its prices if these can be read, because its work may have been sent already.
        """
        try:
            terms = await self._programs.terms(seen.run)
        except Exception:
            logger.exception("the prices of a failing run can't be read", extra={"run": seen.uid})
            terms = Terms()
        row = new_row(
            seen,
            terms,
            currency=self._config.currency,
            input_json="{}",
            now=self._clock(),
            root_uid=self._runs.root_of(seen),
        )
        async with self._database.write() as tx:
            await ledger.open_run(tx, row)
            return await self._dispatched(tx, seen, row, sent_at)

    async def _dispatched(
        self, tx: AsyncConnection, seen: Seen, row: RunRow, sent_at: datetime | None
    ) -> RunRow:
        """Record a run's newest attempt in its row, and return that."""
        pod_uid, attempt = seen.run.status.pod_uid, seen.run.status.attempt or 1
        if pod_uid:
            await ledger.note_dispatch(
                tx, seen.uid, pod_uid=pod_uid, attempt=attempt, sent_at=sent_at
            )
        return await ledger.find(tx, seen.uid) or row

    async def _new_row(self, seen: Seen) -> RunRow:
        # A run without a pod costs nothing, so it needs no price.
        terms = await self._programs.terms(seen.run) if seen.run.status.pod_uid else Terms()
        return new_row(
            seen,
            terms,
            currency=self._config.currency,
            input_json=await self._input(seen),
            now=self._clock(),
            root_uid=self._runs.root_of(seen),
        )

    async def _source(self, run: PipelineRun) -> KeptSource | None:
        """The source of a claimed run, to be stored with its row."""
        version = run.status.version
        if version is None:
            return None
        try:
            program = await self._programs.program(run)
        except NotFound:
            return None  # its Pipeline was deleted; sending the work reports that
        return KeptSource(version, program.entrypoint, program.files)

    async def _input(self, seen: Seen) -> str:
        source = seen.run.spec.input_from
        if source is None:
            return shown_input(seen)
        limit = self._config.limits.input_bytes
        return await self._files.text(source.file, source.sha256, limit) or "{}"
