"""The process that checks: a limited fork for each job, and no fault of one reaches the next."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.waiting import looks

from mayfly.source_check import process
from mayfly.source_check.checker import SourceChecker, _text
from mayfly.source_check.process import NotCheckedError

TOO_LARGE = b" " * (200 * 1024 * 1024)
"""Beside a request: no work, but much memory."""


def source(number: int = 0) -> dict[str, str]:
    return {"main.py": f"def main(value: int = {number}): ...\n"}


def default(schema: object) -> int:
    assert isinstance(schema, dict), schema
    found: int = schema["components"]["schemas"]["Input"]["properties"]["value"]["default"]
    return found


@pytest.fixture
def sources() -> Iterator[SourceChecker]:
    checker = SourceChecker()
    yield checker
    checker.close()


async def works(sources: SourceChecker, number: int) -> None:
    assert default(await sources.schema(source(number), "main.py:main")) == number


def server(sources: SourceChecker) -> int:
    """The process that waits for jobs."""
    sources.start()
    found = sources._process._process
    assert found is not None
    return found.pid


def forks(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(each) for each in found.split()]


def files(pid: int) -> list[str]:
    """What its file descriptors are."""
    return [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


async def until(seen: Callable[[], bool]) -> None:
    async for _ in looks():
        if seen():
            return


PATTERN = {"Input": {"properties": {"value": {"type": "string", "pattern": "^(a+)+$"}}}}


async def check_for_long(sources: SourceChecker) -> list[str]:
    schema = {"components": {"schemas": PATTERN}}
    return await sources.input_problems(schema, {"value": "a" * 40 + "b"})


async def test_each_job_has_a_second_and_the_next_one_has_it_too(sources: SourceChecker) -> None:
    waiting = server(sources)
    for _ in range(2):
        told = await check_for_long(sources)
        assert told == ["checking the input against its pattern takes more than 1 s"]
    await works(sources, 1)
    assert server(sources) == waiting


@pytest.mark.parametrize(("mebibytes", "enough"), [(256, False), (1024, True)])
async def test_each_job_has_so_much_memory(
    sources: SourceChecker, monkeypatch: pytest.MonkeyPatch, mebibytes: int, enough: bool
) -> None:
    monkeypatch.setattr(process, "CPU_SECONDS", 60)
    monkeypatch.setattr(process, "MEMORY_BYTES", mebibytes * 1024 * 1024)
    waiting = server(sources)
    request = _text({"op": "schema", "files": source(), "entrypoint": "main.py:main"})
    for _ in range(2):
        assert bool(await sources._process.ask(request + TOO_LARGE)) == enough
        assert await sources._process.ask(request)
    assert server(sources) == waiting


async def test_the_limits_of_a_job(sources: SourceChecker) -> None:
    waiting = server(sources)
    job = asyncio.create_task(check_for_long(sources))
    await until(lambda: bool(forks(waiting)))
    (fork,) = forks(waiting)

    def limited() -> bool:
        text = Path(f"/proc/{fork}/limits").read_text()
        lines = {line[:25].strip(): line[25:].split()[:2] for line in text.splitlines()}
        return (lines["Max cpu time"], lines["Max address space"], lines["Max core file size"]) == (
            ["1", "1"],
            [str(256 * 1024 * 1024)] * 2,
            ["0", "0"],
        )

    await until(limited)
    await job


async def test_a_job_that_hangs_ends(
    sources: SourceChecker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "WALL_SECONDS", 1)
    waiting = server(sources)
    monkeypatch.setattr(process, "WALL_SECONDS", 60)
    # It waits for a request that does not end: no CPU is used.
    job, _ = sources._process._hand_over()
    with job:
        assert await process._started(job)
        assert await asyncio.get_running_loop().sock_recv(job, 1) == b""
    await until(lambda: not forks(waiting))
    await works(sources, 1)


async def test_a_fork_knows_nothing_of_another(sources: SourceChecker) -> None:
    waiting = server(sources)
    first, _ = sources._process._hand_over()
    second, _ = sources._process._hand_over()
    with first, second:
        assert await process._started(first)
        assert await process._started(second)
        for fork in forks(waiting):
            # Its own socket alone: not the one that jobs come from, nor that of another job.
            assert len([each for each in files(fork) if each.startswith("socket:")]) == 1


async def test_many_at_once(sources: SourceChecker, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = server(sources)
    ask, now, most = sources._process.ask, 0, 0

    async def counted(request: bytes) -> bytes | None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        answer = await ask(request)
        now -= 1
        return answer

    monkeypatch.setattr(sources._process, "ask", counted)
    await asyncio.gather(*(works(sources, number) for number in range(100)))
    assert most == 2
    await until(lambda: not forks(waiting))
    assert len(files(waiting)) == 3


async def test_who_asks_the_same_at_once_shares_one_job(
    sources: SourceChecker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    ask = sources._process.ask

    async def counted(request: bytes) -> bytes | None:
        asked.append(request)
        return await ask(request)

    monkeypatch.setattr(sources._process, "ask", counted)
    await asyncio.gather(*(works(sources, 1) for _ in range(20)))
    assert len(asked) == 1
    assert not sources._asked


async def test_a_killed_process_costs_a_new_start(sources: SourceChecker) -> None:
    killed = server(sources)
    os.kill(killed, signal.SIGKILL)
    await asyncio.gather(*(works(sources, number) for number in range(10)))
    assert server(sources) != killed
    assert gone(killed)


async def test_jobs_of_a_killed_process_go_on(sources: SourceChecker) -> None:
    killed = server(sources)
    job = asyncio.create_task(check_for_long(sources))
    await until(lambda: bool(forks(killed)))
    os.kill(killed, signal.SIGKILL)
    await works(sources, 1)
    assert await job == ["checking the input against its pattern takes more than 1 s"]


async def test_a_process_that_hangs_is_replaced(
    sources: SourceChecker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await works(sources, 1)
    monkeypatch.setattr(process, "WALL_SECONDS", 1)
    hanging = server(sources)
    os.kill(hanging, signal.SIGSTOP)
    await works(sources, 2)
    assert gone(hanging)


async def test_what_cannot_start_is_no_fault_of_the_source(
    sources: SourceChecker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "server.py"
    broken.write_text("raise SystemExit(1)")
    with monkeypatch.context() as patched:
        patched.setattr(process, "SERVER", broken)
        with pytest.raises(NotCheckedError):
            await sources.schema(source(), "main.py:main")
    await works(sources, 0)


async def test_who_gives_up_leaves_the_job_its_slot() -> None:
    sources = SourceChecker(parallel=1)
    waiting = server(sources)
    job = asyncio.create_task(check_for_long(sources))
    await until(lambda: bool(forks(waiting)))
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    (fork,) = forks(waiting)
    await works(sources, 1)
    assert gone(fork)
    sources.close()


async def test_the_end_leaves_no_process() -> None:
    sources = SourceChecker()
    waiting = server(sources)
    job = asyncio.create_task(check_for_long(sources))
    await until(lambda: bool(forks(waiting)))
    (fork,) = forks(waiting)
    sources.close()
    assert gone(waiting)
    await until(lambda: gone(fork))
    await job
    sources.close()


async def test_it_ends_with_a_killed_owner() -> None:
    code = """
        import time
        from mayfly.source_check.checker import SourceChecker, _text
        sources = SourceChecker()
        sources.start()
        print(sources._process._process.pid, flush=True)
        time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    owner = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert owner.stdout is not None
    waiting = int(await owner.stdout.readline())
    assert not gone(waiting)
    owner.kill()
    await owner.wait()
    await until(lambda: gone(waiting))
