"""Encrypted store of secrets that callers send as text, until their prediction ends.

PipelineRuns are readable and the database is backed up, so neither may contain such a text: where
an input's schema declares a secret, the text is replaced by `mayfly-secret:<id>` before anything is
created. The key is derived in memory from the installation's signing key. Each text is sealed for
one prediction by its UID, so another input with the same reference gets nothing. A run has no UID
before it is created; until then its text is sealed for its namespace, name, version and input.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Column, Index, LargeBinary, String, Table, bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.clock import Clock
from mayfly.database.engine import Database, Instant, insert_once, metadata
from mayfly.gateway.access.signing import SigningKey
from mayfly.gateway.http import rawjson
from mayfly.gateway.http.errors import Invalid
from mayfly_runtime.spec import inputs, pointer
from mayfly_runtime.spec.redaction import MARK

logger = logging.getLogger(__name__)

Json = dict[str, Any]

SCHEME = "mayfly-secret:"
PURPOSE = "sealed secrets"
NONCE_BYTES = 12
MAX_TOTAL_BYTES = 1024 * 1024
"""Maximum size of the secrets of one prediction together."""

_REFERENCE = re.compile(r'(?<!\\)"mayfly-secret:([0-9a-hjkmnp-tv-z]{26})"(?!\s*:)')
"""A reference as a whole JSON string that is a value, like that of a file."""

sealed_secrets = Table(
    "sealed_secrets",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("prediction_uid", String(64), index=True),
    Column("namespace", String(63), nullable=False),
    Column("name", String(253), nullable=False),
    Column("box", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Index("ix_sealed_secrets_name", "namespace", "name"),
)
"""Until a run's UID is known, `prediction_uid` is null and `name` is set."""

_FORGET = delete(sealed_secrets).where(sealed_secrets.c.prediction_uid == bindparam("uid"))


class Unsealable(Exception):
    """A secret is gone, or belongs to another prediction; the message is for people."""


@dataclass(frozen=True)
class Concealed:
    """An input whose secrets were replaced by references.

    Attributes:
        input: the input, with references.
        input_json: the same as text.
        texts: the secrets by reference id.
    """

    input: Json
    input_json: str
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)


def redacted(text: str) -> str:
    """An input's JSON text with its secrets redacted."""
    return _REFERENCE.sub(json.dumps(MARK.decode()), text)


def references(text: str) -> list[str]:
    """The ids of the secrets that a JSON text names, without duplicates."""
    return list(dict.fromkeys(_REFERENCE.findall(text)))


class Sealed:
    """Encrypts secrets, and decrypts them for their prediction only."""

    def __init__(
        self, *, database: Database, key: SigningKey, clock: Clock, new_id: Callable[[], str]
    ) -> None:
        self._database = database
        self._cipher = AESGCM(key.derived(PURPOSE))
        self._clock = clock
        self._new_id = new_id

    # -- taken -----------------------------------------------------------------------------------

    def conceal(self, schema: Json, value: Json, text: str) -> Concealed:
        """Replace the secrets of a checked input by references.

        Args:
            schema: the OpenAPI document.
            value: the input, parsed.
            text: the same, unchanged.

        Raises:
            Invalid: they are too large.
        """
        if not inputs.has_secrets(schema):
            return Concealed(value, text)
        places = [
            place
            for place in inputs.secret_places(schema, value)
            if isinstance(pointer.pick(value, place), str)
        ]
        concealed = json.loads(json.dumps(value))
        texts: dict[str, str] = {}
        for place in places:
            identity = self._new_id()
            texts[identity] = pointer.pick(value, place)
            pointer.place(concealed, place, f"{SCHEME}{identity}")
        if sum(len(_plain(each)) for each in texts.values()) > MAX_TOTAL_BYTES:
            raise Invalid("The secrets of the input have more than 1 MiB.", pointer="/input")
        # Every other member keeps its text. One that came twice is kept once: the first may be a
        # secret too.
        members = rawjson.split(text)
        changed = {str(place[0]) for place in places}
        kept = rawjson.dumps(
            {
                name: concealed[name] if name in changed else rawjson.RawJSON(member)
                for name, member in members.items()
            }
        )
        return Concealed(concealed, kept, texts)

    # -- kept ------------------------------------------------------------------------------------

    async def keep_for_run(
        self, tx: AsyncConnection, concealed: Concealed, namespace: str, name: str, spec: Json
    ) -> None:
        """Store the secrets of a run that is about to be created.

        Args:
            tx: a transaction that is committed before the run is created.
            concealed: the input.
            namespace: of the run.
            name: of the run.
            spec: of the run, as it will be created.
        """
        context = _before(namespace, name, spec)
        await self._keep(tx, concealed, context, None, namespace, name)

    async def keep_for_call(
        self, tx: AsyncConnection, concealed: Concealed, uid: str, namespace: str
    ) -> None:
        """Store the secrets of a call of a Model, in the transaction that queues it."""
        await self._keep(tx, concealed, _of(uid), uid, namespace, "")

    async def _keep(
        self,
        tx: AsyncConnection,
        concealed: Concealed,
        context: str,
        uid: str | None,
        namespace: str,
        name: str,
    ) -> None:
        for identity, text in concealed.texts.items():
            values = {
                "id": identity,
                "prediction_uid": uid,
                "namespace": namespace,
                "name": name,
                "box": self._seal(identity, context, text),
                "created_at": self._clock(),
            }
            await insert_once(tx, sealed_secrets, values)

    async def bind(self, uid: str, namespace: str, name: str, spec: Json) -> None:
        """Seal a run's secrets again, for its UID; from then on no other run can open them.

        Args:
            uid: of the run.
            namespace: of the run.
            name: of the run.
            spec: of the run, as the API server has it.
        """
        async with self._database.write() as tx:
            found = await tx.execute(
                select(sealed_secrets).where(
                    sealed_secrets.c.namespace == namespace,
                    sealed_secrets.c.name == name,
                    sealed_secrets.c.prediction_uid.is_(None),
                )
            )
            for row in found.all():
                try:
                    text = self._unseal(row.id, _before(namespace, name, spec), row.box)
                except InvalidTag:
                    logger.warning("a secret of another create with this run's name stays sealed")
                    continue
                await tx.execute(
                    update(sealed_secrets)
                    .where(sealed_secrets.c.id == row.id, sealed_secrets.c.prediction_uid.is_(None))
                    .values(prediction_uid=uid, box=self._seal(row.id, _of(uid), text))
                )

    # -- opened ----------------------------------------------------------------------------------

    async def texts(self, uid: str) -> dict[str, str]:
        """The secrets of a prediction by reference id; those that can't be opened are left out."""
        async with self._database.read() as tx:
            return await self.texts_in(tx, uid)

    async def texts_in(self, tx: AsyncConnection, uid: str) -> dict[str, str]:
        """Like `texts`, in a transaction of the caller's."""
        found = await tx.execute(
            select(sealed_secrets.c.id, sealed_secrets.c.box).where(
                sealed_secrets.c.prediction_uid == uid
            )
        )
        texts: dict[str, str] = {}
        for row in found:
            try:
                texts[row.id] = self._unseal(row.id, _of(uid), row.box)
            except InvalidTag:
                logger.warning("a secret was sealed with another key", extra={"prediction": uid})
        return texts

    async def opened(self, uid: str, text: str) -> str:
        """An input's JSON text with the prediction's secrets filled in.

        Raises:
            Unsealable: one can't be opened.
        """
        named = references(text)
        if not named:
            return text
        texts = await self.texts(uid)
        for identity in named:
            if identity not in texts:
                raise Unsealable(words(identity))
        return _REFERENCE.sub(lambda match: json.dumps(texts[match[1]]), text)

    # -- forgotten -------------------------------------------------------------------------------

    async def forget(self, tx: AsyncConnection, uid: str) -> None:
        """Delete the secrets of an ended prediction."""
        await tx.execute(_FORGET, {"uid": uid})

    async def forget_unmade(
        self, namespace: str, name: str, ids: Collection[str] | None = None
    ) -> None:
        """Delete the secrets of a run that was not created; only those with these ids, if given."""
        unmade = delete(sealed_secrets).where(
            sealed_secrets.c.namespace == namespace,
            sealed_secrets.c.name == name,
            sealed_secrets.c.prediction_uid.is_(None),
        )
        async with self._database.write() as tx:
            if ids is not None:
                unmade = unmade.where(sealed_secrets.c.id.in_(list(ids)))
            await tx.execute(unmade)

    async def kept_before(self, moment: datetime) -> Sequence[tuple[str | None, str, str]]:
        """Owners of secrets that were stored before a moment: UID if known, namespace, name."""
        columns = (
            sealed_secrets.c.prediction_uid,
            sealed_secrets.c.namespace,
            sealed_secrets.c.name,
        )
        async with self._database.read(bulk=True) as tx:
            found = await tx.execute(
                select(*columns).where(sealed_secrets.c.created_at < moment).distinct()
            )
            return [(row.prediction_uid, row.namespace, row.name) for row in found]

    # -- the box ---------------------------------------------------------------------------------

    def _seal(self, identity: str, context: str, text: str) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        bound = f"{identity} {context}".encode()
        return nonce + self._cipher.encrypt(nonce, _plain(text), bound)

    def _unseal(self, identity: str, context: str, box: bytes) -> str:
        bound = f"{identity} {context}".encode()
        plain = self._cipher.decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], bound)
        return plain.decode("utf-8", "surrogatepass")


def words(identity: str) -> str:
    """Why a reference can't be opened."""
    return (
        f"The input names {SCHEME}{identity}, which belongs to another prediction or is not "
        f"stored any more. Such a reference can't be used again: give the secret itself."
    )


def _plain(text: str) -> bytes:
    # JSON can hold half a surrogate pair.
    return text.encode("utf-8", "surrogatepass")


def _of(uid: str) -> str:
    return f"prediction {uid}"


def _before(namespace: str, name: str, spec: Json) -> str:
    """The identity of a run before it has a UID, which no other run can get."""
    told = [namespace, name, spec.get("pipelineRef"), spec.get("inputJSON"), spec.get("inputFrom")]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    return f"unmade {digest}"
