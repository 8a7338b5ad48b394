"""Stand-ins for docker, kind, kubectl and others on a PATH, which record their calls."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from support.tools.fake_programs import digest

_SCRIPT = """\
#!{python} -IS
import sys
from pathlib import Path
sys.path.insert(0, {support!r})
sys.dont_write_bytecode = True
from fake_programs import main
sys.exit(main(Path({records!r}), {tool!r}, sys.argv[1:]))
"""


@dataclass(frozen=True)
class Call:
    """One call of a tool."""

    words: list[str]
    stdin: str
    env: dict[str, str]
    pid: int


class FakeTools:
    """A folder for PATH with the installed stand-ins."""

    digest = staticmethod(digest)

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self._records = folder / "records"
        for made in (self.bin, self._records):
            made.mkdir(parents=True)

    def install(self, *names: str) -> None:
        for name in names:
            self.place(self.bin, name)

    def place(self, folder: Path, name: str) -> Path:
        """Put a stand-in into any folder."""
        path = folder / name
        path.write_text(
            _SCRIPT.format(
                python=sys.executable,
                support=str(Path(__file__).parent),
                records=str(self._records),
                tool=name,
            )
        )
        path.chmod(0o755)
        return path

    def answer(self, tool: str, *words: str, out: str = "", err: str = "", code: int = 0) -> None:
        """Set the answer to calls with all these words; the latest answer wins."""
        path = self._records / f"{tool}.rules"
        before = json.loads(path.read_text()) if path.exists() else []
        rule = {"words": words, "out": out, "err": err, "code": code}
        path.write_text(json.dumps([rule, *before]))

    def calls(self, tool: str, *words: str) -> list[Call]:
        """The calls of a tool that had all these words, in order."""
        path = self._records / f"{tool}.calls"
        lines = path.read_text().splitlines() if path.exists() else []
        found = [Call(**json.loads(line)) for line in lines]
        return [call for call in found if all(word in call.words for word in words)]

    def forget_calls(self) -> None:
        for path in self._records.glob("*.calls"):
            path.unlink()

    @property
    def node_images(self) -> dict[str, str]:
        """The images in kind's node, with their digests."""
        path = self._records / "images.json"
        return json.loads(path.read_text()) if path.exists() else {}
