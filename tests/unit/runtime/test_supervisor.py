"""The state machine under any order of events: one start, one end, one result.

Fakes stand at the seams: the worker's process, the jobs, the connection, the clock.
"""

import json
from pathlib import Path
from types import SimpleNamespace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mayfly_runtime.agent.child import Said, Silent
from mayfly_runtime.agent.jobs import Fetched, FetchFailed
from mayfly_runtime.agent.logs import LogBuffer
from mayfly_runtime.agent.messages import Ack, Cancel, Limits, Retire, Welcome, Work
from mayfly_runtime.agent.session import Closed, Opened, Received
from mayfly_runtime.agent.supervisor import Phase, Supervisor, Terminated
from mayfly_runtime.agent.warming import Warming

WORK = Work("r", 1, "t", {}, "main.py:main", "{}", {}, 5_000, 5_000, Limits(cancelGraceMs=1_000))


class Clock:
    now = 1_000_000_000

    def monotonic_ns(self):
        return self.now

    def stamp(self, at):
        return f"{at:020d}"


class Connection:
    def __init__(self):
        self.backlog = 0
        self.sent, self.waiting = [], []

    def send(self, data, *, wake=True):
        self.waiting.append(json.loads(data))
        if wake:
            self.wake()

    def wake(self):
        self.sent += self.waiting
        self.waiting = []

    def close(self):
        pass


class Child:
    def __init__(self):
        self.status, self.silent, self.log_closed = None, False, False
        self.told, self.interrupted = [], 0

    def send(self, message):
        self.told.append(message["op"])

    def allow(self, limits):
        pass

    def took(self):
        pass

    def interrupt(self):
        self.interrupted += 1

    def kill(self):
        self.status = 9 if self.status is None else self.status
        self.silent = self.log_closed = True


class World:
    """A supervisor and all that may happen to it."""

    def __init__(self, folder):
        self.clock, self.child, self.connection = Clock(), Child(), None
        self.connections = []
        self.jobs = SimpleNamespace(
            uploads=lambda _limits: None, fetch=lambda *_: None, read_input=lambda _: None
        )
        self.file = Path(folder) / "termination"
        self.supervisor = Supervisor(
            clock=self.clock, inbox=None, child=self.child,
            warming=Warming(self.child, None), log=LogBuffer(10_000),
            jobs=self.jobs, oom=SimpleNamespace(grew=lambda: False),
            termination_log=self.file, say=lambda _: None,
        )  # fmt: skip

    def happen(self, event):
        if self.supervisor._exit is not None:
            return
        getattr(self, event)()
        self.supervisor._pass_deadlines(self.clock.monotonic_ns())
        self.supervisor._advance()

    def _from_gateway(self, message):
        if self.connection is not None:
            self.supervisor._handle(Received(self.connection, message))

    def connect(self):
        self.connection = Connection()
        self.connections.append(self.connection)
        self.supervisor._handle(Opened(self.connection))
        self._from_gateway(Welcome(0, 0, recorded=False))

    def drop(self):
        if self.connection is not None:
            gone, self.connection = self.connection, None
            self.supervisor._handle(Closed(gone, 1006))

    def work(self):
        self._from_gateway(WORK)

    def other_work(self):
        self._from_gateway(WORK._replace(run="other"))

    def cancel(self):
        self._from_gateway(Cancel("r"))

    def parent_cancelled(self):
        self._from_gateway(Cancel("r", unlessStarted=True))

    def ack(self):
        self._from_gateway(Ack("r", 1))

    def retire(self):
        self._from_gateway(Retire())

    def terminate(self):
        self.supervisor._handle(Terminated())

    def _said(self, message):
        if self.child.status is None and not self.child.silent:
            self.supervisor._handle(Said(message, self.clock.now))

    def checked(self):
        self._said({"op": "checked", "files": []})

    def checked_with_file(self):
        self._said({"op": "checked", "files": [[["f"], "data:,x"]]})

    def loaded(self):
        self._said({"op": "loaded"})

    def failed(self):
        self._said({"op": "failed", "reason": "UserError", "error": "ValueError: x"})

    def item(self):
        self._said({"op": "output", "text": "1", "files": []})

    def over(self):
        self._said({"op": "over"})

    def finished(self):
        self._said({"op": "finished", "text": "2", "files": [], "stream": False})

    def nonsense(self):
        self._said({"op": "result", "outcome": "succeeded"})

    def fetched(self):
        self.supervisor._handle(Fetched([]))

    def fetch_failed(self):
        self.supervisor._handle(FetchFailed("no"))

    def dies(self):
        self.child.kill()
        self.supervisor._handle(Silent("it is closed", self.clock.now))

    def channel_breaks(self):
        self.child.silent = True
        self.supervisor._handle(Silent("a message that is not JSON", self.clock.now))

    def second(self):
        self.clock.now += 1_000_000_000

    def moment(self):
        self.clock.now += 300_000_000

    def minute(self):
        self.clock.now += 60_000_000_000


EVENTS = [name for name in vars(World) if not name.startswith("_") and name != "happen"]
LIKELY = ["connect", "work", "checked", "loaded", "item", "finished", "second"]


def sent(world, kind):
    return [m for c in world.connections for m in c.sent if m["type"] == kind]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(EVENTS) | st.sampled_from(LIKELY), max_size=40))
def test_any_order_of_events(tmp_path_factory, events):
    world = World(tmp_path_factory.getbasetemp())
    world.file.unlink(missing_ok=True)
    ended_at = None
    for event in ["connect", "work", *events]:
        world.happen(event)
        result = world.supervisor._result
        if result is not None and ended_at is None:
            ended_at = result
        assert result is ended_at  # a result never changes
    assert world.child.told.count("load") <= 1
    assert world.child.told.count("go") <= 1
    assert len(sent(world, "accepted")) == 1
    assert len({m["at"] for m in sent(world, "started")}) <= 1
    assert bool(sent(world, "started")) <= ("go" in world.child.told)
    assert len({json.dumps(m) for m in sent(world, "result")}) <= 1
    left = json.loads(world.file.read_bytes())
    assert left["started"] == ("go" in world.child.told)
    if ended_at is None:
        assert left["outcome"] is None
    else:
        assert left["outcome"] == ended_at.outcome
        assert ended_at.started == ("go" in world.child.told)
        assert (ended_at.activeMs > 0) <= ended_at.started
        assert (ended_at.outputJSON is not None) <= ended_at.started


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([e for e in EVENTS if e not in {"ack", "terminate"}]), max_size=30))
def test_every_accepted_run_ends_and_its_result_arrives(tmp_path_factory, events):
    world = World(tmp_path_factory.getbasetemp())
    for event in ["connect", "work", *events, "minute", "minute", "second", "second"]:
        if event == "minute" and world.supervisor._phase is Phase.DONE:
            continue  # a result waits for 15 minutes only
        world.happen(event)
    assert world.supervisor._phase is Phase.DONE
    world.happen("connect")
    assert world.connections[-1].sent[-1]["type"] == "result"
    world.happen("ack")
    assert world.supervisor._exit == 0


def test_a_cancel_before_and_after_the_start(tmp_path):
    before, after = World(tmp_path), World(tmp_path)
    for event in ["connect", "work", "checked", "cancel", "loaded"]:
        before.happen(event)
    assert before.child.interrupted == 0
    assert not before.supervisor._result.started
    for event in ["connect", "work", "checked", "loaded", "second", "cancel", "second", "second"]:
        after.happen(event)
    assert after.child.interrupted == 1
    result = after.supervisor._result
    assert (result.outcome, result.started, result.activeMs) == ("canceled", True, 2000)


def test_a_cancel_unless_started_is_answered_either_way(tmp_path):
    before, after = World(tmp_path), World(tmp_path)
    for event in ["connect", "work", "checked", "parent_cancelled", "loaded"]:
        before.happen(event)
    result = before.supervisor._result
    assert (result.outcome, result.started) == ("canceled", False)
    assert "go" not in before.child.told
    for event in ["connect", "work", "checked", "loaded", "parent_cancelled", "second", "second"]:
        after.happen(event)
    assert len(sent(after, "started")) == 2
    assert after.child.interrupted == 0
    assert after.supervisor._phase is Phase.RUNNING


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([*LIKELY, "drop", "parent_cancelled"]), max_size=20))
@example(["second"] * 5)  # its timeout
def test_a_parents_cancel_never_stops_what_has_started(tmp_path_factory, events):
    world = World(tmp_path_factory.getbasetemp())
    for event in ["connect", "work", "checked", "loaded", *events, "parent_cancelled"]:
        world.happen(event)
    stop = world.supervisor._attempt.run.stop
    assert stop is None or stop.reason == "TimedOut"
    assert world.child.interrupted == (stop is not None)
    result = world.supervisor._result
    assert result is None or result.outcome != "canceled"


def billed(world, *events):
    for event in ["connect", "work", "checked", "loaded", *events]:
        world.happen(event)
    return world.supervisor._result.activeMs


def test_an_output_that_takes_its_time_to_be_told_is_not_billed(tmp_path):
    assert billed(World(tmp_path), "second", "over", "moment", "finished") == 1000
    assert billed(World(tmp_path), "second", "over", "moment", "failed") == 1000


def test_a_channel_that_breaks_ends_the_run_and_its_meter_there(tmp_path):
    world = World(tmp_path)
    assert billed(world, "second", "channel_breaks", "moment", "moment") == 1000
    result = world.supervisor._result
    assert (result.outcome, result.reason) == ("failed", "Exited")
    assert result.error.endswith("its channel to the agent broke: a message that is not JSON")


def test_a_worker_that_exits_just_after_its_channel_closed_is_judged_by_its_exit(tmp_path):
    world = World(tmp_path)
    billed(world, "channel_breaks", "moment", "dies")
    assert world.supervisor._result.error == (
        "the process was ended by SIGKILL (killed) before main() returned"
    )


def test_a_channel_that_breaks_before_the_start_lets_nothing_start(tmp_path):
    world = World(tmp_path)
    events = ["connect", "work", "checked_with_file", "loaded", "channel_breaks", "fetched"]
    for event in [*events, "moment", "moment"]:
        world.happen(event)
    result = world.supervisor._result
    assert (result.reason, result.started, result.activeMs) == ("Exited", False, 0)


def test_code_that_runs_on_after_main_is_free_for_a_second_only(tmp_path):
    assert billed(World(tmp_path), "over", "second", "second", "second", "finished") == 2000


def test_a_forged_end_of_main_is_void_once_the_true_one_is_told(tmp_path):
    events = ["over", "moment", "moment", "over", "moment", "finished"]
    assert billed(World(tmp_path), *events) == 600


def test_the_end_of_main_told_before_its_start_is_nonsense(tmp_path):
    world = World(tmp_path)
    for event in ["connect", "work", "checked", "over", "second", "second"]:
        world.happen(event)
    result = world.supervisor._result
    assert (result.reason, result.started, result.activeMs) == ("Exited", False, 0)


def test_a_heartbeat_tells_the_time_of_main_alone(tmp_path):
    world = World(tmp_path)
    seconds = ["second"] * 4
    for event in ["connect", "work", "checked", "loaded", *seconds, "over", "moment"]:
        world.happen(event)
    assert world.supervisor._attempt.run.active_ms(world.clock.now) == 4000


def test_a_main_that_ended_in_time_does_not_time_out_while_its_output_is_told(tmp_path):
    world = World(tmp_path)  # its timeout is 5 s
    events = [*["second"] * 4, *["moment"] * 3, "over", "moment", "finished"]
    assert billed(world, *events) == 4900
    assert world.supervisor._result.outcome == "succeeded"


def test_a_main_that_never_comes_to_its_end_times_out_although_it_said_so(tmp_path):
    world = World(tmp_path)
    for event in ["connect", "work", "checked", "loaded", "over", *["second"] * 9]:
        world.happen(event)
    assert world.supervisor._result.reason == "TimedOut"


def test_an_unexpected_error_ends_the_run_in_words_and_pid_1_lives(tmp_path):
    world = World(tmp_path)
    world.happen("connect")
    world.happen("work")
    world.supervisor._on_unexpected(KeyError("a\x1bb"))
    world.happen("connect")
    assert world.supervisor._phase is Phase.DONE
    told = json.loads(world.file.read_bytes())
    assert (told["outcome"], told["reason"]) == ("failed", "InternalError")
    assert "KeyError" in told["error"]
    assert "\x1b" not in told["error"]
    assert world.supervisor._exit is None


def test_an_agent_that_fails_at_everything_leaves_with_what_is_known(tmp_path):
    world = World(tmp_path)
    world.happen("connect")
    world.happen("work")
    supervisor = world.supervisor

    def broken(*_):
        raise RuntimeError("broken")

    supervisor._next = lambda _: None
    supervisor._advance = supervisor._leave = broken
    assert supervisor.live() == 1
    assert world.child.status is not None
    assert json.loads(world.file.read_bytes())["run"] == "r"
