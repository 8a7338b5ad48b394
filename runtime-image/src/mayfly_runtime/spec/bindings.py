"""Finds what each top-level name of a file is bound to, and where it is bound again or changed.

Nothing is run. Branches, loops and functions count as if they may run: a name that more than one
place binds has no value that can be known from the text.
"""

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from mayfly_runtime.spec.exported_names import EXPORTED

Kind = Literal["value", "import", "class", "def", "other"]
_Function = ast.FunctionDef | ast.AsyncFunctionDef

_MUTATORS = {
    "append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse", "update",
    "setdefault", "popitem", "add", "discard", "difference_update", "intersection_update",
    "symmetric_difference_update", "__setitem__", "__delitem__", "__iadd__", "__ior__",
}  # fmt: skip
_MUTATING_FUNCTIONS = {
    "shuffle", "heapify", "heappush", "heappop", "insort", "insort_left", "insort_right",
    "setattr", "delattr", "setitem", "delitem",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Binding:
    """One place that binds a top-level name.

    `value` is an expression, a class or a function; of an import it is the full name. `certain`
    is false in branches, loops and functions.
    """

    kind: Kind
    line: int
    value: ast.AST | str | None
    certain: bool


class BoundAgainError(Exception):
    """A name that more than one place binds or changes; `lines` are these places."""

    def __init__(self, lines: Iterable[int]) -> None:
        self.lines = sorted(set(lines))
        super().__init__(str(self.lines))


@dataclass(slots=True)
class Bindings:
    """All bindings of a file's top-level names, and the lines that change what they hold."""

    names: dict[str, list[Binding]] = field(default_factory=dict)
    checked_only: dict[str, list[Binding]] = field(default_factory=dict)
    changes: dict[str, list[int]] = field(default_factory=dict)
    unknown_stars: list[int] = field(default_factory=list)

    def find(self, name: str, line: int = 0) -> Binding | None:
        """The binding of a name as a line of this file, or another file (0), sees it.

        Raises:
            BoundAgainError: it depends on what runs.
        """
        found = self.names.get(name) or self.checked_only.get(name) or []
        if len(found) < 2:
            return found[0] if found else None
        if {each.kind for each in found} == {"import"} and len({_same(e.value) for e in found}) < 2:
            return found[0]
        if all(each.certain and each.kind in {"import", "class", "def"} for each in found):
            before = [each for each in found if each.line <= line]
            return (before or found)[-1]
        raise BoundAgainError(each.line for each in found)

    def changed(self, path: str, binding: Binding | None) -> list[int]:
        """The lines that may change the value behind a dotted path after it was bound."""
        lines = self.changes.get(path, [])
        stars = [line for line in self.unknown_stars if binding and line > binding.line]
        return lines + stars

    def public(self) -> list[str] | None:
        """What `from this import *` brings; None if it can't be known."""
        if "__all__" not in self.names:
            return [name for name in self.names if not name.startswith("_")]
        try:
            only = self.find("__all__")
            if only is None or not isinstance(only.value, ast.expr) or "__all__" in self.changes:
                return None
            return [str(each) for each in ast.literal_eval(only.value)]
        except (BoundAgainError, ValueError, TypeError):
            return None


def read(
    tree: ast.Module,
    origin: Callable[[ast.ImportFrom], str],
    exported: Callable[[str], Iterable[str] | None],
) -> Bindings:
    """Read the bindings of a file.

    Args:
        tree: the file.
        origin: the full name of the module that an import takes names from.
        exported: what a `from … import *` of a module brings; None if that is unknown.
    """
    return _Reader(origin, exported).read(tree)


@dataclass(slots=True)
class _Scope:
    """A function, class or comprehension, with the names that are its own."""

    parent: "_Scope | None"
    own: set[str]
    global_names: set[str] = field(default_factory=set)
    is_class: bool = False
    is_comprehension: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a node stands: its scope (None: the file), whether it surely runs."""

    scope: _Scope | None = None
    certain: bool = True
    checked_only: bool = False

    def is_global(self, name: str) -> bool:
        scope, innermost = self.scope, True
        while scope is not None:
            if name in scope.global_names:
                return True
            if name in scope.own and (innermost or not scope.is_class):
                return False
            scope, innermost = scope.parent, False
        return True


_Next = Iterator[tuple[ast.AST, _Place]]


class _Reader:
    """Walks a file without recursion, because long expressions nest deeply."""

    def __init__(
        self,
        origin: Callable[[ast.ImportFrom], str],
        exported: Callable[[str], Iterable[str] | None],
    ) -> None:
        self._origin = origin
        self._exported = exported
        self._found = Bindings()

    def read(self, tree: ast.Module) -> Bindings:
        stack: list[tuple[ast.AST, _Place]] = [(node, _Place()) for node in tree.body]
        while stack:
            stack.extend(self._visit(*stack.pop()))
        for names in (self._found.names, self._found.checked_only):
            for places in names.values():
                places.sort(key=lambda each: each.line)
        return self._found

    def _visit(self, node: ast.AST, place: _Place) -> _Next:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda() | ast.ClassDef():
                yield from self._definition(node, place)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                targets = [each.target for each in node.generators]
                own = {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
                scope = _Scope(place.scope, own, is_comprehension=True)
                yield from _children(node, replace(place, scope=scope))
            case ast.NamedExpr():
                outside = place.scope
                while outside is not None and outside.is_comprehension:
                    outside = outside.parent
                yield node.target, replace(place, scope=outside)
                yield node.value, place
            case ast.Try() | ast.TryStar() | ast.If():
                yield from self._branches(node, place)
            case ast.For() | ast.AsyncFor() | ast.While() | ast.Match():
                yield from _children(node, replace(place, certain=False))
            case _:
                self._statement(node, place)
                yield from self._assignment(node, place)

    def _definition(self, node: _Function | ast.Lambda | ast.ClassDef, place: _Place) -> _Next:
        """A scope of its own; decorators, defaults, bases and annotations are outside of it."""
        if not isinstance(node, ast.Lambda):
            kind: Kind = "class" if isinstance(node, ast.ClassDef) else "def"
            self._bind(node.name, kind, node, node, place)
        for part in _outside(node):
            yield part, place
        body = node.body if isinstance(node.body, list) else [node.body]
        own, global_names = _own_names(body)
        if not isinstance(node, ast.ClassDef):
            own |= {each.arg for each in ast.walk(node.args) if isinstance(each, ast.arg)}
        scope = _Scope(
            place.scope, own - global_names, global_names, is_class=isinstance(node, ast.ClassDef)
        )
        for each in body:
            yield each, replace(place, scope=scope, certain=False)

    def _branches(self, node: ast.Try | ast.TryStar | ast.If, place: _Place) -> _Next:
        perhaps = replace(place, certain=False)
        if isinstance(node, ast.If):
            yield node.test, place
            is_checking = _is_type_checking(node.test)
            body = replace(perhaps, checked_only=True) if is_checking else perhaps
            yield from ((each, body) for each in node.body)
            yield from ((each, place if is_checking else perhaps) for each in node.orelse)
            return
        always_works = all(self._always_works(each) for each in node.body)
        main = place if always_works else perhaps
        yield from ((each, main) for each in (*node.body, *node.orelse))
        yield from ((each, place) for each in node.finalbody)
        if not always_works:
            yield from ((each, perhaps) for each in node.handlers)

    def _always_works(self, node: ast.stmt) -> bool:
        """Whether a statement is an import that can't fail, so that no handler runs."""
        if not isinstance(node, ast.ImportFrom):
            return False
        there = EXPORTED.get(self._origin(node), ()) if node.module != "typing_extensions" else ()
        return all(each.name in there for each in node.names)

    def _statement(self, node: ast.AST, place: _Place) -> None:
        """Names that are bound or changed by a node itself, not by its children."""
        match node:
            case ast.Import() | ast.ImportFrom():
                self._import(node, place)
            case ast.Name(ctx=ast.Store()):
                self._bind(node.id, "other", None, node, place)
            case ast.Name(ctx=ast.Del()) | ast.AugAssign(target=ast.Name()):
                self._change(node.target if isinstance(node, ast.AugAssign) else node, place)
            case ast.Attribute(ctx=ast.Store() | ast.Del()):
                self._change(node, place)
            case ast.Subscript(ctx=ast.Store() | ast.Del()):
                self._change(node.value, place)
            case ast.Call(func=ast.Attribute(attr=method, value=value)) if method in _MUTATORS:
                self._change(value, place)
            case ast.Call(args=[first, *_]) if _last_name(node.func) in _MUTATING_FUNCTIONS:
                self._change(first, place)
            case _ if captured := _captured(node):
                self._bind(captured, "other", None, node, place)
            case _:
                pass

    def _assignment(self, node: ast.AST, place: _Place) -> _Next:
        """The children of a node, but for the names whose value the text gives."""
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    yield from self._assign(target, value, place)
                yield value, place
            case ast.AnnAssign(target=ast.Name() as name, value=given):
                yield node.annotation, place
                if given is not None:
                    yield from self._assign(name, given, place)
                    yield given, place
            case ast.AugAssign(target=ast.Name(), value=value):
                yield value, place
            case _ if type(node).__name__ == "TypeAlias":  # `type X = …`, from Python 3.12 on
                yield from self._assign(node.name, node.value, place)  # type: ignore[attr-defined]
            case _:
                yield from _children(node, place)

    def _assign(self, target: ast.expr, value: ast.expr, place: _Place) -> _Next:
        match target, value:
            case ast.Name(id=name), _:
                self._bind(name, "value", value, target, place)
            case (ast.Tuple(elts=names), ast.Tuple(elts=values) | ast.List(elts=values)) if len(
                names
            ) == len(values) and not any(
                isinstance(each, ast.Starred) for each in (*names, *values)
            ):
                for inner, part in zip(names, values, strict=True):
                    yield from self._assign(inner, part, place)
            case _:
                yield target, place

    def _import(self, node: ast.Import | ast.ImportFrom, place: _Place) -> None:
        for each in node.names:
            if isinstance(node, ast.Import):
                local = each.asname or each.name.split(".")[0]
                self._bind(local, "import", each.name if each.asname else local, node, place)
                continue
            origin = self._origin(node)
            if each.name != "*":
                self._bind(each.asname or each.name, "import", f"{origin}.{each.name}", node, place)
            elif (names := self._exported(origin)) is None:
                self._found.unknown_stars.append(node.lineno)
            else:
                for name in names:
                    self._bind(name, "import", f"{origin}.{name}", node, place)

    def _bind(
        self, name: str, kind: Kind, value: ast.AST | str | None, node: ast.AST, place: _Place
    ) -> None:
        if place.is_global(name):
            into = self._found.checked_only if place.checked_only else self._found.names
            binding = Binding(kind, getattr(node, "lineno", 0), value, place.certain)
            into.setdefault(name, []).append(binding)

    def _change(self, node: ast.AST, place: _Place) -> None:
        while isinstance(node, ast.Subscript):
            node = node.value
        path = dotted(node)
        if path and place.is_global(path.partition(".")[0]):
            self._found.changes.setdefault(path, []).append(getattr(node, "lineno", 0))


def dotted(node: ast.AST) -> str:
    """`a.b` as text; "" if the node is no name or attribute of a name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def _children(node: ast.AST, place: _Place) -> _Next:
    return ((child, place) for child in ast.iter_child_nodes(node))


def _outside(node: _Function | ast.Lambda | ast.ClassDef) -> Iterator[ast.AST]:
    """The parts of a definition that the scope around it evaluates."""
    if isinstance(node, ast.ClassDef):
        yield from (*node.bases, *(each.value for each in node.keywords), *node.decorator_list)
        return
    yield from (each for each in (*node.args.defaults, *node.args.kw_defaults) if each)
    if not isinstance(node, ast.Lambda):
        yield from node.decorator_list


def _own_names(body: Iterable[ast.AST]) -> tuple[set[str], set[str]]:
    """The names that a scope's own statements bind, and those it declares global or nonlocal."""
    own: set[str] = set()
    others: set[str] = set()
    nonlocals: set[str] = set()
    stack = list(body)
    while stack:
        node = stack.pop()
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                own.add(name)
            case ast.Import() | ast.ImportFrom():
                own.update(each.asname or each.name.split(".")[0] for each in node.names)
            case _ if captured := _captured(node):
                own.add(captured)
            case ast.Global(names=names):
                others.update(names)
            case ast.Nonlocal(names=names):
                nonlocals.update(names)
            case _:
                pass
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            own.add(node.name)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            stack.extend(_outside(node))
        elif isinstance(node, ast.comprehension):
            stack.extend([node.iter, *node.ifs])
        else:
            stack.extend(ast.iter_child_nodes(node))
    return own - nonlocals, others


def _captured(node: ast.AST) -> str | None:
    """The name that an `except … as` or a pattern binds."""
    match node:
        case ast.ExceptHandler() | ast.MatchAs() | ast.MatchStar():
            return node.name
        case ast.MatchMapping():
            return node.rest
        case _:
            return None


def _is_type_checking(test: ast.expr) -> bool:
    return _last_name(test) == "TYPE_CHECKING"


def _last_name(node: ast.expr) -> str:
    return dotted(node).rpartition(".")[2]


def _same(value: object) -> str:
    """A full name; the same for a type that several modules of the standard library offer."""
    text = str(value)
    for prefix in ("typing.", "typing_extensions.", "collections.abc.", "cog."):
        if text.startswith(prefix) and text.count(".") == prefix.count("."):
            return text.removeprefix(prefix)
    return text
