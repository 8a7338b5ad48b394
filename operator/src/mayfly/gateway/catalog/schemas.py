"""OpenAPI documents of what can be called, and what they say of an output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mayfly.gateway.cache.directory import Directory, Entry
from mayfly.metering.ledger import RunRow

Json = dict[str, Any]


def no_schema(_entry: Entry) -> Json:
    """The document of a Model of which nothing is known: anything in, anything out."""
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


class Schemas:
    """Finds the document of a version, a Model or a prediction."""

    def __init__(self, directory: Directory, of_model: Callable[[Entry], Json] = no_schema) -> None:
        """Get ready.

        Args:
            directory: what there is.
            of_model: the document of a Model's latest version.
        """
        self._directory = directory
        self.of_model = of_model

    def of_prediction(self, row: RunRow) -> Json:
        """The document that a prediction's output follows; {} where nobody knows it any more."""
        if row.is_run:
            version = self._directory.version(row.version) if row.version else None
            return version.schema if version is not None else {}
        entry = self._directory.model(row.pipeline_namespace, row.pipeline)
        return self.of_model(entry) if entry is not None else {}


def is_iterator(schema: Json) -> bool:
    """Whether an output comes item by item."""
    return _output(schema).get("x-cog-array-type") == "iterator"


def gives_files(schema: Json) -> bool:
    """Whether an output is a file, or a list of files."""
    output = _output(schema)
    item = output.get("items") if output.get("type") == "array" else output
    return isinstance(item, dict) and item.get("format") == "uri"


def _output(schema: Json) -> Json:
    schemas = (schema.get("components") or {}).get("schemas") or {}
    output = schemas.get("Output")
    return output if isinstance(output, dict) else {}
