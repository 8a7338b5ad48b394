"""Base paths of the public API; reading a request's body within a limit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from typing import Any, cast

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import compile_path

from mayfly.gateway.http.errors import Invalid, TooLarge

BASES = ("/v1", "", "/ns/{namespace}/v1", "/ns/{namespace}")
"""With and without /v1, because clients differ on whether their base URL includes it."""

UNCACHED = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


Route = tuple[str, str, Callable[..., Any]]
"""Method, path below the base, handler."""


def under_bases(routes: Iterable[Route]) -> APIRouter:
    """Add routes under every base; the OpenAPI document shows them under the first one."""
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

    A copy, because parsing a handler's signature again is most of the cost of starting a gateway.
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


def json_text(text: str) -> Response:
    """An answer of JSON text, unchanged."""
    return Response(text, media_type="application/json", headers=UNCACHED)


async def body_of(request: Request, limit: int) -> bytes:
    """Read a request's body, up to a limit.

    Raises:
        TooLarge: it exceeds the limit.
        Invalid: the client disconnected.
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
