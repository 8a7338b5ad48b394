"""PID 1 of a run pod: hides itself, starts the worker, dials the gateway, supervises."""

import base64
import functools
import gc
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from mayfly_runtime import process, trust
from mayfly_runtime.child import Child
from mayfly_runtime.clock import Clock
from mayfly_runtime.gateway import Address, Gateway
from mayfly_runtime.jobs import Jobs
from mayfly_runtime.logs import LogBuffer
from mayfly_runtime.memory import OomCounter
from mayfly_runtime.messages import Limits
from mayfly_runtime.session import Session
from mayfly_runtime.supervisor import ChildrenEnded, Inbox, Supervisor, Terminated

_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
_NOT_FOR_THE_WORKER = ("MAYFLY_", "KUBERNETES_")


def main() -> None:
    """Live one life. The environment is in the README."""
    process.harden()
    # Blocked in every thread from here on; one thread takes them as they come.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    sys.exit(_live(os.environ, say))


def _live(environment: Mapping[str, str], tell: Callable[[str], None]) -> int:
    scratch = Path(environment.get("MAYFLY_SCRATCH", "/scratch"))
    own_ca = environment.get("MAYFLY_CA_PEM", "")
    bundle = trust.write_bundle(scratch / "run" / "tmp" / "mayfly-ca.pem", own_ca)
    inbox: Inbox = queue.SimpleQueue()
    log = LogBuffer(Limits().logBytes)
    oom = OomCounter(Path(environment.get("MAYFLY_CGROUP", "/sys/fs/cgroup")))
    # The worker's interpreter starts while the gateway is being dialled.
    worker = process.spawn(_worker_environment(environment, scratch, bundle))
    child = Child(worker, log, inbox.put)
    threading.Thread(target=_take_signals, args=(inbox,), name="signals", daemon=True).start()
    child.listen(stdout=1)
    gateway = _gateway(environment, own_ca, bundle)
    Session(gateway, inbox.put, tell, os.urandom).start()
    allowed = environment.get("MAYFLY_FETCH_ALLOW", "")
    if allowed:
        from mayfly_runtime.fetch import parse_networks  # noqa: PLC0415 rare, and 30 ms

        parse_networks(allowed)  # a wrong list fails now, not in the middle of a run
    jobs = Jobs(
        gateway=gateway,
        user_context=functools.cache(lambda: trust.user_context(bundle)),
        allowed=allowed,
        scratch=scratch,
        put=inbox.put,
    )
    supervisor = Supervisor(
        clock=Clock(),
        inbox=inbox,
        child=child,
        log=log,
        jobs=jobs,
        oom=oom,
        termination_log=Path(environment.get("MAYFLY_TERMINATION_LOG", "/dev/termination-log")),
        say=tell,
    )
    gc.collect()
    gc.freeze()
    return supervisor.live()


def _gateway(environment: Mapping[str, str], own_ca: str, bundle: Path | None) -> Gateway:
    address = Address.of(environment["MAYFLY_GATEWAY_URL"])
    token_file = environment.get("MAYFLY_TOKEN_FILE", "/var/run/secrets/mayfly/token")
    return Gateway(
        address=address,
        context=trust.gateway_context(own_ca, bundle) if address.secure else None,
        token_file=Path(token_file),
        session_secret=base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode(),
    )


def _worker_environment(
    environment: Mapping[str, str], scratch: Path, bundle: Path | None
) -> dict[str, str]:
    """What the pipeline may know: the pod's environment without the agent's and the cluster's."""
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith(_NOT_FOR_THE_WORKER)
    }
    kept |= {
        "MAYFLY_SCRATCH": str(scratch),  # the worker takes it out again
        "TMPDIR": str(scratch / "run" / "tmp"),
        "HOME": str(scratch),
    }
    kept.setdefault("OMP_NUM_THREADS", "1")
    kept.setdefault("OPENBLAS_NUM_THREADS", "1")
    kept.setdefault("REPLICATE_POLL_INTERVAL", "0.05")
    if bundle is not None:
        kept |= {"SSL_CERT_FILE": str(bundle), "REQUESTS_CA_BUNDLE": str(bundle)}
    return kept


def _take_signals(inbox: Inbox) -> None:
    while True:
        info = signal.sigwaitinfo(_SIGNALS)
        if info.si_signo == signal.SIGCHLD:
            inbox.put(ChildrenEnded())
        elif os.getpid() != 1 or info.si_pid == 0:
            # As PID 1, only a sender outside the pod (whose pid reads 0) may end the run: the
            # author's code may not pass itself off as a deleted pod.
            inbox.put(Terminated())


def say(text: str) -> None:
    """The agent's own words, on the container's stderr."""
    sys.stderr.write(f"mayfly-agent: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
