"""A cancelled run and what it has made: nothing unstarted starts, nothing started is stopped."""

from support.gateway.world import Run, World
from support.servers.postgresql import BOTH
from support.waiting import looks

pytestmark = BOTH

WORDS = 'The parent run "parent" was cancelled before this run had started.'
SPARE = {"type": "cancel", "unlessStarted": True}


def cancel_state(run: Run) -> str:
    return str(run.condition("CancelAccepted").get("reason"))


async def test_a_cancel_is_accepted_when_every_claimed_child_has_answered(world: World) -> None:
    parent = world.claimed("parent")
    async with world.gateway() as gateway, parent.dial(gateway) as agent:
        await agent.hello()
        await agent.start()
        started, loading = world.child(parent, "started"), world.child(parent, "loading")
        queued = world.child(parent, "queued")
        started.claim()
        loading.claim()
        async with started.dial(gateway) as runs, loading.dial(gateway) as loads:
            await runs.hello()
            await runs.start()
            await started.until(lambda each: each["status"].get("phase") == "Processing")
            await loads.hello()
            await loads.accept()
            parent.cancel()
            await agent.expect("cancel")
            assert await loads.expect("cancel") == {**SPARE, "run": loading.uid}
            await loads.end_unstarted()
            status = await loading.finished()
            assert status["phase"] == "Canceled"
            assert status["error"] == WORDS
            assert status["usage"]["totalCost"] == "0"
            # One child waits for its end by the controller: it could be claimed until then.
            assert cancel_state(parent) == "ClaimsStopped"
            queued.end_by_controller("Canceled")
            await parent.accepted_cancel()
            # The one that had started was told nothing, and is billed.
            await runs.end(activeMs=1000)
            assert (await started.finished())["phase"] == "Succeeded"
        assert (await started.finished())["usage"]["cost"] != "0"


async def test_a_child_that_started_before_it_heard_of_the_cancel_goes_on(world: World) -> None:
    parent = world.claimed("parent")
    async with world.gateway() as gateway, parent.dial(gateway) as agent:
        await agent.hello()
        await agent.start()
        child = world.child(parent)
        child.claim()
        async with child.dial(gateway) as below:
            await below.hello()
            await below.accept()
            parent.cancel()
            # The word that it has started, and the cancel, pass each other on their way.
            assert (await below.expect("cancel"))["unlessStarted"] is True
            assert cancel_state(parent) == "ClaimsStopped"
            await below.say("started", attempt=1, at="2026-01-01T00:00:00Z")
            await parent.accepted_cancel()
            await below.say("started", attempt=1, at="2026-01-01T00:00:00Z")
            await below.end()
        assert (await child.finished())["phase"] == "Succeeded"


async def test_a_child_whose_work_was_not_sent_never_gets_it(world: World) -> None:
    parent = world.claimed("parent")
    child, away = world.child(parent), world.child(parent, "away")
    async with world.gateway() as gateway:
        async with child.dial(gateway) as below:
            await below.hello()
            # No await between these, so the gateway sees all of it at once.
            child.claim()
            away.claim()
            parent.cancel()
            await below.expect("retire")
        for each in (child, away):
            status = await each.finished()
            assert (status["phase"], status["error"]) == ("Canceled", WORDS)
            assert each.condition("Started")["reason"] == "NotStarted"
        await parent.accepted_cancel()
        async with away.dial(gateway) as below:
            assert await below.closed() == 4409


async def test_a_parent_that_ends_first_is_finished_when_its_children_have_answered(
    world: World,
) -> None:
    parent = world.claimed("parent")
    async with world.gateway() as gateway, parent.dial(gateway) as agent:
        await agent.hello()
        await agent.start()
        child = world.child(parent)
        child.claim()
        async with child.dial(gateway) as below:
            await below.hello()
            await below.accept()
            parent.cancel()
            await agent.end(outcome="canceled", reason="Canceled", outputJSON=None)
            status = parent.status
            assert (status["phase"], status["recorded"]) == ("Canceled", True)
            assert "finished" not in status
            assert cancel_state(parent) == "ClaimsStopped"
            await below.expect("cancel")
            await below.end_unstarted()
        assert (await parent.finished())["phase"] == "Canceled"
        assert cancel_state(parent) == "CancelAccepted"


async def test_a_gateway_that_starts_again_finishes_the_cancel(world: World) -> None:
    parent = world.claimed("parent")
    child = world.child(parent)
    async with world.gateway() as gateway, parent.dial(gateway) as agent:
        await agent.hello()
        await agent.start()
        child.claim()
        async with child.dial(gateway) as below:
            await below.hello()
            await below.accept()
            parent.cancel()
            await below.expect("cancel")
            await agent.end(outcome="canceled", reason="Canceled", outputJSON=None)
    assert cancel_state(parent) == "ClaimsStopped"
    async with world.gateway() as gateway:
        async with child.dial(gateway) as below:
            await below.hello("loading")
            assert await below.expect("cancel") == {**SPARE, "run": child.uid}
            await below.end_unstarted()
        await child.finished()
        assert (await parent.finished())["phase"] == "Canceled"
        assert cancel_state(parent) == "CancelAccepted"


async def test_a_child_that_our_watch_has_not_told_of_holds_the_cancel_up(world: World) -> None:
    parent = world.claimed("parent")
    async with world.gateway() as gateway:
        await parent.until(lambda each: True)
        lists = world.cluster.lists["pipelineruns"]
        world.cluster.hold_watches()
        child = world.child(parent)
        parent.cancel()
        fresh = await gateway.gateway.cache.runs.fetch("team", "parent", parent.uid)
        assert fresh is not None
        gateway.gateway.runs.workqueue.add(parent.uid)
        async for _ in looks():
            if world.cluster.lists["pipelineruns"] > lists:
                break
        assert gateway.gateway.cache.runs.get(child.uid) is None
        assert cancel_state(parent) == "ClaimsStopped"
        world.cluster.release_watches()
        child.end_by_controller("Canceled")
        await parent.finished()
        assert cancel_state(parent) == "CancelAccepted"


async def test_a_parent_that_ends_without_a_cancel_leaves_every_child_running(
    world: World,
) -> None:
    parent = world.claimed("parent")
    loading, queued = world.child(parent, "loading"), world.child(parent, "queued")
    async with world.gateway() as gateway, loading.dial(gateway) as below:
        async with parent.dial(gateway) as agent:
            await agent.hello()
            await agent.start()
            loading.claim()
            await below.hello()
            await below.accept()
            await agent.end()
        await parent.finished()
        # A cancel of what is over asks for nothing.
        parent.cancel_by_hand()
        queued.claim()
        async with queued.dial(gateway) as late:
            await late.hello()
            await late.start()
            await late.end()
        await below.say("started", attempt=1, at="2026-01-01T00:00:00Z")
        await below.end()
        for each in (loading, queued):
            assert (await each.finished())["phase"] == "Succeeded"


async def test_below_a_child_that_goes_on_everything_goes_on(world: World) -> None:
    parent = world.claimed("parent")
    async with world.gateway() as gateway:
        child = world.child(parent)
        child.claim()
        async with parent.dial(gateway) as top, child.dial(gateway) as middle:
            await top.hello()
            await top.start()
            await middle.hello()
            await middle.start()
            await child.until(lambda each: each["status"].get("phase") == "Processing")
            grandchild = world.child(child, "grandchild")
            grandchild.claim()
            parent.cancel()
            await top.expect("cancel")
            await parent.accepted_cancel()
            async with grandchild.dial(gateway) as bottom:
                await bottom.hello()
                await bottom.start()
                await bottom.end()
            await middle.end()
        assert (await grandchild.finished())["phase"] == "Succeeded"
        assert (await child.finished())["phase"] == "Succeeded"
