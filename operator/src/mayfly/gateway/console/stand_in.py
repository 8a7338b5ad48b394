"""Summaries, until those of the predictions room are there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mayfly.api.v1alpha1.identity import run_id
from mayfly.clock import rfc3339
from mayfly.database.engine import Database
from mayfly.gateway.predictions.snapshots import Prediction, costs
from mayfly.metering.pricing import decimal_text


class StandIn:
    """Presents predictions in short."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, found: Sequence[Prediction]) -> list[dict[str, Any]]:
        """A summary of each, in the same order."""
        async with self._database.read() as tx:
            own = await costs(tx, found)
        shown: list[dict[str, Any]] = []
        for each in found:
            row = each.row
            cost = own.get(row.uid)
            shown.append(
                {
                    "id": row.id,
                    "kind": "pipeline" if row.is_run else "model",
                    "model": row.model,
                    "version": row.version,
                    "status": each.state.value,
                    "reason": row.reason if each.ended else None,
                    "error": row.error[:200] if each.state.value == "failed" else None,
                    "name": row.name,
                    "namespace": row.namespace,
                    "depth": row.depth,
                    "parent": run_id(row.parent_uid) if row.parent_uid else None,
                    "root": run_id(row.root_uid),
                    "created_at": rfc3339(row.created_at),
                    "started_at": rfc3339(row.started_at) if row.started_at else None,
                    "completed_at": rfc3339(row.completed_at)
                    if each.ended and row.completed_at
                    else None,
                    "active_seconds": row.active_ms / 1000 if each.ended else None,
                    "cost": None if cost is None else decimal_text(cost),
                    "currency": row.currency,
                    "inputs": [],
                    "created_by": None,
                    "data_removed": row.data_removed,
                }
            )
        return shown
