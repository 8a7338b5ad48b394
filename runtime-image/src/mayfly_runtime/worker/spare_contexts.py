"""TLS contexts made while the pod waits: to read the roots takes 7 ms of each first request.

Each is handed out once, so a client has one of its own, as if httpx had made it. What decides how
httpx makes one must be as it was; else httpx makes it.
"""

import os
import sys
from pathlib import Path
from typing import Any

COUNT = 2
"""For replicate's client and its asynchronous one; 0.7 MiB each."""

_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


def make() -> None:
    """Make contexts for httpx's transports, if httpx is imported."""
    transports: Any = sys.modules.get("httpx._transports.default")
    create = getattr(transports, "create_ssl_context", None)
    if create is None:
        return
    made_from = _basis()
    spare = [create() for _ in range(COUNT)]

    def create_ssl_context(verify: Any = True, cert: Any = None, trust_env: bool = True) -> Any:
        usual = verify is True and cert is None and trust_env
        if usual and spare and _basis() == made_from:
            return spare.pop()
        return create(verify=verify, cert=cert, trust_env=trust_env)

    transports.create_ssl_context = create_ssl_context


def _basis() -> tuple[Any, ...]:
    """What a context is made from: variables, the file of roots, and Python's own classes."""
    import ssl  # noqa: PLC0415 httpx has imported it

    try:
        file = Path(os.environ.get("SSL_CERT_FILE", "")).stat()
        version: tuple[int, ...] = (file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns)
    except OSError:
        version = ()
    told = tuple(os.environ.get(name) for name in _VARIABLES)
    return (*told, version, ssl.SSLContext, ssl.create_default_context)
