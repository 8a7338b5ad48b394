"""Annotations and `Input(...)` as fragments of an OpenAPI schema (the table in the README)."""

import ast
from dataclasses import dataclass
from typing import Any

from mayfly_runtime.spec import constants, input_options
from mayfly_runtime.spec.input_options import SCALARS
from mayfly_runtime.spec.source import Module
from mayfly_runtime.spec.source_text import SourceError

_TYPING = ("typing.", "typing_extensions.", "collections.abc.", "builtins.", "cog.")
_FILES = {"cog.Path", "cog.File", "pathlib.Path", "pathlib.PurePath", "os.PathLike"}
_OPEN_FILE = "cog.File"
_LISTS = {"list", "List", "Sequence", "MutableSequence", "Iterable", "Collection"}
_COLLECTIONS = {
    "tuple": "tuple", "Tuple": "tuple", "set": "set", "Set": "set", "MutableSet": "set",
    "AbstractSet": "set", "frozenset": "frozenset", "FrozenSet": "frozenset",
}  # fmt: skip
_DICTS = {"dict", "Dict", "Mapping", "MutableMapping"}
_ITERATORS = {"Iterator", "AsyncIterator", "Generator", "AsyncGenerator"}
_CONCATENATE = {"ConcatenateIterator", "AsyncConcatenateIterator"}
_MAX_DEPTH = 20

USABLE = {
    "input": "an input may be str, int, float, bool, dict, Any, Literal, cog.Path, cog.File or "
    "cog.Secret, a list, set or tuple of one of these, or one of these | None",
    "output": "an output may be None, str, int, float, bool, list, dict, Any, cog.Path, a "
    "BaseModel, a dataclass or an Iterator of these",
}


class WrongTypeError(SourceError):
    """An annotation that can't be used; `kind` is a key of `USABLE`."""

    def __init__(self, error: SourceError, *, is_output: bool) -> None:
        super().__init__(error.message, error.file, error.line)
        self.kind = "output" if is_output else "input"


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
        missing = module.error(argument, f"the input {name!r} has no annotation")
        raise WrongTypeError(missing, is_output=False)
    core = _fragment(module, argument.annotation, is_output=False)
    words = input_options.read(module, default, name)
    input_options.apply(module, argument, core, words)
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
        input_options.check_default(module, argument, whole)
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
        raise WrongTypeError(module.error(node, "an input can't be None only"), is_output=False)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union(module, node, [node.left, node.right], is_output, depth)
    if isinstance(node, ast.Subscript):
        return _subscript(module, node, is_output, depth)
    known = _known(module.qualified(node), is_output=is_output)
    return _named(module, node, is_output, depth) if known is None else known


def _known(name: str, *, is_output: bool) -> dict[str, Any] | None:
    """The schema of a built-in or cog type."""
    short = _short(name)
    if short in SCALARS:
        return {"type": SCALARS[short]}
    if name in _FILES:
        file = {"type": "string", "format": "uri"}
        return {**file, "x-mayfly-type": "file"} if name == _OPEN_FILE and not is_output else file
    if name == "cog.Secret" or name.endswith("SecretStr"):
        return {"type": "string", "format": "password", "writeOnly": True, "x-cog-secret": True}
    if short in _DICTS:
        return {"type": "object"}
    if short in {"Any", "object"}:
        return {}
    if short in _LISTS or (is_output and short in _COLLECTIONS):
        return {"type": "array", "items": {}}
    if _COLLECTIONS.get(short) == "tuple":
        return {"type": "array", "items": {}, "x-mayfly-type": "tuple"}
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
        if is_output and "NamedTuple" in bases:
            fields = [each for each in definition.body if isinstance(each, ast.AnnAssign)]
            types = [_fragment(home, each.annotation, is_output=True, depth=depth + 1)
                     for each in fields]  # fmt: skip
            return _fixed(types)
        if is_output:
            return _model(home, definition, depth)
    kind = "output" if is_output else "input"
    error = module.error(node, f"{_shown(node)} can't be the type of an {kind}")
    raise WrongTypeError(error, is_output=is_output)


def _subscript(module: Module, node: ast.Subscript, is_output: bool, depth: int) -> dict[str, Any]:
    name = module.qualified(node.value)
    short = _short(name)
    arguments = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if not arguments:
        raise _unusable(module, node, is_output=is_output)
    if short in {"Optional", "Union"}:
        none = [ast.Constant(None)] if short == "Optional" else []
        return _union(module, node, [*arguments, *none], is_output, depth)
    if short == "Literal":
        return _literal(module, node, list(arguments))
    if short in _LISTS or short in _COLLECTIONS:
        kind = _COLLECTIONS.get(short, "list")
        return _collection(module, node, kind, list(arguments), is_output, depth)
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
    if name not in _FILES:
        raise _unusable(module, node, is_output=is_output)
    return {"type": "string", "format": "uri"}


def _unusable(module: Module, node: ast.expr, *, is_output: bool) -> WrongTypeError:
    error = module.error(node, f"{_shown(node)} can't be used as a type here")
    return WrongTypeError(error, is_output=is_output)


def _collection(
    module: Module,
    node: ast.Subscript,
    kind: str,
    arguments: list[ast.expr],
    is_output: bool,
    depth: int,
) -> dict[str, Any]:
    """A list, tuple, set or frozenset, all lists in JSON; the worker makes inputs what they are."""
    if kind == "list":
        items = _fragment(module, arguments[0], is_output=is_output, depth=depth + 1)
        return {"type": "array", "items": items}
    mark = {} if is_output else {"x-mayfly-type": kind}
    is_open = len(arguments) == 2 and constants.is_ellipsis(arguments[1])
    types = [
        _fragment(module, each, is_output=is_output, depth=depth + 1)
        for each in (arguments[:1] if is_open else arguments)
    ]
    if kind == "tuple":
        fragment = {"type": "array", "items": types[0]} if is_open else _fixed(types)
        if not is_output and any(each != types[0] for each in types):
            words = f"{_shown(node)}: the items of a tuple must have one type"
            raise WrongTypeError(module.error(node, words), is_output=False)
        return {**fragment, **mark}
    if is_open or len(types) != 1 or (not is_output and not _is_hashable(types[0])):
        words = f"{_shown(node)}: the items of a {kind} must be of one type that can be hashed"
        raise WrongTypeError(module.error(node, words), is_output=is_output)
    return {"type": "array", "items": types[0], **mark}


def _fixed(types: list[dict[str, Any]]) -> dict[str, Any]:
    """An array of so many items; OpenAPI 3.0 has no words for items of several types."""
    items = types[0] if types and all(each == types[0] for each in types) else {}
    return {"type": "array", "items": items, "minItems": len(types), "maxItems": len(types)}


def _is_hashable(fragment: dict[str, Any]) -> bool:
    return "enum" in fragment or fragment.get("type") in {*SCALARS.values()}


def _shown(node: ast.expr) -> str:
    shown = ast.unparse(node)
    return shown if len(shown) <= 100 else f"{shown[:100]}…"


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
        words = f"{_shown(node)}: an input has one type, or one type and None"
        raise WrongTypeError(module.error(node, words), is_output=is_output)
    inner = _fragment(module, kinds[0], is_output=is_output, depth=depth + 1)
    return inner if len(kinds) == len(members) else {**inner, "nullable": True}


def _literal(module: Module, node: ast.expr, members: list[ast.expr]) -> dict[str, Any]:
    values = [constants.read(module, member) for member in members]
    fragment = input_options.choices(module, node, [value for value in values if value is not None])
    return {**fragment, "nullable": True} if None in values else fragment


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
