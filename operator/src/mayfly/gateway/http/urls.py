"""Base URLs: how the reader reaches the gateway, so that links use the same address."""

from __future__ import annotations

import re

from starlette.requests import Request

from mayfly_runtime.spec import urls

HOST = re.compile(r"[A-Za-z0-9.\-_]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")
_MAPPED = re.compile(r"^::ffff:(?=[0-9]+\.)")
"""What IPv4 addresses begin with on a port of both families."""

PREFIX = "mayfly.prefix"
"""The key of an ASGI scope that holds the path before ours, as `Prefix` has found it."""

NAMESPACE = re.compile(r"/ns/([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)$")


def base_of(request: Request) -> str:
    """The base URL of this reader, as given by the request or by the proxy in front of us.

    With the path before ours, and with the namespace that the request's own base URL names.
    """
    namespace = namespace_of(request)
    return f"{origin_of(request)}{prefix_of(request)}" + (f"/ns/{namespace}" if namespace else "")


def prefix_of(request: Request) -> str:
    """The path before ours, as /tools/mayfly; "" if this reader reaches us at a host's root."""
    return str(request.scope.get(PREFIX, ""))


def origin_of(request: Request) -> str:
    """Scheme, host and port as this reader has them: the origin of our pages.

    A forwarded host that is not a valid host is ignored: it would end up in links.
    """
    headers = request.headers
    host = headers.get("x-forwarded-host", "").partition(",")[0].strip()
    if not HOST.fullmatch(host):
        host = headers.get("host", "")
    if not HOST.fullmatch(host):
        host = _own(request)
    scheme = headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    if scheme not in {"http", "https"}:
        scheme = request.scope["scheme"]
    return f"{scheme}://{host}"


def _own(request: Request) -> str:
    """Our address, which a client without a usable Host header has reached."""
    address, port = request.scope.get("server") or ("localhost", None)
    host = urls.bracketed(_MAPPED.sub("", address))
    usual = urls.DEFAULT_PORTS.get(request.scope["scheme"])
    return host if port in {None, usual} else f"{host}:{port}"


def namespace_of(request: Request) -> str | None:
    """The namespace that the base URL of a request names, by ending with /ns/<namespace>."""
    return request.path_params.get("namespace")


def host_of(base: str) -> str:
    """A base URL without its namespace, for file links."""
    return NAMESPACE.sub("", base)
