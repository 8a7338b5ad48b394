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

LEAF_SOURCE = """
def main() -> int:
    return 1
"""


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


def run(name: str, source: str = RUN_SOURCE, **spec: Any) -> Json:
    """A PipelineRun of a source."""
    return _object("PipelineRun", name, {"pipelineSpec": {"source": {"inline": source}}, **spec})


def parent(namespace: str) -> str:
    """The source of a Pipeline that calls the Pipeline `leaf` of its namespace."""
    return f"""
import replicate

leaf = replicate.use("{namespace}/leaf")

def main() -> int:
    return 1 + leaf()
"""


def pipeline(name: str, source: str) -> Json:
    """A Pipeline of a source."""
    return _object("Pipeline", name, {"source": {"inline": source}})


def run_of(pipeline: str, name: str) -> Json:
    """A PipelineRun of a Pipeline."""
    return _object("PipelineRun", name, {"pipelineRef": {"name": pipeline}})


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
