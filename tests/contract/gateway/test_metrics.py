"""What Prometheus is told is what the ledger says, to the last digit that it can carry."""

from __future__ import annotations

import asyncio
import subprocess
from datetime import timedelta
from decimal import Decimal

import httpx
import pytest
from prometheus_client import start_http_server
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select
from support.gateway.world import NAMESPACE, Running, World
from support.kube_memory import WAIT_SECONDS
from support.servers.postgresql import BOTH

from mayfly.metering.tables import usage_records

pytestmark = BOTH


def value(gateway: Running, name: str, **labels: str) -> float:
    return gateway.gateway.metrics.counters.registry.get_sample_value(name, labels) or 0.0


async def shown(gateway: Running, name: str, wanted: float, **labels: str) -> None:
    """Return once a metric has a value."""
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                if value(gateway, name, **labels) == wanted:
                    return
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{name} is {value(gateway, name, **labels)}") from None


async def ledger_sums(gateway: Running) -> tuple[Decimal, Decimal]:
    """Cost, and active seconds, of every usage record."""
    async with gateway.gateway.process.database.read() as tx:
        found = (await tx.execute(select(usage_records.c.cost, usage_records.c.active_ms))).all()
    costs = sum((row.cost for row in found), Decimal(0))
    return costs, Decimal(sum(row.active_ms for row in found)) / 1000


async def agree(gateway: Running) -> None:
    """The counters are the ledger."""
    cost, active = await ledger_sums(gateway)
    told = value(gateway, "mayfly_cost_total", currency="USD", kind="run")
    assert told == pytest.approx(float(cost), rel=1e-9)
    assert value(gateway, "mayfly_run_active_seconds_total") == pytest.approx(
        float(active), rel=1e-9
    )


async def test_counters_are_the_ledger_over_one_life_of_the_process(world: World) -> None:
    async with world.gateway() as gateway:
        for number in range(3):
            run = world.claimed(f"good-{number}")
            async with run.working(gateway) as agent:
                await agent.end(activeMs=number + 1)
            await run.finished()
        failed = world.claimed("failed")
        async with failed.working(gateway) as agent:
            await agent.end(outcome="failed", reason="UserError", error="E: no", outputJSON=None)
        await failed.finished()
        never = world.claimed("never")
        async with never.dial(gateway) as agent:
            await agent.hello()
            await agent.accept()
            never.cancel()
            await agent.expect_last("cancel")
            await agent.end_unstarted()
        await never.finished()
        await shown(gateway, "mayfly_runs_total", 3, outcome="succeeded")
        await shown(gateway, "mayfly_runs_total", 1, outcome="failed")
        await shown(gateway, "mayfly_runs_total", 1, outcome="canceled")
        assert value(gateway, "mayfly_run_failures_total", reason="UserError") == 1
        assert value(gateway, "mayfly_run_start_duration_seconds_count") == 4
        assert value(gateway, "mayfly_run_end_duration_seconds_count") == 4
        assert value(gateway, "mayfly_run_dispatch_duration_seconds_count") == 5
        await agree(gateway)


async def test_a_result_that_comes_again_is_counted_once(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway:
        async with run.working(gateway) as agent:
            result = agent.result()
            await agent.say("result", **result)
            await agent.expect_last("ack")
        async with run.dial(gateway) as agent:
            await agent.hello("done")
            await agent.say("result", **result)
            await agent.expect_last("ack")
        await run.finished()
        await shown(gateway, "mayfly_runs_total", 1, outcome="succeeded")
        await agree(gateway)


async def test_the_next_process_counts_from_zero_and_nothing_twice(world: World) -> None:
    first = world.claimed("first")
    async with world.gateway() as gateway:
        async with first.working(gateway) as agent:
            await agent.end()
        await first.finished()
    second = world.claimed("second")
    async with world.gateway() as gateway:
        async with second.working(gateway) as agent:
            await agent.end(activeMs=1)
        await second.finished()
        await shown(gateway, "mayfly_runs_total", 1, outcome="succeeded")
        assert value(gateway, "mayfly_run_active_seconds_total") == 0.001


async def test_an_end_that_can_not_be_recorded_lags(world: World) -> None:
    run = world.claimed()

    def refuse(verb: str, body: dict) -> None:
        from mayfly.kube.errors import Unavailable

        raise Unavailable(503, "away")

    async with world.gateway() as gateway:
        watch = gateway.gateway.metrics.ledger_watch
        async with run.working(gateway, written=True) as agent:
            world.cluster.on_write = refuse
            await agent.say("result", **agent.result())
            async with asyncio.timeout(WAIT_SECONDS):
                while value(gateway, "mayfly_ledger_unrecorded_runs") != 1:
                    await watch.look()
                    await asyncio.sleep(0.02)
            world.clock.ahead = timedelta(minutes=5)
            assert value(gateway, "mayfly_ledger_lag_seconds") > 299
            assert value(gateway, "mayfly_runs_total", outcome="succeeded") == 0
            world.cluster.on_write = None
            await agent.expect_last("ack")
        await run.finished()
        await shown(gateway, "mayfly_runs_total", 1, outcome="succeeded")
        await watch.look()
        assert value(gateway, "mayfly_ledger_unrecorded_runs") == 0
        assert value(gateway, "mayfly_ledger_lag_seconds") == 0
        await agree(gateway)


async def test_requests_are_counted_by_route_and_never_by_path(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, gateway.client() as reader:
        for base in ("/v1", "", f"/ns/{NAMESPACE}", f"/ns/{NAMESPACE}/v1"):
            assert (await reader.get(f"{base}/predictions/{run.id}")).status_code == 200
        for number in range(200):
            assert (await reader.get(f"/nowhere/{number}")).status_code == 404
        names = {
            sample.labels["route"]: sample.value
            for family in gateway.gateway.metrics.counters.registry.collect()
            for sample in family.samples
            if sample.name == "mayfly_http_requests_total"
        }
        assert names.pop("other") == 200
        assert list(names.values()) == [4], names
        assert not [name for name in names if run.id in name or "nowhere" in name]
        assert value(gateway, "mayfly_token_reviews_total", result="allowed") >= 1


async def test_a_method_that_a_route_does_not_take_has_no_series_of_its_own(world: World) -> None:
    async with world.gateway() as gateway, gateway.client() as reader:
        for path in ("/v1/usage", "/v1/account", "/v1/predictions"):
            assert (await reader.delete(path)).status_code == 405
        labels = {"route": "other", "method": "DELETE", "code": "4xx"}
        assert value(gateway, "mayfly_http_requests_total", **labels) == 3


async def test_who_asks_too_often_is_counted(world: World) -> None:
    world.rates = {"creates": 1, "others": 2}
    async with world.gateway() as gateway, gateway.client() as reader:
        answers = [(await reader.get("/v1/account")).status_code for _ in range(5)]
        assert answers == [200, 200, 429, 429, 429]
        assert value(gateway, "mayfly_http_rate_limited_total") == 3


async def test_prometheus_finds_no_fault_in_what_is_exposed(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway:
        async with run.working(gateway) as agent:
            await agent.end()
        await run.finished()
        metrics = gateway.gateway.metrics.counters
        server, thread = start_http_server(0, addr="127.0.0.1", registry=metrics.registry)
        try:
            async with httpx.AsyncClient() as prometheus:
                port = server.server_port
                text = (await prometheus.get(f"http://127.0.0.1:{port}/metrics")).text
        finally:
            await asyncio.to_thread(server.shutdown)
            thread.join()
            server.server_close()
    done = await asyncio.to_thread(
        subprocess.run,
        ["promtool", "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    exposed = {family.name for family in text_string_to_metric_families(text)}
    assert {name.removesuffix("_total") for name in metrics.families.known} <= exposed
