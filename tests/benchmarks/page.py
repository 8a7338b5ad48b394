"""The page: what was measured, where, and what of the aims was missed. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import workload
from benchmarks.aim import Aim, aims
from benchmarks.audit import OWN, Request
from benchmarks.cold import (
    ARMS,
    FIRST_BORN,
    LEAN_POD,
    LINE,
    OVER,
    OWN_BORN,
    POD,
    POD_SEEN,
    RUN,
    STAGES,
    THROTTLED,
    ColdStarts,
)
from benchmarks.machine import Machine
from benchmarks.metering import Bill
from benchmarks.process import ProcessRow
from benchmarks.reads import Reads
from benchmarks.statistic import Summary, median
from benchmarks.table import ms, render


@dataclass(frozen=True)
class Circumstances:
    """Where, when and of what.

    Attributes:
        machine: it.
        commit: of the checkout.
        date: of the measurement.
        versions: names and versions of what took part.
        load_before: the load average over a minute, before.
        busy_idle: the busy share of all cores while the benchmark did nothing, 0 to 1.
        busy_all: the same over the whole benchmark.
    """

    machine: Machine
    commit: str
    date: str
    versions: list[tuple[str, str]]
    load_before: float
    busy_idle: float
    busy_all: float


@dataclass(frozen=True)
class Findings:
    """Everything that was measured.

    Attributes:
        cold: cold starts.
        run_writes: writes to all cold runs and their pods; None without an audit log.
        pod_writes: writes to the bare pods, likewise.
        reads: GETs by kind of run; empty without an audit log.
        processes: of the controller and the gateway; empty where they run elsewhere.
        bills: the metering.
        seed: of the metering's lengths.
    """

    cold: ColdStarts
    run_writes: Counter[Request] | None
    pod_writes: Counter[Request] | None
    reads: dict[str, Reads]
    processes: list[ProcessRow]
    bills: list[Bill]
    seed: int


def page(found: Findings, around: Circumstances) -> str:
    """The page as Markdown."""
    chosen = aims(found.cold, found.run_writes, found.bills)
    parts = [
        "# Benchmarks",
        "Written by `make bench`; do not edit.",
        _circumstances(found, around),
        "## Aims",
        _aims(chosen),
        *_misses(found, chosen),
        "## Cold start and end",
        _cold(found.cold),
        "One at a time and in turns, each with the cluster to itself: the next begins when the "
        "pod of the one before is gone. One of each is run before and not counted. "
        "“First line” is stamped by the user's code, “end” is when a watch shows "
        "`Finished` (run), phase `Succeeded` (Pod), `Complete` (Job). With a new source the "
        "controller has to read the source first; otherwise it remembers its schema.",
        "## Where the time goes",
        _stages(found.cold),
        *_clock(found.cold),
        "## API writes",
        _writes(found),
        "## API reads",
        _reads(found.reads),
        "## Controller and gateway",
        _processes(found.processes),
        "## Metering",
        _metering(found.bills),
        f"{len(found.bills)} runs, one at a time, that sleep from 10 ms to 5 s (log-uniform, seed "
        f"{found.seed}). True: from the first to the last line of main() by `CLOCK_MONOTONIC`. "
        "Billed: `status.usage.activeMilliseconds`, which is rounded up to a whole millisecond. "
        "The others looked on at the same runs: they list the namespace's pods at fixed moments, "
        "as cluster cost tools and dashboards over scraped metrics do, and charge an interval for "
        "each look at which the container ran (boot and imports included: they can't tell).",
        "## What is compared",
        _compared(),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def console(found: Findings) -> str:
    """The tables alone."""
    return "\n\n".join(
        [
            _cold(found.cold),
            _stages(found.cold),
            _writes(found),
            _reads(found.reads),
            _processes(found.processes),
            _metering(found.bills),
            _aims(aims(found.cold, found.run_writes, found.bills)),
        ]
    )


def _circumstances(found: Findings, around: Circumstances) -> str:
    machine = around.machine
    rows = [
        ["machine", f"{machine.cores} cores ({machine.processor}), {machine.memory_gib:.0f} GiB"],
        ["kernel", machine.kernel],
        ["commit", around.commit],
        ["date", around.date],
        *([name, version] for name, version in around.versions),
        ["n", f"{len(found.cold.attempts[RUN])} of each start, {len(found.bills)} bills"],
    ]
    load = (
        f"The cluster, its control plane and this benchmark share these {machine.cores} cores, so "
        "all compete with each other. The load average was "
        f"{around.load_before:.1f} before; "
        f"the cores were {around.busy_idle * 100:.0f} % busy while the benchmark did nothing and "
        f"{around.busy_all * 100:.0f} % over the whole of it."
    )
    if around.busy_idle > 0.25:
        load += " **Something else was running: take the times as upper bounds.**"
    return render(["", "what"], rows) + "\n\n" + load


def _aims(chosen: Sequence[Aim]) -> str:
    verdict = {True: "met", False: "**missed**", None: "-"}
    rows = [[aim.words, aim.measured, verdict[aim.met]] for aim in chosen]
    return render(["aim", "measured", "verdict"], rows)


def _misses(found: Findings, chosen: Sequence[Aim]) -> list[str]:
    """A paragraph an aim that was missed."""
    start, end, writes, bills = chosen
    words = []
    if start.met is False:
        words.append(_why_start(found.cold))
    if end.met is False:
        run = _between(found.cold, RUN, LINE, OVER)
        pod = _between(found.cold, POD, LINE, OVER)
        words.append(
            "**The end is missed** because most of the time from create to end is the start, "
            "which both share: from the first line to the end seen it is "
            f"{ms(run)} ms for the run and {ms(pod)} ms for the bare Pod."
        )
    if writes.met is False and found.run_writes is not None:
        extra = ", ".join(
            _named(write) for write in sorted(found.run_writes) if write.client in OWN
        )
        words.append(f"**The writes are missed**: {extra}.")
    if bills.met is False:
        worst = max(found.bills, key=lambda each: abs(each.error))
        words.append(
            f"**The billing is missed**: worst was {worst.error:+.1f} ms on a run of "
            f"{worst.true:.0f} ms. PID 1 stamps both ends, so the error holds the message to the "
            "worker and the message back, each with the wake-up of a process on busy cores. A "
            "container at its CPU limit, as a cold one is that has just imported everything, may "
            "be held back by the kernel in between, for as long as the limit's period of 100 ms."
        )
    return words


def _why_start(cold: ColdStarts) -> str:
    parts = []
    before = _between(cold, RUN, None, POD_SEEN), _between(cold, POD, None, POD_SEEN)
    parts.append(("create → pod seen (the controller's reaction)", *before))
    if cold.column(RUN, FIRST_BORN) and cold.column(POD, FIRST_BORN):
        made = _between(cold, RUN, POD_SEEN, FIRST_BORN), _between(cold, POD, POD_SEEN, FIRST_BORN)
        parts.append(("pod → PID 1 (scheduler, kubelet, volumes, containerd)", *made))
        booted = _between(cold, RUN, FIRST_BORN, LINE), _between(cold, POD, FIRST_BORN, LINE)
        parts.append(("PID 1 → first line", *booted))
    listed = "; ".join(f"{name}: {ms(run)} against {ms(pod)} ms" for name, run, pod in parts)
    tail = ""
    if cold.column(RUN, OWN_BORN):
        tail = (
            " Of the last, the agent takes "
            f"{ms(_between(cold, RUN, FIRST_BORN, OWN_BORN))} ms until it makes the worker's "
            f"process and {ms(_between(cold, RUN, OWN_BORN, LINE))} ms from there: the worker's "
            "interpreter and imports, the connection to the gateway and the work it sends, then "
            "the user's file."
        )
    held = [cold.column(arm, THROTTLED) for arm in (RUN, POD)]
    if all(held):
        tail += (
            " The CPU limit held the run's processes back for "
            f"{ms(median(held[0]))} ms of it, the bare Pod's for {ms(median(held[1]))} ms."
        )
    volume = [median(cold.column(arm, LINE)) for arm in (POD, LEAN_POD)]
    tail += (
        f" Mounting a volume costs {ms(volume[0] - volume[1])} ms by itself (bare Pod with and "
        "without its token): the kubelet looks whether volumes are mounted every 300 ms. The run "
        "has two, token and scratch."
    )
    return f"**The start is missed.** Medians, run against bare Pod: {listed}.{tail}"


def _between(cold: ColdStarts, arm: str, first: str | None, last: str) -> float | None:
    """The median from one stage to another, or from the create."""
    values = [
        each[last] - (each[first] if first else 0.0)
        for each in cold.attempts[arm]
        if last in each and (first is None or first in each)
    ]
    return median(values) if values else None


def _cold(cold: ColdStarts) -> str:
    base = {stage: median(cold.column(POD, stage)) for stage in (LINE, OVER)}
    rows = []
    for arm in ARMS:
        row = [arm]
        for stage in (LINE, OVER):
            summary = Summary.of(cold.column(arm, stage))
            row += [ms(summary.median), ms(summary.p95), f"{summary.median / base[stage]:.2f}"]
        rows.append(row)
    head = ["ms", "first line", "p95", "÷ Pod", "end seen", "p95", "÷ Pod"]
    return render(head, rows)


def _stages(cold: ColdStarts) -> str:
    rows = []
    for stage in STAGES:
        columns = [cold.column(arm, stage) for arm in ARMS]
        if any(columns):
            rows.append([stage, *(ms(median(each) if each else None) for each in columns)])
    columns = [cold.column(arm, THROTTLED) for arm in ARMS]
    if any(columns):
        lasting = [ms(median(each) if each else None) for each in columns]
        rows.append([f"({THROTTLED} until the first line, for)", *lasting])
    return render(["median ms since create", *ARMS], rows)


def _clock(cold: ColdStarts) -> list[str]:
    words = []
    if cold.column(RUN, FIRST_BORN):
        words.append(
            "When processes were made is known to 10 ms (kernel ticks). A watch shows the claim "
            "and the binding only after they were written."
        )
    if not cold.one_clock:
        words.append(
            "The pods ran on another machine: first lines are placed by wall clocks, and are as "
            "good as these agree."
        )
    return [" ".join(words)]


def _writes(found: Findings) -> str:
    if found.run_writes is None or found.pod_writes is None:
        return "Not measured: the API server's audit log is not on this machine."
    runs, pods = len(found.cold.attempts[RUN]), len(found.cold.attempts[POD])
    rows = [
        [_named(write), _each(found.run_writes[write], runs), _each(found.pod_writes[write], pods)]
        for write in sorted(set(found.run_writes) | set(found.pod_writes))
    ]
    sums = found.run_writes.total() / runs, found.pod_writes.total() / pods
    rows.append(["all", *(f"{each:.2f}" for each in sums)])
    return (
        render(["writes an attempt", RUN, POD], rows)
        + "\n\nFrom the API server's audit log, by the objects written to, from the create until "
        "the pod is gone: PipelineRuns and Pods with their subresources. Events, Leases, token "
        "and access reviews, and the NetworkPolicy (once a namespace) are not among them."
    )


def _reads(found: dict[str, Reads]) -> str:
    if not found:
        return "Not measured: the API server's audit log is not on this machine."
    every = sorted({request for each in found.values() for request in each.requests})
    rows = [
        [_named(request), *(_each(each.requests[request], each.runs) for each in found.values())]
        for request in every
    ]
    return (
        render(["GETs", *found], rows)
        + "\n\nFrom the API server's audit log: GETs of Mayfly's objects and of pods by the "
        "controller and the gateway, until the run has ended, after a first run of the same "
        "version. Lists and watches are not among them: their number does not depend on the runs."
    )


def _named(write: Request) -> str:
    return f"{write.client}: {write.verb} {write.target}{' (refused)' if write.failed else ''}"


def _each(number: int, attempts: int) -> str:
    return f"{number / attempts:.2f}" if number else "-"


def _processes(rows: Sequence[ProcessRow]) -> str:
    if not rows:
        return "Not measured: the processes are not on this machine."
    return render(
        ["process", "RSS, MiB", "idle, % of a core", "CPU ms a cold run"],
        [
            [
                f"{row.part} {row.pod}",
                f"{row.rss_mib:.0f}",
                f"{row.idle_percent:.1f}",
                f"{row.run_ms:.0f}",
            ]
            for row in rows
        ],
    )


def _metering(bills: Sequence[Bill]) -> str:
    if not bills:
        return "Not measured."
    meters = [("Mayfly", [each.billed for each in bills])]
    meters += [
        (f"looking every {seconds} s", [each.sampled[seconds] for each in bills])
        for seconds in sorted(bills[0].sampled)
    ]
    true = [each.true for each in bills]
    head = ["error, ms", "median", "p95", "most", "runs not seen", "sum billed ÷ true"]
    return render(head, [_metered(name, billed, true) for name, billed in meters])


def _metered(name: str, billed: Sequence[float], true: Sequence[float]) -> list[str]:
    off = Summary.of([abs(ours - real) for ours, real in zip(billed, true, strict=True)])
    return [
        name,
        f"{off.median:.1f}",
        f"{off.p95:.1f}",
        f"{off.most:.1f}",
        str(sum(each == 0 for each in billed)),
        f"{sum(billed) / sum(true):.4f}",
    ]


def _compared() -> str:
    return (
        "- **Mayfly run**: a PipelineRun with an inline source, no input. The pod is made for it; "
        "its agent (one Python) starts the worker (a second one), dials the gateway over TLS, gets "
        "the work, imports the source and calls main().\n"
        "- **bare Pod**: the PipelineRuntime's image and resources, the run's security settings, "
        "and the ServiceAccount's token mounted as in any pod that doesn't refuse it. "
        f"`python -I -X utf8 -c` with `import {workload.POD_IMPORTS}`, which "
        "are the imports that agent and worker make before main(), in one interpreter, and then "
        "the same line. It dials nobody and imports no `replicate`; nor does the run.\n"
        "- **Pod, no volume**: the same with `automountServiceAccountToken: false`, so that there "
        "is nothing to mount. A run can't do so: its token and its scratch folder are volumes.\n"
        "- **core Job**: one bare Pod, with its token.\n"
        "- “First line” is the clock's first reading there, before anything is printed. "
        "The client's watches and the pods read one `CLOCK_MONOTONIC` where they share a machine.\n"
        "- The benchmark works in a namespace of its own and removes it; the ledger keeps its "
        "rows, as it does of every run."
    )
