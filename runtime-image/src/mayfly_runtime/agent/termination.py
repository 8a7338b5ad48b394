"""The container's termination message: how an outcome survives a gateway that is away."""

import json
import os
from pathlib import Path
from typing import Any

from mayfly_runtime.agent.messages import Result

LIMIT_BYTES = 4096
"""kubelet cuts a container's message here."""


def encode(result: Result) -> bytes:
    """The message for an ended run: its output if that fits, its error cut if it must be."""
    return _fit(
        {
            "v": 1,
            "run": result.run,
            "attempt": result.attempt,
            "outcome": result.outcome,
            "reason": result.reason,
            "error": result.error,
            "started": result.started,
            "startedAt": result.startedAt,
            "completedAt": result.completedAt,
            "activeMs": result.activeMs,
            "outputJSON": result.outputJSON,
            "outputOmitted": False,
        }
    )


def encode_unfinished(
    run: str, attempt: int, started_at: str | None, ended_at: str | None, active_ms: int
) -> bytes:
    """The message of a run that has no outcome (yet): what is known for the bill.

    Written when work is accepted, when `main()` starts, with every heartbeat, and when the pod is
    deleted under a run, so that the stamps are there even if PID 1 is killed with everything else.
    """
    return _fit(
        {
            "v": 1,
            "run": run,
            "attempt": attempt,
            "outcome": None,
            "reason": None,
            "error": "",
            "started": started_at is not None,
            "startedAt": started_at,
            "completedAt": ended_at,
            "activeMs": active_ms,
            "outputJSON": None,
            "outputOmitted": False,
        }
    )


def write(path: Path, message: bytes) -> None:
    """Replace the file's content. A file that can't be written is not the run's failure.

    It is never empty meanwhile, so that a SIGKILL in between leaves one message or the other; the
    file is a mount, which can't be replaced by renaming.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            file.write(message)
            file.truncate()
    except OSError:
        return


def _fit(fields: dict[str, Any]) -> bytes:
    text = _dump(fields)
    if len(text) > LIMIT_BYTES and fields["outputJSON"] is not None:
        fields = {**fields, "outputJSON": None, "outputOmitted": True}
        text = _dump(fields)
    while len(text) > LIMIT_BYTES and fields["error"]:
        # An escaped character takes at most 6 bytes, so this overshoots at most that often.
        keep = len(fields["error"]) - max(1, (len(text) - LIMIT_BYTES) // 6)
        fields = {**fields, "error": fields["error"][:keep]}
        text = _dump(fields)
    return text


def _dump(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
