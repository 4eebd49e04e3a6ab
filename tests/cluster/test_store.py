"""The key-value store for its clients, across changes of leader."""

from __future__ import annotations

import queue
import threading
from typing import Any, Iterator, List, Tuple

import grpc
import pytest
from harness import ATTEMPT, DEADLINE, Cluster, Node, wait_for


def refusal(node: Node, method: str, **fields: Any) -> Tuple[grpc.StatusCode, dict[str, str], str]:
    with pytest.raises(grpc.RpcError) as raised:
        node.call(method, **fields)
    error = raised.value
    return error.code(), dict(error.trailing_metadata()), error.details()


def TestClusterPutGetDelete(cluster: Cluster) -> None:
    leader = cluster.leader()
    first = leader.call("Put", key=b"k", value=b"1").revision
    second = leader.call("Put", key=b"k", value=bytes(range(256))).revision
    got = leader.call("Get", key=b"k")
    assert second > first and (got.value, got.revision) == (bytes(range(256)), second) and got.read_index >= second
    gone = leader.call("Delete", key=b"k")
    assert gone.existed and gone.revision > second
    assert refusal(leader, "Get", key=b"k")[0] == grpc.StatusCode.NOT_FOUND
    assert not leader.call("Delete", key=b"k").existed


def TestClusterExpectedRevision(cluster: Cluster) -> None:
    leader = cluster.leader()
    revision = leader.call("Put", key=b"k", value=b"1", expected_revision=0).revision
    code, trailers, message = refusal(leader, "Put", key=b"k", value=b"2", expected_revision=0)
    assert code == grpc.StatusCode.ABORTED, message
    assert (trailers["baton-reason"], trailers["baton-revision"]) == ("revision-mismatch", str(revision))
    assert leader.call("Get", key=b"k").value == b"1"
    newer = leader.call("Put", key=b"k", value=b"2", expected_revision=revision).revision
    assert refusal(leader, "Delete", key=b"k", expected_revision=revision)[0] == grpc.StatusCode.ABORTED
    assert leader.call("Delete", key=b"k", expected_revision=newer).existed


def TestClusterList(cluster: Cluster) -> None:
    keys = [f"a/{number:03}".encode() for number in range(50)]
    for key in reversed(keys):
        cluster.put(key.decode(), key.decode())
    cluster.put("b", "")
    leader = cluster.leader()
    found: List[bytes] = []
    while True:
        page = leader.call("List", prefix=b"a/", start_after=found[-1] if found else b"", limit=7)
        found += [item.key for item in page.items]
        if not page.more:
            break
        assert len(page.items) == 7
    assert found == keys
    assert len(leader.call("List").items) == 51


def TestClusterLimits(cluster: Cluster) -> None:
    leader = cluster.leader()
    leader.call("Put", key=b"x" * 512, value=b"v")
    leader.call("Put", key=b"large", value=b"v" * (1024 * 1024 - 1024), timeout=10.0)
    invalid, exhausted = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refusal(leader, "Put", key=b"x" * 513, value=b"v")[0] == invalid
    assert refusal(leader, "Put", key=b"", value=b"v")[0] == invalid
    assert refusal(leader, "Put", key=b"k", value=b"v" * (1024 * 1024 + 1), timeout=10.0)[0] in (invalid, exhausted)
    assert refusal(leader, "Put", key=b"k", value=b"v" * (5 * 1024 * 1024), timeout=10.0)[0] == exhausted
    cluster.wait_applied(leader.status().commit_index)


def TestClusterSessionAppliesOnce(cluster: Cluster) -> None:
    """A duplicate sequence, also at the next leader, is answered with the first result and not applied."""
    write: dict[str, Any] = {"key": b"k", "value": b"1", "session": {"client_id": "c", "sequence": 1}}
    revision = cluster.leader().call("Put", **write).revision
    assert cluster.leader().call("Put", **write).revision == revision
    cluster.put("k", "2")
    old = cluster.leader()
    old.kill()
    new = cluster.leader(other_than=old.name)
    assert wait_for(lambda: new.call("Put", timeout=ATTEMPT, **write), "the new leader answers").revision == revision
    assert cluster.get("k") == "2"
    other: dict[str, Any] = {**write, "value": b"another write"}
    assert refusal(new, "Put", **other)[0] == grpc.StatusCode.INVALID_ARGUMENT
    code, _, message = refusal(new, "Put", key=b"k", value=b"3", session={"client_id": "unknown", "sequence": 2})
    assert code == grpc.StatusCode.ABORTED and "session expired, outcome unknown" in message


class Watch:
    """A Watch stream and its events."""

    def __init__(self, node: Node, **fields: Any) -> None:
        from baton.v1 import control_pb2 as pb
        from baton.v1 import control_pb2_grpc

        self._stream = control_pb2_grpc.ControlServiceStub(node.channel).Watch(pb.WatchRequest(**fields))
        self._arrived: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        self.began = self.next()
        assert not self.began.events

    def _read(self) -> None:
        try:
            for reply in self._stream:
                self._arrived.put(reply)
        except grpc.RpcError as error:
            self._arrived.put(error)

    def next(self) -> Any:
        return self._arrived.get(timeout=DEADLINE)

    def events(self) -> Iterator[Any]:
        while True:
            reply = self.next()
            if isinstance(reply, grpc.RpcError):
                raise reply
            yield from reply.events

    def take(self, count: int) -> List[Tuple[bytes, bytes, int]]:
        events = self.events()
        return [(event.key, event.value, event.revision) for event in (next(events) for _ in range(count))]

    def cancel(self) -> None:
        self._stream.cancel()


def TestClusterWatchMissesNothing(cluster: Cluster) -> None:
    """On every node, from now on and from a revision: each change once and in order."""
    cluster.put("w/before", "0")
    cluster.wait_applied(cluster.leader().status().commit_index)
    watches = [Watch(node, prefix=b"w/") for node in cluster.nodes.values()]
    leader = cluster.leader()
    wanted = []
    for number in range(100):
        key, value = f"w/{number % 7}".encode(), str(number).encode()
        wanted.append((key, value, leader.call("Put", key=key, value=value).revision))
        if number % 10 == 0:
            leader.call("Put", key=b"elsewhere", value=value)
    for watch in watches:
        assert watch.take(100) == wanted
        watch.cancel()
    middle = wanted[50][2]
    again = Watch(leader, prefix=b"w/", from_revision=middle)
    assert again.take(50) == wanted[50:]
    again.cancel()
    leader.call("Delete", key=b"w/1")


def TestClusterWatchGoesOnElsewhere(cluster: Cluster) -> None:
    """A watch whose node is lost resumes on another from the revision after the last one seen."""
    leader = cluster.leader()
    watch = Watch(leader, prefix=b"w/")
    revision = cluster.put("w/1", "1")
    assert watch.take(1) == [(b"w/1", b"1", revision)]
    leader.kill()
    with pytest.raises(grpc.RpcError):
        watch.take(1)
    later = cluster.put("w/2", "2")
    other = cluster.leader()
    assert Watch(other, prefix=b"w/", from_revision=revision + 1).take(1) == [(b"w/2", b"2", later)]


def TestClusterReadLog(cluster: Cluster) -> None:
    from baton.v1 import raft_pb2 as raft

    cluster.put("k", "v")
    cluster.wait_applied(cluster.leader().status().commit_index)
    logs = {node.name: node.log_entries() for node in cluster.nodes.values()}
    shortest = min(len(log) for log in logs.values())
    assert len({str(log[:shortest]) for log in logs.values()}) == 1, "the same on every node"
    log = logs["n1"]
    types = [entry.type for entry in log]
    assert types[0] == raft.ENTRY_TYPE_CONFIGURATION and raft.ENTRY_TYPE_NOOP in types
    last = log[-1]
    assert last.type == raft.ENTRY_TYPE_COMMAND and "k" in last.summary


def TestClusterReadLogPagesFitAMessage(cluster: Cluster) -> None:
    """Although the summary of a key of control characters is four times as long as the key."""
    from baton.v1 import control_pb2 as pb
    from baton.v1 import control_pb2_grpc

    keys = 2100
    leader = cluster.leader()
    stub = control_pb2_grpc.ControlServiceStub(leader.channel)
    writes = [stub.Put.future(pb.PutRequest(key=b"\x01" * 508 + b"%04d" % number), timeout=DEADLINE) for number in range(keys)]
    revisions = {write.result().revision for write in writes}
    assert revisions <= {entry.index for entry in leader.log_entries()}, "gRPC's limit of 4 MiB holds by default"


def TestClusterReadsAreLinearizableOverAChange(cluster: Cluster) -> None:
    """A leader that was stopped and replaced does not serve stale reads when it wakes up."""
    cluster.put("k", "old")
    old = cluster.leader()
    old.pause()
    new = cluster.leader(other_than=old.name)
    cluster.put("k", "new")
    answers: "queue.SimpleQueue[str]" = queue.SimpleQueue()

    def read() -> None:  # sent while the old leader sleeps: it is the first thing it finds
        try:
            answers.put(old.call("Get", timeout=DEADLINE, key=b"k").value.decode())
        except grpc.RpcError as error:
            answers.put(error.code().name)

    threads = [threading.Thread(target=read, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_for(lambda: new.call("Get", key=b"k", timeout=ATTEMPT).value == b"new", "the new leader answers")
    old.resume()
    for _ in threads:
        assert answers.get(timeout=DEADLINE) in ("new", "FAILED_PRECONDITION", "UNAVAILABLE")
