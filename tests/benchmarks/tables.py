"""The tables of the scenarios. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from benchmarks.audit import Request
from benchmarks.limits import Verdict
from benchmarks.outcome import Outcome, own_writes, pool_writes
from benchmarks.scenario import Way
from benchmarks.stage import Stage
from benchmarks.statistic import median, percentile
from benchmarks.table import ms, render

WARM_STAGES = (Stage.CREATED, Stage.RUN_SEEN, Stage.CLAIM_SEEN, Stage.LINE, Stage.OVER)
COLD_STAGES = (
    Stage.CREATED,
    Stage.POD_SEEN,
    Stage.CLAIM_SEEN,
    Stage.BOUND,
    Stage.FIRST_BORN,
    Stage.OWN_BORN,
    Stage.LINE,
    Stage.OVER,
    Stage.GONE,
    Stage.THROTTLED,
)


def verdicts(found: Sequence[Verdict]) -> str:
    """Limits, then aims."""
    rows = [
        [
            each.bound.says,
            _number(each.measured),
            f"{'≤' if each.bound.most else '≥'} {each.bound.bound:g}",
            "limit" if each.bound.enforced else "aim",
            _verdict(each),
        ]
        for each in found
    ]
    return render(["what", "measured", "wanted", "", "verdict"], rows)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _verdict(found: Verdict) -> str:
    if found.measured is None:
        return "**not measured**"
    return "met" if found.kept else "**missed**"


def times(outcomes: Sequence[Outcome]) -> str:
    """A row for each measure of each scenario."""
    rows = []
    for each in outcomes:
        if each.failure:
            rows.append([each.scenario.name, f"failed: {each.failure[:120]}", *["-"] * 6])
            continue
        ours = [way for way in each.scenario.ways if not way.peer]
        rows += [_times(each, way, stage) for way in ours for stage in each.scenario.measures]
    head = ["scenario", "ms", "n", "p50", "p95", "p99", "p50 ÷ Pod", "from the pool"]
    return render(head, rows)


def _times(outcome: Outcome, way: Way, stage: Stage) -> list[str]:
    column = outcome.column(way, stage)
    first = stage in {Stage.LINE, Stage.CHILD_LINE}
    peer = outcome.column(Way.POD, Stage.LINE if first else Stage.OVER)
    name = outcome.scenario.name + (", new source" if way is Way.NEW_RUN else "")
    head = [name, str(stage), str(len(column))]
    if not column:
        return [*head, "-", "-", "-", "-", "-"]
    ratio = f"{percentile(column, 50) / percentile(peer, 50):.3f}" if peer else "-"
    hits = f"{outcome.hits} of {outcome.runs}" if outcome.scenario.warm else "-"
    return [*head, *(_time(percentile(column, each)) for each in (50, 95, 99)), ratio, hits]


def _time(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def cold(outcome: Outcome) -> str:
    """First line and end of each way, beside the bare Pod's."""
    rows = []
    base = {stage: median(outcome.column(Way.POD, stage)) for stage in (Stage.LINE, Stage.OVER)}
    for way in outcome.attempts:
        cells = [str(way)]
        for stage in (Stage.LINE, Stage.OVER):
            column = outcome.column(way, stage)
            middle = median(column)
            ratio = f"{middle / base[stage]:.2f}"
            cells += [ms(middle), ms(percentile(column, 95)), ratio]
        rows.append(cells)
    return render(["ms", "first line", "p95", "÷ Pod", "end seen", "p95", "÷ Pod"], rows)


def cold_stages(outcome: Outcome) -> str:
    """Where the time of a cold start goes."""
    ways = list(outcome.attempts)
    rows = []
    for stage in COLD_STAGES:
        columns = [outcome.column(way, stage) for way in ways]
        if any(columns):
            rows.append([str(stage), *(ms(median(each) if each else None) for each in columns)])
    return render(["median ms since create", *(str(way) for way in ways)], rows)


def warm_stages(outcome: Outcome) -> str:
    """Where the milliseconds of a warm run go."""
    ways = [way for way in outcome.scenario.ways if not way.peer]
    rows = []
    for stage in WARM_STAGES:
        cells = [str(stage)]
        for way in ways:
            column = outcome.column(way, stage)
            cells += [_time(percentile(column, each)) if column else "-" for each in (50, 95)]
        rows.append(cells)
        if stage is Stage.CLAIM_SEEN and outcome.dispatch_ms is not None:
            sent = f"+ {outcome.dispatch_ms:.1f} (mean)"
            rows.append(["the gateway's, from seeing the claim to the work sent", sent, *[""] * 3])
    head = ["ms since the create was sent"]
    head += [cell for way in ways for cell in (f"{way}: p50", "p95")]
    return render(head, [row[: len(head)] for row in rows])


def writes(outcomes: Sequence[Outcome]) -> str:
    """Writes a run by who made them, a column a scenario; and those for a bare Pod."""
    known = [
        (each.scenario.name, each.writes, each.runs)
        for each in outcomes
        if each.writes is not None and each.runs
    ]
    if not known:
        return "Not measured: the API server's audit log is not on this machine."
    every = sorted({request for _, made, _ in known for request in made})
    rows = [
        [named(request), *(_each(made[request], runs) for _, made, runs in known)]
        for request in every
    ]
    rows.append(["all", *(_each(made.total(), runs) for _, made, runs in known)])
    return render(["writes a run", *(name for name, _, _ in known)], rows)


def named(request: Request) -> str:
    """A request in words."""
    refused = " (refused)" if request.failed else ""
    return f"{request.client}: {request.verb} {request.target}{refused}"


def _each(number: float, attempts: int) -> str:
    return f"{number / attempts:.2f}" if number else "-"


def costs(outcomes: Sequence[Outcome]) -> str:
    """Counts, CPU and memory a run."""
    head = [
        "scenario",
        "runs",
        "own writes",
        "pool's status",
        "reconciles",
        "controller, CPU ms",
        "gateway, CPU ms",
        "controller, RSS MiB",
        "gateway, RSS MiB",
    ]
    return render(head, [_costs(each) for each in outcomes if not each.failure and each.runs])


def _costs(outcome: Outcome) -> list[str]:
    runs = outcome.runs
    made = outcome.writes
    own = (
        ["-", "-"]
        if made is None
        else [_each(own_writes(made), runs), _each(pool_writes(made), runs)]
    )
    looks = sorted((outcome.reconciles or Counter()).items())
    told = " + ".join(f"{number / runs:.2f} {name}" for name, number in looks)
    cells = [outcome.scenario.name, str(runs), *own, told or "-"]
    parts = ("controller", "gateway")
    rows = {part: [row for row in outcome.processes if row.part == part] for part in parts}
    cells += [
        f"{sum(row.run_ms for row in rows[part]):.0f}" if rows[part] else "-" for part in parts
    ]
    cells += [
        f"{max(row.rss_mib for row in rows[part]):.0f}" if rows[part] else "-" for part in parts
    ]
    return cells
