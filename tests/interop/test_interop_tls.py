"""batond with certificates: which clients are accepted, which are refused and why, and files replaced while it runs."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import grpc
import pytest
from frames import ACK, PING, PREFACE, SETTINGS_INITIAL_WINDOW, Connection, frame, grpc_message, settings, window_update
from frames import call as frames_of_call
from harness import BUILD, OWN_CONNECTION, ROOT, environment, tool, wait_until

from baton.v1 import control_pb2, raft_pb2  # noqa: E402  (the harness makes them)

PUT = "/baton.v1.ControlService/Put"
GET = "/baton.v1.ControlService/Get"
STATUS = "/baton.v1.ControlService/Status"
WATCH = "/baton.v1.ControlService/Watch"
VOTE = "/baton.v1.RaftService/RequestVote"
REGISTER = "/baton.v1.WorkerService/RegisterWorker"


def built(name: str) -> str:
    path = BUILD / "src" / "cmd" / name
    if not path.exists():
        pytest.skip(f"{path} is not built: run make, or set BATON_BUILD")
    return str(path)


def make_certs(directory: pathlib.Path, *arguments: str, days: int = 10) -> None:
    script = ROOT / "deploy" / "tls" / "make-certs"
    subprocess.run([script, "--days", str(days), directory, *arguments], check=True, timeout=60)


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """One authority's certificates, and in `foreign` those of another."""
    directory = tmp_path_factory.mktemp("certs")
    make_certs(directory, "node/n1", "node/n2", "node/n3", "worker/w1", "operator/me")
    make_certs(directory, "operator/old", days=-1)
    make_certs(directory / "foreign", "operator/me", "node/n2")
    return directory


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def split(address: str) -> tuple[str, int]:
    host, port = address.rsplit(":", 1)
    return host, int(port)


class Batond:
    """One node, with certificates or without. `peers` are the members it believes in; by default it is alone."""

    def __init__(self, directory: pathlib.Path, certs: pathlib.Path | None, node: str = "n1", listen: str = "", peers: str = "",
                 name: str = "", migrate: bool = False, flags: Sequence[str] = ()) -> None:
        self.certs, self.node = certs, node
        self.listen, self.http = listen or free_address(), free_address()
        self.log_path = directory / f"{name or node}.log"
        self.command = [
            built("batond"), "--node-id", node, "--cluster-id", "c", "--cloud", "gcp", "--data-dir",
            str(directory / (name or node)), "--listen", self.listen, "--http", self.http, "--bootstrap", "--peers",
            peers or f"{node}={self.listen}/gcp", "--log-level", "debug", *flags
        ]
        if certs is not None:
            self.command += [*files(certs, node, "--tls-"), "--tls-migrate" if migrate else "--tls-required"]
            if (certs / "crl.pem").exists():
                self.command += ["--tls-crl", str(certs / "crl.pem")]
        with self.log_path.open("w") as log:
            self.process = subprocess.Popen(self.command, stderr=log, stdin=subprocess.DEVNULL, env=environment())
        wait_until(f"{node} is up", lambda: "batond is up" in self.log() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log()

    def log(self) -> str:
        return self.log_path.read_text()

    def wait_log(self, text: str, timeout: float = 20) -> str:
        found: list[str] = []
        wait_until(f"{text} in the log of {self.node}:\n{self.log()}",
                   lambda: found.extend(line for line in self.log().splitlines() if re.search(text, line)) or found, timeout)
        return found[0]

    def web(self, path: str) -> Any:
        return json.loads(self.web_text(path))

    def web_text(self, path: str) -> str:
        secure = [] if self.certs is None else ["--cacert", self.certs / "ca.pem"]
        url = f"{'https' if secure else 'http'}://{self.http}{path}"
        said = subprocess.run(["curl", "-sS", "--max-time", "10", *secure, url], capture_output=True, text=True, check=True)
        return said.stdout

    def leads(self) -> bool:
        return bool(self.web("/status")["role"] == "leader")

    def __enter__(self) -> Batond:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0, self.log()


def files(certs: pathlib.Path, name: str, prefix: str) -> list[str]:
    return [f"{prefix}cert", str(certs / f"{name}.pem"), f"{prefix}key", str(certs / f"{name}-key.pem"), f"{prefix}ca",
            str(certs / "ca.pem")]


@pytest.fixture(scope="module")
def lone(tmp_path_factory: pytest.TempPathFactory, certs: pathlib.Path) -> Iterator[Batond]:
    """A node that leads itself."""
    with Batond(tmp_path_factory.mktemp("lone"), certs) as node:
        wait_until("n1 leads", node.leads)
        yield node


@contextlib.contextmanager
def channel(address: str, certs: pathlib.Path, name: str) -> Iterator[grpc.Channel]:
    credentials = grpc.ssl_channel_credentials((certs / "ca.pem").read_bytes(), (certs / f"{name}-key.pem").read_bytes(),
                                               (certs / f"{name}.pem").read_bytes())
    with grpc.secure_channel(address, credentials, options=OWN_CONNECTION) as opened:
        yield opened


def call(opened: grpc.Channel, path: str, request: bytes = b"") -> bytes:
    return opened.unary_unary(path)(request, timeout=10)  # type: ignore[no-any-return]


def field(number: int, value: bytes) -> bytes:
    size, length = b"", len(value)
    while length > 127:
        size += bytes([length & 127 | 128])
        length >>= 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + value


def s_client(node: Batond, *arguments: str) -> str:
    done = subprocess.run(["openssl", "s_client", "-connect", node.listen, "-CAfile", node.certs / "ca.pem", "-brief",
                           *arguments], input="", capture_output=True, text=True, errors="replace", timeout=30)  # fmt: skip
    return done.stdout + done.stderr


# --- accepted ---


def test_interop_tls_grpcio(lone: Batond, certs: pathlib.Path) -> None:
    """Small and large messages, so of one TLS record and of many."""
    with channel(lone.listen, certs, "me") as opened:
        for size in [0, 1, 16_383, 16_384, 16_385, 1_000_000]:
            value = os.urandom(size)
            call(opened, PUT, field(1, b"key") + field(2, value))
            assert value in call(opened, GET, field(1, b"key"))
        streams = [opened.unary_unary(PUT).future(field(1, b"many") + field(2, b"x" * 50_000), timeout=20) for _ in range(200)]
        assert all(stream.result() is not None for stream in streams)


def test_interop_tls_slow_reader(lone: Batond, certs: pathlib.Path) -> None:
    """More than all buffers hold on the way to a client that takes it in small pieces: all of it comes, in order."""
    value = os.urandom(1_000_000)
    with channel(lone.listen, certs, "me") as opened:
        call(opened, PUT, field(1, b"large") + field(2, value))
    wide = 2**31 - 1
    opening = PREFACE + settings((SETTINGS_INITIAL_WINDOW, wide)) + window_update(0, wide - 65_535)
    with Connection(lone.listen, opening, receive_buffer=4096, context=client_context(certs)) as slow:
        streams = range(1, 31, 2)
        slow.send(b"".join(frames_of_call(stream, GET, grpc_message(field(1, b"large"))) for stream in streams))
        for stream in streams:
            outcome = slow.outcome(stream, timeout=10)  # the keepalive, after 20 s, would wake it anyhow
            assert outcome.status == 0 and value in outcome.body


def test_interop_tls_grpcurl(lone: Batond, certs: pathlib.Path) -> None:
    trusting = [tool("grpcurl"), "-max-time", "20", "-cacert", str(certs / "ca.pem")]
    who = ["-cert", str(certs / "me.pem"), "-key", str(certs / "me-key.pem")]
    listed = subprocess.run([*trusting, *who, lone.listen, "list"], capture_output=True, text=True, timeout=30)
    assert "baton.v1.ControlService" in listed.stdout.split(), listed
    put = subprocess.run([*trusting, *who, "-d", '{"key": "aw==", "value": "dg=="}', lone.listen, PUT[1:]],
                         capture_output=True, text=True, timeout=30)  # fmt: skip
    assert "revision" in put.stdout, put
    nobody = subprocess.run([*trusting, lone.listen, "list"], capture_output=True, text=True, timeout=30)
    assert nobody.returncode != 0
    lone.wait_log("refused a connection.*peer did not return a certificate")


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_interop_tls_versions(lone: Batond, certs: pathlib.Path, version: str) -> None:
    said = s_client(lone, f"-tls{version.replace('.', '_')}", "-alpn", "h2", "-cert", str(certs / "me.pem"), "-key",
                    str(certs / "me-key.pem"))
    assert f"Protocol version: TLSv{version}" in said and "Verification: OK" in said and "alert" not in said
    context = client_context(certs)
    context.minimum_version = context.maximum_version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
    with connection(lone, context) as opened:
        assert opened.selected_alpn_protocol() == "h2" and still_answers(opened)


def test_interop_tls_old_version_refused(lone: Batond) -> None:
    said = s_client(lone, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0", "-alpn", "h2")
    assert "alert protocol version" in said
    lone.wait_log("refused a connection.*unsupported protocol")


def test_interop_tls_status_wants_an_operator(lone: Batond, certs: pathlib.Path) -> None:
    done = subprocess.run([built("batonctl"), "--endpoints", lone.listen, "status", *files(certs, "w1", "--tls-")],
                          capture_output=True, text=True, timeout=30, env=environment())  # fmt: skip
    assert done.returncode == 1 and "the certificate must be an operator's" in done.stderr
    assert re.search(r" PERMISSION_DENIED +-", done.stdout)


@pytest.mark.parametrize("offer", [["-alpn", "http/1.1"], []], ids=["another", "none"])
def test_interop_tls_without_h2_refused(lone: Batond, certs: pathlib.Path, offer: list[str]) -> None:
    before = lone.log().count("refused a connection")
    s_client(lone, *offer, "-cert", str(certs / "me.pem"), "-key", str(certs / "me-key.pem"))
    wait_until("it is refused", lambda: lone.log().count("refused a connection") > before)
    assert "ALPN" in lone.log() or "application protocol" in lone.log()


def test_interop_tls_https(lone: Batond) -> None:
    assert lone.web_text("/livez") == "ok\n"
    assert "raft_term" in lone.web_text("/metrics")
    said = subprocess.run(["curl", "-sS", "--max-time", "10", f"http://{lone.http}/livez"], capture_output=True, text=True)
    assert said.returncode != 0 and said.stdout == ""
    for version, accepted in [("1.1", False), ("1.2", True), ("1.3", True)]:
        done = subprocess.run(["curl", "-sS", "--max-time", "10", f"--tlsv{version}", "--tls-max", version, "--ciphers",
                               "DEFAULT@SECLEVEL=0", "--cacert", lone.certs / "ca.pem", f"https://{lone.http}/livez"],
                              capture_output=True, text=True)  # fmt: skip
        assert (done.returncode == 0) == accepted, (version, done)


# --- refused ---


def batonctl(node: Batond, *arguments: str) -> str:
    done = subprocess.run([built("batonctl"), "--endpoints", node.listen, "--timeout", "3s", *arguments, "put", "a", "b"],
                          capture_output=True, text=True, timeout=30, env=environment())  # fmt: skip
    assert done.returncode != 0
    return done.stderr


@pytest.mark.parametrize("directory, name, ours, theirs", [
    ("", "old", "the certificate of operator/old is refused: certificate has expired on",
     "refuses our certificate, of operator/old: certificate expired"),
    ("foreign", "me", "the certificate of operator/me is refused: unable to get local issuer certificate",
     "the certificate of node/n1 is refused: unable to get local issuer certificate"),
], ids=["expired", "foreign"])  # fmt: skip
def test_interop_tls_refused_client(lone: Batond, certs: pathlib.Path, directory: str, name: str, ours: str,
                                    theirs: str) -> None:  # fmt: skip
    """Each side says why: the node in its log, batonctl in its message."""
    said = batonctl(lone, *files(certs / directory, name, "--tls-"))
    assert theirs in said, said
    if directory:  # it refuses us first; a client that believes our authority is refused by us
        lone.wait_log("the peer refuses our certificate, of node/n1: unknown CA")
        mixed = [*files(certs / directory, name, "--tls-")[:4], "--tls-ca", str(certs / "ca.pem")]
        assert "does not come from an authority" in batonctl(lone, *mixed)
        s_client(lone, "-alpn", "h2", "-cert", str(certs / directory / "me.pem"), "-key", str(certs / directory / "me-key.pem"))
    lone.wait_log(f"refused a connection.*({ours})")


def test_interop_tls_refusal_arrives(lone: Batond, certs: pathlib.Path) -> None:
    """A refused client that keeps sending still gets the alert; closing at once would reset the connection."""
    context = client_context(certs)
    context.load_cert_chain(str(certs / "old.pem"), str(certs / "old-key.pem"))
    with socket.create_connection(split(lone.listen), timeout=20) as plain:
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as opened, pytest.raises(ssl.SSLError) as caught:
            for _ in range(100):  # TLS 1.3: for the client the handshake is over before its certificate is looked at
                opened.sendall(b"x" * 1000)
                time.sleep(0.001)
            opened.recv(1)
    assert "CERTIFICATE_EXPIRED" in str(caught.value)


def test_interop_tls_certificate_without_identity_refused(lone: Batond, certs: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """From our authority, but without an identity, or with two."""
    for number, names in enumerate(["DNS:x", "URI:baton://operator/a,URI:baton://operator/b", "URI:baton://king/a"]):
        key, request, cert, extensions = (tmp_path / part for part in ("key", "request", "cert", "extensions"))
        extensions.write_text(f"subjectAltName={names}\n")
        for command in [
            f"openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {key} -subj /CN=x -out {request}",
            f"openssl x509 -req -in {request} -CA {certs}/ca.pem -CAkey {certs}/ca-key.pem -set_serial {number + 7} -days 3 "
            f"-extfile {extensions} -out {cert}",
        ]:  # fmt: skip
            subprocess.run(command.split(), check=True, capture_output=True, timeout=30)
        before = lone.log().count("names no node, worker, operator or program")

        def refused() -> bool:
            # Again if need be: a client that ends at once may take its certificate with it before it is read.
            s_client(lone, "-alpn", "h2", "-cert", str(cert), "-key", str(key))
            return lone.log().count("names no node, worker, operator or program") > before

        wait_until("it is refused", refused)
        said = batonctl(lone, "--tls-cert", str(cert), "--tls-key", str(key), "--tls-ca", str(certs / "ca.pem"))
        assert "has no identity" in said


def test_interop_tls_plaintext_client_refused(lone: Batond) -> None:
    begin = time.monotonic()
    assert "no gRPC is spoken there in plaintext; a node that has certificates wants --tls-cert" in batonctl(lone)
    assert time.monotonic() - begin < 10
    lone.wait_log("refused a connection.*does not speak TLS")


@pytest.mark.parametrize("first", [b"", b"\x16\x03\x01\x02\x00", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 507,
                                   b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100_000],
                         ids=["silence", "half a hello", "bad hello", "http", "zeros"])  # fmt: skip
def test_interop_tls_garbage(lone: Batond, certs: pathlib.Path, first: bytes) -> None:
    """A connection without a complete ClientHello is closed in time, and no other is affected."""
    with socket.create_connection(split(lone.listen), timeout=20) as opened:
        with contextlib.suppress(ConnectionError):
            opened.sendall(first)
            while opened.recv(4096):
                pass
    with channel(lone.listen, certs, "me") as good:
        call(good, STATUS)


# --- roles ---


def vote(sender: str, directory: str = "") -> bytes:
    request = raft_pb2.RequestVoteRequest(term=1, candidate_id=sender)
    envelope = {"cluster_id": "c", "generation": 1, "to": "n1", "protocol": 1, "from": sender, "from_incarnation": directory}
    request.envelope.MergeFrom(raft_pb2.Envelope(**envelope))
    return request.SerializeToString()  # type: ignore[no-any-return]


def status_of(node: Batond, certs: pathlib.Path, name: str, path: str, request: bytes) -> str:
    with channel(node.listen, certs, name) as opened:
        try:
            call(opened, path, request)
        except grpc.RpcError as error:
            print(name, path, error.code().name, error.details())
            return str(error.code().name)
        return "OK"


def test_interop_tls_roles(lone: Batond, certs: pathlib.Path) -> None:
    answers = {(name, path): status_of(lone, certs, name, path, request)
               for name in ("w1", "me", "n2") for path, request in ((VOTE, vote("n2")), (STATUS, b""), (REGISTER, b""))}
    refused = "PERMISSION_DENIED"
    assert answers == {
        ("w1", VOTE): refused, ("w1", STATUS): refused, ("w1", REGISTER): "INVALID_ARGUMENT",
        ("me", VOTE): refused, ("me", STATUS): "OK", ("me", REGISTER): "INVALID_ARGUMENT",
        # A node, but none of this cluster; as a member it would be asked for more.
        ("n2", VOTE): refused, ("n2", STATUS): "OK", ("n2", REGISTER): "INVALID_ARGUMENT",
    }  # fmt: skip
    lone.wait_log("refused a message.*n2 is no member of cluster c")
    with channel(lone.listen, certs, "w1") as opened, pytest.raises(grpc.RpcError) as caught:
        call(opened, VOTE, vote("n2"))
    assert caught.value.details() == "a certificate of worker/w1 does not permit calls to baton.v1.RaftService"


@pytest.mark.parametrize("offers_h2", [False, True])
def test_interop_tls_request_with_the_handshake(lone: Batond, certs: pathlib.Path, offers_h2: bool) -> None:
    """A worker's Put that arrives in one piece with the end of its handshake, before a handshake without ALPN is refused or
    a broken record ends the connection: it is not executed under the rules of a plain connection."""
    key = b"with-the-handshake-" + str(offers_h2).encode()
    context = client_context(certs, "w1", ["h2"] if offers_h2 else [])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname=split(lone.listen)[0])
    with socket.create_connection(split(lone.listen), timeout=10) as opened:
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                session.do_handshake()
                break
            opened.sendall(outgoing.read())
            incoming.write(opened.recv(65536))
        put = grpc_message(field(1, key) + field(2, b"value"))
        session.write(PREFACE + settings() + frames_of_call(1, PUT, put))
        opened.sendall(outgoing.read() + b"\x17\x03\x03\x00\x20" + bytes(32))
        while opened.recv(65536):
            pass
    with channel(lone.listen, certs, "me") as operator, pytest.raises(grpc.RpcError) as failure:
        call(operator, GET, field(1, key))
    assert failure.value.code() == grpc.StatusCode.NOT_FOUND


# --- nodes among themselves ---


@pytest.mark.parametrize("case", ["expired", "foreign", "wrong name"])
def test_interop_tls_refused_node(certs: pathlib.Path, tmp_path: pathlib.Path, case: str) -> None:
    """n1 connects to n2's address and finds an impostor: both logs say why."""
    theirs, who = tmp_path / "certs", "n3" if case == "wrong name" else "n2"
    shutil.copytree(certs / "foreign" if case == "foreign" else certs, theirs)
    if case == "expired":
        make_certs(theirs, "node/n2", days=-1)
    one, other = free_address(), free_address()
    peers = f"n1={one}/gcp,{who}={other}/gcp"
    with Batond(tmp_path, theirs, who, other, peers) as impostor, \
         Batond(tmp_path, certs, "n1", one, peers.replace(who, "n2")) as node:
        reason, alert = {
            "expired": ("the certificate of node/n2 is refused: certificate has expired on", "certificate expired"),
            "foreign": ("the certificate of node/n2 is refused: unable to get local issuer certificate", "unknown CA"),
            "wrong name": ("the certificate is refused: it is node/n3's, and this should be node/n2", "bad certificate"),
        }[case]  # fmt: skip
        node.wait_log(f"level=WARN.*cannot connect.*{reason}")
        impostor.wait_log(f"level=WARN.*refused a connection.*the peer refuses our certificate, of node/{who}: {alert}")
        if case != "wrong name":  # and when the impostor connects
            node.wait_log(f"level=WARN.*refused a connection.*({reason}|unknown CA)")
            impostor.wait_log("level=WARN.*cannot connect")
        assert "connected to peer" not in node.log() + (impostor.log() if case != "wrong name" else "")
        if case == "expired":
            assert "the certificate has expired: peers will refuse it" in impostor.log()
        time.sleep(2)  # one line a reason, not one an attempt
        assert node.log().count("cannot connect") <= 4


@contextlib.contextmanager
def three(certs: pathlib.Path | None, directory: pathlib.Path) -> Iterator[dict[str, Batond]]:
    listen = {name: free_address() for name in ("n1", "n2", "n3")}
    peers = ",".join(f"{name}={address}/gcp" for name, address in listen.items())
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(Batond(directory, certs, name, listen[name], peers)) for name in listen}


def test_interop_tls_cluster(certs: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Three nodes, a worker, a relay, a survey, and batonctl: all of it encrypted."""
    with three(certs, tmp_path) as nodes:
        wait_until("a leader", lambda: any(node.leads() for node in nodes.values()))
        follower = next(node for node in nodes.values() if not node.leads())
        operator = ["--endpoints", ",".join(node.listen for node in nodes.values()), *files(certs, "me", "--tls-")]
        said = subprocess.run([built("batonctl"), *operator, "put", "a", "b"], capture_output=True, text=True, timeout=30)
        assert said.stdout.startswith("revision"), said
        # By name, which the certificate has, too; the follower sends it on to an address.
        worker = subprocess.Popen(
            [sys.executable, "-m", "baton_worker", "--id", "w1", "--address", "h:1", "--cloud", "gcp", "--endpoints",
             f"localhost:{split(follower.listen)[1]}", "--tls-required", *files(certs, "w1", "--tls-")],
            env={**os.environ, "PYTHONPATH": str(ROOT / "worker")}, stderr=subprocess.PIPE, text=True)  # fmt: skip
        try:
            wait_until("w1 is online, as a follower tells it",
                       lambda: [one["status"] for one in follower.web("/cluster-state")] == ["online"])
        finally:
            worker.terminate()
            _, log = worker.communicate(timeout=30)
        assert worker.returncode == 0, log
        wait_until("all nodes reach each other", lambda: all(node["reachable"] for node in follower.web("/nodes")))
        assert {node["node"] for node in follower.web("/nodes")} == set(nodes)
        # A member may not speak for another.
        directories = {}
        for name in ("n2", "n3"):
            with channel(nodes[name].listen, certs, "me") as opened:
                directories[name] = control_pb2.StatusResponse.FromString(call(opened, STATUS)).incarnation
        assert status_of(nodes["n1"], certs, "n2", VOTE, vote("n2", directories["n2"])) == "OK"
        assert status_of(nodes["n1"], certs, "n2", VOTE, vote("n3", directories["n3"])) == "PERMISSION_DENIED"
        nodes["n1"].wait_log("refused a message.*node/n2 speaks for n3")


def test_interop_tls_worker_refused(lone: Batond, certs: pathlib.Path) -> None:
    """A worker with a foreign certificate stays out, and says why; so does the node."""
    files_ = [*files(certs / "foreign", "me", "--tls-")[:4], "--tls-ca", str(certs / "ca.pem")]
    worker = subprocess.Popen(
        [sys.executable, "-m", "baton_worker", "--id", "w1", "--address", "h:1", "--cloud", "gcp", "--endpoints", lone.listen,
         *files_], env={**os.environ, "PYTHONPATH": str(ROOT / "worker")}, stderr=subprocess.PIPE, text=True)  # fmt: skip
    before = lone.log().count("certificate of operator/me is refused")
    wait_until("it is refused", lambda: lone.log().count("certificate of operator/me is refused") > before)
    time.sleep(0.5)
    worker.terminate()
    _, log = worker.communicate(timeout=30)
    print(log)
    assert "a node did not take the call" in log and "UNAVAILABLE" in log


# --- replaced files ---


def client_context(certs: pathlib.Path, name: str = "me", protocols: Sequence[str] = ("h2",)) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certs / "ca.pem"))
    context.load_cert_chain(str(certs / f"{name}.pem"), str(certs / f"{name}-key.pem"))
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


@contextlib.contextmanager
def connection(node: Batond, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    """An HTTP/2 connection by hand, to be held on to."""
    host, port = split(node.listen)
    with socket.create_connection((host, port), timeout=20) as plain:
        with context.wrap_socket(plain, server_hostname=host) as opened:
            opened.sendall(PREFACE + settings())
            yield opened


def still_answers(opened: ssl.SSLSocket) -> bool:
    mark = os.urandom(8)
    opened.sendall(frame(PING, payload=mark))
    seen = b""
    while frame(PING, ACK, payload=mark) not in seen:
        more = opened.recv(65536)
        if not more:
            return False
        seen += more
    return True


def serial(opened: ssl.SSLSocket) -> Any:
    return opened.getpeercert()["serialNumber"]  # type: ignore[index]


@pytest.mark.parametrize("how", ["SIGHUP", "files"])
def test_interop_tls_reload(certs: pathlib.Path, tmp_path: pathlib.Path, how: str) -> None:
    own = tmp_path / "certs"
    shutil.copytree(certs, own)
    context = client_context(own)
    with Batond(tmp_path, own) as node, connection(node, context) as old:
        first = serial(old)
        assert still_answers(old)
        make_certs(own, "node/n1")
        if how == "SIGHUP":
            node.process.send_signal(signal.SIGHUP)
        node.wait_log("read the certificates again", timeout=10)
        with connection(node, context) as new:
            assert serial(new) != first and still_answers(new)
        assert still_answers(old)
        # HTTPS serves the new one too.
        host, port = split(node.http)
        pem = ssl.get_server_certificate((host, port))
        assert pem.split() == (own / "n1.pem").read_text().split()

        # What cannot be used changes nothing, and is said: a key of another certificate, then nothing at all.
        shutil.copy(own / "n2-key.pem", own / "n1-key.pem")
        if how == "SIGHUP":
            node.process.send_signal(signal.SIGHUP)
        line = node.wait_log("the new certificates cannot be used; going on with the old", timeout=10)
        assert "does not belong to the certificate" in line
        (own / "ca.pem").unlink()
        if how == "SIGHUP":
            node.process.send_signal(signal.SIGHUP)
        node.wait_log("going on with the old.*cannot read .*ca.pem", timeout=10)
        with connection(node, context) as new:
            assert still_answers(new)
        assert still_answers(old)


# --- moving to TLS ---


def test_interop_tls_migrate(certs: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Both on one port; who comes in plaintext may do anything, and who comes with TLS what the certificate says."""
    with Batond(tmp_path, certs, migrate=True) as node:
        wait_until("n1 leads", node.leads)
        assert 'rpc_server_plaintext_connections 0' in node.web_text("/metrics")
        node.wait_log("level=WARN.*plaintext is accepted beside TLS.*open=0 accepted=0")
        with grpc.insecure_channel(node.listen, options=OWN_CONNECTION) as plain, channel(node.listen, certs, "me") as secure, \
             channel(node.listen, certs, "w1") as worker:  # fmt: skip
            large = os.urandom(1_000_000)
            call(plain, PUT, field(1, b"a") + field(2, large))
            assert large in call(secure, GET, field(1, b"a"))
            assert large in call(plain, GET, field(1, b"a"))
            with pytest.raises(grpc.RpcError) as caught:
                call(worker, GET, field(1, b"a"))
            assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
            status = control_pb2.StatusResponse.FromString(call(secure, STATUS))
            assert status.tls_migrate and status.plaintext_connections == 1
            node.wait_log("accepted a connection in plaintext.*peer=127.0.0.1")
            said = subprocess.run([built("batonctl"), "--endpoints", node.listen, *files(certs, "me", "--tls-"), "status"],
                                  capture_output=True, text=True, timeout=30, env=environment())  # fmt: skip
            assert "n1 accepts plaintext (--tls-migrate) and has 1 such connections\n" in said.stdout, said
            assert "n1 has certificates that expire in 9 days\n" in said.stdout, said
        wait_until("nobody speaks plaintext", lambda: "rpc_server_plaintext_connections 0" in node.web_text("/metrics"))
        assert "rpc_server_plaintext_accepted_total 1" in node.web_text("/metrics")
        s_client(node, "-alpn", "h2")  # without a certificate
        node.wait_log("refused a connection.*peer did not return a certificate")
        with socket.create_connection(split(node.listen), timeout=20) as garbage:
            garbage.sendall(b"GET / HTTP/1.1\r\n\r\n")
            while garbage.recv(4096):
                pass
        node.wait_log("refused a connection.*does not speak TLS")


def test_interop_tls_migrate_is_no_way_around(certs: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """To a node whose certificate is refused no plaintext is spoken, although it would take it."""
    one, other = free_address(), free_address()
    peers = f"n1={one}/gcp,n2={other}/gcp"
    with Batond(tmp_path, certs / "foreign", "n2", other, peers, migrate=True) as impostor, \
         Batond(tmp_path, certs, "n1", one, peers, migrate=True) as node:  # fmt: skip
        node.wait_log("cannot connect.*the certificate of node/n2 is refused: unable to get local issuer certificate")
        impostor.wait_log("cannot connect.*the certificate of node/n1 is refused: unable to get local issuer certificate")
        assert "rpc_server_plaintext_accepted_total 0" in impostor.web_text("/metrics")
        assert "connecting in plaintext" not in node.log() + impostor.log()


# --- revoked certificates ---


def revoke(certs: pathlib.Path, *names: str, days: int = 10) -> None:
    script = ROOT / "deploy" / "tls" / "make-certs"
    subprocess.run([script, "--days", str(days), "--revoke", certs, *names], check=True, timeout=60)


def own_with_list(certs: pathlib.Path, directory: pathlib.Path) -> pathlib.Path:
    own = directory / "certs"
    shutil.copytree(certs, own)
    revoke(own)
    return own


def ends(opened: ssl.SSLSocket) -> bool:
    """The other side closes it within the socket's timeout."""
    with contextlib.suppress(ConnectionError, ssl.SSLEOFError):
        while opened.recv(65536):
            pass
    return True


@pytest.mark.parametrize("how", ["SIGHUP", "files"])
def test_interop_tls_revoked_operator(certs: pathlib.Path, tmp_path: pathlib.Path, how: str) -> None:
    """Its connection and its Watch end as the list is read; nobody else's do, and it gets no other."""
    own = own_with_list(certs, tmp_path)
    make_certs(own, "operator/good")
    with Batond(tmp_path, own) as node, connection(node, client_context(own)) as bad, \
         connection(node, client_context(own, "good")) as good, channel(node.listen, own, "me") as opened:  # fmt: skip
        node.wait_log("revoked certificates are refused.*revoked=0")
        wait_until("n1 leads", node.leads)
        watch = opened.unary_stream(WATCH)(field(1, b""))
        call(opened, PUT, field(1, b"seen") + field(2, b"value"))
        assert still_answers(bad) and still_answers(good)
        revoke(own, "me")
        begin = time.monotonic()
        if how == "SIGHUP":
            node.process.send_signal(signal.SIGHUP)
        assert ends(bad)
        assert time.monotonic() - begin < 5
        with pytest.raises(grpc.RpcError) as caught:
            for _ in watch:
                pass
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert still_answers(good)
        node.wait_log("ended a connection: its certificate has been revoked.*identity=operator/me")
        assert "operator/me: certificate revoked" in batonctl(node, *files(own, "me", "--tls-"))
        node.wait_log("refused a connection.*the certificate of operator/me is refused: certificate revoked")
        said = subprocess.run([built("batonctl"), "--endpoints", node.listen, *files(own, "good", "--tls-"), "get", "seen"],
                              capture_output=True, text=True, timeout=30, env=environment())  # fmt: skip
        assert said.returncode == 0, said


def test_interop_tls_revoked_list_refused(certs: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """A list that cannot be used changes nothing and is said; a start with it is refused."""
    own = own_with_list(certs, tmp_path)
    with Batond(tmp_path, own) as node, connection(node, client_context(own)) as opened:
        assert 'baton_tls_files_unusable 0' in node.web_text("/metrics")
        revoke(own, "me")
        listed = (own / "crl.pem").read_bytes()
        for broken, reason in [(listed[:200], "holds no usable list"), (b"", "holds no usable list")]:
            (own / "crl.pem").write_bytes(broken)
            node.process.send_signal(signal.SIGHUP)
            node.wait_log(f"the new certificates cannot be used; going on with the old.*crl.pem {reason}")
            assert still_answers(opened)
            assert 'baton_tls_files_unusable 1' in node.web_text("/metrics")
            done = subprocess.run([*node.command, "--check-config"], capture_output=True, text=True, timeout=30, env=environment())
            assert done.returncode == 2 and reason in done.stderr, done
        (own / "crl.pem").write_bytes(listed)
        node.process.send_signal(signal.SIGHUP)
        assert ends(opened)
        assert 'baton_tls_files_unusable 0' in node.web_text("/metrics")


def test_interop_tls_revoked_worker(certs: pathlib.Path, tmp_path: pathlib.Path) -> None:
    own = own_with_list(certs, tmp_path)
    with Batond(tmp_path, own) as node:
        wait_until("n1 leads", node.leads)
        worker = subprocess.Popen(
            [sys.executable, "-m", "baton_worker", "--id", "w1", "--address", "h:1", "--cloud", "gcp", "--endpoints",
             node.listen, *files(own, "w1", "--tls-")],
            env={**os.environ, "PYTHONPATH": str(ROOT / "worker")}, stderr=subprocess.PIPE, text=True)  # fmt: skip
        try:
            wait_until("w1 is online", lambda: [one["status"] for one in node.web("/cluster-state")] == ["online"])
            revoke(own, "w1")
            node.wait_log("ended a connection: its certificate has been revoked.*identity=worker/w1")
            node.wait_log("the certificate of worker/w1 is refused: certificate revoked")
            wait_until("w1 is offline", lambda: [one["status"] for one in node.web("/cluster-state")] == ["offline"], 40)
        finally:
            worker.terminate()
            worker.communicate(timeout=30)


@pytest.mark.parametrize("whose", ["leader", "follower"])
def test_interop_tls_revoked_node(certs: pathlib.Path, tmp_path: pathlib.Path, whose: str) -> None:
    """The others end its connections and go on without it; a leader is succeeded. With another certificate it is back."""
    own = own_with_list(certs, tmp_path)
    with three(own, tmp_path) as nodes:
        def leader(among: Iterable[Batond]) -> Batond | None:
            return next((node for node in among if node.leads()), None)

        wait_until("a leader", lambda: leader(nodes.values()))
        wait_until("all nodes reach each other",
                   lambda: all(one["reachable"] for node in nodes.values() for one in node.web("/nodes")))
        first = leader(nodes.values())
        assert first is not None
        bad = first if whose == "leader" else next(node for node in nodes.values() if node is not first)
        others = [node for node in nodes.values() if node is not bad]
        revoke(own, bad.node)
        for node in others:
            node.wait_log(f"ended a connection: its certificate has been revoked.*identity=node/{bad.node}")
            node.wait_log(f"cannot connect.*the certificate of node/{bad.node} is refused: certificate revoked")
            node.wait_log(f"refused a connection.*the certificate of node/{bad.node} is refused: certificate revoked")
        bad.wait_log("level=ERROR.*this node's certificate is revoked")
        wait_until("one of the others leads, and it does not", lambda: leader(others) and not bad.leads())
        operator = ["--endpoints", ",".join(node.listen for node in others), *files(own, "me", "--tls-")]
        said = subprocess.run([built("batonctl"), *operator, "put", "a", "b"], capture_output=True, text=True, timeout=30)
        assert said.stdout.startswith("revision"), said
        make_certs(own, f"node/{bad.node}")
        wait_until("all nodes reach each other again",
                   lambda: all(one["reachable"] for node in nodes.values() for one in node.web("/nodes")))


@pytest.mark.parametrize("flags, reason", [
    (["--tls-cert", "n1.pem"], "--tls-cert, --tls-key and --tls-ca go together; --tls-key is missing"),
    (["--tls-required"], "--tls-required forbids plaintext"),
    (["--tls-cert", "n2.pem", "--tls-key", "n2-key.pem", "--tls-ca", "ca.pem"], "names node/n2, but this is node/n1"),
    (["--tls-cert", "n1.pem", "--tls-key", "n2-key.pem", "--tls-ca", "ca.pem"], "does not belong to the certificate"),
    (["--tls-cert", "n1.pem", "--tls-key", "n1-key.pem", "--tls-ca", "foreign/ca.pem"], "does not come from an authority in"),
    (["--tls-cert", "none.pem", "--tls-key", "n1-key.pem", "--tls-ca", "ca.pem"], "cannot read none.pem: No such file"),
    (["--tls-cert", "n1-key.pem", "--tls-key", "n1-key.pem", "--tls-ca", "ca.pem"], "holds no usable certificate"),
    (["--tls-cert", "n1.pem", "--tls-key", "n1.pem", "--tls-ca", "ca.pem"], "holds no usable private key"),
    (["--tls-cert", "n1.pem", "--tls-key", "n1-key.pem", "--tls-ca", "ca.pem", "--tls-crl", "ca.pem"], "holds no usable list"),
    (["--tls-crl", "ca.pem"], "--tls-crl revokes certificates; give --tls-cert"),
    (["--tls-migrate"], "--tls-migrate moves a cluster to TLS; give --tls-cert"),
    (["--tls-migrate", "--tls-required", "--tls-cert", "n1.pem", "--tls-key", "n1-key.pem", "--tls-ca", "ca.pem"],
     "--tls-required forbids plaintext, and --tls-migrate accepts it"),
], ids=["half", "required", "name", "key", "authority", "missing", "no certificate", "no key", "no list", "list alone", "migrate alone", "migrate and required"])  # fmt: skip
def test_interop_tls_bad_flags(certs: pathlib.Path, tmp_path: pathlib.Path, flags: list[str], reason: str) -> None:
    command = [built("batond"), "--node-id", "n1", "--cluster-id", "c", "--cloud", "gcp", "--data-dir", str(tmp_path / "d")]
    for check in ([], ["--check-config"]):
        done = subprocess.run([*command, *flags, *check], cwd=certs, capture_output=True, text=True, timeout=30, env=environment())
        assert done.returncode == 2 and reason in done.stderr, done
