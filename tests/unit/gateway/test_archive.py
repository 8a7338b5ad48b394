import asyncio
import tempfile
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mayfly.database.engine import Database
from mayfly.gateway.lifecycle import archive


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    await database.create()
    yield database
    await database.close()


@settings(max_examples=25, deadline=None)
@given(
    st.text(alphabet="aä🐛\n", max_size=40),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=12),
)
def test_pieces_in_any_overlap_make_the_log(log: str, cuts: list[tuple[int, int]]) -> None:
    """An agent sends from what it was told is stored, or from before that."""

    async def play(folder: str) -> str:
        database = Database(f"sqlite:///{folder}/archive.db")
        await database.create()
        stored = 0
        raw = log.encode()
        for back, size in [*cuts, (0, 1000)]:
            begin = max(0, stored - back)
            while begin and raw[begin : begin + 1] and raw[begin] & 0xC0 == 0x80:
                begin -= 1
            end = min(begin + size, len(raw))
            while end < len(raw) and raw[end] & 0xC0 == 0x80:
                end += 1
            async with database.write() as tx:
                stored = await archive.append_log(tx, "run", begin, raw[begin:end].decode(), 10_000)
        async with database.read() as tx:
            text, _ = await archive.read_log(tx, "run", 0)
            assert await archive.log_tail(tx, "run", 10_000) == text
        await database.close()
        return text

    with tempfile.TemporaryDirectory() as folder:
        assert asyncio.run(play(folder)) == log


async def test_a_tail_is_the_end(database: Database) -> None:
    async with database.write() as tx:
        offset = 0
        for number in range(50):
            offset = await archive.append_log(tx, "run", offset, f"line {number}\n", 10_000)
        assert await archive.log_tail(tx, "run", 16) == "line 48\nline 49\n"
        assert await archive.log_tail(tx, "nobody", 16) == ""


async def test_nul_is_not_stored(database: Database) -> None:
    async with database.write() as tx:
        assert await archive.append_log(tx, "run", 0, "a\x00b", 100) == 3
        assert await archive.append_log(tx, "run", 3, "c", 100) == 4
        assert (await archive.read_log(tx, "run", 0))[0] == "a\ufffdbc"


async def test_items_are_kept_once_in_order_and_bounded(database: Database) -> None:
    async with database.write() as tx:
        assert await archive.items(tx, "run") is None
        assert await archive.add_item(tx, "run", 1, "b", 100)
        assert await archive.items(tx, "run") is None
        assert await archive.add_item(tx, "run", 0, 1.0, 100)
        assert await archive.add_item(tx, "run", 0, "another", 100)
        assert await archive.items(tx, "run") == '[1.0,"b"]'
        assert not await archive.add_item(tx, "run", 2, "x" * 100, 100)
        assert await archive.items(tx, "run") == '[1.0,"b"]'
