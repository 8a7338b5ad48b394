"""Unexpected errors in the agent's threads: each ends the run in words, or is survived."""

import os
import threading
from types import SimpleNamespace

from mayfly_runtime.agent import child, jobs, messages, session
from mayfly_runtime.agent.logs import LogBuffer
from mayfly_runtime.agent.unexpected import error_in_words


def broken(*_, **__):
    raise ZeroDivisionError("odd\x1b\nmore")


class Told:
    """Takes the events of a thread."""

    def __init__(self):
        self.events = []
        self.came = threading.Event()

    def __call__(self, event):
        self.events.append(event)
        self.came.set()

    def first(self):
        assert self.came.wait(30)
        return self.events[0]


def test_the_words_are_one_short_line_that_can_be_shown(capfd):
    words = error_in_words(ValueError("x" * 5_000 + "\x1b"))
    assert len(words) < 500
    assert error_in_words(ValueError("a\x1b\nb")).startswith(
        "ValueError: a\\x1b (an error of Mayfly"
    )
    assert error_in_words(ValueError("\n \nlater")).startswith("ValueError: later (an error of")
    assert "xxx" not in capfd.readouterr().err


def test_an_input_that_cannot_be_read_for_an_unexpected_reason(tmp_path):
    told = Told()
    gateway = SimpleNamespace(get_input=broken)
    jobs.Jobs(gateway, broken, "", tmp_path, told).read_input(messages.Limits())
    event = told.first()
    assert isinstance(event, jobs.FetchFailed)
    assert event.error.startswith("the input can't be read: ZeroDivisionError: odd\\x1b")


def test_an_upload_that_fails_for_an_unexpected_reason():
    told = Told()
    uploads = jobs.Uploads(SimpleNamespace(resolve=broken), told)
    uploads.add(None, '"x"', ["a file"])
    event = told.first()
    assert isinstance(event, jobs.ResolveFailed)
    assert event.reason == "OutputUploadFailed"
    assert "ZeroDivisionError" in event.error


def test_a_channel_that_is_heard_no_more_says_why():
    told = Told()
    worker = SimpleNamespace(channel=-1, log=-1, pid=1)
    clock = SimpleNamespace(monotonic_ns=lambda: 1)
    heard = child.Child(worker, LogBuffer(10), clock, told)
    heard._channel = SimpleNamespace(receive=broken)
    heard._hear()
    assert isinstance(told.first(), child.Silent)
    assert "ZeroDivisionError" in told.first().problem
    assert heard.silent


def test_a_log_that_cannot_be_read_says_so_and_stops_nobody(monkeypatch):
    told = Told()
    log = LogBuffer(10_000)
    read, write = os.pipe()
    os.close(write)
    worker = SimpleNamespace(channel=-1, log=read, pid=1)
    heard = child.Child(worker, log, SimpleNamespace(), told)
    monkeypatch.setattr(child.LogPipe, "pump", broken)
    heard._read_log()
    assert heard.log_drained()
    assert b"the log ends here: ZeroDivisionError" in bytes(log._text)


def test_the_agent_dials_again_after_any_error(monkeypatch):
    said = []
    dialled = threading.Event()
    tries = []

    def dial(_self):
        tries.append(1)
        if len(tries) > 1:
            dialled.set()
            threading.Event().wait()
        broken()

    monkeypatch.setattr(session.Session, "_dial", dial)
    session.Session(SimpleNamespace(), lambda _: None, said.append, bytes).start()
    assert dialled.wait(30)
    assert "ZeroDivisionError" in said[0]
