"""Draws what the dashboards ask, for the documentation: plots of their queries, not Grafana.

    python -m venv plots && plots/bin/pip install matplotlib
    plots/bin/python docs/draw_dashboards.py --prometheus http://127.0.0.1:9090 --minutes 15

matplotlib is needed for this alone, and is no dependency of Mayfly.
"""

from __future__ import annotations

import argparse
import json
import time
import urllib.parse
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.dates import DateFormatter, MinuteLocator

ROOT = Path(__file__).parents[1]
BOARDS = ROOT / "charts" / "mayfly" / "dashboards"
NOTE = (
    "Plots of this dashboard's queries, from a Prometheus that scraped a test cluster. Not Grafana."
)
COLUMNS = 24
CELL = 0.75
"""Inches of a grid cell's width."""


def ask(prometheus: str, path: str, **query: str) -> list[dict[str, Any]]:
    """The series of one query."""
    url = f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url) as answer:
        return list(json.load(answer)["data"]["result"])


def filled(expr: str, minutes: int) -> str:
    """A query with its variables filled in."""
    values = {"$__rate_interval": "1m", "$__range": f"{minutes}m", "$namespace": ".*"}
    for name, value in {**values, "$pipeline": ".*"}.items():
        expr = expr.replace(name, value)
    return expr


def legend(template: str, labels: dict[str, str]) -> str:
    """A series' name."""
    for name, value in labels.items():
        template = template.replace(f"{{{{{name}}}}}", value)
    return template


def shown(value: float, unit: str) -> str:
    """A number as a panel shows it."""
    if unit == "bool_yes_no":
        return "Yes" if value else "No"
    if unit == "percentunit":
        return f"{value:.0%}"
    return f"{value:.4g}" + (" s" if unit == "s" else "")


class Drawing:
    """One dashboard."""

    def __init__(self, prometheus: str, minutes: int, end: float) -> None:
        self._prometheus = prometheus
        self._minutes = minutes
        self._end = end

    def draw(self, board: dict[str, Any], file: Path) -> None:
        """Draw the panels as they lie, into a file."""
        panels = board["panels"]
        rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
        width, height = COLUMNS * CELL, rows * CELL * 0.55 + 1
        figure = plt.figure(figsize=(width, height))
        figure.suptitle(board["title"], fontsize=16, x=0.01, y=1 - 0.2 / height, ha="left")
        figure.text(0.01, 1 - 0.75 / height, NOTE, fontsize=9, color="dimgray")
        body = 1 - 0.9 / height
        for panel in panels:
            place = panel["gridPos"]
            left, bottom = place["x"] / COLUMNS, body * (1 - (place["y"] + place["h"]) / rows)
            box = (place["w"] / COLUMNS, body * place["h"] / rows)
            self._panel(figure, panel, (left, bottom, *box))
        figure.savefig(file, dpi=60, metadata={"Date": None})
        plt.close(figure)

    def _panel(self, figure: Any, panel: dict[str, Any], box: tuple[float, ...]) -> None:
        left, bottom, width, height = box
        axes = figure.add_axes((left + 0.03, bottom + 0.2 * height, width - 0.045, 0.6 * height))
        axes.set_title(panel["title"], fontsize=10, loc="left")
        unit = panel["fieldConfig"]["defaults"]["unit"]
        if panel["type"] == "timeseries":
            self._lines(axes, panel)
        elif panel["type"] == "stat":
            self._number(axes, panel, unit)
        else:
            self._table(axes, panel, unit)

    def _lines(self, axes: Any, panel: dict[str, Any]) -> None:
        start = self._end - 60 * self._minutes
        for target in panel["targets"]:
            times = {"start": f"{start}", "end": f"{self._end}", "step": "5"}
            expr = filled(target["expr"], self._minutes)
            for series in ask(self._prometheus, "query_range", query=expr, **times):
                stamps = [datetime.fromtimestamp(at, UTC) for at, _ in series["values"]]
                values = [float(value) for _, value in series["values"]]
                name = legend(target["legendFormat"], series["metric"])
                axes.plot(stamps, values, linewidth=1, label=name)
        top = axes.get_ylim()[1]
        axes.set_ylim(-0.03 * top, top)  # a line at 0 is seen
        axes.set_xlim(*(datetime.fromtimestamp(at, UTC) for at in (start, self._end)))
        axes.tick_params(labelsize=7)
        axes.xaxis.set_major_locator(MinuteLocator(interval=max(1, self._minutes // 6)))
        axes.xaxis.set_major_formatter(DateFormatter("%H:%M"))
        axes.grid(alpha=0.3)
        if axes.get_lines():
            below = {"loc": "upper left", "bbox_to_anchor": (-0.02, -0.1), "ncol": 5}
            axes.legend(fontsize=6, frameon=False, **below)

    def _number(self, axes: Any, panel: dict[str, Any], unit: str) -> None:
        axes.axis("off")
        (series,) = self._now(panel) or [{"value": (0, "nan")}]
        text = shown(float(series["value"][1]), unit)
        axes.text(0.0, 0.3, text, fontsize=22, color="seagreen", va="center")

    def _table(self, axes: Any, panel: dict[str, Any], unit: str) -> None:
        axes.axis("off")
        rows = [
            [*series["metric"].values(), shown(float(series["value"][1]), unit)]
            for series in self._now(panel)
        ][:10]
        names = [*self._now(panel)[0]["metric"], "value"]
        table = axes.table(rows, colLabels=names, loc="upper left", cellLoc="left")
        table.auto_set_font_size(value=False)
        table.set_fontsize(7)

    def _now(self, panel: dict[str, Any]) -> list[dict[str, Any]]:
        (target,) = panel["targets"]
        expr = filled(target["expr"], self._minutes)
        return ask(self._prometheus, "query", query=expr, time=f"{self._end}")


def main() -> None:
    """Draw every dashboard of the chart."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--prometheus", required=True, metavar="URL")
    parser.add_argument("--minutes", type=int, default=15)
    parser.add_argument("--end", type=float, default=time.time(), help="in Unix seconds")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    drawing = Drawing(options.prometheus, options.minutes, options.end)
    for path in sorted(BOARDS.glob("*.json")):
        board = json.loads(path.read_text(encoding="utf-8"))
        drawing.draw(board, options.out / f"{path.stem}.png")


if __name__ == "__main__":
    main()
