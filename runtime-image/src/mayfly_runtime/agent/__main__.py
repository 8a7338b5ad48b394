"""PID 1 of a run pod: hides itself, starts the worker, and then becomes its supervisor.

The worker's interpreter starts before most of the agent is imported: they then start side by side,
and the pod is ready that much sooner.
"""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from mayfly_runtime.agent import ca_bundle, process

SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
_NOT_FOR_THE_WORKER = ("MAYFLY_", "KUBERNETES_")


def main() -> None:
    """Live one life. The environment is in the README."""
    process.harden()
    # Blocked in every thread from here on; one thread takes them as they come.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    scratch = Path(os.environ.get("MAYFLY_SCRATCH", "/scratch"))
    own_ca = os.environ.get("MAYFLY_CA_PEM", "")
    bundle = ca_bundle.write_bundle(scratch / "run" / "tmp" / "mayfly-ca.pem", own_ca)
    worker = process.spawn(_worker_environment(os.environ, scratch, bundle))
    from mayfly_runtime.agent import startup  # noqa: PLC0415 - after the worker, on purpose

    sys.exit(startup.live(worker, os.environ, scratch, bundle, SIGNALS, say))


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


def say(text: str) -> None:
    """The agent's own words, on the container's stderr."""
    sys.stderr.write(f"mayfly-agent: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
