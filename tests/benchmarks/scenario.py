"""What is measured: one table. The engine runs any row of it; a new scenario is a new row."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from benchmarks.stage import Stage

CREATE_TO = (Stage.LINE, Stage.OVER)


class Way(StrEnum):
    """What is created. What each is in detail: `ways.py`."""

    RUN = "run"
    NEW_RUN = "run, new source"
    CALL = "call"
    CHAIN = "chain"
    FAN_OUT = "fan-out"
    CANCEL = "cancel"
    POST = "POST"
    REFUSED = "run, refused"
    POD = "bare Pod"
    LEAN_POD = "Pod, no volume"
    JOB = "core Job"

    @property
    def key(self) -> str:
        """As limits and objects name it: `new-run`."""
        return self.name.lower().replace("_", "-")

    @property
    def peer(self) -> bool:
        """Whether it is Kubernetes alone, for comparison."""
        return self in {Way.POD, Way.LEAN_POD, Way.JOB}


@dataclass(frozen=True)
class Arm:
    """One of the things that a scenario creates in turns.

    Attributes:
        way: what.
        count: how many at once: of runs and pods so many objects; of a call, a chain, a fan-out or
            a cancel so many children, levels or calls of one parent.
        every: in every so many rounds only.
    """

    way: Way
    count: int = 1
    every: int = 1


@dataclass(frozen=True)
class Scenario:
    """A row of the table.

    Attributes:
        name: one word; limits and the command line name it so.
        words: what it is, for the page.
        arms: ours first, then what it is compared with, in turns.
        rounds: how often.
        measures: what of it the page shows.
        warm: in a namespace with a pool of waiting pods that is full before each arm begins.
        seconds: arrivals are spread over so long (Poisson); 0: all at once.
    """

    name: str
    words: str
    arms: tuple[Arm, ...]
    rounds: int
    measures: tuple[Stage, ...] = CREATE_TO
    warm: bool = False
    seconds: float = 0.0

    @property
    def head(self) -> Way:
        """What it is about."""
        return self.arms[0].way

    @property
    def ways(self) -> tuple[Way, ...]:
        """Everything that it creates."""
        return tuple(arm.way for arm in self.arms)


_POD = Arm(Way.POD)
_POD_AT_TIMES = Arm(Way.POD, every=4)


def table(pool: int = 20, fan_out: int = 200) -> tuple[Scenario, ...]:
    """Every scenario, cold ones first: the pool is made for the others alone.

    Args:
        pool: how many pods wait.
        fan_out: how many children the cancelled parent has.
    """
    return (
        Scenario(
            "cold",
            "one at a time, a pod made for each",
            (Arm(Way.RUN), Arm(Way.NEW_RUN), _POD, Arm(Way.LEAN_POD), Arm(Way.JOB)),
            10,
        ),
        Scenario("cold-10", "ten at once", (Arm(Way.RUN, 10), Arm(Way.POD, 10)), 3),
        Scenario(
            "cancel",
            f"cancel of a parent with {fan_out} children, most not started",
            (Arm(Way.CANCEL, fan_out), _POD),
            1,
            (Stage.ACCEPTED, Stage.CANCELED),
        ),
        Scenario(
            "refused",
            "400 at once whose input is wrong: controller and gateway alone, without pods",
            (Arm(Way.REFUSED, 400), _POD),
            1,
            (Stage.OVER, Stage.RECORDED),
        ),
        Scenario(
            "warm",
            "one at a time, the pool full before each",
            (Arm(Way.RUN), Arm(Way.NEW_RUN), _POD_AT_TIMES),
            30,
            warm=True,
        ),
        Scenario("warm-10", "ten at once", (Arm(Way.RUN, 10), _POD), 5, warm=True),
        Scenario("warm-20", "twenty at once", (Arm(Way.RUN, 20), _POD), 4, warm=True),
        Scenario(
            "burst", f"{3 * pool} at once, three times the pool",
            (Arm(Way.RUN, 3 * pool), _POD), 1, warm=True,
        ),
        Scenario(
            "poisson", "30 in a minute, at random moments",
            (Arm(Way.RUN, 30), _POD), 1, warm=True, seconds=60.0,
        ),
        Scenario(
            "call",
            "`replicate.use()` of a Pipeline that does nothing, a call every three seconds",
            (Arm(Way.CALL, 20), _POD),
            1,
            (Stage.TURN,),
            warm=True,
        ),
        Scenario(
            "chain",
            "ten levels, each calls the next; first line: of the last level",
            (Arm(Way.CHAIN, 10), _POD),
            3,
            warm=True,
        ),
        Scenario(
            "fan-out",
            "one parent creates twenty, then waits for all",
            (Arm(Way.FAN_OUT, min(20, pool)), _POD),
            3,
            (Stage.CHILD_LINE, Stage.TURN),
            warm=True,
        ),
        Scenario(
            "post",
            "`POST` with `Prefer: wait` of a Pipeline that does nothing",
            (Arm(Way.POST), _POD_AT_TIMES),
            20,
            (Stage.ANSWERED,),
            warm=True,
        ),
    )  # fmt: skip
