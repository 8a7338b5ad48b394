"""File names in `Content-Disposition`: of downloads (RFC 6266) and of a form's parts (RFC 8187)."""

import re
import urllib.parse

_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)')
_EXTENDED = re.compile(r"([\w.:-]*)'[^']*'(.*)", re.DOTALL)


def attachment(name: str) -> str:
    """The header of a file that is downloaded under a name of any script."""
    return f"attachment; filename*=UTF-8''{urllib.parse.quote(name, safe='')}"


def file_name(header: str) -> str:
    """The name that a header gives the file, "" for none: `filename*` before `filename`.

    Args:
        header: its text, bytes beyond ASCII as Latin-1, which is how HTTP libraries give them.
    """
    given: dict[str, str] = {}
    for name, value in _PARAMETER.findall(header):
        given.setdefault(name.lower(), _unquoted(value.strip()))
    return _extended(given.get("filename*", "")) or _as_utf8(given.get("filename", ""))


def _unquoted(value: str) -> str:
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    # No other escapes: a path of Windows is full of backslashes.
    return value[1:-1].replace('\\"', '"').replace("\\\\", "\\")


def _extended(value: str) -> str:
    match = _EXTENDED.fullmatch(value)
    if match is None:
        return ""
    try:
        return urllib.parse.unquote_to_bytes(match[2]).decode(match[1] or "utf-8")
    except (LookupError, ValueError):
        return ""


def _as_utf8(value: str) -> str:
    try:
        return value.encode("latin-1").decode()
    except ValueError:
        return value
