"""Who may do what on a node with certificates: the ids of workers, and what programs and operators are granted."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import grpc
import pytest
from harness import wait_until
from test_interop_tls import PUT, Batond, channel, make_certs

from baton.v1 import control_pb2, worker_pb2  # noqa: E402  (the harness makes them)

WORKERS = "/baton.v1.WorkerService/"
NAMES = ["node/n1", "operator/me", "worker/w1", "workers/etl-*", "program/billing"]


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    directory = tmp_path_factory.mktemp("certs")
    make_certs(directory, *NAMES)
    return directory


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, certs: pathlib.Path) -> Iterator[Batond]:
    with Batond(tmp_path_factory.mktemp("node"), certs, flags=["--strict-worker-ids"]) as lone:
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
    assert "a certificate of program/billing" in refusal(node, "billing", PUT, put)
    assert "a certificate of program/billing" in refusal(node, "billing", WORKERS + "RegisterWorker", registration("w1"))
