"""Who asked the API server for what, from its audit log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

ACCOUNT = "system:serviceaccount:"
OWN = ("controller", "gateway")
"""The clients that are Mayfly's."""


@dataclass(frozen=True, order=True)
class Request:
    """One kind of request by one client.

    Attributes:
        client: a short name: controller, gateway, kubelet, scheduler, client, or the whole user.
        verb: create, update, patch, delete; get by Mayfly alone.
        target: plural, with the subresource behind a slash.
        failed: the API server answered 400 or more.
    """

    client: str
    verb: str
    target: str
    failed: bool = False


@dataclass(frozen=True)
class Entry:
    """A request and the object that it was about."""

    request: Request
    namespace: str
    name: str


@dataclass(frozen=True)
class Mark:
    """A moment in the log."""

    inode: int
    offset: int


class AuditLog:
    """The log file of a local cluster's API server, which writes each line before it answers."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def readable(self) -> bool:
        """Whether there is such a log on this machine."""
        try:
            with self._path.open("rb"):
                return True
        except OSError:
            return False

    def mark(self) -> Mark:
        """Where the log ends now."""
        found = self._path.stat()
        return Mark(found.st_ino, found.st_size)

    def between(self, first: Mark, last: Mark) -> list[str]:
        """The lines between two marks.

        Raises:
            LookupError: the log was rotated in between.
        """
        with self._path.open("rb") as stream:
            if first.inode != last.inode or self.mark().inode != last.inode:
                raise LookupError("the audit log was rotated meanwhile: measure again")
            stream.seek(first.offset)
            return stream.read(last.offset - first.offset).decode().splitlines()


def client_of(user: str, *, system: str) -> str:
    """A short name for a user.

    Args:
        user: as the log has it.
        system: the namespace of the installation.
    """
    if user.startswith(f"{ACCOUNT}{system}:"):
        account = user.rsplit(":", 1)[1]
        return next((name for name in OWN if name in account), account)
    if user.startswith(f"{ACCOUNT}kube-system:"):
        return user.rsplit(":", 1)[1]
    if user.startswith("system:node:"):
        return "kubelet"
    if user == "system:kube-scheduler":
        return "scheduler"
    if user.startswith("system:"):
        return user.removeprefix("system:")
    return "client"


def entries(lines: Iterable[str], *, system: str) -> list[Entry]:
    """The finished requests of a log's lines."""
    found = []
    for line in lines:
        event = json.loads(line)
        if event.get("stage") != "ResponseComplete":
            continue
        target = event.get("objectRef") or {}
        parts = [target.get("resource", ""), target.get("subresource", "")]
        request = Request(
            client=client_of(event["user"]["username"], system=system),
            verb=event["verb"],
            target="/".join(part for part in parts if part),
            failed=event.get("responseStatus", {}).get("code", 0) >= 400,
        )
        found.append(Entry(request, target.get("namespace", ""), target.get("name", "")))
    return found


def count(found: Iterable[Entry], wanted: Callable[[Entry], bool]) -> Counter[Request]:
    """How often each request was made about the wanted objects."""
    return Counter(entry.request for entry in found if wanted(entry))


def own(requests: Counter[Request]) -> int:
    """How many were Mayfly's."""
    return sum(number for request, number in requests.items() if request.client in OWN)
