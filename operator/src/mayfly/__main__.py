"""`mayfly controller | gateway | usage | …`: builds the object graph and owns the clock."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mayfly.clock import monotonic, utc_now

DATABASE_URL = "MAYFLY_DATABASE_URL"
"""The variable that overrides the settings' database: its password is in a Secret."""


def main(arguments: list[str] | None = None) -> int:
    """Run one of the processes, write what is generated, or ask a gateway something."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] in (["usage"], ["open"]):
        return _ask(arguments)
    parser = argparse.ArgumentParser(prog="mayfly", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("controller", help="the operator: pods, claims, cancels, ends")
    commands.add_parser("gateway", help="the HTTP API and the pods' side door")
    crds = commands.add_parser("crds", help="the CustomResourceDefinitions and their reference")
    commands.add_parser("openapi", help="the description of the HTTP API")
    commands.add_parser("usage", help="what was used, what it costs, and why")
    commands.add_parser("open", help="a link that signs in to the web UI")
    crds.add_argument(
        "--write",
        metavar="DIR",
        help="the repository: write every generated file",
    )
    database = commands.add_parser("database", help="backup and restore of the gateway's SQLite")
    database.add_argument("action", choices=["backup", "restore"])
    database.add_argument("file", nargs="?", default="-", help='"-": standard output, or input')
    options = parser.parse_args(arguments)
    if options.command == "database":
        return _database(options.action, options.file)
    if options.command == "crds":
        return _crds(options.write)
    if options.command == "openapi":
        return _openapi()
    logging.basicConfig(
        level=os.environ.get("MAYFLY_LOG_LEVEL", "INFO").upper(),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    # kopf says of each event that its handler succeeded; ours only enqueue.
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    if options.command == "controller":
        return _controller()
    return _gateway()


def _ask(arguments: list[str]) -> int:
    from mayfly.cli.app import run  # noqa: PLC0415 - no process of the cluster needs a terminal

    return run(arguments)


@contextmanager
def loading() -> Iterator[None]:
    """Import what stays as long as the process: the garbage collector never looks at it.

    That saves a seventh of a start, and a part of each collection afterwards.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _controller() -> int:
    with loading():
        from mayfly.config import ControllerConfig  # noqa: PLC0415 - each process loads its half
        from mayfly.controller.process import Controller  # noqa: PLC0415

    config = ControllerConfig.model_validate_json(_config_text())

    async def run() -> None:
        await Controller(
            config,
            namespace=os.environ["POD_NAMESPACE"],
            identity=os.environ["POD_NAME"],
            clock=utc_now,
            monotonic=monotonic,
            kubeconfig=os.environ.get("KUBECONFIG"),
        ).run()

    asyncio.run(run())
    return 0


def _gateway() -> int:
    with loading():
        from mayfly.config import GatewayConfig  # noqa: PLC0415
        from mayfly.gateway.server import serve  # noqa: PLC0415

    config = GatewayConfig.model_validate_json(_config_text())
    url = os.environ.get(DATABASE_URL) or config.database_url
    config = config.model_copy(update={"database_url": url})
    asyncio.run(serve(config, os.environ.get("KUBECONFIG")))
    return 0


def _database(action: str, file: str) -> int:
    from mayfly.config import GatewayConfig  # noqa: PLC0415
    from mayfly.database import backup  # noqa: PLC0415

    url = os.environ.get(DATABASE_URL)
    url = url or GatewayConfig.model_validate_json(_config_text()).database_url
    writes = action == "backup"
    act = backup.backup if writes else backup.restore
    try:
        if file == "-":
            act(url, sys.stdout.buffer if writes else sys.stdin.buffer)
        else:
            with Path(file).open("wb" if writes else "rb") as opened:
                act(url, opened)
    except (backup.NotPossible, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _config_text() -> str:
    return Path(os.environ["MAYFLY_CONFIG"]).read_text(encoding="utf-8")


def _crds(repository: str | None) -> int:
    from mayfly.api import reference  # noqa: PLC0415
    from mayfly.api.crd import KINDS, crd  # noqa: PLC0415
    from mayfly.telemetry import reference as telemetry  # noqa: PLC0415

    if repository is None:
        json.dump([crd(kind) for kind in KINDS], sys.stdout, indent=2)
        return 0
    requirements = Path(repository, "runtime-image", "requirements.txt")
    files = reference.generated(requirements.read_text(encoding="utf-8"))
    for name, text in {**files, **telemetry.generated()}.items():
        path = Path(repository, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path)
    return 0


def _openapi() -> int:
    from mayfly.gateway.described import document  # noqa: PLC0415

    sys.stdout.write(document())
    return 0


if __name__ == "__main__":
    sys.exit(main())
