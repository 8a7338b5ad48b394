from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.gateway.access import run_tokens
from mayfly.gateway.access.run_tokens import RunIdentity
from mayfly.gateway.access.signing import SigningKey
from mayfly.gateway.files.links import file_link, link_holds

KEY = SigningKey(b"0123456789abcdef")
OTHER = SigningKey(b"0123456789abcdeF")
NOW = datetime(2026, 1, 1, 12, 34, 56, tzinfo=UTC)


def test_a_short_key_is_no_key() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        SigningKey(b"short")


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_a_signature_is_for_its_texts_and_purpose(one: list[str], two: list[str]) -> None:
    signature = KEY.sign("a", *one)
    assert KEY.verify(signature, "a", *one)
    assert KEY.verify(signature, "a", *two) == (one == two)
    assert not KEY.verify(signature, "b", *one)
    assert not OTHER.verify(signature, "a", *one)


@given(st.text(min_size=1).filter(lambda name: "/" not in name and name.isprintable()))
def test_a_link_holds_for_a_day(name: str) -> None:
    url = urlsplit(file_link(KEY, "https://host", "0" * 26, name, NOW))
    query = {key: values[0] for key, values in parse_qs(url.query).items()}
    shown = unquote(url.path.rpartition("/")[2])
    assert shown == name

    def holds(later: timedelta, **changes: str) -> bool:
        given = {"name": shown, **query, **changes}
        return link_holds(
            KEY, "0" * 26, given["name"], given["expires"], given["signature"], NOW + later
        )

    assert holds(timedelta())
    assert holds(timedelta(hours=24))
    assert not holds(timedelta(hours=25, minutes=30))
    assert not holds(timedelta(), name=name + "x")
    assert not holds(timedelta(), expires=query["expires"] + "0")
    assert not holds(timedelta(), signature="")
    assert not holds(timedelta(), signature="ä" * 64)


def test_a_link_stays_the_same_for_a_poller() -> None:
    links = {
        file_link(KEY, "https://host", "0" * 26, "a", NOW + timedelta(seconds=each))
        for each in range(60)
    }
    assert len(links) == 1


def test_run_tokens() -> None:
    token = run_tokens.mint(KEY, "team", "uid-1")
    assert run_tokens.read(KEY, token) == RunIdentity("team", "uid-1")
    assert run_tokens.mint(KEY, "team", "uid-1") == token
    for wrong in (
        "",
        "mfr_",
        token + "0",
        token.replace("team", "tea"),
        token.replace("uid-1", "uid-2"),
        token.removeprefix("mfr_"),
        token.replace("_uid", "-uid"),
    ):
        assert run_tokens.read(KEY, wrong) is None
    assert run_tokens.read(OTHER, token) is None
