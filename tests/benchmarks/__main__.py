"""`python -m benchmarks`: measures the running cluster and writes docs/benchmarks.md.

`python -m benchmarks history` measures a long ledger instead, without a cluster.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks import audit, history, machine, metering, page, process, reads
from benchmarks.audit import AuditLog, Entry, Mark, Request
from benchmarks.cold import POD, PREFIXES, RUN, ColdBenchmark, ColdStarts
from benchmarks.page import Circumstances, Findings
from benchmarks.place import NODES, Place
from benchmarks.process import Meter

from mayfly.kube.client import Cluster
from mayfly.kube.kinds import PODS, RUNTIMES

Json = dict[str, Any]

IDLE_SECONDS = 10.0


def main() -> None:
    """Measure."""
    if sys.argv[1:2] == ["history"]:
        history.main(sys.argv[2:])
        return
    options = _options()
    if not os.environ.get("KUBECONFIG"):
        sys.exit('KUBECONFIG is not set: run `make bench`, or eval "$(make -s env)" first')
    found, around = asyncio.run(_measure(options))
    sys.stdout.write(page.console(found) + "\n")
    if options.page:
        options.page.write_text(page.page(found, around))
        say(f"written: {options.page}")


def say(text: str) -> None:
    """Progress goes to standard error."""
    sys.stderr.write(f"{text}\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("-n", type=int, default=15, help="rounds of cold starts (15)")
    parser.add_argument(
        "--bills", type=int, default=200, help="runs for the metering (200: about 12 minutes)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the metering's lengths (1)")
    parser.add_argument("--runtime", default="default", help="the PipelineRuntime")
    parser.add_argument("--system", default="mayfly-system", help="the installation's namespace")
    state = os.environ.get("MAYFLY_LOCAL_STATE", "/var/lib/mayfly-local")
    parser.add_argument("--audit-log", type=Path, default=Path(state) / "audit.log")
    where = machine.ROOT / "docs" / "benchmarks.md"
    parser.add_argument("--page", type=Path, default=where, help="the page to write")
    parser.add_argument("--no-page", dest="page", action="store_const", const=None)
    options = parser.parse_args()
    if options.n < 1 or options.bills < 0:
        parser.error("-n is at least 1, --bills at least 0")
    return options


async def _measure(options: argparse.Namespace) -> tuple[Findings, Circumstances]:
    cluster = await Cluster.connect(os.environ["KUBECONFIG"])
    try:
        load_before, commit = os.getloadavg()[0], machine.commit()
        began = machine.load()
        runtime = await cluster.get(RUNTIMES, None, options.runtime)
        meter = await _meter(cluster, options.system)
        log = AuditLog(options.audit_log)
        async with Place(cluster) as place:
            bench = ColdBenchmark(place, runtime, meter)
            say("warming up, then idling")
            await bench.warm_up()
            busy_idle = await _idle(meter)
            first = log.mark() if log.readable() else None
            cold = await bench.measure(options.n, say)
            entries = _entries(log, first, options.system, place.namespace)
            rows = meter.rows(options.n) if meter else []
            read = await reads.measure(place, log, options.n, options.system, say)
            bills = await metering.measure(place, options.bills, options.seed, say)
        run_writes, pod_writes = _writes(entries, cold)
        found = Findings(cold, run_writes, pod_writes, read, rows, bills, options.seed)
        around = Circumstances(
            machine=machine.describe(),
            commit=commit,
            date=machine.today(),
            versions=await _versions(cluster, runtime),
            load_before=load_before,
            busy_idle=busy_idle,
            busy_all=machine.load().share_since(began),
        )
        return found, around
    finally:
        await cluster.close()


async def _meter(cluster: Cluster, system: str) -> Meter | None:
    page_of_pods = await cluster.list(PODS, system)
    pods = {each["metadata"]["uid"]: each["metadata"]["name"] for each in page_of_pods["items"]}
    processes = process.find(pods)
    return Meter(processes) if processes else None


async def _idle(meter: Meter | None) -> float:
    """Do nothing for a while; the share of the cores that is busy even so."""
    load, cpu = machine.load(), meter.read() if meter else {}
    began = time.monotonic()
    await asyncio.sleep(IDLE_SECONDS)
    if meter:
        meter.idle(cpu, time.monotonic() - began)
    return machine.load().share_since(load)


def _entries(log: AuditLog, first: Mark | None, system: str, namespace: str) -> list[Entry] | None:
    if first is None:
        return None
    lines = log.between(first, log.mark())
    # Most lines are not ours; a look at the text spares parsing them.
    ours = [line for line in lines if namespace in line]
    return [each for each in audit.entries(ours, system=system) if each.namespace == namespace]


def _writes(
    entries: list[Entry] | None, cold: ColdStarts
) -> tuple[Counter[Request] | None, Counter[Request] | None]:
    if entries is None:
        return None, None

    entries = [each for each in entries if each.request.verb != "get"]

    def of_run(entry: Entry) -> bool:
        return entry.name in cold.run_pods or (
            entry.name.startswith(PREFIXES[RUN]) and entry.request.target.startswith("pipelineruns")
        )

    def of_pod(entry: Entry) -> bool:
        return entry.name.startswith(PREFIXES[POD]) and entry.request.target.startswith("pods")

    return audit.count(entries, of_run), audit.count(entries, of_pod)


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
