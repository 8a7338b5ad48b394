"""The state machine under any order of events: one start, one end, one result.

Fakes stand at the seams: the worker's process, the jobs, the connection, the clock.
"""

import json

from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.supervised import World

from mayfly_runtime.agent.supervisor import Phase

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
