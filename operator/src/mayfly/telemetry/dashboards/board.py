"""A dashboard: rows of panels, as the JSON that Grafana reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mayfly.telemetry.catalog import Family
from mayfly.telemetry.dashboards.panels import SOURCE, Json, Panel

COLUMNS = 24
"""Of Grafana's grid."""


@dataclass(frozen=True)
class Variable:
    """A label whose value the viewer picks.

    Attributes:
        label: of `family`; also the variable's name.
        title: what the viewer reads.
        family: whose values are offered.
        where: a selector that narrows them.
    """

    label: str
    title: str
    family: Family
    where: str = ""

    def body(self) -> Json:
        """The variable in Grafana's JSON."""
        selected = f"{self.family.name}{{{self.where}}}" if self.where else self.family.name
        return {
            "name": self.label,
            "label": self.title,
            "type": "query",
            "datasource": SOURCE,
            "query": {"query": f"label_values({selected}, {self.label})", "refId": self.label},
            "refresh": 2,
            "sort": 1,
            "includeAll": True,
            "allValue": ".*",
            "multi": False,
            "current": {"selected": True, "text": "All", "value": "$__all"},
        }


@dataclass(frozen=True)
class Board:
    """A dashboard.

    Attributes:
        name: of its file.
        title: what the viewer reads.
        description: a sentence or two.
        rows: panels that share the width evenly.
        variables: what the viewer picks.
    """

    name: str
    title: str
    description: str
    rows: Sequence[Sequence[Panel]]
    variables: Sequence[Variable] = ()

    def text(self) -> str:
        """The file that Grafana reads."""
        return json.dumps(self._body(), indent=2, ensure_ascii=False) + "\n"

    def _body(self) -> Json:
        source = {
            "name": "datasource",
            "label": "Data source",
            "type": "datasource",
            "query": "prometheus",
            "current": {},
            "hide": 0,
        }
        return {
            "uid": f"mayfly-{self.name}",
            "title": f"Mayfly / {self.title}",
            "description": self.description,
            "tags": ["mayfly"],
            "schemaVersion": 39,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"},
            "timezone": "browser",
            "templating": {"list": [source, *(each.body() for each in self.variables)]},
            "links": [
                {
                    "type": "dashboards",
                    "title": "Mayfly",
                    "tags": ["mayfly"],
                    "asDropdown": True,
                    "includeVars": False,
                    "keepTime": True,
                }
            ],
            "panels": list(self._panels()),
        }

    def _panels(self) -> Iterator[Json]:
        number = y = 0
        for row in self.rows:
            width = COLUMNS // len(row)
            for index, panel in enumerate(row):
                number += 1
                place = {"x": index * width, "y": y, "w": width, "h": panel.height}
                yield panel.body(number, place)
            y += max(panel.height for panel in row)
