"""Finds a run for a caller and shows it as the API's prediction object.

A run that the ledger knows is shown from SQL; one that is newer than that from the watch; a
finished one that SQL has lost from the API server. What a caller may not see is not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from mayfly.api.v1alpha1.conditions import ConditionType, is_true
from mayfly.clock import Clock, parse_rfc3339
from mayfly.config import GatewayLimits
from mayfly.gateway import archive, wire
from mayfly.gateway.auth import Access, Authenticator, Caller, User
from mayfly.gateway.catalog import Terms
from mayfly.gateway.errors import Forbidden, Missing, Unauthenticated
from mayfly.gateway.files import Files, references
from mayfly.gateway.rows import new_row
from mayfly.gateway.runs import Runs, Seen
from mayfly.gateway.signing import SigningKey, file_link
from mayfly.gateway.states import ENDS, State, state_of
from mayfly.gateway.status import ending_of, is_ended
from mayfly.gateway.work import shown_input
from mayfly.metering import ledger
from mayfly.metering.database import Database
from mayfly.metering.ledger import RunRow
from mayfly.metering.usage import cost, decimal_text

ID = re.compile(r"[0-9a-hjkmnp-tv-z]{26}")


@dataclass(frozen=True)
class Prediction:
    """A run as the API sees it.

    Attributes:
        row: the ledger's row, or one made of the object where the ledger has none.
        state: the word of the API.
        output: the output's JSON text: whole at the end, the items so far before it.
    """

    row: RunRow
    state: State
    output: str | None

    @property
    def ended(self) -> bool:
        """Whether nothing about it changes any more."""
        return self.state in ENDS


class Predictions:
    """Reads runs for callers."""

    def __init__(
        self,
        *,
        database: Database,
        runs: Runs,
        files: Files,
        authenticator: Authenticator,
        access: Access,
        key: SigningKey,
        limits: GatewayLimits,
        clock: Clock,
    ) -> None:
        self._database = database
        self._runs = runs
        self._files = files
        self._authenticator = authenticator
        self._access = access
        self._key = key
        self._limits = limits
        self._clock = clock

    async def find(
        self, headers: Mapping[str, str], identity: str, namespace: str | None
    ) -> Prediction:
        """A run that the caller may read.

        Args:
            headers: the request's, with the token.
            identity: the 26 characters of the run.
            namespace: of the base URL, where it names one.

        Raises:
            Unauthenticated: no valid token.
            Forbidden: the caller may read no runs in the namespace that the URL names.
            Missing: there is no such run, or the caller may not know.
        """
        caller = await self._authenticator.caller(headers)
        if namespace and isinstance(caller, User):
            await self._require(caller, namespace)
        found = await self._lookup(identity) if ID.fullmatch(identity) else None
        own = await self._run_of(caller)
        if found is None or (namespace and found.row.namespace != namespace):
            raise _missing(identity)
        if isinstance(caller, User):
            row = found.row
            allowed = await self._access.allowed(
                caller, "get", "pipelineruns", row.namespace, row.name
            )
        else:
            # A run reads its own tree.
            allowed = own is not None and own.root_uid == found.row.root_uid
        if not allowed:
            raise _missing(identity)
        return found

    async def _require(self, user: User, namespace: str) -> None:
        if not await self._access.allowed(user, "get", "pipelineruns", namespace):
            raise Forbidden(f'You may not read runs in the namespace "{namespace}".')

    async def _run_of(self, caller: Caller) -> RunRow | None:
        """The live run of a run's token.

        Raises:
            Unauthenticated: the run is over, and its token with it.
        """
        if isinstance(caller, User):
            return None
        seen = self._runs.get(caller.uid)
        if seen is None or is_ended(seen) or seen.key[0] != caller.namespace:
            raise Unauthenticated("The run of this token is over.")
        return _row_of(seen)

    async def again(self, found: Prediction) -> Prediction:
        """The same run as it is now; for one that is gone, as it was."""
        return await self._lookup(found.row.id) or found

    async def _lookup(self, identity: str) -> Prediction | None:
        seen = self._runs.by_id(identity)
        async with self._database.read() as tx:
            row = await ledger.find_by_id(tx, identity)
            items = await archive.items(tx, row.uid) if row and not row.closed else None
        if row is not None:
            return Prediction(row, state_of(row), row.output if row.closed else items)
        seen = seen or await self._runs.find_finished(identity)
        if seen is None:
            return None
        row = _row_of(seen)
        return Prediction(row, _state_of(seen), row.output)

    async def body(self, found: Prediction, base: str) -> str:
        """The prediction object as JSON text, with links in the reader's own base.

        Args:
            found: the run.
            base: the reader's base URL, without a slash at its end.
        """
        row = found.row
        async with self._database.read() as tx:
            logs = await archive.log_tail(tx, row.uid, self._limits.log_tail_bytes)
        fields = wire.prediction(
            row,
            found.state,
            input_json=await self.linked(row, row.input_json, base),
            output=await self.linked(row, found.output, base),
            logs=logs,
            cost=decimal_text(cost(ledger.Ending.of(row).consumption, row.pins))
            if found.ended
            else None,
            base=base,
        )
        return wire.dumps(fields)

    async def linked(self, row: RunRow, text: str | None, base: str) -> str | None:
        """A run's JSON text with its files as links; everything else byte for byte."""
        ids = references(text)
        if text is None or not ids:
            return text
        known = await self._files.find_all(ids)
        now = self._clock()
        # A reference is a capability only inside its namespace: elsewhere it stays a word.
        links = {
            each.id: file_link(self._key, wire.host_of(base), each.id, each.name, now)
            for each in known.values()
            if each.namespace == row.namespace
        }
        return wire.with_links(text, links)

    async def log_from(self, row: RunRow, position: int) -> tuple[str, int]:
        """A piece of a run's log from a position on, and the position after it."""
        async with self._database.read() as tx:
            return await archive.read_log(tx, row.uid, position)

    async def log_end(self, row: RunRow) -> str:
        """The line on what was not kept of a log, or ""."""
        async with self._database.read() as tx:
            return (await archive.log_size(tx, row.uid)).dropped_line


def _missing(identity: str) -> Missing:
    return Missing(f'There is no prediction "{identity[:64]}" that you may read.')


def _state_of(seen: Seen) -> State:
    status = seen.run.status
    if status.ended:
        return State(ending_of(seen).outcome.value)
    if is_true(status.conditions, ConditionType.STARTED):
        return State.PROCESSING
    return State.STARTING


def _row_of(seen: Seen) -> RunRow:
    """A row with what the object alone tells."""
    status = seen.run.status
    row = new_row(
        seen,
        Terms(),
        currency=status.usage.currency if status.usage else "",
        input_json=shown_input(seen),
        now=_moment(seen.run.metadata.creation_timestamp),
    )
    if status.started_at:
        row = replace(row, started_at=_moment(status.started_at))
    return _ended_row(row, seen) if is_ended(seen) else row


def _ended_row(row: RunRow, seen: Seen) -> RunRow:
    ending = ending_of(seen)
    return RunRow(
        **{
            **vars(row),
            "outcome": ending.outcome.value,
            "reason": ending.reason,
            "error": ending.error,
            "output": ending.output,
            "started_at": ending.started_at,
            "completed_at": ending.completed_at,
            "active_ms": ending.active_ms,
        }
    )


def _moment(text: str | None) -> datetime:
    return parse_rfc3339(text or "1970-01-01T00:00:00Z")
