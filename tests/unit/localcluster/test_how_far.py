"""How far a step is: counted from what its command says, or by the time that it took before."""

import io
import time

import pytest

from localcluster.builds import golang, wheels
from localcluster.images import buildah
from localcluster.progress import Far, Step
from localcluster.screen import Screen


@pytest.mark.parametrize(
    ("log", "far"),
    [
        ("", Far("0 of 4 packages compiled", 0)),
        ("internal/cpu\ngo: downloading x.y/z v1\n", Far("1 of 4 packages compiled", 0.25)),
        ("a\nb/c\n# warning\nd\n", Far("3 of 4 packages compiled", 0.75)),
    ],
)
def test_packages_that_go_compiles(log, far):
    assert golang._compiled(4)(log) == far


def test_modules_that_go_downloads(tmp_path):
    folder = tmp_path / "cache" / "download" / "github.com" / "!burnt!sushi" / "toml" / "@v"
    folder.mkdir(parents=True)
    (folder / "v1.0.zip").write_bytes(b"x" * 2_000_000)
    (folder / "v1.0.ziphash").write_text("h1:")
    far = golang._downloads(tmp_path)
    assert far("") == Far("")
    log = "go: downloading github.com/BurntSushi/toml v1.0\ngo: downloading a.b/c v2\n"
    assert far(log) == Far("2 modules, 2 MB downloaded")


def test_packages_that_pip_downloads():
    log = "Collecting one==1\n  Downloading one-1.whl (2 kB)\nCollecting two==2\n"
    assert wheels._downloaded(4)(log) == Far("2 of 4 packages", 0.5)


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("", ""),
        ("STEP 1/2: FROM scratch\n", "step 1 of 2"),
        ("[1/2] STEP 7/7: RUN\n--> a\n[2/2] STEP 2/6: COPY\n", "stage 2 of 2, step 2 of 6"),
    ],
)
def test_steps_of_a_dockerfile(log, words):
    assert buildah._steps(log).words == words


@pytest.mark.parametrize(
    ("usual", "done", "left"),
    [
        (None, None, ""),
        (None, 0.01, ""),
        (None, 0.5, "about 60 s left"),
        (None, 0.1, "about 9 min left"),
        (100, 0.5, "about 60 s left"),
        (100, None, "about 40 s left"),
        (50, None, ""),
    ],
)
def test_the_time_left(step, usual, done, left):
    step._usual = usual
    assert step._left(60, done) == left


def test_a_step_remembers_how_long_it_took(tmp_path):
    log = tmp_path / "a.log"
    log.write_text("said")
    with Step("one", log):
        pass
    assert Step("one", log)._usual == pytest.approx(0, abs=5)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_lines_of_running_steps_are_rewritten(monkeypatch):
    out = Terminal()
    monkeypatch.setattr("sys.stderr", out)
    screen = Screen()

    def say() -> str:
        return "one … 5"

    screen.begin(say)
    screen.end(say, "one: done")
    assert out.getvalue() == "one … 5\n\x1b[1A\x1b[Jone: done\n"


def test_elsewhere_a_line_comes_now_and_then(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    screen = Screen()
    screen.begin(lambda: "one … 5")
    for _ in range(25):
        now[0] += 1
        screen.refresh()
    assert capsys.readouterr().err == "one … 5\n" * 2


def test_a_step_within_a_step_hides_the_outer_one(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    screen = Screen()
    screen.begin(lambda: "outer")
    screen.begin(lambda: "inner")
    now[0] += 11
    screen.refresh()
    assert capsys.readouterr().err == "inner\n"
