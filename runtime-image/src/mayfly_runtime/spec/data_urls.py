"""`data:` URLs (RFC 2397), read as leniently as browsers and Cog read them."""

import base64
import binascii
import re
import urllib.parse
from dataclasses import dataclass

from mayfly_runtime.spec import media_types

_SCHEME = re.compile(r"\s*data:", re.IGNORECASE)
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_BLANKS = b" \t\r\n\f\v"
_TYPE = r"[\w!#$&^.+-]+/[\w!#$&^.+-]+"
_MEDIA_TYPE = re.compile(_TYPE, re.ASCII)
_IN_TEXT = re.compile(rf"\s*data:(?:{_TYPE})?\s*[;,]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class DataURL:
    """What a `data:` URL holds.

    Attributes:
        media_type: in lower case, without parameters; "" without one.
        name: of the file, from the parameter `name` or `filename`; "" without one.
        data: decoded.
    """

    media_type: str
    name: str
    data: bytes

    def file_name(self, stem: str) -> str:
        """The file's name: its own, or `stem` with the suffix of its type."""
        return self.name or stem + media_types.suffix_of(self.media_type or "text/plain")


def is_data_url(text: str) -> bool:
    """Whether a text begins like a `data:` URL."""
    return _SCHEME.match(text) is not None


def looks_like_one(text: str) -> bool:
    """Whether free text is a `data:` URL; words such as `data: none, so far` are none."""
    return _IN_TEXT.match(text) is not None


def read(text: str) -> DataURL:
    """Read a `data:` URL.

    Raises:
        ValueError: it can't be read, in words for the author of the input.
    """
    start = _SCHEME.match(text)
    head, comma, body = text[start.end() if start else 0 :].partition(",")
    if start is None or not comma:
        raise ValueError("a data: URI without a comma")
    kind, *parameters = (each.strip() for each in re.sub(r"[\t\r\n]", "", head).split(";"))
    data = _bytes(body)
    if any(each.lower() == "base64" for each in parameters):
        data = _decoded(data)
    kind = kind.lower() if _MEDIA_TYPE.fullmatch(kind) else ""
    return DataURL(kind, _name(parameters), data)


def _bytes(body: str) -> bytes:
    try:
        return urllib.parse.unquote_to_bytes(body)
    except UnicodeEncodeError:
        raise ValueError("a data: URI that is not Unicode") from None


def _decoded(data: bytes) -> bytes:
    """Base64 of either alphabet, with line breaks or not, padded or not, up to a fragment."""
    digits = data.partition(b"#")[0].translate(_URL_SAFE, _BLANKS).rstrip(b"=")
    try:
        return base64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a data: URI that is not base64") from None


def _name(parameters: list[str]) -> str:
    for parameter in parameters:
        key, equals, value = parameter.partition("=")
        if equals and key.strip().lower() in {"name", "filename"}:
            try:
                return urllib.parse.unquote(value.strip().strip('"'), errors="strict")
            except ValueError:
                return ""
    return ""
