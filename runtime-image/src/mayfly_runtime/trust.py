"""Which certificates agent and worker trust: the public roots, and the gateway's own CA.

`SSL_CERT_FILE` replaces the roots instead of adding to them, so both go into one file.
"""

import importlib.util
import ssl
from pathlib import Path

_SYSTEM_ROOTS = Path("/etc/ssl/certs/ca-certificates.crt")


def write_bundle(target: Path, own_ca: str) -> Path | None:
    """Write the roots and `own_ca` (PEM text, may be empty); None when there is nothing at all.

    Raises:
        OSError: the file can't be written.
    """
    roots = public_roots()
    text = "" if roots is None else roots.read_text("utf-8")
    if own_ca:
        text = f"{text.rstrip()}\n{own_ca.strip()}\n"
    if not text:
        return None
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, "utf-8")
    return target


def public_roots() -> Path | None:
    """Certifi's file, found without importing it; else the system's, where there is one."""
    spec = importlib.util.find_spec("certifi")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        file = Path(folder) / "cacert.pem"
        if file.is_file():
            return file
    return _SYSTEM_ROOTS if _SYSTEM_ROOTS.is_file() else None


def gateway_context(own_ca: str, bundle: Path | None) -> ssl.SSLContext:
    """For calls to the gateway: its own CA alone if there is one (1 ms instead of 20)."""
    if own_ca:
        return ssl.create_default_context(cadata=own_ca)
    return user_context(bundle)


def user_context(bundle: Path | None) -> ssl.SSLContext:
    """For URLs that users give."""
    return ssl.create_default_context(cafile=None if bundle is None else str(bundle))
