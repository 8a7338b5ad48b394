from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from benchmarks import limits, page, table
from benchmarks.audit import Request
from benchmarks.limits import Verdict
from benchmarks.machine import Load, Machine
from benchmarks.metering import Bill
from benchmarks.outcome import Outcome
from benchmarks.page import Circumstances, Findings
from benchmarks.process import ProcessRow
from benchmarks.reads import ALONE, WITH_CHILD, Reads
from benchmarks.scenario import Way
from benchmarks.scenario import table as rows
from benchmarks.stage import Stage

AROUND = Circumstances(
    machine=Machine(cores=2, processor="a chip", memory_gib=8.0, kernel="6.1"),
    commit="abc",
    date="2030-01-02",
    versions=[("Kubernetes", "v1.35.4")],
    load_before=0.5,
    busy_idle=0.1,
    busy_all=0.6,
    minutes=20.0,
    pool=20,
    one_clock=True,
)
WRITES = Counter(
    {
        Request("client", "create", "pipelineruns"): 2,
        Request("controller", "create", "pods"): 2,
        Request("controller", "patch", "pipelineruns/status"): 2,
        Request("gateway", "patch", "pipelineruns/status"): 2,
        Request("controller", "delete", "pods"): 2,
    }
)
COLD, WARM = (next(each for each in rows() if each.name == name) for name in ("cold", "warm"))


def cold():
    attempt = {Stage.POD_SEEN: 20.0, Stage.FIRST_BORN: 300.0, Stage.LINE: 480.0, Stage.OVER: 1900.0}
    attempts = {way: [dict(attempt), dict(attempt)] for way in COLD.ways}
    for each in attempts[Way.RUN]:
        each |= {Stage.OWN_BORN: 400.0, Stage.LINE: 600.0, Stage.OVER: 660.0}
    for each in attempts[Way.LEAN_POD]:
        each[Stage.LINE] = 180.0
    return Outcome(
        COLD,
        attempts=attempts,
        runs=2,
        writes=WRITES,
        pod_writes=Counter({Request("client", "create", "pods"): 2}),
        reconciles=Counter({"run": 9}),
        processes=[ProcessRow("gateway", "gw-1", 100.0, 1.0, 12.0)],
    )


def warm():
    attempt = {
        Stage.CREATED: 6.0,
        Stage.RUN_SEEN: 7.0,
        Stage.CLAIM_SEEN: 11.0,
        Stage.LINE: 14.4,
        Stage.OVER: 30.0,
    }
    pod = {Stage.LINE: 480.0, Stage.OVER: 1900.0}
    return Outcome(
        WARM,
        attempts={Way.RUN: [attempt], Way.NEW_RUN: [attempt], Way.POD: [pod]},
        runs=2,
        hits=1,
        dispatch_ms=1.5,
    )


def findings(**changed):
    whole = {
        "outcomes": [cold(), warm()],
        "reads": {
            ALONE: Reads(2, Counter({Request("controller", "get", "pipelines"): 2})),
            WITH_CHILD: Reads(2, Counter({Request("controller", "get", "pipelineruns"): 1})),
        },
        "bills": [Bill(10.2, 11.0), Bill(100.5, 102.0)],
        "seed": 1,
        "verdicts": [],
    }
    return Findings(**{**whole, **changed})


def cells(text, first):
    """Of the first row whose first cell is this one."""
    lines = ([each.strip() for each in line.strip("|").split("|")] for line in text.splitlines())
    return next(line[1:] for line in lines if line[0] == first)


def test_reads_are_shown_a_run_of_each_kind():
    text = page.page(findings(), AROUND)
    assert cells(text, "controller: get pipelines") == ["1.00", "-"]
    assert cells(text, "controller: get pipelineruns") == ["-", "0.50"]
    assert "Not measured" in page.page(findings(reads={}), AROUND)


def test_limits_and_aims_are_told_apart_and_what_is_missing_is_said():
    text = """
    [[limit]]
    says = "writes"
    of = "cold.writes"
    most = 4
    [[aim]]
    says = "start"
    of = "warm.run.line.p50"
    most = 20
    [[limit]]
    says = "reconciles"
    of = "warm.reconciles"
    most = 4
    """
    measured = {"cold.writes": 3.0, "warm.run.line.p50": 25.0}
    verdicts = limits.check(limits.load(text), measured, ["cold", "warm"])
    shown = page.page(findings(verdicts=verdicts), AROUND)
    assert cells(shown, "writes") == ["3", "≤ 4", "limit", "met"]
    assert cells(shown, "start") == ["25", "≤ 20", "aim", "**missed**"]
    assert cells(shown, "reconciles") == ["-", "≤ 4", "limit", "**not measured**"]


def test_a_scenario_shows_its_spread_and_its_ratio_to_the_pod():
    text = page.page(findings(), AROUND)
    line = [str(Stage.LINE), "1", "14.4", "14.4", "14.4", "0.030", "1 of 2"]
    assert cells(text, "warm") == line


def test_a_scenario_that_failed_says_why():
    failed = replace(warm(), attempts={}, failure="no pool: it does not fill")
    text = page.page(findings(outcomes=[failed]), AROUND)
    assert cells(text, "warm")[0] == "failed: no pool: it does not fill"


def test_the_milliseconds_of_a_warm_run_have_the_gateways_share():
    text = page.page(findings(), AROUND)
    assert cells(text, str(Stage.CLAIM_SEEN))[:2] == ["11.0", "11.0"]
    assert cells(text, "the gateway's, from seeing the claim to the work sent")[0] == "+ 1.5 (mean)"


def test_a_cold_start_stands_beside_its_peers():
    text = page.page(findings(), AROUND)
    assert cells(text, "bare Pod") == ["480", "480", "1.00", "1900", "1900", "1.00"]
    assert cells(text, "run") == ["600", "600", "1.25", "660", "660", "0.35"]
    assert "Mounting a volume costs 300 ms" in text
    assert "The agent takes 100 ms" in text


def test_own_writes_and_reconciles_are_a_run():
    text = page.page(findings(), AROUND)
    costs = text[text.index("## Controller and gateway") :]
    assert cells(costs, "cold") == ["2", "4.00", "-", "4.50 run", "-", "12", "-", "100"]
    assert cells(costs, "warm") == ["2", *["-"] * 7]


def test_what_could_not_be_measured_is_said():
    bare = [replace(cold(), writes=None, pod_writes=None)]
    text = page.page(findings(outcomes=bare, bills=[], reads={}), AROUND)
    assert text.count("Not measured") == 3


def test_pods_of_another_machine_are_said():
    assert "on another machine: first lines" in page.page(
        findings(), replace(AROUND, one_clock=False)
    )


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
    text = page.page(findings(), replace(AROUND, busy_idle=0.9))
    assert "Something else was running" in text
    assert "Something else was running" not in page.page(findings(), AROUND)


def test_the_page_names_its_circumstances():
    text = page.page(findings(), AROUND)
    for fact in ("2 cores (a chip), 8 GiB", "6.1", "abc", "2030-01-02", "v1.35.4"):
        assert fact in text


def test_the_console_shows_every_table():
    bound = limits.load('[[aim]]\nsays="start"\nof="a.b"\nmost=1')[0]
    text = page.console(findings(verdicts=[Verdict(bound, 1.0)]))
    heads = ("scenario", "ms since the create", "ms", "median ms", "writes a run", "GETs", "error")
    for head in (*heads, "what"):
        assert f"| {head}" in text


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
