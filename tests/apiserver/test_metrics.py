"""The metrics of a real controller process, as Prometheus reads them."""

from __future__ import annotations

import subprocess

import httpx
from prometheus_client.parser import text_string_to_metric_families
from support.servers.ports import free_port
from support.waiting import eventually

from mayfly.telemetry.families import MOST_SERIES

Found = dict[str, dict[frozenset[tuple[str, str]], float]]


def read(port: int) -> tuple[str, Found]:
    """What is exposed, as text and by sample name and labels; nothing before it serves."""
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    except httpx.ConnectError:
        return "", {}
    found: Found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = frozenset(sample.labels.items())
            found.setdefault(sample.name, {})[labels] = sample.value
    return text, found


def value(seen: tuple[str, Found], name: str, **labels: str) -> float:
    return seen[1].get(name, {}).get(frozenset(labels.items()), -1.0)


def test_what_a_controller_did_is_counted(controllers, runtime, runs):
    port = free_port()
    controllers.start(listenPort=port)
    for name in ("a", "b", "c"):
        runs.create(name)
        claimed = runs.claimed(name)
        runs.run_pod(claimed["status"]["podName"])
        runs.finish(name)
    seen = eventually(
        lambda: read(port),
        accept=lambda seen: (
            value(seen, "mayfly_controller_unfinished_runs") == 0
            and value(seen, "mayfly_run_pods") == 0
        ),
    )
    assert value(seen, "mayfly_controller_leading") == 1
    assert value(seen, "mayfly_claims_total", result="ok") == 3
    assert value(seen, "mayfly_run_queue_duration_seconds_count") == 3
    writes = {"kind": "pods", "result": "ok"}
    assert value(seen, "mayfly_kubernetes_writes_total", verb="POST", **writes) == 3
    assert value(seen, "mayfly_kubernetes_writes_total", verb="DELETE", **writes) >= 3
    assert value(seen, "mayfly_reconciles_total", subject="run", result="done") >= 3
    assert value(seen, "mayfly_reconcile_duration_seconds_count", subject="run") >= 3


def test_prometheus_finds_no_fault_and_no_run_is_named(controllers, runtime, runs):
    port = free_port()
    controllers.start(listenPort=port)
    for number in range(10):
        runs.create(f"wrong-{number}", input={"times": number})
        runs.ended(f"wrong-{number}")
    text, found = eventually(
        lambda: read(port),
        accept=lambda seen: (
            value(seen, "mayfly_reconciles_total", subject="run", result="done") >= 10
        ),
    )
    assert not [line for line in text.splitlines() if runs.namespace in line or "wrong" in line]
    assert sum(map(len, found.values())) < MOST_SERIES
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
