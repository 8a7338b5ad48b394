"""The dashboards: their queries parse, and name only metrics that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from support.families import (
    DASHBOARDS,
    EVERYTHING,
    STANDARD,
    alerts,
    controller_families,
    declared,
    family_of,
    gateway_families,
    names_in,
    queries,
)

from mayfly.telemetry import catalog
from mayfly.telemetry.catalog import FAMILIES
from mayfly.telemetry.dashboards.queries import rate
from mayfly.telemetry.families import MOST_SERIES
from mayfly.telemetry.payers import PayerSettings
from mayfly.telemetry.reference import generated

ROOT = Path(__file__).parents[2]
GROUPS = re.compile(r"(?:by|group_left) \(([^)]*)\)")
PLACES = re.compile(r"\{\{(\w+)\}\}")


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
    always = {**gateway_families(PayerSettings()).known, **controller_families().known}
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


def grouped(expr: str) -> set[str]:
    """The labels that the series of an expression have."""
    labels = {name for by in GROUPS.findall(expr) for name in re.findall(r"\w+", by)} - {"le"}
    # What a scrape adds, where nothing is summed over it.
    return labels | ({"instance"} if "on (instance, job)" in expr else set())


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_legend_names_the_labels_that_tell_its_series_apart(path) -> None:
    known = declared()
    for panel in json.loads(path.read_text())["panels"]:
        legends = [target["legendFormat"] for target in panel["targets"]]
        assert len(set(legends)) == len(legends), panel["title"]
        for target in panel["targets"]:
            if panel["type"] != "timeseries":
                assert target["legendFormat"] == ""
                continue
            expr, named = target["expr"], set(PLACES.findall(target["legendFormat"]))
            assert target["legendFormat"], panel["title"]
            assert named == grouped(expr), panel["title"]
            families = [FAMILIES[family_of(name, known)] for name in names_in(expr) & known.keys()]
            offered = {label for family in families for label in family.labels}
            assert named <= offered | {"instance"} or not families, panel["title"]


@pytest.mark.parametrize("name", generated())
def test_generated_files_are_current(name: str) -> None:
    assert (ROOT / name).read_text() == generated()[name], "run `make generate`"


def test_no_dashboard_is_made_by_hand() -> None:
    assert {str(path.relative_to(ROOT)) for path in DASHBOARDS} <= generated().keys()


def test_the_catalog_is_what_the_processes_expose() -> None:
    exposed = {"gateway": gateway_families(EVERYTHING), "controller": controller_families()}
    for process, families in exposed.items():
        assert families.known == {
            name: family for name, family in FAMILIES.items() if process in family.of
        }


def test_a_query_that_does_not_fit_its_family_is_refused() -> None:
    with pytest.raises(ValueError, match="is a gauge"):
        rate(catalog.RUN_PODS)
    with pytest.raises(ValueError, match="has no label namespace"):
        rate(catalog.RUNS, "namespace")


def test_there_are_four() -> None:
    stems = [path.stem for path in DASHBOARDS]
    assert stems == ["billing", "internals", "overview", "pipeline"]


@pytest.mark.parametrize("switched_on", [False, True])
def test_both_processes_stay_below_the_bound(switched_on: bool) -> None:
    settings = PayerSettings(namespaces=switched_on, pipelines=switched_on, limit=12)
    assert gateway_families(settings).most <= MOST_SERIES
    assert controller_families().most <= MOST_SERIES
