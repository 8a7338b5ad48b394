"""One call of `main()`: its result or items, its end, and its cancellation."""

import itertools
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType, FunctionType, GeneratorType, TracebackType
from typing import Any

import cog
from mayfly_runtime.channel import ChannelError
from mayfly_runtime.spec.outputs import OutputError
from mayfly_runtime.spec.pointer import in_words
from mayfly_runtime.worker import encoder, errors
from mayfly_runtime.worker.entrypoint import Entrypoint
from mayfly_runtime.worker.errors import Failure
from mayfly_runtime.worker.forks import Origin

Send = Callable[[dict[str, Any]], None]

_ASYNC = 0x80 | 0x200  # inspect.CO_COROUTINE, inspect.CO_ASYNC_GENERATOR
_ITERABLE_COROUTINE = 0x100


class Interrupts:
    """SIGUSR1 raises the cancellation, but only while the author's code runs.

    Between two items of an iterator a message is being written; an exception there would tear
    it. The request is then kept until the author's code runs again.
    """

    def __init__(self) -> None:
        self._armed = False
        self._wanted = False
        self._task: Any = None
        self.fired = False
        signal.signal(signal.SIGUSR1, self._handle)

    def in_task(self, task: Any) -> None:
        """From here on, cancel this asyncio task instead of raising."""
        self._task = task

    def __enter__(self) -> None:
        self._armed = True
        if self._wanted:
            self._fire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._armed = False

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._wanted = True
        if self._armed:
            self._fire()

    def _fire(self) -> None:
        self._wanted = False
        self.fired = True
        if self._task is not None:
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)
        else:
            raise cog.CancelationException("the run was stopped")


class Invocation:
    """Calls the entrypoint and turns its results into messages."""

    def __init__(
        self,
        entrypoint: Entrypoint,
        interrupts: Interrupts,
        send: Send,
        outbox: Path,
        limit_bytes: int,
    ) -> None:
        self._entrypoint = entrypoint
        self._interrupts = interrupts
        self._send = send
        self._outbox = outbox
        self._limit = limit_bytes
        self._folders = itertools.count()
        self._items = itertools.count()
        self._origin = Origin()
        self._is_async = is_async(entrypoint.function)
        if self._is_async:
            import asyncio  # noqa: F401, PLC0415 47 ms, here on nobody's bill

    def run(self, values: dict[str, Any]) -> dict[str, Any]:
        """Call it, and return the `finished` message.

        Raises:
            Failure: the author's error, an exit, or an output that can't be served.
        """
        try:
            if self._is_async:
                return self._run_async(values)
            with self._origin, self._interrupts:
                value = self._entrypoint.function(**values)
            if is_awaitable(value) or encoder.is_async_stream(value):
                return self._run_async(values, value)
            if encoder.is_stream(value):
                return self._stream(iter(value))
            return self._finished(value)
        except (Failure, ChannelError):
            raise
        except OutputError as error:
            raise Failure(error.reason, str(error)) from None
        except SystemExit as error:
            self._over(error)
            raise self._exited(error) from None
        except BaseException as error:  # noqa: BLE001 an author may raise anything
            self._over(error)
            if not self._interrupts.fired:
                errors.print_traceback(error)
            raise Failure("UserError", errors.last_line(error)) from None

    def _stream(self, iterator: Any) -> dict[str, Any]:
        end = object()
        while True:
            with self._origin, self._interrupts:
                item = next(iterator, end)
            if item is end:
                return self._exhausted()
            self._send_item(item)

    def _run_async(self, values: dict[str, Any], made: Any = None) -> dict[str, Any]:
        import asyncio  # noqa: PLC0415 47 ms that a plain main() does not pay

        async def whole() -> dict[str, Any]:
            self._interrupts.in_task(asyncio.current_task())
            with self._origin:  # a child that closed the loop would stop its parent's: one epoll
                value = self._entrypoint.function(**values) if made is None else made
                return await self._awaited(value)

        with self._interrupts:
            return asyncio.run(whole())

    async def _awaited(self, value: Any) -> dict[str, Any]:
        if is_awaitable(value):
            value = await value
        if encoder.is_async_stream(value):
            async for item in value:
                self._send_item(item)
            return self._exhausted()
        if encoder.is_stream(value):
            return self._stream(iter(value))
        return self._finished(value)

    def _over(self, error: BaseException | None = None) -> None:
        """Report that the author's code has ended, before the result is encoded."""
        self._origin.check(error)
        self._send({"op": "over"})

    def _exhausted(self) -> dict[str, Any]:
        self._over()
        return {"op": "finished", "text": None, "files": [], "stream": True}

    def _finished(self, value: object) -> dict[str, Any]:
        self._over()
        encoded = encoder.encode(value, self._limit)
        files = self._post(encoded.files, "output", keep=False)
        return {"op": "finished", "text": encoded.text, "files": files, "stream": False}

    def _send_item(self, item: object) -> None:
        self._origin.check()
        name = f"output[{next(self._items)}]"
        encoded = encoder.encode(item, self._limit, name)
        files = self._post(encoded.files, name, keep=True)
        self._send({"op": "output", "text": encoded.text, "files": files})

    def _post(
        self, files: list[encoder.OutputFile], name: str, *, keep: bool
    ) -> list[dict[str, Any]]:
        """Put files into the outbox: hard links at the end, copies while the author's code runs."""
        posted = []
        for file in files:
            folder = str(next(self._folders))
            base = Path(file.path).name
            where = in_words(name, file.pointer)
            try:
                (self._outbox / folder).mkdir(parents=True)
                _put(file.path, self._outbox / folder / base, keep=keep)
            except OSError as error:
                message = f"{where}: the file {file.path!r} can't be read: {error.strerror}"
                raise Failure("OutputUploadFailed", message) from None
            posted.append({"pointer": list(file.pointer), "folder": folder, "name": base})
        return posted

    def _exited(self, error: SystemExit) -> Failure:
        if isinstance(error.code, str):
            errors.print_traceback(error)
        words = errors.exit_call(error)
        code = errors.exit_code(error)
        return Failure(
            "Exited", f"{self._entrypoint.name}() called {words}: it exited with code {code}"
        )


def _put(source: str, target: Path, *, keep: bool) -> None:
    if Path(source).is_dir():
        raise IsADirectoryError(0, "it is a folder")
    if not keep:
        try:
            os.link(_on_scratch(os.path.realpath(source), target.parents[2]), target)
        except OSError:
            pass  # another file system, or not ours to link
        else:
            return
    import shutil  # noqa: PLC0415 it loads every compression module

    shutil.copyfile(source, target)


def _on_scratch(source: str, scratch: Path) -> str:
    """The name on the scratch mount of a file in /tmp, /var/tmp or /run; others keep theirs.

    These folders are mounts of `system/` of the same volume. The kernel links no file from one
    mount to another, and a copy would take time and, for a while, twice the space.
    """
    there = Path(f"{scratch}/system{source}")
    try:
        same = there.samefile(source)
    except OSError:
        return source
    return str(there) if same else source


def is_async(function: Callable[..., Any]) -> bool:
    """Whether it is an `async def`, by `inspect`'s rules; for most it need not be imported."""
    if type(function) is FunctionType and not vars(function):
        return bool(function.__code__.co_flags & _ASYNC)
    import inspect  # noqa: PLC0415 10 ms; a decorated function, a method, a partial

    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def is_awaitable(value: object) -> bool:
    """The same as `inspect.isawaitable`, which takes 10 ms to import."""
    if isinstance(value, GeneratorType):
        return bool(value.gi_code.co_flags & _ITERABLE_COROUTINE)
    return isinstance(value, Awaitable)
