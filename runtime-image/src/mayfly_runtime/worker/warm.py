"""Warms this interpreter up while its pod waits for a run: imports, primes, tidies.

Of all this `main.py` sees nothing but the time it takes no more: see `shelf`. What a package may
not do when it is imported before the run is known stands in the README, "Warm pods".
"""

import gc
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from mayfly_runtime.worker import recorder, replicate_numpy, spare_contexts
from mayfly_runtime.worker.shelf import SHELF

LEFT_OUT = {
    "pip": "a tool, which no pipeline imports",
    "pkg_resources": "reads all of sys.path when it is imported",
    "setuptools": "replaces distutils when it is imported",
}
"""Packages that are not imported early, and why."""

_OF_THE_WORKER = ("asyncio", "dataclasses", "inspect", "shutil", "traceback")
"""What this worker may need when the author's code has begun."""

_NOT_THE_AUTHORS = {"conftest", "test", "testing", "tests"}


def warm_up(folder: Path) -> dict[str, str]:
    """Import every package, prime what a first request takes, and leave no trace.

    Args:
        folder: the run's, where `main.py` will be imported.

    Returns:
        The packages that can't be imported, and why. Their import by `main.py` tells its author.
    """
    broken = {}
    here = Path.cwd()
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    try:
        with recorder.Recorder() as record:
            replicate_numpy.put_off()
            for name in _names():
                try:
                    importlib.import_module(name)
                except (Exception, SystemExit) as error:  # noqa: BLE001 packages raise anything
                    broken[name] = f"{type(error).__name__}: {error}"
    finally:
        os.chdir(here)
    spare_contexts.make()
    ours = (__name__, recorder.__name__, spare_contexts.__name__)
    SHELF.take([*record.names, *ours], record.needs, record.effects)
    gc.collect()
    gc.freeze()
    return broken


def _names() -> Iterator[str]:
    """The image's packages by their metadata, and the public packages in them."""
    import pkgutil  # noqa: PLC0415 a cold worker imports neither
    from importlib.metadata import packages_distributions  # noqa: PLC0415

    packages = {
        name
        for name in packages_distributions()
        if name.isidentifier() and not name.startswith("_") and name not in LEFT_OUT
    }
    # replicate before numpy: most pipelines import it without, and then it does without.
    yield from sorted(packages, key=lambda name: (name != "replicate", name))
    yield from _OF_THE_WORKER
    if "pydantic" in packages:
        yield "cog.model"
    for name in sorted(packages):
        for part in pkgutil.iter_modules(getattr(sys.modules.get(name), "__path__", ())):
            if part.ispkg and not part.name.startswith("_") and part.name not in _NOT_THE_AUTHORS:
                yield f"{name}.{part.name}"
