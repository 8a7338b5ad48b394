"""Builds the secrets room."""

from __future__ import annotations

from dataclasses import dataclass

from mayfly.gateway.access.room import AccessControl
from mayfly.gateway.files.room import FileStorage
from mayfly.gateway.process import Process
from mayfly.gateway.secrets.lookup import SecretLookup
from mayfly.gateway.secrets.sealed import Sealed


@dataclass(frozen=True)
class Secrets:
    """What the room offers: sealed secrets, and lookup of Kubernetes Secrets."""

    sealed: Sealed
    lookup: SecretLookup


def build(process: Process, access: AccessControl, files: FileStorage) -> Secrets:
    """Build the room from the rooms below it."""
    config = process.config
    sealed = Sealed(
        database=process.database, key=access.key, clock=process.clock, new_id=process.new_id
    )
    lookup = SecretLookup(
        process.cluster, files.store, sealed, config.service_account, config.limits.input_bytes
    )
    return Secrets(sealed, lookup)
