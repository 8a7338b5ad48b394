"""The parts of the gateway's URL, read without urllib.parse: that would take 4 ms to import."""


class Parts:
    """The parts of an http(s) URL: the host without brackets; port and path as written, or ""."""

    def __init__(self, url: str) -> None:
        self.scheme, _, rest = url.partition("://")
        authority, slash, path = rest.partition("/")
        self.path = slash + path
        if authority.startswith("["):
            host, bracket, port = authority[1:].partition("]")
            self.host = host if bracket else ""
            self.port = port.removeprefix(":")
        else:
            self.host, _, self.port = authority.partition(":")
