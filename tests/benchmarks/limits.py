"""Limits and aims, from limits.toml, and what was measured against them. Pure.

A limit that is missed, or whose numbers were not measured, fails the benchmark. An aim is reported.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("limits.toml")
KEYS = {"says", "of", "over", "most", "least"}
TIME = re.compile(r"\.p\d+$|\.cpu_ms\.|\.rss_mib\.")
"""Numbers that depend on the machine: a limit on them is a ratio to another of the same run."""


@dataclass(frozen=True)
class Bound:
    """A limit or an aim on one number, or on the ratio of two.

    Attributes:
        says: what it is about, for people.
        of: the number's name, as `outcome.numbers` has it: `warm.run.line.p50`.
        over: what it is divided by; empty for nothing.
        bound: what it may be.
        most: whether it may be at most that; else at least.
        enforced: a limit; else an aim.
    """

    says: str
    of: str
    over: str
    bound: float
    most: bool
    enforced: bool

    @property
    def scenario(self) -> str:
        """The scenario whose number it is."""
        return self.of.partition(".")[0]


@dataclass(frozen=True)
class Verdict:
    """A bound and what was measured; None where it could not be."""

    bound: Bound
    measured: float | None
    missing: tuple[str, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether it is kept; what was not measured is not."""
        if self.measured is None:
            return False
        if self.bound.most:
            return self.measured <= self.bound.bound
        return self.measured >= self.bound.bound


def load(text: str) -> list[Bound]:
    """The bounds of a file.

    Raises:
        ValueError: the file is wrong, in words.
    """
    tables = tomllib.loads(text)
    if unknown := set(tables) - {"limit", "aim"}:
        raise ValueError(f"there are limits and aims, not {sorted(unknown)}")
    return [
        _bound(entry, enforced=kind == "limit")
        for kind in ("limit", "aim")
        for entry in tables.get(kind, [])
    ]


def _bound(entry: dict[str, Any], *, enforced: bool) -> Bound:
    if unknown := set(entry) - KEYS:
        raise ValueError(f"a limit has no {sorted(unknown)}: {entry}")
    if ("most" in entry) == ("least" in entry):
        raise ValueError(f"a limit has one of most and least: {entry}")
    if enforced and TIME.search(entry["of"]) and not entry.get("over"):
        raise ValueError(f"a limit on a time is a ratio: it needs `over`: {entry}")
    most = "most" in entry
    bound = float(entry["most" if most else "least"])
    return Bound(entry["says"], entry["of"], entry.get("over", ""), bound, most, enforced)


def check(
    bounds: list[Bound], measured: Mapping[str, float], chosen: Collection[str]
) -> list[Verdict]:
    """What the numbers say about the bounds on the chosen scenarios."""
    return [_check(bound, measured) for bound in bounds if bound.scenario in chosen]


def _check(bound: Bound, measured: Mapping[str, float]) -> Verdict:
    wanted = [name for name in (bound.of, bound.over) if name]
    missing = tuple(name for name in wanted if name not in measured)
    if missing:
        return Verdict(bound, None, missing)
    value = measured[bound.of]
    if not bound.over:
        return Verdict(bound, value)
    under = measured[bound.over]
    if not under:
        return Verdict(bound, None, (f"{bound.over} is 0",))
    return Verdict(bound, value / under)


def failures(verdicts: list[Verdict]) -> list[str]:
    """What fails the benchmark, in words."""
    return [_words(each) for each in verdicts if each.bound.enforced and not each.kept]


def _words(verdict: Verdict) -> str:
    bound = verdict.bound
    if verdict.measured is None:
        return f"{bound.says}: not measured: {', '.join(verdict.missing)}"
    side = "at most" if bound.most else "at least"
    return f"{bound.says}: {verdict.measured:.3g}, {side} {bound.bound:g} is allowed"
