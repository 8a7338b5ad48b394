"""Warm pods: the worker has imported everything before its run is known, and the run can't tell."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from contract.agent.conftest import SOURCE, Agent, Launcher, make_venv
from contract.agent.fake_gateway import Session
from contract.agent.messages import RUN, work
from contract.agent.packages import install, of_the_image
from support.surroundings import PIPELINE
from support.waiting import looks

from mayfly_runtime.agent.warming import READ_EARLY

SECONDS = 120.0
"""More than a busy machine takes to import all packages."""

KNOWN = {"cython_runtime", "typing_extensions"}
"""Modules that compiled code gets without an import statement: not always listed in a warm pod."""


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return of_the_image(tmp_path_factory.mktemp("packages") / "v")


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """A folder with an environment for packages of a test's own."""
    make_venv(tmp_path / "venv", sys.executable, SOURCE)
    return tmp_path / "venv"


class Pods:
    """Launches pods, cold or waiting, all in the same folder, so that paths are the same."""

    def __init__(self, launch: Launcher, folder: Path) -> None:
        self._launch = launch
        self._folder = folder

    async def __call__(self, python: Path | None = None, **options: Any) -> tuple[Agent, Session]:
        if self._folder.exists():
            self._folder.rename(self._folder.with_name(f"before-{id(object())}"))
        self._folder.mkdir()
        if options.pop("waits", True):
            options["MAYFLY_READY_FILE"] = str(self._folder / "scratch" / "ready")
        agent = await self._launch(python=python, folder=self._folder, **options)
        return agent, await agent.session()

    async def output(self, python: Path, source: str, does: str = "", *, waits: bool) -> Any:
        """What a run of a source returns, after its pod was ready."""
        agent, session = await self(python, waits=waits)
        if waits:
            await ready(agent)
        await session.send("work", **work(source, {"does": does} if does else {}))
        ended = await agent.finish(session)
        assert ended.result["outcome"] == "succeeded", (ended.log, ended.result)
        assert ended.log == ""
        return ended.output


@pytest.fixture
def pods(launch: Launcher, tmp_path: Path) -> Pods:
    return Pods(launch, tmp_path / "pod")


async def ready(agent: Agent) -> None:
    """Wait as the kubelet does."""
    async for _ in looks(SECONDS):
        if (agent.scratch / "ready").exists():
            return


def python_of(venv: Path) -> Path:
    return venv / "bin" / "python"


# What a run finds


@pytest.mark.parametrize(
    "does",
    [
        "",
        "import replicate",
        "import numpy, PIL, urllib, concurrent, email",
        "import scipy.signal, requests, moviepy, pydantic, cog",
        "import sklearn.linear_model",
    ],
)
async def test_a_run_finds_the_same_in_a_warm_pod_as_in_a_cold_one(pods, packages, does):
    cold = await pods.output(packages, PIPELINE, does, waits=False)
    warm = await pods.output(packages, PIPELINE, does, waits=True)
    assert set(cold.pop("modules")) ^ set(warm.pop("modules")) <= KNOWN
    before, now = (set(each["interpreter"].pop("modules")) for each in (cold, warm))
    assert {each for each in before ^ now if not each.startswith("_cython")} <= KNOWN
    assert warm == cold


RANDOM = """
import random, secrets, tempfile, uuid
import numpy
def main() -> list:
    return [random.random(), random.getrandbits(64), numpy.random.random(),
            numpy.random.default_rng().random(), numpy.random.randint(2**62),
            numpy.random.RandomState().random_sample(),
            str(uuid.uuid1()), uuid.uuid1().clock_seq, str(uuid.uuid4()), secrets.token_hex(),
            tempfile.mktemp(), hash("x"), id(object())]
"""


async def test_two_warm_pods_draw_different_random_numbers(pods, packages):
    one = await pods.output(packages, RANDOM, waits=True)
    other = await pods.output(packages, RANDOM, waits=True)
    same = [index for index, pair in enumerate(zip(one, other, strict=True)) if len(set(pair)) < 2]
    assert same in ([], [7])  # 14 bits


async def test_an_early_import_executes_nothing_again(pods, venv):
    install(venv, "counted", "import os\nplace = os.getcwd()\nprint('imported')\nmade = object()")
    source = """
        import sys
        there = "counted" in sys.modules
        import counted
        def main() -> list:
            import counted as again
            return [there, again is counted, counted.__spec__.name, counted.place]
        """
    told = await pods.output(python_of(venv), source, waits=True)
    assert told[:3] == [False, True, "counted"]
    assert told[3].endswith("/scratch/run")


async def test_a_package_that_is_changed_by_an_import_of_it_is_so_in_a_warm_pod(pods, packages):
    """httpx, whose requests to the gateway are repeated while it is away; replicate's numpy."""
    source = """
        import replicate, httpx
        def main() -> list:
            return [httpx.HTTPTransport.handle_request.__module__,
                    type(replicate.helpers.np).__module__]
        """
    told = await pods.output(packages, source, waits=True)
    assert told == ["mayfly_runtime.worker.httpx_retries", "mayfly_runtime.worker.replicate_numpy"]


async def test_a_package_that_cant_be_imported_tells_the_author_as_ever(pods, venv):
    install(venv, "broken", "print('trying')\nraise RuntimeError('no such device')")
    agent, session = await pods(python_of(venv), stderr=True)
    await ready(agent)
    await session.send("work", **work("import broken\ndef main() -> None: ..."))
    ended = await agent.finish(session)
    assert ended.result["error"] == "RuntimeError: no such device"
    assert ended.log.startswith("trying\nTraceback")
    assert ended.log.count("trying") == 1
    told = (await agent.process.stderr.read()).decode()
    assert "broken can't be imported: RuntimeError: no such device" in told


# Variables that packages read when they are imported


@pytest.mark.parametrize("way", ["source", "secret"])
async def test_a_variable_that_a_package_reads_when_imported_is_read_after_it_is_set(
    pods, venv, way
):
    install(venv, "reads", "import os\nvalue = os.environ.get('SKLEARN_WORKING_MEMORY')")
    head = "import os\nos.environ['SKLEARN_WORKING_MEMORY'] = '7'\n" if way == "source" else ""
    source = f"{head}import os, reads\ndef main() -> list: return [reads.value, os.getcwd()]"
    agent, session = await pods(python_of(venv))
    await ready(agent)
    secrets = {} if way == "source" else {"SKLEARN_WORKING_MEMORY": "7"}
    await session.send("work", **work(source, secrets=secrets))
    ended = await agent.finish(session)
    assert ended.output == ["7", str(agent.scratch / "run")], ended.result


async def test_a_worker_that_starts_again_is_as_it_was_at_first(pods, venv):
    """Its process, that is: the same number, the same environment, no more descriptors."""
    source = f"MENTIONED = 'OMP_NUM_THREADS'\n{PIPELINE}"
    cold = await pods.output(python_of(venv), source, waits=False)
    again = await pods.output(python_of(venv), source, waits=True)
    assert again == cold


NO_MATTER = {
    *["HOME", "PYTHONUSERBASE"],  # sysconfig: folders that are not on sys.path here
    *["PYTHONDOCS", "_PYTHON_PROJECT_BASE"],  # pydoc's own, sysconfig's for builds of Python
    *["_PYTHON_SYSCONFIGDATA_NAME", "_PYTHON_SYSCONFIGDATA_PATH"],  # likewise
    *["LANG", "LC_CTYPE", "PATH", "TMPDIR"],  # given to a program that moviepy calls
}

READERS = r"""
import os, sys
from pathlib import Path
read = set()
class Noting(type(os.environ)):
    def __getitem__(self, key):
        if isinstance(key, str):
            read.add(key)
        return super().__getitem__(key)
before = set(os.environ)
from mayfly_runtime.worker import recorder, warm
class Recorder(recorder.Recorder):
    def __enter__(self):
        os.environ.__class__ = Noting
        return super().__enter__()
    def __exit__(self, *error):
        os.environ.__class__ = Noting.__base__
        super().__exit__(*error)
recorder.Recorder = Recorder
assert warm.warm_up(Path(sys.argv[1])) == {}
print(*sorted(read))
"""


def test_every_variable_that_a_package_reads_when_imported_is_named(packages, tmp_path):
    done = subprocess.run(
        [packages, "-I", "-c", READERS, tmp_path],
        env={name: os.environ[name] for name in ("PATH", "HOME")},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    read = set(done.stdout.split()) - NO_MATTER
    assert "SKLEARN_WORKING_MEMORY" in read
    assert {name for name in read if not name.startswith(READ_EARLY)} == set()


# The life of a pod that waits


async def test_the_ready_file_is_there_while_the_pod_waits_and_gone_before_the_run(pods, python):
    agent, session = await pods(python)
    await ready(agent)
    source = """
        import os
        found = os.listdir(os.environ["HOME"])
        def main() -> list:
            return [found, [each for each in os.environ if "MAYFLY" in each]]
        """
    await session.send("work", **work(source))
    assert (await agent.finish(session)).output == [["run"], []]


async def test_an_idle_pod_that_is_warm_is_retired(pods, python):
    agent, session = await pods(python)
    await ready(agent)
    await session.send("retire")
    assert await agent.exit_code() == 0
    assert (agent.folder / "termination").read_bytes() == b""


async def slow(pods: Pods, venv: Path) -> tuple[Agent, Session]:
    """A pod that warms up until the test says so."""
    install(
        venv,
        "slow",
        """
        import os, time
        open(os.environ["HOME"] + "/begun", "w").close()
        while not os.path.exists(os.environ["HOME"] + "/go"):
            time.sleep(0.01)
        """,
    )
    agent, session = await pods(python_of(venv))
    async for _ in looks(SECONDS):
        if (agent.scratch / "begun").exists():
            return agent, session
    raise AssertionError


async def test_work_that_comes_while_the_worker_warms_up_is_done(pods, venv):
    agent, session = await slow(pods, venv)
    assert not (agent.scratch / "ready").exists()
    source = "import slow\nprint('mine')\ndef main(n: int) -> int: return n"
    await session.send("work", **work(source, {"n": 7}))
    await session.receive("accepted")
    (agent.scratch / "go").touch()
    ended = await agent.finish(session)
    assert (ended.output, ended.log) == (7, "mine\n")
    assert not (agent.scratch / "ready").exists()


async def test_a_run_is_cancelled_while_the_worker_warms_up(pods, venv):
    agent, session = await slow(pods, venv)
    await session.send("work", **work("print('no')\ndef main() -> None: ..."))
    await session.receive("accepted")
    await session.send("cancel", run=RUN)
    ended = await agent.finish(session)
    assert (ended.result["outcome"], ended.result["started"], ended.log) == ("canceled", False, "")


async def test_nothing_of_the_author_runs_before_its_inputs_are_there(pods, python):
    """main() waits for the files, as in a cold pod; a file that is not there ends the run."""
    agent, session = await pods(python)
    await ready(agent)
    source = "from cog import Path\ndef main(f: Path) -> None: print('main')"
    await session.send("work", **work(source, {"f": "mayfly-file:none"}))
    ended = await agent.finish(session)
    assert (ended.result["reason"], ended.log) == ("InputFetchFailed", "")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import os\nos._exit(3)", "the worker ended before there was work: the process exited "),
        (
            "import os\nos.kill(os.getpid(), 11)",
            "the worker ended before there was work: the process was ended by SIGSEGV",
        ),
        ("import gc\ngc.freeze = None", "the worker can't be warmed up: TypeError: 'NoneType' "),
    ],
    ids=["exits", "crashes", "raises"],
)
async def test_a_pod_that_cant_be_warmed_up_ends_and_says_why(pods, venv, source, words):
    install(venv, "spoils", source)
    agent, _ = await pods(python_of(venv), stderr=True)
    assert await agent.exit_code() == 1
    assert (agent.folder / "termination").read_text().startswith(words)
    assert words in (await agent.process.stderr.read()).decode()
    assert not (agent.scratch / "ready").exists()


async def test_a_run_that_a_pod_has_when_its_worker_breaks_ends_in_words(pods, venv):
    install(venv, "spoils", "import slow, os\nos._exit(3)")
    agent, session = await slow(pods, venv)
    await session.send("work", **work("def main() -> None: ..."))
    await session.receive("accepted")
    (agent.scratch / "go").touch()
    result = (await agent.finish(session)).result
    assert (result["reason"], result["started"]) == ("InternalError", False)
    assert "the process exited with code 3" in result["error"]
