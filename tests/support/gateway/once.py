"""What a gateway's start derives from its code, derived once a process instead of once a gateway.

A thousand tests start a gateway. Without this, most of the time of a start goes into the signatures
of the same handlers, and much of what follows into compiling the same SQL statements.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from typing import Any

from fastapi.dependencies import models as dependencies
from fastapi.routing import APIRoute, request_response
from sqlalchemy import Engine

import mayfly.gateway.http.routing
from mayfly.database.engine import Database

_ENGINES: dict[type, Engine] = {}
"""The first engine that has connected, by the class of its dialect."""


def read_handlers_once() -> None:
    """Read each handler's signature, and each path, once: a later route is a copy of the first."""
    make: Callable[..., None] = APIRoute.__init__
    known: dict[object, dict[str, Any]] = {}

    def make_once(self: APIRoute, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        function = getattr(endpoint, "__func__", None)
        key = (path, function, tuple(options["methods"] or ()), options["include_in_schema"])
        if function is None or key not in known:
            make(self, path, endpoint, **options)
        if function is None:
            return
        if key not in known:
            # Without the handler: it would keep the first gateway in memory.
            read = {name: of for name, of in vars(self).items() if name not in {"app", "endpoint"}}
            known[key] = {**read, "dependant": replace(self.dependant, call=None)}
            return
        vars(self).update(known[key])
        self.endpoint = endpoint
        self.dependant = replace(self.dependant, call=endpoint)
        self.app = request_response(self.get_route_handler())

    APIRoute.__init__ = make_once  # type: ignore[method-assign]
    routing = mayfly.gateway.http.routing
    routing.compile_path = cache(routing.compile_path)


def look_for_sniffio_once() -> None:
    """Tell httpcore at once, with each of its locks, that an optional package is not there."""
    if find_spec("sniffio") is None:
        sys.modules["sniffio"] = None  # type: ignore[assignment]


def forget_handlers() -> None:
    """Clear FastAPI's registry of handlers, which would keep every test's gateway in memory."""
    for cached in vars(dependencies).values():
        if hasattr(cached, "cache_clear"):
            cached.cache_clear()


def compile_statements_once(database: Database) -> None:
    """Let a database use the statements that were compiled for others of its kind."""
    engine = database._engine.sync_engine
    kind = type(engine.dialect)
    first = _ENGINES.setdefault(kind, engine)
    if first is engine:
        return
    if getattr(first.dialect, "server_version_info", None) is None:  # it has not connected yet
        _ENGINES[kind] = engine
        return
    # The dialect is a part of each statement's key.
    engine.dialect = engine.pool._dialect = first.dialect
    engine._compiled_cache = first._compiled_cache
