"""Panels of a dashboard: what a query is drawn as, in Grafana's JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mayfly.telemetry.dashboards.queries import Query

Json = dict[str, Any]

SOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
"""The variable of each dashboard."""


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        kind: Grafana's word for how it is drawn.
        title: a few words.
        description: a sentence.
        unit: Grafana's word for the unit of its values.
        height: in grid cells.
        queries: what is drawn.
        target: what else Grafana wants of each query.
        defaults: what else Grafana wants of the values.
        options: what else Grafana wants.
    """

    kind: str
    title: str
    description: str
    unit: str
    height: int
    queries: tuple[Query, ...]
    target: Json
    defaults: Json
    options: Json

    def body(self, number: int, place: Json) -> Json:
        """The panel in Grafana's JSON.

        Args:
            number: of the panel on its dashboard.
            place: on the grid.
        """
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": SOURCE,
            "gridPos": place,
            "fieldConfig": {
                "defaults": {"unit": self.unit, "min": 0, **self.defaults},
                "overrides": [],
            },
            "options": self.options,
            "targets": [
                {
                    "refId": chr(ord("A") + index),
                    "datasource": SOURCE,
                    "expr": query.expr,
                    "legendFormat": query.legend,
                    **self.target,
                }
                for index, query in enumerate(self.queries)
            ],
        }


def stat(
    title: str, query: Query, description: str = "", *, unit: str = "", decimals: int | None = None
) -> Panel:
    """One number. Description and unit are the query's, unless they are given."""
    shown: Json = {} if decimals is None else {"decimals": decimals}
    if query.unit == "percentunit":
        shown["max"] = 1
    return Panel(
        kind="stat",
        title=title,
        description=description or query.about,
        unit=unit or query.unit,
        height=4,
        queries=(query,),
        target={"instant": False},
        defaults=shown,
        options={
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value",
            "graphMode": "area",
        },
    )


def lines(title: str, *queries: Query, description: str = "", unit: str = "") -> Panel:
    """Lines over time. Description and unit are the first query's, unless they are given."""
    return Panel(
        kind="timeseries",
        title=title,
        description=description or queries[0].about,
        unit=unit or queries[0].unit,
        height=8,
        queries=queries,
        target={},
        defaults={"custom": {"lineWidth": 1, "fillOpacity": 10, "showPoints": "never"}},
        options={
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    )


def table(title: str, query: Query, description: str = "") -> Panel:
    """Rows of labels and a value, the greatest first."""
    return Panel(
        kind="table",
        title=title,
        description=description or query.about,
        unit=query.unit,
        height=8,
        queries=(Query(f"sort_desc({query.expr})", "", query.unit),),
        target={"instant": True, "format": "table"},
        defaults={},
        options={"showHeader": True},
    )
