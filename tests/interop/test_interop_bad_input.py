"""Input that no well-behaved client sends. For all of it: no crash, no leak (the server's clean exit under the address sanitizer
says so), bounded memory, and a well-behaved client at the same time is not affected."""

from __future__ import annotations

import random
import select
import socket
import struct
import time

import echo_pb2 as pb
import frames
import pytest
from frames import Connection, call, frame, grpc_message, header_block, request_headers
from harness import Bystander, wait_until

ECHO = "/baton.interop.Echo/Echo"
STREAM = "/baton.interop.Echo/Stream"
HELLO = grpc_message(pb.EchoRequest(payload=b"hello").SerializeToString())
MIB = 1024  # in KiB, as /proc counts

OK, INVALID_ARGUMENT, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL = 0, 3, 4, 8, 12, 13


@pytest.fixture(scope="module")
def bystander(shared_server):
    with Bystander(shared_server) as beside:
        yield beside


# --- gRPC ---

GZIP = (b"grpc-encoding", b"gzip")
BAD_CALLS = {
    # path, body with its prefix, more headers, what may come of it
    "empty body": (ECHO, b"", [], {INTERNAL, UNIMPLEMENTED, INVALID_ARGUMENT}),
    "length 2^32-1": (ECHO, b"\0\xff\xff\xff\xffxx", [], {RESOURCE_EXHAUSTED}),
    "one byte too long": (ECHO, struct.pack("!BI", 0, (4 << 20) + 1) + b"xx", [], {RESOURCE_EXHAUSTED}),
    "truncated": (ECHO, b"\0\0\0\0\x10abc", [], {INTERNAL}),
    "half a prefix": (ECHO, b"\0\0", [], {INTERNAL}),
    "two messages": (ECHO, HELLO + HELLO, [], {INTERNAL, UNIMPLEMENTED, INVALID_ARGUMENT}),
    "a message and a half": (ECHO, HELLO + HELLO[:7], [], {INTERNAL, UNIMPLEMENTED, INVALID_ARGUMENT}),
    "compressed without an encoding": (ECHO, grpc_message(b"", 1), [], {INTERNAL}),
    "compressed flag 255": (ECHO, grpc_message(b"", 255), [], {INTERNAL}),
    "compressed, unknown encoding": (ECHO, grpc_message(b"\x1f\x8b", 1), [GZIP], {UNIMPLEMENTED}),
    "unknown encoding": (ECHO, HELLO, [(b"grpc-encoding", b"snappy")], {UNIMPLEMENTED}),
    "identity": (ECHO, HELLO, [(b"grpc-encoding", b"identity")], {OK}),
    "varint of 11 bytes": (ECHO, grpc_message(b"\x10" + b"\xff" * 10 + b"\x01"), [], {INVALID_ARGUMENT}),
    "unknown method": ("/baton.interop.Echo/Nothing", HELLO, [], {UNIMPLEMENTED}),
    "unknown service": ("/nobody/Echo", HELLO, [], {UNIMPLEMENTED}),
    "path without slashes": ("nothing", HELLO, [], {UNIMPLEMENTED, None}),
    "path of one slash": ("/", HELLO, [], {UNIMPLEMENTED}),
    "long path": ("/" + "x" * 8000, HELLO, [], {UNIMPLEMENTED}),
    "negative deadline": (ECHO, HELLO, [(b"grpc-timeout", b"-1S")], {INTERNAL, INVALID_ARGUMENT}),
    "deadline of 9 digits": (ECHO, HELLO, [(b"grpc-timeout", b"123456789S")], {INTERNAL, INVALID_ARGUMENT}),
    "deadline without a unit": (ECHO, HELLO, [(b"grpc-timeout", b"10")], {INTERNAL, INVALID_ARGUMENT}),
    "deadline of an unknown unit": (ECHO, HELLO, [(b"grpc-timeout", b"10Y")], {INTERNAL, INVALID_ARGUMENT}),
    "empty deadline": (ECHO, HELLO, [(b"grpc-timeout", b"")], {INTERNAL, INVALID_ARGUMENT}),
    "huge deadline": (ECHO, HELLO, [(b"grpc-timeout", b"99999999H")], {OK}),
    "deadline of 0": (ECHO, grpc_message(pb.EchoRequest(delay_ms=20000).SerializeToString()), [(b"grpc-timeout", b"0n")],
                      {DEADLINE_EXCEEDED, INTERNAL, INVALID_ARGUMENT}),
    "deadline the server keeps": (ECHO, grpc_message(pb.EchoRequest(delay_ms=20000).SerializeToString()),
                                  [(b"grpc-timeout", b"100m")], {DEADLINE_EXCEEDED}),
    "binary metadata that is no base64": (ECHO, HELLO, [(b"x-bin", b"!!!")], {OK, INTERNAL, INVALID_ARGUMENT}),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_interop_bad_call(shared_server, bystander, name):
    path, body, headers, allowed = BAD_CALLS[name]
    with Connection(shared_server.address) as connection:
        connection.send(call(1, path, body, *headers))
        outcome = connection.outcome()
        print(name, "->", outcome)
        assert outcome.ended
        if outcome.headers.get(":status") == "200":
            assert outcome.status in allowed
        else:
            assert None in allowed or outcome.reset is not None
        if allowed == {UNIMPLEMENTED} and "encoding" in name:
            assert outcome.headers["grpc-accept-encoding"] == "identity"
        # The connection is still good for the next call.
        connection.send(call(3, ECHO, HELLO))
        assert connection.outcome(3).status == OK


def test_interop_bad_call_before_its_end(shared_server, bystander):
    """A length above the limit is refused as soon as it is read, before the call ends."""
    with Connection(shared_server.address) as connection:
        connection.send(call(1, ECHO, b"\0\xff\xff\xff\xff", end=False))
        assert connection.outcome().status == RESOURCE_EXHAUSTED


def test_interop_status_message_is_ascii(shared_server, bystander):
    """Everything but printable ASCII, and the percent sign, must be percent-encoded, even if clients are lenient."""
    request = pb.EchoRequest(status=3, message="100 %\n\u00fc%41")
    with Connection(shared_server.address) as connection:
        connection.send(call(1, ECHO, grpc_message(request.SerializeToString())))
        assert connection.outcome().headers["grpc-message"].upper() == "100 %25%0A%C3%BC%2541"


BAD_REQUESTS = {
    # the header list, and whether HTTP/2 itself forbids it
    "GET": ([(b":method", b"GET"), *request_headers(ECHO)[1:]], False),
    "html": ([header for header in request_headers(ECHO) if header[0] != b"content-type"] + [(b"content-type", b"text/html")],
             False),
    "no content type": ([header for header in request_headers(ECHO) if header[0] != b"content-type"], False),
    "no path": ([header for header in request_headers(ECHO) if header[0] != b":path"], True),
    "two paths": ([(b":path", b"/x"), *request_headers(ECHO)], True),
    "upper case": ([*request_headers(ECHO), (b"Big", b"1")], True),
    "connection header": ([*request_headers(ECHO), (b"connection", b"close")], True),
    "NUL in a value": ([*request_headers(ECHO), (b"x", b"a\0b")], True),
    "20 KiB of headers": ([*request_headers(ECHO), *[(b"x%d" % i, b"y" * 500) for i in range(40)]], False),
    "5000 empty headers": ([*request_headers(ECHO), *[(b"x", b"")] * 2500], False),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_interop_bad_request(shared_server, bystander, name):
    headers, forbidden = BAD_REQUESTS[name]
    block = header_block(headers)
    with Connection(shared_server.address) as connection:
        parts = [block[i:i + 16384] for i in range(0, len(block), 16384)]
        out = frame(frames.HEADERS, frames.END_HEADERS if len(parts) == 1 else 0, 1, parts[0])
        for part in parts[1:]:
            out += frame(frames.CONTINUATION, frames.END_HEADERS if part is parts[-1] else 0, 1, part)
        connection.send(out + frame(frames.DATA, frames.END_STREAM, 1, HELLO))
        outcome = connection.outcome()
        print(name, "->", outcome, "closed" if connection.closed else "")
        assert outcome.ended or connection.closed or connection.goaway is not None
        assert outcome.status != OK
        assert not forbidden or outcome.reset is not None or connection.goaway is not None or outcome.headers


# --- HTTP/2 ---


def opening(*pairs):
    return frames.PREFACE + frames.settings(*pairs)


BAD_OPENINGS = {
    "http/1.1": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls": bytes.fromhex("160301020001000201000303") + b"\0" * 500,
    "preface cut by a byte": frames.PREFACE[:-1] + b"x" + frames.settings(),
    "no settings": frames.PREFACE + frame(frames.PING, payload=b"12345678"),
    "zeros": b"\0" * 5000,
    "frame of 16 MiB": opening() + b"\xff\xff\xff\0\0\0\0\0\1",
    "data on stream 0": opening() + frame(frames.DATA, 0, 0, b"x"),
    "headers on an even stream": opening() + frame(frames.HEADERS, 5, 2, header_block(request_headers(ECHO))),
    "data on an idle stream": opening() + frame(frames.DATA, 1, 5, b"x"),
    "push from a client": opening() + frame(frames.PUSH, 4, 1, b"\0\0\0\2"),
    "settings of 5 bytes": opening() + frame(frames.SETTINGS, payload=b"12345"),
    "initial window of 2^32-1": opening((frames.SETTINGS_INITIAL_WINDOW, 0xFFFFFFFF)),
    "window update of 0": opening() + frames.window_update(0, 0),
    "window beyond 2^31": opening() + frames.window_update(0, 0x7FFFFFFF) * 2,
    "bad header block": opening() + frame(frames.HEADERS, 5, 1, b"\xff" * 50),
    "continuation of nothing": opening() + frame(frames.CONTINUATION, 4, 1, b""),
}


@pytest.mark.parametrize("name", BAD_OPENINGS)
def test_interop_bad_connection_is_closed(shared_server, bystander, name):
    with Connection(shared_server.address, opening=BAD_OPENINGS[name]) as connection:
        assert connection.wait_closed(10)
        print(name, "-> GOAWAY", connection.goaway)


def test_interop_garbage_in_every_place(shared_server, bystander):
    """A valid exchange with changed bytes: in any case the server keeps serving."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    generator = random.Random(seed)
    good = opening() + b"".join(call(i * 2 + 1, ECHO, HELLO) for i in range(4)) + frame(frames.PING, payload=b"12345678")
    for _ in range(400):
        bad = bytearray(good)
        for _ in range(generator.choice([1, 1, 2, 5, 50])):
            bad[generator.randrange(24, len(bad))] = generator.randrange(256)
        with Connection(shared_server.address, opening=bytes(bad[:generator.choice([len(bad), generator.randrange(len(bad))])])):
            pass
    with Connection(shared_server.address) as connection:
        connection.send(call(1, ECHO, HELLO))
        assert connection.outcome().status == OK


def flood(connection, piece, most, reads):
    """Sends the piece until the server closes the connection, or no longer takes it in, at most so many bytes. A flood that also
    reads what is answered fills no queue on the server."""
    connection.socket.settimeout(1)
    sent, give_up = 0, time.monotonic() + 3
    try:
        while sent < most and time.monotonic() < give_up:
            connection.socket.sendall(piece)
            sent += len(piece)
            while reads and select.select([connection.socket], [], [], 0)[0]:
                if not connection.socket.recv(1 << 18):
                    return sent, "closed"
    except TimeoutError:
        return sent, "no longer read"
    except (BrokenPipeError, ConnectionResetError):
        return sent, "closed"
    return sent, "taken in"


FLOODS = {
    # what comes first, what comes without end, and whether the connection must be closed for it
    "continuation": (frame(frames.HEADERS, 0, 1, header_block(request_headers(ECHO))),
                     frame(frames.CONTINUATION, 0, 1, header_block([(b"x", b"y" * 100)] * 100)), True),
    "empty continuation": (frame(frames.HEADERS, 0, 1, header_block(request_headers(ECHO))),
                           frame(frames.CONTINUATION, 0, 1) * 1000, True),
    "settings": (b"", frames.settings((frames.SETTINGS_INITIAL_WINDOW, 65535)) * 1000, True),
    "empty settings": (b"", frames.settings() * 1000, True),
    "ping": (b"", frame(frames.PING, payload=b"12345678") * 1000, True),
    "empty data": (call(1, ECHO, b"", end=False), frame(frames.DATA, 0, 1) * 1000, True),
    "priority": (b"", frame(frames.PRIORITY, 0, 1, b"\0\0\0\0\x10") * 1000, False),
    "window update": (call(1, ECHO, b"", end=False), frames.window_update(1, 1) * 1000, False),
    "unknown frames": (b"", frame(0x42, 0, 0, b"x" * 100) * 100, False),
}


@pytest.mark.parametrize("reads", [False, True], ids=["deaf", "reading"])
@pytest.mark.parametrize("name", FLOODS)
def test_interop_flood(server, name, reads):
    """A flood ends its own connection or costs nothing; it never makes the server grow or slows others down."""
    begin, piece, must_close = FLOODS[name]
    with Bystander(server):
        before = server.rss_kib()
        with Connection(server.address) as connection:
            connection.send(begin)
            sent, end = flood(connection, piece, 24 << 20, reads)
            grown = server.rss_kib() - before
            print(f"{name}: {sent >> 10} KiB sent, {end}; the server grew by {grown} KiB")
            assert grown < 8 * MIB
            assert end == "closed" or not must_close
    server.wait_idle()


def test_interop_streams_beyond_the_limit(server):
    """With a thousand calls open, a client that opens more and does not read their refusals fills no queue."""
    block = header_block(request_headers(ECHO))
    with Bystander(server), Connection(server.address, receive_buffer=4096) as connection:
        before, stream, begin = server.rss_kib(), 1, time.monotonic()
        connection.socket.settimeout(1)
        try:
            while stream < 1_000_000 and time.monotonic() - begin < 5:
                piece = b"".join(frame(frames.HEADERS, frames.END_HEADERS, stream + i * 2, block) for i in range(500))
                connection.socket.sendall(piece)
                stream += 1000
            end = "taken in"
        except (BrokenPipeError, ConnectionResetError):
            end = "closed"
        except TimeoutError:
            end = "no longer read"
        grown = server.rss_kib() - before
        print(f"{stream // 2} calls opened, {end}; the server grew by {grown} KiB")
        assert grown < 16 * MIB
    server.wait_idle()


def test_interop_calls_with_large_headers(server):
    """HPACK makes 16 KiB of headers out of a few bytes: 40,000 calls that are begun with them and then left alone hold no more
    than the cap on all connections."""
    large = b"\x40" + frames._string(b"x") + frames._string(b"y" * 3900)  # to the table, from where it is taken three times more
    again = b"\xbe" * 4
    plain = header_block(request_headers(STREAM))
    held = []
    with Bystander(server):
        before = server.rss_kib()
        for _ in range(40):
            connection = Connection(server.address, receive_buffer=65536)
            first = frame(frames.HEADERS, frames.END_HEADERS, 1, plain + large + again[:3])
            rest = [frame(frames.HEADERS, frames.END_HEADERS, 3 + i * 2, plain + again) for i in range(999)]
            connection.send(first + b"".join(rest))
            held.append(connection)
        time.sleep(1)
        grown, gone = server.rss_kib() - before, sum(connection.wait_closed(0.01) for connection in held)
        print(f"40,000 calls with 16 KiB of headers each: the server grew by {grown} KiB, {gone} connections were closed")
        assert grown < 400 * MIB  # a sanitizer takes a quarter more; uncounted they were 640
        for connection in held:
            connection.vanish()
    server.wait_idle()


def counted_cancelled(server):
    """Calls of Echo that came to the server and were cancelled, by its own count."""
    lines = [line for line in server.stats().metrics.splitlines() if 'method="Echo"' in line and 'status="CANCELLED"' in line]
    return sum(int(float(line.split()[-1])) for line in lines if "_total{" in line)


def test_interop_reset_flood_ends_only_its_own_connection(server):
    """Rapid reset (CVE-2023-44487): open and cancel as fast as bytes go."""
    block = header_block(request_headers(ECHO))
    with Bystander(server), Connection(server.address) as connection:
        before, stream, begin = server.rss_kib(), 1, time.monotonic()
        while not connection.closed and stream < 400_000 and time.monotonic() - begin < 20:
            piece = bytearray()
            for _ in range(500):
                piece += frame(frames.HEADERS, frames.END_HEADERS, stream, block) + frames.reset(stream)
                stream += 2
            connection.send(bytes(piece))
        took, grown = time.monotonic() - begin, server.rss_kib() - before
        taken = counted_cancelled(server)
        print(f"{stream // 2} resets sent in {took:.1f} s, {taken} taken in, then closed: {connection.closed}; the server grew by "
              f"{grown} KiB")
        # The burst, the rate, and what had been read by then.
        assert connection.closed and 10_000 <= taken <= 12_000 + 1000 * (took + 1)
        assert grown < 8 * MIB
    server.wait_idle()


UNREAD = {
    # the window each stream is given, and what the connection gets on top of its 64 KiB
    "zero window": (0, 0),
    "a reader that stopped": (0x7FFFFFFF, 0x7FFF0000),
}


@pytest.mark.parametrize("name", UNREAD)
def test_interop_streams_that_nobody_reads(server, name):
    """A client that reads nothing makes the server hold no more than the limits of a connection and of all together."""
    window, more = UNREAD[name]
    request = grpc_message(pb.StreamRequest(count=1000, size=100_000).SerializeToString())
    connections = []
    with Bystander(server):
        before = server.rss_kib()
        for _ in range(8):
            connection = Connection(server.address, opening((frames.SETTINGS_INITIAL_WINDOW, window)), receive_buffer=65536)
            connection.send(frames.window_update(0, more) if more else b"")
            connection.send(b"".join(call(i * 2 + 1, STREAM, request) for i in range(100)))
            connections.append(connection)
        wait_until("the calls arrive", lambda: server.stats().started >= 800)
        time.sleep(0.5)
        stats, grown = server.stats(), server.rss_kib() - before
        print(f"800 calls for 100 MB each, {name}: {stats.live} live; the server grew by {grown} KiB")
        assert grown < 300 * MIB
        # Those that are still there and read after all go on.
        patient = next(connection for connection in connections if not connection.wait_closed(0.2))
        patient.send(frames.window_update(0, 1 << 20) + frames.window_update(1, 1 << 20) if not window else b"")
        wait_until("bytes come", lambda: patient.read() and any(stream.body for stream in patient.streams.values()), 10)
        for connection in connections:
            connection.vanish()
        server.wait_idle()


def test_interop_connections_beyond_the_limit(server):
    """4,096 connections, most of them silent: one more is refused, and the well-behaved work. Silent ones are closed in time, so
    that idle sockets cannot lock others out."""
    limit = 4096
    held = []
    with Bystander(server):
        files = server.open_files()
        for i in range(limit + 200):
            mute = socket.socket()
            mute.bind((f"127.0.0.{2 + i % 50}", 0))
            mute.settimeout(10)
            mute.connect((server.address.split(":")[0], int(server.address.split(":")[1])))
            if i % 2:
                mute.sendall(opening()[: i % 30])
            held.append(mute)
        most = server.open_files() - files
        print(f"{len(held)} connections made, {most} held by the server")
        assert most <= limit + 8
        wait_until("mute connections are sent away", lambda: server.open_files() - files < limit // 2, 30)
    with Connection(server.address) as connection:
        connection.send(call(1, ECHO, HELLO))
        assert connection.outcome().status == OK
    for mute in held:
        mute.close()


def test_interop_idle_connections_cost_little(server):
    """Connections that have said hello and nothing since may stay: they are clients."""
    server.stats()
    before, held = server.rss_kib(), []
    with Bystander(server):
        for i in range(1000):
            idle = Connection(server.address)
            held.append(idle)
        wait_until("they are there", lambda: server.open_files() >= 1000)
        grown = server.rss_kib() - before
        print(f"1000 idle connections: {grown} KiB")
        assert grown < 64 * MIB
        for idle in held:
            idle.send(call(1, ECHO, HELLO))
        assert all(idle.outcome().status == OK for idle in held)
        for idle in held:
            idle.vanish()
