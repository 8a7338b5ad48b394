"""The part of the OpenAPI document about a console's routes: events, previews, checks, pools."""

from __future__ import annotations

from mayfly.gateway.http.json_schema import (
    COUNT,
    FLAG,
    MAYBE,
    MAYBE_MOMENT,
    MOMENT,
    OBJECT,
    STATUS,
    TEXT,
    Json,
    many,
    named,
    or_null,
    record,
)

SUMMARY = record(
    id=TEXT,
    kind={"enum": ["pipeline", "model"]},
    model=TEXT,
    version=TEXT,
    status=STATUS,
    reason=MAYBE,
    error=MAYBE,
    name=TEXT,
    namespace=TEXT,
    depth=COUNT,
    parent=MAYBE,
    root=TEXT,
    created_at=MOMENT,
    started_at=MAYBE_MOMENT,
    completed_at=MAYBE_MOMENT,
    active_seconds={"type": ["number", "null"]},
    cost=MAYBE,
    currency=TEXT,
    inputs=many({"type": "array", "items": TEXT, "minItems": 2, "maxItems": 2}),
    created_by=MAYBE,
    data_removed=FLAG,
)

SCHEMAS: dict[str, Json] = {
    "Summary": SUMMARY,
    "LogEvent": record(text={**TEXT, "description": "The next piece of the log."}),
    "OutputEvent": record(
        index={**COUNT, "description": "How many items came before."},
        items=many({}),
    ),
    "EndEvent": {"type": "object", "properties": {}},
    "Events": {
        "description": "The data of each kind of event, by its name.",
        **record(
            rows=many(named("Summary")),
            prediction=named("Summary"),
            log=named("LogEvent"),
            output=named("OutputEvent"),
            tree=many(named("Summary")),
            end=named("EndEvent"),
        ),
    },
    "CountedSummaries": record(
        count={**COUNT, "description": "How many there are."},
        results={**many(named("Summary")), "description": "The first 100 of them."},
    ),
    "CancelPreview": record(
        may={**FLAG, "description": "Whether a cancel by this caller would do something."},
        why_not=MAYBE,
        cancels=named("CountedSummaries"),
        runs_on=named("CountedSummaries"),
    ),
    "PredictionInput": OBJECT,
    "Bundle": record(
        format={"type": "integer"},
        mayfly={**TEXT, "description": "The version that made the bundle."},
        made_at=MOMENT,
        prediction=named("Prediction"),
        tree=record(results=many(named("Summary")), truncated=FLAG),
        source=or_null(
            record(
                version=TEXT,
                entrypoint=TEXT,
                files={"type": "object", "additionalProperties": TEXT},
            )
        ),
        log=record(
            text={**TEXT, "description": "The end of the log."},
            limit={**COUNT, "description": "Bytes that this end has at most."},
            truncated={**FLAG, "description": "Whether the log began before this text."},
            dropped={**COUNT, "description": "Bytes that were not kept when the run logged them."},
        ),
        usage=or_null(named("UsageExplanation")),
    ),
    "SourceCheckRequest": record(
        ("source", "files", "entrypoint"),
        source={**TEXT, "description": "The text of main.py. One of source and files."},
        files={"type": "object", "additionalProperties": TEXT},
        entrypoint={**TEXT, "description": "As file:function; main.py:main without it."},
    ),
    "SourceProblem": record(
        ("file", "line", "pointer"),
        detail=TEXT,
        file=TEXT,
        line={"type": "integer", "minimum": 1},
        pointer=TEXT,
    ),
    "SourceCheck": record(
        valid=FLAG,
        openapi_schema={"type": ["object", "null"], "additionalProperties": True},
        errors=many(named("SourceProblem")),
    ),
    "InputCheckRequest": record(
        ("version",),
        input=OBJECT,
        version={**TEXT, "description": "The id of a version; the latest one without it."},
    ),
    "InputProblem": record(detail=TEXT, pointer=TEXT),
    "InputCheck": record(valid=FLAG, errors=many(named("InputProblem"))),
    "RuntimePrice": record(
        meter={
            "enum": ["predictSeconds", "prediction", "outputItems", "inputTokens", "outputTokens"]
        },
        price={**TEXT, "description": "Of one unit; exact decimal text."},
        currency=TEXT,
    ),
    "Runtime": record(
        name=TEXT,
        python=TEXT,
        packages={**many(TEXT), "description": "Each as name==version."},
        cpu=MAYBE,
        memory=MAYBE,
        prices=many(named("RuntimePrice")),
        default={**FLAG, "description": "Whether a pipeline that names none gets this one."},
    ),
    "Runtimes": many(named("Runtime")),
    "Pool": record(
        namespace={
            **MAYBE,
            "description": "Null if the runtime's pods wait in several; the numbers are of all.",
        },
        namespaces={**many(TEXT), "description": "Those of them that the caller sees."},
        runtime=TEXT,
        wanted={**COUNT, "description": "How many pods wait at least."},
        waiting=COUNT,
        starting=COUNT,
        claimed=COUNT,
        problem=MAYBE,
    ),
    "StartLatencies": {
        "description": "How long runs took to start since this gateway did.",
        **record(
            buckets=many(
                record(
                    le={"type": ["number", "null"], "description": "Seconds; null for any."},
                    count={**COUNT, "description": "How many took at most so long."},
                )
            ),
            count=COUNT,
            sum={"type": "number", "description": "Seconds of all of them."},
        ),
    },
    "Pools": record(
        pools=many(named("Pool")),
        starts=or_null(named("StartLatencies")),
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
