"""Predictions in short, for lists, trees and news: slim rows, never a body."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from mayfly.api.v1alpha1.identity import run_id
from mayfly.clock import rfc3339
from mayfly.database.engine import Database
from mayfly.gateway.lifecycle.states import State
from mayfly.gateway.predictions.snapshots import Prediction, costs
from mayfly.gateway.secrets.sealed import redacted
from mayfly.metering.pricing import decimal_text
from mayfly_runtime.spec.printable import first_line

Json = dict[str, Any]

ERROR = 200
"""Characters of an error's first line."""

FIELDS = 2
"""Fields of the input that are shown: the first ones with a text, a number or a boolean."""

VALUE = 60
"""Characters of such a field."""

_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)


class Summaries:
    """Presents predictions in short."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, found: Sequence[Prediction]) -> list[Json]:
        """A summary of each, in the same order."""
        async with self._database.read() as tx:
            own = await costs(tx, found)
        return [_summary(each, own.get(each.row.uid)) for each in found]


def _summary(found: Prediction, cost: Decimal | None) -> Json:
    row, ended = found.row, found.ended
    failed = found.state is State.FAILED and not row.data_removed
    return {
        "id": row.id,
        "kind": "pipeline" if row.is_run else "model",
        "model": row.model,
        "version": row.version,
        "status": found.state.value,
        "reason": row.reason if ended else None,
        "error": first_line(row.error)[:ERROR] if failed else None,
        "name": row.name,
        "namespace": row.namespace,
        "depth": row.depth,
        "parent": run_id(row.parent_uid) if row.parent_uid else None,
        "root": run_id(row.root_uid),
        "created_at": rfc3339(row.created_at),
        "started_at": rfc3339(row.started_at) if row.started_at else None,
        "completed_at": rfc3339(row.completed_at) if ended and row.completed_at else None,
        "active_seconds": row.active_ms / 1000 if ended else None,
        "cost": None if cost is None else decimal_text(cost),
        "currency": row.currency,
        "inputs": [] if row.data_removed else first_fields(redacted(row.input_json)),
        "created_by": row.created_by,
        "data_removed": row.data_removed,
    }


def first_fields(head: str) -> list[list[str]]:
    """The first fields of an input with a text, a number or a boolean, each as name and value.

    Args:
        head: the input's JSON text; it may be cut anywhere.
    """
    found: list[list[str]] = []
    for name, value in _fields(head):
        text = str(value).lower() if isinstance(value, bool) else value
        if isinstance(text, str) and text:
            found.append([name[:VALUE], text if len(text) <= VALUE else f"{text[: VALUE - 1]}…"])
        if len(found) == FIELDS:
            break
    return found


def _fields(head: str) -> Iterator[tuple[str, Any]]:
    """The fields of a JSON object whose text may be cut; numbers as they are written."""
    place = _after(head, 0, "{")
    try:
        while place:
            name, end = _DECODER.raw_decode(head, place)
            place = _after(head, end, ":")
            if not place:
                return
            if head.startswith('"', place):
                value, end = _string(head, place)
            else:
                value, end = _DECODER.raw_decode(head, place)
            yield name, value
            place = _after(head, end, ",") if end < len(head) else 0
    except (ValueError, RecursionError):
        return


def _string(head: str, place: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(head, place)
    except ValueError:
        rest = head[place : place + 4 * VALUE].rstrip("\\")
        for cut in range(6):  # an escape of six characters may be cut
            try:
                return json.loads(f'{rest[: len(rest) - cut]}"'), len(head)
            except ValueError:
                continue
        raise


def _after(head: str, place: int, mark: str) -> int:
    """The place after a mark and the white space around it; 0 if it is not there."""
    found = len(head[:place]) + len(head[place:]) - len(head[place:].lstrip())
    if not head.startswith(mark, found):
        return 0
    found += 1
    return found + len(head[found:]) - len(head[found:].lstrip())
