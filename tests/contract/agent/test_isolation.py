"""What the author's code may try against PID 1."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from contract.agent.conftest import SOURCE, make_venv
from contract.agent.messages import work
from support.waiting import looks

root_only = pytest.mark.skipif(
    os.geteuid() != 0, reason="takes another UID and a PID namespace, which only root may make"
)


def public(folder: Path) -> tuple[Path, Path]:
    """An interpreter with the runtime, and a folder to run in, that any UID can read."""
    source = folder / "src"
    shutil.copytree(SOURCE, source)
    python = make_venv(folder / "venv", "/usr/bin/python3", source)
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    (folder / "run").mkdir()
    return python, folder / "run"


async def test_closing_every_low_descriptor_loses_only_the_log(run):
    ended = await run(
        """
        import os
        def main() -> int:
            os.closerange(0, 101)
            return 7
        """
    )
    assert ended.output == 7


async def test_a_channel_that_is_gone_is_judged_by_the_exit(run):
    ended = await run(
        """
        import os
        def main() -> int:
            os.closerange(3, 4096)
            return 7
        """
    )
    assert ended.result["reason"] == "Exited"


async def test_subprocesses_inherit_no_channel(run):
    ended = await run(
        """
        import os, subprocess
        def main() -> str:
            return subprocess.run(["ls", "-l", "/proc/self/fd"], close_fds=False,
                                  capture_output=True, text=True).stdout
        """
    )
    assert "socket" not in ended.output


async def test_no_secret_of_the_agent_is_in_the_worker(launch):
    agent = await launch()
    session = await agent.session()
    secret = session.headers["Mayfly-Session"]
    source = """
        def main() -> list:
            found = []
            for line in open("/proc/self/maps"):
                span, mode = line.split()[:2]
                if "r" not in mode or "[v" in line:
                    continue
                low, high = (int(x, 16) for x in span.split("-"))
                with open("/proc/self/mem", "rb", 0) as memory:
                    memory.seek(low)
                    try:
                        data = memory.read(high - low)
                    except (OSError, OverflowError):
                        continue
                    if bytes.fromhex("%s") in data:
                        found.append(line)
            return [line for line in found if "heap" not in line and "anon" in line]
        """
    # Searched for half of it in hex, so that the source itself is not what is found.
    await session.send("work", **work(source % secret[:20].encode().hex()))
    ended = await agent.finish(session)
    assert ended.result["outcome"] == "succeeded"
    assert ended.output == []


@root_only
@pytest.mark.parametrize("waits", [False, True], ids=["cold", "warm"])
async def test_pid_1_can_be_neither_read_nor_killed(launch, public_folder, waits):
    """As in a pod: PID 1 of its own namespace, one unprivileged UID."""
    python, run_folder = public(public_folder)
    ready = run_folder / "scratch" / "ready"
    namespace = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    identity = ["setpriv", "--reuid=65532", "--regid=65532", "--clear-groups"]
    agent = await launch(
        prefix=[*namespace, *identity],
        python=python,
        folder=run_folder,
        open_scratch=True,
        **({"MAYFLY_READY_FILE": str(ready)} if waits else {}),
    )
    session = await agent.session()
    async for _ in looks(60):
        if ready.exists() is waits:
            break
    text = """
        import os, signal
        def attempt(action):
            try:
                return repr(action())[:80]
            except OSError as error:
                return type(error).__name__
        def main() -> dict:
            told = {name: attempt(lambda: open(f"/proc/1/{name}", "rb").read())
                    for name in ("environ", "mem", "maps")}
            told["fd"] = attempt(lambda: os.listdir("/proc/1/fd"))
            told["own"] = attempt(lambda: len(open("/proc/self/environ", "rb").read()) > 0)
            told["uid"] = os.getuid()
            told["parent"] = os.getppid()
            for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGINT):
                told[number.name] = attempt(lambda: os.kill(1, number))
            return told
        """
    await session.send("work", **work(text))
    ended = await agent.finish(session)
    denied = "PermissionError"
    assert ended.output == {
        "environ": denied, "mem": denied, "maps": denied, "fd": denied,
        "own": "True", "uid": 65532, "parent": 1,
        "SIGKILL": "None", "SIGSTOP": "None", "SIGTERM": "None", "SIGINT": "None",
    }  # fmt: skip
    assert ended.result["outcome"] == "succeeded"


@root_only
@pytest.mark.parametrize("moment", ["running", "importing"])
async def test_an_author_who_takes_every_thread_leaves_the_agent_its_own(
    launch, public_folder, moment
):
    """As in a pod whose processes are limited: threads count, and PID 1's are among them."""
    python, run_folder = public(public_folder)
    # A UID that nobody else has: the limit counts all that is the UID's.
    identity = ["setpriv", "--reuid=64321", "--regid=64321", "--clear-groups"]
    agent = await launch(
        prefix=[*identity, "prlimit", "--nproc=40"],
        python=python,
        folder=run_folder,
        open_scratch=True,
    )
    session = await agent.session()
    text = """
        import pathlib, threading
        from cog import Path
        def take():
            while True:
                try:
                    threading.Thread(target=threading.Event().wait, daemon=True).start()
                except RuntimeError as error:
                    print(error)
                    return
        if "MOMENT" == "importing":
            take()
        def main() -> Path:
            if "MOMENT" == "running":
                take()
            pathlib.Path("made.txt").write_text("made")
            return Path("made.txt")
        """
    await session.send("work", **work(text.replace("MOMENT", moment)))
    ended = await agent.finish(session)
    assert ended.log == "can't start new thread\n"
    assert ended.result["outcome"] == "succeeded", ended.result
    assert list(agent.gateway.files.values()) == [b"made"]


@root_only
async def test_zombies_are_reaped(launch, public_folder):
    agent = await launch()
    session = await agent.session()
    source = """
        import os, subprocess, time
        def main() -> list:
            for _ in range(20):
                subprocess.run(["sh", "-c", "sleep 0 &"])
            left = ["?"]
            while left:
                left = [p for p in os.listdir("/proc") if p.isdigit() and zombie(p)]
            return left
        def zombie(pid):
            try:
                fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
            except OSError:
                return False
            return fields[0] == "Z" and int(fields[1]) == os.getppid()
        """
    await session.send("work", **work(source))
    assert (await agent.finish(session)).output == []


def test_the_agent_needs_the_standard_library_only():
    code = """if True:
        import sys
        sys.path.insert(0, sys.argv[1])
        import mayfly_runtime.agent.__main__, mayfly_runtime.agent.startup
        import mayfly_runtime.worker.__main__
        files = [str(getattr(module, "__file__", "")) for module in sys.modules.values()]
        print([file for file in files if "site-packages" in file])
        """
    command = [sys.executable, "-I", "-S", "-c", code, str(SOURCE)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


async def test_the_user_has_a_name_whatever_the_uid(run):
    ended = await run(
        """
        import getpass, os
        def main() -> list:
            home = os.path.expanduser("~")
            return [getpass.getuser(), os.environ["USER"], os.environ["LOGNAME"],
                    os.access(home, os.W_OK), home == os.environ["HOME"]]
        """
    )
    assert ended.output == ["mayfly", "mayfly", "mayfly", True, True]
