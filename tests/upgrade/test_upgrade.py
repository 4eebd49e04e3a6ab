"""Real versions in one cluster: upgraded while it works, mixed, set back while that is possible, and refused when it is not."""

from __future__ import annotations

import hashlib
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import grpc
from harness import ATTEMPT, BUILD, DEADLINE, POLL, Cluster, Node, wait_for
from test_members import NewNode, change, refused
from versions import Versions

WRITERS = 6
LATER_VERSION = 7  # exit statuses of batond
DAMAGED_010 = 3  # what 0.1.0 says of a log of a later format


class Load:
    """Clients with sessions that repeat each write until it is acknowledged, or once more, and workers that come and go.

    Each write has an expected revision: one that is applied twice, or lost after it was acknowledged, fails the next.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.acknowledged: Dict[bytes, Tuple[bytes, int]] = {}  # value and revision by key
        self.registered = 0
        self.complaints: List[str] = []
        self.stopping = threading.Event()

    def _repeat(self, nodes: List[Node], attempt: Any) -> Any:
        """Until a node answers. What a session or an expected revision forbids is a complaint, and ends the writer."""
        until = time.monotonic() + DEADLINE
        while True:
            try:
                return attempt(nodes[0])
            except grpc.RpcError as error:
                if error.code() in (grpc.StatusCode.ABORTED, grpc.StatusCode.INVALID_ARGUMENT) or time.monotonic() > until:
                    self.complaints.append(f"{error.code().name}: {error.details()}")
                    return None
                nodes.append(nodes.pop(0))
                time.sleep(POLL)

    def _write(self, writer: int) -> None:
        nodes = list(self.cluster.nodes.values())
        sequence, revision = 0, 0
        while not self.stopping.is_set():
            # A counter, and a key of its own for each of its values.
            for key, expected in ((b"counter/%d" % writer, revision), (b"key/%d/%d" % (writer, sequence), 0)):
                sequence += 1
                session = {"client_id": f"writer-{writer}", "sequence": sequence, "acknowledged_below": sequence}
                fields = {"key": key, "value": b"%d" % sequence, "expected_revision": expected, "session": session}
                done = self._repeat(nodes, lambda node: node.call("Put", timeout=ATTEMPT, **fields))  # noqa: B023
                if done is None:
                    return
                self.acknowledged[key] = (b"%d" % sequence, done.revision)
                if key.startswith(b"counter"):
                    revision = done.revision
                    again = self._repeat(nodes, lambda node: node.call("Put", timeout=ATTEMPT, **fields))  # noqa: B023
                    if again is None or again.revision != revision:
                        self.complaints.append(f"{key!r}: at {revision}, and its repetition at {again}")
                        return
            time.sleep(POLL)

    def _register(self) -> None:
        """One worker after another registers, and leaves again."""
        nodes = list(self.cluster.nodes.values())
        while not self.stopping.is_set():
            who = {"worker_id": f"passing-{self.registered}", "instance_id": "i"}
            place = {"address": "198.18.1.1:9000", "cloud": "gcp"}
            done = self._repeat(nodes, lambda node: accepted(node, "RegisterWorker", **who, **place))  # noqa: B023
            if done is None:
                return
            who["epoch"] = done.epoch
            self._repeat(nodes, lambda node: accepted(node, "DeregisterWorker", **who))  # noqa: B023
            self.registered += 1
            time.sleep(0.1)

    @contextmanager
    def running(self) -> Iterator["Load"]:
        jobs = [threading.Thread(target=self._write, args=(writer,), daemon=True) for writer in range(WRITERS)]
        jobs.append(threading.Thread(target=self._register, daemon=True))
        for job in jobs:
            job.start()
        try:
            yield self
        finally:
            self.stopping.set()
            for job in jobs:
                job.join(2 * DEADLINE)

    def await_progress(self) -> None:
        """Whatever has just happened, writes and registrations go on."""
        writes, registered = len(self.acknowledged), self.registered
        wait_for(lambda: self.complaints or len(self.acknowledged) > writes + WRITERS, "writes go on")
        wait_for(lambda: self.complaints or self.registered > registered, "workers register and leave")
        assert not self.complaints, self.complaints

    def check(self) -> None:
        """Every node has exactly what was acknowledged, at the revisions that were."""
        assert not self.complaints, self.complaints
        leader = self.cluster.leader()
        self.cluster.wait_applied(leader.call("Get", key=b"counter/0").read_index)
        for node in self.cluster.nodes.values():
            held = read_all(node)
            assert held == self.acknowledged, differences(held, self.acknowledged)
            assert not node.status().quarantine  # versions of a level apply the log to the same digests
        workers = leader.workers()
        for number in range(self.registered):
            assert workers[f"passing-{number}"]["reason"] == "left"


class Redirected(grpc.RpcError):  # type: ignore[misc]
    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE


def accepted(node: Node, method: str, **fields: Any) -> Any:
    reply = node.call_worker_service(method, **fields)
    if not reply.accepted:
        raise Redirected
    return reply


def read_all(node: Node) -> Dict[bytes, Tuple[bytes, int]]:
    held: Dict[bytes, Tuple[bytes, int]] = {}
    more, last = True, b""
    while more:
        page = node.call("List", start_after=last, stale=True)
        held.update({item.key: (item.value, item.revision) for item in page.items})
        more, last = page.more, page.items[-1].key if page.items else b""
    return held


def differences(held: Dict[bytes, Tuple[bytes, int]], acknowledged: Dict[bytes, Tuple[bytes, int]]) -> str:
    keys = sorted(key for key in held.keys() | acknowledged.keys() if held.get(key) != acknowledged.get(key))
    return "\n".join(f"{key!r}: held {held.get(key)}, acknowledged {acknowledged.get(key)}" for key in keys[:20])


# --- the steps of an upgrade ---


def exchange(cluster: Cluster, name: str, version: Path) -> None:
    """Stops a node as an operator does, and starts another version on its disk; a leader hands over."""
    node = cluster[name]
    node.stop()
    node.program = version
    start_again(cluster, name)


def start_again(cluster: Cluster, name: str) -> None:
    """Until it has what the others had committed by then."""
    cluster[name].start()
    index = wait_for(lambda: max(node.status().commit_index for node in cluster.others(name)), "the others' commit index")
    cluster.wait_applied(index, name)


def contents(directory: Path) -> Dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def does_not_start(node: Node, version: Path, status: int, *words: str) -> None:
    """On this node's disk, which it leaves as it was."""
    before, logged, proper = contents(node.data), len(node.log()), node.program
    node.program = version
    node.start()
    node.expected_exit = status
    assert node.wait() == status, node.log_tail()
    said = node.log()[logged:]
    assert all(word in said for word in words), said
    assert contents(node.data) == before
    node.program = proper


def levels(node: Node) -> Tuple[int, List[int]]:
    """The cluster's, and what each member reads, as this node knows it."""
    status = node.status()
    return status.cluster_level, [member.level for member in status.members]


def await_levels(cluster: Cluster, level: int, members: List[int]) -> None:
    wait_for(lambda: levels(cluster.leader()) == (level, members), f"level {level} of a cluster that reads {members}")


def epoch_of(cluster: Cluster, worker: str) -> int:
    return next(found.epoch for found in cluster.leader().call("ListWorkers").workers if found.id == worker)


def await_worker(cluster: Cluster, worker: str, status: str) -> None:
    wait_for(lambda: cluster.leader().workers()[worker]["status"] == status, f"{worker} is {status}")


def run_from_010(cluster: Cluster, load: Load, versions: Versions) -> None:
    """Both leaders in a mixed cluster, and a worker that returns to a new leader with old followers."""
    sleeper = cluster.worker("w2")
    cluster.worker("w1")
    cluster.wait_online("w1", "w2")
    epoch = epoch_of(cluster, "w2")
    sleeper.pause()
    exchange(cluster, "n1", versions.this)  # it led
    load.await_progress()
    assert cluster.leader().name != "n1" and levels(cluster["n1"]) == (0, [3, 0, 0])
    cluster.lead_by("n1")
    load.await_progress()
    refused(cluster, "runs a version that cannot follow changes of members", "add", "n4=198.18.1.1:7500/gcp")
    await_worker(cluster, "w2", "offline")
    assert cluster.leader().name == "n1"
    sleeper.resume()
    await_worker(cluster, "w2", "online")
    assert epoch_of(cluster, "w2") == epoch
    exchange(cluster, "n2", versions.this)
    load.await_progress()
    await_levels(cluster, 0, [3, 3, 0])
    change(cluster, "remove", "n3", "--dry-run")  # the only one that could not read it
    exchange(cluster, "n3", versions.this)
    await_levels(cluster, 3, [3, 3, 3])
    load.await_progress()


def run_to_next(cluster: Cluster, load: Load, versions: Versions) -> None:
    """With a change of mind on the way, and the newer one leading the older ones."""
    cluster.lead_by("n1")
    exchange(cluster, "n1", versions.next)
    load.await_progress()
    exchange(cluster, "n1", versions.this)
    load.await_progress()
    exchange(cluster, "n1", versions.next)
    exchange(cluster, "n2", versions.next)
    cluster.lead_by("n1")
    await_levels(cluster, 3, [4, 4, 3])
    load.await_progress()
    exchange(cluster, "n3", versions.next)
    await_levels(cluster, 4, [4, 4, 4])
    load.await_progress()


def TestUpgradeUnderLoad(empty_cluster: Cluster, versions: Versions) -> None:
    """0.1.0, this version, and one to come: no acknowledged write is lost, none is applied twice, no node goes back too far."""
    cluster = empty_cluster
    for node in cluster.nodes.values():
        node.program = versions.old
    cluster.start()
    cluster.lead_by("n1")
    with Load(cluster).running() as load:
        load.await_progress()
        run_from_010(cluster, load, versions)
        cluster["n3"].stop()
        does_not_start(cluster["n3"], versions.old, DAMAGED_010, "WAL_VERSION", "format version 2")
        start_again(cluster, "n3")
        run_to_next(cluster, load, versions)
        no_way_back(cluster, load, versions)
        an_older_learner(cluster, versions)
    load.check()


def no_way_back(cluster: Cluster, load: Load, versions: Versions) -> None:
    """By the entry that has raised the level, and by a snapshot that has it."""
    words = ("level 4; this version knows level 3: upgrade this node", str(cluster["n2"].data))
    cluster["n2"].stop()
    does_not_start(cluster["n2"], versions.this, LATER_VERSION, *words)
    start_again(cluster, "n2")
    cluster["n2"].call("Snapshot")
    cluster["n2"].stop()
    does_not_start(cluster["n2"], versions.this, LATER_VERSION, "an image of level 4; this version knows level 3")
    start_again(cluster, "n2")
    load.await_progress()


def an_older_learner(cluster: Cluster, versions: Versions) -> None:
    """It is added, since nobody knows it yet; it says why it stops, and the leader why it is not promoted."""
    node = NewNode("n4", cluster.directory, 7500)
    node.program = versions.this
    cluster.nodes["n4"] = node
    node.start()
    node.expected_exit = LATER_VERSION
    change(cluster, "add", f"n4={node.address}/gcp")
    assert node.wait() == LATER_VERSION, node.log_tail()
    assert "this version knows level 3: upgrade this node" in node.log()
    refused(cluster, "n4 runs a version that reads level 3, and the cluster is at level 4; upgrade it first", "promote", "n4")
    node.program = versions.next
    node.start()
    wait_for(lambda: node.status().last_applied >= cluster.leader().status().commit_index - 100, "n4 catches up")
    change(cluster, "promote", "n4")
    shown = subprocess.run([BUILD / "batonctl", "status", "--endpoints", node.address], capture_output=True, text=True,
                           timeout=DEADLINE)  # fmt: skip
    assert "level: 4; members read up to: n1 4, n2 4, n3 4, n4 4\n" in shown.stdout, shown
