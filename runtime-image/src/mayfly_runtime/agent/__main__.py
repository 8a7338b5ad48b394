"""Entry point of PID 1 of a run pod: hardens itself, starts the worker, then supervises it.

The worker is started before most of the agent is imported, so that both interpreters start at the
same time and the pod is ready sooner.
"""

import gc
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from mayfly_runtime.agent import ca_bundle, process
from mayfly_runtime.agent.address import Parts

SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
USER = "mayfly"
_NOT_FOR_THE_WORKER = ("MAYFLY_", "KUBERNETES_")


def main() -> None:
    """Run the agent until it exits. Its environment variables are listed in the README."""
    gc.disable()  # until all is imported: none of it is garbage
    process.harden()
    # Blocked in every thread from here on; one thread receives them.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    scratch = Path(os.environ.get("MAYFLY_SCRATCH", "/scratch"))
    own_ca = os.environ.get("MAYFLY_CA_PEM", "")
    bundle = ca_bundle.write_bundle(scratch / "run" / "tmp" / "mayfly-ca.pem", own_ca)
    worker = process.spawn(_worker_environment(os.environ, scratch, bundle))
    from mayfly_runtime.agent import startup  # noqa: PLC0415 - after the worker, on purpose

    code = startup.live(worker, os.environ, scratch, bundle, SIGNALS, say)
    os._exit(code)  # all is said and closed; to take the interpreter apart costs 10 to 20 ms of CPU


def _worker_environment(
    environment: Mapping[str, str], scratch: Path, bundle: Path | None
) -> dict[str, str]:
    """The worker's environment: the pod's, without the variables of the agent and the cluster."""
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith(_NOT_FOR_THE_WORKER)
    }
    kept |= {
        "MAYFLY_SCRATCH": str(scratch),  # the worker removes it again
        "TMPDIR": str(scratch / "run" / "tmp"),
        "HOME": str(scratch),
    }
    # getpass and others ask here first. The UID may be any, so it may have no name in /etc/passwd.
    kept |= {"USER": USER, "LOGNAME": USER}
    kept.setdefault("OMP_NUM_THREADS", "1")
    kept.setdefault("OPENBLAS_NUM_THREADS", "1")
    kept.setdefault("REPLICATE_POLL_INTERVAL", "0.05")
    # Both spellings: programs read one or the other. A proxy may not reach the gateway.
    direct = Parts(environment.get("MAYFLY_GATEWAY_URL", "")).host
    others = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    kept |= dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join(filter(None, (others, direct))))
    if bundle is not None:
        kept |= {"SSL_CERT_FILE": str(bundle), "REQUESTS_CA_BUNDLE": str(bundle)}
    return kept


def say(text: str) -> None:
    """Write a message of the agent to the container's stderr."""
    sys.stderr.write(f"mayfly-agent: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
