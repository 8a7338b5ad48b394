"""The channel between PID 1 and worker: whatever an output holds, it fits and comes back."""

import struct
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mayfly_runtime import channel
from mayfly_runtime.agent.messages import Limits
from mayfly_runtime.agent.process import channel_pair
from mayfly_runtime.spec import strict_json

LIMIT = Limits().outputBytes
FRAME = channel.frame_bytes(LIMIT)


def ends(max_received=FRAME):
    ours, theirs = channel_pair()
    return channel.Channel(ours, max_received), channel.Channel(theirs, max_received), theirs


def through(message, max_received=FRAME):
    """The message as it arrives at the other end."""
    ours, theirs, _ = ends(max_received)
    theirs.max_sent = max_received
    failed = []

    def send():
        try:
            theirs.send(message)
        except (channel.ChannelError, channel.MessageTooLong) as error:
            failed.append(error)
            theirs.close()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        return ours.receive()
    finally:
        thread.join()
        ours.close()
        theirs.close()
        for error in failed:
            raise error


@pytest.mark.parametrize(
    "character", ["j", "ж", "語", "🐛", "\ud800", '"', "\\", "\0", "\x7f", "\u2028", "/"]
)
def test_the_largest_output_fits_whatever_its_characters(character):
    one = strict_json.size(strict_json.dump(character)) - 2
    text = strict_json.dump(character * ((LIMIT - 2) // one))
    assert LIMIT - one < strict_json.size(text) <= LIMIT
    assert through({"op": "finished", "text": text, "files": [], "stream": False})["text"] == text


@settings(max_examples=50, deadline=None)
@given(st.text(), st.text(st.characters(categories=["Cs"]), max_size=5))
def test_every_text_comes_back(text, halves):
    message = {"text": text, "error": halves}
    assert through(message) == message


def test_what_is_too_long_is_not_begun():
    with pytest.raises(channel.MessageTooLong, match="over 20"):
        through({"text": "x" * 20}, max_received=20)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (struct.pack(">I", FRAME + 1), f"a message of {FRAME + 1} bytes"),
        (struct.pack(">I", 2) + b"[]", "a message that is not an object"),
        (struct.pack(">I", 2) + b"{\xff", "a message that is not JSON"),
        (struct.pack(">I", 5) + b"{}", "it is closed"),
        (b"", "it is closed"),
    ],
)
def test_a_broken_channel_is_told_in_words(data, words):
    ours, _, sock = ends()
    sock.sendall(data)
    sock.close()
    with pytest.raises(channel.ChannelError, match=words):
        ours.receive()
    ours.close()
