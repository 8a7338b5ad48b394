"""What things cost, over HTTP: reports, records, explanations, closed months; who may ask."""

import csv
import hashlib
import io
from contextlib import AsyncExitStack
from datetime import timedelta
from decimal import Decimal

import pytest
from support.gateway.world import BUILDER, KEY, NAMESPACE, Run, Running, World
from support.servers.postgresql import BOTH

from mayfly.clock import utc_now
from mayfly.gateway.access import run_tokens
from mayfly.metering import tree
from mayfly.metering.records import Correction

pytestmark = BOTH


@pytest.fixture
def everywhere(world: World) -> World:
    """A world in which the reader may do everything in all namespaces."""
    world.cluster.allowed.add(("reader", ""))
    return world


async def work(gateway: Running, run: Run, **end) -> Run:
    async with run.working(gateway) as agent:
        await agent.end(**end)
    await run.finished()
    await gateway.closed(run.uid)
    return run


async def correct(gateway: Running, run: Run, cost: str) -> None:
    change = Correction(why="=a wrong clock", author="admin", cost=Decimal(cost))
    async with gateway.gateway.process.database.write() as tx:
        await tree.correct(tx, run.uid, change, utc_now())


async def family(world: World, gateway: Running) -> tuple[Run, Run, Run]:
    """A parent and its two children: one good and one that failed."""
    parent = world.claimed("parent")
    async with AsyncExitStack() as stack:
        top = await stack.enter_async_context(parent.working(gateway))
        good, bad = world.child(parent, "good"), world.child(parent, "bad")
        good.claim()
        bad.claim()
        await work(gateway, good)
        await work(gateway, bad, outcome="failed", reason="UserError", outputJSON=None)
        await top.end()
    await parent.finished()
    await gateway.closed(parent.uid)
    return parent, good, bad


async def test_a_report_adds_up_and_is_the_same_as_csv(everywhere: World) -> None:
    async with everywhere.gateway() as gateway, gateway.client() as reader:
        parent, _, _ = await family(everywhere, gateway)
        await work(gateway, everywhere.claimed("alone"))
        url = "/v1/usage?by=tree,day"
        shown = (await reader.get(url)).json()
        text = await reader.get(url, headers={"Accept": "text/csv"})
        bare = (await reader.get("/usage")).json()
        there = (await reader.get(f"/ns/{NAMESPACE}/v1/usage")).json()
    assert shown["by"] == ["tree", "day"]
    assert {row["tree"]: row["predictions"] for row in shown["rows"]}[parent.id] == 3
    (total,) = shown["totals"]
    assert total["predictions"] == 4
    assert Decimal(total["cost"]) == sum(Decimal(row["cost"]) for row in shown["rows"])
    # Three of them ended well; the meter ran for each.
    assert Decimal(total["cost"]) == 3 * Decimal("0.01") + 4 * 3 * Decimal("0.000000025")
    assert text.headers["content-type"] == "text/csv; charset=utf-8"
    assert [dict(row) for row in csv.DictReader(io.StringIO(text.text))] == [
        {key: str(word) for key, word in row.items()} for row in shown["rows"]
    ]
    assert bare["totals"] == there["totals"] == shown["totals"]
    assert there["namespace"] == NAMESPACE


async def test_the_time_asked_for_is_half_open(everywhere: World) -> None:
    async with everywhere.gateway() as gateway, gateway.client() as reader:
        await work(gateway, everywhere.claimed())
        today = utc_now().date()
        tomorrow, later = today + timedelta(days=1), today + timedelta(days=2)
        asked = {
            f"from={today}&to={tomorrow}": 1,
            f"from={today}T00:00:00Z&to={later}": 1,
            f"from={tomorrow}&to={later}": 0,
        }
        for query, count in asked.items():
            shown = (await reader.get(f"/v1/usage?{query}")).json()
            assert len(shown["rows"]) == count, query


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("by=person", "`by` is one or more of namespace, pipeline, model, day, tree"),
        ("from=yesterday", "from must be an ISO 8601 time"),
        ("from=2026-02-01&to=2026-02-01", "`to` is not after `from`"),
        ("from=0001-01-01T00:00:00%2B14:00", "of the years 1 to 9999"),
        ("format=xml", "`format` is json or csv"),
    ],
)
async def test_what_can_mean_nothing_is_told(everywhere: World, query: str, words: str) -> None:
    async with everywhere.gateway() as gateway, gateway.client() as reader:
        answer = await reader.get(f"/v1/usage?{query}")
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


async def test_who_may_not_list_runs_reads_no_usage(world: World) -> None:
    run = world.claimed()
    own = run_tokens.mint(KEY, NAMESPACE, run.uid)
    async with world.gateway() as gateway, run.working(gateway):
        async with gateway.client() as reader:
            every = await reader.get("/v1/usage")
            ours = await reader.get(f"/v1/usage?namespace={NAMESPACE}")
            other = await reader.get("/ns/other/v1/usage/records")
            closing = await reader.post("/v1/usage/periods/2026-01/close")
            clash = await reader.get("/ns/other/usage?namespace=team")
        async with gateway.client(own) as child:
            runs = [
                await child.get(path)
                for path in (
                    f"/v1/usage?namespace={NAMESPACE}",
                    "/v1/usage/records",
                    "/v1/usage/focus",
                    f"/v1/usage/{run.id}",
                    "/v1/usage/periods",
                )
            ]
    assert (every.status_code, ours.status_code, other.status_code) == (403, 200, 403)
    assert "all namespaces" in every.json()["detail"]
    assert "`namespace=…`" in every.json()["detail"]
    assert closing.status_code == 403
    assert closing.json()["detail"] == (
        '"reader" may not update pipelineruns/status in all namespaces. Who administers it can '
        "allow that: kubectl create clusterrole mayfly-update-pipelineruns-status --verb=update "
        "--resource=pipelineruns.mayfly.dev/status && kubectl create clusterrolebinding "
        "mayfly-mayfly-update-pipelineruns-status "
        "--clusterrole=mayfly-update-pipelineruns-status --user=reader"
    )
    assert clash.status_code == 422
    assert [each.status_code for each in runs] == [403] * 5


async def test_records_come_in_pages_and_as_one_csv(
    everywhere: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mayfly.gateway.http.pages.SIZE", 2)
    async with everywhere.gateway() as gateway, gateway.client() as reader:
        parent, _, _ = await family(everywhere, gateway)
        await correct(gateway, parent, "-0.004")
        found, url = [], f"/ns/{NAMESPACE}/v1/usage/records"
        while url:
            page = (await reader.get(url)).json()
            assert len(page["results"]) <= 2
            found += page["results"]
            url = page["next"]
        text = (await reader.get("/v1/usage/records?format=csv")).text
    assert [each["record_id"] for each in found] == [
        row["record_id"] for row in csv.DictReader(io.StringIO(text))
    ]
    assert len(found) == 4
    assert found[-1]["corrects"] == parent.uid
    assert found[-1]["cost"] == "-0.004"
    assert "'=a wrong clock" in text


async def test_an_explanation_is_the_arithmetic_of_the_bill(everywhere: World) -> None:
    async with everywhere.gateway() as gateway, gateway.client() as reader:
        parent, good, bad = await family(everywhere, gateway)
        await correct(gateway, good, "-0.004")
        told = (await reader.get(f"/v1/usage/{parent.id}")).json()
        child = (await reader.get(f"/v1/usage/{good.id}")).json()
        shown = (await reader.get(f"/v1/predictions/{parent.id}")).json()
        nobody = await reader.get(f"/v1/usage/{'0' * 26}")
        nonsense = await reader.get("/v1/usage/nonsense")
    assert told["charges"] == [
        {
            "meter": "predictSeconds",
            "quantity": "0.003",
            "unit_price": "0.000025",
            "amount": "0.000000075",
        },
        {"meter": "prediction", "quantity": "1", "unit_price": "0.01", "amount": "0.01"},
    ]
    assert told["billed"] == told["cost"] == "0.010000075"
    assert {each["id"]: each["cost"] for each in told["downstream"]} == {
        good.id: "0.006000075",
        bad.id: "0.000000075",
    }
    assert (told["downstream_cost"], told["total_cost"]) == ("0.00600015", "0.016000225")
    assert child["billed"] == "0.010000075"
    assert [each["cost"] for each in child["corrections"]] == ["-0.004"]
    assert child["cost"] == "0.006000075"
    assert shown["total_cost"] == told["total_cost"]
    assert (nobody.status_code, nonsense.status_code) == (404, 404)


async def test_a_run_is_explained_by_its_name(world: World) -> None:
    """Who has a namespace need not name it; everybody else says which."""
    async with world.gateway() as gateway, gateway.client() as reader:
        run = await work(gateway, world.claimed("records"))
        by_id = (await reader.get(f"/v1/usage/{run.id}")).json()
        asked = [
            f"/v1/usage/explain?name=records&namespace={NAMESPACE}",
            f"/ns/{NAMESPACE}/v1/usage/explain?name=records",
            f"/ns/{NAMESPACE}/usage/explain?name={run.id}",
            f"/v1/usage/explain?name={run.id}",
        ]
        told = [(await reader.get(path)).json() for path in asked]
        async with gateway.client(BUILDER) as builder:
            told.append((await builder.get("/v1/usage/explain?name=records")).json())
    assert (by_id["name"], by_id["id"]) == ("records", run.id)
    assert told == [by_id] * 5


async def test_a_name_that_is_no_bills_is_told_in_words(world: World) -> None:
    world.cluster.allowed.add(("reader", "other"))
    async with world.gateway() as gateway, gateway.client() as reader:
        run = await work(gateway, world.claimed("calls"))
        world.claimed("running")

        async def asked(query: str) -> tuple[int, str]:
            answer = await reader.get(f"/v1/usage/explain?{query}")
            return answer.status_code, answer.json()["detail"]

        for name in ("running", "nope", "", "..", "%00", "A" * 300):
            code, words = await asked(f"name={name}&namespace={NAMESPACE}")
            assert (code, f'in the namespace "{NAMESPACE}". It has one' in words) == (404, True)
        assert (await asked(f"name={run.id}&namespace=other"))[0] == 404
        assert await asked("name=calls") == (
            404,
            'There is no bill of a prediction with the id "calls" that you may read. For a run\'s '
            "name, say in which namespace it is: `namespace=…`, `--namespace` of mayfly usage "
            "explain.",
        )
        code, words = await asked("name=calls&namespace=secret")
        assert (code, "may not list pipelineruns in the" in words) == (403, True)
        assert (await asked("namespace=team"))[0] == 422
        assert (await asked("name=calls&namespace=%00"))[0] == 422
        clash = await reader.get("/ns/team/v1/usage/explain?name=calls&namespace=other")
    assert clash.status_code == 422


async def test_a_name_that_several_runs_had_is_told_with_their_ids(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mayfly.gateway.billing.routes.NAMESAKES", 2)
    url, ids, told = f"/v1/usage/explain?name=nightly&namespace={NAMESPACE}", [], []
    async with world.gateway() as gateway, gateway.client() as reader:
        for _ in range(3):
            run = await work(gateway, world.claimed("nightly"))
            run.delete()
            ids.insert(0, run.id)
            told.append(await reader.get(url))
    assert [each.status_code for each in told] == [200, 409, 409]
    of = f' runs in the namespace "{NAMESPACE}" had the name "nightly". Give the id'
    two, more = (each.json()["detail"] for each in told[1:])
    assert two.startswith(f"2{of}")
    assert more.startswith(f"More than 2{of}")
    assert [each for each in ids if each in more] == ids[:2]
    assert more.index(ids[0]) < more.index(ids[1])


async def test_a_run_that_brings_its_own_source_has_one_name_everywhere(everywhere: World) -> None:
    everywhere.metrics = {"namespaces": True, "pipelines": True}
    source = {"source": {"inline": "def main(): ..."}}
    async with everywhere.gateway() as gateway, gateway.client() as reader:
        run = everywhere.claimed(pipelineRef=None, pipelineSpec=source)
        await work(gateway, run)
        report = (await reader.get("/v1/usage?by=pipeline")).json()
        told = (await reader.get(f"/v1/usage/{run.id}")).json()
        record = (await reader.get("/v1/usage/records")).json()["results"][0]
        (row, *_) = csv.DictReader(io.StringIO((await reader.get("/v1/usage/focus")).text))
        prediction = (await reader.get(f"/v1/predictions/{run.id}")).json()
        label = {"namespace": NAMESPACE, "pipeline": "(inline)"}
        counted = gateway.gateway.metrics.counters.registry.get_sample_value(
            "mayfly_payer_run_active_seconds_total", label
        )
    assert {
        run.status["pipeline"],
        report["rows"][0]["pipeline"],
        told["model"],
        record["model"],
        row["ResourceName"],
        prediction["model"],
    } == {"(inline)"}
    assert counted == 0.003


async def test_only_pipelines_that_exist_have_series_of_their_own(world: World) -> None:
    world.metrics = {"pipelines": True, "limit": 1}
    async with world.gateway() as gateway:
        for name in ("nope", "answer"):
            run = world.claimed(name, pipelineRef={"name": name, "version": "c" * 64})
            run.end_by_controller()
            await run.finished()
            await gateway.closed(run.uid)
        registry = gateway.gateway.metrics.counters.registry
        counted = {
            pipeline: registry.get_sample_value(
                "mayfly_payer_runs_total", {"outcome": "failed", "pipeline": pipeline}
            )
            for pipeline in ("other", f"{NAMESPACE}/nope", f"{NAMESPACE}/answer")
        }
    assert counted == {"other": 1, f"{NAMESPACE}/nope": None, f"{NAMESPACE}/answer": 1}


async def test_the_same_cost_everywhere(everywhere: World) -> None:
    """Status, prediction, report, records, FOCUS, explanation."""
    async with everywhere.gateway() as gateway, gateway.client() as reader:
        parent, _, _ = await family(everywhere, gateway)
        status = await parent.finished()
        shown = (await reader.get(f"/v1/predictions/{parent.id}")).json()
        report = (await reader.get("/v1/usage?by=tree")).json()
        told = (await reader.get(f"/v1/usage/{parent.id}")).json()
        files = [(await reader.get(f"/v1/usage/{name}")).text for name in ("records", "focus")]
        files[0] = (await reader.get("/v1/usage/records?format=csv")).text
    assert (told["final"], shown["final"], status["usage"]["final"]) == (True, True, True)
    records, focus = (list(csv.DictReader(io.StringIO(text))) for text in files)
    assert {
        Decimal(status["usage"]["totalCost"]),
        Decimal(shown["total_cost"]),
        Decimal(report["rows"][0]["cost"]),
        Decimal(told["total_cost"]),
        sum(Decimal(row["cost"]) for row in records),
        sum(Decimal(row["BilledCost"]) for row in focus),
    } == {Decimal("0.020000225")}


async def test_a_month_is_closed_when_it_is_over_and_stays_so(everywhere: World) -> None:
    month = f"{utc_now():%Y-%m}"
    async with everywhere.gateway() as gateway, gateway.client() as reader:
        await family(everywhere, gateway)
        early = await reader.post(f"/v1/usage/periods/{month}/close")
        everywhere.clock.jump = timedelta(days=32)
        closed = await reader.post(f"/v1/usage/periods/{month}/close")
        again = await reader.post(f"/v1/usage/periods/{month}/close")
        first, last = closed.json()["from"], closed.json()["to"]
        text = (
            await reader.get(f"/v1/usage/records?format=csv&from={first}&to={last}")
        ).text.partition("\n")[2]
        everywhere.clock.jump = timedelta()  # a clock that was set back
        late = await work(gateway, everywhere.claimed("late"))
        record = await gateway.usage(late.uid)
        checked = (await reader.get(f"/v1/usage/periods/{month}/verify")).json()
        listed = (await reader.get("/v1/usage/periods")).json()
        never = await reader.get("/v1/usage/periods/2001-01/verify")
        wrong = await reader.post("/v1/usage/periods/soon/close")
    assert early.status_code == 409
    assert "is not over" in early.json()["detail"]
    assert again.json() == closed.json()
    assert closed.json()["closed_by"] == "reader"
    assert closed.json()["records"] == text.count("\n") == 3
    assert closed.json()["sums"] == [{"currency": "USD", "cost": "0.020000225"}]
    assert closed.json()["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert record is not None
    assert f"{record['recorded_at']:%Y-%m}" > month
    assert checked["matches"] is True
    assert listed["results"] == [closed.json()]
    assert (never.status_code, wrong.status_code) == (404, 422)
