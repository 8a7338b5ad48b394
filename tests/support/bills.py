"""Usage records for tests: consistent bills and their corrections."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from mayfly.api.v1alpha1.identity import run_id
from mayfly.metering.records import UsageRecord, exact_sum

OCTOBER = datetime(2026, 10, 5, 12, 0, 0, 123456, tzinfo=UTC)
PRICES = (
    '[{"meter": "predictSeconds", "unitPrice": "0.000025"},'
    ' {"meter": "prediction", "unitPrice": "0.01"},'
    ' {"meter": "inputTokens", "unitPrice": "0.00000013"}]'
)


def uid(number: int) -> str:
    return str(UUID(int=number + (0xABC << 100)))


def bill(number: int, **parts: Any) -> UsageRecord:
    """The bill of a prediction; its cost is consistent with its prices and meters."""
    own = uid(number)
    made = UsageRecord(
        **{
            "record_id": own,
            "run_uid": own,
            "kind": "run",
            "id": run_id(own),
            "namespace": "team",
            "name": f"run-{number}",
            "pipeline_namespace": "team",
            "pipeline": "answer",
            "called": "",
            "version": "c" * 64,
            "runtime_digest": "registry.example/runtime@sha256:" + "ab" * 32,
            "root_uid": own,
            "parent_uid": None,
            "depth": 1,
            "outcome": "succeeded",
            "reason": "Succeeded",
            "started": True,
            "started_at": OCTOBER,
            "completed_at": OCTOBER + timedelta(seconds=3),
            "active_ms": 3001,
            "output_items": 1,
            "input_tokens": 0,
            "output_tokens": 0,
            "prices": PRICES,
            "cost": Decimal(0),
            "currency": "USD",
            "flags": "[]",
            "recorded_at": OCTOBER + timedelta(seconds=4),
            **parts,
        }
    )
    return replace(made, cost=exact_sum(each.amount for each in made.charges))


def correction(of: UsageRecord, number: int, cost: str, **parts: Any) -> UsageRecord:
    """A correction of a bill, by a difference of its cost."""
    return replace(
        of,
        **{
            "record_id": f"{of.record_id}+{number}",
            "corrects": of.record_id,
            "cost": Decimal(cost),
            "active_ms": 0,
            "output_items": 0,
            "why": "the clock was wrong",
            "author": "someone",
            **parts,
        },
    )
