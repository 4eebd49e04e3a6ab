"""Names that do not resolve, hang, or lead to another node; and whoever is met at a peer's address without being the peer."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List

import grpc
import harness
import pytest
from harness import BUILD, GRPC_PORT, HTTP_PORT, NET, NODES, Cluster, Node, wait_for

SERVER, SILENT = "127.0.0.53", "127.0.0.99"  # on every host; the second drops what it is asked
SOON = 5.0  # for what takes a second or two, where it once took as long as a name hung


class NameService:
    """The names of the nodes, NAME.test, as every host of the test sees them."""

    def __init__(self, directory: Path) -> None:
        self._table = directory / "names"
        self._configuration = directory / "resolv.conf"
        self.names: Dict[str, str] = {}
        self.become({f"{name}.test": place.host for name, place in NODES.items()})
        self.ask(SERVER)

    def become(self, names: Dict[str, str]) -> None:
        self.names = dict(names)
        changed = self._table.with_suffix(".new")
        changed.write_text("".join(f"{name} {address}\n" for name, address in names.items()))
        changed.rename(self._table)

    def hang(self, name: str) -> None:
        self.become({**self.names, name: "-"})

    def go_silent(self) -> None:
        self._table.unlink()

    def ask(self, *servers: str) -> None:
        """In place: the file is mounted over /etc/resolv.conf."""
        self._configuration.write_text("".join(f"nameserver {server}\n" for server in servers))


@pytest.fixture
def names(hosts: None, tmp_path: Path) -> Iterator[NameService]:
    service = NameService(tmp_path)
    target = os.path.realpath("/etc/resolv.conf")
    subprocess.run(["mount", "--bind", tmp_path / "resolv.conf", target], check=True)
    script = Path(__file__).with_name("name_server.py")
    with ExitStack() as stack:
        stack.callback(subprocess.run, ["umount", target], check=True)
        for host in (*NODES, "w1"):
            command = [NET, "run", host, "/usr/bin/python3", script, tmp_path / "names", SERVER, "!" + SILENT]
            server = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
            stack.callback(server.kill)
            assert server.stdout is not None and server.stdout.readline() == b"listening\n"
        yield service


@pytest.fixture
def named(names: NameService, tmp_path: Path) -> Iterator[Cluster]:
    """Three nodes that know each other by names, not started."""
    cluster = Cluster(tmp_path, by_name=True)
    yield cluster
    cluster.close()


def member_of(node: Node, name: str) -> Any:
    """What a node tells of another."""
    return next(member for member in node.status().members if member.id == name)


def said(node: Node, message: str, peer: str) -> List[str]:
    return [line for line in node.log().splitlines() if f'msg="{message}' in line and f" peer={peer} " in line]


def batonctl(host: str, *arguments: str, timeout: float = 60.0) -> "subprocess.CompletedProcess[str]":
    command = [NET, "run", host, str(BUILD / "batonctl"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)


def failures_to(node: Node, peer: str) -> float:
    (count,) = re.findall(rf'^raft_peer_send_failures_total{{peer="{peer}",.*}} (\d+)$', node.get("/metrics")[2], re.MULTILINE)
    return float(count)


def TestClusterNamesTypo(named: Cluster, names: NameService) -> None:
    """The log says it once, where one looks; so do the status and /nodes."""
    names.become({name: address for name, address in names.names.items() if name != "n3.test"})
    named.start("n1", "n2")
    n1 = named["n1"]
    why = "the name n3.test does not resolve (Domain name not found)"
    wait_for(lambda: said(n1, "cannot reach a peer", "n3"), "n1 logs that it cannot reach n3")
    assert f'level=WARN node=n1 msg="cannot reach a peer" peer=n3 address=n3.test:7400 reason="{why}"' in n1.log()
    member = wait_for(lambda: member_of(n1, "n3"), "n1 tells of n3")
    assert (member.reachable, member.unreachable) == (False, why)
    assert not member_of(n1, "n2").unreachable
    nodes = {node["node"]: node for node in json.loads(n1.get("/nodes", timeout=5.0)[2])}
    assert (nodes["n3"]["reachable"], nodes["n3"]["error"]) == (False, why)
    assert nodes["n2"]["reachable"] and "error" not in nodes["n2"]
    status = batonctl("n1", "--endpoints", n1.known_as, "status")
    assert status.returncode == 0 and f"n1 does not reach n3: {why}\n" in status.stdout, status
    assert re.search(rf"^n3\.test:7400 +n3 +aws +{re.escape(why)} ", status.stdout, re.MULTILINE), status.stdout
    status = batonctl("n1", "--endpoints", n1.known_as, "-o", "json", "status")
    assert {node["node"]: node.get("does_not_reach") for node in json.loads(status.stdout)}["n1"] == {"n3": why}
    named.leader()
    before = failures_to(named.leader(), "n3")
    wait_for(lambda: failures_to(named.leader(), "n3") > before + 30, "many more attempts")
    assert len(said(n1, "cannot reach a peer", "n3")) == 1
    names.become({f"{name}.test": place.host for name, place in NODES.items()})
    named.start("n3")
    wait_for(lambda: member_of(n1, "n3").reachable, "n3 is reached")
    assert not member_of(n1, "n3").unreachable


def TestClusterNamesSwapped(named: Cluster, names: NameService) -> None:
    """Each of two names leads to the other node; nothing of it is believed, and all is well once the names are right."""
    right = dict(names.names)
    names.become({**right, "n2.test": right["n3.test"], "n3.test": right["n2.test"]})
    named.start()
    n1 = named["n1"]
    for peer, other in (("n2", "n3"), ("n3", "n2")):
        line = wait_for(lambda: said(n1, "another node answers at a peer's address", peer), f"n1 finds {other} as {peer}")[0]
        assert f'address={peer}.test:7400 at={NODES[other].host}:7400 found="node {other} of cluster test"' in line
        member = member_of(n1, peer)
        assert (member.reachable, member.rtt_ms, member.match_index) == (False, 0, 0)
        assert member.unreachable == f"node {other} of cluster test answers at {peer}.test:7400 ({NODES[other].host}:7400)"
    # n2 finds itself under n3's name.
    assert wait_for(lambda: said(named["n2"], "another node answers at a peer's address", "n3"), "n2 finds itself")
    assert not said(n1, "connected to peer", "n2") and not said(n1, "connected to peer", "n3")
    names.become(right)
    named.leader(deadline=10.0)
    for node in named.nodes.values():
        for peer in named.others(node.name):
            wait_for(lambda: member_of(node, peer.name).reachable, f"{node.name} reaches {peer.name}", 10.0)
    named.wait_applied(named.put("k", "v"))


@contextmanager
def stranger(directory: Path, at: str, name: str) -> Iterator[harness.Process]:
    """A node of another cluster, at the address of one of ours."""
    host = NODES[at].host
    command = [
        str(BUILD / "batond"),
        *("--node-id", name, "--cluster-id", "other", "--cloud", "gcp", "--data-dir", str(directory / "x")),
        *("--listen", f"{host}:{GRPC_PORT}", "--http", f"{host}:{HTTP_PORT}", "--peers", f"{name}={host}:{GRPC_PORT}/gcp"),
        *("--bootstrap", "--insecure"),
    ]
    process = harness.Process(at, directory / "x.log", command, {})
    process.start()
    try:
        yield process
    finally:
        process.kill()


@pytest.mark.parametrize("name", ["x", "n2"])
def TestClusterStrangerAtAPeersAddress(cluster: Cluster, tmp_path: Path, name: str) -> None:
    """n2's address was given to a node of another cluster, whatever its id: nothing of it is believed, and nobody is advised to
    found a node anew."""
    n1 = cluster.lead_by("n1")
    cluster.wait_applied(cluster.put("before", "v"))
    known = member_of(n1, "n2").match_index
    cluster["n2"].kill()
    with stranger(tmp_path, "n2", name) as other:
        wait_for(lambda: "batond is up" in other.log(), "the stranger is up")
        line = wait_for(lambda: said(n1, "another node answers at a peer's address", "n2"), "n1 finds the stranger")[0]
        assert "level=WARN" in line and f'found="node {name} of cluster other"' in line
        cluster.wait_applied(cluster.put("while", "v"), "n1", "n3")
        member = member_of(n1, "n2")
        assert not member.reachable and member.match_index == known
        assert member.unreachable == f"node {name} of cluster other answers at {NODES['n2'].host}:7400"
        nodes = {node["node"]: node for node in json.loads(n1.get("/nodes", timeout=5.0)[2])}
        assert nodes["n2"]["error"] == "a node of another cluster answers at its address"
        assert not nodes["n2"]["reachable"]
        for node in (n1, cluster["n3"]):
            wait_for(lambda: said(node, "another node answers at a peer's address", "n2"), f"{node.name} finds the stranger")
            assert "bootstrap the wrong one" not in node.log() and "level=ERROR" not in node.log()
            assert len(said(node, "another node answers at a peer's address", "n2")) == 1  # not at each attempt
    cluster.start("n2")
    wait_for(lambda: member_of(n1, "n2").reachable and not member_of(n1, "n2").unreachable, "n2 is reached again")
    cluster.wait_applied(cluster.put("after", "v"))


@pytest.mark.parametrize("how", ["silent", "without names"])
def TestClusterNameServiceDown(named: Cluster, names: NameService, how: str) -> None:
    """All connections break at once while no name resolves: the last addresses are used."""
    named.start()
    named.wait_applied(named.put("before", "v"))
    if how == "silent":
        names.go_silent()
    else:
        names.become({})
    leader, restarted = named.leader(), named.followers()[0]
    restarted.kill()  # one comes back and knows no address, but is called by the others
    for host in NODES:
        ends = f"( sport = :{GRPC_PORT} or dport = :{GRPC_PORT} )"
        subprocess.run([NET, "run", host, "ss", "-K", "state", "established", ends], check=False, capture_output=True)
    restarted.start()
    named.wait_applied(named.put("during", "v", deadline=SOON * 2), deadline=SOON * 2)
    for node in (leader, *named.others(leader.name, restarted.name)):
        wait_for(lambda: "cannot resolve a name; its last addresses are used" in node.log(), f"{node.name} says so")


def TestClusterNameHangs(named: Cluster, names: NameService) -> None:
    """The lookups of a dead node's name hang, many at once; a node that restarts is reached without waiting for them."""
    named.start()
    named.wait_applied(named.put("before", "v"))
    named["n3"].kill()
    names.hang("n3.test")
    n1 = named.lead_by("n1")
    with ExitStack() as stack:
        end = threading.Event()
        stack.callback(end.set)

        def read() -> None:
            while not end.is_set():
                try:
                    n1.get("/nodes", timeout=10.0)
                except OSError:
                    end.wait(0.1)

        for _ in range(6):
            threading.Thread(target=read, daemon=True).start()
        before = failures_to(n1, "n3")
        wait_for(lambda: failures_to(n1, "n3") > before + 30, "n3 is missed")
        for _ in range(2):
            named["n2"].kill()
            named["n2"].start()
            began = time.monotonic()
            named.put("during", "v", deadline=60.0)
            took = time.monotonic() - began
            print(f"a write after {took:.2f} s")
            assert took < SOON


def TestClusterFirstNameServerDead(named: Cluster, names: NameService) -> None:
    """Of two name servers the first drops everything, so that a lookup takes longer than a call: workers and batonctl go on
    with it when the call has ended; nodes ask the second sooner."""
    named.start("n1", "n2")
    named.put("k", "v")
    names.ask(SILENT, SERVER)
    endpoints = [node.known_as for node in named.nodes.values()]
    named.worker("w1", endpoints)
    got = batonctl("w1", "--endpoints", ",".join(endpoints), "get", "k")
    assert (got.returncode, got.stdout) == (0, "v"), got
    named.start("n3")
    wait_for(lambda: named["n3"].get("/readyz")[0] == 200, "n3 is ready", 10.0)
    named.wait_online("w1", deadline=60.0)


def TestClusterManyWatchesOnOneConnection(cluster: Cluster) -> None:
    """Beyond a connection's limit a Watch is refused with a reason; calls on the connection go on."""
    from baton.v1 import control_pb2 as pb
    from baton.v1 import control_pb2_grpc

    leader = cluster.leader()
    stub = control_pb2_grpc.ControlServiceStub(leader.channel)
    watches = [stub.Watch(pb.WatchRequest(prefix=b"watched")) for _ in range(1000)]
    refused: List[grpc.RpcError] = []
    begun = 0
    for watch in watches:
        try:
            next(watch)  # the first answer, which has no events
            begun += 1
        except grpc.RpcError as error:
            refused.append(error)
    assert (begun, len(refused)) == (900, 100)
    assert {error.code() for error in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert {error.details() for error in refused} == {"this connection has 900 streaming calls; open another one"}
    revision = leader.call("Put", timeout=2.0, key=b"watched", value=b"v").revision
    for watch in watches[:3]:
        assert next(watch).events[0].revision == revision
    for watch in watches:
        watch.cancel()
    wait_for(lambda: next(stub.Watch(pb.WatchRequest(prefix=b"watched"), timeout=2.0)) is not None, "there is room again")
