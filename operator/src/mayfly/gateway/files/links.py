"""Files in inputs and outputs: kept as references, shown as links, taken back as references.

A link that a caller sends back (an upload's URL, or a file that another prediction made) becomes
the reference that it was made of, so that the store's own files never travel as URLs that expire.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

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
