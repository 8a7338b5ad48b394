"""The session of a browser: a token in a cookie that no script can read.

The cookie is only another way to send the token: a middleware makes an Authorization header of it,
and everything behind works as for any other client. Nothing about sessions is stored.
"""

from __future__ import annotations

from datetime import datetime

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from mayfly.gateway.access.browsers import (
    AGENTS,
    PROXIED,
    SIGNED_IN,
    fits_cookie,
    refusal_of_others,
)
from mayfly.gateway.access.whoami import seconds_of
from mayfly.gateway.http import urls
from mayfly.gateway.http.errors import render

NAME = "mayfly_session"
HOST_ONLY = "__Host-"
"""Browsers take a cookie of such a name from its own host alone, for all paths, over TLS."""


class SessionCookie:
    """ASGI middleware: without an Authorization header, the cookie's token becomes one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or reject what another site's page has sent."""
        if scope["type"] != "http" or scope["path"].startswith(AGENTS) or PROXIED in scope:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        token = "" if "authorization" in request.headers else token_of(request)
        if token:
            problem = refusal_of_others(request)
            if problem is not None:
                await render(problem)(scope, receive, send)
                return
            sign_in(scope, token)
        await self._app(scope, receive, send)


def sign_in(scope: Scope, token: str) -> None:
    """Let a request have a token that came by a cookie."""
    kept = [(name, value) for name, value in scope["headers"] if name != b"authorization"]
    scope["headers"] = [*kept, (b"authorization", b"Bearer " + token.encode())]
    scope[SIGNED_IN] = "cookie"


def token_of(request: Request) -> str:
    """The token in the cookie of a request; "" if there is none."""
    name = name_for(request)
    for header in request.headers.getlist("cookie"):
        for part in header.split(";"):
            key, _, value = part.strip().partition("=")
            # The first one: browsers put that with the longest path first.
            if key == name:
                return value if fits_cookie(value) else ""
    return ""


def name_for(request: Request) -> str:
    """What the cookie is called: at the root of a host with TLS, its name binds it to that host."""
    bound = _is_secure(request) and not urls.prefix_of(request)
    return f"{HOST_ONLY}{NAME}" if bound else NAME


def cookie(request: Request, token: str, now: datetime) -> str:
    """The Set-Cookie header that keeps a token, at most until it expires."""
    expires = seconds_of(token)
    age = "" if expires is None else f"; Max-Age={max(0, expires - int(now.timestamp()))}"
    return f"{name_for(request)}={token}{_attributes(request)}{age}"


def no_cookie(request: Request) -> str:
    """The Set-Cookie header that makes the browser forget the token."""
    return f"{name_for(request)}={_attributes(request)}; Max-Age=0"


def _attributes(request: Request) -> str:
    secure = "; Secure" if _is_secure(request) else ""
    return f"; Path={urls.prefix_of(request)}/; HttpOnly; SameSite=Strict{secure}"


def _is_secure(request: Request) -> bool:
    return urls.origin_of(request).startswith("https:")
