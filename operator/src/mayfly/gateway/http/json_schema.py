"""Words of JSON Schema, of which the parts of the OpenAPI document are made."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

TEXT: Json = {"type": "string"}
MAYBE: Json = {"type": ["string", "null"]}
FLAG: Json = {"type": "boolean"}
COUNT: Json = {"type": "integer", "minimum": 0}
OBJECT: Json = {"type": "object", "additionalProperties": True}
MOMENT: Json = {"type": "string", "format": "date-time"}
MAYBE_MOMENT: Json = {"type": ["string", "null"], "format": "date-time"}
MONEY: Json = {"type": "string", "description": "Exact decimal text."}
STATUS: Json = {"enum": ["starting", "processing", "succeeded", "failed", "canceled"]}


def record(optional: tuple[str, ...] = (), /, **properties: Json) -> Json:
    """An object that has all of these properties, but for the optional ones."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": properties}


def many(item: Json) -> Json:
    """A list."""
    return {"type": "array", "items": item}


def named(name: str) -> Json:
    """A component's schema, by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def or_null(schema: Json) -> Json:
    """What a schema says, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def page(of: str) -> Json:
    """A page of a list of components."""
    link = {**MAYBE, "format": "uri"}
    return record(previous=link, next=link, results=many(named(of)))
