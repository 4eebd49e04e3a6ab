"""Floods: what a client does that has bad intentions and time. A node's memory stays bounded, a client beside it is served, and the
figures are told; SECURITY.md has them in a table."""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
import select
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any

import frames
import grpc
import pytest
from frames import frame, grpc_message, header_block
from nodes import DEADLINE, ROOT, Bystander, Node, Variant, split, wait_until
from pieces import path_of, proto, request_headers

MIB = 1024  # in KiB, as /proc counts
CONNECTIONS_MAX, HTTP_MAX = 4096, 128
STATUS, GET = (header_block(request_headers(f"ControlService/{name}")) for name in ("Status", "Get"))
FIGURES = ROOT / "build/test/badinput-floods.jsonl"

floods = pytest.mark.parametrize("variant", ["release-plain", "release-tls", "asan-plain"], indirect=True)


@pytest.fixture
def node(variant: Variant, tmp_path: pathlib.Path) -> Iterator[Node]:
    """A node of the test's own, so that its memory is that of this flood."""
    with Node(tmp_path, variant) as made:
        made.wait_leads()
        made.check_serves()
        yield made


@contextlib.contextmanager
def measured(node: Node, what: str, most_mib: int) -> Iterator[dict[str, Any]]:
    """A client beside it must be served, and memory must grow by no more; the figures are printed, and kept for the table."""
    figures: dict[str, Any] = {}
    before = node.rss_kib()
    with Bystander(node) as beside:
        yield figures
        grown = node.rss_kib("VmHWM") - before
    build, transport = node.variant.build, "plain" if node.variant.certs is None else "tls"
    figures.update(flood=what, build=build, transport=transport, before_mib=round(before / MIB, 1), grown_mib=round(grown / MIB, 1),
                   calls_beside=beside.calls, retries=beside.retried, slowest_ms=round(beside.slowest * 1000))  # fmt: skip
    print(figures)
    FIGURES.parent.mkdir(parents=True, exist_ok=True)
    with FIGURES.open("a") as file:
        file.write(json.dumps(figures) + "\n")
    allowed = most_mib * MIB * (2 if node.variant.slow else 1)  # a sanitizer's own
    assert grown < allowed, f"{what}: grown by {grown} KiB"


def readable(opened: socket.socket) -> bool:
    poll = select.poll()  # select() takes no descriptor above 1023
    poll.register(opened, select.POLLIN)
    return bool(poll.poll(0))


def pour(connection: frames.Connection, piece: bytes, most: int, reads: bool) -> tuple[int, str]:
    """Sends a piece again and again until the node closes the connection, or takes no more of it in; at most so many bytes."""
    connection.socket.settimeout(1)
    sent, give_up = 0, time.monotonic() + 3
    try:
        while sent < most and time.monotonic() < give_up:
            connection.socket.sendall(piece)
            sent += len(piece)
            while reads and readable(connection.socket):
                if not connection.socket.recv(1 << 18):
                    return sent, "closed"
    except TimeoutError:
        return sent, "no longer read"
    except (ConnectionError, ssl.SSLError):
        return sent, "closed"
    return sent, "taken in"


OPEN = frame(frames.HEADERS, 0, 1, STATUS)  # a header block that goes on
FLOODS = {
    # E18
    "CONTINUATION": (OPEN, frame(frames.CONTINUATION, 0, 1, header_block([(b"x", b"y" * 100)] * 100)), True),
    "empty CONTINUATION": (OPEN, frame(frames.CONTINUATION, 0, 1) * 1000, True),
    # E19
    "SETTINGS": (b"", frames.settings((frames.SETTINGS_INITIAL_WINDOW, 65535)) * 1000, True),
    "PING": (b"", frame(frames.PING, payload=b"12345678") * 1000, True),
    "empty DATA": (frame(frames.HEADERS, frames.END_HEADERS, 1, GET), frame(frames.DATA, 0, 1) * 1000, True),
    "PRIORITY": (b"", frame(frames.PRIORITY, 0, 1, b"\0\0\0\0\x10") * 1000, False),
    "WINDOW_UPDATE": (frame(frames.HEADERS, frames.END_HEADERS, 1, GET), frames.window_update(1, 1) * 1000, False),
    "unknown frames": (b"", frame(0x42, 0, 0, b"x" * 100) * 100, False),
}


# E18
# E19
@floods
@pytest.mark.parametrize("reads", [False, True], ids=["deaf", "reading"])
@pytest.mark.parametrize("name", FLOODS)
def test_badinput_flood_frames(node: Node, name: str, reads: bool) -> None:
    """One connection that sends one kind of frame as fast as it can: it is closed, or costs nothing."""
    begin, piece, must_close = FLOODS[name]
    with measured(node, f"{name}, {'reading' if reads else 'deaf'}", 8) as figures, node.connect() as connection:
        connection.send(begin)
        sent, end = pour(connection, piece, 24 << 20, reads)
        figures.update(sent_mib=round(sent / (1 << 20), 1), end=end)
        assert end == "closed" or not must_close


@floods
def test_badinput_flood_rapid_reset(node: Node) -> None:
    """E17 (CVE-2023-44487): calls that are begun and cancelled as fast as bytes go."""
    with measured(node, "rapid reset", 8) as figures, node.connect() as connection:
        stream, begin = 1, time.monotonic()
        while not connection.closed and stream < 400_000 and time.monotonic() - begin < 20:
            piece = bytearray()
            for _ in range(500):
                piece += frame(frames.HEADERS, frames.END_HEADERS, stream, STATUS) + frames.reset(stream)
                stream += 2
            connection.send(bytes(piece))
        figures.update(sent=stream // 2, end="closed" if connection.closed else "taken in")
        assert connection.closed


@floods
def test_badinput_flood_resets_that_are_provoked(node: Node) -> None:
    """Calls that make the node reset them (CVE-2025-8671): DATA after their end, as fast as bytes go."""
    with measured(node, "provoked resets", 8) as figures, node.connect() as connection:
        stream, begin = 1, time.monotonic()
        while not connection.closed and stream < 400_000 and time.monotonic() - begin < 20:
            piece = bytearray()
            for _ in range(500):
                piece += frame(frames.HEADERS, frames.END_HEADERS, stream, GET) + frames.window_update(stream, 0)
                stream += 2
            connection.send(bytes(piece))
        figures.update(sent=stream // 2, end="closed" if connection.closed else "taken in")
        assert connection.closed


@floods
def test_badinput_flood_header_bombs(node: Node) -> None:
    """HPACK makes 16 KiB of headers out of a few bytes: of 40 connections, each with 1,000 calls that are begun with them and left
    alone."""
    large = b"\x40" + frames._string(b"x") + frames._string(b"y" * 3900)  # to the table, from where it is taken three times more
    again, held = b"\xbe" * 4, []
    with measured(node, "header bombs", 300) as figures:
        for _ in range(40):
            connection = node.connect(receive_buffer=65536)
            first = frame(frames.HEADERS, frames.END_HEADERS, 1, GET + large + again[:3])
            rest = [frame(frames.HEADERS, frames.END_HEADERS, 3 + i * 2, GET + again) for i in range(999)]
            connection.send(first + b"".join(rest))
            held.append(connection)
        for each in held:
            wait_until("they are taken in", lambda: answers_ping(each))
        figures.update(sent=f"{len(held)} x 1000 calls, {sum(each.wait_closed(0.01) for each in held)} connections closed")
    for connection in held:
        connection.vanish()


@floods
def test_badinput_flood_zero_window(node: Node) -> None:
    """E20: answers of 1 MB that 8 connections ask for a hundred times each, and whose window is never opened."""
    node.call("ControlService/Put", [[1, "large"], [2, {"repeat": "x", "times": 1_000_000}]])
    request, held = grpc_message(proto([[1, "large"]])), []
    with measured(node, "zero window", 340) as figures:
        for _ in range(8):
            connection = node.connect(frames.PREFACE + frames.settings((frames.SETTINGS_INITIAL_WINDOW, 0)))
            connection.send(b"".join(frames.call(i * 2 + 1, path_of("ControlService/Get"), request) for i in range(100)))
            held.append(connection)
        for each in held:  # a PING is answered behind the calls
            wait_until("the calls are answered", lambda: answers_ping(each))
        figures.update(sent=f"800 calls for 1 MB each, {sum(each.wait_closed(0.01) for each in held)} connections closed")
    for connection in held:
        connection.vanish()


def answers_ping(connection: frames.Connection) -> bool:
    """Whether the node has taken in all that was sent, or closed the connection."""
    connection.send(frame(frames.PING, payload=b"so far?!"))
    before = connection.pongs
    while connection.pongs == before and connection.read():
        pass
    return connection.pongs > before or connection.closed


def slowly(stack: contextlib.ExitStack, address: str, count: int, first: bytes) -> list[socket.socket]:
    """So many connections, each of which has sent the beginning of something."""
    opened = []
    for number in range(count):
        each = stack.enter_context(socket.socket())
        each.bind((f"127.0.0.{2 + number % 50}", 0))
        each.settimeout(DEADLINE)
        each.connect(split(address))
        with contextlib.suppress(OSError):
            each.send(first[: number % len(first)])
        opened.append(each)
    return opened


def trickle(sockets: list[socket.socket]) -> None:
    """One byte more on each that is still open."""
    for each in sockets:
        with contextlib.suppress(OSError):
            each.send(b"x", socket.MSG_DONTWAIT)


def is_closed(opened: socket.socket) -> bool:
    opened.setblocking(False)
    try:
        return opened.recv(4096) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


@floods
def test_badinput_flood_slow_connections(node: Node) -> None:
    """E22, E23: 10,000 connections that never say what they want, and 128 to the pages that send their headers byte by byte. The
    node holds as many as it may, serves who was there, takes who comes later, and has sent the slow ones away after ten seconds."""
    first = frames.PREFACE if node.variant.certs is None else b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40)
    files, begin = node.open_files(), time.monotonic()
    with contextlib.ExitStack() as stack, measured(node, "10,000 slow connections", 400) as figures:
        pages = slowly(stack, node.http, HTTP_MAX, b"GET /livez HTTP/1.1\r\nX: ")
        slowly(stack, node.address, 10_000, first)
        held = node.open_files() - files
        figures.update(sent=f"10,000 connections in {time.monotonic() - begin:.1f} s", held=held)
        assert held <= CONNECTIONS_MAX + HTTP_MAX + 16
        with node.open_channel() as later:
            node.call("ControlService/Status", channel=later)

        def all_gone() -> bool:
            trickle(pages)
            return node.open_files() - files < 32

        wait_until("slow connections are sent away", all_gone, 2 * DEADLINE)
        took = time.monotonic() - begin
        figures.update(end=f"all sent away after {took:.1f} s")
        assert all(map(is_closed, pages))
        assert node.page("/livez")[0] == 200


def count_ends(opened: socket.socket, wanted: int) -> None:
    """Reads until so many streams have ended; their contents do not matter."""
    pending, ended = b"", 0
    while ended < wanted:
        more = opened.recv(1 << 18)
        assert more, "the node has closed the connection"
        pending, at = pending + more, 0
        while len(pending) - at >= 9:
            length = int.from_bytes(pending[at : at + 3], "big")
            if len(pending) - at < 9 + length:
                break
            ended += pending[at + 3] == frames.HEADERS and bool(pending[at + 4] & frames.END_STREAM)
            at += 9 + length
        pending = pending[at:]


@pytest.mark.parametrize("variant", ["release-plain"], indirect=True)
def test_badinput_flood_workers(node: Node) -> None:
    """E16: 100,000 workers are online, so there is no room for one more; on a slow machine the first are offline by then, and make
    room. There are never more."""
    limit, block = 100_000, header_block(request_headers("WorkerService/RegisterWorker"))
    with measured(node, "100,000 workers", 200) as figures, node.connect() as connection:
        connection.read()
        connection.socket.settimeout(20)
        connection.send(frames.window_update(0, 1 << 30))
        begin = time.monotonic()
        for start in range(0, limit, 500):
            piece = bytearray()
            for number in range(start, start + 500):
                body = grpc_message(proto([[1, f"w{number}"], [2, "i"], [3, "h:1"], [4, "gcp"]]))
                stream = 3 + number * 2
                piece += frame(frames.HEADERS, frames.END_HEADERS, stream, block) + frame(frames.DATA, frames.END_STREAM, stream, body)
            connection.send(bytes(piece))
            count_ends(connection.socket, 500)
        figures.update(sent=f"100,000 registrations in {time.monotonic() - begin:.1f} s")
        try:
            node.call("WorkerService/RegisterWorker", [[1, "one-more"], [2, "i"], [3, "h:1"], [4, "gcp"]])
            assert time.monotonic() - begin > 15, "there was room, and yet all were online"
        except grpc.RpcError as refused:
            assert refused.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "full of online workers" in refused.details()
        registered = re.findall(r"^baton_workers\{.*\} (\S+)$", node.page("/metrics")[1], re.MULTILINE)
        assert sum(map(float, registered)) == limit
