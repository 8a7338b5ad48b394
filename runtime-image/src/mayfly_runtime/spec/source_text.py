"""A source file's text as the interpreter reads it: UTF-8, without a byte order mark.

The schema is read from text and the run imports a file of bytes. A coding line would be the one
thing that only the second obeys.
"""

import re

_BOM = "\ufeff"
_CODING = re.compile(r"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)", re.ASCII)
_BLANK = re.compile(r"[ \t\f]*(#.*)?")
_LINE_END = re.compile(r"\r\n|\r|\n")
_UTF8 = {"utf-8", "utf8", "u8", "utf"}


class SourceError(Exception):
    """An error in the source for its author, with place. `line` is 0 if there is none."""

    def __init__(self, message: str, file: str, line: int) -> None:
        super().__init__(f"{file}:{line}: {message}" if line else f"{file}: {message}")
        self.message = message
        self.file = file
        self.line = line


def source_text(file: str, text: str) -> str:
    """The text of a pipeline's file as it is to be read; files that are no Python are unchanged.

    Raises:
        SourceError: its coding line (PEP 263) names another encoding than UTF-8.
    """
    if not file.endswith(".py"):
        return text
    text = text.removeprefix(_BOM)
    for number, line in enumerate(_LINE_END.split(text, maxsplit=2)[:2], 1):
        coding = _CODING.match(line)
        if coding is not None and not _is_utf8(coding[1]):
            message = f"the source must be UTF-8, not {coding[1]}: remove its coding line"
            shown = f"({file} line {number}: {line.strip()})"
            raise SourceError(f"{message} {shown}", file, number)
        if coding is not None or not _BLANK.fullmatch(line):
            break  # only a comment in the first two lines counts
    return text


def lines(text: str) -> list[str]:
    """The lines of a source as Python counts them; a form feed begins none."""
    return _LINE_END.split(text)


def _is_utf8(coding: str) -> bool:
    name = coding.lower().replace("_", "-")
    return name in _UTF8 or name.startswith("utf-8-")
