"""`python -m benchmarks [SCENARIO …]`: measures the cluster and writes docs/benchmarks.md.

`python -m benchmarks history` measures a long ledger instead, without a cluster.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
import signal
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from benchmarks import history, limits, machine, metering, page, plot, process, reads, scenario
from benchmarks.audit import AuditLog
from benchmarks.engine import FAILURES, Engine, Instruments
from benchmarks.metering import Bill
from benchmarks.outcome import METERING, Outcome, numbers, numbers_of_bills
from benchmarks.page import Circumstances, Findings
from benchmarks.place import NODES, Place
from benchmarks.process import Meter
from benchmarks.reads import Reads
from benchmarks.scenario import Scenario
from benchmarks.scrape import Scraper

from mayfly.kube.client import Cluster
from mayfly.kube.kinds import PODS, RUNTIMES

Json = dict[str, Any]

READS = "reads"
QUICK_ROUNDS = 2


def main() -> None:
    """Measure."""
    if sys.argv[1:2] == ["history"]:
        history.main(sys.argv[2:])
        return
    options = _options()
    if not os.environ.get("KUBECONFIG"):
        sys.exit('KUBECONFIG is not set: run `make bench`, or eval "$(make -s env)" first')
    bounds = limits.load(limits.FILE.read_text())
    found, around = asyncio.run(_measure(options))
    measured = numbers_of_bills(found.bills) | reads.numbers(found.reads)
    for outcome in found.outcomes:
        measured |= numbers(outcome)
    verdicts = limits.check(bounds, measured, options.chosen)
    found = dataclasses.replace(found, verdicts=verdicts)
    sys.stdout.write(page.console(found) + "\n")
    if around is None:
        sys.exit("\nThe benchmark was terminated. What it made in the cluster is removed.")
    if options.page:
        options.page.write_text(page.page(found, around))
        picture = options.page.parent / page.PICTURE
        picture.parent.mkdir(exist_ok=True)
        picture.write_text(plot.picture(found.outcomes))
        say(f"written: {options.page}")
    failed = [
        f"{each.scenario.name} failed: {each.failure}" for each in found.outcomes if each.failure
    ]
    if failed := [*failed, *limits.failures(verdicts)]:
        sys.exit("\n".join(["", "The benchmark failed:", *(f"  {each}" for each in failed)]))


def say(text: str) -> None:
    """Progress goes to standard error."""
    sys.stderr.write(f"{text}\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    every = [each.name for each in scenario.table()] + [READS, METERING]
    parser.add_argument("chosen", nargs="*", metavar="SCENARIO", help=f"{', '.join(every)} (all)")
    parser.add_argument("--quick", action="store_true", help="few rounds: for a look")
    parser.add_argument("--pool", type=int, default=20, help="pods that wait (20)")
    parser.add_argument(
        "--no-pool", action="store_true", help="the warm scenarios with no pod that waits"
    )
    parser.add_argument("--fan-out", type=int, default=200, help="children to cancel (200)")
    parser.add_argument("--bills", type=int, default=30, help="runs for the metering (30)")
    parser.add_argument("--seed", type=int, default=1, help="of all random numbers (1)")
    parser.add_argument("--runtime", default="default", help="the PipelineRuntime")
    parser.add_argument("--system", default="mayfly-system", help="the installation's namespace")
    state = os.environ.get("MAYFLY_LOCAL_STATE", "/var/lib/mayfly-local")
    parser.add_argument("--audit-log", type=Path, default=Path(state) / "audit.log")
    where = machine.ROOT / "docs" / "benchmarks.md"
    parser.add_argument(
        "--page", type=Path, help=f"the page to write ({where.name}, if all is run)"
    )
    options = parser.parse_args()
    if unknown := set(options.chosen) - set(every):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are: {', '.join(every)}")
    if min(options.pool, options.fan_out, options.bills) < 1:
        parser.error("--pool, --fan-out and --bills are at least 1")
    # A page of a part, or of few rounds, would replace a better one.
    if not (options.chosen or options.quick or options.no_pool or options.page):
        options.page = where
    options.chosen = options.chosen or every
    return options


def _scenarios(options: argparse.Namespace, *, warm: bool) -> list[Scenario]:
    rows = scenario.table(options.pool, options.fan_out)
    if options.quick:
        rows = tuple(
            dataclasses.replace(each, rounds=min(each.rounds, QUICK_ROUNDS)) for each in rows
        )
    return [each for each in rows if each.name in options.chosen and each.warm == warm]


async def _measure(options: argparse.Namespace) -> tuple[Findings, Circumstances | None]:
    async with AsyncExitStack() as stack:
        cluster = await Cluster.connect(os.environ["KUBECONFIG"])
        stack.push_async_callback(cluster.close)
        bench = await Bench.connect(cluster, options)
        stack.push_async_callback(bench.close)
        return await bench.measure()


class Bench:
    """The whole measurement: cold scenarios in one namespace, warm ones in another with a pool."""

    def __init__(
        self, cluster: Cluster, options: argparse.Namespace, instruments: Instruments, runtime: Json
    ) -> None:
        self._cluster = cluster
        self._options = options
        self._instruments = instruments
        self._runtime = runtime
        self._outcomes: list[Outcome] = []
        self._reads: dict[str, Reads] = {}
        self._bills: list[Bill] = []
        self._busy_idle = 0.0
        self._one_clock = True

    @classmethod
    async def connect(cls, cluster: Cluster, options: argparse.Namespace) -> Bench:
        """Find the installation's processes and the PipelineRuntime."""
        pods = (await cluster.list(PODS, options.system))["items"]
        names = {each["metadata"]["uid"]: each["metadata"]["name"] for each in pods}
        processes = process.find(names)
        instruments = Instruments(
            log=AuditLog(options.audit_log),
            meter=Meter(processes) if processes else None,
            scraper=await Scraper.connect(os.environ["KUBECONFIG"], options.system, pods),
            system=options.system,
        )
        runtime = await cluster.get(RUNTIMES, None, options.runtime)
        return cls(cluster, options, instruments, runtime)

    async def close(self) -> None:
        """Close the connections."""
        await self._instruments.scraper.close()

    async def measure(self) -> tuple[Findings, Circumstances | None]:
        """Everything that was chosen; without circumstances if it was terminated before its end."""
        load_before, commit, since = os.getloadavg()[0], machine.commit(), time.monotonic()
        began = machine.load()
        whole = await self._parts()
        found = Findings(self._outcomes, self._reads, self._bills, self._options.seed, [])
        if not whole:
            return found, None
        around = Circumstances(
            machine=machine.describe(),
            commit=commit,
            date=machine.today(),
            versions=await _versions(self._cluster, self._runtime),
            load_before=load_before,
            busy_idle=self._busy_idle,
            busy_all=machine.load().share_since(began),
            minutes=(time.monotonic() - since) / 60,
            pool=self._options.pool,
            one_clock=self._one_clock,
        )
        return found, around

    async def _parts(self) -> bool:
        """Both parts; false if SIGTERM or Ctrl-C ended them, which leaves no namespace behind."""
        parts = asyncio.create_task(self._cold_and_warm())
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, parts.cancel)
        await asyncio.wait([parts])
        if parts.cancelled():
            return False
        parts.result()
        return True

    async def _cold_and_warm(self) -> None:
        await self._cold()
        await self._warm()

    async def _cold(self) -> None:
        options, chosen = self._options, self._options.chosen
        rows = _scenarios(options, warm=False)
        if not rows and not {READS, METERING} & set(chosen):
            return
        async with Place(self._cluster, self._runtime) as place:
            await self._run(place, rows)
            if READS in chosen:
                n = QUICK_ROUNDS if options.quick else 5
                log, system = self._instruments.log, options.system
                self._reads = await reads.measure(place, log, n, system, say)
            if METERING in chosen:
                n = min(options.bills, 5) if options.quick else options.bills
                self._bills = await metering.measure(place, n, options.seed, say)

    async def _warm(self) -> None:
        rows = _scenarios(self._options, warm=True)
        if not rows:
            return
        try:
            pool = 0 if self._options.no_pool else self._options.pool
            async with Place(self._cluster, self._runtime, "-warm", pool) as place:
                await self._run(place, rows)
        except FAILURES as error:
            known = {each.scenario for each in self._outcomes}
            self._outcomes += [
                Outcome(each, failure=f"no pool: {error}") for each in rows if each not in known
            ]

    async def _run(self, place: Place, rows: list[Scenario]) -> None:
        engine = Engine(place, self._instruments, self._options.seed, say)
        say(f"{place.namespace}: waiting until it is settled, then idling")
        load = machine.load()
        await engine.begin()
        if not place.pool:
            self._busy_idle = machine.load().share_since(load)
        for row in rows:
            self._outcomes.append(await engine.measure(row))
        self._one_clock &= engine.ways.one_clock


async def _versions(cluster: Cluster, runtime: Json) -> list[tuple[str, str]]:
    node = (await cluster.list(NODES, limit=1))["items"][0]["status"]["nodeInfo"]
    return [
        ("Kubernetes", node["kubeletVersion"]),
        ("container runtime", node["containerRuntimeVersion"]),
        ("runtime image", runtime["spec"]["image"].rpartition("@")[2][:19]),
        ("runtime resources", _resources(runtime["spec"].get("resources", {}))),
        ("client's Python", sys.version.split()[0]),
    ]


def _resources(resources: Json) -> str:
    return "; ".join(
        f"{kind} " + ", ".join(f"{name} {size}" for name, size in resources[kind].items())
        for kind in ("requests", "limits")
        if resources.get(kind)
    )


if __name__ == "__main__":
    main()
