"""The log's buffer: any cutting, any acknowledgement, the same bytes. Its pipe: when it is read."""

import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly_runtime.agent.logs import PIECE_BYTES, LogBuffer, LogPipe


@given(st.lists(st.binary(max_size=50)), st.data())
def test_whatever_is_stored_and_resent_the_text_is_whole(chunks, data):
    buffer, stored, sent = LogBuffer(10**6), bytearray(), 0
    for chunk in chunks:
        buffer.append(chunk)
        match data.draw(st.sampled_from(["send", "store", "reconnect", "nothing"])):
            case "send" if piece := buffer.piece(sent):
                offset, text = piece
                assert offset == sent
                assert sent >= len(stored)
                stored[offset:] = text.encode()
                sent = len(stored)
            case "store":
                buffer.forget(len(stored))
            case "reconnect":
                sent = len(stored)
            case _:
                pass
    buffer.close()
    while piece := buffer.piece(sent):
        stored[piece[0] :] = piece[1].encode()
        sent = len(stored)
    assert stored.decode() == b"".join(chunks).decode("utf-8", "replace")
    assert buffer.end == len(stored)


def test_pieces_are_bounded_and_cut_between_characters():
    buffer = LogBuffer(10**7)
    buffer.append("é".encode() * PIECE_BYTES + b"x")
    offset, sizes = 0, []
    while piece := buffer.piece(offset):
        assert "\ufffd" not in piece[1]
        sizes.append(len(piece[1].encode()))
        offset += sizes[-1]
    assert offset == 2 * PIECE_BYTES + 1
    assert max(sizes) == PIECE_BYTES


@given(st.integers(600, 5000), st.lists(st.integers(0, 900), max_size=20), st.booleans())
def test_the_limit_holds_and_every_dropped_byte_is_told(limit, sizes, store):
    buffer = LogBuffer(limit)
    for size in sizes:
        buffer.append(b"x" * size)
        if store:
            buffer.forget(buffer.end)
    kept = buffer.end
    buffer.close()
    assert buffer.end <= limit
    piece = buffer.piece(kept)
    if kept < sum(sizes):
        assert piece[1].strip() == (
            f"mayfly: {sum(sizes) - kept} bytes of log past the limit were dropped"
        )
    else:
        assert piece is None


def test_memory_is_given_back():
    buffer = LogBuffer(10**6)
    buffer.append(b"abc")
    buffer.forget(2)
    assert buffer.piece(2) == (2, "c")
    assert buffer.piece(0) == (2, "c")
    buffer.forget(10**9)
    assert buffer.end == 3


class Pipe:
    """A worker's log pipe whose writer stays alive, and the thread that reads it."""

    def __init__(self, stdout=-1):
        read, self.write_end = os.pipe()
        self.buffer = LogBuffer(10**7)
        self.woken = threading.Event()
        self.pipe = LogPipe(read, self.buffer, stdout)
        self.thread = threading.Thread(target=self.pipe.pump, args=(self.woken.set,))

    def drained(self):
        """As the agent asks: again whenever it is woken."""
        for _ in range(1000):
            self.woken.clear()
            if self.pipe.drained():
                return True
            self.woken.wait(0.01)
        return False

    def close(self):
        os.close(self.write_end)
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.mark.parametrize("sizes", [[], [1], [PIECE_BYTES], [3] * 200, [60_000] * 30])
def test_a_log_is_complete_before_its_writers_are_gone(sizes):
    pipe = Pipe()
    pipe.thread.start()
    for size in sizes:
        os.write(pipe.write_end, b"x" * size)
    assert pipe.drained()
    assert pipe.buffer.end == sum(sizes)
    os.write(pipe.write_end, b"too late")
    pipe.close()
    assert pipe.buffer.end == sum(sizes)


def test_what_nobody_has_read_is_not_complete():
    pipe = Pipe()
    os.write(pipe.write_end, b"unread")
    assert not pipe.pipe.drained()
    pipe.thread.start()
    assert pipe.drained()
    assert pipe.buffer.piece(0) == (0, "unread")
    pipe.close()


def test_a_stdout_that_stalls_holds_up_nobody_who_asks():
    shown, stdout = os.pipe()
    pipe = Pipe(stdout)
    pipe.thread.start()
    os.write(stdout, b"x" * 60_000)  # of the 65,536 that it holds
    os.write(pipe.write_end, b"x" * 60_000)
    while pipe.buffer.end < 60_000:
        pass
    assert not pipe.pipe.drained()
    os.close(pipe.write_end)
    while pipe.thread.is_alive():
        os.read(shown, 100_000)
        pipe.thread.join(0.01)
    assert pipe.pipe.drained()


def test_what_may_be_half_a_secret_is_told_at_the_end():
    pipe = Pipe()
    pipe.buffer.redactor.hide(["s3cret"])
    pipe.thread.start()
    os.write(pipe.write_end, b"a s3cret and s3c")
    assert pipe.drained()
    assert pipe.buffer.piece(0) == (0, "a [redacted] and s3c")
    pipe.close()
