"""The `work` message: everything that an agent needs to execute a run, sent once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from mayfly.api.v1alpha1.duration import seconds
from mayfly.api.v1alpha1.pipelinerun import DEFAULT_TIMEOUT
from mayfly.config import GatewayLimits
from mayfly.gateway.cache.programs import Program
from mayfly.gateway.cache.runs import Seen
from mayfly.gateway.secrets.lookup import Unlocked
from mayfly.reconcile.deadlines import start_due
from mayfly_runtime.spec import strict_json

Json = dict[str, Any]


def shown_input(seen: Seen) -> str:
    """The run's inline input as JSON text that is inserted into an answer unchanged.

    An inputJSON that is not JSON ends its run (`InvalidInput`), and must not break a reader.
    """
    text = seen.input_text
    try:
        strict_json.parse(text, "the input")
    except ValueError:
        return "{}"
    return text


def work(
    seen: Seen,
    program: Program,
    unlocked: Unlocked,
    token: str,
    limits: GatewayLimits,
    now: datetime,
) -> Json:
    """The `work` message of a run.

    Args:
        seen: the claimed run.
        program: what it runs.
        unlocked: its secrets.
        token: the run's own token.
        limits: what the agent enforces.
        now: the time from which the remaining start deadline is counted.
    """
    run = seen.run
    namespace, name = seen.key
    remaining = start_due(run, now=now) - now
    message: Json = {
        "type": "work",
        "run": seen.uid,
        "id": run.status.id,
        "attempt": run.status.attempt,
        "namespace": namespace,
        "name": name,
        "token": token,
        "files": program.files,
        "entrypoint": program.entrypoint,
        "schema": program.schema,
        "secrets": unlocked.environment,
        "timeoutMs": round(
            seconds(run.status.timeout or run.spec.timeout or DEFAULT_TIMEOUT) * 1000
        ),
        "startWithinMs": max(1, remaining // timedelta(milliseconds=1)),
        "limits": {
            "outputBytes": limits.output_bytes,
            "fileBytes": limits.file_bytes,
            "filesBytes": limits.files_bytes,
            "logBytes": limits.log_bytes,
            "importMs": limits.import_ms,
            "fetchMs": limits.fetch_ms,
            "uploadMs": limits.upload_ms,
            "cancelGraceMs": limits.cancel_grace_ms,
        },
    }
    if unlocked.input_json is not None:
        message["inputJSON"] = unlocked.input_json
    elif run.spec.input_from is not None:
        message["inputURL"] = True
    else:
        message["inputJSON"] = seen.input_text
    return message
