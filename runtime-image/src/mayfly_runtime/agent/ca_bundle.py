"""The worker's CA bundle: the public roots and the gateway's own CA in one file.

`SSL_CERT_FILE` replaces the roots instead of adding to them, so both go into one file.
"""

import importlib.util
from pathlib import Path

_SYSTEM_ROOTS = Path("/etc/ssl/certs/ca-certificates.crt")


def write_bundle(target: Path, own_ca: str) -> Path | None:
    """Write the roots and `own_ca` (PEM text, may be empty); returns None if there are none.

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
    """The path of certifi's roots, found without importing it; otherwise the system's, if any."""
    spec = importlib.util.find_spec("certifi")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        file = Path(folder) / "cacert.pem"
        if file.is_file():
            return file
    return _SYSTEM_ROOTS if _SYSTEM_ROOTS.is_file() else None
