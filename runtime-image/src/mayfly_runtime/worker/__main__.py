"""The worker: the interpreter that imports main.py, waits, and runs `main()`.

A child of PID 1, started before there is work. It speaks over an inherited socketpair:

    PID 1 -> worker   warm                              in a pod that waits for its run, at first
                      afresh                            start again, as a worker that is not warm
                      load {files, entrypoint, schema, input, token, secrets, outputBytes}
                      go {paths: [[pointer, path]]}
    worker -> PID 1   warmed {broken: {package: why}}   or unwarmed {error}
                      checked {problems, files: [[pointer, url]]}
                      loaded
                      output {text, files: [{pointer, folder, name}]}   an iterator's item
                      over                              main() returned, raised or was exhausted
                      finished {text, files, stream}
                      failed {reason, error}

Author code shares this process, so PID 1 believes none of it more than it must: the clock, a
cancel's outcome and every limit are PID 1's.
"""

import gc
import os
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

import cog
from mayfly_runtime.channel import Channel, ChannelError, MessageTooLong, frame_bytes
from mayfly_runtime.spec import inputs
from mayfly_runtime.spec.pointer import pick, place
from mayfly_runtime.worker import httpx_retries, replicate_numpy, stdio
from mayfly_runtime.worker.arguments import as_declared
from mayfly_runtime.worker.entrypoint import load_entrypoint
from mayfly_runtime.worker.errors import Failure
from mayfly_runtime.worker.invocation import Interrupts, Invocation

MAX_MESSAGE_BYTES = 64 * 2**20
_YAML = {"true", "false"}
_USUAL = gc.get_threshold()[0]
_IMPORTING = 50_000
"""New objects between two collections of the youngest generation."""


class Worker:
    """Executes one run in this process."""

    def __init__(self, channel: Channel, scratch: Path) -> None:
        self._channel = channel
        self._scratch = scratch
        self._interrupts = Interrupts()

    def live(self) -> None:
        """Load, wait, run, report; then wait to be killed.

        Raises:
            ChannelError: PID 1 is gone.
        """
        message = self._channel.receive()
        if message["op"] == "warm":
            self._channel.send(_warmed(self._scratch / "run"))
            message = self._channel.receive()
        if message["op"] == "afresh":
            self._channel.pass_on()
            _start_again()
        try:
            self._run(message)
        except Failure as failure:
            stdio.flush()
            self._channel.send({"op": "failed", "reason": failure.reason, "error": str(failure)})
        self._channel.receive()

    def _run(self, load: dict[str, Any]) -> None:
        self._channel.max_sent = frame_bytes(load["outputBytes"])
        os.environ.update(load["secrets"])
        os.environ["REPLICATE_API_TOKEN"] = load["token"]
        cog.current_scope().context["replicate_api_token"] = load["token"]
        httpx_retries.wait_for(os.environ.get("REPLICATE_BASE_URL", ""))
        replicate_numpy.put_off()
        prepared = self._check(load["schema"], load["input"])
        entrypoint = load_entrypoint(load["files"], load["entrypoint"], self._scratch / "run")
        invocation = Invocation(
            entrypoint,
            self._interrupts,
            self._tell,
            self._scratch / "outbox",
            load["outputBytes"],
        )
        _collect_as_usual()
        self._channel.send({"op": "loaded"})
        self._place(prepared, self._channel.receive())
        finished = invocation.run(as_declared(load["schema"], prepared.values))
        stdio.flush()
        self._tell(finished)

    def _tell(self, message: dict[str, Any]) -> None:
        """Send what `main()` gave.

        Raises:
            Failure: OutputTooLarge, with what surrounds it (the places of very many files).
        """
        try:
            self._channel.send(message)
        except MessageTooLong as error:
            raise Failure("OutputTooLarge", f"the output can't be sent: {error}") from None

    def _check(self, schema: dict[str, Any], text: str) -> inputs.Prepared:
        """Check and convert the input, and report the files to be fetched."""
        try:
            value = inputs.parse(text)
        except ValueError as error:
            raise Failure("InvalidInput", str(error)) from None
        problems = inputs.check(schema, value)
        if problems or not isinstance(value, dict):
            raise Failure("InvalidInput", "; ".join(problem.sentence() for problem in problems))
        for name in inputs.unknown(schema, value):
            why = " (YAML reads n, no, off, y, yes and on so: quote them)" if name in _YAML else ""
            _warn(f"the input {name!r} is unknown to this pipeline and was ignored{why}")
        prepared = inputs.prepare(schema, value)
        files = [[list(file.pointer), file.url] for file in prepared.files]
        self._channel.send({"op": "checked", "files": files})
        return prepared

    def _place(self, prepared: inputs.Prepared, go: dict[str, Any]) -> None:
        for pointer, path in go["paths"]:
            place(prepared.values, tuple(pointer), cog.Path(path))
        for pointer in prepared.secrets:
            value = str(pick(prepared.values, pointer))
            place(prepared.values, pointer, cog.Secret(value))


def _warmed(folder: Path) -> dict[str, Any]:
    """Warm up; nothing of it may be in the run's log. The answer to PID 1."""
    from mayfly_runtime.worker import warm  # noqa: PLC0415 for a pod that waits

    streams = {number: os.dup(number) for number in (1, 2)}
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in streams:
            os.dup2(nowhere, number)
        return {"op": "warmed", "broken": warm.warm_up(folder)}
    except Exception as error:  # noqa: BLE001 whatever it is, the pod must not be ready
        import traceback  # noqa: PLC0415 only after an error

        return {"op": "unwarmed", "error": "".join(traceback.format_exception(error))}
    finally:
        os.close(nowhere)
        for number, copy in streams.items():
            os.dup2(copy, number)
            os.close(copy)


def _start_again() -> NoReturn:
    """Become the worker that this process was at first, its environment included."""
    pairs = (each.partition(b"=") for each in Path("/proc/self/environ").read_bytes().split(b"\0"))
    environment = {name: value for name, _, value in pairs if name}
    os.execve(sys.executable, sys.orig_argv, environment)  # noqa: S606 no shell is wanted


def _collect_little() -> None:
    """Let imports make many objects before a collection: they make hardly any garbage.

    Collections by Python's own thresholds take 40 ms of CPU while replicate is imported.
    """
    gc.set_threshold(_IMPORTING, *gc.get_threshold()[1:])


def _collect_as_usual() -> None:
    """Collect by Python's thresholds again, unless the author has chosen others.

    What is imported by now stays: no collection should walk it on the author's time.
    """
    gc.freeze()
    first, *others = gc.get_threshold()
    if first == _IMPORTING:
        gc.set_threshold(_USUAL, *others)


def _warn(text: str) -> None:
    sys.stderr.write(f"mayfly: {text}\n")


def _prefer_for_oom() -> None:
    """Prefer this process over PID 1 for out-of-memory kills."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
    except OSError:
        return


def main() -> None:
    """Run with the number of the inherited socket as the only argument."""
    sock = socket.socket(fileno=int(sys.argv[1]))
    sock.set_inheritable(False)
    # A forked child has no say, and doesn't keep the channel open when the worker is gone.
    os.register_at_fork(after_in_child=sock.close)
    _prefer_for_oom()
    stdio.write_through()
    sys.dont_write_bytecode = True  # the sources are imported once
    scratch = Path(os.environ.pop("MAYFLY_SCRATCH", "/scratch"))
    _collect_little()
    try:
        Worker(Channel(sock, MAX_MESSAGE_BYTES), scratch).live()
    except ChannelError:
        os._exit(0)  # PID 1 is gone; nothing of the author's runs after it


if __name__ == "__main__":
    main()
