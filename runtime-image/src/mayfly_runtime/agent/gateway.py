"""HTTP client of the gateway: uploads, downloads, large inputs."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from mayfly_runtime.agent.address import Parts

if TYPE_CHECKING:
    import http.client

_CHUNK_BYTES = 256 * 1024


class GatewayError(Exception):
    """A call failed. `status` is the HTTP status; 0 if there was no answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Address(NamedTuple):
    """The gateway's address."""

    secure: bool
    host: str
    port: int
    prefix: str

    @classmethod
    def of(cls, url: str) -> "Address":
        """Parse MAYFLY_GATEWAY_URL.

        Raises:
            ValueError: it is not an http(s) URL.
        """
        parts = Parts(url)
        secure = parts.scheme == "https"
        port = parts.port or ("443" if secure else "80")
        if parts.scheme not in {"http", "https"} or not parts.host or not port.isdecimal():
            raise ValueError(f"MAYFLY_GATEWAY_URL is not an http(s) URL: {url!r}")
        return cls(secure, parts.host, int(port), parts.path.rstrip("/"))

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


class Gateway:
    """The gateway's address, its trusted CA, and our credentials.

    The projected token is read for every call, because the kubelet renews the file. The session
    secret is known to PID 1 only.
    """

    def __init__(
        self,
        address: Address,
        context: ssl.SSLContext | None,
        token_file: Path,
        session_secret: str,
    ) -> None:
        self.address = address
        self.context = context
        self.token_file = token_file
        self.session_secret = session_secret

    def headers(self) -> dict[str, str]:
        """Credentials for one call.

        Raises:
            GatewayError: the token file can't be read.
        """
        try:
            token = self.token_file.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise GatewayError(0, f"the gateway token can't be read: {error}") from error
        return {"Authorization": f"Bearer {token}", "Mayfly-Session": self.session_secret}

    def put_file(
        self, name: str, content_type: str, size: int, body: BinaryIO, timeout_s: float
    ) -> str:
        """Upload a file; returns its `mayfly-file:` id.

        Raises:
            GatewayError: refused, or no answer.
        """
        path = "/agent/v1/files/" + _quoted(name)
        headers = {"Content-Type": content_type, "Content-Length": str(size)}
        with self._call("PUT", path, headers, body, timeout_s) as answer:
            try:
                return str(json.loads(answer.read())["id"])
            except (ValueError, KeyError, TypeError) as error:
                raise GatewayError(answer.status, "the gateway's answer is not a file") from error

    @contextmanager
    def get_file(self, identifier: str, timeout_s: float) -> "Iterator[http.client.HTTPResponse]":
        """Open a download of a stored file; the caller reads it.

        Raises:
            GatewayError: refused, or no answer.
        """
        path = "/agent/v1/files/" + _quoted(identifier, safe=":")
        with self._call("GET", path, {}, None, timeout_s) as answer:
            yield answer

    def get_input(self, limit_bytes: int, timeout_s: float) -> bytes:
        """Download an input that was too large for the `work` message.

        Raises:
            GatewayError: refused, no answer, or larger than the limit.
        """
        with self._call("GET", "/agent/v1/input", {}, None, timeout_s) as answer:
            data = answer.read(limit_bytes + 1)
        if len(data) > limit_bytes:
            raise GatewayError(200, f"the input is longer than {limit_bytes} bytes")
        return data

    @contextmanager
    def _call(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: BinaryIO | None,
        timeout_s: float,
    ) -> "Iterator[http.client.HTTPResponse]":
        import http.client  # noqa: PLC0415 30 ms that most runs never need

        connection = self._connection(timeout_s)
        try:
            connection.request(
                method, self.address.prefix + path, body, {**self.headers(), **headers}
            )
            answer = connection.getresponse()
            if not 200 <= answer.status < 300:
                raise GatewayError(
                    answer.status, f"the gateway answered {answer.status} {_detail(answer)}"
                )
            yield answer
        except (OSError, http.client.HTTPException) as error:
            raise GatewayError(0, f"the gateway can't be reached: {error}") from error
        finally:
            connection.close()

    def _connection(self, timeout_s: float) -> "http.client.HTTPConnection":
        import http.client  # noqa: PLC0415 as above

        to = self.address
        if to.secure:
            return http.client.HTTPSConnection(
                to.host, to.port, timeout=timeout_s, context=self.context, blocksize=_CHUNK_BYTES
            )
        return http.client.HTTPConnection(
            to.host, to.port, timeout=timeout_s, blocksize=_CHUNK_BYTES
        )


def _quoted(text: str, safe: str = "") -> str:
    import urllib.parse  # noqa: PLC0415 as http.client

    return urllib.parse.quote(text, safe=safe)


def _detail(answer: "http.client.HTTPResponse") -> str:
    """The `detail` of an error answer, if it has one."""
    try:
        detail = json.loads(answer.read(4096)).get("detail")
    except (ValueError, AttributeError):
        detail = None
    return str(detail) if detail else answer.reason
