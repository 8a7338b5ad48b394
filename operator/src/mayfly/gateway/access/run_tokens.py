"""Run tokens: a run's code authenticates to the API with one.

A token is signed and stands for `run:<namespace>/<uid>`. It has no expiry: whoever verifies it also
looks up the live run, so it is valid exactly as long as the run.
"""

from __future__ import annotations

from dataclasses import dataclass

from mayfly.gateway.access.signing import SigningKey

PREFIX = "mfr_"


@dataclass(frozen=True)
class RunIdentity:
    """The run that a token stands for."""

    namespace: str
    uid: str


def mint(key: SigningKey, namespace: str, uid: str) -> str:
    """The token of a run; always the same, so that sending the work again changes nothing."""
    return f"{PREFIX}{namespace}_{uid}_{key.sign('run-token', namespace, uid)}"


def read(key: SigningKey, token: str) -> RunIdentity | None:
    """The run of a token; None if the token is not ours."""
    parts = token.removeprefix(PREFIX).split("_")
    if not token.startswith(PREFIX) or len(parts) != 3:
        return None
    namespace, uid, signature = parts
    if not key.verify(signature, "run-token", namespace, uid):
        return None
    return RunIdentity(namespace, uid)
