"""RFC 6455 against an independent implementation, and against those who break it."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets import frames
from websockets.server import ServerProtocol

from mayfly_runtime.agent import websocket as ws

KEY = b"0123456789abcdef"


def upgrade():
    server = ServerProtocol()
    server.receive_data(ws.request("h:1", "/p?q=1", KEY, {"Mayfly-Session": "s"}))
    (request,) = server.events_received()
    assert request.path == "/p?q=1"
    assert request.headers["Mayfly-Session"] == "s"
    server.send_response(server.accept(request))
    return server, b"".join(server.data_to_send())


def test_a_handshake_with_another_implementation():
    _, answer = upgrade()
    assert ws.response(answer, KEY) == b""
    assert ws.response(answer + b"rest", KEY) == b"rest"
    for size in range(len(answer)):
        assert ws.response(answer[:size], KEY) is None


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 401 Unauthorized\r\n\r\n", 401),
        (b"HTTP/1.1 503 Busy\r\nX: y\r\n\r\n", 503),
        (b"SSH-2.0\r\n\r\n", 0),
        (b"HTTP/1.1 101 S\r\n\r\n", 101),
        (b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: no\r\n\r\n", 101),
        (b"x" * 20_000, 0),
    ],
)
def test_an_answer_that_is_no_upgrade(answer, status):
    with pytest.raises(ws.HandshakeError) as caught:
        ws.response(answer, KEY)
    assert caught.value.status == status


def test_a_header_cannot_be_injected():
    with pytest.raises(ValueError, match="line break"):
        ws.request("h", "/", KEY, {"A": "b\r\nC: d"})


@given(
    st.binary(max_size=300) | st.integers(0, 70_000).map(bytes), st.binary(min_size=4, max_size=4)
)
def test_our_frames_are_read_by_another_implementation(payload, mask):
    server, _ = upgrade()
    server.receive_data(ws.frame(ws.BINARY, payload, mask))
    (frame,) = server.events_received()
    assert (frame.opcode, bytes(frame.data)) == (frames.Opcode.BINARY, payload)


@given(
    st.lists(st.tuples(st.lists(st.text(max_size=200), min_size=1, max_size=4), st.booleans()),
             max_size=5),
    st.data(),
)  # fmt: skip
def test_messages_arrive_whole_however_they_are_cut(messages, data):
    server, _ = upgrade()
    for fragments, ping in messages:
        parts = [part.encode() for part in fragments]
        server.send_text(parts[0], fin=len(parts) == 1)
        if ping:
            server.send_ping(b"p")
        for index, part in enumerate(parts[1:], 2):
            server.send_continuation(part, fin=index == len(parts))
    wire = b"".join(server.data_to_send())
    parser, events = ws.Parser(10_000), []
    while wire:
        size = data.draw(st.integers(1, len(wire)))
        events += parser.feed(wire[:size])
        wire = wire[size:]
    texts = [event.data.decode() for event in events if isinstance(event, ws.Message)]
    assert texts == ["".join(fragments) for fragments, _ in messages]
    assert events.count(ws.Ping(b"p")) == sum(ping for _, ping in messages)


def server_frame(first, payload=b"", size=None):
    size = len(payload) if size is None else size
    head = bytes([first, size]) if size < 126 else bytes([first, 127]) + size.to_bytes(8, "big")
    return head + payload


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (bytes([0xC1, 0]), ws.PROTOCOL_ERROR),
        (bytes([0x81, 0x80]), ws.PROTOCOL_ERROR),
        (bytes([0x83, 0]), ws.PROTOCOL_ERROR),
        (bytes([0x80, 0]), ws.PROTOCOL_ERROR),
        (bytes([0x09, 0]), ws.PROTOCOL_ERROR),
        (bytes([0x89, 126, 0, 126]), ws.PROTOCOL_ERROR),
        (server_frame(0x01, b"a") + server_frame(0x81, b"b"), ws.PROTOCOL_ERROR),
        (server_frame(0x88, b"x"), ws.PROTOCOL_ERROR),
        (server_frame(0x81, b"\xff"), ws.BAD_DATA),
        (server_frame(0x81, b"", size=1001), ws.TOO_BIG),
        (server_frame(0x01, b"x" * 999) + server_frame(0x80, b"xx"), ws.TOO_BIG),
    ],
)
def test_a_peer_that_breaks_the_protocol(wire, code):
    with pytest.raises(ws.WebSocketError) as caught:
        ws.Parser(1000).feed(wire)
    assert caught.value.code == code


def test_a_close_frame():
    server, _ = upgrade()
    server.send_close(4409, "retired")
    (event,) = ws.Parser(100).feed(b"".join(server.data_to_send()))
    assert event == ws.Closed(4409, "retired")
    assert ws.Parser(100).feed(bytes([0x88, 0])) == [ws.Closed(ws.NO_CODE, "")]


@given(st.binary(max_size=2000))
def test_noise_is_an_error_or_nothing(noise):
    with contextlib.suppress(ws.WebSocketError):
        ws.Parser(1000).feed(noise)
