"""Enforces budgets of namespaces and of runs: whether something may still be started.

A budget is spent when the amount spent equals it. From then on nothing new starts under it: creates
are refused with 402, waiting work ends with reason BudgetExceeded, and running work continues. A
namespace without the annotation and a tree without a budget cause no SQL query.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from mayfly.api.v1alpha1.names import BUDGET_MONTHLY
from mayfly.clock import Clock
from mayfly.database.engine import Database
from mayfly.gateway.cache.runs import Runs, Seen
from mayfly.gateway.http.errors import BudgetReached
from mayfly.gateway.namespaces.watch import Namespaces
from mayfly.listeners import Listeners
from mayfly.metering import spending
from mayfly.metering.pricing import decimal_text
from mayfly.metering.spending import Budget
from mayfly.reconcile.budget import needs_budget_check

logger = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""How often waiting work is compared with what has been spent."""

_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,18})?")


@dataclass(frozen=True)
class Limit:
    """The monthly budget of a namespace, from its annotation.

    Attributes:
        text: of the annotation.
        amount: its value; None if it is not a decimal, which limits nothing.
    """

    text: str
    amount: Decimal | None


@dataclass(frozen=True)
class Standing:
    """A namespace's budget of this month, and what has been spent of it."""

    amount: Decimal
    spent: Decimal

    @property
    def left(self) -> Decimal:
        """What may still be spent; never below 0, though running work may spend more."""
        return max(self.amount - self.spent, Decimal(0))


class Budgets:
    """Enforces monthly budgets of namespaces and budgets of runs.

    Attributes:
        rechecks: tells the UID of each run whose budget is to be looked at again.
    """

    def __init__(
        self,
        *,
        namespaces: Namespaces,
        database: Database,
        runs: Runs,
        currency: str,
        clock: Clock,
    ) -> None:
        """Create the enforcement without starting it.

        Args:
            namespaces: have the annotations.
            database: has the amounts spent.
            runs: unfinished runs.
            currency: of the installation.
            clock: for the current month.
        """
        self._database = database
        self._runs = runs
        self.rechecks: Listeners[str] = Listeners()
        self._currency = currency
        self._clock = clock
        self._limits: dict[str, Limit] = {}
        self._namespaces = namespaces
        namespaces.changes.listen(self._on_namespace)

    async def run(self) -> None:
        """Recheck budgets every few seconds, until cancelled."""
        await self._namespaces.synced.wait()
        await self._runs.synced.wait()
        while True:
            try:
                await self.look()
            except Exception:
                logger.exception("checking the budgets failed")
            await asyncio.sleep(LOOK_SECONDS)

    # -- asked -----------------------------------------------------------------------------------

    async def require(self, namespace: str, caller: Seen | None) -> None:
        """Refuse a create if a budget is spent.

        Args:
            namespace: who pays.
            caller: the run whose code creates.

        Raises:
            BudgetReached: nothing more may be started there.
        """
        why = await self._why_not(namespace, caller.uid if caller else None)
        if why:
            raise BudgetReached(why)

    async def why_not(self, namespace: str, budget_uid: str | None) -> str:
        """Why nothing more may start, as a sentence; "" if it may.

        Args:
            namespace: who pays.
            budget_uid: the nearest run with a budget, of the prediction's row.
        """
        await self._namespaces.synced.wait()
        limit = self._limits.get(namespace)
        amount = limit.amount if limit else None
        if amount is None and budget_uid is None:
            return ""
        async with self._database.read() as tx:
            if amount is not None:
                spent = await spending.of_namespace(tx, namespace, self._clock())
                if spent >= amount:
                    return self._namespace_words(namespace, spent, amount)
            if budget_uid is not None:
                for each in await spending.of_budgets(tx, budget_uid):
                    if each.spent >= each.amount:
                        return self._run_words(each)
        return ""

    async def why_no_run(self, seen: Seen) -> str:
        """Why a run that has not started may not start, as a sentence; "" if it may.

        Nothing of its own budget can be spent yet, so only budgets above it count.
        """
        return await self._why_not(seen.key[0], seen.parent_uid)

    async def _why_not(self, namespace: str, parent_uid: str | None) -> str:
        budget_uid = None
        if parent_uid is not None and self.may_bound(parent_uid):
            async with self._database.read() as tx:
                budget_uid = await spending.budget_of(tx, parent_uid)
        return await self.why_not(namespace, budget_uid)

    def may_bound(self, uid: str | None) -> bool:
        """Whether a run's budget may bound a run: its own or one above; True if the watch lacks it.

        Args:
            uid: of the run.
        """
        while uid is not None:
            seen = self._runs.get(uid)
            if seen is None or seen.raw["spec"].get("budget"):
                return True
            uid = seen.parent_uid
        return False

    def needs_budget_check(self, seen: Seen) -> bool:
        """Whether the controller waits for the gateway's budget check of a run."""
        return needs_budget_check(seen.run, budgeted=seen.key[0] in self._limits)

    def warning(self, namespace: str) -> str:
        """What is wrong with a namespace's annotation, as a sentence; "" if nothing is."""
        limit = self._limits.get(namespace)
        if limit is None or limit.amount is not None:
            return ""
        return (
            f'Annotation {BUDGET_MONTHLY} of namespace "{namespace}" is '
            f"{limit.text[:64]!a}, which is not a decimal number such as 25 or 12.50. The "
            f"namespace has no monthly budget until this is fixed."
        )

    async def standings(self, namespaces: Iterable[str]) -> dict[str, Standing]:
        """How the budgets of those namespaces stand that have one."""
        amounts = {
            name: limit.amount
            for name in namespaces
            if (limit := self._limits.get(name)) is not None and limit.amount is not None
        }
        if not amounts:
            return {}
        now = self._clock()
        async with self._database.read() as tx:
            return {
                name: Standing(amount, await spending.of_namespace(tx, name, now))
                for name, amount in amounts.items()
            }

    # -- words -----------------------------------------------------------------------------------

    def _namespace_words(self, namespace: str, spent: Decimal, amount: Decimal) -> str:
        month = spending.month_of(self._clock())
        return (
            f'Namespace "{namespace}" has reached its budget of {self._money(amount)} for {month}: '
            f"{self._money(spent)} has been spent. Raise its annotation {BUDGET_MONTHLY}, or wait "
            f"for the next month (UTC)."
        )

    def _run_words(self, budget: Budget) -> str:
        return (
            f'The run "{budget.name}" has reached its budget of {self._money(budget.amount)}: it '
            f"and everything below it have spent {self._money(budget.spent)}. Its spec.budget "
            f"can't change; create another run with a larger one."
        )

    def _money(self, amount: Decimal) -> str:
        return f"{decimal_text(amount)} {self._currency}"

    # -- looked at without being asked -----------------------------------------------------------

    async def look(self) -> None:
        """Queue waiting runs whose budget may have changed."""
        known: dict[tuple[str, str | None], str] = {}
        for seen in list(self._runs.unfinished()):
            status = seen.run.status
            if status.ended or status.started or not self._bounded(seen):
                continue
            payer = (seen.key[0], seen.parent_uid)
            if payer not in known:
                known[payer] = await self._why_not(*payer)
            if known[payer]:
                self.rechecks.tell(seen.uid)

    def _bounded(self, seen: Seen) -> bool:
        limited = seen.key[0] in self._limits
        return limited or (seen.parent_uid is not None and self.may_bound(seen.parent_uid))

    @property
    def limited(self) -> frozenset[str]:
        """Namespaces with a monthly budget."""
        return frozenset(name for name, each in self._limits.items() if each.amount is not None)

    def _on_namespace(self, name: str, annotations: dict[str, str]) -> None:
        text = annotations.get(BUDGET_MONTHLY)
        before = self._limits.pop(name, None)
        if text is not None:
            self._limits[name] = Limit(text, _amount(text))
        if before == self._limits.get(name):
            return
        if self.warning(name):
            logger.warning("%s", self.warning(name))
        for seen in list(self._runs.unfinished()):
            if seen.key[0] == name:
                self.rechecks.tell(seen.uid)


def _amount(text: str) -> Decimal | None:
    return Decimal(text) if _AMOUNT.fullmatch(text) else None


def own_budget(seen: Seen) -> Decimal | None:
    """The run's own budget."""
    text = seen.run.spec.budget
    return None if text is None else _amount(text)
