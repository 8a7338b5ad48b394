"""Evaluates constant expressions of a source without running it, within bounds of size and time.

What comes out is JSON that every parser reads back as the same value: no NaN or Infinity, no
integer that a 64-bit reader would round, no half of a surrogate pair.
"""

import ast
import math
import operator
from collections.abc import Callable, Iterable
from typing import Any

from mayfly_runtime.spec.source import Module
from mayfly_runtime.spec.source_text import SourceError

MAX_BITS = 1024
"""Of an integer on the way to a value."""

MAX_LENGTH = 100_000
"""Characters or items of a computed value."""

MAX_WEIGHT = 2**20
"""Characters and items of a whole value."""

_MAX_ALIASES = 20
_LITERAL = "this value can't be read without running the code: write a literal"
_TOO_LARGE = "this value is too large"

_OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.BitXor: operator.xor,
}
_SIGNS: dict[type[ast.AST], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "list": list, "tuple": tuple, "sorted": sorted, "set": set, "frozenset": frozenset,
    "range": range, "len": len, "min": min, "max": max, "abs": abs, "int": int, "float": float,
    "str": str,
}  # fmt: skip
_OF_SCALARS = {"sorted", "min", "max", "set", "frozenset"}
_METHODS: dict[type, set[str]] = {
    dict: {"keys", "values", "items"},
    str: {"strip", "lstrip", "rstrip", "lower", "upper", "title", "capitalize", "split"},
}
_KNOWN = {
    "sys.maxsize": 2**63 - 1,
    "math.pi": math.pi,
    "math.e": math.e,
    "math.tau": math.tau,
    "math.inf": math.inf,
    "math.nan": math.nan,
}
_SEQUENCES = (str, list, tuple, range)


def read(module: Module, node: ast.expr) -> Any:
    """The value of a constant expression, as JSON.

    Raises:
        SourceError: it can't be known without running the code, or JSON can't hold it.
    """
    value = _value(module, node, 0)
    try:
        return _Json().of(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise module.error(node, str(error)) from None


def is_ellipsis(node: ast.expr) -> bool:
    """Whether this is `...`, which is no value, but says that there is none."""
    return isinstance(node, ast.Constant) and node.value is ...


def _value(module: Module, node: ast.expr, depth: int) -> Any:
    if depth > _MAX_ALIASES:
        raise module.error(node, "this refers to itself")
    try:
        return _bounded(_evaluated(module, node, depth))
    except SourceError:
        raise
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise module.error(node, str(error)[:200]) from None


def _evaluated(module: Module, node: ast.expr, depth: int) -> Any:
    match node:
        case ast.Constant(value=None | bool() | int() | float() | str() as value):
            return value
        case ast.List() | ast.Tuple() | ast.Set():
            return _display(module, node, depth)
        case ast.Dict():
            return _dict(module, node, depth)
        case ast.UnaryOp(op=sign, operand=operand):
            return _SIGNS[type(sign)](_value(module, operand, depth))
        case ast.BinOp(left=left, op=operation, right=right):
            return _operate(operation, _value(module, left, depth), _value(module, right, depth))
        case ast.JoinedStr(values=parts):
            return _joined(_part(module, part, depth) for part in parts)
        case ast.Subscript():
            return _item(module, node, depth)
        case ast.Call():
            return _call(module, node, depth)
        case ast.Name() | ast.Attribute():
            return _named(module, node, depth)
        case _:
            raise module.error(node, _LITERAL)


def _named(module: Module, node: ast.Name | ast.Attribute, depth: int) -> Any:
    found = module.constant(node)
    if found is None:
        full = module.qualified(node)
        if full in _KNOWN:
            return _KNOWN[full]
        raise module.error(node, _LITERAL)
    home, expression = found
    if expression not in home.values:  # each is read once, however many names lead to it
        home.values[expression] = _value(home, expression, depth + 1)
    return home.values[expression]


def _display(module: Module, node: ast.List | ast.Tuple | ast.Set, depth: int) -> Any:
    items: list[Any] = []
    for each in node.elts:
        if isinstance(each, ast.Starred):
            items.extend(_iterable(_value(module, each.value, depth)))
        else:
            items.append(_value(module, each, depth))
        if len(items) > MAX_LENGTH:
            raise module.error(node, _TOO_LARGE)
    if isinstance(node, ast.Set):
        return set(_scalars(items))
    return tuple(items) if isinstance(node, ast.Tuple) else items


def _dict(module: Module, node: ast.Dict, depth: int) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    for key, value in zip(node.keys, node.values, strict=True):
        if key is None:
            result |= _value(module, value, depth)
        else:
            (name,) = _scalars([_value(module, key, depth)])
            result[name] = _value(module, value, depth)
    return result


def _part(module: Module, node: ast.expr, depth: int) -> str:
    """A piece of an f-string."""
    if isinstance(node, ast.FormattedValue):
        if node.conversion != -1 or node.format_spec is not None:
            raise module.error(node, _LITERAL)
        return _text(_value(module, node.value, depth))
    return str(_value(module, node, depth))


def _item(module: Module, node: ast.Subscript, depth: int) -> Any:
    whole = _value(module, node.value, depth)
    if not isinstance(whole, (*_SEQUENCES, dict)):
        raise module.error(node, _LITERAL)
    if not isinstance(node.slice, ast.Slice):
        (key,) = _scalars([_value(module, node.slice, depth)])
        return whole[key]
    ends = (node.slice.lower, node.slice.upper, node.slice.step)
    low, high, step = (None if each is None else _value(module, each, depth) for each in ends)
    return whole[low:high:step]


def _call(module: Module, node: ast.Call, depth: int) -> Any:
    if node.keywords or any(isinstance(each, ast.Starred) for each in node.args):
        raise module.error(node, _LITERAL)
    arguments = [_value(module, each, depth) for each in node.args]
    if isinstance(node.func, ast.Attribute):
        whole = _value(module, node.func.value, depth)
        if node.func.attr not in _METHODS.get(type(whole), ()):
            raise module.error(node, _LITERAL)
        return _plain(getattr(whole, node.func.attr)(*arguments))
    name = module.qualified(node.func)
    if name not in _FUNCTIONS:
        raise module.error(node, _LITERAL)
    if name in {"list", "tuple"} and arguments and isinstance(arguments[0], set | frozenset):
        raise module.error(node, "a set has no order: use sorted()")
    if name in _OF_SCALARS and arguments:
        alone = len(arguments) == 1
        arguments = [_scalars(_iterable(arguments[0]))] if alone else _scalars(arguments)
    if name == "str" and arguments:
        return _text(arguments[0])
    return _FUNCTIONS[name](*arguments)


def _operate(operation: ast.operator, left: Any, right: Any) -> Any:
    """Apply an operator, unless its result would be huge."""
    kind = type(operation)
    if kind not in _OPERATORS or (kind is ast.Mod and isinstance(left, str)):
        raise ValueError(_LITERAL)
    is_integers = isinstance(left, int) and isinstance(right, int)
    if kind is ast.Pow and is_integers and right > 0 and left.bit_length() * right > 2 * MAX_BITS:
        raise ValueError(_TOO_LARGE)
    if kind is ast.LShift and is_integers and right > MAX_BITS:
        raise ValueError(_TOO_LARGE)
    if kind is ast.Mult:
        for whole, times in ((left, right), (right, left)):
            if isinstance(whole, _SEQUENCES) and isinstance(times, int):
                _check_length(len(whole) * times)
    if kind is ast.Add and isinstance(left, _SEQUENCES) and isinstance(right, _SEQUENCES):
        _check_length(len(left) + len(right))
    return _OPERATORS[kind](left, right)


def _check_length(length: int) -> None:
    if length > MAX_LENGTH:
        raise ValueError(f"{_TOO_LARGE}: it would have {length} characters or items")


def _joined(parts: Iterable[str]) -> str:
    text = ""
    for part in parts:
        text += part
        _check_length(len(text))
    return text


def _bounded(value: Any) -> Any:
    match value:
        case int() if value.bit_length() > MAX_BITS:
            raise ValueError(f"{_TOO_LARGE}: an integer of {value.bit_length()} bits")
        case float() if not math.isfinite(value):
            raise ValueError(f"this is {value}, which JSON can't hold: write a finite number")
        case range():
            _check_length(len(value))
        case complex() | bytes():
            raise ValueError(_LITERAL)
        case _:
            pass
    return value


def _plain(value: Any) -> Any:
    """Views of a dict as lists."""
    return value if isinstance(value, str | list) else list(value)


def _iterable(value: Any) -> list[Any]:
    if not isinstance(value, (*_SEQUENCES, dict, set, frozenset)):
        raise TypeError(_LITERAL)
    _check_length(len(value))
    return list(value)


def _scalars(values: Iterable[Any]) -> list[Any]:
    """Values that are compared and hashed in no time."""
    found = list(values)
    if not all(each is None or isinstance(each, str | int | float) for each in found):
        raise ValueError(_LITERAL)
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str | int | float):
        raise TypeError(_LITERAL)
    return str(value)


class _Json:
    """Turns a value into JSON's own types, and counts it."""

    def __init__(self) -> None:
        self._weight = 0

    def of(self, value: Any) -> Any:
        """The value; ValueError with words if JSON can't hold it."""
        self._count(1)
        match value:
            case None | bool():
                return value
            case int():
                return self._integer(value)
            case float():
                return value
            case str():
                return self._string(value)
            case dict():
                if not all(isinstance(key, str) for key in value):
                    raise ValueError("the keys of a default must be strings")
                return {self._string(key): self.of(item) for key, item in value.items()}
            case set() | frozenset():
                return [self.of(item) for item in sorted(value)]
            case list() | tuple() | range():
                return [self.of(item) for item in value]
            case _:
                raise ValueError(_LITERAL)

    def _integer(self, value: int) -> int:
        # Kubernetes keeps longer ones as floats.
        if not -(2**63) <= value < 2**63 and float(value) != value:
            raise ValueError(
                "this integer has more than 64 bits and would be rounded: write one below 2**63"
            )
        return value

    def _string(self, value: str) -> str:
        self._count(len(value))
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError("this text has half of a surrogate pair, which JSON can't hold")
        return value

    def _count(self, weight: int) -> None:
        self._weight += weight
        if self._weight > MAX_WEIGHT:
            raise ValueError(f"{_TOO_LARGE}: over {MAX_WEIGHT} characters and items")
