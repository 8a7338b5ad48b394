"""Secrets in a log: gone, however the text is cut into pieces."""

import os

from hypothesis import given
from hypothesis import strategies as st

from mayfly_runtime.agent.logs import LogBuffer, LogPipe
from mayfly_runtime.spec.redaction import Redactor

ALPHABET = st.sampled_from('ab\n"é')
SECRETS = st.lists(st.text(ALPHABET, min_size=4, max_size=8), min_size=1, max_size=4)


def redactor(*values):
    made = Redactor()
    made.hide(values)
    return made


def streamed(made, chunks):
    return b"".join([*(made.feed(chunk) for chunk in chunks), made.rest()])


@given(SECRETS, st.lists(st.text(ALPHABET, max_size=6)), st.data())
def test_any_cutting_gives_the_same_and_no_secret(secrets, words, data):
    parts = [data.draw(st.sampled_from([word, *secrets])) for word in words]
    whole = "".join(parts).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    chunks = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    told = streamed(redactor(*secrets), chunks)
    assert told == streamed(redactor(*secrets), [whole])
    for piece in told.split(b"[redacted]"):
        assert not any(secret.encode() in piece for secret in secrets)


@given(st.lists(st.binary(max_size=20)))
def test_without_secrets_nothing_is_held_or_changed(chunks):
    made = Redactor()
    assert [made.feed(chunk) for chunk in chunks] == chunks
    assert made.rest() == b""


def test_what_cannot_be_a_secret_is_told_at_once():
    made = redactor("s3cret")
    assert made.feed(b"hello s3") == b"hello "
    assert made.feed(b"cre") == b""
    assert made.feed(b"am\n") == b"s3cream\n"
    assert made.feed(b"s3cre") == b""
    assert made.rest() == b"s3cre"


def test_the_longest_wins_and_short_ones_stay():
    made = redactor("token", "token-and-more", "abc", "")
    assert streamed(made, [b"token", b"-and", b"-more token abc"]) == b"[redacted] [redacted] abc"


def test_forms_of_a_secret():
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqh\n-----END KEY-----\n"
    made = redactor(key, 'quo"ted\\word', "trailing-line\n")
    assert "MIIE" not in made.error(f"x: {key!r}", 4096)
    for shown in ("  MIIEvQIBADANBg", repr({"k": 'quo"ted\\word'}), "trailing-line|"):
        assert "[redacted]" in made.error(shown, 4096), shown


def test_an_error_that_was_cut_within_a_secret():
    made = redactor("hunter2-hunter2")
    told = made.error("x" * (4096 - 9) + "hunter…", 4096)
    assert "hunter" not in told
    assert len(told.encode()) <= 4096
    assert made.error("a word: hunter", 4096) == "a word: hunter"
    assert len(made.error("hunter2-hunter2 " * 300, 100).encode()) <= 100


def test_the_log_and_the_pods_stdout_are_redacted():
    buffer = LogBuffer(10_000)
    buffer.redactor.hide(["s3cret"])
    read, write = os.pipe()
    shown, stdout = os.pipe()
    os.write(write, b"it is s3cret\nand s3cr")
    os.close(write)
    LogPipe(read, buffer, stdout).pump(lambda: None)
    assert buffer.piece(0) == (0, "it is [redacted]\nand s3cr")
    assert os.read(shown, 100) == b"it is [redacted]\nand s3cr"
    os.close(shown)
    os.close(stdout)
