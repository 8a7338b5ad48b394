"""CustomResourceDefinitions, generated from the pydantic kinds.

Kubernetes wants a *structural* schema: no `$ref`, no `anyOf` that carries types, a type at each
node. pydantic's JSON schema is turned into that; the kinds' `rules` become CEL validations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from mayfly.api.v1alpha1 import (
    GROUP,
    VERSION,
    Model,
    Pipeline,
    PipelineRun,
    PipelineRuntime,
    PipelineVersion,
)
from mayfly.api.v1alpha1.resource import Part, Resource

KINDS: tuple[type[Resource], ...] = (
    Pipeline,
    PipelineVersion,
    PipelineRun,
    PipelineRuntime,
    Model,
)

DROPPED = {"title", "$defs", "const", "discriminator", "examples"}


def crd(kind: type[Resource]) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind."""
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema(kind)},
        "additionalPrinterColumns": list(kind.columns),
    }
    if kind.has_status:
        version["subresources"] = {"status": {}}
    if kind.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": {
                "kind": kind.kind_name,
                "listKind": f"{kind.kind_name}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": [kind.short],
                "categories": ["mayfly"],
            },
            "versions": [version],
        },
    }


def schema(kind: type[Resource]) -> dict[str, Any]:
    """The structural schema of a kind."""
    raw = kind.model_json_schema(by_alias=True, mode="validation")
    rules = _rules_by_title(kind)
    built = _structural(raw, raw.get("$defs", {}), rules)
    properties = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        **{
            name: built["properties"][name]
            for name in ("spec", "status")
            if name in built["properties"]
        },
    }
    properties.get("status", {}).pop("default", None)
    root: dict[str, Any] = {
        "type": "object",
        "description": built.get("description", ""),
        "required": ["spec"],
        "properties": properties,
    }
    if kind.rules:
        root["x-kubernetes-validations"] = _validations(kind.rules)
    return root


def _validations(rules: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"rule": rule, "message": message} for rule, message in rules]


def _rules_by_title(kind: type[BaseModel]) -> dict[str, tuple[tuple[str, str], ...]]:
    return {part.__name__: part.rules for part in _parts(kind, set()) if part.rules}


def _parts(model: type[BaseModel], seen: set[type]) -> Iterator[type[Part]]:
    if model in seen:
        return
    seen.add(model)
    if issubclass(model, Part):
        yield model
    for field in model.model_fields.values():
        for inner in _models_in(field.annotation):
            yield from _parts(inner, seen)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _structural(node: Any, defs: dict[str, Any], rules: dict[str, Any]) -> dict[str, Any]:
    node = _resolved(node, defs)
    out: dict[str, Any] = {}
    for key, value in node.items():
        if key in DROPPED:
            continue
        if key == "properties":
            out[key] = {name: _structural(each, defs, rules) for name, each in value.items()}
        elif key == "items" or (key == "additionalProperties" and isinstance(value, dict)):
            out[key] = _structural(value, defs, rules)
        elif key == "default" and (value is None or value in ([], {}, "")):
            continue  # an empty default says nothing, and would be stored on every object
        elif key != "additionalProperties":
            out[key] = value
    if "description" in out:
        out["description"] += _told(out, node.get("examples", ()))
    if node.get("title") in rules and out.get("type") == "object":
        out["x-kubernetes-validations"] = _validations(rules[node["title"]])
    return out


def _told(node: dict[str, Any], examples: Sequence[Any]) -> str:
    """Examples and default as sentences: `kubectl explain` shows a description and little else."""
    default = node.get("default")
    words = f" For example: {', '.join(map(str, examples))}." if examples else ""
    if isinstance(default, (str, int, float)):
        text = str(default).lower() if isinstance(default, bool) else str(default)
        words += f" Default: {text}."
    return words


def _resolved(node: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """The node without `$ref`, `anyOf: [X, null]` and `allOf: [X]`; outer words win."""
    if "$ref" in node:
        target = defs[node["$ref"].rsplit("/", 1)[-1]]
        return _resolved({**target, **{k: v for k, v in node.items() if k != "$ref"}}, defs)
    if "anyOf" in node:
        inner = [each for each in node["anyOf"] if each.get("type") != "null"]
        outer = {k: v for k, v in node.items() if k not in {"anyOf", "title"}}
        return _resolved({**inner[0], **outer}, defs)
    return node
