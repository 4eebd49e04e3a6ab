"""Clients that go away, 20,000 of each kind: neither resident memory nor live calls grow."""

from __future__ import annotations

import socket
import struct
import time

import echo_pb2 as pb
import frames
from frames import call, grpc_message
from harness import Bystander, EchoServer, wait_until

ECHO = "/baton.interop.Echo/Echo"
STREAM = "/baton.interop.Echo/Stream"
COUNT = 20_000
BATCH = 200
WARM = 2_000
GROWTH_KIB = 4096

OPENING = frames.PREFACE + frames.settings()
WAIT = grpc_message(pb.EchoRequest(delay_ms=600_000, payload=b"p" * 1000).SerializeToString())
FLOW = grpc_message(pb.StreamRequest(count=100, size=1000).SerializeToString())

# How a client leaves: with an RST, so that nothing stays in TIME_WAIT.
AT_ONCE = struct.pack("ii", 1, 0)


def connect(server: EchoServer, data: bytes) -> socket.socket:
    host, port = server.address.split(":")
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    client.connect((host, int(port)))
    client.sendall(data)
    return client


def churn(server, what, batch):
    """Calls batch(i) until COUNT clients have come and gone, and demands that the server is as it was once warm."""
    with Bystander(server):
        begin, warm_kib = time.monotonic(), 0
        for done in range(0, COUNT, BATCH):
            if done == WARM:
                server.wait_idle()
                warm_kib, warm_files = server.rss_kib(), server.open_files()
            batch(done // BATCH)
        server.wait_idle()
        wait_until("the connections are gone", lambda: server.open_files() <= warm_files + BATCH)
        stats, grown = server.stats(), server.rss_kib() - warm_kib
        print(f"{COUNT} clients that {what} in {time.monotonic() - begin:.1f} s: {stats.cancelled} calls cancelled, {stats.live} "
              f"live, resident {warm_kib} KiB when warm, {grown:+d} KiB since")
        assert grown < GROWTH_KIB
        return stats


def test_interop_20000_clients_vanish_mid_call(server):
    request = OPENING + call(1, ECHO, WAIT)

    def vanish(_):
        before = server.stats()
        clients = [connect(server, request) for _ in range(BATCH)]
        wait_until("the calls are there", lambda: server.stats().live == before.live + BATCH)
        for client in clients:
            client.close()
        wait_until("the calls are gone", lambda: server.stats().live <= before.live)

    assert churn(server, "vanish mid-call", vanish).cancelled == COUNT


def test_interop_20000_clients_vanish_mid_request(server):
    """Away at whatever byte they had come to."""
    request = OPENING + call(1, ECHO, WAIT)

    def vanish(number):
        for i in range(BATCH):
            connect(server, request[: (number * BATCH + i) * 7 % len(request)]).close()

    churn(server, "vanish mid-request", vanish)


def test_interop_20000_calls_whose_client_never_reads(server):
    """More asked for than the windows let through, and not a byte of it read: 20 such calls each on a thousand connections."""
    per_connection = 20
    request = OPENING + b"".join(call(i * 2 + 1, STREAM, FLOW) for i in range(per_connection))

    def never_read(_):
        before = server.stats().started
        clients = [connect(server, request) for _ in range(BATCH // per_connection)]
        wait_until("the calls are there", lambda: server.stats().started >= before + BATCH)
        for client in clients:
            client.close()

    churn(server, "never read", never_read)
