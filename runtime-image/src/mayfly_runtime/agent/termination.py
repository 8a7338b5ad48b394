"""The container's termination message: keeps the outcome while the gateway is unavailable."""

import json
import os
from pathlib import Path
from typing import Any

from mayfly_runtime.agent.messages import Result

LIMIT_BYTES = 4096
"""The kubelet truncates a container's message to this size."""


def encode(result: Result) -> bytes:
    """The message of an ended run: with its output if it fits, and its error truncated to fit."""
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
    """The message of a run without an outcome (yet): what is needed to bill it.

    Written when work is accepted, when `main()` starts, with every heartbeat, and when the pod is
    deleted during a run, so that the timestamps survive a SIGKILL of all processes.
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
    """Replace the file's content. If the file can't be written, the run does not fail.

    The file is never empty in between, so a SIGKILL leaves either the old or the new message. It is
    a mount, so it can't be replaced by renaming.
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
        # An escaped character takes up to 6 bytes, so several rounds may be needed.
        keep = len(fields["error"]) - max(1, (len(text) - LIMIT_BYTES) // 6)
        fields = {**fields, "error": fields["error"][:keep]}
        text = _dump(fields)
    return text


def _dump(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
