"""Builds a run's ledger row from its object: to open it, or to stand in for a missing one."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from mayfly.api.v1alpha1.conditions import ConditionType, is_true
from mayfly.api.v1alpha1.identity import run_id
from mayfly.api.v1alpha1.names import CREATED_BY, CREATED_BY_LENGTH, DEPTH_LABEL
from mayfly.clock import parse_rfc3339
from mayfly.gateway.cache.programs import Terms
from mayfly.gateway.cache.runs import Seen
from mayfly.gateway.lifecycle.states import State
from mayfly.gateway.lifecycle.text import storable
from mayfly.gateway.runs.status import ending_of
from mayfly.gateway.runs.work import shown_input
from mayfly.metering.ledger import RunRow


def new_row(
    seen: Seen,
    terms: Terms,
    *,
    currency: str,
    input_json: str,
    now: datetime,
    root_uid: str | None = None,
) -> RunRow:
    """The row of a run that is not in the ledger yet.

    Args:
        seen: the object.
        terms: its prices and image.
        currency: of the installation.
        input_json: the input's text.
        now: when the row is opened.
        root_uid: root of its tree, for a run whose status does not have it yet.
    """
    run = seen.run
    namespace, name = seen.key
    reference = run.spec.pipeline_ref
    created = run.metadata.creation_timestamp
    return RunRow(
        uid=seen.uid,
        id=run_id(seen.uid),
        namespace=namespace,
        name=name,
        pipeline_namespace=(reference.namespace if reference else None) or namespace,
        pipeline=reference.name if reference else "",
        # A run that was not reconciled yet has the version that its create pinned.
        version=run.status.version or (reference.version if reference else None) or "",
        root_uid=run.status.root_ref.uid if run.status.root_ref else root_uid or seen.uid,
        parent_uid=run.spec.parent_ref.uid if run.spec.parent_ref else None,
        depth=run.status.depth or _labelled_depth(seen),
        runtime_digest=terms.runtime_digest,
        prices=terms.prices,
        currency=currency,
        input_json=input_json,
        created_at=parse_rfc3339(created) if created else now,
        opened_at=now,
        created_by=_created_by(seen),
    )


def _created_by(seen: Seen) -> str | None:
    text = str((seen.raw["metadata"].get("annotations") or {}).get(CREATED_BY) or "")
    return storable(text)[:CREATED_BY_LENGTH] or None


def _labelled_depth(seen: Seen) -> int:
    """The depth of a run that has not been reconciled yet, as the gateway wrote it at creation."""
    text = (seen.raw["metadata"].get("labels") or {}).get(DEPTH_LABEL, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else 1


def state_of_run(seen: Seen) -> State:
    """The run's status in the API, from its object alone."""
    status = seen.run.status
    if status.ended:
        return State(ending_of(seen).outcome.value)
    if is_true(status.conditions, ConditionType.STARTED):
        return State.PROCESSING
    return State.STARTING


def row_of(seen: Seen, root_uid: str | None) -> RunRow:
    """A row built from the object alone."""
    status = seen.run.status
    row = new_row(
        seen,
        Terms(),
        currency=status.usage.currency if status.usage else "",
        input_json=shown_input(seen),
        now=_moment(seen.run.metadata.creation_timestamp),
        root_uid=root_uid,
    )
    if status.started_at:
        row = replace(row, started_at=_moment(status.started_at))
    return _ended_row(row, seen) if seen.run.status.ended else row


def _ended_row(row: RunRow, seen: Seen) -> RunRow:
    ending = ending_of(seen)
    return replace(
        row,
        outcome=ending.outcome.value,
        reason=ending.reason,
        error=ending.error,
        output=ending.output,
        started_at=ending.started_at,
        completed_at=ending.completed_at,
        active_ms=ending.active_ms,
    )


def _moment(text: str | None) -> datetime:
    return parse_rfc3339(text or "1970-01-01T00:00:00Z")
