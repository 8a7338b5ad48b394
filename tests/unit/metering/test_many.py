"""Many predictions, their events in any order and more than once: the same bill."""

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from support.builders import ledger_row
from support.lengths import length

from mayfly.database.engine import Database
from mayfly.metering import ledger, records, tree
from mayfly.metering.ending import Ending, Outcome
from mayfly.metering.ledger import ClosedBy, RunRow
from mayfly.metering.records import Correction
from mayfly.metering.tables import MODEL, usage_records

T0 = datetime(2026, 1, 1, tzinfo=UTC)
RUNS = length(400, 10_000)
ROOTS = length(80, 200)
BATCH = 2000
SETTLED = 10
"""Trees that are settled too: one question a run, so not all of them."""


@dataclass(frozen=True)
class Life:
    """One prediction: what is true of it.

    Attributes:
        row: as it is opened.
        ending: as it is told first.
        corrections: each with the request that it is known by.
    """

    row: RunRow
    ending: Ending
    corrections: tuple[Correction, ...]

    @property
    def cost(self) -> Fraction:
        """What it costs, by the rules in words and without the code that is tested."""
        price = {pin.meter.value: Fraction(pin.unit_price) for pin in self.row.pins}
        end, total = self.ending, Fraction(0)
        if end.started_at is not None:
            total += price["predictSeconds"] * end.active_ms / 1000
            total += price["inputTokens"] * end.input_tokens
            total += price["outputTokens"] * end.output_tokens
            if end.outcome is Outcome.SUCCEEDED:
                total += price["prediction"] + 2 * price["outputItems"]
        return total + sum((Fraction(each.cost or 0) for each in self.corrections), Fraction(0))


def price(dice: random.Random) -> str:
    """A price of up to 40 characters."""
    whole, part = dice.randint(1, 20), dice.randint(1, 19)
    digits = "".join(dice.choices("0123456789", k=whole + part))
    return f"{digits[:whole]}.{digits[whole:]}"


def a_life(dice: random.Random, number: int, rows: list[RunRow]) -> Life:
    above = None if number < ROOTS else dice.choice(rows)
    prices = ", ".join(
        f'{{"meter": "{meter}", "unitPrice": "{price(dice)}"}}'
        for meter in ("predictSeconds", "prediction", "outputItems", "inputTokens", "outputTokens")
    )
    uid = f"uid-{number:05}"
    call = above is not None and dice.random() < 0.4
    row = replace(
        ledger_row(created_at=T0, opened_at=T0, prices=f"[{prices}]"),
        uid=uid,
        id=uid.ljust(26, "0"),
        parent_uid=above.uid if above else None,
        root_uid=above.root_uid if above else uid,
        kind=MODEL if call else "run",
    )
    outcome = dice.choice(list(Outcome))
    started = outcome is Outcome.SUCCEEDED or dice.random() < 0.8
    ending = Ending(
        outcome,
        "Succeeded" if outcome is Outcome.SUCCEEDED else "UserError",
        output="[1, 2]",
        started_at=T0 if started else None,
        completed_at=T0 + timedelta(seconds=1),
        active_ms=dice.randint(0, 10**9) if started else 0,
        input_tokens=dice.randint(0, 10**9 - 1) if call else 0,
        output_tokens=dice.randint(0, 10**9 - 1) if call else 0,
    )
    corrections = tuple(
        Correction(f"because {turn}", "ann", cost=Decimal(price(dice)), request=f"{uid} {turn}")
        for turn in range(dice.choice([0] * 9 + [1, 2]))
    )
    if not call:
        rows.append(row)
    return Life(row, ending, corrections)


async def play(tx: AsyncConnection, life: Life, event: str) -> bool:
    """Let an event happen. Returns False where it has to come again."""
    uid = life.row.uid
    match event.split():
        case ["open"]:
            await ledger.open_run(tx, life.row)
        case ["start"]:
            await ledger.note_start(tx, uid, T0)
        case ["beat"]:
            await ledger.note_heartbeat(tx, uid, 10**10, T0)
        case ["correct", turn]:
            if not await records.of(tx, uid):
                return False
            await tree.correct(tx, uid, life.corrections[int(turn)], T0)
        case _:
            row = await ledger.find(tx, uid)
            if row is None:
                return False
            # Told again after its end, it is told otherwise, as by a controller that was late.
            lost = replace(life.ending, outcome=Outcome.FAILED, reason="Lost", active_ms=10**11)
            ending = lost if row.closed else life.ending
            await ledger.close(tx, row, ending, by=ClosedBy.GATEWAY, at=T0)
    return True


def events(dice: random.Random, life: Life) -> list[str]:
    corrections = [f"correct {turn}" for turn in range(len(life.corrections))]
    once = ["open", "end", *corrections]
    more = dice.choices(["open", "start", "beat", "end", *corrections], k=dice.randint(0, 1))
    return [*once, *more]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/ledger.db")
    await database.create()
    yield database
    await database.close()


@pytest.mark.timeout(600)
async def test_many_lives_in_any_order_give_the_bill_that_each_has(
    database: Database,
) -> None:
    dice = random.Random(20_260_101)
    rows: list[RunRow] = []
    lives = [a_life(dice, number, rows) for number in range(RUNS)]
    waiting = [(life, event) for life in lives for event in events(dice, life)]
    while waiting:
        dice.shuffle(waiting)
        again = []
        for start in range(0, len(waiting), BATCH):
            async with database.write() as tx:
                for life, event in waiting[start : start + BATCH]:
                    if not await play(tx, life, event):
                        again.append((life, event))
        waiting = again
    wanted = {life.row.uid: life.cost for life in lives}
    async with database.read() as tx:
        found: dict[str, Fraction] = {}
        bills = 0
        for each in await tx.execute(select(usage_records)):
            bills += each.corrects is None
            found[each.run_uid] = found.get(each.run_uid, Fraction(0)) + Fraction(each.cost)
        assert found == wanted
        assert bills == RUNS
        # A tree's total is the sum of its records, to the last digit.
        for root in lives[: 5 * SETTLED]:
            uid = root.row.uid
            parts = [each.cost for each in lives if each.row.root_uid == uid]
            own = (await records.costs(tx, [uid]))[uid]
            below = (await tree.below(tx, uid)).cost
            assert Fraction(own) + Fraction(below) == sum(parts)
    some = {life.row.uid for life in lives[:SETTLED]}
    await settle(database, [life for life in lives if life.row.root_uid in some])


async def settle(database: Database, lives: list[Life]) -> None:
    """From below, as the gateway does: what is kept of a tree's sum is that sum."""
    async with database.write() as tx:
        for life in reversed(lives):
            uid = life.row.uid
            if life.row.is_run:
                own = (await records.costs(tx, [uid]))[uid]
                below = (await tree.below(tx, uid)).cost
                assert await tree.settle(tx, uid, own=own, downstream=below)
    async with database.read() as tx:
        for root in lives[:SETTLED]:
            uid = root.row.uid
            row = await ledger.find(tx, uid)
            assert row is not None
            parts = [each.cost for each in lives if each.row.root_uid == uid]
            assert row.downstream is not None
            assert Fraction(row.downstream) + root.cost == sum(parts)
