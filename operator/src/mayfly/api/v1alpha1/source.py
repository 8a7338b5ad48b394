"""The source of a pipeline: one file or several."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from pydantic import Field

from mayfly.api.v1alpha1.resource import Part

MAX_BYTES = 131_072
"""kubectl's apply annotation doubles an object and breaks near 256 KiB, so half of that is ours."""

MAX_FILES = 64

Entrypoint = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]*\.py:[A-Za-z_][A-Za-z0-9_]*$",
        max_length=253,
        description="The function that a run calls, as file:function.",
    ),
]

RuntimeName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        description="The PipelineRuntime (image, resources, price) to run it on.",
    ),
]

Text = Annotated[str, Field(max_length=MAX_BYTES)]

TOTAL = (
    "(has({0}.inline) ? size({0}.inline) : 0) + "
    "(has({0}.files) ? {0}.files.map(name, size({0}.files[name])).sum() : 0)"
)
"""CEL: the number of characters of a source."""


FILE_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_./-]*$"

FILE_NAMES = "names in source.files are relative paths of letters, digits, '_', '-', '.' and '/'"


class Source(Part):
    """Python source text, as `inline` (one file, main.py) or as `files`."""

    rules: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "has(self.inline) != has(self.files)",
            "set exactly one of source.inline (the text of main.py) and source.files (name: text)",
        ),
        (
            "!has(self.files) || self.files.all(name, "
            f"name.matches('{FILE_NAME}') && !name.contains('..'))",
            FILE_NAMES,
        ),
    )

    inline: Text | None = Field(default=None, description="The text of main.py.")
    files: Annotated[dict[str, Text], Field(max_length=MAX_FILES)] | None = Field(
        default=None,
        description="Several source files: relative path to text. The entrypoint names one.",
    )

    def texts(self) -> dict[str, str]:
        """Every file by its relative path."""
        if self.files is not None:
            return dict(self.files)
        return {"main.py": self.inline or ""}

    @property
    def empty(self) -> bool:
        """Whether there is no code in it: what the HTTP API creates is filled by a later push."""
        return not any(text.strip() for text in self.texts().values())

    @property
    def refused(self) -> str:
        """Why the API server would not take it, by its own rules, in words; "" if it would."""
        texts = self.texts()
        if any(not re.fullmatch(FILE_NAME, name) or ".." in name for name in texts):
            return FILE_NAMES
        length = sum(map(len, texts.values()))
        return f"the source has more than {MAX_BYTES} characters" if length > MAX_BYTES else ""

    def size(self) -> int:
        """Bytes of UTF-8 of all texts together."""
        return sum(len(text.encode()) for text in self.texts().values())
