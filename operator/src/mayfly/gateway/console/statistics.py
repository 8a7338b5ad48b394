"""How the last runs of a Pipeline or Model went: outcomes, times, costs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Any

from mayfly.clock import rfc3339
from mayfly.gateway.lifecycle.states import State
from mayfly.gateway.predictions.snapshots import Prediction
from mayfly.metering.pricing import EXACT, decimal_text

Json = dict[str, Any]

LAST = 50
"""Predictions that are counted."""


def statistics(found: Sequence[Prediction], own: Mapping[str, Decimal], recent: int = LAST) -> Json:
    """What the last predictions were like.

    Args:
        found: the predictions, newest first.
        own: the own costs of those that have ended, by UID.
        recent: how many of them are listed.
    """
    counted = {state: sum(each.state is state for each in found) for state in State}
    good, bad = counted[State.SUCCEEDED], counted[State.FAILED]
    done = [each for each in found if each.state is State.SUCCEEDED]
    seconds = sorted(each.row.active_ms / 1000 for each in done)
    amounts = sorted(_total(each, own[each.row.uid]) for each in done if each.row.uid in own)
    spread = _spread(amounts)
    return {
        "runs": len(found),
        "succeeded": good,
        "failed": bad,
        "canceled": counted[State.CANCELED],
        "success_rate": good / (good + bad) if good + bad else None,
        "seconds": _spread(seconds),
        "cost": spread and {name: decimal_text(amount) for name, amount in spread.items()},
        "last_run_at": rfc3339(found[0].row.created_at) if found else None,
        "recent": [_recent(each, own.get(each.row.uid)) for each in found[:recent]],
    }


def _total(found: Prediction, own: Decimal) -> Decimal:
    """The cost of the whole tree where that is known, otherwise the prediction's own."""
    with localcontext(EXACT):
        return own + (found.row.downstream or Decimal(0))


def _spread(values: Sequence[Any]) -> dict[str, Any] | None:
    """The values of which a tenth, half and nine tenths are no larger."""
    if not values:
        return None
    ranks = {"low": 0.1, "median": 0.5, "high": 0.9}
    return {name: values[round(share * (len(values) - 1))] for name, share in ranks.items()}


def _recent(found: Prediction, own: Decimal | None) -> Json:
    return {
        "id": found.row.id,
        "status": found.state.value,
        "created_at": rfc3339(found.row.created_at),
        "active_seconds": found.row.active_ms / 1000 if found.ended else None,
        "cost": None if own is None else decimal_text(own),
    }
