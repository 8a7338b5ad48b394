"""The lock between processes."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from localcluster import lock
from localcluster.lock import exclusive

HOLD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from localcluster.lock import exclusive
with exclusive(Path(sys.argv[2]), "test"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "folder" / "the.lock"


@pytest.fixture
def waits(monkeypatch) -> threading.Event:
    """Set as soon as somebody says that they wait."""
    event = threading.Event()
    monkeypatch.setattr(lock, "note", lambda _: event.set())
    return event


@pytest.fixture
def holder(path):
    source = Path(lock.__file__).parents[1]
    command = [sys.executable, "-IS", "-c", HOLD, str(source), str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "held\n"
        yield child
        if not child.stdin.closed:
            child.stdin.close()


def take(path: Path) -> bool:
    with exclusive(path, "test"):
        return path.exists()


def test_taken_and_removed(path, waits):
    with exclusive(path, "test"):
        assert path.exists()
    assert not path.exists()
    assert not waits.is_set()


def test_released_by_an_exception(path, waits):
    with pytest.raises(ValueError, match="inside"), exclusive(path, "test"):
        raise ValueError("inside")
    assert not path.exists()
    assert take(path)
    assert not waits.is_set()


def test_another_process_keeps_us_out_until_it_ends(path, holder, waits):
    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(take, path)
        assert waits.wait(60)
        assert not taken.done()
        holder.stdin.close()
        assert taken.result(60)
    assert not path.exists()


def test_a_killed_holder_blocks_nobody(path, holder, waits):
    holder.kill()
    holder.wait()
    assert path.exists()  # it could not tidy up
    assert take(path)
    assert not waits.is_set()
    assert not path.exists()


def test_who_waited_on_a_removed_file_still_excludes_others(path, monkeypatch):
    """The first removes the file, the second waited on it: a third must meet the second."""
    waiting = {name: threading.Event() for name in ("second", "third")}
    inside, leave = threading.Event(), threading.Event()
    monkeypatch.setattr(lock, "note", lambda text: waiting[text.rpartition(" ")[2]].set())

    def second() -> None:
        with exclusive(path, "second"):
            inside.set()
            assert leave.wait(60)

    def third() -> bool:
        with exclusive(path, "third"):
            return leave.is_set()

    with ThreadPoolExecutor(2) as pool:
        with exclusive(path, "first"):
            two = pool.submit(second)
            assert waiting["second"].wait(60)
        assert inside.wait(60)
        assert path.exists()
        three = pool.submit(third)
        assert waiting["third"].wait(60)
        leave.set()
        assert three.result(60)
        two.result(60)
    assert not path.exists()


def test_whether_a_name_still_means_the_file(tmp_path):
    path = tmp_path / "file"
    with path.open("w") as stream:
        assert lock._still_named(path, stream.fileno())
        path.unlink()
        assert not lock._still_named(path, stream.fileno())
        path.touch()
        assert not lock._still_named(path, stream.fileno())
