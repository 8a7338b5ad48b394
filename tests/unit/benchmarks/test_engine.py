from __future__ import annotations

import json
from collections import Counter

from benchmarks.audit import AuditLog, Request
from benchmarks.engine import Engine, Instruments
from benchmarks.place import Place
from benchmarks.scenario import Arm, Scenario, Way
from benchmarks.scrape import Counts
from benchmarks.sighting import Sighting
from benchmarks.stage import Stage

ROW = Scenario("warm", "", (Arm(Way.RUN, 3), Arm(Way.POD, every=2)), 3, warm=True, seconds=9.0)
RUNTIME = {"metadata": {"name": "default"}, "spec": {}}


class FakePlace(Place):
    """A place whose pods are always settled."""

    def __init__(self):
        super().__init__(None, RUNTIME)
        self.cleared = False

    async def settle(self):
        pass

    async def clear(self):
        self.cleared = True


class FakeWays:
    """Makes runs by noting them as a watch would, and what controller and kubelet write."""

    def __init__(self, place, log, *, fails=False):
        self.place, self.log, self.fails = place, log, fails
        self.made = []

    async def attempts(self, way, tag, count, seconds):
        self.made.append((way, tag, count, seconds))
        if self.fails and "first" not in tag:
            raise ExceptionGroup("several", [RuntimeError("the run failed")])
        for number in range(count):
            name = f"{way.key}-{tag}-{number}"
            kind, pod = ("pipelineruns/status", name) if way is Way.RUN else ("pods", name)
            self.write("controller", kind, pod)
            if way is Way.RUN:
                self.write("kubelet", "pods", f"mayfly-warm-{name}")
                self.see(name, "mayfly-warm-x" if number else "mayfly-0-1")
        return [{Stage.LINE: 1.0}] * count

    def see(self, name, pod):
        body = {"metadata": {"name": name}, "status": {"podName": pod}}
        self.place.runs._note(Sighting(0.0, "ADDED", body))

    def write(self, client, target, name):
        user = {
            "controller": "system:serviceaccount:system:mayfly-controller",
            "kubelet": "system:node:n",
        }[client]
        resource, _, sub = target.partition("/")
        line = {
            "stage": "ResponseComplete",
            "verb": "patch",
            "user": {"username": user},
            "objectRef": {
                "resource": resource,
                "subresource": sub,
                "namespace": self.place.namespace,
                "name": name,
            },
        }
        with self.log.open("a") as stream:
            stream.write(json.dumps(line) + "\n")


class FakeScraper:
    def __init__(self):
        self.asked = 0

    async def counts(self):
        self.asked += 1
        return Counts(Counter(run=10 * self.asked), 2.0 * self.asked, 0.004 * self.asked)


def engine(tmp_path, **options):
    log = tmp_path / "audit.log"
    log.touch()
    place = FakePlace()
    instruments = Instruments(AuditLog(log), None, FakeScraper(), "system")
    made = Engine(place, instruments, 1, lambda _: None)
    made.ways = FakeWays(place, log, **options)
    return made, place


async def test_arms_take_turns_after_one_of_each_that_does_not_count(tmp_path):
    made, _ = engine(tmp_path)
    outcome = await made.measure(ROW)
    assert made.ways.made == [
        (Way.RUN, "warm-first", 1, 0.0),
        (Way.POD, "warm-first", 1, 0.0),
        (Way.RUN, "warm-0", 3, 9.0),
        (Way.POD, "warm-0", 1, 0.0),
        (Way.RUN, "warm-1", 3, 9.0),
        (Way.RUN, "warm-2", 3, 9.0),
        (Way.POD, "warm-2", 1, 0.0),
    ]
    assert len(outcome.column(Way.RUN, Stage.LINE)) == 9
    assert len(outcome.column(Way.POD, Stage.LINE)) == 2


async def test_runs_hits_writes_and_reconciles_are_those_of_the_rounds(tmp_path):
    made, _ = engine(tmp_path)
    outcome = await made.measure(ROW)
    assert (outcome.runs, outcome.hits) == (9, 6)
    assert outcome.writes == {
        Request("controller", "patch", "pipelineruns/status"): 9,
        Request("kubelet", "patch", "pods"): 9,
    }
    assert outcome.pod_writes == {Request("controller", "patch", "pods"): 2}
    assert outcome.reconciles == {"run": 10}
    assert outcome.dispatch_ms == 2.0


async def test_a_scenario_that_fails_says_why_and_leaves_nothing(tmp_path):
    made, place = engine(tmp_path, fails=True)
    outcome = await made.measure(ROW)
    assert outcome.failure == "the run failed"
    assert outcome.attempts == {}
    assert place.cleared
