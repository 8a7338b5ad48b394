from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from benchmarks import page, table
from benchmarks.aim import aims
from benchmarks.audit import Request
from benchmarks.cold import (
    ARMS,
    FIRST_BORN,
    LINE,
    OVER,
    OWN_BORN,
    POD,
    POD_SEEN,
    RUN,
    THROTTLED,
    ColdStarts,
)
from benchmarks.machine import Load, Machine
from benchmarks.metering import Bill
from benchmarks.page import Circumstances, Findings
from benchmarks.process import ProcessRow
from benchmarks.reads import ALONE, WITH_CHILD, Reads

AROUND = Circumstances(
    machine=Machine(cores=2, processor="a chip", memory_gib=8.0, kernel="6.1"),
    commit="abc",
    date="2030-01-02",
    versions=[("Kubernetes", "v1.35.4")],
    load_before=0.5,
    busy_idle=0.1,
    busy_all=0.6,
)
GOOD = Counter(
    {
        Request("client", "create", "pipelineruns"): 2,
        Request("controller", "create", "pods"): 2,
        Request("controller", "patch", "pipelineruns/status"): 2,
        Request("gateway", "patch", "pipelineruns/status"): 2,
        Request("controller", "delete", "pods"): 2,
    }
)


def cold(run_line=500.0, run_over=560.0, pod_over=1900.0):
    found = ColdStarts()
    for arm in ARMS:
        line, over = (run_line, run_over) if arm != POD else (480.0, pod_over)
        attempt = {POD_SEEN: 20.0, FIRST_BORN: 300.0, LINE: line, OVER: over, THROTTLED: 7.0}
        if arm == RUN:
            attempt[OWN_BORN] = 400.0
        found.attempts[arm] = [attempt, dict(attempt)]
    return found


def findings(**changed):
    whole = {
        "cold": cold(),
        "run_writes": GOOD,
        "pod_writes": Counter({Request("client", "create", "pods"): 2}),
        "reads": {
            ALONE: Reads(2, Counter({Request("controller", "get", "pipelines"): 2})),
            WITH_CHILD: Reads(2, Counter({Request("controller", "get", "pipelineruns"): 1})),
        },
        "processes": [ProcessRow("gateway", "gw-1", 100.0, 1.0, 12.0)],
        "bills": [Bill(10.2, 11.0), Bill(100.5, 102.0)],
        "seed": 1,
    }
    return Findings(**{**whole, **changed})


def verdicts(found):
    return [aim.met for aim in aims(found.cold, found.run_writes, found.bills)]


def test_reads_are_shown_a_run_of_each_kind():
    text = page.page(findings(), AROUND)
    assert [each.strip() for each in row(text, "controller: get pipelines")] == ["1.00", "-"]
    assert [each.strip() for each in row(text, "controller: get pipelineruns")] == ["-", "0.50"]
    assert "Not measured" in page.page(findings(reads={}), AROUND)


def row(text, first):
    (line,) = [each for each in text.splitlines() if each.startswith(f"| {first} ")]
    return line.strip("|").split("|")[1:]


def test_all_aims_met():
    found = findings()
    assert verdicts(found) == [True, True, True, True]
    text = page.page(found, AROUND)
    assert "missed" not in text
    assert "Something else was running" not in text
    assert "4.00 a run" in text
    assert "2 of 2 within 5 ms" in text


@pytest.mark.parametrize(
    ("change", "number", "words"),
    [
        ({"cold": cold(run_line=700.0)}, 0, "The start is missed"),
        ({"cold": cold(pod_over=1000.0)}, 1, "The end is missed"),
        ({"run_writes": GOOD + Counter({Request("gateway", "x", "y"): 1})}, 2, "gateway: x y"),
        ({"bills": [Bill(10.0, 30.0)]}, 3, "worst was +20.0 ms"),
    ],
)
def test_a_missed_aim_is_said_with_where_the_time_goes(change, number, words):
    found = findings(**change)
    assert [place for place, met in enumerate(verdicts(found)) if met is False] == [number]
    text = page.page(found, AROUND)
    assert "**missed**" in text
    assert words in text


def test_what_could_not_be_measured_is_neither_met_nor_missed():
    found = findings(run_writes=None, pod_writes=None, processes=[], bills=[])
    assert verdicts(found) == [True, True, None, None]
    text = page.page(found, AROUND)
    assert text.count("Not measured") == 3


def test_samplers_stand_beside_the_meter_on_the_same_runs():
    bills = [Bill(100.0, 101.0, {15: 0.0, 60: 0.0}), Bill(900.0, 901.0, {15: 15_000.0, 60: 0.0})]
    lines = page.console(findings(bills=bills)).splitlines()
    rows = {
        cells[0]: cells[1:]
        for line in lines
        if len(cells := [each.strip() for each in line.strip("| ").split("|")]) == 6
    }
    assert rows["Mayfly"] == ["1.0", "1.0", "1.0", "0", "1.0020"]
    assert rows["looking every 15 s"] == ["7100.0", "14100.0", "14100.0", "1", "15.0000"]
    assert rows["looking every 60 s"] == ["500.0", "900.0", "900.0", "2", "0.0000"]


def test_a_busy_machine_is_said():
    busy = Circumstances(**{**AROUND.__dict__, "busy_idle": 0.9})
    assert "Something else was running" in page.page(findings(), busy)


def test_the_page_names_its_circumstances():
    text = page.page(findings(), AROUND)
    for fact in ("2 cores (a chip), 8 GiB", "6.1", "abc", "2030-01-02", "v1.35.4"):
        assert fact in text


def test_the_console_shows_every_table():
    text = page.console(findings())
    for head in ("first line", "median ms since create", "writes an attempt", "process", "aim"):
        assert f"| {head}" in text or f" {head} " in text


def test_a_table_is_in_line():
    text = table.render(["a", "bb"], [["long cell", "1"], ["x", "1234"]])
    lines = text.splitlines()
    assert len({len(each) for each in lines}) == 1
    assert lines[1] == "| --------- | ---: |"
    assert lines[2] == "| long cell |    1 |"


def test_load_is_a_share():
    assert Load(busy=30, total=100).share_since(Load(busy=10, total=60)) == 0.5
    assert Load(busy=1, total=1).share_since(Load(busy=1, total=1)) == 0.0


def test_the_committed_page_is_one_of_ours():
    path = Path(__file__).parents[3] / "docs" / "benchmarks.md"
    assert path.read_text().startswith("# Benchmarks\n\nWritten by `make bench`")
