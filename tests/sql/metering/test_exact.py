"""Decimals that the database adds are exact, however many digits they have."""

import random
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from support.servers.postgresql import BOTH

from mayfly.database.engine import Database
from mayfly.database.exact import Exact, Plus, Total
from mayfly.metering.records import exact_sum

pytestmark = BOTH

amounts = Table(
    "amounts",
    MetaData(),
    Column("number", Integer, primary_key=True),
    Column("cost", Exact),
    Column("more", Exact),
)


@pytest.fixture
async def tx(database_url: str) -> AsyncIterator[AsyncConnection]:
    database = Database(database_url)
    async with database.write() as tx:
        await tx.run_sync(amounts.create)
        yield tx
    await database.close()


def decimals(seed: int) -> list[Decimal]:
    """Of all lengths: more digits than floats and integers of 64 bits have."""
    dice = random.Random(seed)
    found = [
        Decimal(f"{sign}{whole}.{part}")
        for sign in ("", "-")
        for whole in ("0", "9" * 12, "9" * 20, "1" + "0" * 29)
        for part in ("0", "9" * 9, "0" * 9 + "1", "9" * 18, "0" * 18 + "1")
    ]
    for _ in range(60):
        digits = Decimal(dice.randrange(-(10 ** dice.randrange(1, 40)), 10**12))
        found.append(digits.scaleb(-dice.randrange(0, 30)))
    return dice.sample(found, len(found))


@pytest.mark.parametrize("seed", range(3))
async def test_a_sum_of_many_is_exact(tx: AsyncConnection, seed: int) -> None:
    made = decimals(seed)
    rows = [{"number": number, "cost": each, "more": None} for number, each in enumerate(made)]
    await tx.execute(insert(amounts), rows)
    assert await tx.scalar(select(Total(amounts.c.cost))) == exact_sum(made)
    for number, each in enumerate(made):
        own = select(Total(amounts.c.cost)).where(amounts.c.number == number)
        assert await tx.scalar(own) == each
    assert await tx.scalar(select(Total(amounts.c.cost)).where(amounts.c.number < 0)) is None


async def test_what_is_added_in_an_update_is_exact(tx: AsyncConnection) -> None:
    one, other = decimals(1), decimals(2)
    pairs = [
        {"number": n, "cost": a, "more": b} for n, (a, b) in enumerate(zip(one, other, strict=True))
    ]
    await tx.execute(insert(amounts), pairs)
    await tx.execute(update(amounts).values(cost=Plus(amounts.c.cost, amounts.c.more)))
    found = (await tx.execute(select(amounts.c.cost).order_by(amounts.c.number))).scalars().all()
    assert found == [exact_sum(pair) for pair in zip(one, other, strict=True)]
