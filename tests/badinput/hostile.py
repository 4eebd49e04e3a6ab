"""A server that means ill: it accepts connections, reads requests as HTTP/2, and answers each as a test says."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable

import frames
from frames import END_HEADERS, END_STREAM, frame, grpc_message, header_block

# What is sent for a connection that was made, and for a call on a stream; None closes the connection.
Answer = Callable[[int], "bytes | None"]

HEADERS_OK = header_block([(b":status", b"200"), (b"content-type", b"application/grpc")])


def response(stream: int, body: bytes, *trailers: tuple[bytes, bytes]) -> bytes:
    """A whole answer: headers, messages with their prefixes, trailers."""
    return (frame(frames.HEADERS, END_HEADERS, stream, HEADERS_OK) + frame(frames.DATA, 0, stream, body)
            + frame(frames.HEADERS, END_HEADERS | END_STREAM, stream, header_block(trailers)))  # fmt: skip


def refusal(stream: int, status: bytes, message: bytes = b"", *trailers: tuple[bytes, bytes]) -> bytes:
    """Trailers alone."""
    block = HEADERS_OK + header_block([(b"grpc-status", status), (b"grpc-message", message), *trailers])
    return frame(frames.HEADERS, END_HEADERS | END_STREAM, stream, block)


class Hostile:
    """Listens on an address of its own until the end of its context."""

    def __init__(self, opening: bytes = frames.settings(), answer: Answer = lambda stream: b"",
                 context: ssl.SSLContext | None = None) -> None:
        self.opening, self.answer, self.context = opening, answer, context
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.connections = self.calls = 0
        self.open: list[socket.socket] = []
        self.thread = threading.Thread(target=self._accept, daemon=True)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = self.listener.accept()
                self.open.append(accepted)
                threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):  # the client has gone, or this has ended
            accepted.settimeout(30)
            opened = accepted if self.context is None else self.context.wrap_socket(accepted, server_side=True)
            self.open.append(opened)
            self.connections += 1
            opened.sendall(self.opening)
            self._calls(opened)
            opened.close()

    def _calls(self, opened: socket.socket) -> None:
        pending = b""
        while True:
            more = opened.recv(65536)
            if not more:
                return
            pending = (pending + more).removeprefix(frames.PREFACE)
            while len(pending) >= 9:
                high, low, kind, flags, stream = struct.unpack("!BHBBI", pending[:9])
                end = 9 + (high << 16 | low)
                if len(pending) < end:
                    break
                pending = pending[end:]
                if kind == frames.SETTINGS and not flags & frames.ACK:
                    opened.sendall(frame(frames.SETTINGS, frames.ACK))
                if kind in (frames.DATA, frames.HEADERS) and flags & END_STREAM:
                    self.calls += 1
                    said = self.answer(stream)
                    if said is None:
                        return
                    opened.sendall(said)

    def __enter__(self) -> Hostile:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()
        for each in self.open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def redirect_to(address: Callable[[], str]) -> Answer:
    """As a node that does not lead: for batonctl's calls by trailers; workers are redirected by a message (redirect_worker)."""
    return lambda stream: refusal(stream, b"9", b"n2 does not lead", (b"baton-leader-address", address().encode()))


def redirect_worker(address: Callable[[], str]) -> Answer:
    from pieces import proto

    def answer(stream: int) -> bytes:
        body = proto([[1, 0], [4, [[1, "n2"], [2, address()], [3, address()]]]])  # of a RegisterWorkerResponse
        return response(stream, grpc_message(body), (b"grpc-status", b"0"))

    return answer
