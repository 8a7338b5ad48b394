"""`data:` URLs in every spelling that browsers and Cog take, and the suffixes of media types."""

import base64
import mimetypes
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly_runtime.spec import data_urls, media_types


@pytest.mark.parametrize(
    ("text", "kind", "data"),
    [
        ("data:,hi", "", b"hi"),
        ("data:,a%20b", "", b"a b"),
        ("data:,", "", b""),
        ("data:,a,b", "", b"a,b"),
        ("data:text/plain;charset=utf-8,ж", "text/plain", "ж".encode()),
        ("data:text/plain;base64,aGk=", "text/plain", b"hi"),
        ("data:text/plain;BASE64,aGk=", "text/plain", b"hi"),
        ("data:text/plain; base64,aGk=", "text/plain", b"hi"),
        ("data:text/plain;base64 ,aGk=", "text/plain", b"hi"),
        ("data:text/plain ; base64 ,aGk=", "text/plain", b"hi"),
        ("data:text/plain;\r\n base64,aGk=", "text/plain", b"hi"),
        ("data:text/plain;base64;charset=utf-8,aGk=", "text/plain", b"hi"),
        ("DATA:Text/Plain;Base64,aGk=", "text/plain", b"hi"),
        (" \ndata:;base64,aGk=", "", b"hi"),
        ("data:;base64,", "", b""),
        ("data:;base64,aGk", "", b"hi"),
        ("data:;base64,aGk%3D", "", b"hi"),
        ("data:;base64,aGk=\n", "", b"hi"),
        ("data:;base64,a\r\nG k\t=", "", b"hi"),
        ("data:;base64,aG%0Ak=", "", b"hi"),
        ("data:;base64,aGk=#frag", "", b"hi"),
        ("data:;base64,_-8", "", b"\xff\xef"),
        ("data:;base64,/+8", "", b"\xff\xef"),
        ("data:text/plain,aGk=", "text/plain", b"aGk="),
        ("data:nonsense;base64,aGk=", "", b"hi"),
    ],
)
def test_what_is_read(text: str, kind: str, data: bytes) -> None:
    assert data_urls.is_data_url(text)
    found = data_urls.read(text)
    assert (found.media_type, found.data) == (kind, data)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("data:text/plain;base64", "a data: URI without a comma"),
        ("data:;base64,!!", "a data: URI that is not base64"),
        ("data:;base64,a", "a data: URI that is not base64"),
        ("data:;base64,aG=k", "a data: URI that is not base64"),
        ("data:;base64,ж", "a data: URI that is not base64"),
        ("data:,\ud800", "a data: URI that is not Unicode"),
    ],
)
def test_what_cannot_be_read_is_told(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        data_urls.read(text)


@given(st.binary(max_size=100), st.booleans(), st.booleans(), st.integers(1, 80))
def test_every_spelling_of_base64_is_the_same_data(
    data: bytes, safe: bool, padded: bool, width: int
) -> None:
    text = (base64.urlsafe_b64encode if safe else base64.b64encode)(data).decode()
    text = text if padded else text.rstrip("=")
    lines = "\r\n".join(text[at : at + width] for at in range(0, len(text), width))
    assert data_urls.read(f"data:application/zip;base64,{lines}").data == data


@given(st.text(max_size=40))
def test_any_text_is_read_or_told(text: str) -> None:
    with suppress(ValueError):
        data_urls.read(f"data:{text}")


@pytest.mark.parametrize(
    ("head", "name"),
    [
        ("image/png;name=k.png;base64", "k.png"),
        ("image/png;base64;name=k.png", "k.png"),
        ("image/png;filename=k%C3%B6ln.png;base64", "köln.png"),
        ('image/png;Name="a b.png";base64', "a b.png"),
        ("image/png;name=;base64", "file.png"),
        ("image/png;name=%FF;base64", "file.png"),
        ("image/png;base64", "file.png"),
        ("base64", "file.txt"),
        (";base64", "file.txt"),
        ("application/x-unheard-of;base64", "file"),
    ],
)
def test_the_name_of_the_file(head: str, name: str) -> None:
    assert data_urls.read(f"data:{head},aGk=").file_name("file") == name


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [
        ("image/jpeg", ".jpg"), ("image/jpg", ".jpg"), ("image/png", ".png"),
        ("image/webp", ".webp"), ("image/svg+xml", ".svg"), ("image/x-icon", ".ico"),
        ("IMAGE/HEIC", ".heic"), ("image/avif", ".avif"),
        ("audio/wav", ".wav"), ("audio/x-wav", ".wav"), ("audio/wave", ".wav"),
        ("audio/mpeg", ".mp3"), ("audio/mp3", ".mp3"), ("audio/flac", ".flac"),
        ("audio/mp4", ".m4a"), ("audio/x-m4a", ".m4a"), ("audio/ogg", ".ogg"),
        ("audio/ogg; codecs=opus", ".ogg"),
        ("video/mp4", ".mp4"), ("video/webm", ".webm"), ("video/quicktime", ".mov"),
        ("video/x-matroska", ".mkv"),
        ("text/plain", ".txt"), ("text/csv", ".csv"), ("text/markdown", ".md"),
        ("application/json", ".json"), ("application/x-ndjson", ".jsonl"),
        ("application/pdf", ".pdf"), ("application/zip", ".zip"), ("application/gzip", ".gz"),
        ("application/octet-stream", ".bin"), ("application/yaml", ".yaml"),
        ("model/gltf-binary", ".glb"), ("font/woff2", ".woff2"),
        ("application/vnd.example+json", ".json"), ("application/unheard-of", ""), ("", ""),
    ],
)  # fmt: skip
def test_suffixes_need_no_table_of_the_system(
    kind: str, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mimetypes, "guess_extension", lambda _kind: None)
    assert media_types.suffix_of(kind) == suffix


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.png", "image/png"), ("a.JPG", "image/jpeg"), ("a.wav", "audio/wav"),
        ("a.tar.gz", "application/gzip"), ("a.bin", "application/octet-stream"),
        ("png", "application/octet-stream"), ("a.unheard-of", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)  # fmt: skip
def test_types_of_names(name: str, kind: str) -> None:
    assert media_types.type_of(name) == kind
