"""Who may do what on a node with certificates: the ids of workers, and what programs and operators are granted."""

from __future__ import annotations

import collections
import contextlib
import json
import pathlib
import re
import subprocess
import time
from collections.abc import Iterator

import grpc
import pytest
from harness import environment, wait_until
from test_interop_tls import PUT, Batond, built, channel, files, make_certs

from baton.v1 import control_pb2, worker_pb2  # noqa: E402  (the harness makes them)

WORKERS = "/baton.v1.WorkerService/"
NAMES = ["node/n1", "operator/me", "operator/ops1", "worker/w1", "workers/etl-*", "program/billing", "program/other"]


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    directory = tmp_path_factory.mktemp("certs")
    make_certs(directory, *NAMES)
    return directory


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, certs: pathlib.Path) -> Iterator[Batond]:
    directory = tmp_path_factory.mktemp("node")
    flags = ["--audit-log", str(directory / "audit")]
    with Batond(directory, certs, flags=flags) as lone:
        wait_until("n1 leads", lone.leads)
        yield lone


def ask(node: Batond, name: str, path: str, request: bytes) -> bytes:
    """The answer to a caller with the certificate of that name."""
    with channel(node.listen, node.certs, name) as opened:
        return opened.unary_unary(path)(request, timeout=10)  # type: ignore[no-any-return]


def refusal(node: Batond, name: str, path: str, request: bytes) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        ask(node, name, path, request)
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED, caught.value
    return str(caught.value.details())


def registration(worker: str) -> bytes:
    request = worker_pb2.RegisterWorkerRequest(worker_id=worker, instance_id="i", address="127.0.0.1:9000", cloud="gcp")
    return request.SerializeToString()


@pytest.mark.parametrize("name, own, other, permitted", [("w1", "w1", "w10", "w1"), ("etl-all", "etl-7", "w1", "etl-*")])
def test_interop_access_worker_ids(node: Batond, name: str, own: str, other: str, permitted: str) -> None:
    answer = worker_pb2.RegisterWorkerResponse.FromString(ask(node, name, WORKERS + "RegisterWorker", registration(own)))
    assert answer.accepted
    heartbeat = worker_pb2.HeartbeatRequest(worker_id=own, instance_id="i", epoch=answer.epoch)
    ask(node, name, WORKERS + "Heartbeat", heartbeat.SerializeToString())
    ask(node, "me", WORKERS + "RegisterWorker", registration(other))  # an operator may act for any
    named = worker_pb2.HeartbeatRequest(worker_id=other, instance_id="i", epoch=answer.epoch).SerializeToString()
    for call, request in [("RegisterWorker", registration(other)), ("Heartbeat", named), ("DeregisterWorker", named)]:
        said = refusal(node, name, WORKERS + call, request)
        assert f"does not permit the worker id {other}; it permits {permitted}" in said


def test_interop_access_program_may_nothing(node: Batond) -> None:
    put = control_pb2.PutRequest(key=b"k", value=b"v").SerializeToString()
    assert "program/billing is not granted put of this key" in refusal(node, "billing", PUT, put)
    assert "a certificate of program/billing" in refusal(node, "billing", WORKERS + "RegisterWorker", registration("w1"))


# --- grants ---


def batonctl(node: Batond, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([built("batonctl"), "--endpoints", node.listen, *arguments, *files(node.certs, name, "--tls-")],
                          capture_output=True, text=True, timeout=30, env=environment())  # fmt: skip


def done(node: Batond, name: str, *arguments: str) -> str:
    ran = batonctl(node, name, *arguments)
    assert ran.returncode == 0, ran
    return ran.stdout


def denied(node: Batond, name: str, *arguments: str) -> None:
    ran = batonctl(node, name, *arguments)
    assert ran.returncode == 1 and "PERMISSION_DENIED" in ran.stderr, ran


@pytest.fixture(autouse=True)
def at_level(node: Batond) -> None:
    wait_until("the cluster is at its level", lambda: node.web("/status")["cluster_level"] >= 3)


def test_interop_access_grants(node: Batond) -> None:
    """What a program is granted it may do, on that prefix, and no more; revoked, it may not."""
    for arguments in [("put", "jobs/1", "v"), ("get", "jobs/1"), ("list", "jobs/"), ("worker", "list"), ("status",)]:
        assert batonctl(node, "billing", *arguments).returncode != 0
    done(node, "me", "access", "grant", "program/billing", "put,get", "jobs/")
    done(node, "me", "access", "grant", "program/billing", "list", "jobs/a")
    done(node, "billing", "put", "jobs/1", "v")
    assert done(node, "billing", "get", "jobs/1") == "v"
    assert "jobs/" not in done(node, "billing", "list", "jobs/a")
    for arguments in [("put", "job", "v"), ("get", "x"), ("delete", "jobs/1"), ("list", "jobs/"), ("list",), ("watch", "jobs/"),
                      ("worker", "list"), ("access", "list"), ("member", "remove", "n1"), ("log",)]:  # fmt: skip
        denied(node, "billing", *arguments)
    listed = json.loads(done(node, "me", "access", "list", "program/billing", "-o", "json"))
    assert [(grant["verbs"], grant["prefix"]) for grant in listed] == [(["get", "put"], "jobs/"), (["list"], "jobs/a")]
    assert re.search(r"^program/billing +get,put +jobs/ +\d+$", done(node, "me", "access", "list"), re.MULTILINE)
    assert 'grant get,put program/billing "jobs/"' in done(node, "me", "log")
    done(node, "me", "access", "revoke", "program/billing", "put", "jobs/")
    denied(node, "billing", "put", "jobs/1", "v")
    assert done(node, "billing", "get", "jobs/1") == "v"
    again = batonctl(node, "me", "access", "revoke", "program/billing", "put", "jobs/")
    assert again.returncode == 4 and "was granted none of that" in again.stderr, again


def test_interop_access_watch_ends(node: Batond) -> None:
    """A Watch ends when what permits it is revoked; one of another program goes on."""
    done(node, "me", "access", "grant", "program/billing", "watch", "w/")
    done(node, "me", "access", "grant", "program/other", "watch", "w/")
    request = control_pb2.WatchRequest(prefix=b"w/1").SerializeToString()
    watch = "/baton.v1.ControlService/Watch"
    with channel(node.listen, node.certs, "billing") as one, channel(node.listen, node.certs, "other") as two:
        ending, staying = (opened.unary_stream(watch)(request, timeout=60) for opened in (one, two))
        for stream in (ending, staying):
            next(stream)
        done(node, "me", "access", "revoke", "program/billing", "all", "w/")
        with pytest.raises(grpc.RpcError) as caught:
            list(ending)
        assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
        done(node, "me", "put", "w/1", "v")
        assert control_pb2.WatchResponse.FromString(next(staying)).events[0].value == b"v"
        staying.cancel()


def test_interop_access_limited_operator(node: Batond) -> None:
    """From its first grant on an operator may do that alone; a node's certificate still may do everything."""
    done(node, "ops1", "put", "anything", "v")
    done(node, "me", "access", "grant", "operator/ops1", "put,delete", "jobs/")
    done(node, "ops1", "put", "jobs/2", "v")
    done(node, "ops1", "status")
    for arguments in [("put", "anything", "v"), ("get", "jobs/2"), ("access", "revoke", "operator/ops1", "all", "jobs/"),
                      ("leader", "transfer"), ("log",)]:  # fmt: skip
        denied(node, "ops1", *arguments)
    done(node, "n1", "access", "revoke", "operator/ops1", "all", "jobs/")
    done(node, "ops1", "put", "anything", "v")


def test_interop_access_wrong_words(node: Batond) -> None:
    for arguments, said in [(("program/a", "put,fly", "x"), "allowed are get, put"), (("worker/a", "put", "x"), "subject: is not"),
                            (("program/a", "admin", ""), "admin is for operators alone"),
                            (("program/a", "workers", "x"), "grant them with an empty prefix")]:  # fmt: skip
        ran = batonctl(node, "me", "access", "grant", *arguments)
        assert ran.returncode in (1, 2) and said in ran.stderr, ran


# --- the audit log ---


def audited(node: Batond) -> list[dict[str, str]]:
    lines = (node.log_path.parent / "audit").read_text().splitlines()
    return [dict(re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)', line)) for line in lines]


def test_interop_access_audit(node: Batond) -> None:
    """Who has asked for what, its outcome and its revision; the line is there once the answer is."""
    revision = done(node, "me", "put", "audited/1", "v").split()[1]
    line = audited(node)[-1]
    assert (line["who"], line["call"], line["outcome"]) == ("operator/me", "Put", "OK"), line
    assert line["what"] == r'"put \"audited/1\" (1 bytes)"' and line["revision"] == revision and line["event"] == "audit"
    assert line["from"].startswith("127.0.0.1:")
    denied(node, "billing", "put", "audited/1", "w")
    line = audited(node)[-1]
    assert (line["who"], line["what"], line["outcome"]) == ("program/billing", "audited/1", "PERMISSION_DENIED"), line
    assert "revision" not in line
    assert batonctl(node, "me", "put", "audited/1", "w", "--expect", "1").returncode == 1
    assert audited(node)[-1]["outcome"] == "ABORTED"
    assert batonctl(node, "me", "member", "remove", "n9").returncode != 0
    line = audited(node)[-1]
    assert (line["call"], line["outcome"]) == ("MemberRemove", "NOT_FOUND") and "n9" in line["what"], line
    done(node, "me", "access", "grant", "program/other", "get", "audited/")
    assert audited(node)[-1]["what"] == r'"grant get program/other \"audited/\""'
    done(node, "me", "snapshot")
    assert (audited(node)[-1]["call"], audited(node)[-1]["outcome"]) == ("Snapshot", "OK")
    before = len(audited(node))
    done(node, "me", "get", "audited/1")  # no change
    assert len(audited(node)) == before
    for number in range(30):  # more than the log's limit of lines a second
        with channel(node.listen, node.certs, "me") as opened:
            request = control_pb2.PutRequest(key=b"audited/%d" % number, value=b"v").SerializeToString()
            opened.unary_unary(PUT)(request, timeout=10)
    assert len(audited(node)) == before + 30


# --- limits of a client ---


@pytest.fixture
def narrow(tmp_path: pathlib.Path, certs: pathlib.Path) -> Iterator[Batond]:
    limits = ["--client-calls", "20", "--client-watches", "3", "--client-connections", "5", "--client-bytes", "1MiB"]
    with Batond(tmp_path, certs, flags=limits) as lone:
        wait_until("n1 leads", lone.leads)
        yield lone


def burst(opened: grpc.Channel, count: int, value: bytes = b"v") -> list[tuple[grpc.StatusCode, int]]:
    """The statuses of so many Puts at once, and how long each should wait, in milliseconds; 0: it was not told."""
    request = control_pb2.PutRequest(key=b"k", value=value).SerializeToString()
    calls = [opened.unary_unary(PUT).future(request, timeout=20) for _ in range(count)]
    waits = [{key: text for key, text in call.trailing_metadata() or ()}.get("grpc-retry-pushback-ms", "0") for call in calls]
    return [(call.code(), int(wait)) for call, wait in zip(calls, waits)]


@pytest.mark.parametrize("count, value", [(200, b"v"), (12, bytes(300_000))], ids=["calls", "bytes"])
def test_interop_access_limits_rate(narrow: Batond, count: int, value: bytes) -> None:
    """One client gets its share and is told when to come again; another one, meanwhile, is served."""
    with channel(narrow.listen, narrow.certs, "me") as one, channel(narrow.listen, narrow.certs, "ops1") as other:
        outcomes = burst(one, count, value)
        admitted = sum(code == grpc.StatusCode.OK for code, _ in outcomes)
        refused = [wait for code, wait in outcomes if code == grpc.StatusCode.RESOURCE_EXHAUSTED]
        assert admitted + len(refused) == count and 3 <= admitted < count
        assert all(1 <= wait <= 1001 for wait in refused)
        assert burst(other, 1) == [(grpc.StatusCode.OK, 0)]
    assert done(narrow, "me", "put", "k", "v")  # batonctl waits and asks again


def test_interop_access_limits_watches(narrow: Batond) -> None:
    """Over all connections of the client; one that ends makes room."""
    request = control_pb2.WatchRequest().SerializeToString()
    watch = "/baton.v1.ControlService/Watch"
    with channel(narrow.listen, narrow.certs, "me") as one, channel(narrow.listen, narrow.certs, "me") as two:
        streams = [opened.unary_stream(watch)(request, timeout=60) for opened in (one, one, two)]
        for stream in streams:
            next(stream)
        with pytest.raises(grpc.RpcError) as caught:
            next(two.unary_stream(watch)(request, timeout=60))
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "as many streaming calls as a client may" in str(caught.value.details())
        streams[0].cancel()

        def admitted() -> bool:
            stream = two.unary_stream(watch)(request, timeout=60)
            try:
                next(stream)
            except grpc.RpcError:
                return False
            stream.cancel()
            return True

        wait_until("there is room", admitted)


def test_interop_access_limits_connections(narrow: Batond) -> None:
    """Those beyond are closed; another client connects; a node has no limit."""
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            assert burst(stack.enter_context(channel(narrow.listen, narrow.certs, "me")), 1)[0][0] == grpc.StatusCode.OK
        refused = stack.enter_context(channel(narrow.listen, narrow.certs, "me"))
        request = control_pb2.GetRequest(key=b"k").SerializeToString()
        with pytest.raises(grpc.RpcError) as caught:
            refused.unary_unary("/baton.v1.ControlService/Get")(request, timeout=10)
        assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        narrow.wait_log("a client has too many connections.*client=operator/me.*limit=5")
        assert burst(stack.enter_context(channel(narrow.listen, narrow.certs, "ops1")), 1)[0][0] == grpc.StatusCode.OK
        for _ in range(7):
            opened = stack.enter_context(channel(narrow.listen, narrow.certs, "n1"))
            opened.unary_unary("/baton.v1.ControlService/Status")(b"", timeout=10)
    wait_until("the connections are gone", lambda: batonctl(narrow, "me", "get", "k").returncode in (0, 4))


def test_interop_access_limits_flood(tmp_path: pathlib.Path, certs: pathlib.Path) -> None:
    """A fleet that registers one id after another gets its share; a worker beside it is registered and heard all the time."""
    rate, count = 200, 5000
    with Batond(tmp_path, certs, flags=["--client-calls", str(rate)]) as node:
        wait_until("n1 leads", node.leads)
        with channel(node.listen, certs, "etl-all") as flooding, channel(node.listen, certs, "w1") as beside:
            begin = time.monotonic()
            path = WORKERS + "RegisterWorker"
            calls = [flooding.unary_unary(path).future(registration(f"etl-{i}"), timeout=60) for i in range(count)]
            answer = worker_pb2.RegisterWorkerResponse.FromString(beside.unary_unary(path)(registration("w1"), timeout=10))
            heartbeat = worker_pb2.HeartbeatRequest(worker_id="w1", instance_id="i", epoch=answer.epoch).SerializeToString()
            while not all(call.done() for call in calls):
                beside.unary_unary(WORKERS + "Heartbeat")(heartbeat, timeout=10)
                time.sleep(1 / rate * 4)
            seconds = time.monotonic() - begin
            codes = collections.Counter(call.code() for call in calls)
        assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}, codes
        assert rate <= codes[grpc.StatusCode.OK] <= rate * (seconds + 1) + 1
        listed = json.loads(done(node, "me", "worker", "list", "-o", "json"))
        assert len(listed) == codes[grpc.StatusCode.OK] + 1
        assert next(worker for worker in listed if worker["id"] == "w1")["status"] == "online"
