"""Reads under leases (--lease-reads): without a round trip to a majority, and never older than what was acknowledged before."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Iterator

import grpc
import pytest
from harness import DEADLINE, Cluster, Node, wait_for


@pytest.fixture
def leasing(hosts: None, tmp_path: Path) -> Iterator[Cluster]:
    """Three nodes with --lease-reads; their leader is in aws, and so 50 ms from a majority."""
    empty_cluster = Cluster(tmp_path, ("--lease-reads",))
    empty_cluster.start()
    empty_cluster.lead_in("aws")
    yield empty_cluster
    empty_cluster.close()


def read_ms(node: Node) -> float:
    began = time.monotonic()
    node.call("Get", key=b"k")
    return (time.monotonic() - began) * 1000


def median_ms(node: Node) -> float:
    """Of a second, so that heartbeats come and go meanwhile."""
    return statistics.median([read_ms(node) for _ in range(60) if time.sleep(0.015) is None])


def TestClusterLeaseReadsAskNobody(leasing: Cluster) -> None:
    leader = leasing.leader()
    leader.call("Put", key=b"k", value=b"1")
    assert median_ms(leader) < 5
    # A follower near the leader would gain most; this one still needs the round trip to it.
    assert leasing["n1"].call("Get", key=b"k", follower=True).value == b"1"


def TestClusterLeaseNeedsPromisesOfAMajority(leasing: Cluster) -> None:
    """A leader with the flag among voters without it asks them each time."""
    leasing.leader().call("Put", key=b"k", value=b"1")
    for name in ("n1", "n2"):
        node = leasing[name]
        node.stop()
        node._command.remove("--lease-reads")
        node.start()
        wait_for(lambda: node.status().leader == "n3", f"{name} follows n3")
    leader = leasing.lead_by("n3")
    assert median_ms(leader) >= 50


def TestClusterPausedLeaderReadsNothingStale(leasing: Cluster) -> None:
    """It hears of no other leader when it goes on; the reads are in its socket, and what they miss was acknowledged before."""
    from baton.v1 import control_pb2 as pb
    from baton.v1 import control_pb2_grpc

    old = leasing.leader()
    old.call("Put", key=b"k", value=b"old")
    assert old.call("Get", key=b"k").value == b"old"
    stub = control_pb2_grpc.ControlServiceStub(old.channel)
    old.pause()
    with leasing.cut():
        new = leasing.leader(other_than=old.name)
        wait_for(lambda: new.call("Put", timeout=1.0, key=b"k", value=b"new"), f"{new.name} writes")
        asked = [stub.Get.future(pb.GetRequest(key=b"k"), timeout=DEADLINE) for _ in range(20)]
        old.resume()
        for answer in asked:
            with pytest.raises(grpc.RpcError) as refused:
                answer.result()
            assert refused.value.code() == grpc.StatusCode.UNAVAILABLE, refused.value.details()
    assert wait_for(lambda: old.call("Get", key=b"k", follower=True), "it follows").value == b"new"


def TestClusterLeaseOutlivesARestart(leasing: Cluster) -> None:
    """A voter that was killed and is started without the flag keeps what it may have promised."""
    node = leasing["n1"]
    node.kill()
    assert (node.data / "LEASES").exists()
    node._command.remove("--lease-reads")
    node.start()
    wait_for(lambda: node.status().leader, "n1 follows a leader")
    assert "an earlier process may have promised a lease" in node.log()
