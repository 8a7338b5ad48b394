"""What a run has made: children, costs of the whole tree, the last word; 250 levels of it."""

import asyncio
from contextlib import AsyncExitStack
from decimal import Decimal

from support.gateway.world import KEY, NAMESPACE, Agent, Run, Running, World
from support.servers.postgresql import BOTH
from support.waiting import looks

from mayfly.gateway.access import run_tokens
from mayfly.kube.kinds import RUNS
from mayfly.metering import tables


def kept(gateway: Running, uid: str):
    """The sum of a tree's usage records, part by part."""

    async def read() -> Decimal:
        async with gateway.gateway.process.database.read() as tx:
            found = await tx.execute(
                tables.usage_records.select().where(tables.usage_records.c.root_uid == uid)
            )
            return sum((row.cost for row in found), Decimal(0))

    return read()


async def begin(stack: AsyncExitStack, gateway: Running, run: Run) -> Agent:
    """A run's agent, in main()."""
    if not run.status.get("podUID"):
        run.claim()
    agent = await stack.enter_async_context(run.dial(gateway))
    await agent.hello()
    await agent.start()
    return agent


def writes(world: World) -> int:
    return (
        world.cluster.writes["PATCH", "pipelineruns"] + world.cluster.writes["PUT", "pipelineruns"]
    )


async def shown(gateway: Running, run: Run) -> dict:
    async with gateway.client() as reader:
        return (await reader.get(f"/v1/predictions/{run.id}")).json()


@BOTH
async def test_children_and_costs_are_counted_before_and_at_the_end(world: World) -> None:
    world.limits["startedWriteMs"] = 60_000
    parent = world.claimed("parent")
    async with world.gateway() as gateway, AsyncExitStack() as stack:
        top = await begin(stack, gateway, parent)
        good, bad, gone = (world.child(parent, name) for name in ("good", "bad", "gone"))
        await good.until(lambda each: True)
        await (await begin(stack, gateway, good)).end(activeMs=0)
        await (await begin(stack, gateway, bad)).end(
            outcome="failed", reason="UserError", outputJSON=None, error="ValueError: no"
        )
        gone.end_by_controller("Canceled", depth=2, rootRef=parent.root)
        queued = world.child(parent, "queued")
        for run in (good, bad, gone):
            await run.finished()
        await gateway.closed(gone.uid)
        before = await shown(gateway, parent)
        assert before["children"] == {"total": 4, "succeeded": 1, "failed": 1, "canceled": 1}
        assert (before["total_cost"], before["final"]) == (None, False)
        queued.end_by_controller("QueueDeadlineExceeded", depth=2, rootRef=parent.root)
        await gateway.closed(queued.uid)
        count = writes(world)
        await top.end(activeMs=0)
        status = await parent.finished()
        assert status["children"] == {"total": 4, "succeeded": 1, "failed": 2, "canceled": 1}
        usage = status["usage"]
        assert usage["final"] is True
        parts = Decimal(usage["cost"]) + Decimal(usage["downstreamCost"])
        assert Decimal(usage["totalCost"]) == parts == await kept(gateway, parent.uid)
        # One write for the end, and none for its children.
        assert writes(world) == count + 1
        after = await shown(gateway, parent)
        assert (after["total_cost"], after["final"]) == (usage["totalCost"], True)
        assert after["children"] == status["children"]


@BOTH
async def test_a_tree_that_outlives_its_root_has_one_last_word_on_each_run_above(
    world: World,
) -> None:
    world.limits["startedWriteMs"] = 60_000
    root = world.claimed("root")
    async with world.gateway() as gateway, AsyncExitStack() as stack:
        top = await begin(stack, gateway, root)
        middle = world.child(root, "middle")
        between = await begin(stack, gateway, middle)
        leaf = world.child(middle, "leaf")
        bottom = await begin(stack, gateway, leaf)
        await top.end()
        await between.end()
        for run in (root, middle):
            status = await run.finished()
            assert status["usage"]["final"] is False
            assert status["children"]["total"] == 1
        assert (await shown(gateway, root))["final"] is False
        count = writes(world)
        await bottom.end()
        for run in (leaf, middle, root):
            await run.until(lambda each: each["status"]["usage"]["final"] is True)
        total = Decimal(root.status["usage"]["totalCost"])
        assert (
            total
            == await kept(gateway, root.uid)
            == Decimal("0.03")
            + sum(
                Decimal("0.000025") * run.status["usage"]["activeMilliseconds"] / 1000
                for run in (root, middle, leaf)
            )
        )
        assert root.status["children"] == {"total": 1, "succeeded": 1, "failed": 0, "canceled": 0}
        # The leaf's end, and a last word on the two above it.
        assert writes(world) == count + 3
        assert (await shown(gateway, root))["final"] is True


@BOTH
async def test_the_last_word_survives_a_gateway_that_dies_before_it(world: World) -> None:
    root = world.claimed("root")
    async with world.gateway() as gateway, AsyncExitStack() as stack:
        top = await begin(stack, gateway, root)
        leaf = world.child(root, "leaf")
        bottom = await begin(stack, gateway, leaf)
        await top.end()
        await root.finished()

        def refuse(verb: str, body: dict) -> None:
            if verb == "PATCH" and body["metadata"]["name"] == "root":
                raise ConnectionError("the process is about to die")

        world.cluster.on_write = refuse
        await bottom.end()
        await leaf.finished()
    assert root.status["usage"]["final"] is False
    world.cluster.on_write = None
    async with world.gateway():
        await root.until(lambda each: each["status"]["usage"]["final"] is True)


@BOTH
async def test_a_queued_child_that_is_deleted_is_waited_for_no_longer(world: World) -> None:
    root = world.claimed("root")
    async with world.gateway() as gateway, AsyncExitStack() as stack:
        top = await begin(stack, gateway, root)
        child = world.child(root)
        await top.end()
        assert (await root.finished())["usage"]["final"] is False
        child.delete()
        await root.until(lambda each: each["status"]["usage"]["final"] is True)


LEVELS = 250


async def test_250_levels_run_and_level_251_is_refused(world: World) -> None:
    """Every level is a run of its own, made by the token of the one above."""
    world.limits["startedWriteMs"] = 600_000
    path = f"/v1/models/{NAMESPACE}/answer/predictions"
    async with world.gateway() as gateway, gateway.client() as caller, AsyncExitStack() as stack:
        chain: list[tuple[Run, Agent]] = []
        run = world.run("level-001")
        for level in range(1, LEVELS + 1):
            agent = await begin(stack, gateway, run)
            chain.append((run, agent))
            token = {"Authorization": f"Bearer {run_tokens.mint(KEY, NAMESPACE, run.uid)}"}
            answer = await caller.post(path, json={}, headers=token)
            if level == LEVELS:
                break
            assert answer.status_code == 201, answer.text
            made = answer.json()
            assert (made["root"], made["parent"]) == (chain[0][0].id, run.id)
            above = run
            run = Run(world, world.cluster.now(RUNS, NAMESPACE, made["name"]))
            run.depth, run.root = above.depth + 1, above.root
        assert answer.status_code == 422
        assert answer.json()["detail"] == (
            "Pipelines call pipelines at most 250 levels deep; this call would be level 251."
        )
        for _, agent in reversed(chain):
            await agent.end()
        root = chain[0][0]
        usage = (await root.finished())["usage"]
        assert usage["final"] is True
        assert Decimal(usage["totalCost"]) == await kept(gateway, root.uid)
        assert Decimal(usage["totalCost"]) > LEVELS * Decimal("0.01")
        deepest = chain[-1][0].status
        assert deepest["usage"]["downstreamCost"] == "0"
        tree = (await caller.get(f"/v1/predictions/{root.id}/tree")).json()["predictions"]
        assert [each["depth"] for each in tree] == list(range(1, LEVELS + 1))
        # One write for each end, and no other.
        assert writes(world) == LEVELS


@BOTH
async def test_a_run_that_polls_its_child_is_answered_when_there_is_news(world: World) -> None:
    """Asked again for what it knows, the gateway holds the answer as long as nothing was new."""
    world.limits["startedWriteMs"] = 600_000
    parent = world.claimed("parent")
    async with world.gateway() as gateway, gateway.client() as caller, AsyncExitStack() as stack:
        await begin(stack, gateway, parent)
        child = world.child(parent)
        below = await begin(stack, gateway, child)
        token = {"Authorization": f"Bearer {run_tokens.mint(KEY, NAMESPACE, parent.uid)}"}
        path = f"/v1/predictions/{child.id}"
        async for _ in looks():
            if (await caller.get(path, headers=token)).json()["status"] == "processing":
                break
        await asyncio.sleep(4)
        held = asyncio.create_task(caller.get(path, headers=token))
        # People are answered at once, whatever they know.
        for _ in range(3):
            assert (await caller.get(path)).json()["status"] == "processing"
        assert not held.done()
        await below.say("log", offset=0, data="a word\n")
        assert (await held).json()["logs"] == "a word\n"
        last = asyncio.create_task(caller.get(path, headers=token))
        await below.end()
        told = await last
        while told.json()["status"] == "processing":
            told = await caller.get(path, headers=token)
        assert told.json()["status"] == "succeeded"
