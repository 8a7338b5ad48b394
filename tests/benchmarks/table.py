"""Tables that read well as text and are Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def render(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with columns in line; all but the first are set to the right."""
    whole = [list(head), *(list(row) for row in rows)]
    widths = [max(3, *(len(row[column]) for row in whole)) for column in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [_line(whole[0], widths), "| " + " | ".join(rule) + " |"]
    return "\n".join([*lines, *(_line(row, widths) for row in whole[1:])])


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [row[0].ljust(widths[0])]
    cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
    return "| " + " | ".join(cells) + " |"


def ms(value: float | None) -> str:
    """Milliseconds for a table."""
    return "-" if value is None else f"{value:.0f}"
