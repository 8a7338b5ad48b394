"""Runs several functions in parallel; on a failure or Ctrl-C the others are stopped."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed

from localcluster import progress


def side_by_side(*works: Callable[[], object]) -> None:
    """Run functions in threads; the first failure is raised when all have ended."""
    with ThreadPoolExecutor(len(works)) as pool:
        futures = [pool.submit(work) for work in works]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            progress.STOPPING.set()  # looked at by every step that runs a command or waits
            raise
        finally:
            if progress.STOPPING.is_set():
                pool.shutdown(wait=True)
                progress.STOPPING.clear()
