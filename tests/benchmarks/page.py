"""The page: what was measured, where, and which limits and aims were missed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import tables, workload
from benchmarks.limits import Verdict
from benchmarks.machine import Machine
from benchmarks.metering import Bill
from benchmarks.outcome import Outcome
from benchmarks.reads import Reads
from benchmarks.scenario import Scenario, Way
from benchmarks.stage import Stage
from benchmarks.statistic import Summary, median
from benchmarks.table import ms, render

PICTURE = "images/benchmarks.svg"
"""Beside the page."""


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
        minutes: that the benchmark took.
        pool: how many pods waited.
        one_clock: whether all pods shared this machine's monotonic clock.
    """

    machine: Machine
    commit: str
    date: str
    versions: list[tuple[str, str]]
    load_before: float
    busy_idle: float
    busy_all: float
    minutes: float
    pool: int
    one_clock: bool


@dataclass(frozen=True)
class Findings:
    """Everything that was measured.

    Attributes:
        outcomes: of the scenarios, in order.
        reads: GETs by kind of run; empty without an audit log.
        bills: the metering.
        seed: of all random numbers.
        verdicts: on limits and aims.
    """

    outcomes: list[Outcome]
    reads: dict[str, Reads]
    bills: list[Bill]
    seed: int
    verdicts: list[Verdict]

    def of(self, name: str) -> Outcome | None:
        """A scenario's outcome, if it was measured."""
        return next(
            (each for each in self.outcomes if each.scenario.name == name and not each.failure),
            None,
        )


def page(found: Findings, around: Circumstances) -> str:
    """The page as Markdown."""
    parts = [
        "# Benchmarks",
        "Written by `make bench`; do not edit.",
        _circumstances(found, around),
        "## Limits and aims",
        "A limit that is missed fails `make bench` (tests/benchmarks/limits.toml); an aim is "
        "reported. “Own writes” are those of controller and gateway to runs and their pods, "
        "creates of runs apart.",
        tables.verdicts(found.verdicts),
        "## Every scenario",
        tables.times(found.outcomes),
        f"![p50 to p99 of every scenario]({PICTURE})",
        _scenarios([each.scenario for each in found.outcomes], around.pool),
        *_warm(found.of("warm")),
        *_cold(found.of("cold"), around),
        "## API writes",
        tables.writes(found.outcomes),
        "From the API server's audit log, from the create until the pod is gone and the pool full "
        "again: PipelineRuns, Mayfly's pods with their subresources, and the pool's "
        "PipelineRuntime. Events, Leases, token and access reviews, and the NetworkPolicy (once a "
        f"namespace) are not among them. {_pod_writes(found.of('cold'))}",
        "## API reads",
        _reads(found.reads),
        "## Controller and gateway",
        tables.costs(found.outcomes),
        "A run, children included; CPU less what idling took, measured before. Reconciles are the "
        "controller's own count (`mayfly_reconciles_total`), by subject.",
        "## Metering",
        _metering(found.bills),
        f"{len(found.bills)} cold runs, one at a time, that sleep from 10 ms to 5 s (log-uniform, "
        f"seed {found.seed}). True: from the first to the last line of main() by "
        "`CLOCK_MONOTONIC`. Billed: `status.usage.activeMilliseconds`, rounded up to a whole "
        "millisecond. The others looked on at the same runs: they list the namespace's pods at "
        "fixed moments, as cluster cost tools and dashboards over scraped metrics do, and charge "
        "an interval for each look at which the container ran (boot and imports included: they "
        "can't tell).",
        "## How it is measured",
        _how(around),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def console(found: Findings) -> str:
    """The tables alone."""
    warm, cold = found.of("warm"), found.of("cold")
    parts = [
        tables.times(found.outcomes),
        tables.warm_stages(warm) if warm else "",
        tables.cold(cold) if cold else "",
        tables.cold_stages(cold) if cold else "",
        tables.writes(found.outcomes),
        _reads(found.reads) if found.reads else "",
        tables.costs(found.outcomes),
        _metering(found.bills) if found.bills else "",
        tables.verdicts(found.verdicts) if found.verdicts else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _scenarios(scenarios: Sequence[Scenario], pool: int) -> str:
    listed = "\n".join(f"- **{each.name}**: {each.words}" for each in scenarios)
    return (
        "“Pod” is a bare Pod of the same image, resources and imports, measured in turns with the "
        "runs of the same scenario: first lines are compared with its first line, all else with "
        "its end. "
        f"“From the pool”: runs, children included, that got one of {pool} pods that waited.\n\n"
        + listed
    )


def _warm(outcome: Outcome | None) -> list[str]:
    if outcome is None:
        return []
    return [
        "## Where the milliseconds of a warm run go",
        tables.warm_stages(outcome),
        "One at a time, the pool full before each. A watch shows what was written only after it "
        "was written, so the rows overlap: the gateway sees the claim when this client does, and "
        "the work is on its way while the client still reads. With a new source the controller "
        "has to read the source first.",
    ]


def _cold(outcome: Outcome | None, around: Circumstances) -> list[str]:
    if outcome is None:
        return []
    return [
        "## Cold start and end",
        tables.cold(outcome),
        "One at a time and in turns, each with the cluster to itself: the next begins when the "
        "pod of the one before is gone. “End” is when a watch shows `Finished` (run), phase "
        "`Succeeded` (Pod), `Complete` (Job). With a new source the controller has to read the "
        "source first; otherwise it remembers its schema.",
        "## Where the time of a cold start goes",
        tables.cold_stages(outcome),
        _clock(outcome, around),
    ]


def _circumstances(found: Findings, around: Circumstances) -> str:
    machine = around.machine
    rows = [
        ["machine", f"{machine.cores} cores ({machine.processor}), {machine.memory_gib:.0f} GiB"],
        ["kernel", machine.kernel],
        ["commit", around.commit],
        ["date", around.date],
        *([name, version] for name, version in around.versions),
        ["took", f"{around.minutes:.0f} minutes"],
    ]
    load = (
        f"The cluster, its control plane and this benchmark share these {machine.cores} cores, so "
        f"all compete with each other. The load average was {around.load_before:.1f} before; "
        f"the cores were {around.busy_idle * 100:.0f} % busy while the benchmark did nothing and "
        f"{around.busy_all * 100:.0f} % over the whole of it."
    )
    if around.busy_idle > 0.25:
        load += " **Something else was running: take the times as upper bounds.**"
    return render(["", "what"], rows) + "\n\n" + load


def _clock(outcome: Outcome, around: Circumstances) -> str:
    words = []
    if outcome.column(Way.RUN, Stage.FIRST_BORN):
        words.append(
            "When processes were made is known to 10 ms (kernel ticks). A watch shows the claim "
            "and the binding only after they were written."
        )
    if not around.one_clock:
        words.append(
            "The pods ran on another machine: first lines are placed by wall clocks, and are as "
            "good as these agree."
        )
    if all(outcome.column(Way.RUN, stage) for stage in (Stage.FIRST_BORN, Stage.OWN_BORN)):
        agent = _between(outcome, Way.RUN, Stage.FIRST_BORN, Stage.OWN_BORN)
        worker = _between(outcome, Way.RUN, Stage.OWN_BORN, Stage.LINE)
        words.append(
            f"The agent takes {ms(agent)} ms until it makes the worker's process; from there to "
            f"the first line are {ms(worker)} ms: the worker's interpreter and imports, the "
            "connection to the gateway and the work it sends, then the user's file."
        )
    pods = outcome.column(Way.POD, Stage.LINE), outcome.column(Way.LEAN_POD, Stage.LINE)
    if all(pods):
        words.append(
            f"Mounting a volume costs {ms(median(pods[0]) - median(pods[1]))} ms by itself (bare "
            "Pod with and without its token): the kubelet looks whether volumes are mounted every "
            "300 ms. The run has two, token and scratch."
        )
    return " ".join(words)


def _between(outcome: Outcome, way: Way, first: Stage, last: Stage) -> float:
    return median([each[last] - each[first] for each in outcome.attempts[way]])


def _pod_writes(outcome: Outcome | None) -> str:
    pods = len(outcome.attempts.get(Way.POD, [])) if outcome else 0
    if outcome is None or outcome.pod_writes is None or not pods:
        return ""
    each = ", ".join(
        f"{number / pods:.2f} {tables.named(request)}"
        for request, number in sorted(outcome.pod_writes.items())
    )
    return f"A bare Pod has {outcome.pod_writes.total() / pods:.2f}: {each}."


def _reads(found: dict[str, Reads]) -> str:
    if not found:
        return "Not measured: the API server's audit log is not on this machine."
    every = sorted({request for each in found.values() for request in each.requests})
    rows = [
        [
            tables.named(request),
            *(_each(each.requests[request], each.runs) for each in found.values()),
        ]
        for request in every
    ]
    return (
        render(["GETs", *found], rows)
        + "\n\nFrom the API server's audit log: GETs of Mayfly's objects and of pods by the "
        "controller and the gateway, until the run has ended, after a first run of the same "
        "version. Lists and watches are not among them: their number does not depend on the runs."
    )


def _each(number: int, attempts: int) -> str:
    return f"{number / attempts:.2f}" if number else "-"


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


def _how(around: Circumstances) -> str:
    return (
        "- **First line** is the clock's first reading in main(), before anything is printed: the "
        "code itself stamps it with `CLOCK_MONOTONIC`, which all processes of a machine share, and "
        "prints it into the log. Neither a watch nor the agent's report has a part in it. Where "
        "pods run on another machine, wall clocks place it.\n"
        "- **What a watch shows** is stamped when this client has read the event. Its watches are "
        "open and its connection to the API server is used before anything is measured; it has no "
        "subprocess, and its garbage is collected between attempts. It shares the cores with the "
        "cluster.\n"
        "- **Mayfly run**: a PipelineRun with an inline source and no input; main() reads the "
        "clock and a few files of /proc, prints a line and returns. **Cold**: the pod is made for "
        "it; its agent (one Python) starts the worker (a second one), dials the gateway over TLS, "
        "gets the work, imports the source and calls main().\n"
        f"- **Warm**: in a namespace labelled for a pool of {around.pool} pods of a "
        "PipelineRuntime of the benchmark's own: the default one's image and limits, and requests "
        f"of {workload.POOL_CPU} CPU, so that a burst fits on a small node. Each attempt begins "
        "when all of them wait.\n"
        "- **bare Pod**: the PipelineRuntime's image and resources, the run's security settings, "
        "and the ServiceAccount's token mounted as in any pod that doesn't refuse it. "
        f"`python -I -X utf8 -c` with `import {workload.POD_IMPORTS}`, which are the imports that "
        "agent and worker make before main(), in one interpreter, and then the same line. It dials "
        "nobody and imports no `replicate`; nor does the run. **Pod, no volume**: the same with "
        "`automountServiceAccountToken: false`. A run can't do so: its token and its scratch "
        "folder are volumes. **core Job**: one bare Pod, with its token.\n"
        "- **Calls** are stamped by the parent's own lines before and after.\n"
        "- Percentiles are nearest rank: with fewer than 100 values p99 is the largest.\n"
        "- The benchmark works in namespaces of its own and removes them; the ledger keeps its "
        "rows, as it does of every run."
    )
