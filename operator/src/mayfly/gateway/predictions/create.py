"""Creates predictions: the rules of every create, in order.

    1. permit        the caller may create predictions there, now
    2. callable      what it calls may be called from there
    3. budget        no budget that covers it is spent
    4. check         the version is there, and the input fits it
    5. conceal       references take the places of secrets, and of links to files of ours
    6. made before   a retry returns what the first create made
    7. make          a call of a Pipeline becomes a PipelineRun, one of a Model a queued row

Every check comes before anything is created or stored. A create makes one prediction, even if the
client does not get the answer and sends it again.

A retry returns the first prediction, even if a budget has been reached or the Pipeline has changed
since. If rules 2 to 5 refuse it, it is looked up before the error is returned. If they accept it,
it is looked up in the transaction that stores its fingerprint, so a first create, which may have a
key too, needs no extra read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from mayfly.clock import Clock
from mayfly.database.engine import Database
from mayfly.gateway.access.callers import Caller, Callers
from mayfly.gateway.cache.directory import Entry
from mayfly.gateway.files.links import FileLinks
from mayfly.gateway.http.errors import Problem, Refusal
from mayfly.gateway.namespaces.budgets import Budgets
from mayfly.gateway.predictions import idempotency
from mayfly.gateway.predictions.idempotency import Created, Fingerprint, InFlight, MadeBefore
from mayfly.gateway.predictions.permits import Permits
from mayfly.gateway.predictions.request import CreateRequest
from mayfly.gateway.predictions.snapshots import Snapshot
from mayfly.gateway.predictions.targets import Target
from mayfly.gateway.secrets.sealed import Concealed, Sealed
from mayfly.source_check.checker import SourceChecker


@dataclass(frozen=True)
class Order:
    """A create: who calls what, in which namespace, and with what."""

    caller: Caller
    namespace: str
    target: Target
    request: CreateRequest


@dataclass(frozen=True)
class Callee:
    """What a create calls, in its current state.

    Attributes:
        entry: the Pipeline or Model.
        version: the id of its version; "" if a Model's is not known yet.
        schema: the OpenAPI document of that version; None if it is not known yet. Then only the
            Model's server checks the input.
    """

    entry: Entry
    version: str
    schema: dict[str, Any] | None


@dataclass(frozen=True)
class Plan:
    """A valid create, ready to be made.

    Attributes:
        order: what was asked for.
        callee: what it runs.
        given: the input without secrets, and with references to files of ours.
        name: of a run that an earlier create has stored; "" for a new name.
    """

    order: Order
    callee: Callee
    given: Concealed
    name: str = ""


class Maker(Protocol):
    """Interface: makes one kind of prediction, a run of a Pipeline or a call of a Model."""

    async def callee(self, order: Order) -> Callee:
        """Resolve what an order calls.

        Raises:
            Problem: it has no such version, can't be called, or not with these options.
        """

    async def make(self, plan: Plan, known: Fingerprint) -> Snapshot:
        """Make a prediction, and store its fingerprint for retries.

        Raises:
            MadeBefore: it repeats one that is remembered; nothing was made or kept.
            Problem: it can't be made.
        """

    async def recall(self, made: Created) -> Snapshot | None:
        """The prediction that an earlier create made; None if none came of it."""


class Creator:
    """Creates predictions: checks the rules and makes the prediction once."""

    def __init__(
        self,
        *,
        permits: Permits,
        callers: Callers,
        budgets: Budgets,
        sources: SourceChecker,
        sealed: Sealed,
        links: FileLinks,
        database: Database,
        clock: Clock,
        runs: Maker,
        calls: Maker,
    ) -> None:
        self._permits = permits
        self._callers = callers
        self._budgets = budgets
        self._sources = sources
        self._sealed = sealed
        self._links = links
        self._database = database
        self._clock = clock
        self._runs = runs
        self._calls = calls
        self._in_flight = InFlight()

    async def create(
        self,
        caller: Caller,
        target: Target,
        request: CreateRequest,
        headers: Mapping[str, str],
        base: str,
    ) -> Snapshot:
        """Create a prediction, or return the one that an earlier identical create made.

        Args:
            caller: who calls.
            target: what.
            request: with what.
            headers: the request's.
            base: the caller's base URL: links to files of ours begin with it.

        Raises:
            Forbidden: the caller may not, or its run may create nothing (any more).
            BudgetReached: nothing more may be started.
            Missing: what is called has no such version, or none that can still be called.
            Invalid: the input or an option is wrong.
            TooMany: too many calls wait for the Model.
            Busy: the API server does not answer; nothing was made, or a repeat will find it.
        """
        namespace = caller.namespace or target.entry.namespace
        order = Order(caller, namespace, target, request)
        maker = self._maker(order)
        called = f"{namespace} {target.called} {target.version}"
        known = idempotency.fingerprint(headers, called, request.body)
        async with self._in_flight.turn(known):
            await self._permits.require(caller, namespace)
            try:
                plan = await self._plan(order, maker, base)
            except Problem:
                first = await self._first(known, maker)
                if first is None:
                    raise
                return first
            return await self._made(plan, known, maker)

    async def check(self, caller: Caller, target: Target, request: CreateRequest) -> Refusal | None:
        """What a create would find wrong with an input; None if nothing. Makes nothing.

        Raises:
            Forbidden: what is called may not be called from there.
            Missing: it has no such version, or none that can still be called.
            Invalid: it can't be called at all.
        """
        namespace = caller.namespace or target.entry.namespace
        order = Order(caller, namespace, target, request)
        self._callers.require_callable(target.entry, namespace)
        callee = await self._maker(order).callee(order)
        if callee.schema is None:
            return None  # only the Model's server can tell
        problems = await self._problems(callee, callee.schema, request.input)
        return Refusal(problems) if problems else None

    def _maker(self, order: Order) -> Maker:
        return self._calls if order.target.entry.is_model else self._runs

    async def _problems(
        self, callee: Callee, schema: dict[str, Any], given: dict[str, Any]
    ) -> list[str]:
        """What is wrong with an input, a sentence for each field."""
        # Only inputs of runs may refer to Secrets; any caller may pass a secret as text.
        return await self._sources.input_problems(
            schema, given, references=not callee.entry.is_model, literals=True
        )

    async def _plan(self, order: Order, maker: Maker, base: str) -> Plan:
        """Check rules 2 to 5 and return what to make."""
        self._callers.require_callable(order.target.entry, order.namespace)
        await self._budgets.require(order.namespace, order.caller.run)
        callee = await maker.callee(order)
        given = Concealed(order.request.input, order.request.input_json)
        if callee.schema is not None:
            problems = await self._problems(callee, callee.schema, given.input)
            if problems:
                raise Refusal(problems)
            given = self._sealed.conceal(callee.schema, given.input, given.input_json)
        text = await self._links.to_references(given.input_json, order.namespace, base)
        return Plan(order, callee, replace(given, input_json=text))

    async def _first(self, known: Fingerprint, maker: Maker) -> Snapshot | None:
        """The prediction of the create that this one repeats; None if it is not a repeat."""
        if not known.repeat:
            return None
        async with self._database.read() as tx:
            made = await idempotency.recall(tx, known, self._clock())
        return None if made is None else await maker.recall(made)

    async def _made(self, plan: Plan, known: Fingerprint, maker: Maker) -> Snapshot:
        """Make the prediction, or return the one of a concurrent create: rules 6 and 7."""
        try:
            return await maker.make(plan, known)
        except MadeBefore as error:
            made = error.made
        first = await maker.recall(made)
        if first is not None:
            return first
        # It was stored but not created: the API server refused it, did not answer, or is about to
        # be asked by another gateway. By its name, it is created once.
        return await maker.make(replace(plan, name=made.name), replace(known, repeat=False))
