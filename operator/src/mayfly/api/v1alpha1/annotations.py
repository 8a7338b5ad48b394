"""Annotations that more than one part of Mayfly reads."""

from __future__ import annotations

BUDGET_MONTHLY = "mayfly.dev/budget-monthly"
"""What a namespace may spend in a calendar month (UTC): a decimal number as text."""

RETENTION = "mayfly.dev/retention"
"""How long what ended in a namespace can be read: a duration, or `forever`."""

CANCEL_AFTER = "mayfly.dev/cancel-after"
"""When a run is to be cancelled if it has not ended by then: RFC 3339, on the run."""
