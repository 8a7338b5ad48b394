"""Parses a pipeline's source: follows names, evaluates constants."""

import ast
import operator
import sys
import warnings
from collections.abc import Callable, Mapping

from mayfly_runtime.spec.source_text import SourceError, lines

_MAX_ALIAS_DEPTH = 20
_RUNTIME_PYTHON = (3, 13)

_ARITHMETIC: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}


class Module:
    """One parsed file; its sibling files are known, so that imports can be followed."""

    def __init__(
        self, file: str, files: Mapping[str, str], parsed: "dict[str, Module] | None" = None
    ) -> None:
        """Parse a file.

        Args:
            file: its name.
            files: every file of the pipeline.
            parsed: what was parsed before, shared by all of them; each is parsed once.

        Raises:
            SourceError: it can't be parsed.
        """
        self.file = file
        self._files = files
        self._lines = lines(files[file])
        self.tree = _parse(file, files[file])
        self._imports: dict[str, str] = {}
        self.assigned: dict[str, ast.expr | None] = {}
        self.classes: dict[str, ast.ClassDef] = {}
        for node in self.tree.body:
            self._note(node)
        self._parsed = {} if parsed is None else parsed
        self._parsed[file] = self

    def error(self, node: ast.AST, message: str) -> SourceError:
        """An error at a node, showing its source line."""
        line = getattr(node, "lineno", 0)
        shown = self._lines[line - 1].strip() if 0 < line <= len(self._lines) else ""
        return SourceError(f"{message} ({self.file} line {line}: {shown})", self.file, line)

    def read_imports(self) -> None:
        """Parse the files that this one imports, so that syntax errors in them are found here.

        Raises:
            SourceError: one of them can't be parsed.
        """
        seen, queue = {self.file}, [self]
        while queue:
            module = queue.pop()
            for file in sorted(module.imported_files() - seen):
                seen.add(file)
                queue.append(self._module(file))

    def imported_files(self) -> set[str]:
        """The pipeline's own files that this one may import."""
        names: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                names.update(each.name for each in node.names)
            elif isinstance(node, ast.ImportFrom):
                origin = self._origin(node)
                names.update(f"{origin}.{each.name}".lstrip(".") for each in node.names)
        found: set[str] = set()
        for name in names:
            parts = name.split(".")
            heads = (".".join(parts[: end + 1]) for end in range(len(parts)))
            found.update(file for head in heads if (file := self._file_of(head)))
        return found

    def qualified(self, node: ast.expr) -> str:
        """The full name behind a name or attribute: `P` may be `cog.Path`."""
        if isinstance(node, ast.Attribute):
            return f"{self.qualified(node.value)}.{node.attr}"
        if isinstance(node, ast.Name):
            return self._imports.get(node.id, node.id)
        return ""

    def alias(self, node: ast.expr) -> "tuple[Module, ast.expr] | None":
        """The expression that a name is assigned once, here or in a sibling file."""
        found = self._target(node)
        if found is None:
            return None
        module, name = found
        value = module.assigned.get(name)
        return None if value is None else (module, value)

    def class_named(self, node: ast.expr) -> "tuple[Module, ast.ClassDef] | None":
        """The class behind a name, here or in a sibling file."""
        found = self._target(node)
        if found is None or found[1] not in found[0].classes:
            return None
        return found[0], found[0].classes[found[1]]

    def constant(self, node: ast.expr, depth: int = 0) -> object:
        """The value of a literal, of a module constant, or of simple arithmetic on them.

        Raises:
            SourceError: it can't be known without running the code.
        """
        if depth > _MAX_ALIAS_DEPTH:
            raise self.error(node, "this refers to itself")
        match node:
            case ast.Constant(value=value) if not isinstance(value, bytes | complex):
                return value
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return [self.constant(item, depth) for item in items]
            case ast.Dict():
                return self._constant_dict(node, depth)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
                number = self.constant(operand, depth)
                if isinstance(number, int | float) and not isinstance(number, bool):
                    return -number if isinstance(sign, ast.USub) else number
            case ast.BinOp():
                return self._arithmetic(node, depth)
            case ast.Name() if (found := self.alias(node)) is not None:
                return found[0].constant(found[1], depth + 1)
            case _:
                pass
        raise self.error(node, "this value can't be read without running the code: write a literal")

    def _constant_dict(self, node: ast.Dict, depth: int) -> dict[str, object]:
        result: dict[str, object] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            name = None if key is None else self.constant(key, depth)
            if not isinstance(name, str):
                raise self.error(node, "the keys of a default must be strings")
            result[name] = self.constant(value, depth)
        return result

    def _arithmetic(self, node: ast.BinOp, depth: int) -> object:
        left, right = self.constant(node.left, depth), self.constant(node.right, depth)
        if isinstance(left, str) and isinstance(right, str) and isinstance(node.op, ast.Add):
            return left + right
        operation = _ARITHMETIC.get(type(node.op))
        if operation and isinstance(left, int | float) and isinstance(right, int | float):
            try:
                return operation(left, right)
            except ArithmeticError as error:
                raise self.error(node, str(error)) from None
        raise self.error(node, "this value can't be read without running the code: write a literal")

    def _note(self, node: ast.stmt) -> None:
        match node:
            case ast.Import() | ast.ImportFrom():
                self._note_import(node)
            case ast.ClassDef():
                self.classes[node.name] = node
            case ast.Assign(targets=[ast.Name(id=target)], value=value):
                self._assign(target, value)
            case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value):
                self._assign(target, value)
            case ast.Try(body=body) | ast.If(body=body):
                for inner in body:
                    self._note(inner)
            case _ if type(node).__name__ == "TypeAlias":  # `type X = …`, from Python 3.12 on
                self._assign(node.name.id, node.value)  # type: ignore[attr-defined]
            case _:
                pass

    def _note_import(self, node: ast.Import | ast.ImportFrom) -> None:
        for name in node.names:
            if isinstance(node, ast.ImportFrom):
                self._imports[name.asname or name.name] = f"{self._origin(node)}.{name.name}"
            else:
                local = name.asname or name.name.split(".")[0]
                self._imports[local] = name.name if name.asname else local

    def _origin(self, node: ast.ImportFrom) -> str:
        """The full name of the module that names are imported from."""
        if not node.level:
            return node.module or ""
        folders = self.file.split("/")[:-1]
        above = folders[: max(0, len(folders) + 1 - node.level)]
        return ".".join([*above, *([node.module] if node.module else [])])

    def _assign(self, name: str, value: ast.expr) -> None:
        # A name that is assigned twice has no one value.
        self.assigned[name] = None if name in self.assigned else value

    def _target(self, node: ast.expr) -> "tuple[Module, str] | None":
        """The file and the name in it that `name` or `module.name` refers to."""
        if isinstance(node, ast.Name):
            return self._lookup(node.id)
        if isinstance(node, ast.Attribute):
            sibling = self._sibling(self.qualified(node.value))
            return (sibling, node.attr) if sibling else None
        return None

    def _lookup(self, name: str) -> "tuple[Module, str] | None":
        if name in self.classes or name in self.assigned:
            return self, name
        origin, _, original = self._imports.get(name, "").rpartition(".")
        sibling = self._sibling(origin.lstrip("."))
        return (sibling, original) if sibling else None

    def _sibling(self, module_name: str) -> "Module | None":
        file = self._file_of(module_name)
        if file is None or file == self.file:
            return None
        return self._module(file)

    def _module(self, file: str) -> "Module":
        return self._parsed.get(file) or Module(file, self._files, self._parsed)

    def _file_of(self, module_name: str) -> str | None:
        """The pipeline's file of a module; a package takes precedence over a file."""
        path = module_name.replace(".", "/")
        files = (f"{path}/__init__.py", f"{path}.py")
        return next((file for file in files if module_name and file in self._files), None)


def _parse(file: str, text: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the run's log has them
            tree = ast.parse(text, file)
            # Some errors only the compiler finds: a `return` outside of a function, two parameters
            # of one name. It would read the line from a file of that name, so it gets none.
            compile(tree, "<source>", "exec", dont_inherit=True)
            return tree
    except SyntaxError as error:
        line = error.lineno or 0
        shown = (error.text or "".join(lines(text)[line - 1 : line])).strip()
        message = f"{error.msg} at {file}" + (f" line {line}" if line else "")
        message += f": {shown}" if shown else ""
        if sys.version_info < _RUNTIME_PYTHON:
            here = ".".join(str(part) for part in sys.version_info[:2])
            message += f" (read with Python {here}; pipelines run on 3.13)"
        raise SourceError(f"syntax error: {message}", file, line) from None
    except (RecursionError, MemoryError):
        raise SourceError("the source is nested too deeply", file, 0) from None
    except ValueError as error:
        raise SourceError(f"the source can't be read: {error}", file, 0) from None
