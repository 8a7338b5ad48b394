"""The reader of URLs that users give: what it takes, how it is sent, and what is never told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly_runtime.spec import urls


@pytest.mark.parametrize(
    ("text", "sent", "host"),
    [
        ("https://h.example/x?a=1&b=2", "https://h.example/x?a=1&b=2", "h.example"),
        ("https://h.example", "https://h.example/", "h.example"),
        ("http://h.example?x", "http://h.example/?x", "h.example"),
        (" HTTPS://H.Example/X#top\n", "https://h.example/X", "h.example"),
        ("https://h.example:443/", "https://h.example/", "h.example"),
        ("http://h.example:80/", "http://h.example/", "h.example"),
        ("http://h.example:443/", "http://h.example:443/", "h.example:443"),
        ("http://h.example:/", "http://h.example/", "h.example"),
        ("http://h.example./", "http://h.example/", "h.example"),
        ("http://my_files.example/", "http://my_files.example/", "my_files.example"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x", "[::1]:8080"),
        ("https://bücher.example/x", "https://xn--bcher-kva.example/x", "xn--bcher-kva.example"),
        ("https://BÜCHER.example/x", "https://xn--bcher-kva.example/x", "xn--bcher-kva.example"),
        ("https://straße.example/", "https://xn--strae-oqa.example/", "xn--strae-oqa.example"),
        ("https://例え。テスト/", "https://xn--r8jz45g.xn--zckzah/", "xn--r8jz45g.xn--zckzah"),
        ("https://b%C3%BCcher.example/", "https://xn--bcher-kva.example/",
         "xn--bcher-kva.example"),
        ("https://h.example/köln.png", "https://h.example/k%C3%B6ln.png", "h.example"),
        ("https://h.example/k%C3%B6ln.png", "https://h.example/k%C3%B6ln.png", "h.example"),
        ("https://h.example/a b|c?q=ü&r=%20", "https://h.example/a%20b%7Cc?q=%C3%BC&r=%20",
         "h.example"),
        ("https://h.example/100%.png", "https://h.example/100%25.png", "h.example"),
        ("https://h.example/x@y", "https://h.example/x@y", "h.example"),
    ],
)  # fmt: skip
def test_a_url_as_it_is_sent(text: str, sent: str, host: str) -> None:
    url = urls.read(text)
    assert (url.text, url.authority) == (sent, host)
    assert urls.authority_of(text) == host
    assert urls.read(sent) == url


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", " is not an http(s) URL"),
        ("h.example/x", "h.example/x is not an http(s) URL"),
        ("file:///etc/passwd", "file:///etc/passwd is not an http(s) URL"),
        ("ftp://bot:s3cret@h.example/", "ftp://h.example/ is not an http(s) URL"),
        ("http://", "the URL's host has an empty part"),
        ("http:///x", "the URL's host has an empty part"),
        ("http://a..b/x", "the URL's host has an empty part"),
        ("http://.a/x", "the URL's host has an empty part"),
        (f"http://{'a' * 64}.example/x", "a part of the URL's host has more than 63 characters"),
        (f"http://{'ü' * 63}.example/x", "a part of the URL's host has more than 63 characters"),
        (f"http://{'.'.join(['a' * 60] * 5)}/x", "the URL's host has more than 253 characters"),
        ("http://[::1/x", "the URL's host can't be read"),
        ("http://[", "the URL's host can't be read"),
        ("http://[fe80::1%25eth0]/", "the URL's address in brackets has a zone"),
        ("http://h:99999/", "the URL's port is not between 1 and 65535"),
        ("http://h:0/", "the URL's port is not between 1 and 65535"),
        ("http://h:x/", "the URL's host and port can't be read"),
        (f"http://h:{'9' * 5000}/", "the URL's host and port can't be read"),
        ("http://bot:s3/cret@h/", "the URL's host and port can't be read"),
        ("http://a b/", "the URL's host has a character that no host has"),
        ("http://a\\b/", "the URL's host has a character that no host has"),
        ("http://a\u200bb/", "the URL's host has a character that no host has"),
        ("http://h/\ud800", "the URL is not Unicode"),
        ("http://\ud800/", "the URL's host has a character that no host has"),
        ("http://%FF:a@h/", "the URL's user and password can't be read"),
        ("http://a%3Ab:c@h/", "the URL's user has a colon in it"),
    ],
)
def test_what_cannot_be_asked_for_is_told_in_words(text: str, words: str) -> None:
    with pytest.raises(urls.URLError) as failure:
        urls.read(text)
    assert str(failure.value) == words
    assert urls.authority_of(text) == ""


@given(st.text(st.characters(), max_size=30), st.sampled_from(["", "http://", "https://[", "//"]))
def test_any_text_is_a_url_that_can_be_sent_or_is_told_to_be_none(text: str, start: str) -> None:
    try:
        url = urls.read(start + text)
    except urls.URLError:
        return
    assert f"{url.authority}{url.target}".isascii()
    assert url.target.startswith("/")
    assert not set(f"{url.authority}{url.target}") & set(" \t\r\n\0")
    assert urls.read(url.text) == urls.URL(url.scheme, url.host, url.port, url.target)


def test_credentials_are_sent_and_never_told() -> None:
    url = urls.read("https://bot:s3%20cr%C3%A9t@h.example/x@y")
    assert url.authorization == "Basic Ym90OnMzIGNyw6l0"
    for told in (url.text, str(url), repr(url), url.authority, url.target, url.name):
        assert "s3" not in told
        assert "bot" not in told
    assert urls.read("https://h.example/x").authorization == ""
    assert urls.read("https://@h.example/x").authorization == ""
    assert urls.read("https://bot@h.example/x").authorization == "Basic Ym90Og=="


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://bot:s3cret@h.example/x?y=1", "https://h.example/x?y=1"),
        ("https://h.example/x@y", "https://h.example/x@y"),
        ("https://bot:s3cret@h.example/x@y", "https://h.example/x@y"),
        ("https://bot:s3/cret@h.example/x", "https://h.example/x"),
        ("https://bot:s3cret@[::1/x", "https://[::1/x"),
        ("bot:s3cret@h.example", "h.example"),
        ("https://h.example/x", "https://h.example/x"),
    ],
)
def test_a_url_is_shown_without_credentials(text: str, shown: str) -> None:
    assert urls.without_credentials(text) == shown
    assert urls.shown(text, 5) == f"{shown[:5]}…"


@pytest.mark.parametrize(
    ("location", "there"),
    [
        ("/y.png", "https://h.example/y.png"),
        ("y.png?a=b", "https://h.example/deep/y.png?a=b"),
        ("//other.example/y", "https://other.example/y"),
        ("/köln.png".encode().decode("latin-1"), "https://h.example/k%C3%B6ln.png"),
        ("/k%C3%B6ln.png", "https://h.example/k%C3%B6ln.png"),
        ("/x?y=ü".encode().decode("latin-1"), "https://h.example/x?y=%C3%BC"),
        ("https://bücher.example/".encode().decode("latin-1"), "https://xn--bcher-kva.example/"),
        ("/caf\xe9", "https://h.example/caf%C3%A9"),
        (" /y ", "https://h.example/y"),
    ],
)
def test_a_redirect(location: str, there: str) -> None:
    assert urls.read("https://h.example/deep/x").joined(location).text == there


@pytest.mark.parametrize("location", ["http://[", "http://a..b/x", "http://h:99999/", "file:///x"])
def test_a_redirect_to_what_cannot_be_asked_for(location: str) -> None:
    with pytest.raises(urls.URLError):
        urls.read("https://h.example/deep/x").joined(location)


def test_credentials_go_with_a_redirect_to_the_same_server_only() -> None:
    url = urls.read("https://bot:s3cret@h.example/x")
    assert url.joined("/y").credentials == "bot:s3cret"
    assert url.joined("https://h.example:443/y").credentials == "bot:s3cret"
    assert url.joined("https://a:b@h.example/y").credentials == "a:b"
    for elsewhere in ("https://other.example/y", "http://h.example/y", "https://h.example:444/y"):
        assert url.joined(elsewhere).credentials == ""


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("https://h.example/a/k%C3%B6ln%20b.png?x=/y", "köln b.png"),
        ("https://h.example/a/", ""),
        ("https://h.example", ""),
    ],
)
def test_what_a_file_is_called(text: str, name: str) -> None:
    assert urls.read(text).name == name
