"""The part of the OpenAPI document about lists in short: predictions, a tree, the catalog."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

TEXT: Json = {"type": "string"}
MAYBE: Json = {"type": ["string", "null"]}
COUNT: Json = {"type": "integer", "minimum": 0}
MOMENT: Json = {**TEXT, "format": "date-time"}
STATUS: Json = {"enum": ["starting", "processing", "succeeded", "failed", "canceled"]}
NUMBER: Json = {"type": "number"}


def _object(**properties: Json) -> Json:
    return {"type": "object", "required": list(properties), "properties": properties}


def _list(of: str) -> Json:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{of}"}}


def _page(of: str) -> Json:
    return _object(previous=MAYBE, next={**MAYBE, "format": "uri"}, results=_list(of))


def _spread(of: Json) -> Json:
    return {"anyOf": [_object(low=of, median=of, high=of), {"type": "null"}]}


SCHEMAS: dict[str, Json] = {
    "Summaries": _page("Summary"),
    "Timeline": _object(
        id=TEXT,
        results=_list("Summary"),
        truncated={"type": "boolean"},
        total_cost={**TEXT, "description": "Of the whole tree so far, exact decimal text."},
        final={"type": "boolean"},
        currency=TEXT,
    ),
    "RecentPrediction": _object(
        id=TEXT,
        status=STATUS,
        created_at=MOMENT,
        active_seconds={"type": ["number", "null"]},
        cost=MAYBE,
    ),
    "Stats": _object(
        runs={**COUNT, "description": "How many predictions this is about: the last 50 at most."},
        succeeded=COUNT,
        failed=COUNT,
        canceled=COUNT,
        success_rate={
            "type": ["number", "null"],
            "description": "Of those that succeeded or failed.",
        },
        seconds={**_spread(NUMBER), "description": "Active time of those that succeeded."},
        cost={**_spread(TEXT), "description": "Of the trees of those that succeeded."},
        last_run_at={**MAYBE, "format": "date-time"},
        recent=_list("RecentPrediction"),
    ),
    "Card": _object(
        owner=TEXT,
        name=TEXT,
        kind={"enum": ["pipeline", "model"]},
        namespace=TEXT,
        alias=MAYBE,
        description=TEXT,
        visibility={"enum": ["private", "public"]},
        latest_version=MAYBE,
        created_at=MOMENT,
        run_count=COUNT,
        hardware=MAYBE,
        problem=MAYBE,
        stats={"$ref": "#/components/schemas/Stats"},
    ),
    "Catalog": _page("Card"),
}

BODIES: dict[tuple[str, str], tuple[str, str]] = {}

ANSWERS: dict[tuple[str, str], tuple[str, str]] = {
    ("get", "/v1/predictions/summaries"): ("200", "Summaries"),
    ("get", "/v1/predictions/{identity}/timeline"): ("200", "Timeline"),
    ("get", "/v1/models/{owner}/{name}/stats"): ("200", "Stats"),
    ("get", "/v1/catalog"): ("200", "Catalog"),
}
