"""Snapshots and the compaction of the log behind them, on real nodes."""

from __future__ import annotations

import base64
import json
import os
import random
import re
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List

import grpc
import harness
import pytest
from harness import DEADLINE, Cluster, Node, wait_for

SNAPSHOT_LOG_BYTES = 64 * 1024  # the least that is allowed
VALUE = "v" * 4096


@pytest.fixture
def empty_cluster(hosts: None, tmp_path: Path) -> Iterator[Cluster]:
    """Three nodes, not started, that take snapshots often."""
    cluster = Cluster(tmp_path, extra=("--snapshot-log-bytes", str(SNAPSHOT_LOG_BYTES)))
    yield cluster
    cluster.close()


def images(node: Node) -> List[Path]:
    """The node's snapshots, newest first."""
    return sorted((node.data / "snap").glob("*.snap"), reverse=True)


def index_of(image: Path) -> int:
    return int(image.name.split("-")[0])


def batond(*words: Any) -> "subprocess.CompletedProcess[str]":
    command = [str(harness.BUILD / "batond"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)


def batonctl(cluster: Cluster, *words: str) -> "subprocess.CompletedProcess[str]":
    endpoints = ",".join(node.address for node in cluster.nodes.values())
    command = [str(harness.BUILD / "batonctl"), *words, "--endpoints", endpoints]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)


def write_until(cluster: Cluster, node: Node, count: int) -> None:
    """Writes until that node has `count` snapshots."""
    number = 0
    while len(images(node)) < count:
        cluster.put(f"key-{number % 8}", VALUE)
        number += 1
        assert number < 1000, f"{node.name} has {len(images(node))} snapshots after {number} writes"


def damage(image: Path, line: int = 3) -> None:
    """Changes a byte in the midst of one line."""
    lines = image.read_bytes().splitlines(keepends=True)
    changed = bytearray(lines[line - 1])
    changed[len(changed) // 2] ^= 1
    lines[line - 1] = bytes(changed)
    image.write_bytes(b"".join(lines))


def TestClusterSnapshotsAreChecked(cluster: Cluster) -> None:
    node = cluster.followers()[0]
    with cluster.load(4):  # segments grow and images come and go meanwhile
        write_until(cluster, node, 2)
        for _ in range(20):
            done = batond("--check-wal", node.data)
            assert done.returncode == 0, done.stderr
    node.stop()
    newest, older = images(node)
    size = newest.stat().st_size
    done = batond("--check-wal", node.data)
    found = re.fullmatch(
        rf"{node.data} is sound: snapshot at {index_of(newest)} \({size} bytes\), 1 older, (\d+) entries up to index (\d+) in \d+ "
        r"segments, term \d+\n",
        done.stdout,
    )
    assert found and int(found[2]) >= index_of(newest), done
    damage(newest)
    done = batond("--check-wal", node.data)
    assert done.returncode == 3 and f"SNAP_CORRUPT snap/{newest.name}:3: " in done.stderr, done
    assert f"the image at {index_of(older)} is whole" in done.stderr and done.stdout == ""
    damage(older)
    done = batond("--check-wal", node.data)
    assert done.returncode == 3 and "a node starts from it alone" in done.stderr, done


def TestClusterSnapshotIsPrinted(cluster: Cluster) -> None:
    node = cluster.followers()[0]
    nothing = batond("--dump-snapshot", node.data)
    assert nothing.returncode == 2 and "holds no snapshot" in nothing.stderr, nothing
    cluster.put("greeting", "hello")
    write_until(cluster, node, 2)
    with cluster.load(4):
        for _ in range(10):
            done = batond("--dump-snapshot", node.data)
            assert done.returncode == 0, done.stderr
            records = [json.loads(line) for line in done.stdout.splitlines()]
            assert "crc" not in done.stdout
            assert [record["item"] for record in records if "item" in record][0]["key"] == encoded("greeting")
    node.stop()
    newest, older = images(node)
    of_newest, of_older = batond("--dump-snapshot", node.data), batond("--dump-snapshot", node.data, "--index", index_of(older))
    assert records_of(newest) == of_newest.stdout and records_of(older) == of_older.stdout
    assert batond("--dump-snapshot", node.data, "--index", 1).returncode == 2
    damage(newest)
    passed_over = batond("--dump-snapshot", node.data)
    assert passed_over.returncode == 0 and passed_over.stdout == of_older.stdout
    assert f"SNAP_CORRUPT snap/{newest.name}:3: " in passed_over.stderr
    asked_for = batond("--dump-snapshot", node.data, "--index", index_of(newest))
    assert asked_for.returncode == 3 and asked_for.stdout == "", asked_for


def TestClusterSnapshotOnRequest(empty_cluster: Cluster) -> None:
    cluster = empty_cluster
    cluster.start("n1", "n2")
    for number in range(5):
        cluster.put(f"key-{number}", "v")
    # Nothing can reach n3, and the others take theirs.
    done = batonctl(cluster, "snapshot", "--timeout", "2s", "-o", "json")
    told = {row["node"]: row for row in json.loads(done.stdout)}
    assert done.returncode == 1 and "1 of 3 nodes took no snapshot" in done.stderr, done
    assert told["n3"]["error"] == "cannot connect", told
    for name in ("n1", "n2"):
        node = cluster[name]
        assert [index_of(image) for image in images(node)] == [told[name]["index"]]
        assert told[name]["bytes"] == images(node)[0].stat().st_size
        status = node.status()
        assert (status.snapshot_index, status.snapshot_bytes) == (told[name]["index"], told[name]["bytes"])
        page = json.loads(node.get("/status")[2])
        assert (page["snapshot_index"], page["snapshot_bytes"]) == (told[name]["index"], told[name]["bytes"])
        assert page["log_first_index"] == status.log_first_index == 1
    cluster.start("n3")
    cluster.wait_applied(told["n1"]["index"], "n3")
    assert cluster["n3"].status().snapshot_index == 0
    # One node alone; the others keep what they have. A second request finds it durable.
    index = cluster.put("another", "v")
    cluster.wait_applied(index)
    for _ in range(2):
        done = batonctl(cluster, "snapshot", "--from", "n3")
        lines = [line.split() for line in done.stdout.splitlines()]
        assert done.returncode == 0 and lines[0] == ["NODE", "INDEX", "BYTES", "SECONDS"], done
        assert lines[1][0] == "n3" and int(lines[1][1]) >= index and len(lines) == 2
    assert cluster["n1"].status().snapshot_index == told["n1"]["index"]
    rows = {row["node"]: row for row in json.loads(batonctl(cluster, "status", "-o", "json").stdout)}
    assert rows["n3"]["snapshot_index"] == int(lines[1][1]) and rows["n3"]["log_first_index"] == 1
    done = batonctl(cluster, "snapshot", "--from", "n4")
    assert done.returncode == 1 and "there is no node n4" in done.stderr
    # All three, of the same state, are the same bytes. The leader may write entries of its own now that all are there.
    wait_for(lambda: cluster.leader().status().cluster_level, "the cluster's level is raised")

    def at_one_index() -> bool:
        assert batonctl(cluster, "snapshot").returncode == 0
        return len({index_of(images(node)[0]) for node in cluster.nodes.values()}) == 1

    wait_for(at_one_index, "snapshots at one index")
    assert len({images(node)[0].read_bytes() for node in cluster.nodes.values()}) == 1


def TestClusterSnapshotRequestsMeetWrites(cluster: Cluster) -> None:
    """Many at once, some cancelled: each that waits is answered, also if nothing is written after the one under way."""
    from baton.v1 import control_pb2 as pb
    from baton.v1 import control_pb2_grpc

    node = cluster.followers()[0]
    stub = control_pb2_grpc.ControlServiceStub(node.channel)
    for number in range(20):
        with cluster.load(2):
            early = [stub.Snapshot.future(pb.SnapshotRequest(), timeout=DEADLINE) for _ in range(30)]
            node.status()  # so the requests have left: gRPC resets a stream before it has opened it, which ends the connection
            for call in early[::3]:
                call.cancel()
        answers = [call.result() for call in early if not call.cancelled()]
        cluster.wait_applied(cluster.put("last", str(number)), node.name)
        late = [stub.Snapshot.future(pb.SnapshotRequest(), timeout=DEADLINE) for _ in range(30)]
        answers += [call.result() for call in late]
        assert all(answer.bytes > 0 for answer in answers)
        assert max(answer.index for answer in answers) == node.status().snapshot_index


def TestClusterSnapshotOfNoCluster(empty_cluster: Cluster) -> None:
    node = empty_cluster["n1"]
    node._command.remove("--bootstrap")
    node.start()
    wait_for(node.status, "it answers")
    with pytest.raises(grpc.RpcError) as refused:
        node.call("Snapshot")
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION, refused.value
    assert node.status().log_first_index == 0


# --- compaction, and starting from what is left ---

ENTRY_BYTES = 2000  # of a value; 40,000 of them are more than a segment, and more than 10,000 stay behind a snapshot
WRITES = 40_000
SEGMENT_BYTES = 64 << 20


def bench(cluster: Cluster, *words: Any) -> None:
    command = [str(harness.BUILD / "baton-bench"), "--in-flight", "256", *map(str, words)]
    endpoints = ",".join(node.address for node in cluster.nodes.values())
    done = subprocess.run([*command, "--endpoints", endpoints], capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done
    print(done.stdout)


def metric(node: Node, name: str) -> float:
    return float(re.search(rf"^{name} (.+)$", node.get("/metrics")[2], re.MULTILINE)[1])  # type: ignore[index]


def segments(node: Node) -> List[Path]:
    return sorted((node.data / "wal").glob("*.jsonl"))


def bytes_of(files: List[Path]) -> int:
    """On the disk; files may vanish meanwhile."""
    total = 0
    for file in files:
        try:
            total += file.stat().st_size
        except FileNotFoundError:
            continue
    return total


def compare(cluster: Cluster) -> str:
    """deploy/local/compare: the logs and snapshots are equal; what was compared."""
    for node in cluster.nodes.values():
        wait_for(node.status, f"{node.name} answers")
    index = min(node.status().commit_index for node in cluster.nodes.values())
    nodes = [f"{node.name}={node.data}" for node in cluster.nodes.values()]
    command = [str(harness.ROOT / "deploy/local/compare"), str(index), *nodes]
    environment = {**os.environ, "BATOND": str(harness.BUILD / "batond")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


def compacted(cluster: Cluster) -> None:
    """Writes until no node's log begins with entry 1 any more, in memory and on the disk."""
    bench(cluster, "--count", WRITES, "--size", ENTRY_BYTES, "--keys", 16)
    for node in cluster.nodes.values():
        wait_for(lambda: not (node.data / "wal" / f"{1:016}.jsonl").exists(), f"{node.name} has removed its first segment")
        assert node.status().log_first_index > 1


def TestClusterLogStaysBounded(cluster: Cluster) -> None:
    peaks: Dict[str, Dict[str, float]] = {name: {"images": 0, "disk": 0, "memory": 0} for name in cluster.nodes}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(harness.POLL):
            for name, node in cluster.nodes.items():
                peak = peaks[name]
                peak["images"] = max(peak["images"], len(images(node)))
                peak["disk"] = max(peak["disk"], bytes_of(segments(node)))
                peak["memory"] = max(peak["memory"], metric(node, "raft_log_memory_bytes"))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        compacted(cluster)
    finally:
        done.set()
        watcher.join(DEADLINE)
    print(peaks)
    leader = cluster.leader().name
    for name, peak in peaks.items():
        assert metric(cluster[name], "baton_snapshots_total") >= 20
        # One more is being removed when the third appears.
        assert 1 <= peak["images"] <= 3 and len(images(cluster[name])) <= 2, peaks
        # 10,000 entries stay behind a snapshot, and what was written while it was; all 40,000 would be 80 MB and more. The
        # leader keeps more for a follower that does not get them as fast over its link, until it has them.
        bound = 1.5 * 10_000 * ENTRY_BYTES + (20 << 20)
        assert peak["memory"] < bound or name == leader, peaks
        wait_for(lambda: metric(cluster[name], "raft_log_memory_bytes") < bound, f"{name} holds less than {bound} bytes")
        assert peak["disk"] <= 4 * SEGMENT_BYTES, peaks  # one that is kept, one written, one filled ahead, one being removed
    cluster.wait_applied(cluster.leader().status().commit_index)  # the far node has had all over its link
    assert batonctl(cluster, "snapshot").returncode == 0
    said = compare(cluster)
    assert re.match(r"Equal: entries [1-9]\d+ to \d+(,| and) the snapshot at \d+.* on n1, n2, n3", said), said
    checked = batond("--check-wal", cluster["n1"].data)
    assert re.search(r"1 older, \d+ entries from index \d+ up to index", checked.stdout), checked


def TestClusterStartsFromImages(cluster: Cluster) -> None:
    compacted(cluster)
    node = cluster.followers()[0]

    def started_from() -> int:
        return int(re.findall(r'msg="recovered the log".* snapshot=(\d+)', node.log())[-1])

    def fails_with(status: int) -> str:
        node.start()
        node.expected_exit = status
        assert node.wait() == status, node.log_tail()
        return node.log().splitlines()[-1]

    # From the newest one, and a Watch of what the log still has goes on. It covers all, so that no other one is due soon.
    assert batonctl(cluster, "snapshot", "--from", node.name).returncode == 0
    node.stop()
    newest, older = images(node)
    node.start()
    first = wait_for(lambda: node.status().log_first_index, "it answers")
    assert started_from() == index_of(newest)
    kept = wait_for(lambda: next(iter(node.call("Watch", from_revision=first))), "it watches")
    assert kept.revision == first - 1
    with pytest.raises(grpc.RpcError) as refused:
        next(iter(node.call("Watch", from_revision=first - 1)))
    assert refused.value.code() == grpc.StatusCode.OUT_OF_RANGE, refused.value
    said = re.match(rf"revision {first - 1} is no longer held; the oldest is (\d+): ", refused.value.details())
    assert said and int(said[1]) >= first, refused.value.details()  # meanwhile a compaction may have moved it on
    next(iter(node.call("Watch", from_revision=int(said[1]))))
    # The newest one is damaged: from the older one, and it says so.
    node.stop()
    newest, older = images(node)
    whole = newest.read_bytes()
    damage(newest)
    node.start()
    wait_for(node.status, "it answers")
    assert started_from() == index_of(older)
    assert "a snapshot is damaged; starting from an older one and the log" in node.log()
    assert f"SNAP_CORRUPT snap/{newest.name}:3: " in node.log()
    cluster.wait_applied(cluster.put("after", "damage"), node.name)
    assert node.call("Get", key=b"after", stale=True).value == b"damage"
    # All are damaged, and the log does not reach back.
    node.stop()
    for image in images(node):
        damage(image)
    done = batond("--check-wal", node.data)
    assert done.returncode == 3 and "SNAP_CORRUPT" in done.stderr and "no whole image reaches that far" in done.stderr, done
    assert "SNAP_CORRUPT" in fails_with(3)
    # There is none at all.
    for image in images(node):
        image.unlink()
    done = batond("--check-wal", node.data)
    assert done.returncode == 3 and "WAL_GAP" in done.stderr, done
    assert "WAL_GAP" in fails_with(3)
    # An image that ends before the log begins does not do.
    (node.data / "snap" / newest.name).write_bytes(whole)
    node.start()
    wait_for(node.status, "it answers")
    assert started_from() == index_of(newest)


# --- crashes ---


class Overwriters:
    """Writers that each overwrite a few keys of their own with rising numbers. After a write whose outcome is not known a key
    is left alone, so that nothing older can follow: it has the last number acknowledged, or the one after that."""

    def __init__(self, cluster: Cluster, writers: int = 8, keys: int = 8) -> None:
        self.acknowledged: Dict[str, int] = {}
        self._cluster, self._keys, self._stop = cluster, keys, threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(writer,), daemon=True) for writer in range(writers)]

    def _write(self, writer: int) -> None:
        nodes = list(self._cluster.nodes.values())
        names = [f"{writer}/{key}/0" for key in range(self._keys)]
        number = 0
        while not self._stop.is_set():
            at = number % self._keys
            number += 1
            try:
                value = f"{number:08}".encode() + b"x" * 1000
                nodes[0].call("Put", timeout=1.0, key=names[at].encode(), value=value)
                self.acknowledged[names[at]] = number
            except grpc.RpcError:
                names[at] = f"{writer}/{at}/{number}"
                nodes.append(nodes.pop(0))
                self._stop.wait(harness.POLL)

    @contextmanager
    def running(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(DEADLINE)


def await_new_file(node: Node) -> None:
    """Until the node begins a snapshot. Writing one takes less time than wait_for lets pass."""

    def names() -> Any:
        return set(os.listdir(node.data / "snap"))

    before, until = names(), time.monotonic() + DEADLINE
    while names() <= before:
        assert time.monotonic() < until, f"{node.name} begins no snapshot"
        threading.Event().wait(0.001)


def TestClusterSnapshotsSurviveKills(cluster: Cluster) -> None:
    """Nodes are killed at random moments while they take snapshots: nothing acknowledged is lost."""
    seed = int(os.environ.get("BATON_SEED", "0")) or random.SystemRandom().getrandbits(32)
    print(f"seed {seed} (BATON_SEED={seed} draws the same)")
    rng = random.Random(seed)
    writers = Overwriters(cluster, keys=64)
    started = 0
    with writers.running():
        for _ in range(10):
            victim = cluster[rng.choice(sorted(cluster.nodes))]
            await_new_file(victim)
            threading.Event().wait(rng.uniform(0, 0.02))  # a random moment, most likely while it is written
            if rng.random() < 0.3:
                cluster.kill_all()
                cluster.start()
            else:
                victim.kill()
                victim.start()
            wait_for(lambda: all(node.status().leader for node in cluster.nodes.values()), "all know a leader")
            started += 1
    assert started == 10 and len(writers.acknowledged) > 8
    leader = cluster.leader()
    for key, number in writers.acknowledged.items():
        value = wait_for(lambda: leader.call("Get", key=key.encode()), f"{key} is read").value
        assert int(value[:8]) in (number, number + 64), f"{key} has {value[:8]}, but {number} was acknowledged"
    index = cluster.put("last", "write")
    cluster.wait_applied(index)
    assert batonctl(cluster, "snapshot").returncode == 0
    print(compare(cluster))
    logs = [node.log() for node in cluster.nodes.values()]
    assert any(int(number) > 0 for log in logs for number in re.findall(r'msg="recovered the log".* snapshot=(\d+)', log))
    assert not any("a snapshot is damaged" in log for log in logs), "a kill leaves none: it has its name once it is whole"


def TestClusterSnapshotsWaitForRoom(empty_cluster: Cluster) -> None:
    """No image is begun that may not fit beside the log, and one is taken once there is room."""
    cluster, node = empty_cluster, empty_cluster["n1"]
    node.data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", str(node.data)], check=True)
    try:
        cluster.start()
        cluster.put("k", "v")
        free = os.statvfs(node.data).f_bavail * os.statvfs(node.data).f_frsize
        ballast = node.data / "ballast"
        ballast.write_bytes(b"b" * (free - (32 << 20)))
        done = batonctl(cluster, "snapshot", "--from", "n1")
        assert done.returncode == 1 and "n1: no snapshot was taken: " in done.stdout, done
        for number in range(64):
            cluster.put(f"key-{number % 8}", VALUE)
        assert "no snapshot was taken; the log grows until one is" in node.log()
        wait_for(lambda: metric(node, "baton_snapshot_failures_total") >= 2, "it has tried by itself, ten seconds later")
        assert not list((node.data / "snap").iterdir())
        wait_for(lambda: len(images(cluster["n2"])) > 0, "the others take theirs")
        # Room for the image, though not for six times the log since, which is what it might have grown by: it is measured.
        for number in range(100):
            cluster.put(f"key-{number % 8}", VALUE * 15)
        cluster.wait_applied(cluster.put("k", "w"), "n1")
        free = os.statvfs(node.data).f_bavail * os.statvfs(node.data).f_frsize
        os.truncate(ballast, ballast.stat().st_size - ((80 << 20) - free))
        wait_for(lambda: images(node), "n1 takes one by itself, although nothing more is written")
        ballast.unlink()
        assert batonctl(cluster, "snapshot", "--from", "n1").returncode == 0
    finally:
        node.kill()
        subprocess.run(["umount", str(node.data)], check=True)


# --- what an image holds beside keys ---


def TestClusterSessionsAndWorkersSurviveInImages(cluster: Cluster) -> None:
    leader = cluster.leader()
    write: Dict[str, Any] = {"key": b"k", "value": b"1", "session": {"client_id": "c", "sequence": 1}}
    revision = leader.call("Put", **write).revision
    cluster.worker("w1")
    gone, silent = cluster.worker("w2"), cluster.worker("w3")
    cluster.wait_online("w1", "w2", "w3")
    gone.stop()
    silent.kill()

    def reasons() -> Dict[str, str]:
        return {name: worker["reason"] for name, worker in cluster.leader().workers().items() if worker["status"] == "offline"}

    wait_for(lambda: reasons() == {"w2": "left", "w3": "missed-heartbeats"}, "two are offline", 40.0)
    kept = ("id", "address", "cloud", "status", "reason", "epoch", "instance_id", "slots", "labels")

    def workers() -> List[Any]:
        return [[worker.get(name) for name in kept] for worker in cluster.leader().workers().values()]

    before = workers()
    cluster.put("k", "2")
    assert batonctl(cluster, "snapshot").returncode == 0
    cluster.kill_all()
    cluster.start()
    leader = cluster.leader()
    wait_for(lambda: leader.get("/cluster-state")[0] == 200, f"{leader.name} has applied its first entry")
    assert workers() == before
    for node in cluster.nodes.values():
        assert int(re.findall(r'msg="recovered the log".* snapshot=(\d+)', node.log())[-1]) > revision
    # The same write again: its first result, and nothing is written.
    assert leader.call("Put", **write).revision == revision
    assert leader.call("Get", key=b"k").value == b"2"
    write["session"]["sequence"] = 2
    assert leader.call("Put", **write).revision > revision


def TestClusterMemoryIsThatOfKeys(cluster: Cluster) -> None:
    """However often keys are overwritten: BATON_OVERWRITES=10000000 BATON_KEYS=100000 for the whole of it."""
    writes, keys = int(os.environ.get("BATON_OVERWRITES", "200000")), int(os.environ.get("BATON_KEYS", "1000"))
    bench(cluster, "--count", writes, "--keys", keys, "--size", 256)
    held = keys * (len("bench-00000") + 256)
    for node in cluster.nodes.values():
        tail, resident = metric(node, "raft_log_memory_bytes"), metric(node, "process_resident_memory_bytes")
        said = f"{node.name}: {resident / 1e6:.1f} MB resident, {tail / 1e6:.1f} MB of log, {held / 1e6:.1f} MB of keys and values"
        print(said)
        assert resident <= 2 * held + tail + (32 << 20), said
    leader, items = cluster.leader(), []
    while not items or page.more:
        page = leader.call("List", prefix=b"bench-", start_after=items[-1].key if items else b"")
        items += page.items
    assert {item.key for item in items} == {f"bench-{number}".encode() for number in range(keys)}
    # In turn, so the revisions of the last round follow each other as the numbers do.
    revisions = [item.revision for item in sorted(items, key=lambda item: int(item.key[6:]))]
    assert len(set(revisions)) == keys and max(revisions) - min(revisions) < 2 * keys


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def records_of(image: Path) -> str:
    """What --dump-snapshot must print of it."""
    lines = image.read_text().splitlines()[1:-1]
    return "".join(re.sub(r',"crc":"[0-9a-f]{8}"}$', "}\n", line) for line in lines)
