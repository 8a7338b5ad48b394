import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.gateway.files import links
from mayfly.gateway.files.store import OCTETS, media_type, references, safe_name

ID = "0123456789abcdefghjkmnpqrs"
REFERENCE = f"mayfly-file:{ID}"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("out.png", "out.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\a.txt", "a.txt"),
        ("..", "file"),
        ("", "file"),
        (" . ", "file"),
        ("a\r\nb\x00.txt", "ab.txt"),
        ("exe\u202egpj.txt", "exegpj.txt"),
        ("ü" * 200, "ü" * 100),
    ],
)
def test_names(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@given(st.text())
def test_a_safe_name_is_safe(name: str) -> None:
    safe = safe_name(name)
    assert 0 < len(safe.encode()) <= 200
    assert "/" not in safe
    assert safe not in {".", ".."}
    assert safe_name(safe) == safe


@pytest.mark.parametrize(
    ("given_type", "expected"),
    [
        ("image/png", "image/png"),
        ("text/html; charset=utf-8", "text/html"),
        (None, OCTETS),
        ("nonsense", OCTETS),
        ("a/b\r\nX: y", OCTETS),
    ],
)
def test_media_types(given_type: str | None, expected: str) -> None:
    assert media_type(given_type) == expected


VALUES = st.recursive(
    st.none() | st.integers() | st.text() | st.sampled_from([REFERENCE, f'"{REFERENCE}"', "\\"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.just(REFERENCE), inner, max_size=4)
    ),
    max_leaves=12,
)


def linked(value: object) -> object:
    if isinstance(value, dict):
        return {key: linked(each) for key, each in value.items()}
    if isinstance(value, list):
        return [linked(each) for each in value]
    return "https://link" if value == REFERENCE else value


@given(VALUES, st.sampled_from([None, 2]), st.booleans())
def test_links_replace_whole_values_and_nothing_else(
    value: object, indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    replaced = links.with_links(text, {ID: "https://link"})
    assert json.loads(replaced) == linked(value)
    assert (references(text) == [ID]) == (linked(value) != value)


def test_an_unknown_file_stays_a_word() -> None:
    assert links.with_links(f'["{REFERENCE}"]', {}) == f'["{REFERENCE}"]'


def test_links_of_ours_become_references_again() -> None:
    ours = f"https://mayfly.example/ns/team/v1/files/{ID}/download/a.png?expires=1&signature=ab"
    text = json.dumps([ours, f"https://mayfly.example/v1/files/{ID}", {ours: f"x {ours}"}])
    assert links.linked_files(text, {"mayfly.example"}) == {ID}
    back = json.loads(links.with_references(text, {"mayfly.example"}, {ID}))
    assert back == [REFERENCE, REFERENCE, {ours: f"x {ours}"}]


LINK = f"https://mayfly.example/v1/files/{ID}/download/k%C3%B6ln.png?expires=1&signature=ab"


@pytest.mark.parametrize(
    "string",
    [
        json.dumps(LINK),
        json.dumps(LINK).replace("/", "\\/"),  # PHP
        json.dumps(LINK).replace("&", "\\u0026"),  # Go
        json.dumps(LINK).replace("https", "\\u0068ttps"),
        json.dumps(LINK).replace("files", "\\u0066iles"),
        "".join(['"', *(f"\\u{ord(each):04x}" for each in LINK), '"']),
        json.dumps(LINK.replace("https:", "HTTPS:")),
        json.dumps(LINK.replace("mayfly.example", "Mayfly.EXAMPLE")),
        json.dumps(LINK.replace("mayfly.example", "mayfly.example:443")),
        json.dumps(LINK.replace("mayfly.example", "mayfly.example.")),
        json.dumps(LINK.replace("https://", "https://bot:s3cret@")),
        json.dumps(f"{LINK}#page=2"),
        json.dumps(f"  {LINK}"),
        json.dumps(f"\n{LINK}\t"),
        json.dumps(LINK.replace("k%C3%B6ln", "k\u00f6ln")),
        json.dumps(LINK.replace("k%C3%B6ln", "k\u00f6ln"), ensure_ascii=False),
        json.dumps(LINK.replace("k%C3%B6ln", 'a b"c')),
        json.dumps(LINK.replace("/v1/files", "/v1/%66iles")),
        json.dumps(LINK.replace("/v1/", "/ns/team/v1/")),
        json.dumps(LINK.replace("/v1/", "/")),
        json.dumps(f"https://mayfly.example/v1/files/{ID}"),
        json.dumps(f"https://mayfly.example/v1/files/{ID}/"),
        json.dumps(f"https://mayfly.example/v1/files/{ID}/download"),
    ],
)
def test_a_link_is_found_however_it_is_written(string: str) -> None:
    text = f'{{"a":[1.0,"x\\\\",{string} ],"b":"{{\\"","c":{string},{string}:1e400}}'
    assert links.linked_files(text, {"mayfly.example"}) == {ID}
    kept = f'{{"a":[1.0,"x\\\\","{REFERENCE}" ],"b":"{{\\"","c":"{REFERENCE}",{string}:1e400}}'
    assert links.with_references(text, {"mayfly.example"}, {ID}) == kept


@pytest.mark.parametrize(
    "url",
    [
        f"https://elsewhere.example/v1/files/{ID}",
        f"https://mayfly.example:8443/v1/files/{ID}",
        f"https://mayfly.example.evil.example/v1/files/{ID}",
        f"https://mayfly.example@evil.example/v1/files/{ID}",
        f"ftp://mayfly.example/v1/files/{ID}",
        f"https://mayfly.example/v1/files/{ID}0",
        f"https://mayfly.example/v1/files/{ID}/source",
        f"https://mayfly.example/v1/other/{ID}",
        f"see https://mayfly.example/v1/files/{ID}",
        f"https://[::1/v1/files/{ID}",
        f"https://mayfly.example:99999/v1/files/{ID}",
    ],
)
def test_what_is_no_link_of_ours_stays(url: str) -> None:
    text = json.dumps([url, {url: url}])
    assert links.linked_files(text, {"mayfly.example"}) == set()
    assert links.with_references(text, {"mayfly.example"}, {ID}) == text


def test_a_link_beside_much_else_is_found_soon() -> None:
    many = json.dumps([*(["h" * 31, "x", '"', "\\"] * 100_000), LINK])
    began = time.monotonic()
    assert links.with_references(many, {"mayfly.example"}, {ID}).endswith(f'"{REFERENCE}"]')
    assert time.monotonic() - began < 5


def test_other_links_stay() -> None:
    text = json.dumps([f"https://elsewhere/v1/files/{ID}", "https://mayfly.example/v1/files/x"])
    assert links.linked_files(text, {"mayfly.example"}) == set()
    assert links.with_references(text, {"mayfly.example"}, {ID}) == text
    mine = json.dumps([f"https://mayfly.example/v1/files/{ID}"])
    assert links.with_references(mine, {"mayfly.example"}, set()) == mine


@given(VALUES, st.sampled_from([None, 2]))
def test_what_is_no_link_is_kept_to_the_letter(value: object, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    assert links.with_references(text, {"mayfly.example"}, {ID}) == text
