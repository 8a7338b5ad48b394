"""What /openapi.json says of signing in and of who one is; the web UI's types are made of it."""

from __future__ import annotations

from mayfly.gateway.http.json_schema import (
    FLAG,
    MOMENT,
    MONEY,
    TEXT,
    Json,
    many,
    named,
    or_null,
    record,
)


def _exactly(**properties: Json) -> Json:
    """An object that always has all of these, and nothing else."""
    return {**record(**properties), "additionalProperties": False}


SCHEMAS: dict[str, Json] = {
    "Rights": _exactly(
        read={**FLAG, "description": "List and read predictions; a run reads its own tree."},
        run={**FLAG, "description": "Create predictions."},
        cancel={**FLAG, "description": "Cancel predictions; a run those that it has called."},
        publish={**FLAG, "description": "Create Pipelines and their versions."},
        models={**FLAG, "description": "Create Models."},
        correct={**FLAG, "description": "Correct bills."},
    ),
    "NamespaceBudget": _exactly(amount=MONEY, spent=MONEY, left=MONEY),
    "MyNamespace": _exactly(
        name=TEXT,
        rights=named("Rights"),
        budget=or_null(named("NamespaceBudget")),
    ),
    "Me": _exactly(
        name=TEXT,
        kind={"type": "string", "enum": ["user", "service_account", "run"]},
        groups=many(TEXT),
        namespace={
            **or_null(TEXT),
            "description": "Where the caller acts: that of the base URL, or else its own.",
        },
        namespaces={
            **many(named("MyNamespace")),
            "description": "Where the caller has rights, its own first.",
        },
        all_namespaces={**FLAG, "description": "Whether it may read in all namespaces at once."},
        home={**or_null(TEXT), "description": "The first namespace that it may read in."},
        expires_at={**or_null(MOMENT), "description": "When the token expires, if it says so."},
        signed_in={"type": "string", "enum": ["token", "cookie", "proxy"]},
        version={**TEXT, "description": "Of Mayfly."},
        currency=TEXT,
        warnings=many(TEXT),
    ),
    "SignInLink": _exactly(
        url={**TEXT, "format": "uri", "description": "Valid once. What follows # is secret."},
        expires_at=MOMENT,
    ),
}

BODIES: dict[tuple[str, str], tuple[str, str]] = {}

ANSWERS: dict[tuple[str, str], tuple[str, str]] = {
    ("get", "/v1/me"): ("200", "Me"),
    ("post", "/v1/sign-in-links"): ("201", "SignInLink"),
}
