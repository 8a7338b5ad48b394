"""What a run's end is, from what was reported. Pure."""

from __future__ import annotations

from mayfly.api.v1alpha1 import Reason
from mayfly.gateway.lifecycle.text import ERROR_BYTES
from mayfly.metering.ending import Outcome
from mayfly_runtime.spec import strict_json


def checked(reason: Reason, error: str, output: str, limit: int) -> tuple[Reason, str, str | None]:
    """The end of a run whose output an agent has reported, which may be none to keep.

    The agent checks first. This is for broken agents, and for cases where JSON parsers differ
    (numbers beyond a float, nesting).

    Args:
        reason: as reported.
        error: as reported.
        output: as reported, JSON text.
        limit: bytes of it.
    """
    if strict_json.size(output) > limit:
        return Reason.OUTPUT_TOO_LARGE, f"The output has more than {limit} bytes.", None
    try:
        strict_json.parse(output, "The output")
    except ValueError as problem:
        return Reason.OUTPUT_NOT_JSON, f"{problem}."[:ERROR_BYTES], None
    return reason, error, output


def outcome_of(reason: Reason) -> Outcome:
    """The outcome that a reason stands for."""
    if reason is Reason.SUCCEEDED:
        return Outcome.SUCCEEDED
    return Outcome.CANCELED if reason is Reason.CANCELED else Outcome.FAILED
