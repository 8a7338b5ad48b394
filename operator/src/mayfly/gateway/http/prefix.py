"""The path before ours: a proxy may serve the gateway below a path of its host.

A proxy that strips that path says so in X-Forwarded-Prefix. One that passes it on needs the setting
`path`, which is stripped here; who comes without it, like pods of the cluster, is served too.
"""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from mayfly.gateway.http.urls import NAMESPACE, PREFIX

_VALID = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,62}){1,8}")
"""Neither an empty part nor one of dots: it ends up in links, redirects and a cookie's path."""


class Prefix:
    """ASGI middleware that finds the path before ours and strips it."""

    def __init__(self, app: ASGIApp, *, path: str) -> None:
        """Create the middleware.

        Args:
            app: the wrapped application.
            path: the path that the proxy in front passes on; "" for none.
        """
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note the prefix in the scope, and pass the request on without it."""
        if scope["type"] == "http":
            # In the same scope: the middleware outside reads there which route it was.
            own = self._strip(scope)
            scope[PREFIX] = _forwarded(scope) or own
            if scope["path"] == "/openapi.json":
                # FastAPI names it as the server's path; anywhere else it would want it in `path`.
                scope["root_path"] = scope[PREFIX]
        await self._app(scope, receive, send)

    def _strip(self, scope: Scope) -> str:
        path = self._path
        if not path or not f"{scope['path']}/".startswith(f"{path}/"):
            return ""
        scope["path"] = scope["path"].removeprefix(path) or "/"
        raw = scope.get("raw_path")
        if raw is not None:
            scope["raw_path"] = raw.removeprefix(path.encode()) or b"/"
        return path


def _forwarded(scope: Scope) -> str:
    """The prefix that the proxy has stripped; "" if it names none, or one that can't be."""
    text = Headers(scope=scope).get("x-forwarded-prefix", "")
    prefix = text.partition(",")[0].strip().rstrip("/")
    if not _VALID.fullmatch(prefix) or NAMESPACE.search(prefix):
        return ""
    return prefix
