"""Blocking work of PID 1, in threads: fetching inputs and uploading outputs.

Each job ends with one event in the supervisor's inbox. A thread that hangs on a dead peer is
abandoned; it ends with the process.
"""

import queue
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mayfly_runtime.agent.gateway import Gateway, GatewayError
from mayfly_runtime.agent.messages import Limits
from mayfly_runtime.agent.unexpected import error_in_words
from mayfly_runtime.agent.upload import Posted, Uploader
from mayfly_runtime.spec import strict_json
from mayfly_runtime.spec.outputs import OutputError
from mayfly_runtime.spec.pointer import Pointer, in_words

MAX_INPUT_BYTES = 6 * 2**20
_PARALLEL = 8


class InputRead(NamedTuple):
    """An input that was not in the `work` message was read."""

    text: str


class Fetched(NamedTuple):
    """Every file input was fetched."""

    paths: list[tuple[Pointer, str]]


class FetchFailed(NamedTuple):
    """A file input could not be fetched."""

    error: str


class Resolved(NamedTuple):
    """The files of an output were uploaded; `index` is None unless it is an iterator's item."""

    index: int | None  # type: ignore[assignment]
    text: str
    grown: int = 0
    """Bytes by which the files' ids made it longer."""


class ResolveFailed(NamedTuple):
    """The files of an output could not be uploaded."""

    reason: str
    error: str


JobEvent = InputRead | Fetched | FetchFailed | Resolved | ResolveFailed
Put = Callable[[JobEvent], None]


class Jobs:
    """Starts jobs; their results go to `put`."""

    def __init__(
        self,
        gateway: Gateway,
        user_context: Callable[[], ssl.SSLContext],
        allowed: str,
        scratch: Path,
        put: Put,
    ) -> None:
        """Start nothing yet.

        Args:
            gateway: has the inputs, and takes the outputs.
            user_context: the TLS context for URLs given by users, made when it is first needed.
            allowed: private CIDRs, comma-separated, that user URLs may lead to.
            scratch: the pod's scratch folder.
            put: takes the end of each job.
        """
        self.gateway = gateway
        self.user_context = user_context
        self.allowed = allowed
        self.scratch = scratch
        self.put = put

    def read_input(self, limits: Limits) -> None:
        """Read the input's text from the gateway."""

        def job() -> None:
            try:
                data = self.gateway.get_input(MAX_INPUT_BYTES, limits.fetchMs / 1000)
                self.put(InputRead(data.decode()))
            except (GatewayError, UnicodeDecodeError) as error:
                self.put(FetchFailed(f"the input can't be read: {error}"))
            except Exception as error:  # noqa: BLE001 a thread that dies leaves the run waiting
                self.put(FetchFailed(f"the input can't be read: {error_in_words(error)}"))

        _start("input", job)

    def fetch(self, files: list[tuple[Pointer, str]], limits: Limits) -> None:
        """Fetch every file input, several at a time, before one deadline."""
        # Imported here: most runs fetch nothing, and http.client alone takes 30 ms.
        from mayfly_runtime.agent.fetch import Fetcher, FetchError, parse_networks  # noqa: PLC0415

        deadline = time.monotonic() + limits.fetchMs / 1000
        folder = self.scratch / "run" / "tmp"
        fetcher = Fetcher(
            gateway=self.gateway,
            context=self.user_context,
            allowed=parse_networks(self.allowed),
            folder=folder,
            max_bytes=limits.fileBytes,
            left_s=lambda: deadline - time.monotonic(),
        )
        todo: queue.SimpleQueue[tuple[Pointer, str]] = queue.SimpleQueue()
        for file in files:
            todo.put(file)
        fetched: list[tuple[Pointer, str]] = []

        def job() -> None:
            folder.mkdir(parents=True, exist_ok=True)
            while True:
                try:
                    pointer, url = todo.get_nowait()
                except queue.Empty:
                    return
                name = in_words(str(pointer[0]), pointer[1:])
                try:
                    fetched.append((pointer, str(fetcher.fetch(url))))
                except FetchError as error:
                    self.put(FetchFailed(f"{name}: could not fetch the file: {error}"))
                    return
                except Exception as error:  # noqa: BLE001 a thread that dies leaves the run waiting
                    # Its words may hold the URL, and so a password.
                    words = f"{name}: could not fetch the file: {type(error).__name__}"
                    self.put(FetchFailed(words))
                    return
                if len(fetched) == len(files):
                    self.put(Fetched(fetched))

        try:
            for _ in range(min(_PARALLEL, len(files))):
                _start("fetch", job)
        except RuntimeError as error:
            # main.py is being imported at the same time, and may have used up the pod's threads.
            self.put(FetchFailed(f"the input files can't be fetched: {error}"))

    def uploads(self, limits: Limits) -> "Uploads":
        """The upload queue of this run's outputs."""
        return Uploads(Uploader(self.gateway, self.scratch / "outbox", limits), self.put)


class Uploads:
    """Uploads the files of outputs one output at a time, so that they stay in order.

    Its thread is started before the author's code runs, which may use up the pod's threads.
    """

    def __init__(self, uploader: Uploader, put: Put) -> None:
        self._uploader = uploader
        self._put = put
        self._todo: queue.SimpleQueue[tuple[int | None, str, list[Posted]]] = queue.SimpleQueue()
        _start("upload", self._run)

    def add(self, index: int | None, text: str, files: list[Posted]) -> None:
        """Queue an output; its end is one event."""
        self._todo.put((index, text, files))

    def _run(self) -> None:
        while True:
            index, text, files = self._todo.get()
            name = "output" if index is None else f"output[{index}]"
            try:
                resolved = self._uploader.resolve(name, text, files) if files else text
            except OutputError as error:
                self._put(ResolveFailed(error.reason, str(error)))
                return
            except (ValueError, LookupError, TypeError, RecursionError) as error:
                self._put(ResolveFailed("OutputNotJSON", f"{name}: {error}"))
                return
            except Exception as error:  # noqa: BLE001 a thread that dies leaves the run waiting
                words = f"{name}: the files can't be stored: {error_in_words(error)}"
                self._put(ResolveFailed("OutputUploadFailed", words))
                return
            grown = strict_json.size(resolved) - strict_json.size(text)
            self._put(Resolved(index, resolved, grown))


def _start(name: str, job: Callable[[], None]) -> None:
    threading.Thread(target=job, name=name, daemon=True).start()
