"""A pod that waits for its run: what PID 1 does before there is work, and when it comes."""

import json

import pytest
from support.supervised import WORK, World

from mayfly_runtime.agent.child import Said
from mayfly_runtime.agent.supervisor import Phase
from mayfly_runtime.agent.warming import READ_EARLY, Warming


class Waiting(World):
    """A pod that is to wait for its run."""

    def __init__(self, folder):
        super().__init__(folder)
        self.ready = folder / "ready"
        self.warming = Warming(self.child, self.ready)
        self.supervisor._warming = self.warming
        self.warming.begin()

    def warmed(self):
        self.supervisor._handle(Said({"op": "warmed", "broken": {}}, self.clock.now))

    def unwarmed(self):
        self.supervisor._handle(Said({"op": "unwarmed", "error": "T\nE: no"}, self.clock.now))


@pytest.fixture
def world(tmp_path):
    return Waiting(tmp_path)


def happens(world, *events):
    for event in events:
        world.happen(event)


def said(world):
    """The types of what the gateway was told."""
    return [message["type"] for each in world.connections for message in each.sent]


def test_a_cold_pod_is_told_nothing(tmp_path):
    world = World(tmp_path)
    world.supervisor._warming.begin()
    happens(world, "connect", "work")
    assert world.child.told == ["load"]


def test_it_is_ready_when_the_worker_is_warm_and_not_before(world):
    happens(world, "connect")
    assert world.child.told == ["warm"]
    assert not world.ready.exists()
    happens(world, "warmed")
    assert world.ready.exists()


def test_the_file_is_gone_when_the_work_is_given_to_the_worker(world):
    given = []
    world.child.send = lambda _message: given.append(world.ready.exists())
    happens(world, "connect", "warmed", "work")
    assert given == [False]
    assert not world.ready.exists()


def test_work_waits_for_a_worker_that_warms_up_and_its_import_has_all_its_time(world):
    happens(world, "connect", "work", "second")
    assert (world.child.told, world.supervisor._phase) == (["warm"], Phase.LOADING)
    assert "import" not in world.supervisor._deadlines
    happens(world, "warmed")
    assert world.child.told == ["warm", "load"]
    limit = WORK.limits.importMs * 1_000_000
    assert world.supervisor._deadlines["import"] == world.clock.now + limit
    assert not world.ready.exists()


@pytest.mark.parametrize("late", ["warmed", "unwarmed"])
def test_a_cancel_while_the_worker_warms_up_is_the_end(world, late):
    happens(world, "connect", "work", "cancel", late)
    assert world.child.told == ["warm"]
    assert world.supervisor._result.outcome == "canceled"


def test_a_worker_that_cant_be_warmed_up_ends_the_pod(world):
    happens(world, "connect", "unwarmed")
    assert world.supervisor._exit == 1
    assert said(world) == ["hello", "leaving"]
    assert world.file.read_text() == "the worker can't be warmed up: E: no\n"


def test_or_the_run_that_the_pod_has(world):
    happens(world, "connect", "work", "unwarmed")
    result = world.supervisor._result
    assert (result.reason, result.started) == ("InternalError", False)
    assert result.error == "the worker can't be warmed up: E: no"
    assert json.loads(world.file.read_bytes())["reason"] == "InternalError"


def test_a_pod_whose_ready_file_cant_be_made_ends(world):
    world.warming._file = world.ready / "in a folder that is not there"
    happens(world, "connect", "warmed")
    assert world.supervisor._exit == 1
    assert world.file.read_text().startswith("the pod can't say that it is ready: ")


@pytest.mark.parametrize("name", READ_EARLY)
@pytest.mark.parametrize("place", ["secrets", "files"])
def test_a_run_that_may_set_what_was_read_early_has_a_fresh_worker(world, name, place):
    work = WORK._replace(
        **{place: {f"{name}X" if place == "secrets" else "a.py": f"x = '{name}X'"}}
    )
    world.happen("connect")
    world.happen("warmed")
    world._from_gateway(work)
    assert world.child.told == ["warm", "afresh", "load"]


def test_a_secret_is_judged_by_its_name(world):
    assert not world.warming.came_too_early(WORK._replace(secrets={"KEY": "OMP_NUM_THREADS"}))
    assert world.warming.came_too_early(WORK._replace(secrets={"OMP_NUM_THREADS": "KEY"}))
