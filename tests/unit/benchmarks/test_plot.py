from __future__ import annotations

from xml.etree import ElementTree as ET

from benchmarks import plot
from benchmarks.outcome import Outcome
from benchmarks.scenario import Arm, Scenario, Way
from benchmarks.stage import Stage

SVG = "{http://www.w3.org/2000/svg}"
ROW = Scenario("a & b", "", (Arm(Way.RUN), Arm(Way.POD)), 1, (Stage.LINE,))


def dots(*outcomes):
    root = ET.fromstring(plot.picture(outcomes))
    return [float(each.get("cx")) for each in root.iter(f"{SVG}circle")]


def outcome(name, *values, failure=""):
    row = Scenario(name, "", ROW.arms, 1, (Stage.LINE,))
    attempts = {Way.RUN: [{Stage.LINE: value} for value in values], Way.POD: [{Stage.LINE: 500.0}]}
    return Outcome(row, attempts=attempts, failure=failure)


def test_the_axis_is_logarithmic():
    ten, hundred, thousand = dots(outcome("a", 10.0), outcome("b & c", 100.0), outcome("d", 1000.0))
    assert hundred - ten == thousand - hundred > 0


def test_the_cold_scenarios_pod_stands_for_all():
    assert len(dots(outcome("cold", 10.0), outcome("warm", 10.0))) == 3


def test_what_failed_has_no_row():
    assert dots(outcome("a", 10.0, failure="no pool")) == []
