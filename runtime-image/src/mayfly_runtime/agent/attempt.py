"""The exchange with the worker about the pod's run: what was sent, and the outcome.

Nothing here measures time or talks to the gateway: the supervisor checks `ready` and `verdict`
after each event.
"""

import json
from typing import Any

from mayfly_runtime.agent import process
from mayfly_runtime.agent.child import Child
from mayfly_runtime.agent.jobs import Fetched, FetchFailed, InputRead, JobEvent, Jobs, Resolved
from mayfly_runtime.agent.oom import OomCounter
from mayfly_runtime.agent.run import SUCCEEDED, End, Run, failed
from mayfly_runtime.agent.upload import Posted
from mayfly_runtime.spec import strict_json
from mayfly_runtime.spec.inputs import secret_values
from mayfly_runtime.spec.pointer import Pointer

_REASONS = {
    "UserError", "ImportError", "InvalidInput", "InvalidSource", "Exited",
    "OutputTooLarge", "OutputNotJSON", "OutputUploadFailed",
}  # fmt: skip
"""Reasons that the worker may report for its own end; PID 1 decides all others."""


class Attempt:
    """Executes one run in one worker."""

    def __init__(self, run: Run, child: Child, jobs: Jobs, oom: OomCounter) -> None:
        self.run = run
        self.verdict: End | None = None
        self.checked = False
        self.loaded = False
        self.uploads_pending = 0
        self._child = child
        self._jobs = jobs
        self._uploads = jobs.uploads(run.work.limits)
        self._oom = oom
        self._paths: list[tuple[Pointer, str]] | None = None
        self._urls: list[str] = []
        self._items = 0

    @property
    def ready(self) -> bool:
        """Whether `main()` can be called."""
        return self.loaded and self._paths is not None and self.verdict is None

    @property
    def unready(self) -> str:
        """What `main()` is still waiting for, as a sentence for a run that is given up."""
        if self.checked and self._paths is None:
            hosts = sorted({_host(url) for url in self._urls})
            return f"its files were still being fetched from {', '.join(hosts)[:1000]}"
        if self.checked:
            return f"{self.run.work.entrypoint.partition(':')[0]} was still being imported"
        return "its input was still being read"

    def begin(self) -> None:
        """Send the work to the worker; if the input must be read first, read it."""
        if self.run.work.inputJSON is None:
            self._jobs.read_input(self.run.work.limits)
        else:
            self._load(self.run.work.inputJSON)

    def go(self) -> None:
        """Call `main()`."""
        paths = [[list(pointer), path] for pointer, path in self._paths or []]
        self._child.send({"op": "go", "paths": paths})

    def on_job(self, event: JobEvent) -> None:
        """Handle the end of a job."""
        match event:
            case InputRead(text):
                self._load(text)
            case Fetched(paths):
                self._paths = paths
            case FetchFailed(error):
                self._judge(failed("InputFetchFailed", error))
            case Resolved(index, text, grown):
                self.uploads_pending -= 1
                if index is None:
                    self._finish(text)
                elif self.run.count_bytes(grown):
                    self.run.outputs.append(text)
                else:
                    self._judge(self._too_large())
            case _:
                self.uploads_pending = 0
                self.run.final = None
                self._judge(failed(event.reason, event.error))

    def on_message(self, message: dict[str, Any], heard_ns: int) -> None:
        """Handle a message from the worker, which may have been sent by the author's code."""
        if self.verdict is not None:
            return
        try:
            self._read(message, heard_ns)
        except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
            # Only code that writes to our descriptor directly can cause this.
            self._judge(failed("Exited", f"the worker's messages are broken: {error!r}"))

    def judge_exit(self, status: int) -> None:
        """Determine the outcome of a worker that exited without reporting one."""
        if process.killed(status) and self._oom.grew():
            self._judge(failed("OutOfMemory", "the run used more memory than it has"))
        else:
            before = "before main() returned" if self.run.started_ns else "while it was loading"
            self._judge(failed("Exited", f"{process.describe(status)} {before}"))

    def judge_channel(self, problem: str, heard_ns: int) -> None:
        """The worker goes on, but can't be heard any more: the run ends when the channel broke."""
        if self.verdict is not None:
            return
        if self.run.over_ns is None:
            self.run.over_ns = heard_ns
        words = f"the code was stopped, because its channel to the agent broke: {problem}"
        self._judge(failed("Exited", words))

    def _load(self, text: str) -> None:
        work = self.run.work
        self._child.allow(work.limits)
        # Before the worker, and thus the author's code, can print them.
        self.run.redactor.hide([*work.secrets.values(), *secret_values(work.schema, text)])
        self._child.send(
            {
                "op": "load",
                "files": work.files,
                "entrypoint": work.entrypoint,
                "schema": work.schema,
                "input": text,
                "token": work.token,
                "secrets": work.secrets,
                "outputBytes": work.limits.outputBytes,
            }
        )

    def _read(self, message: dict[str, Any], heard_ns: int) -> None:
        match message["op"]:
            case "checked":
                self._check(message["files"])
            case "loaded":
                self.loaded = True
            case "failed" if message["reason"] in _REASONS:
                self._judge(failed(message["reason"], str(message["error"])))
            case "output" if self.run.started_ns is not None:
                self._take_item(message)
            case "over" if self.run.started_ns is not None:
                self.run.over_ns = heard_ns
            case "finished" if self.run.started_ns is not None:
                self._take_end(message)
            case other:
                raise ValueError(f"unexpected {other!r}")

    def _check(self, files: list[Any]) -> None:
        self.checked = True
        wanted = [(tuple(pointer), str(url)) for pointer, url in files]
        if wanted:
            self._urls = [url for _, url in wanted]
            self._jobs.fetch(wanted, self.run.work.limits)
        else:
            self._paths = []

    def _take_item(self, message: dict[str, Any]) -> None:
        text = _json(message["text"])
        files = [Posted.read(file) for file in message["files"]]
        if not self.run.count_item(text):
            self._judge(self._too_large())
            return
        index, self._items = self._items, self._items + 1
        if files or self.uploads_pending:  # after the uploads, to keep the order
            self.uploads_pending += 1
            self._uploads.add(index, text, files)
        else:
            self.run.outputs.append(text)

    def _take_end(self, message: dict[str, Any]) -> None:
        if message["stream"]:
            self.run.streamed = True
            self._judge(SUCCEEDED)
            return
        text = _json(message["text"])
        files = [Posted.read(file) for file in message["files"]]
        if files:
            self.uploads_pending += 1
            self._uploads.add(None, text, files)
            self._judge(SUCCEEDED)
        elif self._finish(text):
            self._judge(SUCCEEDED)

    def _finish(self, text: str) -> bool:
        if strict_json.size(text) > self.run.work.limits.outputBytes:
            self._judge(self._too_large())
            return False
        self.run.final = text
        return True

    def _too_large(self) -> End:
        limit = self.run.work.limits.outputBytes
        return failed("OutputTooLarge", f"the output is over the limit of {limit} bytes of JSON")

    def _judge(self, end: End) -> None:
        """Set the verdict: the first one wins, except that a failed upload overrides a success."""
        if self.verdict is None or self.verdict is SUCCEEDED:
            self.verdict = end


def _host(url: str) -> str:
    from mayfly_runtime.spec import urls  # noqa: PLC0415 rarely needed, and not imported yet

    try:
        return urls.read(url).host
    except urls.URLError:
        return "the gateway"


def _json(text: object) -> str:
    """Check JSON text before it is inserted into our own messages; returned unchanged.

    Raises:
        ValueError: it is not JSON, or has no UTF-8.
        TypeError: it is not text.
    """
    if not isinstance(text, str):
        raise TypeError("an output that is not text")
    text.encode()
    json.loads(text)
    return text
