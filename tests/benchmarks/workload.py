"""What is run: the same stamp as a Mayfly run, as a bare Pod and as a Job."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

STAMP = """
import json, os, time
from pathlib import Path

def born(pid):
    "When a process was made, on the clock of time.monotonic() (ticks of 10 ms)."
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")

def throttled():
    "Milliseconds that the CPU limit has held the container's processes back."
    for place, key, unit in (("", "throttled_usec", 1e3), ("cpu/", "throttled_time", 1e6)):
        file = Path(f"/sys/fs/cgroup/{place}cpu.stat")
        if file.exists():
            facts = dict(line.split() for line in file.read_text().splitlines())
            return int(facts.get(key, 0)) / unit
    return None

def stamp(now, wall):
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return json.dumps({"monotonic": now, "wall": wall, "boot": boot, "throttled": throttled(),
                       "first": born(1), "own": born("self")})
"""
"""Defined before the first line is reached, so that it costs all three the same."""

RUN_SOURCE = (
    STAMP
    + """
def main() -> str:
    now, wall = time.monotonic(), time.time()
    print(stamp(now, wall))
    return "done"
"""
)

POD_IMPORTS = "mayfly_runtime.agent.startup, mayfly_runtime.worker.__main__"
POD_SOURCE = (
    f"import {POD_IMPORTS}\n"
    + STAMP
    + """
now, wall = time.monotonic(), time.time()
line = stamp(now, wall)
print(line)
Path("/dev/termination-log").write_text(line)
"""
)

TIMED_SOURCE = """
import time

def main(seconds: float) -> str:
    first = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    print(first, flush=True)
    time.sleep(seconds)
    print(time.clock_gettime_ns(time.CLOCK_MONOTONIC), flush=True)
    return "done"
"""

NOW = """
import time
from pathlib import Path

BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()

def now():
    "This moment, on both clocks; `read_moment` chooses."
    return {"monotonic": time.monotonic(), "wall": time.time(), "boot": BOOT}
"""

LEAF_SOURCE = """
def main() -> int:
    return 1
"""

LINE_SOURCE = (
    NOW
    + """
def main() -> dict:
    return now()
"""
)

PARENT_SOURCE = """
import replicate

leaf = replicate.use("HERE/leaf")

def main() -> int:
    return 1 + leaf()
"""

SLEEPER_SOURCE = """
import time

def main() -> None:
    time.sleep(600)
"""
"""Who has a pod keeps it: nobody starts while the others are cancelled."""

CALLER_SOURCE = """
import time
import replicate

leaf = replicate.use("HERE/leaf")

def main(calls: int, pause: float) -> list[float]:
    took = []
    for _ in range(calls):
        time.sleep(pause)
        before = time.monotonic()
        leaf()
        took.append((time.monotonic() - before) * 1000)
    return took
"""

CHAIN_SOURCE = (
    NOW
    + """
import replicate

chain = replicate.use("HERE/chain")

def main(levels: int) -> list[dict]:
    line = now()
    return [line, *(chain(levels=levels - 1) if levels > 1 else [])]
"""
)

FAN_SOURCE = (
    NOW
    + """
import replicate

line = replicate.use("HERE/line")

def main(children: int) -> list[dict]:
    before = now()
    made = [line.create() for _ in range(children)]
    lines = [each.output() for each in made]
    return [before, *lines, now()]
"""
)

HOLDER_SOURCE = """
import time
import replicate

sleeper = replicate.use("HERE/sleeper")

def main(children: int) -> None:
    for _ in range(children):
        sleeper.create()
    time.sleep(600)
"""

PIPELINES = {
    "leaf": LEAF_SOURCE,
    "line": LINE_SOURCE,
    "parent": PARENT_SOURCE,
    "sleeper": SLEEPER_SOURCE,
    "caller": CALLER_SOURCE,
    "chain": CHAIN_SOURCE,
    "fan": FAN_SOURCE,
    "holder": HOLDER_SOURCE,
}
"""What calls another names its namespace as `HERE`."""


POOL_CPU = "10m"


@dataclass(frozen=True)
class Stamp:
    """What the first line of the user's code knew.

    Attributes:
        at: when it was reached, on this process's monotonic clock.
        first_born: when the container's PID 1 was made; None where clocks can't be compared.
        own_born: when the process of the user's code was made; likewise.
        throttled_ms: how long the CPU limit had held the container back; None where untold.
    """

    at: float
    first_born: float | None
    own_born: float | None
    throttled_ms: float | None


def read_stamp(text: str, *, boot: str, wall_offset: float) -> Stamp:
    """Read a printed stamp.

    Args:
        text: the printed line.
        boot: this machine's boot; a stamp of another one is placed by its wall clock.
        wall_offset: what to take from a wall clock's time to get our monotonic one.
    """
    found = json.loads(text)
    if found["boot"] != boot:
        return Stamp(found["wall"] - wall_offset, None, None, found["throttled"])
    return Stamp(found["monotonic"], found["first"], found["own"], found["throttled"])


def read_moment(found: Json, *, boot: str, wall_offset: float) -> float:
    """A moment of `NOW`'s on our monotonic clock; the arguments are those of `read_stamp`."""
    if found["boot"] != boot:
        return float(found["wall"]) - wall_offset
    return float(found["monotonic"])


def run(name: str, runtime: str, source: str = RUN_SOURCE, **spec: Any) -> Json:
    """A PipelineRun of a source with a PipelineRuntime of this name."""
    pipeline = {"source": {"inline": source}, "runtime": runtime}
    return _object("PipelineRun", name, {"pipelineSpec": pipeline, **spec})


def pipeline(name: str, source: str, runtime: str) -> Json:
    """A Pipeline of a source with a PipelineRuntime of this name."""
    return _object("Pipeline", name, {"source": {"inline": source}, "runtime": runtime})


def run_of(pipeline: str, name: str, **inputs: Any) -> Json:
    """A PipelineRun of a Pipeline."""
    return _object("PipelineRun", name, {"pipelineRef": {"name": pipeline}, "input": inputs})


def runtime_with_pool(name: str, spec: Json, size: int) -> Json:
    """A PipelineRuntime with so many waiting pods a namespace, else as another one's spec.

    Its pods ask the scheduler for less CPU, so that three times the pool fit beside it on a small
    node; what they may use is the same.
    """
    requests = {**spec.get("resources", {}).get("requests", {}), "cpu": POOL_CPU}
    body = _object("PipelineRuntime", name, {**spec, "warm": {"min": size, "max": size}})
    body["spec"]["resources"] = {**spec.get("resources", {}), "requests": requests}
    body["spec"]["maxPods"] = max(100, 6 * size)
    return body


def _object(kind: str, name: str, spec: Json) -> Json:
    return {
        "apiVersion": "mayfly.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }


def pod(name: str, runtime: Json, *, token: bool = True) -> Json:
    """A bare Pod with a PipelineRuntime's image and resources.

    Args:
        name: its name.
        runtime: the PipelineRuntime.
        token: whether it mounts its ServiceAccount's token, as pods do by default. Without, it
            has no volume, and the kubelet need not wait for one.
    """
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": _pod_spec(runtime, token=token),
    }


def job(name: str, runtime: Json) -> Json:
    """A Job of one such pod."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": {"spec": _pod_spec(runtime, token=True)}},
    }


def _pod_spec(runtime: Json, *, token: bool) -> Json:
    spec = runtime["spec"]
    resources = spec.get("resources", {})
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": token,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "imagePullSecrets": spec.get("imagePullSecrets", []),
        "nodeSelector": spec.get("nodeSelector", {}),
        "tolerations": spec.get("tolerations", []),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "main",
                "image": spec["image"],
                "imagePullPolicy": "IfNotPresent",
                "command": ["/opt/mayfly/bin/python", "-I", "-X", "utf8", "-c", POD_SOURCE],
                "resources": {
                    key: resources[key] for key in ("requests", "limits") if key in resources
                },
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "runAsNonRoot": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    }
