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
        assert await archive.append_items(tx, "run", 1, ['"b"'], 100) == 0
        assert await archive.items(tx, "run") is None
        assert await archive.append_items(tx, "run", 0, ["1.0"], 100) == 1
        assert await archive.append_items(tx, "run", 0, ['"another"', '"b"'], 100) == 2
        assert await archive.items(tx, "run") == '[1.0,"b"]'
        assert await archive.append_items(tx, "run", 2, ['"' + "x" * 98 + '"', "2"], 100) == 2
        assert await archive.append_items(tx, "run", 3, ["2"], 100) == 2
        assert await archive.items(tx, "run") == '[1.0,"b"]'
        assert await archive.append_items(tx, "another", 0, ["[ 1,\n2 ]"], 100) == 1
        assert await archive.items_from(tx, "another", 0) == ["[ 1, 2 ]"]


async def test_bytes_of_items_are_counted_as_the_agent_counts_them(database: Database) -> None:
    async with database.write() as tx:
        for index, text in enumerate(['"ж"', '"\\ud800"', '"a"']):
            await archive.append_items(tx, "run", index, [text], 100)
        assert await archive.output_size(tx, "run") == archive.OutputSize(3, 5 + 9 + 4)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12), st.integers(0, 70))
def test_messages_of_items_in_any_overlap_make_the_output(
    cuts: list[tuple[int, int]], position: int
) -> None:
    """An agent sends from what it was told is stored, or from before that."""
    texts = [str(number) for number in range(60)]

    async def play(folder: str) -> None:
        database = Database(f"sqlite:///{folder}/archive.db")
        await database.create()
        stored = 0
        for back, count in [*cuts, (0, 100)]:
            begin = max(0, stored - back)
            async with database.write() as tx:
                batch = texts[begin : begin + count]
                stored = await archive.append_items(tx, "run", begin, batch, 10_000)
        async with database.read() as tx:
            assert await archive.items_from(tx, "run", position) == texts[position:]
            assert await archive.items(tx, "run") == f"[{','.join(texts)}]"
        await database.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(folder))
