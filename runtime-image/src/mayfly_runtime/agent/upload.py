"""Uploads output files to the gateway, in the order in which `main()` made them.

The worker copies each file into the outbox, so that the author may overwrite the original. PID 1
opens files only there: on the scratch disk, regular files, without following links. It never opens
a path that the author chose.
"""

import json
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from mayfly_runtime.agent.gateway import Gateway, GatewayError
from mayfly_runtime.agent.messages import Limits
from mayfly_runtime.spec import strict_json
from mayfly_runtime.spec.outputs import OutputError
from mayfly_runtime.spec.pointer import Pointer, in_words, place

_RETRY_S = 0.5
_TOO_LARGE = 413


class Posted(NamedTuple):
    """A file that the worker has put into the outbox, at `folder/name`."""

    pointer: Pointer
    folder: str
    name: str

    @classmethod
    def read(cls, fields: dict[str, Any]) -> "Posted":
        """Parse the worker's message.

        Raises:
            ValueError: it names a file outside the outbox.
        """
        folder, name = str(fields["folder"]), str(fields["name"])
        if not folder.isdigit() or "/" in name or name in {"", ".", ".."} or "\0" in name:
            raise ValueError(f"a wrong file in the outbox: {folder}/{name}")
        return cls(tuple(fields["pointer"]), folder, name)


class Uploader:
    """Uploads the files of outputs, one output at a time, within the run's limits."""

    def __init__(self, gateway: Gateway, outbox: Path, limits: Limits) -> None:
        self._gateway = gateway
        self._outbox = outbox
        self._limits = limits
        self._sent_bytes = 0

    def resolve(self, name: str, text: str, files: list[Posted]) -> str:
        """The output's JSON text with its files replaced by their ids.

        Raises:
            OutputError: OutputTooLarge or OutputUploadFailed; names the field.
        """
        deadline = time.monotonic() + self._limits.uploadMs / 1000
        holder: dict[str, Any] = {"output": json.loads(text)}
        for file in files:
            where = in_words(name, file.pointer)
            identifier = self._upload(file, where, lambda: deadline - time.monotonic())
            place(holder, ("output", *file.pointer), identifier)
        return strict_json.dump(holder["output"])

    def _upload(self, file: Posted, where: str, left_s: Callable[[], float]) -> str:
        path = self._outbox / file.folder / file.name
        try:
            with self._open(path) as body:
                size = os.fstat(body.fileno()).st_size
                self._check_size(where, size)
                identifier = self._put(file.name, size, body, where, left_s)
        except OSError as error:
            message = f"{where}: the file {file.name} can't be read: {error.strerror}"
            raise OutputError("OutputUploadFailed", message) from error
        self._sent_bytes += size
        path.unlink(missing_ok=True)
        return identifier

    def _open(self, path: Path) -> BinaryIO:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        file = os.fdopen(os.open(path, flags), "rb")
        about = os.fstat(file.fileno())
        # If a folder of the outbox was replaced by a link to /proc, the device differs.
        if not stat.S_ISREG(about.st_mode) or about.st_dev != self._outbox.parent.stat().st_dev:
            file.close()
            raise OSError(0, "it is not a regular file of the run")
        return file

    def _check_size(self, where: str, size: int) -> None:
        if size > self._limits.fileBytes:
            message = f"{where}: the file has {size} bytes, over {self._limits.fileBytes}"
            raise OutputError("OutputTooLarge", message)
        if self._sent_bytes + size > self._limits.filesBytes:
            message = f"{where}: the run's files have more than {self._limits.filesBytes} bytes"
            raise OutputError("OutputTooLarge", message)

    def _put(
        self, name: str, size: int, body: BinaryIO, where: str, left_s: Callable[[], float]
    ) -> str:
        from mayfly_runtime.spec import media_types  # noqa: PLC0415 few outputs are files

        content_type = media_types.type_of(name)
        problem = "the deadline for uploading outputs passed"
        while (left := left_s()) > 0:
            body.seek(0)
            try:
                return self._gateway.put_file(name, content_type, size, body, left)
            except GatewayError as error:
                problem = str(error)
                if error.status == _TOO_LARGE:
                    raise OutputError("OutputTooLarge", f"{where}: {error}") from error
                if 400 <= error.status < 500:
                    break
            time.sleep(min(_RETRY_S, max(0.0, left_s())))
        raise OutputError("OutputUploadFailed", f"{where}: {name}: {problem}")
