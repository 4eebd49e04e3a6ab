"""batonctl and the worker against servers that mean ill: they end in time, or go on to a node that does not, take no memory, trust no
stranger, and what they print is one line without control characters."""

from __future__ import annotations

import contextlib
import pathlib
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator

import frames
import pytest
from frames import END_HEADERS, END_STREAM, frame, grpc_message, header_block
from hostile import HEADERS_OK, Hostile, redirect_to, redirect_worker, refusal, response
from nodes import DEADLINE, REPORT, ROOT, VARIANTS, Node, Variant, ended_within, environment, tls_files, wait_until
from pieces import octets, proto

MEMORY_KIB = 256 * 1024  # of a batonctl, whatever it is told; that of pytest, which becomes it, counts, too
UGLY = "%1b[2J%1b]0;gone%07%0d%0a%00%c2%9b31m<b>%f0%9f%92%a3%ff"  # clears a terminal, names its window, and worse

OK = (b"grpc-status", b"0")
BIG = frame(frames.DATA, 0, 1, b"\0" * 16384)

# For each: what is sent at once, and for each call.
SERVERS = {
    "garbage": (bytes(range(256)) * 64, lambda stream: b"\xff" * 5000),
    "half-open": (b"", lambda stream: b""),
    "settings and silence": (frames.settings(), lambda stream: b""),
    "closed at once": (frames.settings(), lambda stream: None),
    "HTTP/1.1": (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", lambda stream: b""),
    "frame of 16 MiB": (frames.settings() + b"\xff\xff\xff\0\0\0\0\0\1", lambda stream: b"x" * 100_000),
    "goaway": (frames.settings() + frame(frames.GOAWAY, payload=b"\0\0\0\0\0\0\0\0"), lambda stream: b""),
    "promise": (frames.settings(), lambda stream: frame(frames.PUSH, END_HEADERS, stream, b"\0\0\0\2" + HEADERS_OK)),
    "headers of garbage": (frames.settings(), lambda stream: frame(frames.HEADERS, 5, stream, b"\xff" * 99)),
    "endless headers": (frames.settings(), lambda stream: frame(frames.HEADERS, 0, stream, HEADERS_OK)
                        + frame(frames.CONTINUATION, 0, stream, header_block([(b"x", b"y" * 4000)] * 4)) * 500),
    "page": (frames.settings(), lambda stream: frame(frames.HEADERS, END_HEADERS, stream, header_block(
        [(b":status", b"500"), (b"content-type", b"text/html")])) + frame(frames.DATA, END_STREAM, stream, b"<h1>no</h1>")),
    "no status": (frames.settings(), lambda stream: response(stream, grpc_message(b""))),
    "status of letters": (frames.settings(), lambda stream: refusal(stream, b"abc", b"x")),
    "status of 99": (frames.settings(), lambda stream: refusal(stream, b"99", b"x")),
    "status of 20 digits": (frames.settings(), lambda stream: refusal(stream, b"18446744073709551616", b"x")),
    "message that ends badly": (frames.settings(), lambda stream: refusal(stream, b"13", b"100 %4")),
    "message for terminals": (frames.settings(), lambda stream: refusal(stream, b"13", UGLY.encode())),
    "message of 12 KiB": (frames.settings(), lambda stream: refusal(stream, b"13", b"z" * 12_000)),
    "length of 2^32-1": (frames.settings(), lambda stream: response(stream, b"\0\xff\xff\xff\xff", OK)),
    "compressed": (frames.settings(), lambda stream: response(stream, grpc_message(b"x", 1), OK)),
    "two messages": (frames.settings(), lambda stream: response(stream, grpc_message(b"") * 2, OK)),
    "protobuf of garbage": (frames.settings(), lambda stream: response(stream, grpc_message(b"\xff" * 50), OK)),
    "trailers first": (frames.settings(), lambda stream: frame(frames.DATA, END_STREAM, stream, b"x")),
    "unasked streams": (frames.settings(), lambda stream: response(stream + 100, grpc_message(b""), OK)),
    "resets": (frames.settings(), lambda stream: frames.reset(stream, 7)),
    "ping flood": (frames.settings() + frame(frames.PING, payload=b"12345678") * 20_000, lambda stream: b""),
    "settings flood": (frames.settings() * 20_000, lambda stream: b""),
    "redirect to no address": (frames.settings(), redirect_to(lambda: "a b\n:1")),
    "redirect to port 70000": (frames.settings(), redirect_to(lambda: "127.0.0.1:70000")),
    "redirect to everybody": (frames.settings(), redirect_to(lambda: "0.0.0.0:1")),
    "endless member list": (frames.settings(), lambda stream: response(stream, b"".join(
        [grpc_message(proto([[12, [[1, "n"], [2, "127.0.0.1:1"]]]] * 20_000))]), OK)),
}  # fmt: skip

plain = pytest.mark.parametrize("variant", [name for name in VARIANTS if name.endswith("plain")], indirect=True)


def run_ctl(variant: Variant, endpoints: str, *words: str, certs: pathlib.Path | None = None) -> tuple[int, str, str]:
    """Exit status, and what it prints; it must end within its time and a moment, in its memory, and say little."""
    files = [] if certs is None else tls_files(certs, "me")
    began = time.monotonic()
    with subprocess.Popen([variant.program("batonctl"), "--endpoints", endpoints, "--timeout", "1s", *files, *words],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as process:  # fmt: skip
        ended = ended_within(process, DEADLINE)
        out, err = (stream.read().decode(errors="replace") for stream in (process.stdout, process.stderr))  # type: ignore[union-attr]
    took = time.monotonic() - began
    print(ended, f"{took:.1f} s", out[:300], err[:600])
    assert not re.search(REPORT, err), err
    assert took < 1 + 5  # and what a busy machine takes to start a program
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", out + err), "control characters reach the terminal"
    if variant.build == "release":
        assert ended.rss_kib < MEMORY_KIB
    return ended.status, out, err


@plain
@pytest.mark.parametrize("name", SERVERS)
def test_badinput_batonctl_alone_with(variant: Variant, name: str) -> None:
    opening, answer = SERVERS[name]
    with Hostile(opening, answer) as server:
        status, out, err = run_ctl(variant, server.address, "get", "key")
    if name == "redirect to everybody":
        assert status in (1, 3)
    assert status in (1, 3, 5) or (status == 0 and name == "endless member list")
    assert status == 0 or (err.startswith("batonctl: ") and err.count("\n") == 1)


@plain
@pytest.mark.parametrize("name", ["garbage", "half-open", "closed at once", "HTTP/1.1", "frame of 16 MiB", "goaway", "promise",
                                  "headers of garbage", "resets", "redirect to no address"])  # fmt: skip
def test_badinput_batonctl_goes_on(variant: Variant, lone: Node, name: str) -> None:
    """A node that is well comes second in the list: it is found, unless the first one has answered."""
    opening, answer = SERVERS[name]
    with Hostile(opening, answer) as server:
        done = subprocess.run([variant.program("batonctl"), "--endpoints", f"{server.address},{lone.address}", "--timeout", "8s", "list"],
                              capture_output=True, timeout=DEADLINE, env=environment())  # fmt: skip
    print(done)
    assert done.returncode == (1 if name in ("redirect to no address",) else 0) or (name == "headers of garbage" and done.returncode == 1)


@plain
def test_badinput_batonctl_endless_redirects(variant: Variant) -> None:
    """Two that name each other for ever: it ends in time, without hammering them."""
    with contextlib.ExitStack() as stack:
        servers: list[Hostile] = []
        for number in range(2):
            servers.append(stack.enter_context(Hostile(answer=redirect_to(lambda other=1 - number: servers[other].address))))
        status, _, err = run_ctl(variant, servers[0].address, "get", "key")
        calls = sum(server.calls for server in servers)
    assert status == 1 and "not done within" in err
    assert 2 <= calls < 100, f"{calls} calls in a second"


@plain
def test_badinput_batonctl_unread_stream(variant: Variant) -> None:
    """A watch whose events are garbage ends, and one that floods is read at the pace of who reads its output."""
    with Hostile(answer=lambda stream: response(stream, grpc_message(b"\xff\xff"), OK)) as server:
        status, _, err = run_ctl(variant, server.address, "watch", "key")
    assert status in (1, 3) and err


# --- strangers ---


def server_context(certs: pathlib.Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{certs}/{name}.pem", f"{certs}/{name}-key.pem")
    context.load_verify_locations(f"{certs}/ca.pem")
    context.set_alpn_protocols(["h2"])
    return context


@pytest.fixture(params=["foreign authority", "operator", "worker"])
def stranger(request: pytest.FixtureRequest, certs: pathlib.Path) -> ssl.SSLContext:
    """What who waits at the address shows: a node's certificate by somebody else's authority, or ours for no node."""
    if request.param == "foreign authority":
        return server_context(certs / "foreign", "n2")
    return server_context(certs, "me" if request.param == "operator" else "w1")


tls = pytest.mark.parametrize("variant", [name for name in VARIANTS if name.endswith("tls")], indirect=True)


@tls
def test_badinput_batonctl_redirected_to_a_stranger(variant: Variant, certs: pathlib.Path, stranger: ssl.SSLContext) -> None:
    """A node whose certificate is good (it was stolen) names a stranger as the leader: he is not told anything."""
    answer = lambda stream: response(stream, grpc_message(b""), OK)  # noqa: E731
    with Hostile(answer=answer, context=stranger) as leader, \
         Hostile(answer=redirect_to(lambda: leader.address), context=server_context(certs, "n2")) as node:  # fmt: skip
        status, _, err = run_ctl(variant, node.address, "put", "secret", "value", certs=certs)
        assert node.calls > 0
    assert status != 0 and leader.calls == 0, err


@contextlib.contextmanager
def worker(endpoints: str, directory: pathlib.Path, *files: str) -> Iterator[pathlib.Path]:
    """A worker's process, which must leave in order; its log."""
    log = directory / "worker.log"
    command = [sys.executable, "-m", "baton_worker", "--id", "w1", "--address", "h:1", "--cloud", "gcp", "--endpoints", endpoints]
    with log.open("w") as out:
        process = subprocess.Popen([*command, "--log-level", "debug", *files], stderr=out, stdin=subprocess.DEVNULL,
                                   env={**environment(), "PYTHONPATH": str(ROOT / "worker")})  # fmt: skip
    try:
        yield log
        assert process.poll() is None, log.read_text()
        peak = int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{process.pid}/status").read_text())[1])  # type: ignore[index]
        assert peak < 200 * 1024
    finally:
        process.terminate()
        process.wait(DEADLINE)
    assert process.returncode == 0, log.read_text()
    assert "Traceback" not in log.read_text()


# Not "no status": it ends any process that calls with Debian 12's grpcio 1.51, whose library stops at an assertion of its own.
WORKER_SERVERS = ["garbage", "half-open", "closed at once", "frame of 16 MiB", "goaway", "headers of garbage", "page",
                  "status of letters", "message for terminals", "length of 2^32-1", "protobuf of garbage", "resets", "ping flood"]  # fmt: skip


@pytest.mark.parametrize("variant", ["release-plain"], indirect=True)
@pytest.mark.parametrize("name", WORKER_SERVERS)
def test_badinput_worker_goes_on(variant: Variant, lone: Node, tmp_path: pathlib.Path, name: str) -> None:
    """Of two endpoints one is hostile: the worker is online by the other."""
    opening, answer = SERVERS[name]
    with Hostile(opening, answer) as server, worker(f"{server.address},{lone.address}", tmp_path) as log:
        wait_until("w1 is registered", lambda: 'msg="registered"' in log.read_text())
    said = log.read_text()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", said), said


@pytest.mark.parametrize("variant", ["release-plain"], indirect=True)
def test_badinput_worker_endless_redirects(variant: Variant, lone: Node, tmp_path: pathlib.Path) -> None:
    """Two that name each other for ever, and a node behind: it is found, and they are not hammered."""
    with contextlib.ExitStack() as stack:
        servers: list[Hostile] = []
        for number in range(2):
            servers.append(stack.enter_context(Hostile(answer=redirect_worker(lambda other=1 - number: servers[other].address))))
        with worker(f"{servers[0].address},{lone.address}", tmp_path) as log:
            wait_until("w1 is registered", lambda: "registered" in log.read_text())
        assert sum(server.calls for server in servers) < 100


@pytest.mark.parametrize("variant", ["release-tls"], indirect=True)
def test_badinput_worker_redirected_to_a_stranger(variant: Variant, certs: pathlib.Path, stranger: ssl.SSLContext,
                                                  tmp_path: pathlib.Path) -> None:  # fmt: skip
    accepted = proto([[1, 1], [2, 7], [3, 5000]])
    with Hostile(answer=lambda stream: response(stream, grpc_message(accepted), OK), context=stranger) as leader, \
         Hostile(answer=redirect_worker(lambda: leader.address), context=server_context(certs, "n2")) as node, \
         worker(node.address, tmp_path, *tls_files(certs, "w1")) as log:  # fmt: skip
        wait_until("it has tried the stranger several times", lambda: node.calls >= 3 and "did not take the call" in log.read_text())
        assert leader.calls == 0 and "registered" not in log.read_text()


@pytest.mark.parametrize("variant", ["release-plain"], indirect=True)
def test_badinput_worker_learns_no_nonsense(variant: Variant, tmp_path: pathlib.Path) -> None:
    """Members' addresses that are none are not asked, nor more of them than a cluster has."""
    nonsense = [[3, octets("a b\\n:1").decode()], *([[3, f"127.0.0.1:{port}"] for port in range(1, 2000)])]
    body = grpc_message(proto([[1, 0], [4, [[1, "n2"], [2, "x y:1"], *nonsense]]]))
    with Hostile(answer=lambda stream: response(stream, body, OK)) as server, worker(server.address, tmp_path) as log:
        wait_until("it asks again", lambda: server.calls >= 3, 60)
    asked = set(re.findall(r"address=(\S+)", log.read_text()))
    assert "x y:1" not in log.read_text().replace('leader="x y:1"', "") and len(asked) < 70
