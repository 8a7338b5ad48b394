"""A leading controller stands still, another one takes over, and then the old one wakes."""

from __future__ import annotations

from support.cluster.installation import SYSTEM, Kubectl
from support.cluster.programs import SLOW, came_through
from support.waiting import eventually

LEASE = ("lease", "mayfly-controller", "-n", SYSTEM)


def leader(kubectl: Kubectl) -> str:
    """The pod that leads, or ""."""
    return str(kubectl.json("get", *LEASE)["spec"].get("holderIdentity", ""))


def test_a_leader_that_wakes_up_too_late_does_nothing_twice_and_steps_down(
    namespace, kubectl, machine, books, restarts
):
    old = eventually(lambda: leader(kubectl))
    pod = kubectl.json("get", "pod", old, "-n", SYSTEM)
    ends_meanwhile = namespace.run(SLOW, input={"seconds": 5})
    ends_after = namespace.run(SLOW, input={"seconds": 60})
    namespace.started(ends_meanwhile)
    namespace.started(ends_after)
    with machine.asleep(pod):
        # Its watches bring the sleeper all of this; it reads it when it wakes.
        created = namespace.run(SLOW, input={"seconds": 0})
        eventually(lambda: leader(kubectl), 60, lambda name: name not in {"", old})
        namespace.finished(created)
        namespace.finished(ends_meanwhile)
        eventually(lambda: len(namespace.pods()) == 1)
        woken = machine.audited()
    assert eventually(lambda: restarts.since()["controller"], 60) == 1
    eventually(lambda: leader(kubectl), accept=lambda name: name not in {"", old})
    for name in (ends_meanwhile, ends_after, created):
        came_through(namespace, name)
    assert len(books.records(namespace.name, 3)) == 3
    assert machine.writes(old, namespace.name, since=woken) == []
    namespace.no_pods()
