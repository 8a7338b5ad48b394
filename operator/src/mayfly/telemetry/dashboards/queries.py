"""Queries of a panel: PromQL made of metric families, with the legend and the unit that fit."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mayfly.telemetry.catalog import Family, Kind

RATE_UNITS = {"bytes": "Bps", "s": "short"}
"""A second of work in each second is a number of things at work; other counters are operations."""


@dataclass(frozen=True)
class Query:
    """One expression.

    Attributes:
        expr: PromQL, with Grafana's variables.
        legend: Grafana's template for the name of a series; "" where there is one series.
        unit: Grafana's word for the unit of its values.
        about: a sentence on what it shows.
    """

    expr: str
    legend: str
    unit: str
    about: str = ""


def rate(family: Family, *by: str, where: str = "", legend: str = "") -> Query:
    """How fast a counter goes up, in a second."""
    expr = f"rate({_selected(family, Kind.COUNTER, by, where)}[$__rate_interval])"
    unit = RATE_UNITS.get(family.unit, "ops")
    return Query(_folded("sum", by, expr), legend or _names(by), unit, family.help)


def increase(family: Family, *by: str, where: str = "") -> Query:
    """How much a counter went up in the time range of the dashboard."""
    expr = f"increase({_selected(family, Kind.COUNTER, by, where)}[$__range])"
    return Query(_folded("sum", by, expr), _names(by), family.unit, family.help)


def gauge(family: Family, *by: str, how: str = "sum", legend: str = "") -> Query:
    """A gauge: the `sum`, `max` or `min` over what exposes it."""
    expr = _folded(how, by, _selected(family, Kind.GAUGE, by))
    return Query(expr, legend or _names(by), family.unit, family.help)


def percentile(percent: int, family: Family, *by: str) -> Query:
    """A percentile of a histogram, such as p95."""
    buckets = f"{_selected(family, Kind.HISTOGRAM, by)}_bucket[$__rate_interval]"
    folded = _folded("sum", ("le", *by), f"rate({buckets})")
    legend = f"{_names(by)} p{percent}".strip()
    expr = f"histogram_quantile({percent / 100:g}, {folded})"
    return Query(expr, legend, family.unit, family.help)


def ratio(part: Query, whole: Query, unit: str, legend: str = "") -> Query:
    """One query divided by another one."""
    return Query(f"{part.expr} / {whole.expr}", legend, unit)


def top(count: int, query: Query) -> Query:
    """The greatest series of a query."""
    return replace(query, expr=f"topk({count}, {query.expr})")


def per_hour(query: Query) -> Query:
    """A rate, in an hour instead of a second."""
    return replace(query, expr=f"{query.expr} * 3600", unit="short")


def _selected(family: Family, kind: Kind, by: tuple[str, ...], where: str = "") -> str:
    if family.kind is not kind:
        raise ValueError(f"{family.name} is a {family.kind}, and is queried as a {kind}")
    if unknown := set(by) - set(family.labels):
        raise ValueError(f"{family.name} has no label {', '.join(sorted(unknown))}")
    return f"{family.name}{{{where}}}" if where else family.name


def _folded(how: str, by: tuple[str, ...], expr: str) -> str:
    return f"{how} by ({', '.join(by)}) ({expr})" if by else f"{how}({expr})"


def _names(by: tuple[str, ...]) -> str:
    return " ".join(f"{{{{{label}}}}}" for label in by)
