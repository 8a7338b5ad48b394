"""Annotations and `Input(...)` as fragments of an OpenAPI schema (the table in the README)."""

import ast
import re
from dataclasses import dataclass
from typing import Any

from mayfly_runtime.spec import constants, inputs
from mayfly_runtime.spec.source import Module, SourceError

_SCALARS = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_TYPING = ("typing.", "typing_extensions.", "collections.abc.", "builtins.", "cog.")
_FILES = {"cog.Path", "cog.File", "pathlib.Path", "pathlib.PurePath", "os.PathLike"}
_LISTS = {"list", "List", "Sequence", "Iterable", "tuple", "Tuple", "set", "Set", "frozenset"}
_DICTS = {"dict", "Dict", "Mapping", "MutableMapping"}
_ITERATORS = {"Iterator", "AsyncIterator", "Generator", "AsyncGenerator"}
_CONCATENATE = {"ConcatenateIterator", "AsyncConcatenateIterator"}
_INPUT_WORDS = {
    "default", "description", "min", "max", "ge", "le", "choices", "regex",
    "min_length", "max_length", "deprecated",
}  # fmt: skip
_MAX_DEPTH = 20


@dataclass(slots=True)
class Property:
    """One input: its schema, the choices that get a schema of their own, required or not."""

    fragment: dict[str, Any]
    choices: dict[str, Any] | None
    required: bool


def input_property(
    module: Module, argument: ast.arg, default: ast.expr | None, order: int
) -> Property:
    """The property of one parameter.

    Raises:
        SourceError: the annotation or the default can't be used.
    """
    name = argument.arg
    if argument.annotation is None:
        raise module.error(argument, f"the input {name!r} has no annotation")
    core = _fragment(module, argument.annotation, is_output=False)
    words = _input_words(module, default, name)
    _apply_words(module, argument, core, words)
    enum = core.pop("enum", None)
    fragment: dict[str, Any] = {"title": name.replace("_", " ").title(), "x-order": order}
    fragment |= {key: words[key] for key in ("description", "deprecated") if key in words}
    choices = None
    if enum is not None:
        choices = {"title": name, "description": "An enumeration.", "enum": enum}
        choices |= {"type": core.pop("type")} if "type" in core else {}
    fragment |= core
    required = False
    if "default" not in words:
        required = not fragment.get("nullable") and core.get("type") != "boolean"
        if core.get("type") == "boolean" and not fragment.get("nullable"):
            fragment["default"] = False
    elif words["default"] is None:
        # `seed: int = Input(default=None)` is how many write an optional input.
        fragment["nullable"] = True
    else:
        fragment["default"] = words["default"]
        whole = fragment if enum is None else {**fragment, "enum": enum, **(choices or {})}
        _check_default(module, argument, whole)
    return Property(fragment, choices, required)


def output(module: Module, annotation: ast.expr | None) -> dict[str, Any]:
    """The schema of what `main()` returns; without an annotation, anything.

    Raises:
        SourceError: the annotation can't be used.
    """
    fragment: dict[str, Any] = {}
    if annotation is not None:
        fragment = _fragment(module, annotation, is_output=True)
    return {"title": "Output", **fragment}


def _fragment(module: Module, node: ast.expr, *, is_output: bool, depth: int = 0) -> dict[str, Any]:
    if depth > _MAX_DEPTH:
        raise module.error(node, "this annotation refers to itself")
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        node = _parse_string(module, node)
    if isinstance(node, ast.Constant) and node.value is None:
        if is_output:
            return {"nullable": True}
        raise module.error(node, "an input can't be None only")
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union(module, node, [node.left, node.right], is_output, depth)
    if isinstance(node, ast.Subscript):
        return _subscript(module, node, is_output, depth)
    known = _known(module.qualified(node), is_output=is_output)
    return _named(module, node, is_output, depth) if known is None else known


def _known(name: str, *, is_output: bool) -> dict[str, Any] | None:
    """The schema of a built-in or cog type."""
    short = _short(name)
    if short in _SCALARS:
        return {"type": _SCALARS[short]}
    if name in _FILES:
        return {"type": "string", "format": "uri"}
    if name == "cog.Secret" or name.endswith("SecretStr"):
        return {"type": "string", "format": "password", "writeOnly": True, "x-cog-secret": True}
    if short in _DICTS:
        return {"type": "object"}
    if short in {"Any", "object"}:
        return {}
    if short in _LISTS:
        return {"type": "array", "items": {}}
    if is_output and short in _ITERATORS | _CONCATENATE:
        return _iterator(short, {"type": "string"} if short in _CONCATENATE else {})
    return None


def _named(module: Module, node: ast.expr, is_output: bool, depth: int) -> dict[str, Any]:
    """The schema of one of the author's own names: an alias or a model."""
    if (found := module.alias(node)) is not None:
        return _fragment(found[0], found[1], is_output=is_output, depth=depth + 1)
    if (defined := module.class_named(node)) is not None:
        home, definition = defined
        bases = {_short(home.qualified(base)) for base in definition.bases}
        if "TypedDict" in bases:
            return {"type": "object"}
        if is_output:
            return _model(home, definition, depth)
    shown = ast.unparse(node)
    kind = "output" if is_output else "input"
    raise module.error(node, f"{shown} can't be the type of an {kind}")


def _subscript(module: Module, node: ast.Subscript, is_output: bool, depth: int) -> dict[str, Any]:
    name = module.qualified(node.value)
    short = _short(name)
    arguments = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if short == "Optional":
        inner = _fragment(module, arguments[0], is_output=is_output, depth=depth + 1)
        return {**inner, "nullable": True}
    if short == "Union":
        return _union(module, node, list(arguments), is_output, depth)
    if short == "Literal":
        return _literal(module, node, list(arguments))
    if short in _LISTS:
        items = _fragment(module, arguments[0], is_output=is_output, depth=depth + 1)
        return {"type": "array", "items": items}
    if short in _DICTS:
        fragment: dict[str, Any] = {"type": "object"}
        if is_output and len(arguments) == 2:
            values = _fragment(module, arguments[1], is_output=True, depth=depth + 1)
            fragment |= {"additionalProperties": values} if values else {}
        return fragment
    if is_output and short in _ITERATORS | _CONCATENATE:
        items = _fragment(module, arguments[0], is_output=True, depth=depth + 1)
        if short in _CONCATENATE and items.get("type") != "string":
            raise module.error(node, "a ConcatenateIterator must be of str")
        return _iterator(short, items)
    if name in _FILES:
        return {"type": "string", "format": "uri"}
    raise module.error(node, f"{ast.unparse(node)} can't be used as a type here")


def _iterator(short: str, items: dict[str, Any]) -> dict[str, Any]:
    fragment = {"type": "array", "items": items, "x-cog-array-type": "iterator"}
    if short in _CONCATENATE:
        fragment["x-cog-array-display"] = "concatenate"
    return fragment


def _union(
    module: Module, node: ast.expr, members: list[ast.expr], is_output: bool, depth: int
) -> dict[str, Any]:
    kinds = [m for m in members if not (isinstance(m, ast.Constant) and m.value is None)]
    if len(kinds) > 1 and is_output:
        return {"nullable": True} if len(kinds) < len(members) else {}
    if len(kinds) != 1:
        shown = ast.unparse(node)
        raise module.error(node, f"{shown}: an input has one type, or one type and None")
    inner = _fragment(module, kinds[0], is_output=is_output, depth=depth + 1)
    return inner if len(kinds) == len(members) else {**inner, "nullable": True}


def _literal(module: Module, node: ast.expr, members: list[ast.expr]) -> dict[str, Any]:
    values = [constants.read(module, member) for member in members]
    fragment = _enum(module, node, [value for value in values if value is not None])
    return {**fragment, "nullable": True} if None in values else fragment


def _enum(module: Module, node: ast.AST, values: list[Any]) -> dict[str, Any]:
    kinds = {type(value) for value in values}
    if not values or not kinds <= {str, int, float, bool}:
        raise module.error(node, "choices must be strings or numbers, at least one")
    fragment: dict[str, Any] = {"enum": values}
    if len(kinds) == 1:
        fragment["type"] = _SCALARS[kinds.pop().__name__]
    return fragment


def _model(module: Module, definition: ast.ClassDef, depth: int) -> dict[str, Any]:
    """A BaseModel (or any class with annotated fields) as an object schema, inlined."""
    properties: dict[str, Any] = {}
    required: list[str] = []
    for base in definition.bases:
        inherited = module.class_named(base)
        if inherited is not None:
            parent = _model(*inherited, depth + 1)
            properties |= parent["properties"]
            required += parent.get("required", [])
    for node in definition.body:
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
            continue
        name = node.target.id
        fragment = _fragment(module, node.annotation, is_output=True, depth=depth + 1)
        properties[name] = {"title": name.replace("_", " ").title(), **fragment}
        if node.value is None and not fragment.get("nullable"):
            required.append(name)
    if not properties:
        raise module.error(definition, f"{definition.name} can't be an output: it has no fields")
    found: dict[str, Any] = {"type": "object", "properties": properties}
    return {**found, "required": required} if required else found


def _input_words(module: Module, default: ast.expr | None, name: str) -> dict[str, Any]:
    """The arguments of `Input(...)`, or a plain default."""
    if default is None:
        return {}
    if not (isinstance(default, ast.Call) and module.qualified(default.func) == "cog.Input"):
        if constants.is_ellipsis(default):
            raise module.error(default, f"the default of {name!r} can't be ...: leave it out")
        return {"default": constants.read(module, default)}
    if len(default.args) > 1:
        raise module.error(default, f"the Input of {name!r} takes one positional argument")
    found: dict[str, ast.expr] = {}
    if default.args:
        found["default"] = default.args[0]
    for keyword in default.keywords:
        if keyword.arg not in _INPUT_WORDS:
            problem = f"the Input of {name!r} has an unknown argument {keyword.arg}"
            raise module.error(default, problem)
        found[keyword.arg] = keyword.value
    words: dict[str, Any] = {}
    for word, value in found.items():
        # `...` is pydantic's "required"; words that are None say nothing, but for the default.
        if constants.is_ellipsis(value) and word == "default":
            continue
        if word == "description":
            words |= _description(module, value)
        elif (read := constants.read(module, value)) is not None or word == "default":
            words[word] = read
    if not isinstance(words.get("deprecated", False), bool):
        raise module.error(default, f"deprecated of {name!r} must be True or False")
    return words


def _description(module: Module, node: ast.expr) -> dict[str, str]:
    """The description, if it can be read without running the code: nothing depends on it."""
    try:
        value = constants.read(module, node)
    except SourceError:
        return {}
    return {"description": value} if isinstance(value, str) else {}


def _apply_words(
    module: Module, node: ast.arg, core: dict[str, Any], words: dict[str, Any]
) -> None:
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
        if kind not in {"string", "integer", "number"} or core.get("format"):
            raise module.error(node, f"{name!r} can't have choices: it is not a str, int or float")
        if not isinstance(words["choices"], list | dict):
            raise module.error(node, f"the choices of {name!r} must be a list")
        enum = _enum(module, node, list(words["choices"]))
        allowed = {int, float} if kind == "number" else {{"string": str, "integer": int}[kind]}
        if not {type(choice) for choice in enum["enum"]} <= allowed:
            raise module.error(node, f"the choices of {name!r} are not all of its type")
        core |= {"enum": enum["enum"], "type": kind}


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
    try:
        re.compile(str(pattern))
    except (re.error, RecursionError, OverflowError) as error:
        message = f"the regex of {node.arg!r} is wrong: {error}"
        raise module.error(node, message) from None


def _check_default(module: Module, node: ast.arg, fragment: dict[str, Any]) -> None:
    document = {
        "components": {"schemas": {"Input": {"properties": {"default": fragment}}}},
    }
    if fragment.get("format") == "uri" and not isinstance(fragment["default"], str):
        raise module.error(node, f"the default of {node.arg!r} must be a URL")
    problems = inputs.check(document, {"default": fragment["default"]})
    if problems:
        raise module.error(node, f"the default of {node.arg!r} {problems[0].message}")


def _parse_string(module: Module, node: ast.Constant) -> ast.expr:
    try:
        parsed = ast.parse(str(node.value), mode="eval").body
    except SyntaxError:
        raise module.error(node, f"the annotation {node.value!r} can't be read") from None
    for inner in ast.walk(parsed):
        if hasattr(inner, "lineno"):
            inner.lineno = node.lineno
    return parsed


def _short(name: str) -> str:
    for prefix in _TYPING:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name
