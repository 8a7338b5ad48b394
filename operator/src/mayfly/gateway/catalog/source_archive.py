"""Source archives: the tar.gz of `cog push`, unpacked within limits."""

from __future__ import annotations

import io
import re
import tarfile
import zlib

from mayfly.api.v1alpha1.source import MAX_BYTES, MAX_FILES
from mayfly.gateway.http.errors import Invalid, TooLarge

ARCHIVE_BYTES = 2 * 1024 * 1024
"""Maximum size of the archive as sent."""

UNPACKED_BYTES = 8 * 1024 * 1024
"""Maximum size of the tar inside, including padding and ignored files."""

MEMBERS = 1000

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*")
_ENTRYPOINT = re.compile(r"^(?:predict|run)\s*:\s*[\"']?([\w./-]+\.py:\w+)", re.MULTILINE)


def files(archive: bytes) -> dict[str, str]:
    """The text files of a tar.gz by relative path; without hidden files and bytecode.

    Raises:
        TooLarge: it unpacks to more than a source may have.
        Invalid: it is not such an archive, or names a file that can't be part of a source.
    """
    found: dict[str, str] = {}
    total = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(_unpacked(archive)), mode="r:") as tar:
            for count, member in enumerate(tar):
                if count >= MEMBERS:
                    raise TooLarge(f"The archive has more than {MEMBERS} entries.")
                name = member.name.removeprefix("./")
                if member.isdir() or _left_out(name):
                    continue
                _check(name, member)
                total += member.size
                if total > MAX_BYTES or len(found) >= MAX_FILES:
                    raise TooLarge(
                        f"A source has at most {MAX_FILES} files and {MAX_BYTES} bytes; move data "
                        f"out of it."
                    )
                extracted = tar.extractfile(member)
                data = extracted.read() if extracted else b""
                found[name] = _text(name, data)
    except (tarfile.TarError, EOFError, OverflowError) as error:
        raise Invalid(f"The archive can't be read: {error}") from None
    if not found:
        raise Invalid("The archive has no source file.")
    return found


def entrypoint(found: dict[str, str]) -> str | None:
    """The function named in a cog.yaml among the files; None if there is none."""
    match = _ENTRYPOINT.search(found.get("cog.yaml", ""))
    return match[1] if match else None


def _unpacked(archive: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)  # gzip
    try:
        data = unpacker.decompress(archive, UNPACKED_BYTES + 1)
    except zlib.error as error:
        raise Invalid(f"The archive is not a gzip file: {error}") from None
    if len(data) > UNPACKED_BYTES:
        raise TooLarge(f"The archive unpacks to more than {UNPACKED_BYTES} bytes.")
    if not unpacker.eof:
        raise Invalid("The archive is truncated.")
    return data


def _left_out(name: str) -> bool:
    parts = name.split("/")
    hidden = any(part.startswith(".") and part not in {".", ".."} for part in parts)
    return hidden or "__pycache__" in parts or name.endswith(".pyc")


def _check(name: str, member: tarfile.TarInfo) -> None:
    if not member.isfile():
        raise Invalid(f"{name[:200]!a} in the archive is not a regular file.")
    if not _NAME.fullmatch(name) or ".." in name:
        raise Invalid(
            f"{name[:200]!a} in the archive is not a relative path of letters, digits, '_', '-', "
            f"'.' and '/'."
        )


def _text(name: str, data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise Invalid(f"{name[:200]!a} in the archive is not text.")
    return text


def packed(found: dict[str, str]) -> bytes:
    """Source files as a tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in sorted(found.items()):
            data = text.encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()
