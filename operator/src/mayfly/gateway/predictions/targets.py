"""Finds the Pipeline or Model that a create names."""

from __future__ import annotations

from dataclasses import dataclass

from mayfly.gateway.access.callers import Caller, Callers
from mayfly.gateway.cache.directory import Directory, Entry
from mayfly.gateway.http.errors import Invalid, Missing


@dataclass(frozen=True)
class Target:
    """What a create calls.

    Attributes:
        entry: the Pipeline or Model.
        version: the version that the caller pinned; None for the latest.
        called: the name by which the caller called it, owner/name.
    """

    entry: Entry
    version: str | None
    called: str


class Targets:
    """Looks up Pipelines and Models by name or version; hides those that the caller may not see."""

    def __init__(self, callers: Callers, directory: Directory) -> None:
        self._callers = callers
        self._directory = directory

    async def find(
        self, caller: Caller, *, owner: str = "", name: str = "", version: str | None = None
    ) -> Target:
        """Look up what a create names: `owner/name`, with or without a version, or a version alone.

        Raises:
            Missing: it does not exist, or the caller may not see it.
            Invalid: nothing is named.
        """
        if version and "/" in version:
            named, _, version = version.partition(":")
            owner, _, name = named.partition("/")
        if not owner:
            if not version:
                raise Invalid('Name what to run: "version" is missing.', pointer="/version")
            return await self._by_version(caller, version)
        entry = await self._callers.entry(caller, owner, name)
        return Target(entry, version or None, f"{owner}/{name}")

    async def _by_version(self, caller: Caller, version: str) -> Target:
        found = self._directory.version(version)
        entry: Entry | None = None
        if found is not None:
            entry = self._directory.pipeline(*found.key)
        else:
            entry = self._directory.model_of_version(version)
        if entry is None or not await self._callers.sees(caller, entry):
            raise Missing(f'There is no version "{version[:64]}" that you may call.{caller.told}')
        return Target(entry, version, f"{entry.namespace}/{entry.name}")
