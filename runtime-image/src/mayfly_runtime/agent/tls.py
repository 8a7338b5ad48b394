"""TLS contexts: for the gateway, and for URLs given by users."""

import ssl
from pathlib import Path


def gateway_context(own_ca: str, bundle: Path | None) -> ssl.SSLContext:
    """For the gateway: trusts only its own CA, if there is one (1 ms instead of 20)."""
    if own_ca:
        return ssl.create_default_context(cadata=own_ca)
    return user_context(bundle)


def user_context(bundle: Path | None) -> ssl.SSLContext:
    """For URLs given by users."""
    return ssl.create_default_context(cafile=None if bundle is None else str(bundle))
