"""Base URLs: how the reader reaches the gateway, so that links use the same address."""

from __future__ import annotations

import re

from starlette.requests import Request

HOST = re.compile(r"[A-Za-z0-9.\-_]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")
NAMESPACE = re.compile(r"/ns/([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)$")


def base_of(request: Request, namespace: str | None) -> str:
    """The base URL of this reader, as given by the request or by the proxy in front of us.

    A forwarded host that is not a valid host is ignored: it would end up in links.
    """
    headers = request.headers
    host = headers.get("x-forwarded-host", "").partition(",")[0].strip()
    if not HOST.fullmatch(host):
        host = headers.get("host", "")
    if not HOST.fullmatch(host):
        host = request.url.netloc
    scheme = headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    if scheme not in {"http", "https"}:
        scheme = request.url.scheme
    return f"{scheme}://{host}" + (f"/ns/{namespace}" if namespace else "")


def host_of(base: str) -> str:
    """A base URL without its namespace, for file links."""
    return NAMESPACE.sub("", base)
