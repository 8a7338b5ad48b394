"""A picture of every scenario's spread, as SVG: p50 to p99 on a logarithmic axis. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from benchmarks.outcome import Outcome
from benchmarks.scenario import Way
from benchmarks.statistic import percentile

LEFT, WIDTH, ROW, TOP = 470, 560, 22, 30
COLORS = {True: "#888888", False: "#1f77b4"}


def picture(outcomes: Sequence[Outcome]) -> str:
    """A line from p50 to p99 for each measure, with a dot at p50 and a tick at p95."""
    rows = [row for each in outcomes if not each.failure for row in _rows(each)]
    values = [value for _, spread, _ in rows for value in spread if value > 0] or [1.0]
    low = 10 ** math.floor(math.log10(min(values)))
    high = max(10 ** math.ceil(math.log10(max(values))), low * 10)
    height = TOP + ROW * len(rows) + 20

    def place(value: float) -> float:
        share = math.log10(max(value, low) / low) / math.log10(high / low)
        return LEFT + WIDTH * share

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 30}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for power in range(round(math.log10(low)), round(math.log10(high)) + 1):
        x = place(10.0**power)
        lines.append(
            f'<line x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{height - 14}" stroke="#dddddd"/>'
            f'<text x="{x:.1f}" y="{TOP - 12}" text-anchor="middle">{10.0**power:g} ms</text>'
        )
    for number, (words, spread, peer) in enumerate(rows):
        y, (p50, p95, p99) = TOP + ROW * number + ROW / 2, (place(each) for each in spread)
        color = COLORS[peer]
        lines.append(
            f'<text x="{LEFT - 10}" y="{y + 4:.1f}" text-anchor="end">{escape(words)}</text>'
            f'<line x1="{p50:.1f}" y1="{y:.1f}" x2="{p99:.1f}" y2="{y:.1f}" stroke="{color}" '
            'stroke-width="3"/>'
            f'<line x1="{p95:.1f}" y1="{y - 6:.1f}" x2="{p95:.1f}" y2="{y + 6:.1f}" '
            f'stroke="{color}" stroke-width="2"/>'
            f'<circle cx="{p50:.1f}" cy="{y:.1f}" r="5" fill="{color}"/>'
        )
    return "\n".join([*lines, "</svg>"]) + "\n"


def _rows(outcome: Outcome) -> list[tuple[str, tuple[float, ...], bool]]:
    found = []
    for way in outcome.scenario.ways:
        # Peers are alike everywhere; those of the cold scenario stand for all.
        if way.peer and (outcome.scenario.name != "cold" or way is not Way.POD):
            continue
        for stage in outcome.scenario.measures:
            column = outcome.column(way, stage)
            if column:
                spread = tuple(percentile(column, each) for each in (50, 95, 99))
                what = str(way) if way.peer or way is Way.NEW_RUN else ""
                words = ", ".join(part for part in (outcome.scenario.name, what, stage) if part)
                found.append((words, spread, way.peer))
    return found
