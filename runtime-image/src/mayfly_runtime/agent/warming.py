"""A pod that waits for its run: its worker is warmed up first, and a file says that it is ready."""

from pathlib import Path
from typing import Any

from mayfly_runtime.agent.child import Child
from mayfly_runtime.agent.messages import Work

READ_EARLY = (
    "FFMPEG_BINARY", "FFPLAY_BINARY",  # moviepy: which programs it calls
    "IMAGEIO_",  # imageio: its ffmpeg, the order of its plugins
    "JOBLIB_", "LOKY_",  # joblib: how it makes processes
    "KMP_", "GOMP_", "OMP_",  # OpenMP, scikit-learn's library for threads
    "OPENBLAS_", "GOTO",  # numpy's and scipy's libraries for linear algebra
    "NPY_", "NUMPY_",  # numpy
    "PILLOW_",  # pillow: how it takes memory
    "REPLICATE_POLL_INTERVAL",  # replicate's client, made when replicate is imported
    "SCIPY_", "PRIMA_DEBUGGING",  # scipy
    "SKLEARN_",  # scikit-learn
    "SOURCE_DATE_EPOCH",  # numpy.f2py: the time in what it generates
    "SSLKEYLOGFILE",  # requests: makes a TLS context when it is imported
)  # fmt: skip
"""Variables, or how their names begin, that packages read when they are imported, and only then."""


class Warming:
    """The warming up of the worker, if this pod is to wait for its run.

    Attributes:
        pending: the worker was told to warm up, and has not answered.
    """

    def __init__(self, child: Child, ready_file: Path | None) -> None:
        self.pending = False
        self._child = child
        self._file = ready_file

    @property
    def wanted(self) -> bool:
        """Whether this pod is to wait for its run."""
        return self._file is not None

    def begin(self) -> None:
        """Tell the worker, before anything else, to warm up; nothing if the pod is not to wait."""
        if self.wanted:
            self.pending = True
            self._child.send({"op": "warm"})

    def on_message(self, message: dict[str, Any]) -> tuple[str, list[str]]:
        """Handle the worker's answer.

        Returns:
            Why it can't be warmed up, or "" if it is warm; and what the pod's log should say.
        """
        self.pending = False
        if message["op"] != "warmed":
            text = str(message.get("error", message))
            last = text.strip().rpartition("\n")[2]
            return f"the worker can't be warmed up: {last}", text.splitlines()
        broken = message["broken"].items()
        return "", [f"{name} can't be imported: {why}" for name, why in broken]

    def announce(self) -> None:
        """Make the file for which the kubelet looks: the pod is ready.

        Raises:
            OSError: it can't be made.
        """
        if self._file is not None:
            self._file.touch()

    def over(self) -> None:
        """The pod has a run: remove the file, which the run must not see."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    def came_too_early(self, work: Work) -> bool:
        """Whether the run may set a variable that a package has read by now.

        Its packages then have to be imported anew. The text of the source is all that is looked at,
        so a run that only mentions such a name pays for it with the time of a cold start.
        """
        if not self.wanted:
            return False
        texts = [*work.secrets, *work.files.values()]
        return any(name in text for text in texts for name in READ_EARLY)
