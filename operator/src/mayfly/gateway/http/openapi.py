"""The OpenAPI description at /openapi.json: what the routes' signatures can't express."""

from __future__ import annotations

import re

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from mayfly.gateway.http import described_events, described_summaries, described_web
from mayfly.gateway.http.json_schema import OBJECT, TEXT, Json, named, page


def _object(required: list[str], **properties: Json) -> Json:
    return {"type": "object", "required": required, "properties": properties}


SCHEMAS: dict[str, Json] = {
    "Problem": _object(
        ["title", "detail", "status"],
        title=TEXT,
        detail=TEXT,
        status={"type": "integer"},
        type=TEXT,
        errors={"type": "array", "items": _object(["detail"], detail=TEXT, pointer=TEXT)},
    ),
    "PredictionRequest": _object(
        [],
        version={**TEXT, "description": "64 hex digits, owner/name, or owner/name:version."},
        input=OBJECT,
        webhook={**TEXT, "format": "uri"},
        webhook_events_filter={
            "type": "array",
            "items": {"enum": ["start", "output", "logs", "completed"]},
        },
    ),
    "Prediction": _object(
        ["id", "kind", "model", "version", "status", "input", "urls"],
        id=TEXT,
        kind={"enum": ["pipeline", "model"]},
        model=TEXT,
        version=TEXT,
        status={"enum": ["starting", "processing", "succeeded", "failed", "canceled"]},
        input=OBJECT,
        output={},
        logs={"type": ["string", "null"]},
        error={"type": ["string", "null"]},
        metrics=OBJECT,
        urls=_object(["get", "cancel", "stream"], get=TEXT, cancel=TEXT, stream=TEXT, web=TEXT),
    ),
    "Version": _object(
        ["id", "created_at", "cog_version", "openapi_schema"],
        id=TEXT,
        created_at={**TEXT, "format": "date-time"},
        cog_version=TEXT,
        openapi_schema=OBJECT,
    ),
    "Model": _object(
        ["url", "owner", "name", "visibility", "run_count", "latest_version"],
        url=TEXT,
        owner=TEXT,
        name=TEXT,
        description=TEXT,
        visibility={"enum": ["private", "public"]},
        run_count={"type": "integer"},
        latest_version={"anyOf": [{"$ref": "#/components/schemas/Version"}, {"type": "null"}]},
    ),
    "ModelRequest": _object(
        [],
        owner=TEXT,
        name=TEXT,
        description=TEXT,
        visibility={"enum": ["private", "public"]},
        hardware=TEXT,
        source={**TEXT, "description": "The text of a pipeline's main.py."},
        files={"type": "object", "additionalProperties": TEXT},
        entrypoint=TEXT,
        endpoint=OBJECT,
        replicate=OBJECT,
        alias=TEXT,
    ),
    "File": _object(
        ["id", "name", "content_type", "size", "etag", "checksums", "metadata", "urls"],
        id=TEXT,
        name=TEXT,
        content_type=TEXT,
        size={"type": "integer"},
        etag=TEXT,
        checksums=OBJECT,
        metadata=OBJECT,
        urls=_object(["get"], get=TEXT),
    ),
    "CorrectionRequest": _object(
        ["why"],
        cost={"type": "string", "pattern": r"^[+-]?[0-9]{1,20}(\.[0-9]{1,21})?$"},
        active_milliseconds={"type": "integer"},
        why={"type": "string", "minLength": 1, "maxLength": 1000},
    ),
    "Correction": _object(
        ["record", "cost", "why"],
        record=TEXT,
        prediction=TEXT,
        corrects=TEXT,
        cost=TEXT,
        active_milliseconds={"type": "integer"},
        currency=TEXT,
        why=TEXT,
        author=TEXT,
        recorded_at=TEXT,
        billed=OBJECT,
    ),
    "UsageSums": _object(
        ["predictions", "active_milliseconds", "cost", "currency"],
        predictions={"type": "integer"},
        active_milliseconds={"type": "integer"},
        output_items={"type": "integer"},
        input_tokens={"type": "integer"},
        output_tokens={"type": "integer"},
        cost={**TEXT, "description": "Exact decimal text."},
        currency=TEXT,
    ),
    "UsageReport": _object(
        ["from", "to", "namespace", "by", "rows", "totals"],
        **{"from": TEXT},
        to={"type": ["string", "null"]},
        namespace={"type": ["string", "null"]},
        by={"type": "array", "items": TEXT},
        rows={
            "type": "array",
            "items": {"$ref": "#/components/schemas/UsageSums"},
            "description": "Each also has the keys of `by`.",
        },
        totals={"type": "array", "items": {"$ref": "#/components/schemas/UsageSums"}},
    ),
    "UsageRecord": _object(
        ["record_id", "recorded_at", "id", "namespace", "cost", "currency"],
        record_id=TEXT,
        recorded_at={**TEXT, "format": "date-time"},
        id=TEXT,
        namespace=TEXT,
        kind={"enum": ["run", "model"]},
        model=TEXT,
        outcome=TEXT,
        active_milliseconds={"type": "integer"},
        prices={"type": "array", "items": OBJECT},
        cost=TEXT,
        currency=TEXT,
        corrects={"type": ["string", "null"]},
    ),
    "UsageExplanation": _object(
        ["id", "charges", "billed", "corrections", "cost", "downstream_cost", "total_cost"],
        id=TEXT,
        charges={"type": "array", "items": OBJECT},
        billed=TEXT,
        corrections={"type": "array", "items": {"$ref": "#/components/schemas/UsageRecord"}},
        cost=TEXT,
        downstream={"type": "array", "items": OBJECT},
        downstream_predictions={"type": "integer"},
        downstream_cost=TEXT,
        total_cost=TEXT,
        final={"type": "boolean"},
    ),
    "UsagePeriod": _object(
        ["period", "closed_at", "closed_by", "records", "sums", "sha256"],
        period={**TEXT, "description": "A month in UTC, as 2030-01."},
        closed_at={**TEXT, "format": "date-time"},
        closed_by=TEXT,
        records={"type": ["integer", "null"]},
        sums={"type": ["array", "null"], "items": OBJECT},
        sha256={"type": ["string", "null"]},
        matches={"type": "boolean"},
        now=OBJECT,
    ),
    "UsageRecords": page("UsageRecord"),
    "UsagePeriods": page("UsagePeriod"),
    "Predictions": page("Prediction"),
    "Models": page("Model"),
    "Versions": page("Version"),
    "Files": page("File"),
    **described_web.SCHEMAS,
    **described_summaries.SCHEMAS,
    **described_events.SCHEMAS,
}

BODIES: dict[tuple[str, str], tuple[str, str]] = {
    ("post", "/v1/predictions"): ("application/json", "PredictionRequest"),
    ("post", "/v1/models/{owner}/{name}/predictions"): ("application/json", "PredictionRequest"),
    ("post", "/v1/models"): ("application/json", "ModelRequest"),
    ("patch", "/v1/models/{owner}/{name}"): ("application/json", "ModelRequest"),
    ("post", "/v1/models/{owner}/{name}/versions"): ("application/json", "ModelRequest"),
    ("post", "/v1/usage/{identity}/corrections"): ("application/json", "CorrectionRequest"),
    **described_web.BODIES,
    **described_summaries.BODIES,
    **described_events.BODIES,
}
"""Request bodies: media type and schema."""

ANSWERS: dict[tuple[str, str], tuple[str, str]] = {
    ("post", "/v1/predictions"): ("201", "Prediction"),
    ("post", "/v1/models/{owner}/{name}/predictions"): ("201", "Prediction"),
    ("get", "/v1/predictions"): ("200", "Predictions"),
    ("get", "/v1/predictions/{identity}"): ("200", "Prediction"),
    ("post", "/v1/predictions/{identity}/cancel"): ("200", "Prediction"),
    ("get", "/v1/models"): ("200", "Models"),
    ("post", "/v1/models"): ("201", "Model"),
    ("get", "/v1/models/{owner}/{name}"): ("200", "Model"),
    ("patch", "/v1/models/{owner}/{name}"): ("200", "Model"),
    ("get", "/v1/models/{owner}/{name}/versions"): ("200", "Versions"),
    ("post", "/v1/models/{owner}/{name}/versions"): ("201", "Version"),
    ("get", "/v1/models/{owner}/{name}/versions/{version}"): ("200", "Version"),
    ("post", "/v1/usage/{identity}/corrections"): ("201", "Correction"),
    ("post", "/v1/files"): ("201", "File"),
    ("get", "/v1/files"): ("200", "Files"),
    ("get", "/v1/files/{file_id}"): ("200", "File"),
    ("get", "/v1/usage"): ("200", "UsageReport"),
    ("get", "/v1/usage/records"): ("200", "UsageRecords"),
    ("get", "/v1/usage/periods"): ("200", "UsagePeriods"),
    ("post", "/v1/usage/periods/{period}/close"): ("200", "UsagePeriod"),
    ("get", "/v1/usage/periods/{period}/verify"): ("200", "UsagePeriod"),
    ("get", "/v1/usage/{identity}"): ("200", "UsageExplanation"),
    ("get", "/v1/usage/explain"): ("200", "UsageExplanation"),
    **described_web.ANSWERS,
    **described_summaries.ANSWERS,
    **described_events.ANSWERS,
}
"""Responses: code and schema."""

CSV = ("/v1/usage", "/v1/usage/records", "/v1/usage/focus")
"""Responses that are also, or only, CSV."""

FORM: Json = {
    "multipart/form-data": {
        "schema": _object(
            ["content"], content={"type": "string", "format": "binary"}, metadata=TEXT
        )
    }
}


def install(app: FastAPI) -> None:
    """Install the OpenAPI document of the app."""

    def described() -> Json:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app)
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]


def _described(app: FastAPI) -> Json:
    document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(SCHEMAS)
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"token": []}]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(path, method, operation)
    return document


def _complete(path: str, method: str, operation: Json) -> None:
    # A handler that serves many paths has no argument for each of their parts.
    told = {each["name"] for each in operation.get("parameters", ())}
    for name in re.findall(r"{(\w+)}", path):
        if name not in told:
            part = {"name": name, "in": "path", "required": True, "schema": TEXT}
            operation.setdefault("parameters", []).append(part)
    body = BODIES.get((method, path))
    if body is not None:
        operation["requestBody"] = {"content": {body[0]: {"schema": named(body[1])}}}
    if (method, path) == ("post", "/v1/files"):
        operation["requestBody"] = {"content": FORM}
    answer = ANSWERS.get((method, path))
    responses: Json = {}
    if answer is not None:
        content = {"application/json": {"schema": named(answer[1])}}
        responses[answer[0]] = {"description": "Done.", "content": content}
        if path in CSV:
            content["text/csv"] = {"schema": TEXT}
    elif (method, path) in described_events.STREAMS:
        responses["200"] = _stream(described_events.STREAMS[method, path])
    elif path in CSV:
        responses["200"] = {"description": "Done.", "content": {"text/csv": {"schema": TEXT}}}
    else:
        responses["2XX"] = {"description": "Done."}
    problem = {"application/problem+json": {"schema": named("Problem")}}
    responses["default"] = {"description": "What is wrong, in words.", "content": problem}
    operation["responses"] = responses


def _stream(name: str) -> Json:
    content = {"text/event-stream": {"schema": TEXT, "x-events": named(name)}}
    return {
        "description": "Server-sent events; `x-events` describes their data.",
        "content": content,
    }
