"""Assembles the agent around a starting worker, and runs it."""

import base64
import functools
import gc
import os
import queue
import signal
import threading
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

from mayfly_runtime.agent import process, tls
from mayfly_runtime.agent.child import Child
from mayfly_runtime.agent.clock import Clock
from mayfly_runtime.agent.gateway import Address, Gateway
from mayfly_runtime.agent.jobs import Jobs
from mayfly_runtime.agent.logs import LogBuffer
from mayfly_runtime.agent.messages import Limits
from mayfly_runtime.agent.oom import OomCounter
from mayfly_runtime.agent.session import Session
from mayfly_runtime.agent.supervisor import ChildrenEnded, Inbox, Supervisor, Terminated
from mayfly_runtime.agent.warming import Warming


def live(
    worker: process.Worker,
    environment: Mapping[str, str],
    scratch: Path,
    bundle: Path | None,
    signals: AbstractSet[signal.Signals],
    tell: Callable[[str], None],
) -> int:
    """Assemble the agent and supervise until the end; returns the exit code.

    Args:
        worker: its process, just started.
        environment: the pod's.
        scratch: the pod's scratch folder.
        bundle: the CA bundle.
        signals: blocked in every thread; one thread receives them from here on.
        tell: writes the agent's own messages.
    """
    inbox: Inbox = queue.SimpleQueue()
    log = LogBuffer(Limits().logBytes)
    oom = OomCounter(Path(environment.get("MAYFLY_CGROUP", "/sys/fs/cgroup")))
    clock = Clock()
    child = Child(worker, log, clock, inbox.put)
    ready_file = environment.get("MAYFLY_READY_FILE")
    warming = Warming(child, Path(ready_file) if ready_file else None)
    warming.begin()
    threading.Thread(
        target=_take_signals, args=(inbox, signals), name="signals", daemon=True
    ).start()
    child.listen()
    gateway = _gateway(environment, bundle)
    Session(gateway, inbox.put, tell, os.urandom).start()
    allowed = environment.get("MAYFLY_FETCH_ALLOW", "")
    if allowed:
        from mayfly_runtime.agent.fetch import parse_networks  # noqa: PLC0415 rare, and 30 ms

        parse_networks(allowed)  # an invalid list fails now, not in the middle of a run
    jobs = Jobs(
        gateway=gateway,
        user_context=functools.cache(lambda: tls.user_context(bundle)),
        allowed=allowed,
        scratch=scratch,
        put=inbox.put,
    )
    supervisor = Supervisor(
        clock=clock,
        inbox=inbox,
        child=child,
        warming=warming,
        log=log,
        jobs=jobs,
        oom=oom,
        termination_log=Path(environment.get("MAYFLY_TERMINATION_LOG", "/dev/termination-log")),
        say=tell,
    )
    gc.freeze()  # what is imported stays: no collection need walk it
    gc.enable()
    return supervisor.live()


def _gateway(environment: Mapping[str, str], bundle: Path | None) -> Gateway:
    own_ca = environment.get("MAYFLY_CA_PEM", "")
    address = Address.of(environment["MAYFLY_GATEWAY_URL"])
    token_file = environment.get("MAYFLY_TOKEN_FILE", "/etc/mayfly/token")
    return Gateway(
        address=address,
        context=tls.gateway_context(own_ca, bundle) if address.secure else None,
        token_file=Path(token_file),
        session_secret=base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode(),
    )


def _take_signals(inbox: Inbox, signals: AbstractSet[signal.Signals]) -> None:
    while True:
        info = signal.sigwaitinfo(signals)
        if info.si_signo == signal.SIGCHLD:
            inbox.put(ChildrenEnded())
        elif os.getpid() != 1 or info.si_pid == 0:
            # As PID 1, only a sender outside the pod (whose pid reads 0) may end the run: the
            # author's code may not pass itself off as a deleted pod.
            inbox.put(Terminated())
