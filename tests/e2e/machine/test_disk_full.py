"""The disk with the gateway's database and files has no room left, and then some again."""

from __future__ import annotations

import os
import ssl

import httpx
from support.cluster.installation import SYSTEM, message, reason
from support.cluster.machine import fill
from support.cluster.programs import LONG, SLOW
from support.waiting import eventually

RUNS_SECONDS = 20
SPARE = 24 * 1024 * 1024
WORDS = "The gateway's disk is full"

MAKES_A_FILE = """
import time
from cog import Path
def main(seconds: float) -> Path:
    print("before", flush=True)
    time.sleep(seconds)
    print("after", flush=True)
    Path("made.bin").write_bytes(bytes(6 * 1024 * 1024))
    return Path("made.bin")
"""


def test_a_full_disk_is_told_and_what_ended_on_it_is_delivered_once_there_is_room(
    namespace, kubectl, machine, books, restarts
):
    with machine.small_disk(kubectl, SPARE) as folder:
        ends = namespace.run(LONG, input={"seconds": RUNS_SECONDS})
        makes = namespace.run(MAKES_A_FILE, input={"seconds": RUNS_SECONDS})
        namespace.started(ends)
        namespace.started(makes)
        ballast = fill(folder)
        late = namespace.run(SLOW, input={"seconds": 0})
        waiting = eventually(
            lambda: namespace.get(late), 90, lambda run: started(run) == "StorageFull"
        )
        assert message(waiting, "Started").startswith(WORDS)
        for run in (ends, makes):
            eventually(lambda run=run: namespace.get(run), 60, lambda body: WORDS in told(body))
            assert namespace.get(run)["status"]["phase"] == "Processing"
            # Reading goes on.
            assert namespace.prediction(run)["status"] == "processing"
        eventually(lambda: "the file store's disk is full" in gateway_log(kubectl), 60)
        ballast.unlink()
        for run in (ends, makes, late):
            ended = namespace.finished(run, seconds=120)
            assert reason(ended) == "Succeeded", message(ended)
            assert ended["status"]["attempt"] == 1
            assert namespace.logs(run).split() == ["before", "after"]
            assert WORDS not in told(ended)
        assert namespace.prediction(ends)["output"] == "long " * 2000
        trusted = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
        made = httpx.get(namespace.prediction(makes)["output"], verify=trusted)
        assert len(made.content) == 6 * 1024 * 1024
        active = namespace.get(ends)["status"]["usage"]["activeMilliseconds"]
        assert RUNS_SECONDS * 1000 <= active < (RUNS_SECONDS + 20) * 1000
        assert restarts.since()["gateway"] == 0
        assert len(books.records(namespace.name, 3)) == 3
        eventually(lambda: books.open_rows(namespace.name) == [])
    namespace.no_pods()


def started(run) -> str:
    return next((c["reason"] for c in conditions(run) if c["type"] == "Started"), "")


def told(run) -> str:
    return " ".join(condition["message"] for condition in conditions(run))


def conditions(run) -> list[dict]:
    return run.get("status", {}).get("conditions", [])


def gateway_log(kubectl) -> str:
    return kubectl("logs", "-n", SYSTEM, "deploy/mayfly-gateway")
