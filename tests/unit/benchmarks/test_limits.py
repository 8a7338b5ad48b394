from __future__ import annotations

import pytest
from benchmarks import limits, scenario
from benchmarks.outcome import METERING, SUBJECTS
from benchmarks.scenario import Way
from benchmarks.stage import Stage


def bounds(text):
    return limits.load(text)


def entry(kind="limit", **fields):
    lines = [f"[[{kind}]]", 'says = "it"']
    lines += [f"{key} = {value!r}" for key, value in fields.items()]
    return "\n".join(lines)


COUNT = entry(of="warm.writes", most=5)


def failed(text, measured, chosen=("warm",)):
    return limits.failures(limits.check(bounds(text), measured, chosen))


def test_a_limit_that_is_kept_fails_nothing():
    assert failed(COUNT, {"warm.writes": 5.0}) == []


def test_a_limit_that_is_missed_fails_in_words():
    assert failed(COUNT, {"warm.writes": 5.5}) == ["it: 5.5, at most 5 is allowed"]


def test_what_was_not_measured_fails():
    assert failed(COUNT, {"cold.writes": 1.0}) == ["it: not measured: warm.writes"]


def test_what_was_not_chosen_is_not_judged():
    assert limits.check(bounds(COUNT), {}, ["cold"]) == []


def test_a_ratio_needs_both_numbers():
    text = entry(of="warm.run.line.p50", over="warm.pod.line.p50", most=0.1)
    both = {"warm.run.line.p50": 20.0, "warm.pod.line.p50": 500.0}
    assert failed(text, both) == []
    (verdict,) = limits.check(bounds(text), both, ["warm"])
    assert verdict.measured == pytest.approx(0.04)
    assert failed(text, {**both, "warm.run.line.p50": 51.0}) != []
    assert failed(text, {"warm.run.line.p50": 20.0}) == ["it: not measured: warm.pod.line.p50"]
    assert "is 0" in failed(text, {**both, "warm.pod.line.p50": 0.0})[0]


def test_least_is_the_other_side():
    text = entry(of="warm.pod.over.p50", over="warm.run.over.p50", least=35)
    assert failed(text, {"warm.pod.over.p50": 70.0, "warm.run.over.p50": 2.0}) == []
    words = failed(text, {"warm.pod.over.p50": 68.0, "warm.run.over.p50": 2.0})
    assert words == ["it: 34, at least 35 is allowed"]


def test_an_aim_that_is_missed_fails_nothing():
    text = entry("aim", of="warm.run.line.p50", most=20)
    assert failed(text, {"warm.run.line.p50": 30.0}) == []
    (verdict,) = limits.check(bounds(text), {"warm.run.line.p50": 30.0}, ["warm"])
    assert not verdict.kept


@pytest.mark.parametrize("of", ["warm.run.line.p50", "warm.cpu_ms.gateway", "warm.rss_mib.gateway"])
def test_a_limit_on_a_time_is_a_ratio(of):
    with pytest.raises(ValueError, match="is a ratio"):
        bounds(entry(of=of, most=20))
    assert bounds(entry("aim", of=of, most=20))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (entry(of="a.b", most=1, least=1), "one of most and least"),
        (entry(of="a.b"), "one of most and least"),
        (entry(of="a.b", most=1, unless=2), "unless"),
        (entry("limits", of="a.b", most=1), "limits"),
    ],
)
def test_a_file_that_is_wrong_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        bounds(text)


def nameable():
    """Every number that some scenario, if all goes well, gives."""
    names = {f"{METERING}.{each}" for each in ("off_ms.p99", "off_ms.p100", "beyond_5_ms")}
    names |= {
        f"reads.{what}.{part}"
        for what in ("gets", "gets_call")
        for part in ("controller", "gateway")
    }
    for row in scenario.table():
        counts = {"writes", "pool_writes"} | {f"reconciles.{each}" for each in SUBJECTS}
        counts |= {"misses"} if row.warm else set()
        names |= {f"{row.name}.{each}" for each in counts}
        names |= {
            f"{row.name}.{what}.{part}"
            for what in ("cpu_ms", "rss_mib")
            for part in ("controller", "gateway")
        }
        for way in row.ways:
            # Runs and pods have first lines and ends; of the others, what the row says.
            single = way.peer or way in {Way.RUN, Way.NEW_RUN}
            stages = [Stage.LINE, Stage.OVER] if single else row.measures
            names |= {
                f"{row.name}.{way.key}.{stage.key}.p{percent}"
                for stage in stages
                for percent in (50, 95, 99)
            }
    return names


def test_the_limits_name_numbers_that_there_are():
    named = {
        name for bound in bounds(limits.FILE.read_text()) for name in (bound.of, bound.over) if name
    }
    assert named <= nameable()
