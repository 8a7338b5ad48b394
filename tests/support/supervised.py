"""PID 1's state machine with fakes at its seams: worker, jobs, connection, clock."""

import json
from pathlib import Path
from types import SimpleNamespace

from mayfly_runtime.agent.child import Said, Silent
from mayfly_runtime.agent.jobs import Fetched, FetchFailed
from mayfly_runtime.agent.logs import LogBuffer
from mayfly_runtime.agent.messages import Ack, Cancel, Limits, Retire, Welcome, Work
from mayfly_runtime.agent.session import Closed, Opened, Received
from mayfly_runtime.agent.supervisor import Supervisor, Terminated
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
        self.status, self.silent, self.killed = None, False, False
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
        self.silent = self.killed = True

    def log_drained(self):
        return self.killed


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
