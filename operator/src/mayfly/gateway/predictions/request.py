"""Parses and checks a create request: body and headers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mayfly.api.v1alpha1 import duration
from mayfly.gateway.http import rawjson
from mayfly.gateway.http.errors import Invalid, TooLarge
from mayfly.gateway.lifecycle.deliveries import EVENTS
from mayfly_runtime.spec import inputs, strict_json, urls

BODY_EXTRA = 64 * 1024
"""Fields that a body may have besides its input."""

WAIT_SECONDS = 50
"""A waiting create is answered within this time: 2.x clients time out after a minute and repeat
the POST."""

MAX_WAIT = 60

_WAIT = re.compile(r"wait(?:\s*=\s*\"?(?P<seconds>[0-9]{1,6})\"?)?", re.IGNORECASE)
_BARE_SECONDS = re.compile(r"[0-9]{1,6}(?:\.[0-9]+)?")

MIN_CANCEL_AFTER = 5.0

_BUDGET = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,18})?")


@dataclass(frozen=True)
class CreateRequest:
    """A parsed create request.

    Attributes:
        body: the request's bytes, by which a retry is recognised.
        input: the input, parsed.
        input_json: the input's text, unchanged.
        version: the body's `version`.
        webhook: the URL that receives events.
        events: the selected events; all if empty.
        wait: how long to wait for the end before answering, in seconds; None not to wait.
        cancel_after: seconds until an unfinished prediction is cancelled; None for never.
        budget: what a run and everything below it may cost, a decimal; None for no limit.
    """

    body: bytes = field(repr=False)
    input: dict[str, Any]
    input_json: str
    version: str | None = None
    webhook: str | None = None
    events: tuple[str, ...] = ()
    wait: float | None = None
    cancel_after: float | None = None
    budget: str | None = None


def read(body: bytes, headers: Mapping[str, str], input_bytes: int) -> CreateRequest:
    """Parse and check a create request.

    Args:
        body: the request's bytes.
        headers: of the request.
        input_bytes: the maximum size of the input.

    Raises:
        Invalid: names the wrong field.
        TooLarge: the input exceeds the limit.
    """
    if len(body) > input_bytes + BODY_EXTRA:
        raise TooLarge(f"An input may have at most {input_bytes} bytes.")
    try:
        members = rawjson.split(body.decode()) if body.strip() else {}
    except UnicodeDecodeError:
        raise Invalid("The body is not UTF-8.") from None
    except ValueError as error:
        raise Invalid(f"The body is invalid: {error}.") from None
    text = members.get("input", "{}")
    if text == "null":
        text = "{}"
    if strict_json.size(text) > input_bytes:
        raise TooLarge(f"An input may have at most {input_bytes} bytes.")
    return CreateRequest(
        body=body,
        input=_input(text),
        input_json=text,
        version=_text(members, "version", 512),
        webhook=_webhook(members),
        events=_events(members),
        wait=wait_of(headers),
        cancel_after=cancel_after_of(headers),
        budget=budget_of(headers),
    )


def _input(text: str) -> dict[str, Any]:
    try:
        value = inputs.parse(text)
    except ValueError as error:
        raise Invalid(str(error), pointer="/input") from None
    if not isinstance(value, dict):
        raise Invalid("input must be a JSON object: {…}.", pointer="/input")
    return value


def _text(members: Mapping[str, str], name: str, limit: int) -> str | None:
    value = json.loads(members.get(name, "null"))
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > limit:
        raise Invalid(f"{name} must be a string of at most {limit} characters.", pointer=f"/{name}")
    return value


def _webhook(members: Mapping[str, str]) -> str | None:
    name = "webhook" if "webhook" in members else "webhook_completed"
    url = _text(members, name, 2048)
    if url is None:
        return None
    if not urls.is_http(url):
        raise Invalid(f"{name} must be an http(s) URL.", pointer=f"/{name}")
    try:
        urls.read(url)
    except urls.URLError as error:
        raise Invalid(f"{name} can't be called: {error}.", pointer=f"/{name}") from None
    scheme, _, rest = url.strip().partition(":")
    return f"{scheme.lower()}:{rest}"


def _events(members: Mapping[str, str]) -> tuple[str, ...]:
    if "webhook" not in members and "webhook_completed" in members:
        return ("completed",)
    value = json.loads(members.get("webhook_events_filter", "null"))
    if value is None:
        return ()
    if not isinstance(value, list) or any(each not in EVENTS for each in value):
        words = f"webhook_events_filter must be a list of {', '.join(EVENTS)}."
        raise Invalid(words, pointer="/webhook_events_filter")
    return tuple(each for each in EVENTS if each in value)


def wait_of(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait for the end (`Prefer: wait`, `wait=N`); other preferences are ignored."""
    for preference in headers.get("prefer", "").split(","):
        match = _WAIT.fullmatch(preference.strip())
        if match is not None:
            seconds = int(match["seconds"]) if match["seconds"] else MAX_WAIT
            return float(min(max(seconds, 1), WAIT_SECONDS))
    return None


def cancel_after_of(headers: Mapping[str, str]) -> float | None:
    """`Cancel-After` in seconds: "90", "90s", "1m", "1h30m".

    Raises:
        Invalid: it is not a duration, or below the minimum.
    """
    text = headers.get("cancel-after", "").strip()
    if not text:
        return None
    try:
        length = duration.seconds(f"{text}s" if _BARE_SECONDS.fullmatch(text) else text)
    except ValueError:
        raise Invalid('Cancel-After must be a duration such as "90s", "5m" or "1h30m".') from None
    if length < MIN_CANCEL_AFTER:
        raise Invalid(f"Cancel-After must be at least {MIN_CANCEL_AFTER:.0f} seconds.")
    if length > duration.LONGEST:
        raise Invalid("Cancel-After must be at most 30 days.")
    return length


def budget_of(headers: Mapping[str, str]) -> str | None:
    """`Mayfly-Budget`: a decimal above 0, as text.

    Raises:
        Invalid: it is not such a number.
    """
    text = headers.get("mayfly-budget", "").strip()
    if not text:
        return None
    if not _BUDGET.fullmatch(text) or not text.strip("0."):
        raise Invalid('Mayfly-Budget must be a decimal number above 0, such as "0.50".')
    return text
