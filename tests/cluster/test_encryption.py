"""A cluster that works in plaintext gets certificates, node by node, under load (docs/operations.md, "From plaintext to TLS")."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, List

import grpc
import pytest
from harness import HTTP_PORT, NODES, POLL, ROOT, Cluster, Node, WorkerProcess, wait_for

LONGEST_PAUSE = 5.0  # without an acknowledged write; a restart of the leader costs well under one


def make_certs(directory: Path) -> None:
    script = ROOT / "deploy/tls/make-certs"
    nodes = [f"node/{name}={place.host}" for name, place in NODES.items()]
    subprocess.run([script, directory, *nodes, "worker/w1", "operator/me"], check=True)


def flags(certs: Path, name: str) -> List[str]:
    return ["--tls-cert", f"{certs}/{name}.pem", "--tls-key", f"{certs}/{name}-key.pem", "--tls-ca", f"{certs}/ca.pem"]


def credentials(certs: Path, name: str) -> grpc.ChannelCredentials:
    key, cert = (certs / f"{name}-key.pem").read_bytes(), (certs / f"{name}.pem").read_bytes()
    return grpc.ssl_channel_credentials((certs / "ca.pem").read_bytes(), key, cert)


def restart(cluster: Cluster, node: Node, abruptly: bool = False) -> None:
    """And wait until the cluster could lose another one."""
    node.kill() if abruptly else node.stop()
    node.start()
    leader = cluster.leader()
    wait_for(lambda: all(member.reachable for member in leader.status().members), f"{node.name} is back")
    wait_for(lambda: node.status().last_applied >= leader.status().commit_index - 1000, f"{node.name} has caught up")


def plaintext_links(cluster: Cluster) -> int:
    """Connections between nodes that are not encrypted; -1: not all reach each other."""
    told = [node.status() for node in cluster.nodes.values()]
    if not all(member.reachable for status in told for member in status.members):
        return -1
    return sum(member.plaintext for status in told for member in status.members if member.id != status.node)


@contextmanager
def pauses_watched(acknowledged: Dict[str, str]) -> Iterator[List[float]]:
    """Yields a list of one: the longest time so far without an acknowledgement."""
    longest, stop = [0.0], threading.Event()

    def watch() -> None:
        seen, since = 0, time.monotonic()
        while not stop.wait(POLL / 2):
            now = time.monotonic()
            longest[0] = max(longest[0], now - since)
            if len(acknowledged) != seen:
                seen, since = len(acknowledged), now

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield longest
    finally:
        stop.set()
        thread.join()


def asks_all(node: Node, certs: Path) -> bool:
    """Its page of all nodes asks each the way it speaks."""
    context = ssl.create_default_context(cafile=str(certs / "ca.pem"))
    with urllib.request.urlopen(f"https://{node.place.host}:{HTTP_PORT}/nodes", timeout=5, context=context) as reply:
        return all(one["reachable"] for one in json.loads(reply.read()))


def worker_online(cluster: Cluster) -> bool:
    return [worker.status for worker in cluster.leader().call("ListWorkers").workers] == ["online"]


def progress(acknowledged: Dict[str, str]) -> None:
    target = len(acknowledged) + 20
    wait_for(lambda: len(acknowledged) >= target, "writes are acknowledged")


def begin_with_tls(process: WorkerProcess, certs: Path) -> None:
    process.stop()
    process.add_flags(*flags(certs, "w1"), "--tls-required")
    process.start()


def certify_nodes(cluster: Cluster, certs: Path, acknowledged: Dict[str, str]) -> None:
    for number, (name, node) in enumerate(cluster.nodes.items()):
        node.add_flags(*flags(certs, name), "--tls-migrate")
        restart(cluster, node, abruptly=name == "n3")
        progress(acknowledged)
        # Those that have certificates speak TLS among themselves, and plaintext with the others: of six connections, each way.
        wait_for(lambda: plaintext_links(cluster) == [6, 4, 0][number], f"{name} speaks TLS with those that do")
        wait_for(lambda: asks_all(node, certs), f"{name} asks all nodes")
        wait_for(lambda: worker_online(cluster), "w1 is online")


def TestClusterMovesToTls(cluster: Cluster, tmp_path: Path) -> None:
    certs = tmp_path / "certs"
    make_certs(certs)
    worker = cluster.worker("w1")
    cluster.wait_online("w1")
    with cluster.load() as acknowledged, pauses_watched(acknowledged) as longest:
        progress(acknowledged)
        certify_nodes(cluster, certs, acknowledged)
        assert all(node.status().plaintext_connections > 0 for node in cluster.nodes.values()), "the test's own"

        for node in cluster.nodes.values():  # clients, and the worker
            node.credentials = credentials(certs, "me")
            node.close()
        begin_with_tls(worker, certs)
        for node in cluster.nodes.values():
            wait_for(lambda: node.status().plaintext_connections == 0, f"nobody speaks plaintext with {node.name}")
        wait_for(lambda: worker_online(cluster), "w1 is online")
        progress(acknowledged)

        for node in cluster.nodes.values():
            node.drop_flag("--tls-migrate")
            node.add_flags("--tls-required")
            restart(cluster, node)
            progress(acknowledged)
    assert longest[0] < LONGEST_PAUSE
    wait_for(lambda: plaintext_links(cluster) == 0, "all nodes reach each other, encrypted")
    leader = cluster.leader()
    for key, value in acknowledged.items():
        assert leader.call("Get", key=key.encode()).value.decode() == value
    for node in cluster.nodes.values():
        with grpc.insecure_channel(node.address) as plain, pytest.raises(grpc.RpcError):
            plain.unary_unary("/baton.v1.ControlService/Status")(b"", timeout=2)
    print(f"{len(acknowledged)} writes, the longest pause {longest[0]:.2f} s")
