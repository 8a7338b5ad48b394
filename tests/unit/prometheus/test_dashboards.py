"""The dashboards: their queries parse, and name only metrics that there are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from support.families import (
    DASHBOARDS,
    STANDARD,
    alerts,
    controller_families,
    declared,
    family_of,
    gateway_families,
    names_in,
    queries,
    table,
)

from mayfly.telemetry.families import MOST_SERIES
from mayfly.telemetry.payers import PayerSettings


def test_every_query_parses(promtool, tmp_path) -> None:
    rules = [
        {"record": f"q:{number}", "expr": query.expr} for number, query in enumerate(queries())
    ]
    assert len(rules) > 50
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    done = promtool("check", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_of_a_query_exists() -> None:
    known = declared()
    for query in queries():
        names = names_in(query.expr)
        assert names, query.label
        for name in names:
            assert STANDARD.fullmatch(name) or family_of(name, known) in known, query.label


def test_every_metric_is_on_a_dashboard_or_in_an_alert() -> None:
    known = declared()
    used = {name for query in queries() for name in names_in(query.expr)}
    used |= {name for rule in alerts() for name in names_in(rule["expr"])}
    assert known.keys() - {family_of(name, known) for name in used} == set()


def test_what_needs_labels_switched_on_is_where_it_is_said() -> None:
    always = {**gateway_families(PayerSettings()).kind_of, **controller_families().kind_of}
    optional = declared().keys() - always.keys()
    assert optional
    for query in queries():
        if names_in(query.expr) & optional:
            assert query.dashboard in {"pipeline", "billing"}, query.label
    for rule in alerts():
        assert not names_in(rule["expr"]) & optional, rule["alert"]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_says_what_its_panels_show(path) -> None:
    board = json.loads(path.read_text())
    assert board["uid"] == f"mayfly-{path.stem}"
    assert board["title"].startswith("Mayfly / ")
    assert board["description"]
    (source,) = [each for each in board["templating"]["list"] if each["type"] == "datasource"]
    assert source["query"] == "prometheus"
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        for target in (panel, *panel["targets"]):
            assert target["datasource"]["uid"] == "${datasource}"
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells)), "panels lie over each other"


def test_the_documentation_has_every_family_as_the_code_declares_it() -> None:
    page = Path(__file__).parents[3] / "docs" / "metrics.md"
    assert table() in page.read_text(), f"docs/metrics.md wants this table:\n{table()}"


def test_there_are_four() -> None:
    stems = [path.stem for path in DASHBOARDS]
    assert stems == ["billing", "internals", "overview", "pipeline"]


@pytest.mark.parametrize("switched_on", [False, True])
def test_both_processes_stay_below_the_bound(switched_on: bool) -> None:
    settings = PayerSettings(namespaces=switched_on, pipelines=switched_on, limit=12)
    assert gateway_families(settings).most <= MOST_SERIES
    assert controller_families().most <= MOST_SERIES
