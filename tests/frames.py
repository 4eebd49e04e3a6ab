"""HTTP/2 by hand: just enough to say what no well-behaved client would, and to read what comes back.

Requests are coded as literals without indexing, so that a connection's opening is a constant string of bytes and thousands can
be sent in a second. Responses are decoded with hpack.
"""

from __future__ import annotations

import dataclasses
import socket
import ssl
import struct
import time
from collections.abc import Iterable

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4
SETTINGS_INITIAL_WINDOW = 4
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR = 0, 1, 2
REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 7, 8, 11

Headers = Iterable[tuple[bytes, bytes]]


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack("!BHBBI", len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream) + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, payload=b"".join(struct.pack("!HI", key, value) for key, value in pairs))


def window_update(stream: int, by: int) -> bytes:
    return frame(WINDOW_UPDATE, stream=stream, payload=struct.pack("!I", by))


def reset(stream: int, code: int = CANCEL) -> bytes:
    return frame(RST_STREAM, stream=stream, payload=struct.pack("!I", code))


def _string(text: bytes) -> bytes:
    if len(text) < 127:
        return bytes([len(text)]) + text
    rest, out = len(text) - 127, bytearray(b"\x7f")
    while rest >= 128:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out) + text


def header_block(headers: Headers) -> bytes:
    return b"".join(b"\0" + _string(key) + _string(value) for key, value in headers)


def request_headers(path: str, *more: tuple[bytes, bytes], timeout: bytes | None = None) -> list[tuple[bytes, bytes]]:
    headers = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path.encode()),
        (b":authority", b"test"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    ]
    if timeout is not None:
        headers.append((b"grpc-timeout", timeout))
    return headers + list(more)


def grpc_message(body: bytes, flag: int = 0) -> bytes:
    return struct.pack("!BI", flag, len(body)) + body


def call(stream: int, path: str, body: bytes, *more: tuple[bytes, bytes], end: bool = True) -> bytes:
    """HEADERS and DATA of a whole request; `body` with its prefix."""
    block = header_block(request_headers(path, *more))
    return frame(HEADERS, END_HEADERS, stream, block) + frame(DATA, END_STREAM if end else 0, stream, body)


@dataclasses.dataclass
class Outcome:
    """How one stream ended."""

    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    body: bytes = b""
    reset: int | None = None
    ended: bool = False

    @property
    def status(self) -> int | None:
        text = self.headers.get("grpc-status")
        return None if text is None else int(text)


class Connection:
    """A raw connection; answers SETTINGS and PING by itself while it reads."""

    def __init__(self, address: str, opening: bytes = PREFACE + settings(), receive_buffer: int | None = None,
                 context: ssl.SSLContext | None = None) -> None:
        host, port = address.rsplit(":", 1)
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(20)
        self.socket.connect((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_hostname=host)
        self.decoder = hpack.Decoder()
        self.pending = b""
        self.streams: dict[int, Outcome] = {}
        self.goaway: int | None = None
        self.pongs = 0  # PINGs of ours that were answered
        self.closed = False
        if opening:
            self.send(opening)

    def send(self, data: bytes) -> bool:
        """False: the server has closed the connection."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):  # SSLError: it has closed the session
            self.closed = True
        return not self.closed

    def read(self, timeout: float = 20) -> bool:
        """Takes in what comes next. False: nothing came in time, or the connection is closed."""
        self.socket.settimeout(timeout)
        try:
            data = self.socket.recv(1 << 18)
        except TimeoutError:
            return False
        except (ConnectionResetError, ssl.SSLError):
            data = b""
        if not data:
            self.closed = True
            return False
        self.pending += data
        while len(self.pending) >= 9:
            high, low, kind, flags, stream = struct.unpack("!BHBBI", self.pending[:9])
            end = 9 + (high << 16 | low)
            if len(self.pending) < end:
                break
            self._take(kind, flags, stream, self.pending[9:end])
            self.pending = self.pending[end:]
        return True

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        outcome = self.streams.setdefault(stream, Outcome()) if stream else Outcome()
        if kind in (HEADERS, CONTINUATION):
            assert flags & END_HEADERS, "a response's headers in more than one frame"
            outcome.headers.update({str(key): str(value) for key, value in self.decoder.decode(payload)})
        elif kind == DATA:
            outcome.body += payload
        elif kind == RST_STREAM:
            outcome.reset = struct.unpack("!I", payload)[0]
        elif kind == SETTINGS and not flags & ACK:
            self.send(frame(SETTINGS, ACK))
        elif kind == PING and not flags & ACK:
            self.send(frame(PING, ACK, payload=payload))
        elif kind == PING:
            self.pongs += 1
        elif kind == GOAWAY:
            self.goaway = struct.unpack("!I", payload[4:8])[0]
        if kind == RST_STREAM or (kind in (HEADERS, DATA) and flags & END_STREAM):
            outcome.ended = True

    def outcome(self, stream: int = 1, timeout: float = 20) -> Outcome:
        """Waits until the stream has ended, or the connection is gone."""
        give_up = time.monotonic() + timeout
        while not self.streams.get(stream, Outcome()).ended and time.monotonic() < give_up:
            if not self.read(give_up - time.monotonic()):
                break
        return self.streams.get(stream, Outcome())

    def wait_closed(self, timeout: float = 20) -> bool:
        give_up = time.monotonic() + timeout
        while not self.closed and time.monotonic() < give_up:
            self.read(max(0.01, give_up - time.monotonic()))
        return self.closed

    def vanish(self) -> None:
        """Away without a word: an RST, which leaves nothing in TIME_WAIT either."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.vanish()
