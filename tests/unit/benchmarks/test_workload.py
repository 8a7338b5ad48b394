from __future__ import annotations

import subprocess
import sys
import time

import pytest
from benchmarks import machine, workload

RUNTIME = {
    "spec": {
        "image": "image@sha256:1",
        "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "1", "memory": "2Gi"}},
    }
}


def stamped():
    done = subprocess.run(
        [sys.executable, "-c", f"{workload.RUN_SOURCE}\nmain()"],
        text=True,
        capture_output=True,
        check=True,
    )
    return done.stdout


def test_a_stamp_of_this_machine_is_on_our_clock():
    began = time.monotonic()
    stamp = workload.read_stamp(stamped(), boot=machine.boot(), wall_offset=0.0)
    assert began < stamp.at < time.monotonic()
    assert began - 0.02 <= stamp.own_born <= stamp.at
    assert stamp.first_born < stamp.own_born


def test_a_stamp_of_another_machine_is_placed_by_its_wall_clock():
    offset = time.time() - time.monotonic()
    began = time.monotonic()
    stamp = workload.read_stamp(stamped(), boot="another", wall_offset=offset)
    assert began - 1 < stamp.at < time.monotonic() + 1
    assert stamp.first_born is None


def test_pod_and_job_have_the_runtimes_image_and_resources():
    pod = workload.pod("a", RUNTIME)["spec"]
    assert workload.job("b", RUNTIME)["spec"]["template"]["spec"] == pod
    assert pod["automountServiceAccountToken"] is True
    lean = workload.pod("c", RUNTIME, token=False)["spec"]
    assert lean == {**pod, "automountServiceAccountToken": False}
    (container,) = pod["containers"]
    assert container["image"] == "image@sha256:1"
    assert container["resources"] == RUNTIME["spec"]["resources"]


@pytest.mark.parametrize(
    "source", [workload.RUN_SOURCE, workload.POD_SOURCE, workload.TIMED_SOURCE]
)
def test_sources_compile(source):
    compile(source, "main.py", "exec")
