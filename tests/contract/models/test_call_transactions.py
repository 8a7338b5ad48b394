"""How often a request about a call of a Model asks the database."""

import pytest
from support.gateway.models import ModelWorld, create, ended
from support.gateway.transactions import Transactions


async def test_of_a_call(world: ModelWorld, cog, monkeypatch: pytest.MonkeyPatch) -> None:
    world.at(await cog("echo"))
    async with world.gateway() as gateway, gateway.client() as caller:
        await world.looked_at()
        seen = Transactions(monkeypatch, gateway.gateway.process.database)
        made = await create(caller, {"text": "now"})
        assert made["kind"] == "model"
        # The read is of the Model's version, whose schema the input is checked against.
        assert seen.taken() == (1, 1)
        keyed = await create(caller, {"text": "now"}, **{"Idempotency-Key": "one"})
        assert keyed["id"] != made["id"]
        # That nothing was made before is found by the transaction that queues the call.
        assert seen.taken() == (1, 1)
        # What their server tells are requests too.
        for each in (made, keyed):
            _ = await ended(caller, each["id"])
        _ = seen.taken()
        _ = await caller.get(f"/v1/predictions/{made['id']}")
        assert seen.taken() == (1, 0)
