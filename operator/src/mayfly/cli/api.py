"""Client of the public API for the command line: $MAYFLY_URL with $MAYFLY_TOKEN.

Failure        said in one sentence; the exit code is 1
└── Misuse     the call of the command is wrong; the exit code is 2
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

SECONDS = 300.0
"""Timeout: a report over many records takes time."""


class Failure(Exception):
    """An error, as one sentence for the user."""

    code = 1


class Misuse(Failure):
    """The command was used wrongly."""

    code = 2


class Api:
    """A gateway. Its certificate is verified with $SSL_CERT_FILE, if that is set."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        url, token = environment.get("MAYFLY_URL", ""), environment.get("MAYFLY_TOKEN", "")
        if not url or not token:
            missing = "MAYFLY_URL" if not url else "MAYFLY_TOKEN"
            raise Misuse(
                f'{missing} is not set: eval "$(make -s env)", or export it and '
                "what goes with it (MAYFLY_URL, MAYFLY_TOKEN, SSL_CERT_FILE)."
            )
        if not url.startswith(("http://", "https://")):
            raise Misuse("MAYFLY_URL must be a URL that begins with https:// or http://.")
        self._url = url.rstrip("/")
        self._token = token

    @classmethod
    def of_environment(cls) -> Api:
        """The gateway of this shell.

        Raises:
            Misuse: a variable is missing.
        """
        return cls(os.environ)

    def get(self, path: str, **parameters: str | None) -> Any:
        """The JSON answer to a GET.

        Raises:
            Failure: there is none.
        """
        with self._sent("GET", path, parameters) as answer:
            return _json(answer)

    def post(self, path: str) -> Any:
        """The JSON answer to a POST without a body.

        Raises:
            Failure: there is none.
        """
        with self._sent("POST", path, {}) as answer:
            return _json(answer)

    def text(self, path: str, **parameters: str | None) -> Iterator[str]:
        """The answer to a GET, in pieces as it arrives.

        Raises:
            Failure: there is none, or it breaks off.
        """
        with self._sent("GET", path, parameters) as answer:
            yield from answer.iter_text()

    @contextmanager
    def _sent(
        self, method: str, path: str, parameters: Mapping[str, str | None]
    ) -> Iterator[httpx.Response]:
        headers = {"Authorization": f"Bearer {self._token}"}
        asked = {name: value for name, value in parameters.items() if value is not None}
        try:
            with (
                httpx.Client(headers=headers, timeout=SECONDS) as client,
                client.stream(method, f"{self._url}{path}", params=asked) as answer,
            ):
                if answer.is_error:
                    answer.read()
                    raise Failure(_problem(answer))
                yield answer
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise Failure(f"{self._url} can't be reached: {error}") from error


def _json(answer: httpx.Response) -> Any:
    answer.read()
    try:
        return answer.json()
    except ValueError:
        raise Failure(f"{answer.url.host} does not answer like Mayfly.") from None


def _problem(answer: httpx.Response) -> str:
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = f"{answer.url.host} answers {answer.status_code} {answer.reason_phrase}."
    return str(detail)
