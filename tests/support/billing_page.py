"""Parses the tables of docs/billing.md, which tests compare with the code."""

from dataclasses import dataclass
from pathlib import Path

from mayfly.api.v1alpha1.conditions import Reason

PAGE = (Path(__file__).parents[2] / "docs" / "billing.md").read_text()
YES = "✓"


def table(title: str) -> list[list[str]]:
    """The rows of the table under a heading."""
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@dataclass(frozen=True)
class End:
    """A row of the table of ends.

    Attributes:
        of: "runs", "calls" or both.
        time, prediction, items, tokens: what is charged, if the work started.
        starts: an end of work that may have started.
    """

    of: frozenset[str]
    time: bool
    prediction: bool
    items: bool
    tokens: bool
    starts: bool


def _end(row: list[str]) -> End:
    _, of, *charged, words = row
    return End(
        frozenset(of.split(", ")),
        *(cell == YES for cell in charged),
        starts=not words.startswith("never"),
    )


ENDS = {Reason(row[0].strip("`")): _end(row) for row in table("Every end")}
EXAMPLES = table("Worked examples")
