"""A follower that lags behind the compacted log is sent a snapshot (paper section 7), on real processes.

The log is kept short and snapshots are taken often, so that a follower that misses some thousand writes needs one.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Callable, Iterator, List, Set, Tuple

import grpc
import pytest

from harness import Cluster, Node, wait_for

OFTEN = ("--snapshot-log-bytes", "256KiB", "--log-retention", "64KiB")
SLOWLY = (*OFTEN, "--snapshot-rate", "1MiB")
TAIL = 10_000  # entries that are kept behind a snapshot in any case


@pytest.fixture
def cluster_of(hosts: None, tmp_path: Path) -> Iterator[Callable[[Tuple[str, ...]], Cluster]]:
    made: List[Cluster] = []

    def make(flags: Tuple[str, ...]) -> Cluster:
        made.append(Cluster(tmp_path, extra=flags))
        return made[0]

    yield make
    made[0].close()


def write_many(leader: Node, count: int, size: int, prefix: str = "k") -> None:
    """`count` writes of `size` bytes to as many keys, many at once."""
    from baton.v1 import control_pb2 as pb
    from baton.v1 import control_pb2_grpc

    stub = control_pb2_grpc.ControlServiceStub(leader.channel)
    pending: List[Any] = []
    for i in range(count):
        request = pb.PutRequest(key=f"{prefix}{i}".encode(), value=(f"{i} " * size)[:size].encode())
        pending.append(stub.Put.future(request, timeout=30))
        if len(pending) == 200:
            for call in pending:
                call.result()
            pending.clear()
    for call in pending:
        call.result()


def value_on(node: Node, key: str) -> bytes:
    """What the node itself has."""
    return bytes(node.call("Get", key=key.encode(), stale=True).value)


def is_compacted_beyond(leader: Node, index: int) -> bool:
    return leader.status().log_first_index > index + 1


def parts(node: Node) -> List[Path]:
    return [part for part in (node.data / "snap").glob("*.part") if part.stat().st_size > 0]


def lag(cluster: Cluster, node: Node, count: int, size: int) -> int:
    """Kills the node, and writes until the leader's log no longer has what it lacks; returns the last index."""
    leader = cluster.lead_by("n1")
    behind = wait_for(node.status, f"{node.name} has started").last_log_index
    node.kill()
    write_many(leader, TAIL + 2000, 10, "tail")
    write_many(leader, count, size)  # the last image has most of these: each is as long as the log before it
    wait_for(lambda: is_compacted_beyond(leader, behind), f"the log begins after {behind}")
    return int(leader.status().commit_index)


def newest_image(node: Node) -> str:
    return max((image.name for image in (node.data / "snap").glob("*.snap")), default="")


def same_images(nodes: List[Node]) -> Callable[[], bool]:
    def check() -> bool:
        names = set.intersection(*({image.name for image in (node.data / "snap").glob("*.snap")} for node in nodes))
        for name in names:
            assert len({(node.data / "snap" / name).read_bytes() for node in nodes}) == 1, f"{name} differs"
        return bool(names)

    return check


def sent_bytes(node: Node) -> int:
    told = re.search(r"^baton_snapshot_sent_bytes_total (\S+)$", node.get("/metrics")[2], re.MULTILINE)
    assert told
    return int(float(told[1]))


def taken(node: Node) -> Set[int]:
    """The indexes of the snapshots that it has taken."""
    return {int(index) for index in re.findall(r'"took a snapshot" index=(\d+)', node.log())}


def TestClusterSnapshotForAFollowerThatLags(cluster_of: Callable[..., Cluster]) -> None:
    cluster = cluster_of(OFTEN)
    cluster.start()
    cluster.put("before", "1")
    n3 = cluster["n3"]
    last = lag(cluster, n3, 500, 1000)
    n3.start()
    cluster.wait_applied(last, "n3")
    assert "installed a snapshot" in n3.log()
    assert value_on(n3, "before") == b"1"
    assert value_on(n3, "k499") == value_on(cluster["n1"], "k499") != b""
    # It goes on from there as any other: with further entries, over a restart, and as a leader.
    cluster.put("after", "2")
    cluster.wait_applied(cluster["n1"].status().commit_index, "n3")
    n3.kill()
    n3.start()
    cluster.lead_by("n3")
    assert cluster.get("before") == "1" and cluster.get("k0") != "" and cluster.get("after") == "2"
    for _ in range(30):
        write_many(cluster.leader(), 100, 200, "more")
        cluster.wait_applied(cluster.leader().status().commit_index)
    wait_for(same_images(list(cluster.nodes.values())), "a snapshot of one index on all nodes")


def TestClusterSnapshotIsSentOnce(cluster_of: Callable[..., Cluster]) -> None:
    """Also if chunks arrive while others are still on their way to the disk, as from the same cloud."""
    cluster = cluster_of((*OFTEN, "--snapshot-rate", "4GiB"))
    cluster.start()
    last = lag(cluster, cluster["n2"], 6000, 2000)
    cluster["n2"].start()
    cluster.wait_applied(last, "n2", deadline=60)
    installed = re.search(r'"installed a snapshot" index=\d+ bytes=(\d+)', cluster["n2"].log())
    assert installed and int(installed[1]) > 4_000_000, cluster["n2"].log_tail()
    assert sent_bytes(cluster["n1"]) == int(installed[1])


def TestClusterSnapshotsAreOfTheSameIndexes(cluster_of: Callable[..., Cluster]) -> None:
    """Whatever turns a node makes of the log, and although one was asked for snapshots in between."""
    cluster = cluster_of(OFTEN)
    cluster.start()
    leader = cluster.lead_by("n1")
    asked = set()
    for _ in range(8):
        for _ in range(5):
            write_many(leader, 100, 1000)
            cluster.wait_applied(leader.status().commit_index)
        asked.add(cluster["n2"].call("Snapshot").index)
    by_node = {name: taken(node) - asked for name, node in cluster.nodes.items()}
    shared = set.intersection(*by_node.values())
    # A node on a slow disk lets some go.
    assert len(shared) >= 5 and all(len(shared) >= 0.5 * len(indexes) for indexes in by_node.values()), by_node


def TestClusterSnapshotGoesOnAfterARestart(cluster_of: Callable[..., Cluster]) -> None:
    cluster = cluster_of(SLOWLY)
    cluster.start()
    n3 = cluster["n3"]
    last = lag(cluster, n3, 3000, 1500)
    n3.start()
    wait_for(lambda: parts(n3), "a part of the snapshot has arrived")
    cluster.put("meanwhile", "1", deadline=5)  # others' writes go on
    n3.kill()
    n3.start()
    cluster.wait_applied(last, "n3", deadline=60)
    begun = re.search(r'has arrived before; going on from there" index=\d+ from=(\d+)', n3.log())
    assert begun and int(begun[1]) > 0, n3.log_tail()
    assert "SNAP_CORRUPT" not in n3.log()
    assert value_on(n3, "k2999") == value_on(cluster["n1"], "k2999") != b""


def TestClusterSnapshotGoesOnWithAnotherLeader(cluster_of: Callable[..., Cluster]) -> None:
    cluster = cluster_of(SLOWLY)
    cluster.start()
    n3 = cluster["n3"]
    last = lag(cluster, n3, 3000, 1500)
    cluster.wait_applied(last, "n1", "n2")
    for name in ("n1", "n2"):  # one may have let its last one go, when the one before was not durable yet
        cluster[name].call("Snapshot")
    wait_for(lambda: newest_image(cluster["n1"]) == newest_image(cluster["n2"]), "n1 and n2 have the same newest snapshot")
    n3.start()
    wait_for(lambda: parts(n3), "a part of the snapshot has arrived")
    began_with = parts(n3)[0]
    cluster["n1"].kill()  # n2 has the same snapshots; it needs n3's vote, which is given with its old log
    cluster.leader(other_than="n1")
    cluster.wait_applied(last, "n3", deadline=60)
    assert cluster.leader().name == "n2"
    arrived = re.findall(r'a snapshot arrives from the leader" leader=(\S+) index=(\d+)', n3.log())
    assert arrived[0][0] == "n1"
    # The part was completed, not begun anew, unless n2 had compacted its log beyond it.
    assert len(arrived) == 1 or int(arrived[-1][1]) > int(began_with.name[:16]), n3.log_tail()
    assert value_on(n3, "k2999") == value_on(cluster["n2"], "k2999") != b""


def TestClusterSnapshotReplacesADamagedPart(cluster_of: Callable[..., Cluster]) -> None:
    cluster = cluster_of(SLOWLY)
    cluster.start()
    n3 = cluster["n3"]
    last = lag(cluster, n3, 1500, 1500)
    n3.start()
    part = wait_for(lambda: parts(n3), "a part of the snapshot has arrived")[0]
    n3.kill()
    damaged = bytearray(part.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    part.write_bytes(damaged)
    n3.start()
    cluster.wait_applied(last, "n3", deadline=90)
    assert "SNAP_CORRUPT" in n3.log() and "it is asked for again" in n3.log()
    assert value_on(n3, "k1499") == value_on(cluster["n1"], "k1499") != b""


def TestClusterSnapshotThatIsDamagedOnTheLeader(cluster_of: Callable[..., Cluster]) -> None:
    """The follower refuses it; the leader reads it again, drops it, and takes another one."""
    cluster = cluster_of(OFTEN)
    cluster.start()
    n1, n3 = cluster["n1"], cluster["n3"]
    last = lag(cluster, n3, 500, 1000)
    n1.call("Snapshot")  # so that none is due by itself
    image = n1.data / "snap" / newest_image(n1)
    whole = image.read_bytes()
    damaged = bytearray(whole)
    damaged[len(damaged) // 2] ^= 1
    image.write_bytes(damaged)
    n3.start()
    cluster.wait_applied(last, "n3")
    assert "SNAP_CORRUPT" in n3.log() and n3.log().count("cannot be used") == 1, n3.log_tail()
    assert "a snapshot of this node is damaged" in n1.log() and image.name in n1.log()
    wait_for(lambda: newest_image(n1) >= image.name, "n1 has another one, perhaps of the same index")
    assert not image.exists() or image.read_bytes() == whole
    assert value_on(n3, "k499") == value_on(n1, "k499") != b""


def TestClusterSnapshotEndsWatches(cluster_of: Callable[..., Cluster]) -> None:
    """A Watch on a follower that jumps ahead is told that it has missed changes, and not just silent."""
    cluster = cluster_of(OFTEN)
    cluster.start()
    n3 = cluster["n3"]
    leader = cluster.lead_by("n1")
    cluster.put("w", "1")
    cluster.wait_applied(leader.status().commit_index, "n3")
    from baton.v1 import control_pb2 as pb
    from baton.v1 import control_pb2_grpc

    stub = control_pb2_grpc.ControlServiceStub(n3.channel)
    stream = stub.Watch(pb.WatchRequest(prefix=b"w", from_revision=n3.status().last_applied + 1), timeout=60)
    next(stream)  # it has begun
    n3.pause()
    behind = leader.status().commit_index
    write_many(leader, TAIL + 10_000, 100)  # the log between two snapshots is as long as one, or up to twice as long
    wait_for(lambda: is_compacted_beyond(leader, behind), f"the log begins after {behind}")
    n3.resume()
    cluster.wait_applied(leader.status().commit_index, "n3")
    assert "installed a snapshot" in n3.log()
    try:
        for _ in stream:
            pass
        raise AssertionError("the stream ended in order")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.OUT_OF_RANGE, error
