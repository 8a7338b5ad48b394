"""Works at once: one that fails ends the others."""

import signal
import sys
import threading
import time

import pytest

from localcluster import progress
from localcluster.failure import Failure
from localcluster.progress import Step, Stopped
from localcluster.side_by_side import side_by_side


def test_works_run_at_once():
    barrier = threading.Barrier(2, timeout=60)
    side_by_side(barrier.wait, barrier.wait)


def test_a_failure_ends_the_commands_of_the_others(tmp_path):
    running = threading.Event()
    ended = []

    def long() -> None:
        step = Step("long", tmp_path / "long.log")

        def far(_: str) -> progress.Far:
            return progress.Far("")

        running.set()
        try:
            step.run([sys.executable, "-IS", "-c", "import signal; signal.pause()"], far=far)
        except Stopped:
            ended.append("stopped")
            raise

    def fails() -> None:
        assert running.wait(60)
        time.sleep(0.2)
        raise Failure("no network")

    with pytest.raises(Failure, match="no network"):
        side_by_side(long, fails)
    assert ended == ["stopped"]
    assert not progress.STOPPING.is_set()


def test_an_interrupt_ends_them_all(tmp_path, request):
    def long() -> None:
        step = Step("long", tmp_path / "long.log")
        step.run([sys.executable, "-IS", "-c", "import signal; signal.pause()"])

    # A shell starts what works in the background with interrupts ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    here = threading.main_thread().ident
    threading.Timer(0.5, signal.pthread_kill, [here, signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        side_by_side(long)
    assert not progress.STOPPING.is_set()
