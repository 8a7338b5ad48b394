"""Exact decimals in SQL: columns of decimals as text are added up without floats.

PostgreSQL has exact numbers of any length. SQLite has none, so it hands out the decimals of a group
together, and they are added here: groups are small where there are many.
"""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation, localcontext
from typing import Any

from sqlalchemy import ColumnElement, String
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator
from typing_extensions import override

LENGTH = 160
"""Maximum number of characters of a decimal."""

_EXACT = Context(prec=LENGTH, traps=[InvalidOperation, Inexact])

_PLUS = "mayfly_plus"


class Exact(TypeDecorator[Decimal]):
    """A decimal as text, because SQLite would convert it to a float."""

    impl = String(LENGTH)
    cache_ok = True

    @override
    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        return None if value is None else format(value, "f")

    @override
    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class _Added(TypeDecorator[Decimal]):
    """A sum as the database hands it out: decimals with spaces between them."""

    impl = String
    cache_ok = True

    @override
    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:
        if value is None:
            return None
        with localcontext(_EXACT):
            return sum(map(Decimal, value.split(" ")), Decimal(0))


class Total(FunctionElement[Decimal]):
    """The exact sum of a column, an aggregate; None of no row."""

    type = _Added()
    inherit_cache = True

    def __init__(self, column: ColumnElement[Any]) -> None:
        super().__init__(column)


class Plus(FunctionElement[Decimal]):
    """The exact sum of two columns' values, as their type stores it."""

    type = Exact()
    inherit_cache = True

    def __init__(self, one: ColumnElement[Any], other: ColumnElement[Any]) -> None:
        super().__init__(one, other)


def configure(connection: Any) -> None:
    """Give a connection of SQLite what `Plus` needs."""
    connection.create_function(_PLUS, 2, _plus, deterministic=True)


def _plus(one: str, other: str) -> str:
    return format(_EXACT.add(Decimal(one), Decimal(other)), "f")


@compiles(Plus, "sqlite")
def _plus_of_sqlite(element: Plus, compiler: SQLCompiler, **words: Any) -> str:
    return f"{_PLUS}({compiler.process(element.clauses, **words)})"


@compiles(Plus, "postgresql")
def _plus_of_postgresql(element: Plus, compiler: SQLCompiler, **words: Any) -> str:
    one, other = (compiler.process(each, **words) for each in element.clauses)
    return f"CAST(CAST({one} AS NUMERIC) + CAST({other} AS NUMERIC) AS VARCHAR)"


@compiles(Total, "sqlite")
def _total_of_sqlite(element: Total, compiler: SQLCompiler, **words: Any) -> str:
    return f"group_concat({compiler.process(element.clauses, **words)}, ' ')"


@compiles(Total, "postgresql")
def _total_of_postgresql(element: Total, compiler: SQLCompiler, **words: Any) -> str:
    text = compiler.process(element.clauses, **words)
    return f"CAST(sum(CAST({text} AS NUMERIC)) AS VARCHAR)"
