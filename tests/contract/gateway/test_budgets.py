"""Budgets of namespaces and of trees: what they stop, what goes on, and what everybody is told."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from support.gateway.world import KEY, NAMESPACE, Run, Running, World
from support.servers.postgresql import BOTH
from support.waiting import looks

from mayfly.api.v1alpha1.names import BUDGET_MONTHLY
from mayfly.clock import utc_now
from mayfly.gateway.access import run_tokens
from mayfly.gateway.namespaces import budgets
from mayfly.kube.kinds import NAMESPACES, RUNS
from mayfly.metering import ledger, spending

pytestmark = BOTH

CALL = f"/v1/models/{NAMESPACE}/answer/predictions"


def annotate(world: World, text: str | None) -> None:
    """Give the namespace a budget, another one, or none."""

    def change(body: dict[str, Any]) -> None:
        body["metadata"]["annotations"] = {} if text is None else {BUDGET_MONTHLY: text}

    world.cluster.edit(NAMESPACES, "", NAMESPACE, change)


async def known(gateway: Running, text: str | None) -> None:
    """Wait until the gateway has heard of the annotation."""
    limits = gateway.gateway.namespaces.budgets._limits

    async for _ in looks():
        limit = limits.get(NAMESPACE)
        if (limit.text if limit else None) == text:
            return


async def call(caller: httpx.AsyncClient, **headers: str) -> httpx.Response:
    return await caller.post(CALL, json={"input": {}}, headers=headers)


async def through(world: World, gateway: Running, run: Run, **result: Any) -> None:
    """Take a run from its claim to its end."""
    run.claim()
    async with run.working(gateway) as agent:
        await agent.end(**{"activeMs": 0, **result})
    await gateway.closed(run.uid)


def only_run(world: World) -> Run:
    (body,) = world.cluster.every(RUNS)
    return Run(world, body)


def code_of(gateway: Running, run: Run) -> httpx.AsyncClient:
    """What the run's own code calls with."""
    return gateway.client(run_tokens.mint(KEY, NAMESPACE, run.uid))


async def shown(gateway: Running, run: Run) -> dict[str, Any]:
    async with gateway.client() as reader:
        return dict((await reader.get(f"/v1/predictions/{run.id}")).json())


async def test_a_namespace_that_has_spent_its_budget_makes_nothing_more(world: World) -> None:
    annotate(world, "0.01")
    async with world.gateway() as gateway, gateway.client() as caller:
        answer = await call(caller)
        assert answer.status_code == 201, answer.text
        assert "warning" not in answer.headers
        await through(world, gateway, only_run(world))
        refused = await call(caller)
        assert refused.status_code == 402
        assert refused.headers["content-type"] == "application/problem+json"
        month = f"{utc_now():%Y-%m}"
        assert refused.json() == {
            "title": "Budget reached",
            "detail": f'Namespace "team" has reached its budget of 0.01 USD for {month}: 0.01 USD '
            "has been spent. Raise its annotation mayfly.dev/budget-monthly, or wait for the next "
            "month (UTC).",
            "status": 402,
            "type": "about:blank",
        }
    # What is spent is known after a restart, and a larger budget counts at once.
    async with world.gateway() as gateway, gateway.client() as caller:
        assert (await call(caller)).status_code == 402
        annotate(world, "0.010001")
        await known(gateway, "0.010001")
        assert (await call(caller)).status_code == 201
        annotate(world, None)
        await known(gateway, None)
        assert (await call(caller)).status_code == 201


async def test_the_next_month_begins_at_nothing(world: World) -> None:
    annotate(world, "0.01")
    async with world.gateway() as gateway, gateway.client() as caller:
        await call(caller)
        await through(world, gateway, only_run(world))
        assert (await call(caller)).status_code == 402
        world.clock.ahead = timedelta(days=32)
        assert (await call(caller)).status_code == 201


async def test_several_gateways_count_together(world: World) -> None:
    annotate(world, "0.01")
    async with world.gateway() as one, world.gateway() as other, other.client() as caller:
        await call(caller)
        await through(world, one, only_run(world))
        assert (await call(caller)).status_code == 402


async def test_a_repeat_of_a_create_finds_what_was_made(world: World) -> None:
    annotate(world, "0.01")
    async with world.gateway() as gateway, gateway.client() as caller:
        key = {"Idempotency-Key": "once"}
        made = (await call(caller, **key)).json()
        await through(world, gateway, only_run(world))
        again = await call(caller, **key)
        assert (again.status_code, again.json()["id"]) == (201, made["id"])
        assert (await call(caller)).status_code == 402


async def test_a_run_by_kubectl_waits_for_the_word_and_goes_on(world: World) -> None:
    annotate(world, "1")
    run = world.run()
    async with world.gateway() as gateway:
        body = await run.until(lambda each: (each.get("status") or {}).get("budgetChecked"))
        assert body["status"] == {"budgetChecked": True}
        await through(world, gateway, run)
        assert (await run.finished())["phase"] == "Succeeded"


async def test_a_run_by_kubectl_beyond_the_budget_ends_without_a_pod(world: World) -> None:
    annotate(world, "0")
    run = world.run()
    async with world.gateway() as gateway:
        status = await run.finished()
        why = (
            f'Namespace "team" has reached its budget of 0 USD for {utc_now():%Y-%m}: 0 USD has '
            "been spent. Raise its annotation mayfly.dev/budget-monthly, or wait for the next "
            "month (UTC)."
        )
        assert (status["phase"], status["error"], status["recorded"]) == ("Failed", why, True)
        accepted, succeeded = run.condition("Accepted"), run.condition("Succeeded")
        assert (accepted["status"], accepted["reason"]) == ("False", "BudgetExceeded")
        assert accepted["message"] == why
        assert (succeeded["status"], succeeded["reason"]) == ("False", "Refused")
        assert (status["depth"], status["rootRef"]) == (1, run.root)
        assert not {"podUID", "podName", "attempt"} & status.keys()
        record = await gateway.usage(run.uid)
        seen = await shown(gateway, run)
        assert (seen["status"], seen["error"]) == ("failed", why)
        assert record is not None
        assert (record["cost"], record["started"]) == (0, False)


async def test_without_a_budget_nothing_is_asked_or_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No look into what is spent, for roots and children alike."""

    async def never(*_: Any) -> Any:
        raise AssertionError("asked what is spent")

    for name in ("of_namespace", "of_budgets", "budget_of"):
        monkeypatch.setattr(budgets.spending, name, never)
    monkeypatch.setattr(ledger.spending, "budget_of", _no_budget)
    annotate(world, None)
    root = world.run("root")
    async with world.gateway() as gateway:
        await through(world, gateway, root)
        parent = world.claimed("parent")
        async with parent.working(gateway), code_of(gateway, parent) as code:
            assert (await call(code)).status_code == 201
            child = world.child(parent)
            await child.until(lambda each: True)
            await through(world, gateway, child)
        assert "budgetChecked" not in root.status


async def _no_budget(*_: Any) -> None:
    """Where a row is opened, its parent's budget is looked up with it."""


async def test_a_tree_that_has_spent_its_budget_starts_nothing_more_and_goes_on(
    world: World,
) -> None:
    root = world.claimed("root", budget="0.01")
    async with world.gateway() as gateway, root.working(gateway) as agent:
        async with code_of(gateway, root) as code:
            assert (await call(code)).status_code == 201
            first, waiting, coming, connected = (
                world.child(root, name) for name in ("first", "waiting", "coming", "connected")
            )
            await connected.until(lambda each: True)
            connected.claim()
            coming.claim()
            async with connected.dial(gateway) as late:
                await through(world, gateway, first)
                why = (
                    'The run "root" has reached its budget of 0.01 USD: it and everything below it '
                    "have spent 0.01 USD. Its spec.budget can't change; create another run with a "
                    "larger one."
                )
                refused = await call(code)
                assert (refused.status_code, refused.json()["detail"]) == (402, why)
                # A child in the queue, one whose pod is on its way, one whose pod waits for work.
                await late.hello()
                await late.expect("retire")
                for child, accepted in ((waiting, "False"), (coming, "True"), (connected, "True")):
                    status = await child.finished()
                    assert (status["phase"], status["error"]) == ("Failed", why)
                    assert child.condition("Accepted")["status"] == accepted
                    record = await gateway.usage(child.uid)
                    assert record is not None
                    assert (record["cost"], record["outcome"]) == (0, "failed")
                assert waiting.condition("Accepted")["reason"] == "BudgetExceeded"
                assert (waiting.status["depth"], waiting.status["rootRef"]) == (2, root.root)
                assert coming.condition("Succeeded")["reason"] == "BudgetExceeded"
                assert connected.condition("Succeeded")["reason"] == "BudgetExceeded"
        await agent.end(activeMs=0)
        status = await root.finished()
        assert (status["phase"], status["usage"]["totalCost"]) == ("Succeeded", "0.02")
    # Another tree of the namespace pays for itself.
    async with world.gateway() as gateway, gateway.client() as caller:
        assert (await call(caller)).status_code == 201


async def test_what_runs_counts_with_every_heartbeat(world: World) -> None:
    root = world.claimed("root", budget="0.05")
    async with (
        world.gateway() as gateway,
        root.working(gateway) as agent,
        code_of(gateway, root) as code,
    ):
        world.clock.ahead = timedelta(hours=1)  # nobody works for longer than since its start
        await agent.say("heartbeat", attempt=1, activeMs=1_999_999)
        await gateway.worked(root.uid)
        assert (await call(code)).status_code == 201
        waiting = world.child(root, "waiting")
        await agent.say("heartbeat", attempt=1, activeMs=2_000_000)
        status = await waiting.finished()
        assert "0.05 USD" in status["error"]
        assert waiting.condition("Accepted")["reason"] == "BudgetExceeded"
        assert (await call(code)).status_code == 402


async def test_a_childs_budget_bounds_what_is_below_it(world: World) -> None:
    root = world.claimed("root", budget="1")
    async with world.gateway() as gateway, root.working(gateway):
        child = world.child(root, "child", budget="0.01")
        await child.until(lambda each: True)
        child.claim()
        async with child.working(gateway) as agent, code_of(gateway, child) as code:
            leaf = world.child(child, "leaf")
            await leaf.until(lambda each: True)
            await through(world, gateway, leaf)
            assert 'The run "child"' in (await call(code)).json()["detail"]
            await agent.end(activeMs=0)
        async with code_of(gateway, root) as above:
            assert (await call(above)).status_code == 201
        async with gateway.gateway.process.database.read() as tx:
            found = await tx.execute(
                select(spending.budgets.c.name, spending.budgets.c.spent).order_by("name")
            )
            assert [(row.name, row.spent) for row in found] == [
                ("child", Decimal("0.02")),
                ("root", Decimal("0.02")),
            ]


async def test_what_main_calls_at_once_is_bounded(world: World) -> None:
    root = world.claimed("root", budget="0.01")
    async with world.gateway() as gateway, root.dial(gateway) as agent:
        await agent.hello()
        await agent.expect("work")  # main() may call now, before anything was reported
        async with gateway.gateway.process.database.read() as tx:
            assert await spending.budget_of(tx, root.uid) == root.uid


async def test_a_budget_by_the_api(world: World) -> None:
    async with world.gateway() as gateway, gateway.client() as caller:
        for wrong in ("0", "0.00", "-1", "1e3", "much"):
            answer = await call(caller, **{"Mayfly-Budget": wrong})
            assert answer.status_code == 422
            words = "Mayfly-Budget must be a decimal number above 0"
            assert answer.json()["detail"].startswith(words)
        assert (await call(caller, **{"Mayfly-Budget": "0.50"})).status_code == 201
    assert only_run(world).now["spec"]["budget"] == "0.50"


async def test_an_annotation_that_is_no_number_limits_nothing_and_is_told(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    annotate(world, 'ten "dollars" ☃')
    run = world.run()
    words = (
        f"Annotation {BUDGET_MONTHLY} of namespace 'team' is 'ten 'dollars' \\u2603', which is not "
        "a decimal number such as 25 or 12.50. The namespace has no monthly budget until this is "
        "fixed."
    )
    async with world.gateway() as gateway, gateway.client() as caller:
        await known(gateway, 'ten "dollars" ☃')
        answer = await call(caller)
        assert answer.status_code == 201
        assert answer.headers["warning"] == f'299 mayfly "{words}"'
        # The controller waits for a word on runs by kubectl wherever the annotation is.
        await run.until(lambda each: (each.get("status") or {}).get("budgetChecked"))
    assert words in [each.message.replace('"', "'") for each in caplog.records]


async def test_a_cancel_is_a_cancel_also_beyond_the_budget(world: World) -> None:
    run = world.run(cancel=True)
    annotate(world, "0")
    async with world.gateway() as gateway:
        await known(gateway, "0")
        await gateway.gateway.runs.dispatcher.look(run.uid)
        assert run.status == {}
        run.end_by_controller("Canceled")
        await run.finished()
        await gateway.closed(run.uid)
        assert (await shown(gateway, run))["status"] == "canceled"
