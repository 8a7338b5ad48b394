"""The log's buffer: any cutting, any acknowledgement, the same bytes."""

from hypothesis import given
from hypothesis import strategies as st

from mayfly_runtime.agent.logs import PIECE_BYTES, LogBuffer


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
