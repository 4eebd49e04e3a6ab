"""grpcio as client, our server."""

import concurrent.futures
import threading
import time

import echo_pb2 as pb
import grpc
import health_pb2
import health_pb2_grpc
import pytest
from harness import OWN_CONNECTION, EchoServer, wait_until


@pytest.fixture
def echo(shared_server):
    return shared_server.echo


SIZES = [0, 1, 5, 255, 16383, 16384, 16385, 65535, 65536, 100_000, 1 << 20]


@pytest.mark.parametrize("size", SIZES)
def test_interop_unary_sizes(echo, size):
    payload = bytes(i * 31 & 0xFF for i in range(1024)) * (size // 1024 + 1)
    assert echo.Echo(pb.EchoRequest(payload=payload[:size]), timeout=20).payload == payload[:size]


def test_interop_unary_3000_at_once(server):
    """More than a connection's 1,000 streams: the client must be told, and queue the rest."""
    futures = [server.echo.Echo.future(pb.EchoRequest(payload=b"%d" % i), timeout=60) for i in range(3000)]
    answers = [future.result().payload for future in futures]
    assert answers == [b"%d" % i for i in range(3000)]
    stats = server.stats()
    print(f"3000 at once: {stats.started} started, {stats.ok} OK")
    assert (stats.started, stats.ok, stats.failed, stats.cancelled, stats.live) == (3000, 3000, 0, 0, 0)


def test_interop_unary_3000_waiting_at_once(server):
    """The same over three connections, all of them under way at the same time."""
    channels = [grpc.insecure_channel(server.address, options=OWN_CONNECTION) for _ in range(3)]
    with concurrent.futures.ThreadPoolExecutor(3):
        from echo_pb2_grpc import EchoStub

        stubs = [EchoStub(channel) for channel in channels]
        request = pb.EchoRequest(payload=b"together", delay_ms=1500)
        futures = [stubs[i % 3].Echo.future(request, timeout=60) for i in range(3000)]
        most = 0
        while not all(future.done() for future in futures):
            most = max(most, server.stats().live)
            time.sleep(0.02)
        assert all(future.result().payload == b"together" for future in futures)
    for channel in channels:
        channel.close()
    print(f"{most} calls under way at once")
    assert most > 2000


def test_interop_large_messages(echo):
    payload = b"x" * (4 * 1024 * 1024 - 64)
    assert echo.Echo(pb.EchoRequest(payload=payload), timeout=20).payload == payload
    with pytest.raises(grpc.RpcError) as refused:
        echo.Echo(pb.EchoRequest(payload=b"x" * (4 * 1024 * 1024 + 1)), timeout=20)
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK], ids=lambda c: c.name)
def test_interop_status_codes(echo, code):
    message = f"{code.name}: 100 % (not 100%41) of \u00fcml\u00e4uts, tabs\t and\nlines \U0001f44d"
    trailers = [pb.Trailer(key="baton-reason", value=b"because"), pb.Trailer(key="baton-other", value=b"1")]
    with pytest.raises(grpc.RpcError) as failed:
        echo.Echo(pb.EchoRequest(status=code.value[0], message=message, trailers=trailers), timeout=20)
    assert failed.value.code() == code
    assert failed.value.details() == message
    assert {("baton-reason", "because"), ("baton-other", "1")} <= set(failed.value.trailing_metadata())


def test_interop_metadata(echo):
    request = pb.EchoRequest(metadata_key="client-colour")
    assert echo.Echo(request, metadata=[("client-colour", "blue")], timeout=20).payload == b"blue"
    assert echo.Echo(request, timeout=20).payload == b""
    _, call = echo.Echo.with_call(pb.EchoRequest(trailers=[pb.Trailer(key="t", value=b"v")]), timeout=20)
    assert ("t", "v") in call.trailing_metadata()


def test_interop_unknown_method(shared_server):
    for path in ["/baton.interop.Echo/Nothing", "/baton.interop.Nobody/Echo", "/nothing", "/", "/a/b/c"]:
        call = shared_server.channel.unary_unary(path)
        with pytest.raises(grpc.RpcError) as failed:
            call(b"", timeout=20)
        print(path, failed.value.code(), failed.value.details())
        assert failed.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_interop_undecodable_message(shared_server):
    for garbage in [b"\xff" * 11, b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x05ab"]:
        with pytest.raises(grpc.RpcError) as failed:
            shared_server.channel.unary_unary("/baton.interop.Echo/Echo")(garbage, timeout=20)
        assert failed.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_interop_deadline(server):
    begin = time.monotonic()
    with pytest.raises(grpc.RpcError) as failed:
        server.echo.Echo(pb.EchoRequest(delay_ms=60_000), timeout=0.2)
    assert failed.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - begin < 5
    server.wait_idle()
    assert server.stats().cancelled == 1


def test_interop_cancel(server):
    future = server.echo.Echo.future(pb.EchoRequest(delay_ms=60_000))
    wait_until("the call arrives", lambda: server.stats().live == 1)
    assert future.cancel()
    server.wait_idle()
    stream = server.echo.Stream(pb.StreamRequest(count=1_000_000, size=1000))
    next(stream)
    stream.cancel()
    server.wait_idle()
    assert server.stats().cancelled == 2


def test_interop_1000_cancels(server):
    """A client that cancels a thousand calls at once is not taken for an attacker."""
    for _ in range(3):
        futures = [server.echo.Echo.future(pb.EchoRequest(delay_ms=60_000)) for _ in range(900)]
        wait_until("the calls arrive", lambda: server.stats().live == 900)
        for future in futures:
            future.cancel()
        server.wait_idle()
    assert server.stats().cancelled == 2700


def test_interop_server_streaming(echo):
    for count, size in [(0, 0), (1, 0), (1, 1 << 20), (10_000, 100), (200, 100_000)]:
        begin = time.monotonic()
        sizes = [len(answer.payload) for answer in echo.Stream(pb.StreamRequest(count=count, size=size), timeout=60)]
        assert sizes == [size] * count
        print(f"{count} messages of {size} bytes in {(time.monotonic() - begin) * 1000:.0f} ms")


def test_interop_stream_ends_with_a_status(echo):
    stream = echo.Stream(pb.StreamRequest(count=3, size=10, status=grpc.StatusCode.DATA_LOSS.value[0]), timeout=20)
    got = []
    with pytest.raises(grpc.RpcError) as failed:
        for answer in stream:
            got.append(len(answer.payload))
    assert (got, failed.value.code()) == ([10, 10, 10], grpc.StatusCode.DATA_LOSS)


def test_interop_slow_reader_gets_everything(echo):
    stream = echo.Stream(pb.StreamRequest(count=300, size=50_000), timeout=60)
    total = 0
    for i, answer in enumerate(stream):
        total += len(answer.payload)
        if i % 50 == 0:
            time.sleep(0.05)
    assert total == 15_000_000


def test_interop_bidirectional(echo):
    words = [b"word %d " % i * (i % 50) for i in range(2000)]
    answers = echo.Chat((pb.EchoRequest(payload=word) for word in words), timeout=60)
    assert [answer.payload for answer in answers] == words
    assert list(echo.Chat(iter([]), timeout=20)) == []

    # One answer before the next question: nothing is held back.
    turn = threading.Semaphore(1)

    def in_turn():
        for i in range(100):
            turn.acquire()
            yield pb.EchoRequest(payload=b"%d" % i)

    for i, answer in enumerate(echo.Chat(in_turn(), timeout=20)):
        assert answer.payload == b"%d" % i
        turn.release()


def test_interop_bidirectional_ended_by_the_server(echo):
    questions = [pb.EchoRequest(payload=b"a"), pb.EchoRequest(status=grpc.StatusCode.ABORTED.value[0], message="enough")]
    answers = echo.Chat(iter(questions), timeout=20)
    assert next(answers).payload == b"a"
    with pytest.raises(grpc.RpcError) as failed:
        next(answers)
    assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.ABORTED, "enough")


def test_interop_health(server):
    health = health_pb2_grpc.HealthStub(server.channel)
    serving = health_pb2.HealthCheckResponse
    for name in ["", "baton.interop.Echo"]:
        assert health.Check(health_pb2.HealthCheckRequest(service=name), timeout=20).status == serving.SERVING
    with pytest.raises(grpc.RpcError) as failed:
        health.Check(health_pb2.HealthCheckRequest(service="nobody"), timeout=20)
    assert failed.value.code() == grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.RpcError) as failed:
        health.Check(health_pb2.HealthCheckRequest(service="n" * 300), timeout=20)
    assert failed.value.code() == grpc.StatusCode.INVALID_ARGUMENT

    unknown = health.Watch(health_pb2.HealthCheckRequest(service="nobody"))
    assert next(unknown).status == serving.SERVICE_UNKNOWN
    unknown.cancel()

    # A watcher learns that the server drains, and does not keep it from ending.
    watch = health.Watch(health_pb2.HealthCheckRequest(service=""))
    assert next(watch).status == serving.SERVING
    begin = time.monotonic()
    server.terminate()
    assert next(watch).status == serving.NOT_SERVING
    with pytest.raises(grpc.RpcError) as failed:
        next(watch)
    assert failed.value.code() == grpc.StatusCode.UNAVAILABLE
    assert server.process.wait(10) == 0
    assert time.monotonic() - begin < 1.5


def test_interop_goodbye_lets_calls_finish():
    """Two-step GOAWAY: running calls finish, and the client makes a new connection for the next."""
    with EchoServer() as first:
        futures = [first.echo.Echo.future(pb.EchoRequest(payload=b"late", delay_ms=500)) for _ in range(100)]
        wait_until("the calls arrive", lambda: first.stats().live == 100)
        first.terminate()
        assert [future.result(timeout=20).payload for future in futures] == [b"late"] * 100
