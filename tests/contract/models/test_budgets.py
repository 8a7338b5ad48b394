"""Budgets and calls of Models: refused at the door, ended in the queue, billed where they run."""

from support.gateway.models import ModelWorld, create, ended, read, until, usage
from support.gateway.world import NAMESPACE
from support.servers.postgresql import BOTH

from mayfly.api.v1alpha1.names import BUDGET_MONTHLY
from mayfly.kube.kinds import NAMESPACES

pytestmark = BOTH

ONE = {BUDGET_MONTHLY: "1"}
PRICE = [{"meter": "prediction", "unitPrice": "1"}]


async def test_a_call_that_waits_ends_when_the_budget_is_reached(world: ModelWorld, cog) -> None:
    """One runs and is billed; one that waits behind it fails, and a third is not taken."""
    world.cluster.edit(
        NAMESPACES, "", NAMESPACE, lambda body: body["metadata"].update(annotations=ONE)
    )
    world.at(await cog("echo"), price=PRICE, concurrency=1)
    other = await cog("echo")
    world.at(other, "other", price=[{"meter": "predictSeconds", "unitPrice": "0.000001"}])
    async with world.gateway() as gateway, gateway.client() as caller:
        # It runs all the while: what runs is not stopped.
        running = await create(caller, {"text": "long", "delay": 6}, name="other")
        key = {"Idempotency-Key": "first"}
        first = await create(caller, {"text": "first", "delay": 1}, **key)
        await until(caller, first["id"], lambda shown: shown["status"] == "processing")
        waiting = await create(caller, {"text": "second"})
        assert (await ended(caller, first["id"]))["output"] == "first"
        shown = await ended(caller, waiting["id"])
        assert shown["status"] == "failed"
        assert f'Namespace "{NAMESPACE}" has reached its budget of 1 USD' in shown["error"]
        assert BUDGET_MONTHLY in shown["error"]
        record = await usage(gateway, waiting["id"])
        assert record is not None
        assert (record["reason"], record["cost"], record["started"]) == ("BudgetExceeded", 0, False)
        answer = await caller.post(
            f"/v1/models/{NAMESPACE}/model/predictions", json={"input": {"text": "third"}}
        )
        assert (answer.status_code, answer.json()["status"]) == (402, 402)
        # One that comes again is answered with what it has made.
        again = await create(caller, {"text": "first", "delay": 1}, **key)
        assert (again["id"], again["output"]) == (first["id"], "first")
        assert (await read(caller, running["id"]))["status"] == "processing"
        assert (await ended(caller, running["id"]))["output"] == "long"


async def test_a_call_that_nothing_moves_ends_too(world: ModelWorld, cog) -> None:
    """The only place is taken, and stays taken: what waits there is told all the same."""
    world.at(await cog("echo"), price=PRICE, concurrency=1)
    async with world.gateway() as gateway, gateway.client() as caller:
        running = await create(caller, {"text": "long", "delay": 8})
        await until(caller, running["id"], lambda shown: shown["status"] == "processing")
        waiting = await create(caller, {"text": "second"})

        def spend(body: dict) -> None:
            body["metadata"]["annotations"] = {BUDGET_MONTHLY: "0"}

        world.cluster.edit(NAMESPACES, "", NAMESPACE, spend)
        assert (await ended(caller, waiting["id"]))["status"] == "failed"
        assert (await read(caller, running["id"]))["status"] == "processing"
        assert (await ended(caller, running["id"]))["status"] == "succeeded"


async def test_a_models_call_has_no_budget_of_its_own(world: ModelWorld, cog) -> None:
    world.at(await cog("echo"))
    async with world.gateway() as gateway, gateway.client() as caller:
        answer = await caller.post(
            f"/v1/models/{NAMESPACE}/model/predictions",
            json={"input": {"text": "a"}},
            headers={"Mayfly-Budget": "1"},
        )
        assert answer.status_code == 422
        assert "this is a Model" in answer.json()["detail"]
