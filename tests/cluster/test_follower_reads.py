"""Reads on nodes that do not lead, and Watches from now: never older than what was acknowledged before them."""

from __future__ import annotations

import statistics
import threading
import time
from typing import Any, List

import grpc
import pytest
from harness import DEADLINE, Cluster, Node, wait_for
from test_batonctl import Batonctl, batonctl  # noqa: F401 (a fixture)
from test_store import Watch, refusal


def read(node: Node, key: str = "k", timeout: float = DEADLINE) -> str:
    value: bytes = node.call("Get", timeout=timeout, key=key.encode(), follower=True).value
    return value.decode()


def TestClusterFollowersReadWhatWasAcknowledged(cluster: Cluster) -> None:
    """At once after a write, on every node; what has been applied there takes one round trip to the leader."""
    leader = cluster.lead_in("gcp")
    for number in range(30):
        revision = leader.call("Put", key=b"k", value=str(number).encode()).revision
        for node in cluster.nodes.values():
            assert read(node) == str(number)
        listed = cluster["n3"].call("List", follower=True)
        assert listed.read_index >= revision and listed.items[0].revision == revision
    took: dict[str, List[float]] = {name: [] for name in cluster.nodes}
    for name, node in cluster.nodes.items():
        for _ in range(20):
            began = time.monotonic()
            assert read(node) == "29"
            took[name].append(time.monotonic() - began)
    assert 0.050 <= statistics.median(took["n3"]) < 0.090, took  # and not the 100 of two round trips
    assert statistics.median(took["n2"]) < 0.040 and statistics.median(took["n1"]) < 0.040, took
    follower = cluster.followers()[0]
    assert not follower.call("ListWorkers", follower=True).workers
    assert refusal(follower, "Get", key=b"k")[0] == grpc.StatusCode.FAILED_PRECONDITION
    code, _, message = refusal(follower, "Get", key=b"k", stale=True, follower=True)
    assert code == grpc.StatusCode.INVALID_ARGUMENT and "follower" in message
    assert refusal(follower, "Get", key=b"none", follower=True)[0] == grpc.StatusCode.NOT_FOUND


def TestClusterPartitionedFollowerReadsNothingStale(cluster: Cluster) -> None:
    leader = cluster.lead_in("gcp")
    leader.call("Put", key=b"k", value=b"old")
    far = cluster["n3"]
    assert read(far) == "old"
    with cluster.cut():
        wait_for(lambda: cluster.leader().call("Put", timeout=1.0, key=b"k", value=b"new"), "a write without n3")
        for _ in range(3):
            code, _, message = refusal(far, "Get", key=b"k", follower=True)
            assert code == grpc.StatusCode.UNAVAILABLE and "try again" in message, message
        assert far.call("Get", key=b"k", stale=True).value == b"old"
    assert wait_for(lambda: read(far), "n3 reads again") == "new"


def TestClusterFollowerReadsAcrossLeaders(cluster: Cluster) -> None:
    """While leaders are stopped and killed, a read has what was acknowledged before it began, or fails and says what to do."""
    cluster.leader()
    acknowledged, stop = [0], threading.Event()
    complaints: List[str] = []
    reads = [0]

    def write() -> None:
        number = 0
        nodes = list(cluster.nodes.values())
        while not stop.is_set():
            number += 1
            try:
                nodes[0].call("Put", timeout=1.0, key=b"k", value=str(number).encode())
                acknowledged[0] = number
            except grpc.RpcError:
                nodes.append(nodes.pop(0))
                stop.wait(0.02)

    def follow(node: Node) -> None:
        while not stop.is_set():
            before = acknowledged[0]
            try:
                got = int(read(node, timeout=3.0))
                reads[0] += 1
                if got < before:
                    complaints.append(f"{node.name} read {got} after {before} was acknowledged")
            except grpc.RpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.NOT_FOUND,
                                        grpc.StatusCode.DEADLINE_EXCEEDED):  # fmt: skip
                    complaints.append(f"{node.name}: {error.code()}: {error.details()}")
                stop.wait(0.02)

    threads = [threading.Thread(target=write)]
    threads += [threading.Thread(target=follow, args=(node,)) for node in cluster.nodes.values()]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            wanted = reads[0] + 200
            wait_for(lambda: reads[0] >= wanted or complaints, "reads go on")
            leader = cluster.leader()
            leader.pause()  # it still takes itself for the leader when it goes on
            cluster.leader(other_than=leader.name)
            leader.resume()
            leader = cluster.leader()
            leader.kill()
            cluster.leader(other_than=leader.name)
            leader.start()
        wanted = reads[0] + 200
        wait_for(lambda: reads[0] >= wanted or complaints, "reads go on")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not complaints


class LateWatch:
    """A Watch from now whose first response may come late."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.watch: Any = None
        self.error: Any = None
        self.thread = threading.Thread(target=self.open)
        self.thread.start()

    def open(self) -> None:
        try:
            self.watch = Watch(self.node, prefix=b"w/")
        except AttributeError as error:  # the first thing to come is an error
            self.error = error


def TestClusterWatchFromNowIsNew(cluster: Cluster) -> None:
    """On a node that has just restarted and hears no leader a Watch from now waits, and then brings no earlier write."""
    leader = cluster.lead_in("gcp")
    far = cluster["n3"]
    far.kill()
    last = max(leader.call("Put", key=f"w/{number}".encode(), value=b"old").revision for number in range(50))
    with cluster.cut():
        far.start()
        wait_for(far.status, "n3 is up")
        late = LateWatch(far)
        wait_for(lambda: "running_calls 1" in far.get("/metrics")[2], "its Watch has arrived")
    late.thread.join(DEADLINE)
    assert late.watch is not None and late.watch.began.revision >= last
    revision = leader.call("Put", key=b"w/new", value=b"new").revision
    assert late.watch.take(1) == [(b"w/new", b"new", revision)]


def TestClusterWatchWithoutLeader(cluster: Cluster) -> None:
    """It waits for a leader, and after two seconds says that there is none."""
    cluster.lead_in("gcp")
    with cluster.cut():
        from baton.v1 import control_pb2 as pb
        from baton.v1 import control_pb2_grpc

        stub = control_pb2_grpc.ControlServiceStub(cluster["n3"].channel)
        with pytest.raises(grpc.RpcError) as raised:
            next(stub.Watch(pb.WatchRequest(prefix=b"w/"), timeout=10.0))
        assert raised.value.code() == grpc.StatusCode.UNAVAILABLE, raised.value


def TestBatonctlReadsFromAFollower(cluster: Cluster, batonctl: Batonctl) -> None:  # noqa: F811
    leader = cluster.lead_in("gcp")
    batonctl("put", "k", "v")
    cluster.wait_applied(leader.status().commit_index)  # so all three have started

    def reads(name: str) -> float:
        return float(cluster[name].get("/metrics")[2].split("\nraft_reads_total ")[1].split()[0])

    assert batonctl("get", "k", "--from", "follower/aws") == "v"
    assert reads("n3") == 1
    other = "n1" if leader.name == "n2" else "n2"
    assert batonctl("get", "k", "--from", "follower/gcp") == "v"
    assert reads(other) == 1
    assert "k" in batonctl("list", "--from", "follower")
    assert "no follower in mars can be reached" in batonctl.error(1, "get", "k", "--from", "follower/mars")
