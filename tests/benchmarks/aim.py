"""What was aimed at, and whether it was met."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from benchmarks import audit
from benchmarks.audit import Request
from benchmarks.cold import LEAN_POD, LINE, OVER, POD, RUN, ColdStarts
from benchmarks.metering import Bill
from benchmarks.statistic import Summary, median

START_OVER_POD = 1.15
END_BEFORE_POD = 3.0
WRITES = 4.0
BILL_MS = 5.0


@dataclass(frozen=True)
class Aim:
    """One aim beside the measured.

    Attributes:
        words: the aim.
        measured: what was found, in words.
        met: None where it could not be measured.
    """

    words: str
    measured: str
    met: bool | None


def aims(cold: ColdStarts, writes: Counter[Request] | None, bills: list[Bill]) -> list[Aim]:
    """All aims.

    Args:
        cold: the cold starts.
        writes: of all cold runs together, where the audit log could be read.
        bills: the metering.
    """
    line = {arm: median(cold.column(arm, LINE)) for arm in (RUN, POD, LEAN_POD)}
    over = {arm: median(cold.column(arm, OVER)) for arm in (RUN, POD)}
    return [
        Aim(
            "create → first line of main() within 15 % of the bare Pod's (medians)",
            f"{_more(line[RUN] / line[POD])} ({line[RUN]:.0f} against {line[POD]:.0f} ms; "
            f"a Pod without any volume: {line[LEAN_POD]:.0f} ms)",
            line[RUN] <= START_OVER_POD * line[POD],
        ),
        Aim(
            "create → end seen at least 3 times sooner than the bare Pod's (medians)",
            f"{over[POD] / over[RUN]:.2f} times ({over[RUN]:.0f} against {over[POD]:.0f} ms)",
            over[POD] >= END_BEFORE_POD * over[RUN],
        ),
        _writes(writes, len(cold.attempts[RUN])),
        _bills(bills),
    ]


def _more(ratio: float) -> str:
    percent = (ratio - 1) * 100
    return f"{abs(percent):.0f} % {'more' if percent >= 0 else 'less'}"


def _writes(writes: Counter[Request] | None, runs: int) -> Aim:
    words = "4 API writes by controller and gateway for a cold run, until its pod is deleted"
    if writes is None:
        return Aim(words, "not measured: no audit log here", None)
    each = audit.own(writes) / runs
    return Aim(words, f"{each:.2f} a run", each <= WRITES)


def _bills(bills: list[Bill]) -> Aim:
    words = "billed time within 5 ms of the true one (every run)"
    if not bills:
        return Aim(words, "not measured", None)
    summary = Summary.of([abs(each.error) for each in bills])
    within = sum(abs(each.error) <= BILL_MS for each in bills)
    measured = f"at most {summary.most:.1f} ms off; {within} of {len(bills)} within 5 ms"
    return Aim(words, measured, within == len(bills))
