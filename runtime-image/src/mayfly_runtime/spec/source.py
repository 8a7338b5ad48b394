"""Parses a pipeline's source and follows names through its files."""

import ast
import sys
import warnings
from collections.abc import Iterable, Mapping
from typing import TypeVar

from mayfly_runtime.spec import bindings, exported_names
from mayfly_runtime.spec.bindings import Binding, Bindings, BoundAgainError
from mayfly_runtime.spec.source_text import SourceError, lines

_N = TypeVar("_N", bound=ast.AST)

_MAX_HOPS = 20
_MAX_SHOWN = 200
RUNTIME_PYTHON = (3, 13)


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
        self.values: dict[ast.AST, object] = {}
        self._bindings: Bindings | None = None
        self._parsed = {} if parsed is None else parsed
        self._parsed[file] = self

    def error(self, node: ast.AST, message: str) -> SourceError:
        """An error at a node, showing its source line."""
        line = getattr(node, "lineno", 0)
        shown = self._lines[line - 1].strip() if 0 < line <= len(self._lines) else ""
        shown = shown if len(shown) <= _MAX_SHOWN else f"{shown[:_MAX_SHOWN]}…"
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
            try:
                found = self.bindings.find(node.id, node.lineno)
            except BoundAgainError:
                return f"<{node.id}>"
            if found is None:
                return node.id
            # A class or value of the author's own is none of the types that we know by name.
            return str(found.value) if found.kind == "import" else f"<{node.id}>"
        return ""

    @property
    def bindings(self) -> Bindings:
        """The top-level names of this file."""
        if self._bindings is None:
            self._bindings = Bindings()  # for files that import each other
            self._bindings = bindings.read(self.tree, self._origin, self._exported)
        return self._bindings

    def alias(self, node: ast.expr) -> "tuple[Module, ast.expr] | None":
        """The expression that a name is assigned once, here or in a sibling file.

        Raises:
            SourceError: which one it is depends on what runs.
        """
        return self._behind(node, ast.expr)

    def class_named(self, node: ast.expr) -> "tuple[Module, ast.ClassDef] | None":
        """The class behind a name, here or in a sibling file.

        Raises:
            SourceError: which one it is depends on what runs.
        """
        return self._behind(node, ast.ClassDef)

    def constant(self, node: ast.expr) -> "tuple[Module, ast.expr] | None":
        """The expression behind a name that keeps one value; None if none is known.

        Raises:
            SourceError: the name is bound or changed more than once, or used before it is set.
        """
        return self._behind(node, ast.expr, is_value=True)

    def check_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Check that a function's name still means it when the file has been imported.

        Raises:
            SourceError: something else may be bound to the name.
        """
        found = self.bound(self, node, node.name, 0)
        stars = self.bindings.changed(node.name, found) if found else []
        if found is None or found.value is not node or stars:
            lines = [found.line if found else 0, *stars]
            raise self.error(node, self._unclear(node.name, lines))

    def _unclear(self, name: str, lines: Iterable[int]) -> str:
        told = [str(line) for line in sorted(set(lines))]
        listed = f"line {told[0]}" if len(told) == 1 else f"lines {', '.join(told)}"
        return (
            f"{name} is set or changed more than once (see {listed} of {self.file}), so what it "
            "is can't be known without running the code: write a literal, or use a name that is "
            "set once"
        )

    def _behind(
        self, node: ast.expr, kind: type[_N], *, is_value: bool = False
    ) -> "tuple[Module, _N] | None":
        """What a name is bound to, and the file that binds it; None if that is of another kind."""
        found = self._followed(node, is_value=is_value)
        if found is None or not isinstance(found[1].value, kind):
            return None
        return found[0], found[1].value

    def _followed(
        self, node: ast.expr, *, is_value: bool = False
    ) -> "tuple[Module, Binding] | None":
        """The binding that a name or `module.name` leads to, through imports of own files."""
        home, name, line = self, "", getattr(node, "lineno", 0)
        if isinstance(node, ast.Name):
            name = node.id
        elif isinstance(node, ast.Attribute):
            sibling = self.sibling(self.qualified(node.value))
            if is_value and (lines := self.bindings.changed(bindings.dotted(node), None)):
                raise self.error(node, self._unclear(bindings.dotted(node), lines))
            if sibling is None:
                return None
            home, name, line = sibling, node.attr, 0
        for _ in range(_MAX_HOPS):
            found = home.bound(self, node, name, line)
            if found is None:
                return None
            if is_value:
                home.check_kept(self, node, name, found, line)
            if found.kind != "import":
                return home, found
            origin, _, name = str(found.value).rpartition(".")
            sibling = home.sibling(origin.lstrip("."))
            if sibling is None:
                return None
            home, line = sibling, 0
        raise self.error(node, "this refers to itself")

    def bound(self, user: "Module", node: ast.AST, name: str, line: int) -> Binding | None:
        """The binding of a name of this file, for a node of `user`'s.

        Raises:
            SourceError: it depends on what runs; told at the node.
        """
        try:
            return self.bindings.find(name, line)
        except BoundAgainError as error:
            raise user.error(node, self._unclear(name, error.lines)) from None

    def check_kept(
        self, user: "Module", node: ast.expr, name: str, found: Binding, line: int
    ) -> None:
        """Check that nothing changes what a name holds, and that it is there at a line of use.

        Raises:
            SourceError: told at the node of `user`'s.
        """
        if lines := self.bindings.changed(name, found):
            raise user.error(node, self._unclear(name, [found.line, *lines]))
        if found.line > line > 0:
            raise user.error(node, f"{name} is used here, but set only at line {found.line}")

    def _exported(self, origin: str) -> Iterable[str] | None:
        """What `from … import *` of a module brings; None if that is unknown."""
        sibling = self.sibling(origin.lstrip("."))
        return exported_names.EXPORTED.get(origin) if sibling is None else sibling.bindings.public()

    def _origin(self, node: ast.ImportFrom) -> str:
        """The full name of the module that names are imported from."""
        if not node.level:
            return node.module or ""
        folders = self.file.split("/")[:-1]
        above = folders[: max(0, len(folders) + 1 - node.level)]
        return ".".join([*above, *([node.module] if node.module else [])])

    def sibling(self, module_name: str) -> "Module | None":
        """The pipeline's own file of a module, parsed."""
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
        if sys.version_info < RUNTIME_PYTHON:
            here = ".".join(str(part) for part in sys.version_info[:2])
            message += f" (read with Python {here}; pipelines run on 3.13)"
        raise SourceError(f"syntax error: {message}", file, line) from None
    except (RecursionError, MemoryError):
        raise SourceError("the source is nested too deeply", file, 0) from None
    except ValueError as error:
        raise SourceError(f"the source can't be read: {error}", file, 0) from None
