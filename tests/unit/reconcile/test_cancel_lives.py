"""A cancelled parent and its children under random events (invariant 3).

Two controllers plan on old news, the gateway steps when it likes, agents start when they like.
After CancelAccepted=True nothing unstarted below starts, and nothing started is ever stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.builders import NOW, claimed, pod, run, seen, target
from support.lengths import length

from mayfly.api.v1alpha1 import PipelineRun, Reason
from mayfly.api.v1alpha1.conditions import ConditionType, find, is_true
from mayfly.gateway.runs import steps
from mayfly.gateway.runs.steps import Facts, Link, Step
from mayfly.metering.ledger import RunRow
from mayfly.reconcile.actions import WriteRunStatus
from mayfly.reconcile.ending import End, ended
from mayfly.reconcile.lineage import canceled_above, lineage, reaches_children
from mayfly.reconcile.run import plan_run

PARENT = "0190163d-8694-739b-aea5-966c26f8ad91"


@dataclass(eq=False)
class Child:
    """A child as the API server has it, and what its agent makes of it."""

    run: PipelineRun
    link: Link = Link.IDLE
    agent: str = "idle"
    told: str = ""
    heard: str = ""
    stopped: bool = False

    @property
    def settled(self) -> bool:
        """What the gateway knows: an end, or the word that it has started."""
        return self.run.status.ended or self.heard in {"started", "over"}


def bumped(the_run: PipelineRun, **changes: object) -> PipelineRun:
    version = str(int(the_run.metadata.resource_version) + 1)
    metadata = the_run.metadata.model_copy(update={"resource_version": version})
    return the_run.model_copy(update={"metadata": metadata, **changes})


class CancelLives(RuleBasedStateMachine):
    @initialize(count=st.integers(1, 2), early=st.booleans())
    def begin(self, count: int, early: bool) -> None:
        self.early = early
        status = claimed().status.model_copy(
            update={"depth": 1, "root_ref": target().root.model_copy(update={"uid": PARENT})}
        )
        parent = claimed()
        metadata = parent.metadata.model_copy(update={"name": "parent", "uid": PARENT})
        self.parent = parent.model_copy(update={"metadata": metadata, "status": status})
        self.children = [self.made() for _ in range(count)]
        # What each controller has read of a parent, to claim a child by later.
        self.read: dict[tuple[int, int], tuple[PipelineRun, PipelineRun]] = {}
        self.accepted = False

    def made(self) -> Child:
        return Child(run(parentRef={"name": "parent", "uid": PARENT}))

    def child(self, number: int) -> Child:
        return self.children[number % len(self.children)]

    # Controllers

    @rule(which=st.integers(0, 1), number=st.integers(0, 3))
    def reads(self, which: int, number: int) -> None:
        child = self.child(number)
        self.read[which, number % len(self.children)] = (child.run, self.parent)

    @rule(which=st.integers(0, 1), number=st.integers(0, 3))
    def acts_on_what_it_read(self, which: int, number: int) -> None:
        known = self.read.get((which, number % len(self.children)))
        if known is None or known[0].status.pod_uid:
            return
        old, parent = known
        found = lineage(old, parent, 250)
        plan = plan_run(
            seen(old, next_pod=pod(), resolution=found.problem or target(), place=found.place)
        )
        child = self.child(number)
        for action in plan.actions:
            if isinstance(action, WriteRunStatus) and (
                action.resource_version == child.run.metadata.resource_version
            ):
                child.run = bumped(child.run, status=action.status)

    @rule()
    @precondition(lambda self: self.parent.spec.cancel)
    def controller_stops_claims(self) -> None:
        if not self.parent.spec.cancel or self.parent.status.ended:
            return
        for action in plan_run(seen(self.parent, pod=pod())).actions:
            if isinstance(action, WriteRunStatus):
                self.parent = bumped(self.parent, status=action.status)

    @rule(which=st.integers(0, 1))
    def reads_and_acts(self, which: int) -> None:
        for number in range(len(self.children)):
            self.reads(which, number)
            self.acts_on_what_it_read(which, number)

    # People and the parent's own code

    @rule(heard=st.booleans())
    @precondition(lambda self: self.early or self.those("loading", "started"))
    def someone_cancels(self, heard: bool) -> None:
        spec = self.parent.spec.model_copy(update={"cancel": True})
        self.parent = bumped(self.parent, spec=spec)
        if heard:
            self.controller_stops_claims()

    @rule()
    @precondition(lambda self: len(self.children) < 3)
    def the_parent_makes_another(self) -> None:
        """Also one whose request was on its way when the parent was cancelled."""
        self.children.append(self.made())

    # Agents

    def those(self, *states: str) -> list[Child]:
        return [each for each in getattr(self, "children", ()) if each.agent in states]

    @rule(number=st.integers(0, 5))
    @precondition(lambda self: self.those("loading"))
    def agent_starts(self, number: int) -> None:
        loading = self.those("loading")
        child = loading[number % len(loading)]
        child.agent = "started"
        assert not self.accepted

    @rule(number=st.integers(0, 5))
    @precondition(lambda self: any(each.told for each in self.those("loading", "started")))
    def agent_hears_the_cancel(self, number: int) -> None:
        child = self.child(number)
        if child.told and child.agent == "loading":
            child.agent = "over"
        elif child.told == "cancel" and child.agent == "started":
            child.stopped = True

    @rule(number=st.integers(0, 5))
    @precondition(lambda self: self.those("started", "over"))
    def gateway_hears_the_agent(self, number: int) -> None:
        child = self.child(number)
        if child.agent in {"started", "over"}:
            child.heard = child.agent

    # The gateway

    @rule(parent_too=st.booleans())
    def gateway_looks(self, parent_too: bool) -> None:
        for child in self.children:
            self.step(child)
        if parent_too:
            self.gateway_looks_at_the_parent()

    def step(self, child: Child) -> None:
        above = canceled_above("parent").message if reaches_children(self.parent) else ""
        row = RunRow(
            uid="u", id="0" * 26, namespace="team", name="run", pipeline_namespace="team",
            pipeline="p", version="", root_uid=PARENT, parent_uid=PARENT, depth=2,
            runtime_digest="", prices="[]", currency="USD", input_json="{}", created_at=NOW,
            opened_at=NOW, pod_uid="pod", attempt=child.run.status.attempt or 0, sent_at=NOW,
            started_at=NOW if child.heard == "started" else None,
            outcome="canceled" if child.heard == "over" else None,
        )  # fmt: skip
        facts = Facts(
            run=child.run, row=row, link=child.link, pod_seen=True, cancel_sent=False, sent=NOW,
            now=NOW, started_write=timedelta(days=1), cancel_unless_started_sent=bool(child.told),
            canceled_above=above,
        )  # fmt: skip
        match steps.decide(facts):
            case Step.SEND:
                child.link, child.agent = Link.OURS, "loading"
            case Step.CANCEL_UNLESS_STARTED:
                child.told = "spare"
            case Step.CANCEL:
                child.told = "cancel"
            case Step.RETIRE | Step.END:
                end = End(Reason.CANCELED, "", started=False)
                child.run = bumped(child.run, status=ended(child.run, end, now=NOW))
            case _:
                pass

    @rule()
    @precondition(lambda self: self.parent.spec.cancel)
    def gateway_looks_at_the_parent(self) -> None:
        stopped = find(self.parent.status.conditions, ConditionType.CANCEL_ACCEPTED)
        if stopped is None or is_true(self.parent.status.conditions, ConditionType.CANCEL_ACCEPTED):
            return
        open_below = not all(each.settled for each in self.children)
        row = None
        facts = Facts(
            run=self.parent, row=row, link=Link.OURS, pod_seen=True, cancel_sent=True, sent=NOW,
            now=NOW, started_write=timedelta(days=1), open_below=open_below,
        )  # fmt: skip
        if steps._cancelled(facts) is Step.ACCEPT_CANCEL:
            self.accept()

    def accept(self) -> None:
        conditions = tuple(
            each.model_copy(update={"status": "True"})
            if each.type == ConditionType.CANCEL_ACCEPTED
            else each
            for each in self.parent.status.conditions
        )
        status = self.parent.status.model_copy(update={"conditions": conditions})
        self.parent = bumped(self.parent, status=status)
        # Whoever imports now could start before it hears of anything.
        assert not self.those("loading")
        self.accepted = True

    # What must hold

    @invariant()
    def nothing_started_is_stopped(self) -> None:
        assert not any(each.stopped for each in getattr(self, "children", ()))

    @invariant()
    def what_starts_was_claimed(self) -> None:
        for each in getattr(self, "children", ()):
            assert each.agent == "idle" or each.run.status.pod_uid

    def teardown(self) -> None:
        """Left to themselves, all answer, the cancel is accepted, and what had not started ends."""
        if not hasattr(self, "parent") or not self.parent.spec.cancel:
            return
        for _ in range(8):
            self.controller_stops_claims()
            for number in range(len(self.children)):
                self.reads(0, number)
                self.acts_on_what_it_read(0, number)
                self.step(self.children[number])
                self.agent_hears_the_cancel(number)
                self.gateway_hears_the_agent(number)
            self.gateway_looks_at_the_parent()
        assert is_true(self.parent.status.conditions, ConditionType.CANCEL_ACCEPTED)
        for each in self.children:
            assert each.agent == "started" or each.run.status.ended
            assert not (each.agent == "started" and each.run.status.ended)


CancelLives.TestCase.settings = settings(
    max_examples=length(200, 400), stateful_step_count=40, deadline=None
)
TestCancelLives = CancelLives.TestCase
