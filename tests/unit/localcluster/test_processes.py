"""Processes: started detached, recorded, and stopped only while they are still ours."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from support.waiting import eventually

from localcluster.failure import Failure
from localcluster.node import processes
from localcluster.node.processes import Process, Processes, Program
from localcluster.state import write

PAUSE = [sys.executable, "-IS", "-c", "import signal; signal.pause()"]
ECHO = [
    sys.executable,
    "-IS",
    "-c",
    "import sys; [print(x, end='', flush=True) for x in sys.stdin]",
]


@pytest.fixture
def ours(here):
    made = Processes(here)
    yield made
    for record in made.recorded():
        made.stop(record.name, grace=0)


@pytest.fixture
def bystander():
    """Somebody else's process, which answers as long as it lives."""
    with subprocess.Popen(ECHO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        yield child
        child.stdin.close()


def lives(child: subprocess.Popen) -> bool:
    child.stdin.write("still there?\n")
    child.stdin.flush()
    return child.stdout.readline() == "still there?\n"


def record_of(pid: int, name: str = "program") -> Process:
    return Process(name, pid, processes._start_time(pid), processes._boot(), "inputs")


def put(here, record: Process) -> None:
    write(here.processes / f"{record.name}.json", json.dumps(asdict(record)))


def test_a_record_of_a_living_process(bystander):
    assert record_of(bystander.pid).alive()


@pytest.mark.parametrize(
    "difference",
    [
        {"started": "1"},
        {"started": ""},
        {"boot": "11111111-2222-3333-4444-555555555555"},
        {"started": "1", "boot": "another"},
    ],
)
def test_a_pid_that_belongs_to_somebody_else_is_never_killed(
    here, ours, bystander, signals, difference
):
    put(here, replace(record_of(bystander.pid), **difference))
    assert not ours.running("program")
    ours.stop("program")
    assert signals == []
    assert lives(bystander)
    assert ours.recorded() == []


def test_a_start_leaves_whoever_has_the_pid_now_alone(here, ours, bystander, signals):
    put(here, replace(record_of(bystander.pid), started="1"))
    assert ours.start(Program("program", PAUSE))
    assert signals == []
    assert lives(bystander)
    assert ours.recorded()[0].pid != bystander.pid


def test_a_process_that_is_gone_is_not_alive():
    child = subprocess.Popen(PAUSE)
    record = record_of(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet reaped
    assert not record.alive()
    child.wait()
    assert not record.alive()


def test_one_that_ended_before_its_start_time_was_read_is_not_alive():
    with subprocess.Popen(PAUSE) as child:
        child.kill()
    assert not Process("program", child.pid, "", processes._boot(), "inputs").alive()


def test_the_start_time_survives_a_name_with_parentheses_and_spaces(tmp_path):
    odd = tmp_path / ") R 1 (x"
    odd.symlink_to("/bin/cat")
    with subprocess.Popen([odd], stdin=subprocess.PIPE) as child:
        assert int(processes._start_time(child.pid)) >= int(processes._start_time(os.getpid())) > 0


def test_started_detached_and_only_once(ours):
    program = Program("program", PAUSE)
    assert ours.start(program)
    (record,) = ours.recorded()
    assert os.getsid(record.pid) == record.pid
    assert ours.running("program")
    assert not ours.start(program)
    assert ours.recorded() == [record]


def test_another_command_line_or_configuration_restarts(ours, tmp_path):
    config = tmp_path / "config"
    config.write_text("one")
    program = Program("program", PAUSE, inputs=[config])
    ours.start(program)
    (first,) = ours.recorded()
    assert ours.current(program)

    config.write_text("two")
    assert not ours.current(program)
    assert ours.start(program)
    (second,) = ours.recorded()
    assert not first.alive()
    assert second.alive()

    assert ours.start(replace(program, command=[*PAUSE, "--more"]))
    assert not second.alive()


def test_a_killed_one_is_started_again_and_its_log_kept(ours, here):
    program = Program("program", [*PAUSE[:-1], "print('first', flush=True);" + PAUSE[-1]])
    ours.start(program)
    (record,) = ours.recorded()
    log = ours.log("program")
    log.write_text("last words\n")
    os.kill(record.pid, signal.SIGKILL)
    os.waitpid(record.pid, 0)
    assert not ours.running("program")
    assert ours.start(program)
    assert log.with_suffix(".log.before").read_text().startswith("last words\n")
    assert "last words" not in log.read_text()


def test_the_program_gets_its_environment_and_log(ours, here):
    code = "import os; print(os.environ['GIVEN'], os.getcwd())"
    program = Program("program", [sys.executable, "-IS", "-c", code], env={"GIVEN": "this"})
    ours.start(program)
    os.waitpid(ours.recorded()[0].pid, 0)
    assert ours.log("program").read_text() == "this /\n"


def test_stop_is_gentle_first(ours, signals):
    ours.start(Program("program", PAUSE))
    (record,) = ours.recorded()
    ours.stop("program")
    assert signals == [(record.pid, signal.SIGTERM)]
    assert not record.alive()
    assert ours.recorded() == []


def test_stop_uses_force_when_asked_in_vain(ours, signals, tmp_path):
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    code = (
        "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "open(sys.argv[1], 'w').close()\nwhile True: signal.pause()"
    )
    ours.start(Program("program", [sys.executable, "-IS", "-c", code, ready]))
    ready.read_text()  # until it has opened it, so it ignores SIGTERM by now
    (record,) = ours.recorded()
    ours.stop("program", grace=0)
    assert [number for _, number in signals] == [signal.SIGTERM, signal.SIGKILL]
    assert not record.alive()


def test_stop_of_what_never_ran(ours, signals):
    ours.stop("nothing")
    assert signals == []


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"name": "program"}'])
def test_a_damaged_record_is_none(ours, here, text):
    write(here.processes / "program.json", text)
    assert not ours.running("program")
    assert ours.recorded() == []
    assert ours.start(Program("program", PAUSE))
    assert ours.running("program")


def test_a_wait_ends_with_the_process_and_shows_its_log(ours, step):
    code = "print('cannot open port 1'); raise SystemExit(1)"
    ours.start(Program("broken", [sys.executable, "-IS", "-c", code]))
    ours.start(Program("fine", PAUSE))
    os.waitpid(ours.recorded()[0].pid, 0)
    with pytest.raises(Failure) as told:
        ours.wait(("broken", "fine"), lambda: False, "it answers", step)
    assert "broken ended" in str(told.value)
    assert "cannot open port 1" in str(told.value)
    assert str(ours.log("broken")) in str(told.value)


def test_a_wait_for_what_is_ready(ours, step):
    ours.start(Program("fine", PAUSE))
    answers = iter([False, True])
    ours.wait(("fine",), lambda: next(answers), "it answers", step)
    assert next(answers, "asked twice") == "asked twice"


def test_a_signal_to_nobody():
    with subprocess.Popen(PAUSE) as child:
        child.kill()
    processes.send(child.pid, signal.SIGTERM)


def test_a_paused_process_answers_when_it_is_resumed(ours):
    ours.start(Program("program", PAUSE))
    (record,) = ours.recorded()
    assert ours.pause("program")
    eventually(lambda: state_of(record.pid) == "T")
    assert ours.running("program")
    assert ours.resume("program")
    eventually(lambda: state_of(record.pid) == "S")


def test_a_paused_process_can_be_stopped(ours):
    ours.start(Program("program", PAUSE))
    ours.pause("program")
    ours.stop("program", grace=0)
    assert not ours.running("program")


def test_nobody_elses_process_is_paused(here, ours, bystander):
    put(here, replace(record_of(bystander.pid), started="1"))
    assert not ours.pause("program")
    assert not ours.resume("program")
    assert not ours.pause("unknown")
    assert lives(bystander)


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
