"""Our client: a grpcio server, and servers that do what none should."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator

import echo_pb2 as pb
import echo_pb2_grpc
import frames
import grpc
import pytest
from harness import EchoServer, environment, program, wait_until


class Echo(echo_pb2_grpc.EchoServicer):
    def __init__(self) -> None:
        self.deadlines: list[float | None] = []
        self.cancelled = threading.Event()

    def Echo(self, request, context):
        self.deadlines.append(context.time_remaining())
        if request.delay_ms:
            context.add_callback(self.cancelled.set)
            self.cancelled.wait(request.delay_ms / 1000)
        context.set_trailing_metadata([(trailer.key, trailer.value.decode()) for trailer in request.trailers])
        if request.status:
            context.set_code({code.value[0]: code for code in grpc.StatusCode}[request.status])
            context.set_details(request.message)
        payload = request.payload
        if request.metadata_key:
            payload = dict(context.invocation_metadata()).get(request.metadata_key, "").encode()
        return pb.EchoResponse(payload=payload)

    def Stream(self, request, context):
        for _ in range(request.count):
            yield pb.EchoResponse(payload=bytes(request.size))
        if request.status:
            context.abort({code.value[0]: code for code in grpc.StatusCode}[request.status], "enough")


@dataclasses.dataclass
class Report:
    """What echo_client printed."""

    calls: dict[str, int]
    messages: int
    bytes: int
    mismatches: int
    maybe_processed: int
    message: str
    trailers: dict[str, str]


def run_client(address: str, *flags: str, timeout: float = 60) -> Report:
    process = subprocess.run([program("echo_client"), "--target", address, *flags], stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, timeout=timeout, env=environment(), check=False)
    assert process.returncode == 0, f"exit {process.returncode}\n{process.stderr}"
    lines = process.stdout.split("\n")
    calls, trailers, rest = {}, {}, {}
    for line in lines:
        words = line.split(" ", 2)
        if words[0] == "calls":
            calls[words[1]] = int(words[2])
        elif words[0] == "trailer":
            trailers[words[1]] = words[2]
        elif len(words) > 1:
            rest[words[0]] = line.split(" ", 1)[1]
    print("echo_client", *flags, "->", calls, rest)
    numbers = {key: int(rest[key]) for key in ["messages", "bytes", "mismatches", "maybe_processed"]}
    return Report(calls=calls, message=rest["message"], trailers=trailers, **numbers)


@pytest.fixture
def echo() -> Iterator[Echo]:
    service = Echo()
    grpcio = grpc.server(concurrent.futures.ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", -1)])
    echo_pb2_grpc.add_EchoServicer_to_server(service, grpcio)
    service.address = f"127.0.0.1:{grpcio.add_insecure_port('127.0.0.1:0')}"  # type: ignore[attr-defined]
    grpcio.start()
    yield service
    service.cancelled.set()
    grpcio.stop(0).wait()


@pytest.mark.parametrize("size", [0, 1, 16384, 65535, 65536, 1 << 20])
def test_interop_client_unary_sizes(echo, size):
    report = run_client(echo.address, "--wait", "--size", str(size), "--count", "5")
    assert (report.calls, report.mismatches, report.bytes) == ({"OK": 5}, 0, 5 * size)


def test_interop_client_3000_at_once(echo):
    report = run_client(echo.address, "--wait", "--size", "100", "--count", "3000", "--inflight", "3000")
    assert (report.calls, report.mismatches) == ({"OK": 3000}, 0)


def test_interop_client_3000_at_once_to_our_server(server):
    report = run_client(server.address, "--wait", "--size", "100", "--count", "3000", "--inflight", "3000", "--delay", "1")
    assert (report.calls, report.mismatches) == ({"OK": 3000}, 0)
    assert server.stats().ok == 3000


def test_interop_client_streams(echo):
    for count, size in [(0, 0), (1, 1 << 20), (5000, 100), (100, 100_000)]:
        report = run_client(echo.address, "--wait", "--method", "Stream", "--messages", str(count), "--size", str(size))
        assert (report.calls, report.messages, report.mismatches) == ({"OK": 1}, count, 0)
    report = run_client(echo.address, "--wait", "--method", "Stream", "--messages", "3", "--status", "15")
    assert (report.calls, report.messages) == ({"DATA_LOSS": 1}, 3)


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK], ids=lambda c: c.name)
def test_interop_client_status_codes(echo, code):
    message = f"{code.name}: 100 % (not 100%41) of \u00fcml\u00e4uts \U0001f44d"
    report = run_client(echo.address, "--wait", "--status", str(code.value[0]), "--message", message, "--trailer", "why=so")
    assert (report.calls, report.message, report.trailers) == ({code.name: 1}, message, {"why": "so"})


def test_interop_client_metadata(echo):
    report = run_client(echo.address, "--wait", "--metadata", "client-colour=blue")
    assert (report.calls, report.mismatches) == ({"OK": 1}, 0)


def test_interop_client_deadline(echo):
    report = run_client(echo.address, "--wait", "--delay", "20000", "--timeout", "300")
    assert report.calls == {"DEADLINE_EXCEEDED": 1}
    assert 0 < echo.deadlines[0] <= 0.31, "the server was told the deadline"
    assert echo.cancelled.wait(10), "the server saw it pass"


def test_interop_client_cancel(echo):
    report = run_client(echo.address, "--wait", "--delay", "20000", "--cancel-after", "300")
    assert report.calls == {"CANCELLED": 1}
    assert echo.cancelled.wait(10), "the server saw it cancelled"


def test_interop_client_unknown_method(echo):
    assert run_client(echo.address, "--wait", "--method", "Nothing").calls == {"UNIMPLEMENTED": 1}


def test_interop_client_unreachable():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        report = run_client(address, "--count", "10", "--inflight", "3")
        assert (report.calls, report.maybe_processed) == ({"UNAVAILABLE": 10}, 0)
        begin = time.monotonic()
        assert set(run_client(address, "--wait", "--timeout", "500").calls) <= {"DEADLINE_EXCEEDED", "UNAVAILABLE"}
        assert time.monotonic() - begin < 10


def test_interop_client_reconnects():
    """Calls that wait for the connection get through once the server is there again."""
    with EchoServer() as first:
        address = first.address
    ended = []

    def later() -> None:
        time.sleep(0.5)
        ended.append(subprocess.Popen([program("echo_server"), address], stdin=subprocess.PIPE, env=environment()))

    thread = threading.Thread(target=later)
    thread.start()
    report = run_client(address, "--wait", "--count", "20", "--inflight", "20", "--timeout", "20000")
    thread.join()
    ended[0].communicate()
    assert report.calls == {"OK": 20}


# --- servers that do what none should ---

HELLO = frames.settings() + frames.frame(frames.SETTINGS, frames.ACK)
OK_HEADERS = [(b":status", b"200"), (b"content-type", b"application/grpc")]


def respond(headers: list[tuple[bytes, bytes]], body: bytes = b"", trailers: list[tuple[bytes, bytes]] | None = None) -> bytes:
    """The response to the first stream."""
    out = frames.frame(frames.HEADERS, frames.END_HEADERS | (not body and trailers is None), 1, frames.header_block(headers))
    if body:
        out += frames.frame(frames.DATA, frames.END_STREAM if trailers is None else 0, 1, body)
    if trailers is not None:
        out += frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1, frames.header_block(trailers))
    return out


STATUS_OK = [(b"grpc-status", b"0")]
GARBAGE = {
    # what the server sends once it has seen a request, whether it then closes, and what the client may make of it
    # (a call that waits for a connection waits on while there is none).
    "closes": (b"", True, {"DEADLINE_EXCEEDED"}),
    "http 1": (b"HTTP/1.1 400 Bad Request\r\n\r\n", True, {"DEADLINE_EXCEEDED"}),
    "random": (bytes(i * 37 & 0xFF for i in range(2000)), True, {"DEADLINE_EXCEEDED"}),
    "closes mid-call": (HELLO, True, {"UNAVAILABLE"}),
    "503": (HELLO + respond([(b":status", b"503")]), False, {"UNAVAILABLE"}),
    "404": (HELLO + respond([(b":status", b"404")]), False, {"UNIMPLEMENTED"}),
    "401": (HELLO + respond([(b":status", b"401")]), False, {"UNAUTHENTICATED"}),
    "no status": (HELLO + respond(OK_HEADERS, frames.grpc_message(b""), []), False, {"UNKNOWN", "INTERNAL"}),
    "no trailers": (HELLO + respond(OK_HEADERS, frames.grpc_message(b"")), False, {"UNKNOWN", "INTERNAL"}),
    "status is no number": (HELLO + respond(OK_HEADERS + [(b"grpc-status", b"x")]), False, {"UNKNOWN"}),
    "status 99": (HELLO + respond(OK_HEADERS + [(b"grpc-status", b"99")]), False, {"UNKNOWN"}),
    "no message": (HELLO + respond(OK_HEADERS, b"", STATUS_OK), False, {"INTERNAL", "UNIMPLEMENTED", "UNKNOWN"}),
    "two messages": (HELLO + respond(OK_HEADERS, frames.grpc_message(b"") * 2, STATUS_OK), False, {"INTERNAL", "UNIMPLEMENTED"}),
    "half a message": (HELLO + respond(OK_HEADERS, b"\0\0\0\0\x09abc", STATUS_OK), False, {"INTERNAL"}),
    "half a prefix": (HELLO + respond(OK_HEADERS, b"\0\0", STATUS_OK), False, {"INTERNAL"}),
    "length 2^32-1": (HELLO + respond(OK_HEADERS, b"\0\xff\xff\xff\xffabc", STATUS_OK), False, {"RESOURCE_EXHAUSTED"}),
    "compressed": (HELLO + respond(OK_HEADERS, frames.grpc_message(b"", 1), STATUS_OK), False, {"INTERNAL", "UNIMPLEMENTED"}),
    "reset refused": (HELLO + frames.reset(1, frames.REFUSED_STREAM), False, {"UNAVAILABLE"}),
    "reset cancel": (HELLO + frames.reset(1, frames.CANCEL), False, {"CANCELLED"}),
    "reset internal": (HELLO + frames.reset(1, frames.INTERNAL_ERROR), False, {"INTERNAL"}),
    "goaway": (HELLO + frames.frame(frames.GOAWAY, payload=struct.pack("!II", 0, 0)), True, {"UNAVAILABLE"}),
    "headers that do not decode": (HELLO + frames.frame(frames.HEADERS, 5, 1, b"\xff" * 20), False, {"UNAVAILABLE", "INTERNAL"}),
    "silence": (HELLO, False, {"DEADLINE_EXCEEDED"}),
}


def serve_garbage(listener: socket.socket, answer: bytes, closes: bool, done: threading.Event) -> None:
    """One connection after the other, until done."""
    listener.settimeout(0.1)
    held = []
    while not done.is_set():
        try:
            peer, _ = listener.accept()
        except TimeoutError:
            continue
        peer.settimeout(10)
        seen = b""
        while b"/baton.interop.Echo/" not in seen and len(seen) < 100_000:
            data = peer.recv(65536)
            if not data:
                break
            seen += data
            if frames.PREFACE in seen and answer.startswith(HELLO):
                peer.sendall(HELLO)
                answer = answer.removeprefix(HELLO)
            if len(seen) > 150:  # preface, settings, and a request: its headers may be Huffman-coded
                break
        with contextlib.suppress(OSError):  # the client may have had enough
            peer.sendall(answer)
            if closes:
                peer.shutdown(socket.SHUT_WR)
        held.append(peer)
    for peer in held:
        peer.close()


@pytest.mark.parametrize("name", GARBAGE)
def test_interop_client_garbage(name):
    answer, closes, allowed = GARBAGE[name]
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=serve_garbage, args=(listener, answer, closes, done))
        thread.start()
        try:
            report = run_client(address, "--wait", "--timeout", "1000")
        finally:
            done.set()
            thread.join()
    assert sum(report.calls.values()) == 1 and set(report.calls) <= allowed
    # A call that was refused or never left is surely not processed; any other may be.
    assert report.maybe_processed == (name not in {"closes", "http 1", "random", "reset refused", "goaway"})
