"""The end of a prediction: outcome, output and usage."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from mayfly.metering.pricing import Consumption


class Outcome(StrEnum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


@dataclass(frozen=True)
class Ending:
    """The end of a run, as it is journalled and written to the object."""

    outcome: Outcome
    reason: str
    error: str = ""
    output: str | None = field(default=None, repr=False)
    started_at: datetime | None = None
    completed_at: datetime | None = None
    active_ms: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    flags: str = "[]"

    @property
    def consumption(self) -> Consumption:
        """The consumption that is billed for this end."""
        return Consumption(
            active_ms=self.active_ms,
            started=self.started_at is not None,
            succeeded=self.outcome is Outcome.SUCCEEDED,
            output_items=_items(self.output),
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
        )


def _items(output: str | None) -> int:
    if output is None:
        return 0
    value = json.loads(output)
    return len(value) if isinstance(value, list) else int(value is not None)
