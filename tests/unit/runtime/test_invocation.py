"""One call of `main()`: what is told, and in which order."""

import errno
import functools
import inspect
import os
import signal
import textwrap
import types
from pathlib import Path

import pytest

from mayfly_runtime.worker.entrypoint import Entrypoint
from mayfly_runtime.worker.errors import Failure
from mayfly_runtime.worker.invocation import Interrupts, Invocation, _put, is_async, is_awaitable

SLOW = """
class Slow(os.PathLike):
    def __fspath__(self):
        told.append("made into JSON")
        return __file__
class Wrong(Exception):
    def __str__(self):
        told.append("made into words")
        return "no"
"""


@pytest.fixture
def interrupts():
    before = signal.getsignal(signal.SIGUSR1)
    yield Interrupts()
    signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def call(interrupts, tmp_path):
    def call(source):
        told = []
        names = {"os": os, "told": told, "__file__": __file__, "__name__": "main"}
        exec(SLOW + textwrap.dedent(source), names)
        invocation = Invocation(
            Entrypoint(names["main"], "main"),
            interrupts,
            lambda message: told.append(message["op"]),
            tmp_path / "outbox",
            10_000,
        )
        try:
            told.append(invocation.run({})["op"])
        except Failure as failure:
            told.append(failure.reason)
        return told

    return call


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("def main(): return Slow()", ["over", "made into JSON", "finished"]),
        ("async def main(): return Slow()", ["over", "made into JSON", "finished"]),
        ("def main():\n  async def later(): return Slow()\n  return later()",
         ["over", "made into JSON", "finished"]),
        ("def main(): return object()", ["over", "OutputNotJSON"]),
        # An item is told while main() waits for its turn, so that time is main()'s.
        ("def main(): yield Slow()", ["made into JSON", "output", "over", "finished"]),
        ("async def main(): yield Slow()", ["made into JSON", "output", "over", "finished"]),
        ("def main(): return iter([Slow()])", ["made into JSON", "output", "over", "finished"]),
        ("async def main(): return iter([1])", ["output", "over", "finished"]),
        ("def main(): raise SystemExit(3)", ["over", "Exited"]),
        ("async def main(): raise SystemExit(3)", ["over", "Exited"]),
        ("def main():\n  yield 1\n  raise SystemExit(3)", ["output", "over", "Exited"]),
    ],
)  # fmt: skip
def test_the_end_of_main_is_told_before_what_it_gave(call, source, told):
    assert call(source) == told


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_the_end_of_main_is_told_before_its_error(call, kind):
    told = call(f"{kind} main(): raise Wrong")
    assert told[0] == "over"
    assert told[1] == "made into words"
    assert told[-1] == "UserError"


def test_a_file_in_tmp_is_linked_as_one_in_the_working_directory(tmp_path, monkeypatch):
    """/tmp is a mount of scratch's own system/tmp, and no link leads from one mount to another."""
    scratch, source = tmp_path / "scratch", tmp_path / "tmp" / "x.png"
    there = Path(f"{scratch}/system{source}")
    target = scratch / "outbox" / "0" / "x.png"
    for each in (source, there, target):
        each.parent.mkdir(parents=True)
    there.write_bytes(b"picture")
    os.link(there, source)
    link = os.link

    def within_scratch(path, to):
        if not Path(path).is_relative_to(scratch):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        link(path, to)

    monkeypatch.setattr(os, "link", within_scratch)
    _put(str(source), target, keep=False)
    assert target.samefile(source)
    # A file of the same name that is another one is not taken for it.
    there.unlink()
    there.write_bytes(b"another")
    target.unlink()
    _put(str(source), target, keep=False)
    assert target.read_bytes() == b"picture"
    # While the author's code runs it is a copy, as from anywhere.
    monkeypatch.setattr(os, "link", pytest.fail)
    _put(str(source), target, keep=True)
    assert not target.samefile(source)


async def plain_async():
    """An `async def`."""


async def stream():
    """An async generator."""
    yield 1


def items():
    """A generator."""
    yield 1


@types.coroutine
def old_style():
    """A coroutine as before `async def`."""
    yield 1


class Awaitable:
    """An object with the method that `await` calls."""

    def __await__(self):
        return iter(())

    async def method(self):
        """An `async def` that is bound."""


@functools.wraps(plain_async)
def wrapper():
    """A decorated function: `inspect` looks at the wrapper itself."""
    return plain_async()


def marked():
    """A function that says that it returns a coroutine."""


if hasattr(inspect, "markcoroutinefunction"):
    inspect.markcoroutinefunction(marked)


@pytest.mark.parametrize(
    "function",
    [
        *[plain_async, stream, items, old_style, wrapper, marked, len, Awaitable],
        *[Awaitable().method, functools.partial(plain_async), functools.partial(items)],
    ],
)
def test_async_functions_are_those_of_inspect(function):
    expected = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    assert is_async(function) == expected


@pytest.mark.parametrize("make", [plain_async, stream, items, old_style, Awaitable, dict])
def test_awaitables_are_those_of_inspect(make):
    value = make()
    assert is_awaitable(value) == inspect.isawaitable(value)
    if inspect.iscoroutine(value):
        value.close()
