"""Steps: what a person sees, above all when one fails."""

import signal
import subprocess
import sys

import pytest

from localcluster import progress
from localcluster.failure import Failure
from localcluster.progress import Step, last_lines

PYTHON = [sys.executable, "-IS", "-c"]


def test_a_failure_shows_the_end_of_the_log_and_where_it_is(step):
    code = "import sys\nfor n in range(101): print('line', n, flush=True)\n"
    code += "print('why', file=sys.stderr)\nsys.exit(3)"
    with pytest.raises(Failure) as told:
        step.run([*PYTHON, code])
    said = str(told.value).splitlines()
    assert said[0].startswith("a step: `python")
    assert said[0].endswith("ended with exit code 3")
    assert "    line 100" in said
    assert "    why" in said
    assert "    line 60" not in said
    assert len(said) == progress.TAIL_LINES + 2
    assert said[-1] == f"  the whole log: {step.log}"
    assert "line 60\n" in step.log.read_text()


def test_a_failure_shows_another_log_when_told(step, tmp_path):
    log = tmp_path / "etcd.log"
    log.write_text("disk is full\n")
    text = str(step.failure("etcd ended", log))
    assert text == f"a step: etcd ended\n    disk is full\n  the whole log: {log}"


def test_a_failure_without_a_log(step):
    assert str(step.failure("it broke")) == "a step: it broke"


def test_a_wait_that_runs_out_fails_with_the_log(step):
    step.log.write_text("connection refused\n")
    with pytest.raises(Failure, match="that it answers\n    connection refused"):
        step.wait(lambda: False, -1, "it answers")


def test_a_wait_for_what_is_so_asks_once(step):
    asked = []
    step.wait(lambda: not asked.append(1), -1, "it answers")
    assert asked == [1]


def test_output_goes_to_the_log_and_standard_output_stays_free(step, capfd):
    with step:
        step.run([*PYTHON, "print(open(0).read().upper())"], stdin="said")
    out, err = capfd.readouterr()
    assert out == ""
    assert err.endswith("a step: done\n")
    first, second, *_ = step.log.read_text().splitlines()
    assert first.startswith(f"$ {sys.executable}")
    assert second == "SAID"


def test_commands_of_one_step_share_a_log(step):
    step.run([*PYTHON, "print('one')"])
    step.run([*PYTHON, "print('two')"])
    assert [line for line in step.log.read_text().splitlines() if line in ("one", "two")] == [
        "one",
        "two",
    ]


def test_a_step_starts_a_fresh_log(tmp_path):
    log = tmp_path / "a.log"
    log.write_text("of the time before")
    with progress.step("again", log):
        assert not log.exists()


def test_folder_and_environment_of_a_command(step, tmp_path, monkeypatch):
    monkeypatch.setenv("KEPT", "kept")
    code = "import os; print(os.getcwd(), os.environ['KEPT'], os.environ['ADDED'])"
    step.run([*PYTHON, code], cwd=tmp_path, env={"ADDED": "added"})
    assert f"{tmp_path} kept added" in step.log.read_text().splitlines()


def test_a_command_that_does_not_read_its_input_tells_why_it_ended(step):
    with pytest.raises(Failure, match="exit code 4"):
        step.run([*PYTHON, "import os; os.close(0); os._exit(4)"], stdin="x" * 1_000_000)


def test_an_interrupted_command_is_ended(step, monkeypatch):
    def interrupted(_: Step) -> None:
        raise KeyboardInterrupt

    started = []
    popen = subprocess.Popen
    monkeypatch.setattr(
        progress.subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[0]
    )
    monkeypatch.setattr(Step, "_heartbeat", interrupted)
    with pytest.raises(KeyboardInterrupt):
        step.run([*PYTHON, "import signal; signal.pause()"])
    assert started[0].returncode == -signal.SIGTERM


@pytest.mark.parametrize(
    ("error", "cached", "word"),
    [(None, None, "done"), (None, "runs already", "runs already"), (Failure("x"), "a", "failed")],
)
def test_the_last_word_of_a_step(step, capsys, error, cached, word):
    def body() -> None:
        with step:
            if cached:
                step.cached(cached)
            if error:
                raise error

    if error:
        with pytest.raises(Failure):
            body()
    else:
        body()
    assert capsys.readouterr().err.endswith(f" s  a step: {word}\n")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("a\nb\nc\n", ["b", "c"]),
        ("a\n\n  \nb\n\n", ["a", "b"]),
        ("10%\r50%\r100%\nnext\n", ["100%", "next"]),
        ("no newline", ["no newline"]),
        ("x\n" * 30000 + "y\nz", ["y", "z"]),
        ("\udcff broken\nz", ["� broken", "z"]),
    ],
)
def test_the_end_of_a_log(tmp_path, text, lines):
    log = tmp_path / "a.log"
    log.write_bytes(text.encode(errors="surrogateescape"))
    assert last_lines(log, 2) == lines


def test_the_end_of_an_absent_log(tmp_path):
    assert last_lines(tmp_path / "none", 2) == []
