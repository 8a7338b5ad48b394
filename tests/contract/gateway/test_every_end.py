"""Each end that a run can have is played, and its bill is the row of docs/billing.md."""

from datetime import timedelta
from decimal import Decimal

import pytest
from support.billing_page import ENDS
from support.gateway.world import UNSTARTED, Running, World

from mayfly.api.v1alpha1.conditions import Reason
from mayfly.clock import rfc3339
from mayfly.gateway.runs.active_time import MEASURED
from mayfly.kube.kinds import RUNTIMES
from mayfly.reconcile.ending import AGENT_REASONS

HEARD_MS = 5000
TOLD_MS = 7000
ITEMS = [1, 2, 3]
PRICES = {"predictSeconds": "1", "prediction": "100", "outputItems": "10000"}
"""So far apart that a cost tells what it is made of."""

RUNS = [reason for reason, end in ENDS.items() if "runs" in end.of]
BY_AGENT = [reason for reason in RUNS if reason in AGENT_REASONS]


@pytest.fixture
async def world(world: World) -> World:
    price = [{"meter": meter, "unitPrice": at} for meter, at in PRICES.items()]
    world.cluster.edit(RUNTIMES, "", "default", lambda body: body["spec"].update(price=price))
    return world


def wanted(reason: Reason, active_ms: int) -> Decimal:
    """What the page charges for an end after so much work, if that end lets it start."""
    end = ENDS[reason]
    return (
        end.time * Decimal(active_ms) / 1000
        + end.prediction * Decimal(PRICES["prediction"])
        + end.items * len(ITEMS) * Decimal(PRICES["outputItems"])
    )


async def billed(gateway: Running, uid: str) -> tuple[str, Decimal]:
    usage = await gateway.usage(uid)
    assert usage is not None
    return usage["reason"], usage["cost"]


@pytest.mark.parametrize("reason", BY_AGENT)
async def test_an_end_that_the_agent_tells(world: World, reason: Reason) -> None:
    run, told = world.claimed(), {"reason": reason, "outcome": "failed", "outputJSON": None}
    if reason is Reason.SUCCEEDED:
        told = {"outputJSON": str(ITEMS)}
    elif reason is Reason.CANCELED:
        told |= {"outcome": "canceled"}
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello()
        await agent.accept()
        if ENDS[reason].starts:
            started = rfc3339(world.clock())
            await agent.say("started", attempt=1, at=started)
            world.clock.ahead = timedelta(seconds=10)
            ended = rfc3339(world.clock())
            stamps = {"startedAt": started, "completedAt": ended, "activeMs": TOLD_MS}
        else:
            stamps = UNSTARTED
        await agent.end(**told, **stamps)
        await run.finished()
        assert await billed(gateway, run.uid) == (reason, wanted(reason, TOLD_MS))


@pytest.mark.parametrize("reason", RUNS)
async def test_an_end_that_the_controller_tells(world: World, reason: Reason) -> None:
    """From the termination message where only the agent can know it, else from what it sees."""
    run = world.claimed()
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        told = {}
        if ENDS[reason].starts:
            await agent.hello()
            await agent.accept()
            began = world.clock()
            await agent.say("started", attempt=1, at=rfc3339(began))
            world.clock.ahead = timedelta(seconds=10)
            await agent.say("heartbeat", activeMs=HEARD_MS)
            await agent.say("log", offset=0, data="x")
            await agent.expect("logack")
            if reason in MEASURED:
                end = began + timedelta(milliseconds=TOLD_MS)
                told = {"startedAt": rfc3339(began), "completedAt": rfc3339(end), "output": ITEMS}
        run.end_by_controller(reason, **told)
        await run.finished()
        active_ms = TOLD_MS if reason in MEASURED else HEARD_MS
        assert await billed(gateway, run.uid) == (reason, wanted(reason, active_ms))


def test_every_end_of_a_run_is_played() -> None:
    assert set(RUNS) - set(BY_AGENT) == {
        Reason.EVICTED,
        Reason.SECRET_UNAVAILABLE,
        Reason.QUEUE_DEADLINE_EXCEEDED,
        Reason.CAPACITY_EXHAUSTED,
        Reason.BUDGET_EXCEEDED,
        Reason.REFUSED,
    }, "an agent can't tell these"
