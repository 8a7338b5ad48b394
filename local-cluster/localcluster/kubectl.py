"""Runs kubectl against one cluster."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcluster.failure import Failure


@dataclass(frozen=True)
class Kubectl:
    """kubectl with a fixed kubeconfig."""

    binary: Path
    kubeconfig: Path | None

    @property
    def env(self) -> dict[str, str]:
        """The environment of a client; None keeps the caller's own kubeconfig."""
        chosen = {} if self.kubeconfig is None else {"KUBECONFIG": str(self.kubeconfig)}
        return {**os.environ, **chosen}

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl and return its output; a nonzero exit is a Failure with its messages."""
        done = self.attempt(*arguments, stdin=stdin)
        if done.returncode:
            said = done.stderr.strip() or done.stdout.strip()
            raise Failure(f"kubectl {' '.join(arguments)}: {said}")
        return done.stdout

    def attempt(
        self, *arguments: str, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl and return how it ended."""
        try:
            return subprocess.run(
                [str(self.binary), *arguments],
                env=self.env,
                input=stdin if stdin is not None else "",
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError:  # a link into the cache, which may be emptied at any time
            missing = f"{self.binary} is gone: `make up` brings it back"
            return subprocess.CompletedProcess(arguments, 127, "", missing)

    def ok(self, *arguments: str) -> bool:
        """Run kubectl and return whether it succeeded."""
        return self.attempt(*arguments).returncode == 0

    def json(self, *arguments: str) -> Any:
        """Run it with `-o json` and return the object."""
        return json.loads(self(*arguments, "-o", "json"))

    def apply(self, manifest: str, namespace: str | None = None) -> None:
        """Apply a manifest by server-side apply, with --force-conflicts against older clones."""
        into = [] if namespace is None else ["-n", namespace]
        self("apply", *into, "--server-side", "--force-conflicts", "-f", "-", stdin=manifest)
