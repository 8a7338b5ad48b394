"""Sign-in by a proxy in front of the gateway, which names the user in headers; off by default.

It is believed if it also sends the secret that only it knows. Rights come from RBAC all the same.
"""

from __future__ import annotations

import hmac
from pathlib import Path

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from mayfly.config import ProxyAuthConfig
from mayfly.gateway.access.authentication import User
from mayfly.gateway.access.browsers import AGENTS, PROXIED, SIGNED_IN, refusal_of_others
from mayfly.gateway.http.errors import Problem, Unauthenticated, render

MIN_SECRET_BYTES = 16
MAX_NAME = 1024
MAX_GROUPS = 500
RESERVED = "system:"
"""Names that Kubernetes gives: a proxy's directory of people must not make anybody one of them."""

EVERYBODY = "system:authenticated"
"""The group that Kubernetes itself adds to whoever is authenticated."""


class ProxyAuth:
    """ASGI middleware: the sender of a request is whom the proxy names."""

    def __init__(self, app: ASGIApp, *, config: ProxyAuthConfig) -> None:
        """Create the middleware.

        Args:
            app: the wrapped application.
            config: the headers, and where the secret is.

        Raises:
            OSError: the secret can't be read.
            ValueError: it is too short.
        """
        self._app = app
        self._config = config
        self._secret = Path(config.secret_file).read_bytes().strip()
        if len(self._secret) < MIN_SECRET_BYTES:
            raise ValueError(f"the proxy's secret has fewer than {MIN_SECRET_BYTES} bytes")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note the user in the scope, or reject the request."""
        if scope["type"] == "http" and not scope["path"].startswith(AGENTS):
            problem = self._sign_in(scope)
            if problem is not None:
                await render(problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _sign_in(self, scope: Scope) -> Problem | None:
        request = Request(scope)
        secret = request.headers.get(self._config.secret_header)
        name = request.headers.get(self._config.user_header, "").strip()
        # Whoever comes past the proxy has no secret, and a token in the header counts before all.
        if secret is None or not name or "authorization" in request.headers:
            return None
        if not hmac.compare_digest(secret.encode("utf-8", "replace"), self._secret):
            header = self._config.secret_header
            return Unauthenticated(f"The secret in {header} is not that of this gateway's proxy.")
        groups = self._groups(request)
        if len(name) > MAX_NAME or any(each.startswith(RESERVED) for each in (name, *groups)):
            return Unauthenticated(
                f"The proxy names a user or a group that can't be believed: one that begins with "
                f"{RESERVED}, or is too long."
            )
        scope[PROXIED] = User(name, "", (*groups, EVERYBODY), ())
        scope[SIGNED_IN] = "proxy"
        return refusal_of_others(request)

    def _groups(self, request: Request) -> tuple[str, ...]:
        header = self._config.groups_header
        texts = request.headers.getlist(header) if header else []
        names = (each.strip() for text in texts for each in text.split(","))
        return tuple(dict.fromkeys(filter(None, names)))[:MAX_GROUPS]
