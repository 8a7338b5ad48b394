"""Reads the options of an input, `Input(...)` or a plain default, into its schema."""

import ast
import re
from typing import Any

from mayfly_runtime.spec import constants, inputs
from mayfly_runtime.spec.source import Module
from mayfly_runtime.spec.source_text import SourceError

SCALARS = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_OPTIONS = {
    "default", "description", "min", "max", "ge", "le", "choices", "regex",
    "min_length", "max_length", "deprecated",
}  # fmt: skip


def choices(module: Module, node: ast.AST, values: list[Any]) -> dict[str, Any]:
    """The schema of a choice between values.

    Raises:
        SourceError: they are no strings or numbers.
    """
    kinds = {type(value) for value in values}
    if not values or not kinds <= {str, int, float, bool}:
        raise module.error(node, "choices must be strings or numbers, at least one")
    fragment: dict[str, Any] = {"enum": values}
    if len(kinds) == 1:
        fragment["type"] = SCALARS[kinds.pop().__name__]
    return fragment


def read(module: Module, default: ast.expr | None, name: str) -> dict[str, Any]:
    """The arguments of `Input(...)`, or a plain default, by their names.

    Raises:
        SourceError: one can't be read, or is unknown.
    """
    if default is None:
        return {}
    if not (isinstance(default, ast.Call) and module.qualified(default.func) == "cog.Input"):
        if constants.is_ellipsis(default):
            raise module.error(default, f"the default of {name!r} can't be ...: leave it out")
        return {"default": constants.read(module, default)}
    words: dict[str, Any] = {}
    for word, value in _expressions(module, default, name).items():
        # `...` is pydantic's "required"; words that are None say nothing, but for the default.
        if constants.is_ellipsis(value) and word == "default":
            continue
        if word == "description":
            words |= _description(module, value)
        elif (given := constants.read(module, value)) is not None or word == "default":
            words[word] = given
    if not isinstance(words.get("deprecated", False), bool):
        raise module.error(default, f"deprecated of {name!r} must be True or False")
    return words


def _expressions(module: Module, call: ast.Call, name: str) -> dict[str, ast.expr]:
    """The arguments of a call of `Input`, by their names."""
    if len(call.args) > 1:
        raise module.error(call, f"the Input of {name!r} takes one positional argument")
    found = dict(zip(["default"], call.args, strict=False))
    for keyword in call.keywords:
        if keyword.arg is None or keyword.arg not in _OPTIONS:
            known = ", ".join(sorted(_OPTIONS))
            problem = f"the Input of {name!r} has an unknown argument {keyword.arg}: use {known}"
            raise module.error(call, problem)
        found[keyword.arg] = keyword.value
    return found


def _description(module: Module, node: ast.expr) -> dict[str, str]:
    """The description, if it can be read without running the code: nothing depends on it."""
    try:
        value = constants.read(module, node)
    except SourceError:
        return {}
    return {"description": value} if isinstance(value, str) else {}


def apply(module: Module, node: ast.arg, core: dict[str, Any], words: dict[str, Any]) -> None:
    """Add bounds, choices and patterns to a parameter's schema.

    Raises:
        SourceError: they don't fit its type or each other.
    """
    kind, name = core.get("type"), node.arg
    for low, high in (("min", "ge"), ("max", "le")):
        if low in words and high in words:
            raise module.error(node, f"{name!r} has both {low} and {high}, which mean the same")
    pairs = {"minimum": ("min", "ge"), "maximum": ("max", "le")}
    for key, synonyms in pairs.items():
        for word in synonyms:
            if word in words:
                _number(module, node, kind, word, words[word])
                core[key] = words[word]
    if "minimum" in core and "maximum" in core and core["minimum"] > core["maximum"]:
        raise module.error(node, f"{name!r} has min {core['minimum']} above max {core['maximum']}")
    _apply_string_words(module, node, core, words)
    if "choices" in words:
        core |= _chosen(module, node, core, words["choices"])


def _chosen(module: Module, node: ast.arg, core: dict[str, Any], given: Any) -> dict[str, Any]:
    """The schema of the `choices` of a parameter."""
    kind, name = core.get("type"), node.arg
    if kind not in {"string", "integer", "number"} or core.get("format"):
        raise module.error(node, f"{name!r} can't have choices: it is not a str, int or float")
    if not isinstance(given, list | dict):
        raise module.error(node, f"the choices of {name!r} must be a list")
    enum = choices(module, node, list(given))["enum"]
    allowed = {int, float} if kind == "number" else {{"string": str, "integer": int}[kind]}
    if not {type(choice) for choice in enum} <= allowed:
        raise module.error(node, f"the choices of {name!r} are not all of its type")
    return {"enum": enum, "type": kind}


def _number(module: Module, node: ast.arg, kind: str | None, word: str, value: object) -> None:
    if kind not in {"integer", "number"}:
        raise module.error(node, f"{node.arg!r} can't have {word}: it is not a number")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise module.error(node, f"{word} of {node.arg!r} must be a number")


def _apply_string_words(
    module: Module, node: ast.arg, core: dict[str, Any], words: dict[str, Any]
) -> None:
    name = node.arg
    keys = {"min_length": "minLength", "max_length": "maxLength", "regex": "pattern"}
    for word, key in keys.items():
        if word not in words:
            continue
        if core.get("type") != "string" or core.get("format") == "uri":
            raise module.error(node, f"{name!r} can't have {word}: it is not a str")
        if word == "regex":
            _compile(module, node, words[word])
        elif type(words[word]) is not int or words[word] < 0:
            raise module.error(node, f"{word} of {name!r} must be a whole number, 0 or more")
        core[key] = words[word]
    if core.get("minLength", 0) > core.get("maxLength", core.get("minLength", 0)):
        raise module.error(node, f"{name!r} has min_length above max_length")


def _compile(module: Module, node: ast.arg, pattern: object) -> None:
    if not isinstance(pattern, str):
        raise module.error(node, f"the regex of {node.arg!r} must be a string")
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        message = f"the regex of {node.arg!r} is wrong: {error}"
        raise module.error(node, message) from None


def check_default(module: Module, node: ast.arg, fragment: dict[str, Any]) -> None:
    """Check the default as if it were given.

    Raises:
        SourceError: it would be refused.
    """
    document = {
        "components": {"schemas": {"Input": {"properties": {"default": fragment}}}},
    }
    if fragment.get("format") == "uri" and not isinstance(fragment["default"], str):
        raise module.error(node, f"the default of {node.arg!r} must be a URL")
    problems = inputs.check(document, {"default": fragment["default"]})
    if problems:
        raise module.error(node, f"the default of {node.arg!r} {problems[0].message}")
