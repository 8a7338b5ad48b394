"""The part of the OpenAPI document about a console's routes: events, previews, checks, pools."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

TEXT: Json = {"type": "string"}
MAYBE: Json = {"type": ["string", "null"]}
FLAG: Json = {"type": "boolean"}
COUNT: Json = {"type": "integer", "minimum": 0}
OBJECT: Json = {"type": "object", "additionalProperties": True}


def _object(optional: tuple[str, ...] = (), /, **properties: Json) -> Json:
    """An object that has all of these properties, but for the optional ones."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": properties}


def _list(item: Json) -> Json:
    return {"type": "array", "items": item}


def _of(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _maybe(schema: Json) -> Json:
    return {"anyOf": [schema, {"type": "null"}]}


SUMMARY = _object(
    id=TEXT,
    kind={"enum": ["pipeline", "model"]},
    model=TEXT,
    version=TEXT,
    status={"enum": ["starting", "processing", "succeeded", "failed", "canceled"]},
    reason=MAYBE,
    error=MAYBE,
    name=TEXT,
    namespace=TEXT,
    depth=COUNT,
    parent=MAYBE,
    root=TEXT,
    created_at={**TEXT, "format": "date-time"},
    started_at={**MAYBE, "format": "date-time"},
    completed_at={**MAYBE, "format": "date-time"},
    active_seconds={"type": ["number", "null"]},
    cost=MAYBE,
    currency=TEXT,
    inputs=_list({"type": "array", "items": TEXT, "minItems": 2, "maxItems": 2}),
    created_by=MAYBE,
    data_removed=FLAG,
)

SCHEMAS: dict[str, Json] = {
    "Summary": SUMMARY,
    "LogEvent": _object(text={**TEXT, "description": "The next piece of the log."}),
    "OutputEvent": _object(
        index={**COUNT, "description": "How many items came before."},
        items=_list({}),
    ),
    "EndEvent": {"type": "object", "properties": {}},
    "Events": {
        "description": "The data of each kind of event, by its name.",
        **_object(
            rows=_list(_of("Summary")),
            prediction=_of("Summary"),
            log=_of("LogEvent"),
            output=_of("OutputEvent"),
            tree=_list(_of("Summary")),
            end=_of("EndEvent"),
        ),
    },
    "CountedSummaries": _object(
        count={**COUNT, "description": "How many there are."},
        results={**_list(_of("Summary")), "description": "The first 100 of them."},
    ),
    "CancelPreview": _object(
        may={**FLAG, "description": "Whether a cancel by this caller would do something."},
        why_not=MAYBE,
        cancels=_of("CountedSummaries"),
        runs_on=_of("CountedSummaries"),
    ),
    "PredictionInput": OBJECT,
    "Bundle": _object(
        format={"type": "integer"},
        mayfly={**TEXT, "description": "The version that made the bundle."},
        made_at={**TEXT, "format": "date-time"},
        prediction=_of("Prediction"),
        tree=_object(results=_list(_of("Summary")), truncated=FLAG),
        source=_maybe(
            _object(
                version=TEXT,
                entrypoint=TEXT,
                files={"type": "object", "additionalProperties": TEXT},
            )
        ),
        log=_object(
            text={**TEXT, "description": "The end of the log."},
            limit={**COUNT, "description": "Bytes that this end has at most."},
            truncated={**FLAG, "description": "Whether the log began before this text."},
            dropped={**COUNT, "description": "Bytes that were not kept when the run logged them."},
        ),
        usage=_maybe(_of("UsageExplanation")),
    ),
    "SourceCheckRequest": _object(
        ("source", "files", "entrypoint"),
        source={**TEXT, "description": "The text of main.py. One of source and files."},
        files={"type": "object", "additionalProperties": TEXT},
        entrypoint={**TEXT, "description": "As file:function; main.py:main without it."},
    ),
    "SourceProblem": _object(
        ("file", "line", "pointer"),
        detail=TEXT,
        file=TEXT,
        line={"type": "integer", "minimum": 1},
        pointer=TEXT,
    ),
    "SourceCheck": _object(
        valid=FLAG,
        openapi_schema={"type": ["object", "null"], "additionalProperties": True},
        errors=_list(_of("SourceProblem")),
    ),
    "InputCheckRequest": _object(
        ("version",),
        input=OBJECT,
        version={**TEXT, "description": "The id of a version; the latest one without it."},
    ),
    "InputProblem": _object(detail=TEXT, pointer=TEXT),
    "InputCheck": _object(valid=FLAG, errors=_list(_of("InputProblem"))),
    "RuntimePrice": _object(
        meter={
            "enum": ["predictSeconds", "prediction", "outputItems", "inputTokens", "outputTokens"]
        },
        price={**TEXT, "description": "Of one unit; exact decimal text."},
        currency=TEXT,
    ),
    "Runtime": _object(
        name=TEXT,
        python=TEXT,
        packages={**_list(TEXT), "description": "Each as name==version."},
        cpu=MAYBE,
        memory=MAYBE,
        prices=_list(_of("RuntimePrice")),
        default={**FLAG, "description": "Whether a pipeline that names none gets this one."},
    ),
    "Runtimes": _list(_of("Runtime")),
    "Pool": _object(
        namespace={
            **MAYBE,
            "description": "Null if the runtime's pods wait in several; the numbers are of all.",
        },
        namespaces={**_list(TEXT), "description": "Those of them that the caller sees."},
        runtime=TEXT,
        wanted={**COUNT, "description": "How many pods wait at least."},
        waiting=COUNT,
        starting=COUNT,
        claimed=COUNT,
        problem=MAYBE,
    ),
    "StartLatencies": {
        "description": "How long runs took to start since this gateway did.",
        **_object(
            buckets=_list(
                _object(
                    le={"type": ["number", "null"], "description": "Seconds; null for any."},
                    count={**COUNT, "description": "How many took at most so long."},
                )
            ),
            count=COUNT,
            sum={"type": "number", "description": "Seconds of all of them."},
        ),
    },
    "Pools": _object(
        pools=_list(_of("Pool")),
        starts=_maybe(_of("StartLatencies")),
        hits={"type": ["integer", "null"], "description": "Null: the controller's metrics know."},
        misses={"type": ["integer", "null"]},
    ),
}

BODIES: dict[tuple[str, str], tuple[str, str]] = {
    ("post", "/v1/check"): ("application/json", "SourceCheckRequest"),
    ("post", "/v1/models/{owner}/{name}/check"): ("application/json", "InputCheckRequest"),
}

ANSWERS: dict[tuple[str, str], tuple[str, str]] = {
    ("get", "/v1/predictions/{identity}/cancel"): ("200", "CancelPreview"),
    ("get", "/v1/predictions/{identity}/input"): ("200", "PredictionInput"),
    ("get", "/v1/predictions/{identity}/bundle"): ("200", "Bundle"),
    ("post", "/v1/check"): ("200", "SourceCheck"),
    ("post", "/v1/models/{owner}/{name}/check"): ("200", "InputCheck"),
    ("get", "/v1/runtimes"): ("200", "Runtimes"),
    ("get", "/v1/pools"): ("200", "Pools"),
}

STREAMS: dict[tuple[str, str], str] = {("get", "/v1/events"): "Events"}
"""Streams of server-sent events, and the schema of their data by event."""
