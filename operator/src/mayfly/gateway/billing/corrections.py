"""Corrections of bills: each is a further usage record with a reason and an author."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from mayfly.clock import Clock
from mayfly.database.engine import Database
from mayfly.gateway.access.callers import Caller, Callers
from mayfly.gateway.http.errors import Forbidden, Invalid, Taken
from mayfly.gateway.predictions.finder import Predictions
from mayfly.gateway.predictions.idempotency import MAX_KEY
from mayfly.metering import records, tree
from mayfly.metering.records import BelowNothing, Correction, NotBilled, UsageRecord
from mayfly.workqueue import WorkQueue

BODY_BYTES = 16 * 1024
MAX_MILLISECONDS = 10**12
COST = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,21})?")


class _Wanted(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    cost: str | None = None
    active_milliseconds: Annotated[int, Field(ge=-MAX_MILLISECONDS, le=MAX_MILLISECONDS)] | None = (
        None
    )
    why: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]

    @model_validator(mode="after")
    def _is_a_difference(self) -> _Wanted:
        if (self.cost is None) == (self.active_milliseconds is None):
            raise ValueError('give either "cost" or "active_milliseconds"')
        if self.cost is not None and not COST.fullmatch(self.cost):
            raise ValueError('"cost" is a signed decimal in a string, such as "-0.01"')
        if not (self.active_milliseconds or Decimal(self.cost or 0)):
            raise ValueError("the difference must not be zero")
        return self


class Corrections:
    """Creates corrections: checks the rights and the request, and records the difference."""

    def __init__(
        self,
        *,
        database: Database,
        predictions: Predictions,
        callers: Callers,
        workqueue: WorkQueue[str],
        clock: Clock,
    ) -> None:
        self._database = database
        self._predictions = predictions
        self._callers = callers
        self._workqueue = workqueue
        self._clock = clock

    async def make(
        self,
        caller: Caller,
        identity: str,
        namespace: str | None,
        body: bytes,
        headers: Mapping[str, str],
    ) -> tuple[UsageRecord, UsageRecord]:
        """Correct a prediction's bill.

        Args:
            caller: who corrects.
            identity: of the prediction.
            namespace: of the base URL, if it names one.
            body: JSON: `cost` or `active_milliseconds`, each a signed difference, and `why`.
            headers: of the request; with an `Idempotency-Key`, a repeat returns the first one.

        Returns:
            The correction's record, and the bill including all corrections.

        Raises:
            Missing: there is no such prediction, or the caller may not know of it.
            Forbidden: the caller may read it, but not correct it.
            Invalid: the body is invalid, or the bill would become negative.
            Taken: the prediction has not ended, or the key was used for something else.
        """
        found = await self._predictions.find(caller, identity, namespace)
        payer, uid = found.row.namespace, found.row.uid
        user = caller.user
        if user is None:
            raise Forbidden("A run's token may not correct bills.")
        await self._callers.require(caller, "update", "pipelineruns/status", payer)
        change = _read(body, user.name, _digest(user.name, headers))
        async with self._database.write(bulk=True) as tx:
            try:
                record = await tree.correct(tx, uid, change, self._clock())
            except NotBilled as error:
                raise Taken(str(error)) from None
            except BelowNothing as error:
                raise Invalid(str(error)) from None
            except records.KeyUsed as error:
                raise Taken(str(error)) from None
            bill = records.summed(await records.of(tx, uid))
        # Write the new sums to the objects of the run and of its ancestors.
        self._workqueue.add(uid)
        return record, bill


def _read(body: bytes, author: str, request: str | None) -> Correction:
    try:
        wanted = _Wanted.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        member = "/".join(str(part) for part in first["loc"])
        words = first["msg"].removeprefix("Value error, ")
        raise Invalid(
            f"The correction is invalid: {member + ': ' if member else ''}{words}.",
            pointer=f"/{member}" if member else "",
        ) from None
    return Correction(
        why=wanted.why,
        author=author[:320],
        cost=None if wanted.cost is None else Decimal(wanted.cost),
        active_ms=wanted.active_milliseconds or 0,
        request=request,
    )


def _digest(author: str, headers: Mapping[str, str]) -> str | None:
    """The digest that identifies a repeat; it never expires, so money is moved once."""
    key = headers.get("idempotency-key", "")
    if len(key) > MAX_KEY:
        raise Invalid(f"Idempotency-Key has more than {MAX_KEY} characters.")
    if not key:
        return None
    return hashlib.sha256(f"{len(author)}:{author}{key}".encode("utf-8", "replace")).hexdigest()
