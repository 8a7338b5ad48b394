"""Runs a program in several processes that start their work at the same moment."""

import os
import subprocess
import sys

SECONDS = 120


def at_once(program: str, *arguments: str, processes: int = 2) -> None:
    """Run a Python program in several processes, and check that each of them succeeds.

    Args:
        program: the source; it prints "here" when it is ready, and then reads its input to the end.
        arguments: of each process.
        processes: how many.
    """
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "here\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.close()
            process.stdin = None
        for process in started:
            _, said = process.communicate(timeout=SECONDS)
            assert process.returncode == 0, said
    finally:
        for process in started:
            process.kill()
