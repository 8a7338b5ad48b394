"""Run tokens: what a run's code shows to the API. It names the run, and nothing else makes one.

A token stands for `run:<namespace>/<uid>`. It holds no expiry: whoever checks it looks at the live
run, and it dies with that.
"""

from __future__ import annotations

from dataclasses import dataclass

from mayfly.gateway.access.signing import SigningKey

PREFIX = "mfr_"


@dataclass(frozen=True)
class RunIdentity:
    """The run that a token speaks for."""

    namespace: str
    uid: str


def mint(key: SigningKey, namespace: str, uid: str) -> str:
    """The token of a run; always the same one, so that a redelivery changes nothing."""
    return f"{PREFIX}{namespace}_{uid}_{key.sign('run-token', namespace, uid)}"


def read(key: SigningKey, token: str) -> RunIdentity | None:
    """The run of a token, or None when the token is not ours."""
    parts = token.removeprefix(PREFIX).split("_")
    if not token.startswith(PREFIX) or len(parts) != 3:
        return None
    namespace, uid, signature = parts
    if not key.verify(signature, "run-token", namespace, uid):
        return None
    return RunIdentity(namespace, uid)
