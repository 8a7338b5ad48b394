"""File names in Content-Disposition headers, of downloads and of forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly_runtime.spec import disposition


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("", ""),
        ("attachment", ""),
        ('attachment; filename="k.png"', "k.png"),
        ("attachment; filename=k.png", "k.png"),
        ("attachment;filename = k.png ; x=y", "k.png"),
        ('form-data; name="content"; filename="a;b.png"', "a;b.png"),
        ('form-data; name="content"; filename="a\\"b.png"', 'a"b.png'),
        ('form-data; name="content"; filename="C:\\temp\\a.png"', "C:\\temp\\a.png"),
        ("form-data; name=content; FileName=k.png", "k.png"),
        ("attachment; filename*=UTF-8''k%C3%B6ln.png", "köln.png"),
        ("attachment; filename*=utf-8'de'k%C3%B6ln.png", "köln.png"),
        ("attachment; filename*=iso-8859-1''k%F6ln.png", "köln.png"),
        ("attachment; filename*=\"UTF-8''k%C3%B6ln.png\"", "köln.png"),
        ("attachment; filename=\"koeln.png\"; filename*=UTF-8''k%C3%B6ln.png", "köln.png"),
        ("attachment; filename*=UTF-8''k%C3%B6ln.png; filename=\"koeln.png\"", "köln.png"),
        ("attachment; filename=\"k.png\"; filename*=nonsense''x", "k.png"),
        ("attachment; filename=\"k.png\"; filename*=UTF-8''%FF", "k.png"),
        ('attachment; filename="k.png"; filename*=x', "k.png"),
        ('attachment; filename="köln.png"'.encode().decode("latin-1"), "köln.png"),
        ('attachment; filename="k\xf6ln.png"', "k\xf6ln.png"),
    ],
)
def test_names(header: str, name: str) -> None:
    assert disposition.file_name(header) == name


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_name_that_is_sent_is_the_name_that_is_read(name: str) -> None:
    header = disposition.attachment(name)
    assert header.isascii()
    assert disposition.file_name(header) == name


@given(st.text())
def test_any_header_is_read(header: str) -> None:
    disposition.file_name(header)
