"""The one reader of http(s) URLs that users give: file inputs, webhooks, Models, redirects.

It accepts what browsers accept: surrounding blanks, host names in any script, and characters that
must be percent-encoded. Other URLs are refused with a message for their author. User and password
are sent to the server and never shown: neither `repr`, nor messages, nor `authority` contain them.
"""

import base64
import ipaddress
import re
import unicodedata
import urllib.parse
from contextlib import suppress
from dataclasses import dataclass, field, replace

DEFAULT_PORTS = {"http": 80, "https": 443}

_BLANKS = "".join(map(chr, range(0x21)))
_SCHEME = re.compile(rf"[{re.escape(_BLANKS)}]*https?://", re.IGNORECASE)
_PLACE = re.compile(r"(?:\[([^\]]*)\]|([^:\[\]]*))(?::([0-9]{0,9}))?")
_LABEL = re.compile(r"[a-z0-9_-]+")
_DOTS = re.compile("[.\u3002\uff0e\uff61]")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_KEPT = "%/?=&:;@+$,!*'()~[]"
"""Characters that a path or query keeps; `%` because what is encoded stays so."""

_LABEL_CHARACTERS = 63
_NAME_CHARACTERS = 253


class URLError(ValueError):
    """The URL can't be requested; the message is for its author."""


@dataclass(frozen=True, slots=True)
class URL:
    """An http(s) URL, as it is sent.

    Attributes:
        scheme: `http` or `https`.
        host: in lower case and ASCII (a name by IDNA); an IPv6 address without brackets.
        port: the scheme's own where the URL has none.
        target: path and query, percent-encoded.
        credentials: `user:password`, decoded; "" for none.
    """

    scheme: str
    host: str
    port: int
    target: str
    credentials: str = field(default="", repr=False)

    @property
    def authority(self) -> str:
        """Host and port for the Host header: without the scheme's own port."""
        host = bracketed(self.host)
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: equal for URLs of the same server."""
        return self.scheme, self.host, self.port

    @property
    def path(self) -> str:
        """The path, percent-encoded."""
        return self.target.partition("?")[0]

    @property
    def name(self) -> str:
        """The last part of the path, decoded: what the file is called there."""
        return urllib.parse.unquote(self.path.rpartition("/")[2])

    @property
    def authorization(self) -> str:
        """The Authorization header of the credentials, "" for none."""
        if not self.credentials:
            return ""
        return f"Basic {base64.b64encode(self.credentials.encode()).decode()}"

    @property
    def text(self) -> str:
        """The URL without its credentials."""
        return f"{self.scheme}://{self.authority}{self.target}"

    def joined(self, location: str) -> "URL":
        """The URL that a redirect leads to; credentials are sent again only to the same server.

        Args:
            location: the header's text, bytes beyond ASCII as Latin-1.

        Raises:
            URLError: it can't be requested.
        """
        with suppress(ValueError):  # without UTF-8 each byte is a character
            location = location.encode("latin-1").decode()
        try:
            url = urllib.parse.urljoin(self.text, location.strip(_BLANKS))
        except ValueError:
            raise URLError("the URL's host can't be read") from None
        there = read(url)
        if there.credentials or there.origin != self.origin:
            return there
        return replace(there, credentials=self.credentials)


def bracketed(host: str) -> str:
    """A host as it stands in URLs before `:port`: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def is_http(text: str) -> bool:
    """Whether a text says that it is an http(s) URL."""
    return _SCHEME.match(text) is not None


def read(text: str) -> URL:
    """Read a URL.

    Raises:
        URLError: it can't be requested; the message contains neither credentials nor path.
    """
    text = text.strip(_BLANKS)
    if not is_http(text):
        raise URLError(f"{shown(text)} is not an http(s) URL")
    try:
        parts = urllib.parse.urlsplit(text)
    except ValueError:
        raise URLError("the URL's host can't be read") from None
    given, _, place = parts.netloc.rpartition("@")
    match = _PLACE.fullmatch(place)
    if match is None:
        raise URLError("the URL's host and port can't be read")
    host = _address(match[1]) if match[1] is not None else _name(match[2])
    port = int(match[3] or DEFAULT_PORTS[parts.scheme])
    if not 0 < port < 65536:
        raise URLError("the URL's port is not between 1 and 65535")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return URL(parts.scheme, host, port, _encoded(target), _credentials(given))


def authority_of(text: str) -> str:
    """Host and port of a URL in one spelling; "" if it can't be read."""
    try:
        return read(text).authority if is_http(text) else ""
    except URLError:
        return ""


def without_credentials(text: str) -> str:
    """A URL's text without user and password, also where it can't be read otherwise."""
    if "@" not in text:
        return text
    text = re.sub(r"[\t\r\n]", "", text)  # as `urlsplit` reads it
    if authority_of(text):
        place = urllib.parse.urlsplit(text.strip(_BLANKS)).netloc
        return text.replace(place, place.rpartition("@")[2], 1)
    # A password with a slash in it, for one: nobody knows where it ends.
    scheme, slashes, rest = text.partition("//")
    return f"{scheme}{slashes}{rest.rpartition('@')[2]}" if slashes else text.rpartition("@")[2]


def shown(text: str, limit: int = 60) -> str:
    """The beginning of a URL without credentials, for messages about URLs that can't be used."""
    hidden = without_credentials(text)
    return hidden if len(hidden) <= limit else f"{hidden[:limit]}…"


def _address(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise URLError("the URL's address in brackets is no IPv6 address") from None
    if address.scope_id:
        raise URLError("the URL's address in brackets has a zone")
    return text.lower()


def _name(text: str) -> str:
    """A host's name in ASCII, by what UTS 46 and IDNA 2008 have in common with browsers."""
    text = unicodedata.normalize("NFKC", urllib.parse.unquote(text)).lower()
    text = unicodedata.normalize("NFC", text)
    labels = [_label(each) for each in _DOTS.split(text.removesuffix("."))]
    name = ".".join(labels)
    if len(name) > _NAME_CHARACTERS:
        raise URLError(f"the URL's host has more than {_NAME_CHARACTERS} characters")
    return name


def _label(label: str) -> str:
    if not label:
        raise URLError("the URL's host has an empty part")
    if not label.isascii():
        if any(unicodedata.category(each)[0] in "CZ" for each in label):
            raise URLError("the URL's host has a character that no host has")
        label = f"xn--{label.encode('punycode').decode()}"
    if not _LABEL.fullmatch(label):
        raise URLError("the URL's host has a character that no host has")
    if len(label) > _LABEL_CHARACTERS:
        raise URLError(f"a part of the URL's host has more than {_LABEL_CHARACTERS} characters")
    return label


def _credentials(given: str) -> str:
    if not given.strip(":"):
        return ""
    user, _, password = given.partition(":")
    try:
        user = urllib.parse.unquote(user, errors="strict")
        password = urllib.parse.unquote(password, errors="strict")
        (user + password).encode()
    except ValueError:
        raise URLError("the URL's user and password can't be read") from None
    if ":" in user:
        raise URLError("the URL's user has a colon in it")
    return f"{user}:{password}"


def _encoded(target: str) -> str:
    try:
        return urllib.parse.quote(_STRAY_PERCENT.sub("%25", target), safe=_KEPT)
    except UnicodeEncodeError:
        raise URLError("the URL is not Unicode") from None
