"""What a server says of a prediction: the same words from a Cog server and from Replicate's API."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from mayfly.gateway import rawjson

STATES = frozenset({"starting", "processing", "succeeded", "failed", "canceled", "aborted"})
FAILED_PREFIX = "Prediction failed: "
MAX_SECONDS = 10**9


class Garbage(Exception):
    """The text says nothing about a prediction; the words are for a person."""


@dataclass(frozen=True)
class News:
    """The state of a prediction at its server.

    Attributes:
        status: the server's word, one of `STATES`.
        output: JSON text, as the server wrote it; None where there is none.
        logs: the log so far, or its end; None where the server says nothing of it.
        error: why it failed.
        active_ms: how long it worked, by the server's own measure.
        identity: the server's id of it.
    """

    status: str
    output: str | None = None
    logs: str | None = None
    error: str = ""
    active_ms: int | None = None
    identity: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.status in {"succeeded", "failed", "canceled", "aborted"}

    @property
    def started(self) -> bool:
        """Whether the server says that it works, or worked, on it."""
        return self.status in {"processing", "succeeded"} or bool(self.active_ms)


def read(body: bytes) -> News:
    """Read a prediction object.

    Raises:
        Garbage: it is none.
    """
    try:
        members = rawjson.split(body.decode())
        status = json.loads(members.get("status", "null"))
        logs = json.loads(members.get("logs", "null"))
        error = json.loads(members.get("error", "null"))
        metrics = json.loads(members.get("metrics", "null"))
        identity = json.loads(members.get("id", "null"))
    except (ValueError, RecursionError) as problem:
        raise Garbage(f"what it says is no JSON object ({problem})"[:300]) from None
    if status not in STATES:
        raise Garbage(f"its word for the state is {json.dumps(status)[:60]}")
    output = members.get("output")
    return News(
        status=status,
        output=None if output is None or output == "null" else output,
        logs=logs if isinstance(logs, str) else None,
        error=_error(error),
        active_ms=_active_ms(metrics),
        identity=identity if isinstance(identity, str) else "",
    )


def _error(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    while text.startswith(FAILED_PREFIX):
        text = text.removeprefix(FAILED_PREFIX)
    return text


def _active_ms(metrics: Any) -> int | None:
    found = metrics.get("predict_time") if isinstance(metrics, dict) else None
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    if not 0 <= found < MAX_SECONDS:
        return None
    return math.ceil(found * 1000)
