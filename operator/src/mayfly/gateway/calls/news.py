"""Parses reports about a prediction: one format from Cog servers and from Replicate's API."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from mayfly.gateway.http import rawjson

STATES = frozenset({"starting", "processing", "succeeded", "failed", "canceled", "aborted"})
FAILED_PREFIX = "Prediction failed: "
MAX_SECONDS = 10**9
MAX_TOKENS = 10**9
"""More than any model's context or output; a higher count is a bug of the server."""


class Garbage(Exception):
    """The text is not a prediction object; the message is for people."""


@dataclass(frozen=True)
class Reply:
    """The state of a prediction, as reported by its server.

    Attributes:
        status: one of `STATES`.
        output: JSON text, as the server wrote it; None if there is none.
        logs: the log so far, or its end; None if not reported.
        error: why it failed.
        active_ms: how long it worked, as measured by the server.
        input_tokens: as counted by the server; 0 if it counts none.
        output_tokens: likewise.
        unbelievable: the server reported an impossible number, which was dropped.
        identity: the server's id of the prediction.
    """

    status: str
    output: str | None = None
    logs: str | None = None
    error: str = ""
    active_ms: int | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    unbelievable: bool = False
    identity: str = ""

    @property
    def ended(self) -> bool:
        """Whether the prediction has ended, so no further report will come."""
        return self.status in {"succeeded", "failed", "canceled", "aborted"}

    @property
    def started(self) -> bool:
        """Whether the server has started to work on it."""
        told = self.active_ms or self.input_tokens or self.output_tokens
        return self.status in {"processing", "succeeded"} or bool(told)


def read(body: bytes) -> Reply:
    """Parse a prediction object.

    Raises:
        Garbage: the text is not a prediction object.
    """
    try:
        members = rawjson.split(body.decode())
        status = json.loads(members.get("status", "null"))
        logs = json.loads(members.get("logs", "null"))
        error = json.loads(members.get("error", "null"))
        metrics = json.loads(members.get("metrics", "null"))
        identity = json.loads(members.get("id", "null"))
    except (ValueError, RecursionError) as problem:
        raise Garbage(f"its answer is not a JSON object ({problem})"[:300]) from None
    if status not in STATES:
        raise Garbage(f"its status is {json.dumps(status)[:60]}")
    output = members.get("output")
    measures = _Measures(metrics)
    return Reply(
        status=status,
        output=None if output is None or output == "null" else output,
        logs=logs if isinstance(logs, str) else None,
        error=_error(error),
        active_ms=measures.milliseconds("predict_time"),
        input_tokens=measures.count("input_token_count"),
        output_tokens=measures.count("output_token_count"),
        unbelievable=measures.unbelievable,
        identity=identity if isinstance(identity, str) else "",
    )


def _error(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    while text.startswith(FAILED_PREFIX):
        text = text.removeprefix(FAILED_PREFIX)
    return text


class _Measures:
    """The server's metrics; missing values are 0, impossible ones are dropped.

    Attributes:
        unbelievable: a value was dropped.
    """

    def __init__(self, metrics: Any) -> None:
        self._metrics = metrics if isinstance(metrics, dict) else {}
        self.unbelievable = False

    def milliseconds(self, name: str) -> int | None:
        """A metric in seconds, as milliseconds, rounded up."""
        found = self._number(name, MAX_SECONDS)
        # As a float, 1.1 s is 1100.0000000000002 ms, which would be rounded up to 1101 ms.
        return None if found is None else math.ceil(round(found * 1000, 6))

    def count(self, name: str) -> int:
        """A metric that is a whole number."""
        found = self._number(name, MAX_TOKENS)
        if found is not None and found != int(found):
            self.unbelievable, found = True, None
        return 0 if found is None else int(found)

    def _number(self, name: str, most: int) -> float | None:
        found = self._metrics.get(name)
        if found is None:
            return None
        number = isinstance(found, int | float) and not isinstance(found, bool)
        if not number or not 0 <= found < most:
            self.unbelievable = True
            return None
        return float(found)
