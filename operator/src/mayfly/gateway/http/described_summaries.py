"""The part of the OpenAPI document about lists in short: predictions, a tree, the catalog."""

from __future__ import annotations

from mayfly.gateway.http.json_schema import (
    COUNT,
    FLAG,
    MAYBE,
    MAYBE_MOMENT,
    MOMENT,
    STATUS,
    TEXT,
    Json,
    many,
    named,
    or_null,
    page,
    record,
)

NUMBER: Json = {"type": "number"}


def _spread(of: Json) -> Json:
    return or_null(record(low=of, median=of, high=of))


SCHEMAS: dict[str, Json] = {
    "Summaries": page("Summary"),
    "Timeline": record(
        id=TEXT,
        results=many(named("Summary")),
        truncated=FLAG,
        total_cost={**TEXT, "description": "Of the whole tree so far, exact decimal text."},
        final=FLAG,
        currency=TEXT,
    ),
    "RecentPrediction": record(
        id=TEXT,
        status=STATUS,
        created_at=MOMENT,
        active_seconds={"type": ["number", "null"]},
        cost=MAYBE,
    ),
    "Stats": record(
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
        last_run_at=MAYBE_MOMENT,
        recent=many(named("RecentPrediction")),
    ),
    "Card": record(
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
        stats=named("Stats"),
    ),
    "Catalog": page("Card"),
}

BODIES: dict[tuple[str, str], tuple[str, str]] = {}

ANSWERS: dict[tuple[str, str], tuple[str, str]] = {
    ("get", "/v1/predictions/summaries"): ("200", "Summaries"),
    ("get", "/v1/predictions/{identity}/timeline"): ("200", "Timeline"),
    ("get", "/v1/models/{owner}/{name}/stats"): ("200", "Stats"),
    ("get", "/v1/catalog"): ("200", "Catalog"),
}
