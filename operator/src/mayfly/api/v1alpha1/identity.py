"""Names that are derived: a run's id, a version's id, a pod's and a version's object name."""

from __future__ import annotations

import hashlib
import json
from uuid import UUID

from mayfly.api.v1alpha1.source import Source

CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def run_id(uid: str) -> str:
    """A run's prediction id: its UID in 26 characters of lower-case Crockford base32.

    Raises:
        ValueError: `uid` is not a UUID.
    """
    return crockford(UUID(uid).int)


def uid_of(identity: str) -> str:
    """The UID that a prediction id was made of.

    Raises:
        ValueError: the text is no such id.
    """
    number = 0
    for character in identity:
        number = number << 5 | CROCKFORD.index(character)
    uid = str(UUID(int=number))
    if run_id(uid) != identity:
        raise ValueError(f"{identity!r} is not the id of a prediction")
    return uid


def crockford(number: int) -> str:
    """A 128-bit number in 26 characters of lower-case Crockford base32."""
    return "".join(CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


def version_id(owner_uid: str, source: Source, entrypoint: str, runtime_digest: str) -> str:
    """A version's id: 64 hex digits of sha256 over everything that it pins.

    Args:
        owner_uid: the Pipeline's UID, or "" for a run's own `pipelineSpec`.
        source: the source.
        entrypoint: file:function.
        runtime_digest: the image by digest.
    """
    text = json.dumps([owner_uid, source.texts(), entrypoint, runtime_digest], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def version_name(pipeline: str, version: str) -> str:
    """The object name of a PipelineVersion: the pipeline's and ten digits of the id."""
    return f"{pipeline}-{version[:10]}"


def seniority(created: str | None, uid: str) -> tuple[str, str]:
    """By which the eldest of several objects has a name that they share: the smallest.

    Args:
        created: `metadata.creationTimestamp`, which counts whole seconds.
        uid: `metadata.uid`, which decides within one.
    """
    return (created or "", uid)


def pod_name(identity: str, attempt: int) -> str:
    """The pod of one attempt of a run: deterministic, so that a repeated create is a 409."""
    return f"mayfly-{identity}-{attempt}"
