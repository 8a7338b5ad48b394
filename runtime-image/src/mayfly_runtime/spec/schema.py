"""Builds the OpenAPI document of a pipeline from its source, without running it.

Everything is static: names are followed through imports, simple module constants, type
aliases and sibling files. What can't be read this way is an error that names its line.
"""

import ast
from collections.abc import Mapping
from typing import Any

from mayfly_runtime.spec import annotations as types
from mayfly_runtime.spec.source import Module
from mayfly_runtime.spec.source_text import SourceError, source_text

__all__ = ["SourceError", "build", "functions", "split_entrypoint"]

_RESERVED = {"Input", "Output"}
_MAX_TOLD = 10
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def build(files: Mapping[str, str], entrypoint: str) -> dict[str, Any]:
    """The document with `components.schemas.{Input,Output}`.

    Raises:
        SourceError: a syntax error, no such function, or something that can't be expressed.
    """
    file, name = split_entrypoint(entrypoint)
    if file not in files:
        words = f"the entrypoint {entrypoint!r} names a file that does not exist"
        raise SourceError(words, file, 0)
    files = {each: source_text(each, text) for each, text in files.items()}
    try:
        module = Module(file, files)
        module.read_imports()
        function = _function(module, name)
        problems: list[SourceError] = []
        schemas = _input_schemas(module, function, problems)
        try:
            schemas["Output"] = types.output(module, function.returns)
        except SourceError as error:
            problems.append(error)
        if problems:
            raise _together(problems)
    except RecursionError:
        raise SourceError("the source is nested too deeply", file, 0) from None
    return {
        "openapi": "3.0.2",
        "info": {"title": "Cog", "version": "0.1.0"},
        "paths": {},
        "components": {"schemas": schemas},
    }


def split_entrypoint(entrypoint: str) -> tuple[str, str]:
    """`main.py:main` as file and function.

    Raises:
        SourceError: it has another shape.
    """
    file, colon, name = entrypoint.partition(":")
    if not (colon and name.isidentifier() and file.endswith(".py")):
        raise SourceError(f"the entrypoint {entrypoint!r} must have the form main.py:main", file, 0)
    return file, name


def functions(module: Module) -> list[str]:
    """The functions at a module's top level, for messages."""
    return [node.name for node in module.tree.body if isinstance(node, _Function)]


def _function(module: Module, name: str) -> _Function:
    found: _Function | None = None
    for node in module.tree.body:
        if isinstance(node, ast.ClassDef) and (node.name == name or _is_predictor(module, node)):
            raise module.error(
                node,
                f"{node.name} is a class: a pipeline has no setup, write a function {name}()"
                if node.name != name
                else f"{name} is a class: a pipeline has no setup, write a function",
            )
        if isinstance(node, _Function) and node.name == name:
            found = node
    if found is not None:
        module.check_function(found)
        return found
    there = functions(module)
    listed = f"it has {', '.join(there)}" if there else "it has no function at its top level"
    raise SourceError(f"there is no function {name} in {module.file}: {listed}", module.file, 0)


def _is_predictor(module: Module, node: ast.ClassDef) -> bool:
    names = {module.qualified(base) for base in node.bases}
    return bool(names & {"cog.BasePredictor", "cog.BaseRunner"})


def _together(problems: list[SourceError]) -> SourceError:
    """All that is wrong with a signature, so that an author need not find one after the other."""
    told = list(dict.fromkeys(each.message for each in problems))
    kinds = dict.fromkeys(e.kind for e in problems if isinstance(e, types.WrongTypeError))
    more = [f"and {len(told) - _MAX_TOLD} more"] if len(told) > _MAX_TOLD else []
    words = "; ".join([*told[:_MAX_TOLD], *more, *(types.USABLE[kind] for kind in kinds)])
    return SourceError(words, problems[0].file, problems[0].line)


def _input_schemas(
    module: Module, function: _Function, problems: list[SourceError]
) -> dict[str, Any]:
    """The schemas of the parameters; what is wrong with any goes to `problems`."""
    arguments = function.args
    for extra, mark in ((arguments.vararg, "*"), (arguments.kwarg, "**")):
        if extra is not None:
            words = f"{function.name}() takes {mark}{extra.arg}: name each input"
            problems.append(module.error(extra, words))
    if arguments.posonlyargs:
        problems.append(module.error(function, f"{function.name}() has positional-only inputs"))
        return {}
    properties: dict[str, Any] = {}
    required: list[str] = []
    schemas: dict[str, Any] = {}
    for order, (argument, default) in enumerate(_parameters(arguments)):
        try:
            prop = types.input_property(module, argument, default, order)
        except SourceError as error:
            problems.append(error)
            continue
        properties[argument.arg] = prop.fragment
        if prop.choices is not None:
            name = argument.arg if argument.arg not in _RESERVED else f"{argument.arg}Choices"
            schemas[name] = prop.choices
            prop.fragment["allOf"] = [{"$ref": f"#/components/schemas/{name}"}]
        if prop.required:
            required.append(argument.arg)
    document: dict[str, Any] = {"title": "Input", "type": "object", "properties": properties}
    if required:
        document["required"] = required
    return {"Input": document, **schemas}


def _parameters(arguments: ast.arguments) -> list[tuple[ast.arg, ast.expr | None]]:
    missing = len(arguments.args) - len(arguments.defaults)
    defaults: list[ast.expr | None] = [None] * missing + list(arguments.defaults)
    return [
        *zip(arguments.args, defaults, strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
