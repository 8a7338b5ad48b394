"""Base paths of the public API, and reading a request's body within a limit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from typing import Any, cast

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.routing import compile_path

from mayfly.gateway.http.errors import Invalid, TooLarge

BASES = ("/v1", "", "/ns/{namespace}/v1", "/ns/{namespace}")
"""Clients differ on whether /v1 is in their base URL."""

UNCACHED = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


Route = tuple[str, str, Callable[..., Any]]
"""Method, path behind the base, handler."""


def under_bases(routes: Iterable[Route]) -> APIRouter:
    """Routes under every base; the API's description shows them under the first."""
    router = APIRouter()
    for method, path, call in routes:
        router.add_api_route(
            BASES[0] + path,
            call,
            methods=[method],
            # OpenAPI 3.1 has no name for the method QUERY.
            include_in_schema=method != "QUERY",
            summary=(call.__doc__ or "").partition("\n")[0].rstrip("."),
            description="",
        )
    first = list(router.routes)
    for base in BASES[1:]:
        router.routes.extend(_under(base, route) for route in first if isinstance(route, APIRoute))
    return router


def _under(base: str, route: APIRoute) -> APIRoute:
    """The same route under another base.

    A copy: to read a handler's parameters once more is most of what a gateway's start costs.
    """
    path = base + route.path.removeprefix(BASES[0])
    if "{namespace}" in base and any(
        each.name == "namespace" for each in route.dependant.query_params
    ):
        # A handler that takes the namespace as a parameter has it from the path here.
        router = APIRouter()
        router.add_api_route(
            path, route.endpoint, methods=sorted(route.methods or ()), include_in_schema=False
        )
        return cast("APIRoute", router.routes[0])
    other = copy(route)
    other.path = path
    other.path_regex, other.path_format, other.param_convertors = compile_path(other.path)
    other.include_in_schema = False
    return other


async def body_of(request: Request, limit: int) -> bytes:
    """Reads a request's body, up to a limit.

    Raises:
        TooLarge: it is longer.
        Invalid: the client left.
    """
    pieces = bytearray()
    try:
        async for piece in request.stream():
            pieces += piece
            if len(pieces) > limit:
                raise TooLarge(f"The request may have at most {limit} bytes.")
    except ClientDisconnect:
        raise Invalid("The client disconnected before the request was complete.") from None
    return bytes(pieces)
