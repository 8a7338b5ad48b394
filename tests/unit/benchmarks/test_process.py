from __future__ import annotations

import os

import pytest
from benchmarks import process
from benchmarks.process import Process


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["python", "-m", "mayfly", "controller", ""], "controller"),
        (["/opt/mayfly/bin/python", "-m", "mayfly", "gateway"], "gateway"),
        (["python", "-m", "mayfly", "crds", "--write"], ""),
        (["python", "-m", "mayfly_runtime.worker", "3"], ""),
        ([""], ""),
    ],
)
def test_a_part_is_known_by_its_command_line(words, part):
    assert process.part_of(words) == part


def write(proc, pid, words, cgroup):
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "cmdline").write_bytes("\0".join(words).encode())
    (folder / "cgroup").write_text(cgroup)
    return folder


def test_only_the_installations_processes_are_found(tmp_path):
    gateway = ["python", "-m", "mayfly", "gateway"]
    write(tmp_path, 10, gateway, "0::/mayfly-local/burstable/podaa-bb/c1\n")
    write(tmp_path, 11, gateway, "0::/kubepods.slice/kubepods-podcc_dd.slice/c2\n")
    write(tmp_path, 12, gateway, "0::/user.slice\n")
    write(tmp_path, 13, ["sh"], "0::/mayfly-local/burstable/podaa-bb/c1\n")
    (tmp_path / "self").mkdir()
    (tmp_path / "14").mkdir()  # ended between the listing and the look
    found = process.find({"aa-bb": "gw-1", "cc-dd": "gw-2"}, tmp_path)
    assert found == [Process(10, "gw-1", "gateway"), Process(11, "gw-2", "gateway")]


def test_usage_is_read_past_a_name_with_brackets(tmp_path):
    folder = tmp_path / "9"
    folder.mkdir()
    fields = ["S", *("0" for _ in range(49))]
    fields[11], fields[12], fields[21] = "150", "50", "256"
    (folder / "stat").write_text(f"9 (a) b) {' '.join(fields)}\n")
    found = process.usage(Process(9, "p", "gateway"), tmp_path)
    assert found.cpu_ms == 200 * 1000 / os.sysconf("SC_CLK_TCK")
    assert found.rss_mib == 256 * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_a_process_that_ended_is_no_zero(tmp_path):
    with pytest.raises(LookupError, match="gateway gw-1 ended meanwhile"):
        process.usage(Process(9, "gw-1", "gateway"), tmp_path)


def test_what_idling_takes_is_not_the_runs(monkeypatch):
    readings = iter([0.0, 20.0, 100.0, 160.0])
    monkeypatch.setattr(process, "usage", lambda _: process.Usage(next(readings), 64.0))
    meter = process.Meter([Process(1, "p", "controller")])
    meter.idle(meter.read(), seconds=10.0)
    meter.add(meter.read(), seconds=5.0)
    monkeypatch.setattr(process, "usage", lambda _: process.Usage(0.0, 64.0))
    (row,) = meter.rows(runs=1)
    assert row.idle_percent == pytest.approx(0.2)
    assert row.run_ms == pytest.approx(50.0)
    assert row.rss_mib == 64.0
