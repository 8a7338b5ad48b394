"""What /openapi.json says of signing in and of who one is; the web UI's types are made of it."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

TEXT: Json = {"type": "string"}
FLAG: Json = {"type": "boolean"}
TIME: Json = {"type": "string", "format": "date-time"}
MONEY: Json = {"type": "string", "description": "Exact decimal text."}


def _all_of(**properties: Json) -> Json:
    """An object that always has all of these, and nothing else."""
    return {
        "type": "object",
        "required": list(properties),
        "properties": properties,
        "additionalProperties": False,
    }


def _or_null(schema: Json) -> Json:
    return {"anyOf": [schema, {"type": "null"}]}


def _reference(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _many(schema: Json) -> Json:
    return {"type": "array", "items": schema}


SCHEMAS: dict[str, Json] = {
    "Rights": _all_of(
        read={**FLAG, "description": "List and read predictions; a run reads its own tree."},
        run={**FLAG, "description": "Create predictions."},
        cancel={**FLAG, "description": "Cancel predictions; a run those that it has called."},
        publish={**FLAG, "description": "Create Pipelines and their versions."},
        models={**FLAG, "description": "Create Models."},
        correct={**FLAG, "description": "Correct bills."},
    ),
    "NamespaceBudget": _all_of(amount=MONEY, spent=MONEY, left=MONEY),
    "MyNamespace": _all_of(
        name=TEXT,
        rights=_reference("Rights"),
        budget=_or_null(_reference("NamespaceBudget")),
    ),
    "Me": _all_of(
        name=TEXT,
        kind={"type": "string", "enum": ["user", "service_account", "run"]},
        groups=_many(TEXT),
        namespace={
            **_or_null(TEXT),
            "description": "Where the caller acts: that of the base URL, or else its own.",
        },
        namespaces={
            **_many(_reference("MyNamespace")),
            "description": "Where the caller has rights, its own first.",
        },
        all_namespaces={**FLAG, "description": "Whether it may read in all namespaces at once."},
        home={**_or_null(TEXT), "description": "The first namespace that it may read in."},
        expires_at={**_or_null(TIME), "description": "When the token expires, if it says so."},
        signed_in={"type": "string", "enum": ["token", "cookie", "proxy"]},
        version={**TEXT, "description": "Of Mayfly."},
        currency=TEXT,
        warnings=_many(TEXT),
    ),
    "SignInLink": _all_of(
        url={**TEXT, "format": "uri", "description": "Valid once. What follows # is secret."},
        expires_at=TIME,
    ),
}

BODIES: dict[tuple[str, str], tuple[str, str]] = {}

ANSWERS: dict[tuple[str, str], tuple[str, str]] = {
    ("get", "/v1/me"): ("200", "Me"),
    ("post", "/v1/sign-in-links"): ("201", "SignInLink"),
}
