"""Whole lives of a run under random events: crashes, stale looks, lost pods, cancels.

The planner decides for several controllers at once, each of which may act on old news, die between
two actions, or wake up late. The world plays API server (resourceVersion, one name one pod),
kubelet and gateway. Invariants 1, 2 and 8 of a single run must hold in every world.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.builders import NOW, UID, run, seen, target

from mayfly.api.v1alpha1 import PipelineRun, Reason
from mayfly.api.v1alpha1.conditions import ConditionType, find
from mayfly.reconcile.actions import CreatePod, DeletePod, WriteRunStatus
from mayfly.reconcile.ending import End, ended
from mayfly.reconcile.observed import ObservedPod, Terminated
from mayfly.reconcile.run import plan_run


@dataclass
class Pod:
    """A pod of the world: what a kubelet and an agent make of it."""

    view: ObservedPod
    began: bool = False
    """The user's code has begun in it."""


@dataclass
class Look:
    """What one controller has seen; it may be old."""

    run: PipelineRun
    pods: dict[str, ObservedPod]


@dataclass
class World:
    """The API server's truth."""

    run: PipelineRun
    pods: dict[str, Pod] = field(default_factory=dict)
    made: int = 0

    def write(self, action: WriteRunStatus) -> bool:
        if action.resource_version != self.run.metadata.resource_version:
            return False
        version = str(int(self.run.metadata.resource_version) + 1)
        metadata = self.run.metadata.model_copy(update={"resource_version": version})
        self.run = self.run.model_copy(update={"status": action.status, "metadata": metadata})
        return True


class Lives(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.ends = 0
        self.told: set[tuple[str, str]] = set()

    @initialize(cancel_late=st.booleans())
    def begin(self, cancel_late: bool) -> None:
        self.world = World(run())
        self.looks = [self.fresh(), self.fresh()]
        self.cancel_late = cancel_late

    def fresh(self) -> Look:
        return Look(self.world.run, {name: pod.view for name, pod in self.world.pods.items()})

    # Controllers

    @rule(which=st.integers(0, 1))
    def hears(self, which: int) -> None:
        """A controller's watch catches up; what it saw of a pod stays known when that is gone."""
        known = self.looks[which].pods
        look = self.fresh()
        for name, view in known.items():
            if name not in look.pods:
                look.pods[name] = replace(view, gone=True, noticed=view.noticed or self.now)
        self.looks[which] = look

    @rule(which=st.integers(0, 1), dies_after=st.integers(0, 3))
    def acts(self, which: int, dies_after: int) -> None:
        """A controller plans on what it knows and carries out some of it."""
        look = self.looks[which]
        status = look.run.status
        claimed = look.pods.get(status.pod_name or "")
        if status.pod_uid and (claimed is None or claimed.uid != status.pod_uid):
            claimed = self.ask(look, status.pod_name or "", status.pod_uid)
        name = f"mayfly-{(status.attempt or 0) + 1}"
        coming = look.pods.get(name)
        plan = plan_run(
            seen(
                look.run,
                now=self.now,
                pod=claimed,
                next_pod=coming if coming is not None and not coming.gone else None,
                strays=tuple(
                    pod
                    for other, pod in look.pods.items()
                    if other != name and pod.uid != status.pod_uid and not pod.gone
                ),
                resolution=target(),
            )
        )
        assert all(event.note for event in plan.events)
        for action in plan.actions[:dies_after]:
            if not self.carry_out(look, name, action):
                return
        if dies_after >= len(plan.actions):
            self.told |= {(event.reason, event.occasion) for event in plan.events}

    def ask(self, look: Look, name: str, uid: str) -> ObservedPod:
        """A controller that knows nothing of a claimed pod asks, and remembers."""
        live = self.world.pods.get(name)
        if live is not None and live.view.uid == uid:
            look.pods[name] = live.view
            return live.view
        key = f"unseen {uid}"
        if key not in look.pods:
            look.pods[key] = ObservedPod(name, uid, gone=True, unseen=True, noticed=self.now)
        return look.pods[key]

    def carry_out(self, look: Look, name: str, action: object) -> bool:
        match action:
            case CreatePod():
                if name not in self.world.pods:
                    self.world.made += 1
                    self.world.pods[name] = Pod(ObservedPod(name, f"uid-{self.world.made}"))
                look.pods[name] = self.world.pods[name].view
            case DeletePod(_, gone, uid, _):
                there = self.world.pods.get(gone)
                if there is not None and there.view.uid == uid:
                    del self.world.pods[gone]
            case WriteRunStatus():
                before = self.world.run.status.ended
                if not self.world.write(action):
                    return False
                self.ends += int(self.world.run.status.ended and not before)
                look.run = self.world.run
        return True

    # Kubelet, agent, gateway, people

    @rule(data=st.data())
    @precondition(lambda self: self.world.pods)
    def container_starts(self, data: st.DataObject) -> None:
        pod = data.draw(st.sampled_from(sorted(self.world.pods)))
        there = self.world.pods[pod]
        if not there.view.over:
            there.view = replace(there.view, phase="Running", ever_started=True)

    @rule()
    @precondition(lambda self: self.claimed_pod() is not None)
    def work_is_accepted(self) -> None:
        """The gateway sends work to the claimed pod only, and never for an ended run."""
        there = self.claimed_pod()
        if there.view.ever_started and not there.view.over and not self.world.run.status.ended:
            there.began = True

    @rule(how=st.sampled_from(["gone", "failed", "crashed"]), data=st.data())
    @precondition(lambda self: self.world.pods)
    def pod_is_over(self, how: str, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.world.pods)))
        there = self.world.pods[name]
        if how == "gone":
            self.forgotten = there
            del self.world.pods[name]
            self.began_somewhere = self.began() or there.began
        elif how == "failed":
            there.view = replace(there.view, phase="Failed", noticed=self.now)
        elif there.view.ever_started:
            there.view = replace(
                there.view, phase="Failed", terminated=Terminated(1), noticed=self.now
            )

    @rule()
    @precondition(lambda self: self.claimed_pod() is not None and self.claimed_pod().began)
    def gateway_ends_it(self) -> None:
        the_run = self.world.run
        if the_run.status.ended:
            return
        status = ended(the_run, End(Reason.SUCCEEDED, started=True), now=self.now)
        status = status.model_copy(update={"recorded": True, "finished": True})
        assert self.world.write(
            WriteRunStatus("team", "run", the_run.metadata.resource_version, status)
        )
        self.ends += 1

    @rule()
    def someone_cancels(self) -> None:
        if not self.cancel_late:
            return
        spec = self.world.run.spec.model_copy(update={"cancel": True})
        version = str(int(self.world.run.metadata.resource_version) + 1)
        metadata = self.world.run.metadata.model_copy(update={"resource_version": version})
        self.world.run = self.world.run.model_copy(update={"spec": spec, "metadata": metadata})

    @rule(seconds=st.sampled_from([1, 11, 61, 400]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    # What must hold

    began_somewhere = False

    def began(self) -> bool:
        return self.began_somewhere or any(pod.began for pod in self.world.pods.values())

    def claimed_pod(self) -> Pod | None:
        status = self.world.run.status
        there = self.world.pods.get(status.pod_name or "")
        return there if there is not None and there.view.uid == status.pod_uid else None

    @invariant()
    def at_most_one_pod_began(self) -> None:
        if not hasattr(self, "world"):
            return
        began = [pod for pod in self.world.pods.values() if pod.began]
        gone = getattr(self, "forgotten", None)
        assert len(began) + int(gone is not None and gone.began and gone not in began) <= 1

    @invariant()
    def it_ends_at_most_once(self) -> None:
        assert self.ends <= 1

    @invariant()
    def its_end_is_told_if_bad_and_only_by_one_reason(self) -> None:
        if not hasattr(self, "world"):
            return
        ends = [reason for reason, occasion in self.told if occasion == "end"]
        succeeded = find(self.world.run.status.conditions, ConditionType.SUCCEEDED)
        well = succeeded is None or succeeded.status == "True"
        assert ends == [] if well else ends in ([], [succeeded.reason])

    @invariant()
    def attempts_are_bounded(self) -> None:
        if hasattr(self, "world"):
            assert (self.world.run.status.attempt or 0) <= 3

    def teardown(self) -> None:
        """Left to itself, with a live controller, the run ends and no pod stays."""
        if not hasattr(self, "world"):
            return
        for _ in range(60):
            self.hears(0)
            self.acts(0, 3)
            self.now += timedelta(seconds=400)
            there = self.claimed_pod()
            if there is not None and there.began and not there.view.over:
                self.gateway_ends_it()
            if self.world.run.status.ended and not self.world.pods:
                break
        assert self.world.run.status.ended
        assert self.world.pods == {}
        assert self.ends == 1
        assert self.world.run.metadata.uid == UID
        self.its_end_is_told_if_bad_and_only_by_one_reason()


Lives.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestLives = Lives.TestCase
