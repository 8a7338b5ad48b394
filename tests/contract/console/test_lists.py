"""Lists in short: every filter, paging, what one may not see, how the last runs went."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from support.gateway import filled
from support.gateway.world import KEY, NAMESPACE, Running, World
from support.servers.postgresql import BOTH

from mayfly.api.v1alpha1.names import CREATED_BY
from mayfly.clock import utc_now
from mayfly.gateway.access import run_tokens
from mayfly.kube.kinds import RUNS
from mayfly.metering import filters
from mayfly.metering.ledger import RunRow

pytestmark = BOTH

LIST = "/v1/predictions/summaries"
HERE = f"/ns/{NAMESPACE}{LIST}"
NUMBER = 60


async def everything(reader: httpx.AsyncClient, url: str) -> list[dict[str, Any]]:
    """All pages of a list."""
    found: list[dict[str, Any]] = []
    while url:
        answer = await reader.get(url)
        assert answer.status_code == 200, answer.text
        found += answer.json()["results"]
        url = answer.json()["next"]
    return found


async def fill(gateway: Running) -> list[RunRow]:
    """Predictions of every outcome and kind, some of one moment, some with a parent."""
    rows = list(filled.ended_runs(NUMBER))
    for place in range(10, 20):
        rows[place] = replace(rows[place], created_at=rows[10].created_at)
    for place in range(30, 40):
        parent = rows[29]
        rows[place] = replace(
            rows[place], parent_uid=parent.uid, root_uid=parent.uid, depth=2, kind="model"
        )
    open_now = {"outcome": None, "reason": None, "closed_at": None, "closed_by": None}
    rows[1] = replace(rows[1], **open_now, journalled_at=None, downstream=None)
    rows[2] = replace(rows[1], uid=rows[2].uid, id=rows[2].id, started_at=None)
    await filled.write(gateway.gateway.process.database, rows)
    return sorted(rows, key=lambda row: (row.created_at, row.id), reverse=True)


def status(row: RunRow) -> str:
    if row.closed_at is None:
        return "starting" if row.started_at is None else "processing"
    return str(row.outcome)


FILTERS = {
    "": lambda row: True,
    "status=failed": lambda row: status(row) == "failed",
    "status=failed,canceled": lambda row: status(row) in {"failed", "canceled"},
    "status=succeeded": lambda row: status(row) == "succeeded",
    "status=starting": lambda row: status(row) == "starting",
    "status=starting,processing,succeeded": lambda row: (
        status(row) in {"starting", "processing", "succeeded"}
    ),
    "kind=model": lambda row: row.kind == "model",
    "kind=pipeline": lambda row: row.kind == "run",
    "roots=true": lambda row: row.parent_uid is None,
    f"model={NAMESPACE}/draw": lambda row: row.pipeline == "draw",
    f"model={NAMESPACE}/draw&status=failed&roots=true": lambda row: (
        row.pipeline == "draw" and status(row) == "failed" and row.parent_uid is None
    ),
    "q=RUN-1": lambda row: "run-1" in row.name,
    "q=picture+run-2": lambda row: "run-2" in row.name,
    "q=100%25": lambda row: False,
    "q=run_1": lambda row: False,
    "q=run-3&status=failed": lambda row: "run-3" in row.name and status(row) == "failed",
}


@pytest.mark.parametrize("limit", [7, 100])
@pytest.mark.parametrize("words", FILTERS)
async def test_a_filter_lists_what_it_names_page_by_page(
    world: World, words: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filters, "SEARCHED", 25)  # so that a search needs several looks
    async with world.gateway() as gateway, gateway.client() as reader:
        rows = await fill(gateway)
        found = await everything(reader, f"{HERE}?limit={limit}&{words}")
        assert [each["id"] for each in found] == [row.id for row in rows if FILTERS[words](row)]


async def test_a_row_says_what_a_list_needs(world: World) -> None:
    async with world.gateway() as gateway, gateway.client() as reader:
        path = f"/v1/models/{NAMESPACE}/answer/predictions"
        given = {"prompt": "a " * 100, "list": [1], "steps": 3, "on": True}
        made = (await reader.post(path, json={"input": given})).json()
        (row,) = (await reader.get(HERE)).json()["results"]
    assert row == {
        "id": made["id"],
        "kind": "pipeline",
        "model": f"{NAMESPACE}/answer",
        "version": "c" * 64,
        "status": "starting",
        "reason": None,
        "error": None,
        "name": made["name"],
        "namespace": NAMESPACE,
        "depth": 1,
        "parent": None,
        "root": made["id"],
        "created_at": row["created_at"],
        "started_at": None,
        "completed_at": None,
        "active_seconds": None,
        "cost": None,
        "currency": made["currency"],
        "inputs": [["prompt", ("a " * 100)[:59] + "…"], ["steps", "3"]],
        "created_by": "reader",
        "data_removed": False,
    }


async def test_who_asked_is_kept_in_the_ledger(world: World) -> None:
    async with world.gateway() as gateway, gateway.client() as reader:
        run = world.claimed()

        def annotate(body: dict[str, Any]) -> None:
            body["metadata"]["annotations"] = {CREATED_BY: "somebody" + "x" * 400}

        world.cluster.edit(RUNS, NAMESPACE, run.name, annotate)
        async with run.working(gateway) as agent:
            await agent.end()
        await gateway.closed(run.uid)
        (row,) = (await reader.get(HERE)).json()["results"]
    assert row["created_by"] == ("somebody" + "x" * 400)[:253]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("status=done", "status must be of these"),
        ("model=answer", "model must be namespace/name"),
        ("kind=run", "kind must be pipeline or model"),
        ("q=%00", "NUL"),
        ("cursor=x", "cursor"),
        ("created_after=monday", "created_after"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("q=" + "x" * 201, "q"),
    ],
)
async def test_a_wrong_parameter_is_told(world: World, words: str, told: str) -> None:
    async with world.gateway() as gateway, gateway.client() as reader:
        answer = await reader.get(f"{HERE}?{words}")
    assert answer.status_code == 422, answer.text
    assert told in answer.text


async def test_what_one_may_not_see_is_not_there(world: World) -> None:
    root = world.claimed("root")
    async with world.gateway() as gateway, root.working(gateway), gateway.client() as reader:
        child = world.child(root, "child")
        await child.until(lambda each: True)
        world.run("other")
        assert (await reader.get(LIST)).status_code == 403
        assert (await reader.get(f"/ns/secret{LIST}")).status_code == 403
        token = run_tokens.mint(KEY, NAMESPACE, root.uid)
        async with gateway.client(token) as code:
            found = {each["name"] for each in (await code.get(LIST)).json()["results"]}
            assert found == {"root", "child"}


async def test_a_tree_in_short_has_parents_before_children_and_its_cost(world: World) -> None:
    async with world.gateway() as gateway, gateway.client() as reader:
        rows = list(filled.tree(300, 50))
        await filled.write(gateway.gateway.process.database, rows)
        told = (await reader.get(f"/v1/predictions/{rows[0].id}/timeline")).json()
        seen: set[str] = set()
        for each in told["results"]:
            assert each["parent"] is None or each["parent"] in seen
            seen.add(each["id"])
        assert seen == {row.id for row in rows}
        assert (told["truncated"], told["currency"]) == (False, "USD")
        absent = await reader.get("/v1/predictions/00000000000000000000000000/timeline")
    assert absent.status_code == 404


async def test_how_the_last_predictions_went(world: World) -> None:
    async with world.gateway() as gateway, gateway.client() as reader:
        rows = [replace(row, pipeline="answer") for row in filled.ended_runs(80)]
        await filled.write(gateway.gateway.process.database, rows)
        url = f"/ns/{NAMESPACE}/v1/models/{NAMESPACE}/answer/stats"
        stats = (await reader.get(url)).json()
        (card,) = (await reader.get(f"/ns/{NAMESPACE}/v1/catalog")).json()["results"]
        hidden = (await reader.get("/v1/catalog")).json()["results"]
    last = rows[:50]
    counted = [sum(row.outcome == each for row in last) for each in ("succeeded", "failed")]
    assert [stats["succeeded"], stats["failed"]] == counted
    assert stats["success_rate"] == counted[0] / sum(counted)
    assert [each["id"] for each in stats["recent"]] == [row.id for row in last]
    times = sorted(row.active_ms / 1000 for row in last if row.outcome == "succeeded")
    assert times[0] <= stats["seconds"]["low"] <= stats["seconds"]["median"]
    assert stats["seconds"]["median"] <= stats["seconds"]["high"] <= times[-1]
    assert (card["name"], card["kind"], card["latest_version"]) == ("answer", "pipeline", "c" * 64)
    assert card["stats"] == {**stats, "recent": stats["recent"][:10]}
    assert all(each["stats"]["runs"] == 0 for each in hidden)


async def test_a_moment_bounds_a_list(world: World) -> None:
    async with world.gateway() as gateway, gateway.client() as reader:
        await fill(gateway)
        since = (utc_now() - timedelta(seconds=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
        after = await everything(reader, f"{HERE}?created_after={since}")
        before = await everything(reader, f"{HERE}?created_before={since}")
    assert len(after) + len(before) == NUMBER
    assert all(each["created_at"] >= since[:-1] for each in after)
