"""Converts between file references in stored JSON and download links in shown JSON.

If a caller sends back a link (the URL of an upload, or of another prediction's file), it is
converted to the reference that it was made from, so files of the store are never passed around as
URLs that expire.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from urllib.parse import quote, unquote, urlencode

from mayfly.clock import Clock
from mayfly.gateway.access.signing import SigningKey, expiry, is_ahead
from mayfly.gateway.files.store import REFERENCE, SCHEME, Files, references
from mayfly_runtime.spec import urls

_STRING = r'"(?:[^"\\]++|\\.)*+"'
_MAY_BE_A_LINK = r'"(?=[\x00-\x20\\hH][^"]{30})'
_NEXT = re.compile(rf'(?:[^"]++|(?!{_MAY_BE_A_LINK}){_STRING})*+({_STRING})(\s*+:)?', re.DOTALL)
"""JSON up to its next string that may be a link: group 1, with group 2 where it is a key.

Read from where the match before ended: what is no string is never taken for one.
"""

_LINK_CHARACTERS = 12_000
"""A link has fewer, however its characters are escaped: what is longer is not looked at."""

_PATH = re.compile(r".{0,300}/files/([0-9a-hjkmnp-tv-z]{26})(?:/download(?:/[^/]*)?)?/?")


def with_links(text: str, links: Mapping[str, str]) -> str:
    """JSON text with file references replaced by links; a reference without a link is unchanged."""

    def link(match: re.Match[str]) -> str:
        url = links.get(match[1])
        return match[0] if url is None else json.dumps(url)

    return REFERENCE.sub(link, text)


def linked_files(text: str, hosts: Collection[str]) -> set[str]:
    """The ids of the files that a JSON text names by URLs of these hosts."""
    return {file_id for _, _, file_id in _links(text, hosts)}


def with_references(text: str, hosts: Collection[str], ids: Collection[str]) -> str:
    """JSON text with the URLs of these files replaced by references; all other bytes unchanged.

    Args:
        text: JSON.
        hosts: host and port as `urls.authority_of` gives them.
        ids: the files that the caller may name.
    """
    pieces: list[str] = []
    done = 0
    for start, end, file_id in _links(text, hosts):
        if file_id in ids:
            pieces += [text[done:start], f'"{SCHEME}{file_id}"']
            done = end
    return "".join([*pieces, text[done:]])


def file_link(key: SigningKey, base: str, file_id: str, name: str, now: datetime) -> str:
    """A URL that downloads a file without a token for 24 hours.

    Args:
        key: the installation's key.
        base: the reader's base URL, without a trailing slash.
        file_id: the file's 26 characters.
        name: the file's safe name, the last part of the URL's path.
        now: when the link is made. The expiry is rounded up to the hour, so that a client that
            polls gets the same link for a while.
    """
    expires = expiry(now)
    query = urlencode(
        {"expires": expires, "signature": key.sign("file", file_id, name, str(expires))}
    )
    return f"{base}/v1/files/{file_id}/download/{quote(name, safe='')}?{query}"


def link_holds(
    key: SigningKey, file_id: str, name: str, expires: str, signature: str, now: datetime
) -> bool:
    """Whether a link has a valid signature and has not expired."""
    return key.verify(signature, "file", file_id, name, expires) and is_ahead(expires, now)


class FileLinks:
    """Converts file references in JSON text to download links, and links to references.

    Only files of the given namespace are converted; all others stay plain text.
    """

    def __init__(self, files: Files, key: SigningKey, urls: Collection[str], clock: Clock) -> None:
        """Create the converter.

        Args:
            files: the store.
            key: the installation's key.
            urls: the gateway's own base URLs.
            clock: for the expiry of links.
        """
        self._files = files
        self._key = key
        self._urls = urls
        self._clock = clock

    async def to_references(self, text: str, namespace: str, base: str = "") -> str:
        """JSON text as it is stored: links to the namespace's files become references.

        Args:
            text: JSON with links, as a caller or a run got them.
            namespace: whose files may be named.
            base: a further base URL of ours: the caller's.
        """
        hosts = {urls.authority_of(each) for each in (*self._urls, base)} - {""}
        named = linked_files(text, hosts)
        if not named:
            return text
        found = await self._files.find_all(sorted(named))
        ours = {each.id for each in found.values() if each.namespace == namespace}
        return with_references(text, hosts, ours)

    async def to_links(self, text: str, namespace: str, base: str) -> str:
        """JSON text as a reader gets it: references to the namespace's files become links.

        Args:
            text: stored JSON; everything except references stays byte for byte.
            namespace: whose files may be named.
            base: the reader's base URL, without a namespace or a trailing slash.
        """
        named = references(text)
        if not named:
            return text
        found = await self._files.find_all(named)
        now = self._clock()
        links = {
            each.id: file_link(self._key, base, each.id, each.name, now)
            for each in found.values()
            if each.namespace == namespace
        }
        return with_links(text, links)


def _links(text: str, hosts: Collection[str]) -> Iterator[tuple[int, int, str]]:
    """The strings of a JSON text that are links to files of ours: from, to, and the file's id."""
    at = 0
    while (match := _NEXT.match(text, at)) is not None:
        at = match.end()
        file_id = "" if match[2] else _linked(match[1], hosts)
        if file_id:
            yield match.start(1), match.end(1), file_id


def _linked(string: str, hosts: Collection[str]) -> str:
    """The id of the file that a JSON string is a link to, "" for none.

    It is read as programs read JSON: a link with escaped slashes or an escaped `&` is one too.
    """
    if len(string) > _LINK_CHARACTERS:
        return ""
    try:
        value = json.loads(string, strict=False)
        url = urls.read(value) if urls.is_http(value) else None
    except ValueError:
        return ""
    if url is None or url.authority not in hosts:
        return ""
    path = _PATH.fullmatch(unquote(url.path))
    return path[1] if path is not None else ""
