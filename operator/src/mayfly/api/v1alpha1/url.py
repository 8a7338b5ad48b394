"""Rules for the URLs of webhooks and Models, as far as the API server can check them.

The gateway reads them with `mayfly_runtime.spec.urls`, and reports what slips through here.
"""

from __future__ import annotations

_LABEL = r"[^\x00-\x20/?#@:.\\\[\]]{1,63}"
_HOST = rf"(\[[0-9A-Fa-f:.]{{2,45}}\]|{_LABEL}(\.{_LABEL})*\.?)"
_PORT = (
    r"(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?"
)
HTTP_URL = rf"^https?://([^/?#\s]*@)?{_HOST}{_PORT}([/?#].*)?$"
"""A URL whose host and port can be called, for all that its text tells."""


def url_rule(field: str) -> tuple[str, str]:
    """The CEL rule of a field that holds a URL, and its message."""
    return (
        f"!has(self.{field}) || self.{field}.matches(r'{HTTP_URL}')",
        f"{field} must have a host (an address, or a name whose parts have 1 to 63 characters) "
        f"and, if any, a port from 1 to 65535",
    )
