"""OpenAPI documents of Pipelines and Models."""

from __future__ import annotations

from typing import Any

from mayfly.gateway.cache.directory import Directory, Entry
from mayfly.metering.ledger import RunRow

Json = dict[str, Any]

NO_VERSION = "hidden"
"""What the API shows as the version of something without a version."""


def no_schema() -> Json:
    """The document of a Model of which nothing is known: any input, any output."""
    return {
        "openapi": "3.0.2",
        "info": {"title": "Model", "version": "1"},
        "paths": {},
        "components": {
            "schemas": {
                "Input": {"type": "object", "title": "Input", "additionalProperties": True},
                "Output": {"title": "Output"},
            }
        },
    }


def of_model(directory: Directory, entry: Entry) -> Json:
    """The document of a Model's latest version; one that allows anything if it is not known yet."""
    return directory.schema_of_model(entry) or no_schema()


def of_prediction(directory: Directory, row: RunRow) -> Json:
    """The document of a prediction's version; {} if it is not known any more."""
    if row.is_run:
        version = directory.version(row.version) if row.version else None
        return version.schema if version is not None else {}
    entry = directory.model(row.pipeline_namespace, row.pipeline)
    return of_model(directory, entry) if entry is not None else {}


def is_iterator(schema: Json) -> bool:
    """Whether the output is an iterator."""
    return _output(schema).get("x-cog-array-type") == "iterator"


def gives_files(schema: Json) -> bool:
    """Whether the output is a file, or a list of files."""
    output = _output(schema)
    item = output.get("items") if output.get("type") == "array" else output
    return isinstance(item, dict) and item.get("format") == "uri"


def _output(schema: Json) -> Json:
    schemas = (schema.get("components") or {}).get("schemas") or {}
    output = schemas.get("Output")
    return output if isinstance(output, dict) else {}
