"""`mayfly usage` as a program, against a gateway."""

import asyncio
import os
import re
import sys
from dataclasses import dataclass
from datetime import timedelta

from support.gateway.world import BUILDER, READER, Run, Running, World

from mayfly.clock import utc_now


@dataclass
class Ended:
    code: int
    out: str
    error: str


async def mayfly(*words: str, url: str = "", token: str = READER) -> Ended:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(sys.path),
        "MAYFLY_URL": url,
        "MAYFLY_TOKEN": token,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mayfly", *words),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    return Ended(process.returncode or 0, out.decode(), error.decode())


async def tree(world: World, gateway: Running) -> tuple[Run, Run]:
    world.cluster.allowed.add(("reader", ""))
    parent = world.claimed("parent")
    async with parent.working(gateway) as top:
        child = world.child(parent, "child")
        child.claim()
        async with child.working(gateway) as agent:
            await agent.end(outcome="failed", reason="UserError", outputJSON=None)
        await child.finished()
        await top.end()
    await parent.finished()
    await gateway.closed(parent.uid)
    return parent, child


async def test_a_report_and_its_total(world: World) -> None:
    async with world.gateway() as gateway:
        parent, _ = await tree(world, gateway)
        shown = await mayfly("usage", "--by", "tree,pipeline", url=gateway.url)
        text = await mayfly("usage", "--by", "tree", "--csv", url=gateway.url)
        file = await mayfly("usage", "focus", "-n", "team", url=gateway.url)
    assert shown.code == 0, shown.error
    row = next(line for line in shown.out.splitlines() if parent.id in line)
    assert row.split() == [parent.id, "team/answer", "2", "0.006", "1", "0", "0.01000015", "USD"]
    assert text.out.splitlines()[1] == f"{parent.id},2,6,1,0,0,0.01000015,USD"
    assert file.out.startswith("BilledCost,")
    assert file.out.count("\n") == 4


async def test_the_arithmetic_of_a_run(world: World) -> None:
    async with world.gateway() as gateway:
        parent, child = await tree(world, gateway)
        shown = await mayfly("usage", "explain", parent.id, url=gateway.url)
    assert shown.code == 0, shown.error
    squeezed = re.sub(" +", " ", shown.out).splitlines()
    assert squeezed[0] == f"{parent.id} team/answer succeeded"
    assert squeezed[2].startswith("active 0.003 s, between 2")
    assert [line.strip() for line in squeezed[3:] if not line.startswith("flag")] == [
        "",
        "predictSeconds 0.003 × 0.000025 = 0.000000075",  # noqa: RUF001
        "prediction 1 × 0.01 = 0.01",  # noqa: RUF001
        "billed 0.010000075 USD",
        "",
        f"{child.id} team/answer failed, 0.003 s = 0.000000075",
        "downstream 0.000000075 USD",
        "",
        "total 0.01000015 USD",
    ]


async def test_a_run_is_explained_by_its_name(world: World) -> None:
    async with world.gateway() as gateway:
        parent, child = await tree(world, gateway)
        by_id = await mayfly("usage", "explain", child.id, url=gateway.url)
        by_name = await mayfly("usage", "explain", "child", "-n", "team", url=gateway.url)
        own = await mayfly("usage", "explain", parent.name, url=gateway.url, token=BUILDER)
        unknown = await mayfly("usage", "explain", "focus", "-n", "team", url=gateway.url)
    assert by_name == by_id
    assert (by_id.code, by_id.error) == (0, "")
    assert own.out.startswith(f"{parent.id} ")
    assert (unknown.code, unknown.out) == (1, "")
    assert unknown.error.startswith('There is no bill of a run or prediction "focus" in the')


async def test_a_month_is_closed_and_verified(world: World) -> None:
    month = f"{utc_now():%Y-%m}"
    async with world.gateway() as gateway:
        await tree(world, gateway)
        early = await mayfly("usage", "close", month, url=gateway.url)
        world.clock.jump = timedelta(days=32)
        closed = await mayfly("usage", "close", month, url=gateway.url)
        again = await mayfly("usage", "verify", month, url=gateway.url)
    assert (early.code, early.out) == (1, "")
    assert "is not over" in early.error
    assert closed.code == 0, closed.error
    assert "by reader: 2 records, 0.01000015 USD" in closed.out
    assert again.code == 0
    assert "The result is unchanged" in again.out


async def test_errors_are_one_sentence(world: World) -> None:
    async with world.gateway() as gateway:
        refused = await mayfly("usage", url=gateway.url)
        stranger = await mayfly("usage", url=gateway.url, token="nobody")
        unknown = await mayfly("usage", "explain", "../account", url=gateway.url)
    unset = await mayfly("usage")
    gone = await mayfly("usage", url=gateway.url)
    odd = await mayfly("usage", "--nonsense", url=gateway.url)
    assert [each.code for each in (refused, stranger, unknown, unset, gone, odd)] == [
        *(1, 1, 1, 2, 1, 2)
    ]
    for each in (refused, stranger, unknown, unset, gone):
        assert each.out == ""
        assert each.error.count("\n") == 1, each.error
    assert "may not list pipelineruns in all namespaces" in refused.error
    assert "MAYFLY_URL is not set" in unset.error
    assert "can't be reached" in gone.error
    assert "There is no bill" in unknown.error
