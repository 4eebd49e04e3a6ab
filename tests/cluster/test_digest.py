"""A node whose state is not the others': it is found, stops serving, and is rebuilt.

The nodes are of a build that damages its own state on a signal (Meson's option fault_injection).
"""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Dict, Iterator, Tuple

import grpc
import harness
import pytest
from harness import DEADLINE, Cluster, Node, wait_for

FLIP_BIT = signal.SIGUSR1
MISAPPLY = signal.SIGUSR2
DIGEST_INTERVAL = 10_000
FAULTY = harness.BUILD / "asan/src/cmd/batond"


@pytest.fixture
def empty_cluster(hosts: None, tmp_path: Path) -> Iterator[Cluster]:
    """Three nodes, not started, that can be damaged."""
    assert FAULTY.exists(), f"{FAULTY} is missing: meson setup build/asan -Dfault_injection=true, as tests/run does"
    cluster = Cluster(tmp_path)
    for node in cluster.nodes.values():
        node._command[node._command.index(str(harness.BUILD / "batond"))] = str(FAULTY)
    yield cluster
    cluster.close()


def snapshot(node: Node) -> int:
    return int(node.call("Snapshot").index)


def is_out_of_service(node: Node) -> bool:
    return bool(node.status().quarantine) and node.get("/readyz")[0] == 503


def assert_serves_nobody(node: Node, why: str) -> None:
    assert why in node.status().quarantine and "--rebuild" in node.status().quarantine
    assert why in node.get("/readyz")[2]
    assert 'baton_quarantined{reason="diverged"} 1' in node.get("/metrics")[2]
    assert f'level=ERROR node={node.name} msg="this node stops serving" cause=diverged' in node.log()
    with pytest.raises(grpc.RpcError) as raised:
        node.call("Get", key=b"a", stale=True)
    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
    assert ("baton-reason", "quarantined") in raised.value.trailing_metadata()
    assert node.call("ReadLog").entries  # its log is sound


def rebuild(node: Node) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*node._command, "--rebuild"], capture_output=True, text=True, timeout=DEADLINE)


def digests(node: Node) -> Dict[int, int]:
    return {told.index: told.digest for told in node.status().digests}


def assert_same_digests(cluster: Cluster) -> None:
    """Of images of one index."""

    def one_index() -> int:
        indexes = {snapshot(node) for node in cluster.nodes.values()}
        return indexes.pop() if len(indexes) == 1 else 0

    index = wait_for(one_index, "snapshots of one index")
    assert len({digests(node)[index] for node in cluster.nodes.values()}) == 1


def pass_a_digest(cluster: Cluster) -> int:
    """Writes until all have applied the next index whose digest is kept; returns it."""
    bench = [str(harness.BUILD / "baton-bench"), "--in-flight", "256", "--count", str(DIGEST_INTERVAL), "--keys", "100"]
    leader = cluster.leader()
    index = leader.status().commit_index // DIGEST_INTERVAL * DIGEST_INTERVAL + DIGEST_INTERVAL
    done = subprocess.run([*bench, "--endpoints", leader.address], capture_output=True, text=True, timeout=4 * DEADLINE)
    assert done.returncode == 0, done.stdout + done.stderr
    cluster.wait_applied(index)
    return index


def two_followers(cluster: Cluster) -> Tuple[Node, Node, Node]:
    leader = cluster.lead_by("n1")
    return (leader, cluster["n2"], cluster["n3"])


def TestDigestFindsAFlippedBit(cluster: Cluster) -> None:
    leader, damaged, other = two_followers(cluster)
    cluster.put("a", "value")
    cluster.wait_applied(leader.status().commit_index)
    damaged.signal(FLIP_BIT)
    wait_for(lambda: damaged.call("Get", key=b"a", stale=True).value == b"walue", "the bit is another")
    cluster.put("b", "value")
    cluster.wait_applied(leader.status().commit_index)
    with pytest.raises(grpc.RpcError) as raised:
        snapshot(damaged)
    assert "STATE_DAMAGED" in raised.value.details()
    assert_serves_nobody(damaged, "STATE_DAMAGED")
    assert not list((damaged.data / "snap").glob("*.snap"))
    # The others serve, also where its acknowledgement is needed for a majority.
    other.stop()
    cluster.put("c", "value")
    other.start()
    wait_for(lambda: leader.status().members[1].quarantine, "the leader tells of it")
    assert rebuild(damaged).returncode == 4  # it runs
    damaged.stop()
    done = rebuild(damaged)
    assert done.returncode == 0 and "start this node as usual" in done.stdout, done
    damaged.start()
    wait_for(lambda: damaged.status().leader and not damaged.status().quarantine, "it serves again")
    cluster.wait_applied(leader.status().commit_index)
    assert damaged.call("Get", key=b"a", stale=True).value == b"value"
    assert_same_digests(cluster)


def TestDigestOfALeaderWithAFlippedBit(cluster: Cluster) -> None:
    """Leadership moves on, and no acknowledged write is lost, although the leader was the one that was damaged."""
    leader, *_ = two_followers(cluster)
    cluster.put("a", "value")
    with cluster.load(4) as acknowledged:
        wait_for(lambda: len(acknowledged) > 20, "writes are acknowledged")
        leader.signal(FLIP_BIT)
        wait_for(lambda: leader.call("Get", key=b"a", stale=True).value == b"walue", "the bit is another")
        with pytest.raises(grpc.RpcError) as raised:
            snapshot(leader)
        assert "STATE_DAMAGED" in raised.value.details()
        successor = cluster.leader(other_than=leader.name)
        before = len(acknowledged)
        wait_for(lambda: len(acknowledged) > before + 20, "writes go on")
    assert_serves_nobody(leader, "STATE_DAMAGED")
    assert f"{leader.name} transitioned from Leader to Follower" in leader.log()
    for key, value in acknowledged.items():
        assert successor.call("Get", key=key.encode()).value == value.encode()
    assert successor.status().leader == successor.name  # it did not come back


def TestDigestOfAMajorityDecides(cluster: Cluster) -> None:
    _, damaged, other = two_followers(cluster)
    damaged.signal(MISAPPLY)
    cluster.wait_applied(cluster.put("a", "value"))
    diverged = snapshot(damaged)  # the state agrees with itself: only the others' tells that it is wrong
    index = pass_a_digest(cluster)
    wait_for(lambda: is_out_of_service(damaged), f"{damaged.name} learns that its state is not the majority's")
    assert_serves_nobody(damaged, f"after entry {index}")
    assert not other.status().quarantine and not cluster.leader().status().quarantine
    assert digests(damaged)[index] != digests(other)[index] == digests(cluster.leader())[index]
    damaged.stop()
    (damaged.data / "snap" / "0000000000000009-1.snap.part").write_text("left by one that was interrupted")
    done = rebuild(damaged)
    assert done.returncode == 0, done
    (image,) = (damaged.data / "snap").iterdir()
    assert image.suffix == ".snap" and int(image.name.split("-")[0]) != diverged
    damaged.start()
    wait_for(lambda: damaged.status().leader and not damaged.status().quarantine, "it serves again")
    assert_same_digests(cluster)
    assert not any(node.status().quarantine for node in cluster.nodes.values())


def TestDigestRebuildIsRefused(cluster: Cluster) -> None:
    """Without a log, without anyone who gives a state, and by a node that is out of service itself."""
    leader, damaged, other = two_followers(cluster)
    cluster.put("a", "value")
    cluster.wait_applied(leader.status().commit_index)
    damaged.stop()
    other.signal(FLIP_BIT)
    wait_for(lambda: other.call("Get", key=b"a", stale=True).value == b"walue", "the bit is another")
    with pytest.raises(grpc.RpcError):
        snapshot(other)
    leader.stop()
    before = sorted(path.name for path in (damaged.data / "snap").iterdir())
    done = rebuild(damaged)
    assert done.returncode == 1 and "nothing was changed" in done.stderr, done
    assert "out of service" in done.stderr and "n1 at 198.18.1.1:7400: it is not reached" in done.stderr
    assert sorted(path.name for path in (damaged.data / "snap").iterdir()) == before
    empty = subprocess.run(
        [*damaged._command, "--rebuild", "--data-dir", str(damaged.data / "none")], capture_output=True, text=True
    )
    assert empty.returncode in (2, 4), empty
