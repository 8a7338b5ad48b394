"""The API's JSON as Replicate's clients want it, and URLs in the reader's own base.

Inputs and outputs are JSON text that user code made; they are put in as they are, so that 1.0
stays 1.0, a long integer whole and keys in order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.requests import Request

from mayfly.api.v1alpha1.identity import run_id
from mayfly.clock import rfc3339
from mayfly.gateway.http.rawjson import RawJSON
from mayfly.gateway.lifecycle.states import ENDS, State
from mayfly.metering.ledger import RunRow

HOST = re.compile(r"[A-Za-z0-9.\-_]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")
NAMESPACE = re.compile(r"/ns/([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)$")
NO_VERSION = "hidden"


def base_of(request: Request, namespace: str | None) -> str:
    """The base URL that this reader uses: what it, or the proxy before us, calls us.

    A forwarded host that is no host is not taken: it would end up in links.
    """
    headers = request.headers
    host = headers.get("x-forwarded-host", "").partition(",")[0].strip()
    if not HOST.fullmatch(host):
        host = headers.get("host", "")
    if not HOST.fullmatch(host):
        host = request.url.netloc
    scheme = headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    if scheme not in {"http", "https"}:
        scheme = request.url.scheme
    return f"{scheme}://{host}" + (f"/ns/{namespace}" if namespace else "")


def host_of(base: str) -> str:
    """A base URL without the namespace in it: file links need none."""
    return NAMESPACE.sub("", base)


def prediction(
    row: RunRow,
    state: State,
    *,
    input_json: str | None,
    output: str | None,
    logs: str | None,
    cost: str | None,
    base: str,
    stream: str,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The prediction object, field by field.

    Args:
        row: the run.
        state: the word of the API.
        input_json: the input's text, with links.
        output: the output's text, with links.
        logs: the end of the log.
        cost: the run's own cost, once it is known.
        base: the reader's base URL.
        stream: where its events are read.
        extra: further members: what only some predictions have.
    """
    url = f"{base}/v1/predictions/{row.id}"
    ended = state in ENDS
    return {
        "id": row.id,
        "model": row.called or f"{row.pipeline_namespace}/{row.pipeline or row.name}",
        "version": row.version or NO_VERSION,
        "status": state.value,
        "input": RawJSON(input_json or "{}"),
        "output": RawJSON(output or "null"),
        "logs": None if row.data_removed else logs,
        "error": _error(row) if ended and state is not State.SUCCEEDED else None,
        "metrics": _metrics(row) if ended else {},
        "created_at": rfc3339(row.created_at),
        "started_at": _stamp(row.started_at),
        "completed_at": _stamp(row.completed_at) if ended else None,
        "urls": {
            "get": url,
            "cancel": f"{url}/cancel",
            "web": f"{host_of(base)}/ui/predictions/{row.id}",
            "stream": stream,
        },
        "data_removed": row.data_removed,
        "source": "api",
        "namespace": row.namespace,
        "name": row.name,
        "depth": row.depth,
        "parent": run_id(row.parent_uid) if row.parent_uid else None,
        "root": run_id(row.root_uid),
        "reason": row.reason if ended else None,
        "cost": cost,
        "currency": row.currency,
        **(extra or {}),
    }


def _error(row: RunRow) -> str | None:
    return None if row.data_removed else row.error


def _metrics(row: RunRow) -> dict[str, float]:
    metrics: dict[str, float] = {"predict_time": row.active_ms / 1000}
    if row.input_tokens:
        metrics["input_token_count"] = row.input_tokens
    if row.output_tokens:
        metrics["output_token_count"] = row.output_tokens
    if row.completed_at is not None:
        metrics["total_time"] = max(0.0, (row.completed_at - row.created_at).total_seconds())
    return metrics


def _stamp(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
