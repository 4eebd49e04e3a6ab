"""Writes are on every node, in order, and survive every crash."""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import time
from pathlib import Path
from typing import Iterator

import grpc
import pytest
from harness import ATTEMPT, DEADLINE, Cluster, wait_for

REPLICATION_LIMIT = 0.5


def same_logs(cluster: Cluster) -> bytes:
    """The three logs up to the common commit index, which must be equal byte for byte."""

    def equal() -> bytes:
        to = min(node.status().commit_index for node in cluster.nodes.values())
        dumps = {node.name: node.dump_wal(to) for node in cluster.nodes.values()}
        assert all(f'{{"index":{to},'.encode() in dump for dump in dumps.values()), f"an entry below {to} is missing"
        assert len(set(dumps.values())) == 1, {name: hashlib.sha256(dump).hexdigest() for name, dump in dumps.items()}
        return dumps["n1"]

    return wait_for(equal, "logs to compare")


def TestClusterWriteIsOnAllNodesInTime(cluster: Cluster) -> None:
    cluster.put("warm", "up")
    leader, followers = cluster.leader(), cluster.followers()
    took = []
    for number in range(40):
        key, value = b"key", str(number).encode()
        began = time.monotonic()
        leader.call("Put", key=key, value=value)
        for follower in followers:
            wait_for(
                lambda: follower.call("Get", key=key, stale=True).value == value, f"{follower.name} has write {number}"
            )
        took.append(time.monotonic() - began)
    took.sort()
    print(f"on all followers within {statistics.median(took) * 1000:.0f} ms (median), {took[-1] * 1000:.0f} ms (most)")
    # A busy machine may make this process, or a node, wait for its turn once; twice in forty is no accident.
    assert took[-2] < REPLICATION_LIMIT, took


def TestClusterStoppedFollowerCatchesUp(cluster: Cluster) -> None:
    cluster.put("before", "1")
    follower = cluster.followers()[0]
    follower.pause()
    for number in range(100):
        cluster.leader().call("Put", key=f"k{number}".encode(), value=str(number).encode())
    commit = cluster.leader().status().commit_index
    follower.resume()
    cluster.wait_applied(commit, follower.name)
    assert follower.call("Get", key=b"k99", stale=True).value == b"99"
    same_logs(cluster)


def TestClusterKilledFollowerCatchesUp(cluster: Cluster) -> None:
    follower = cluster.followers()[0]
    with cluster.load(2) as acknowledged:
        wait_for(lambda: len(acknowledged) > 20, "some writes")
        follower.kill()
        count = len(acknowledged)
        wait_for(lambda: len(acknowledged) > count + 50, "writes go on with two of three")
        follower.start()
    cluster.wait_applied(cluster.leader().status().commit_index, follower.name)
    same_logs(cluster)


def TestClusterLogsAreEqual(cluster: Cluster) -> None:
    """Through a change of leader, with entries on the old one that no other node has."""
    with cluster.load(4) as acknowledged:
        wait_for(lambda: len(acknowledged) > 100, "some writes")
        old = cluster.leader()
        old.kill()
        cluster.leader(other_than=old.name)
        count = len(acknowledged)
        wait_for(lambda: len(acknowledged) > count + 100, "writes after the change")
        old.start()
    cluster.wait_applied(cluster.leader().status().commit_index)
    log = same_logs(cluster)
    entries = cluster.leader().log_entries()
    assert [entry.index for entry in entries] == list(range(1, len(entries) + 1))
    assert len(log.splitlines()) <= len(entries)


def TestClusterKilledAtOnceLosesNothing(cluster: Cluster) -> None:
    """Three times: every acknowledged write survives the kill of all nodes under load."""
    acknowledged = {}
    for _ in range(3):
        with cluster.load(8) as acknowledged_now:
            wait_for(lambda: len(acknowledged_now) > 200, "some writes", DEADLINE)
            cluster.kill_all()
        cluster.start()
        cluster.leader()
        # Keys of one round are overwritten in the next by the same values.
        acknowledged.update(acknowledged_now)
        found = everything(cluster)
        missing = {key: value for key, value in acknowledged.items() if found.get(key) != value}
        assert not missing, f"{len(missing)} of {len(acknowledged)} acknowledged writes are lost, for instance {min(missing)}"
    print(f"{len(acknowledged)} acknowledged writes are there")
    cluster.wait_applied(cluster.leader().status().commit_index)
    same_logs(cluster)


@pytest.fixture
def small_disk(empty_cluster: Cluster) -> Iterator[Path]:
    """n1's data directory: a file system of 8 MiB."""
    data = empty_cluster["n1"].data
    data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", data], check=True)
    yield data
    subprocess.run(["umount", "--lazy", data], check=True)


def TestClusterFullDisk(empty_cluster: Cluster, small_disk: Path) -> None:
    """A node whose disk is full stops leading, acknowledges nothing, still votes, and recovers once there is space."""
    cluster, full = empty_cluster, empty_cluster["n1"]
    cluster.start()
    cluster.lead_by(full.name)
    acknowledged = []
    with pytest.raises(grpc.RpcError):
        while len(acknowledged) < 100:
            key = b"big/%d" % len(acknowledged)
            full.call("Put", key=key, value=bytes(200_000), timeout=DEADLINE)
            acknowledged.append(key)
    assert "no space for the log" in full.log() and 'reason="the disk is full"' in full.log()
    candidacies = full.log().count("to Candidate")
    leader = cluster.leader(other_than=full.name)
    for key in acknowledged:
        assert len(leader.call("Get", key=key).value) == 200_000
    cluster.put("meanwhile", "1")
    cluster.wait_applied(full.status().commit_index, full.name)
    assert full.get("/livez")[0] == 200
    assert full.call("Get", key=acknowledged[0], stale=True).revision > 0

    # Its vote is needed, and is enough for a leader; not for a commit.
    leader.kill()
    other = next(node for node in cluster.others(full.name, leader.name))
    wait_for(lambda: other.status().role == "leader", f"{other.name} is elected with the vote of {full.name}")
    with pytest.raises(grpc.RpcError) as raised:
        other.call("Put", key=b"alone", value=b"1", timeout=1.0)
    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED, raised.value
    assert full.log().count("to Candidate") == candidacies

    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    wait_for(lambda: "there is space for the log again" in full.log(), f"{full.name} recovers")
    cluster.put("again", "1")
    leader.start()
    cluster.wait_applied(cluster.leader().status().commit_index)
    same_logs(cluster)


def TestClusterStartsOnAFullDisk(empty_cluster: Cluster, small_disk: Path) -> None:
    """A node whose disk fills up while it is stopped starts, votes with what it has reserved, and stops and starts again."""
    cluster, full = empty_cluster, empty_cluster["n1"]
    cluster.start()
    leader = cluster.lead_by("n2")
    cluster.wait_applied(cluster.put("k", "1"))
    full.stop()
    with pytest.raises(OSError, match="No space left"), (small_disk / "ballast").open("wb", buffering=0) as ballast:
        while True:
            assert ballast.write(bytes(4096)) > 0
    assert os.statvfs(small_disk).f_bavail == 0
    for times in range(2):
        full.start()
        wait_for(lambda: full.status().leader == leader.name, "it follows")
        leader.kill()
        other = next(node for node in cluster.others(full.name, leader.name))
        wait_for(lambda: other.status().role == "leader", f"{other.name} is elected with the vote of {full.name}")
        assert "no space for the log" in full.log()
        full.stop()
        leader.start()
        leader = cluster.leader()
    full.start()
    (small_disk / "ballast").unlink()
    cluster.wait_applied(cluster.put("k", "2"))
    same_logs(cluster)


def everything(cluster: Cluster) -> dict[str, str]:
    """All keys and values, linearizably."""
    found: dict[str, str] = {}
    after = b""
    while True:
        page = wait_for(lambda: cluster.leader().call("List", timeout=ATTEMPT, prefix=b"load/", start_after=after), "a page of keys")
        for item in page.items:
            found[item.key.decode()] = item.value.decode()
            after = item.key
        if not page.more:
            return found
