"""Files in inputs and outputs: kept as references, shown as links, taken back as references.

A link that a caller sends back (an upload's URL, or a file that another prediction made) becomes
the reference that it was made of, so that the store's own files never travel as URLs that expire.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from datetime import datetime
from urllib.parse import quote, urlencode, urlsplit

from mayfly.gateway.access.signing import SigningKey, expiry, is_ahead
from mayfly.gateway.files.store import REFERENCE, SCHEME, Files

_URL = re.compile(
    r'(?<!\\)"(https?://[^"\\\s]{1,300}?/files/([0-9a-hjkmnp-tv-z]{26})'
    r'(?:/download(?:/[^"\\?\s]{0,700})?)?(?:\?[^"\\\s]{0,300})?)"(?!\s*:)'
)
"""A JSON string that may be a URL of a file of ours; group 1 is the URL, group 2 the file."""


def with_links(text: str, links: Mapping[str, str]) -> str:
    """JSON text with file references as links; one without a link stays as it is."""

    def link(match: re.Match[str]) -> str:
        url = links.get(match[1])
        return match[0] if url is None else json.dumps(url)

    return REFERENCE.sub(link, text)


def linked_files(text: str, hosts: Collection[str]) -> set[str]:
    """The ids of the files that a JSON text names by URLs of these hosts."""
    return {match[2] for match in _URL.finditer(text) if _is_ours(match, hosts)}


def with_references(text: str, hosts: Collection[str], ids: Collection[str]) -> str:
    """JSON text with the URLs of these files as references; every other byte stays.

    Args:
        text: JSON.
        hosts: `host:port` as our own URLs have it.
        ids: the files that the caller may name.
    """

    def reference(match: re.Match[str]) -> str:
        ours = match[2] in ids and _is_ours(match, hosts)
        return f'"{SCHEME}{match[2]}"' if ours else match[0]

    return _URL.sub(reference, text)


def file_link(key: SigningKey, base: str, file_id: str, name: str, now: datetime) -> str:
    """A URL that downloads a file without a token for 24 hours.

    Args:
        key: the installation's key.
        base: the reader's base URL, without a slash at its end.
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
    """Whether a link is one of ours and not too old."""
    return key.verify(signature, "file", file_id, name, expires) and is_ahead(expires, now)


async def kept(text: str, files: Files, namespace: str, urls: Collection[str]) -> str:
    """JSON text as it is kept: links to a namespace's files are references.

    Args:
        text: JSON, with links as a caller or a run has got them.
        files: the store.
        namespace: whose files may be named.
        urls: base URLs of ours.
    """
    hosts = {urlsplit(each).netloc for each in urls} - {""}
    named = linked_files(text, hosts)
    if not named:
        return text
    found = await files.find_all(sorted(named))
    ours = {each.id for each in found.values() if each.namespace == namespace}
    return with_references(text, hosts, ours)


def _is_ours(match: re.Match[str], hosts: Collection[str]) -> bool:
    try:
        return urlsplit(match[1]).netloc in hosts
    except ValueError:
        return False
