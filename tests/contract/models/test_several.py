"""Two gateways on one PostgreSQL and one Model: its places are counted over both."""

import asyncio
from pathlib import Path

import pytest
from support.gateway.models import ModelWorld, create, ended, usage
from support.servers.ports import free_port

pytestmark = pytest.mark.parametrize("databases", ["postgresql"], indirect=True)

SOURCE = '''
import os, time
from cog import BasePredictor

def run(tag: str) -> str:
    """Fails if it is not alone."""
    os.mkdir("here")
    time.sleep(0.2)
    os.rmdir("here")
    return tag
'''


async def test_calls_through_both_are_sent_one_at_a_time_and_once(
    world: ModelWorld, tmp_path: Path, cog
) -> None:
    world.at(await cog("alone", SOURCE))
    async with world.gateway() as one:
        world.models["callbackPort"] = free_port()
        async with world.gateway() as other, one.client() as left, other.client() as right:
            made = await asyncio.gather(
                *(create((left, right)[n % 2], {"tag": str(n)}) for n in range(10))
            )
            for number, each in enumerate(made):
                # Asked at the one that did not make it.
                shown = await ended((right, left)[number % 2], each["id"])
                assert (shown["status"], shown["output"]) == ("succeeded", str(number)), shown
                record = await usage(one, each["id"])
                assert record is not None
                assert record["outcome"] == "succeeded"
