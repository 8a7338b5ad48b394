"""The real agent, as a process of its own, against a gateway on a real port."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from contract.agent.fake_gateway import PATIENCE_S, Gateway, Session
from contract.agent.messages import work
from support.waiting import within

SOURCE = Path(__file__).parents[3] / "runtime-image" / "src"


def make_venv(folder: Path, python: str, source: Path) -> Path:
    """An environment that finds the runtime even under `-I`, as the image's does."""
    subprocess.run([python, "-I", "-m", "venv", "--without-pip", folder], check=True)
    site = next((folder / "lib").glob("python3*/site-packages"))
    (site / "mayfly.pth").write_text(f"{source}\n")
    return folder / "bin" / "python"


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chosen = os.environ.get("MAYFLY_TEST_PYTHON")
    if chosen:
        return Path(chosen)
    return make_venv(tmp_path_factory.mktemp("venv") / "v", sys.executable, SOURCE)


@dataclass
class Ended:
    """All that a finished agent left behind."""

    result: dict[str, Any]
    log: str
    outputs: list[Any]
    messages: list[dict[str, Any]]
    termination: dict[str, Any]
    exit_code: int

    @property
    def output(self) -> Any:
        text = self.result["outputJSON"]
        return None if text is None else json.loads(text)


@dataclass
class Agent:
    """One agent process."""

    process: asyncio.subprocess.Process
    gateway: Gateway
    folder: Path
    sessions: list[Session] = field(default_factory=list)

    def kill(self) -> None:
        """As a crash of its pod."""
        kill(self.process)

    @property
    def scratch(self) -> Path:
        return self.folder / "scratch"

    async def session(self, **welcome: Any) -> Session:
        """Its next connection, after hello; welcomed unless told otherwise."""
        session = await self.gateway.session()
        session.hello = await session.receive("hello")
        self.sessions.append(session)
        if welcome.pop("welcome", True):
            fields = {"logOffset": 0, "outputIndex": 0, "recorded": False, **welcome}
            await session.send("welcome", **fields)
        return session

    async def exit_code(self) -> int:
        await within(PATIENCE_S, self.process.wait())
        return self.process.returncode

    def termination(self) -> dict[str, Any]:
        data = (self.folder / "termination").read_bytes()
        assert len(data) <= 4096
        return json.loads(data)

    async def finish(self, session: Session) -> Ended:
        """Wait for the result, acknowledge it, and collect everything."""
        result = await session.receive("result")
        await session.send("ack", run=result["run"], attempt=result["attempt"])
        code = await self.exit_code()
        messages = [m for s in self.sessions for m in s.messages]
        return Ended(
            result=result,
            log="".join(m["data"] for m in session.messages if m["type"] == "log"),
            outputs=items(session),
            messages=messages,
            termination=self.termination(),
            exit_code=code,
        )


def items(session: Session) -> list[Any]:
    """The items of an iterator's output that came on a connection."""
    told = [m["itemsJSON"] for m in session.messages if m["type"] == "output"]
    return [json.loads(text) for texts in told for text in texts]


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    found = Gateway()
    runner = web.AppRunner(found.app(), shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.port = runner.addresses[0][1]
    yield found
    await runner.cleanup()


class Launcher:
    """Starts agents and sees that none outlives its test."""

    def __init__(self, gateway: Gateway, python: Path, folder: Path, stack: AsyncExitStack) -> None:
        self.gateway = gateway
        self._python = python
        self._folder = folder
        self._stack = stack

    async def __call__(
        self,
        prefix: list[str] | None = None,
        python: Path | None = None,
        folder: Path | None = None,
        open_scratch: bool = False,
        stderr: bool = False,
        **environment: str,
    ) -> Agent:
        folder = folder or self._folder
        (folder / "scratch").mkdir()
        (folder / "cgroup").mkdir()
        (folder / "termination").touch(0o666)
        (folder / "termination").chmod(0o666)
        (folder / "token").write_text("projected-token\n")
        if open_scratch:
            (folder / "scratch").chmod(0o777)
        process = await asyncio.create_subprocess_exec(
            *(prefix or []),
            *[str(python or self._python), "-I", "-m", "mayfly_runtime.agent"],
            env={
                "PATH": os.environ["PATH"],
                "MAYFLY_GATEWAY_URL": self.gateway.url,
                "MAYFLY_TOKEN_FILE": str(folder / "token"),
                "MAYFLY_SCRATCH": str(folder / "scratch"),
                "MAYFLY_TERMINATION_LOG": str(folder / "termination"),
                "MAYFLY_CGROUP": str(folder / "cgroup"),
                "REPLICATE_BASE_URL": self.gateway.url,
                **environment,
            },
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE if stderr else None,
        )
        self._stack.push_async_callback(_end, process)
        return Agent(process, self.gateway, folder)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        kill(process)
    await process.wait()


def kill(process: asyncio.subprocess.Process) -> None:
    """SIGKILL an agent and its worker, which in a pod goes with PID 1."""
    children = children_of(process)
    process.kill()
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def children_of(process: asyncio.subprocess.Process) -> list[int]:
    """The pids of an agent's worker, and of orphans that are the agent's now."""
    told = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(each) for each in told.split()]


@pytest.fixture
async def launch(gateway: Gateway, python: Path, tmp_path: Path) -> AsyncIterator[Launcher]:
    async with AsyncExitStack() as stack:
        yield Launcher(gateway, python, tmp_path, stack)


@pytest.fixture
async def run(launch: Launcher):
    """Run one source to its end, as the gateway would."""

    async def whole(source: str | dict[str, str], inputs: Any = None, **changes: Any) -> Ended:
        environment = changes.pop("environment", {})
        agent = await launch(**environment)
        session = await agent.session()
        await session.send("work", **work(source, inputs, **changes))
        return await agent.finish(session)

    return whole


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that any UID can reach (pytest's own are the owner's alone)."""
    folder = Path(tempfile.mkdtemp(prefix="mayfly-", dir="/tmp"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)
