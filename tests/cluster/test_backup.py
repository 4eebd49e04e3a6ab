"""Backups: images that nodes stream, and batonctl writes to files."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Iterator, List, Tuple

import grpc
import pytest

import harness
from harness import DEADLINE, Cluster, Node, wait_for

PIECE = 256 * 1024  # of a value
PIECES = 64


def images(node: Node) -> List[Path]:
    """The node's snapshots, newest first."""
    return sorted((node.data / "snap").glob("*.snap"), reverse=True)


def fill(cluster: Cluster) -> None:
    """Enough for an image that fits no queue between node and client."""
    for number in range(PIECES):
        index = cluster.put(f"piece-{number:03}", chr(97 + number % 26) * PIECE)
    cluster.wait_applied(index)


def taken(node: Node) -> Tuple[Any, bytes]:
    """What the call tells first, and the image."""
    first, *others = list(node.call("Backup"))
    assert first.HasField("start") and not first.data and not any(other.HasField("start") for other in others)
    data = b"".join(other.data for other in others)
    assert len(data) == first.start.bytes
    return first.start, data


def batonctl(cluster: Cluster, *words: Any) -> "subprocess.CompletedProcess[str]":
    endpoints = ",".join(node.address for node in cluster.nodes.values())
    command = [str(harness.BUILD / "batonctl"), *map(str, words), "--endpoints", endpoints]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)


def flip(file: Path, line: int) -> None:
    """Changes a byte in the midst of one line."""
    lines = file.read_bytes().splitlines(keepends=True)
    changed = bytearray(lines[line - 1])
    changed[len(changed) // 2] ^= 1
    lines[line - 1] = bytes(changed)
    file.write_bytes(b"".join(lines))


def refusal(stream: Iterator[Any]) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as refused:
        list(stream)
    return refused.value


def TestClusterBackupIsAnImage(cluster: Cluster) -> None:
    node = cluster.followers()[0]
    before = cluster.put("before", "1")
    cluster.wait_applied(before, node.name)
    with cluster.load(4):
        start, data = taken(node)
        assert start.index >= before and start.node == node.name
        again, _ = taken(node)
        assert again.index >= start.index and data.endswith(b"}\n")
    cluster.wait_applied(cluster.put("after", "2"))
    copies = {name: taken(other) for name, other in cluster.nodes.items()}
    newest = images(node)[0]
    start, data = copies[node.name]
    assert newest.name == f"{start.index:016}-{start.term}.snap" and newest.read_bytes() == data
    assert {copy for _, copy in copies.values()} == {data}, "the image of one index is the same bytes on every node"
    leader = cluster.leader().name
    for other, _ in copies.values():
        assert (other.leader, other.generation) == (leader, 1) and other.commit_index <= other.index
    # Nothing was applied since: the same file, and no other one is written.
    assert taken(node) == (start, data) and images(node)[0] == newest


def TestClusterBackupIsPinned(cluster: Cluster) -> None:
    node = cluster.followers()[0]
    fill(cluster)
    streams = [node.call("Backup"), node.call("Backup")]
    starts = [next(stream).start for stream in streams]
    assert starts[0].index == starts[1].index
    file = images(node)[0]
    whole = file.read_bytes()
    refused = refusal(node.call("Backup"))
    assert refused.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and "streams 2 backups already" in refused.details(), refused
    # Two newer snapshots: the file goes, and both who have not read it yet get it.
    for number in range(2):
        cluster.wait_applied(cluster.put("newer", str(number)), node.name)
        node.call("Snapshot")
    wait_for(lambda: not file.exists(), "the file was removed")
    streams[0].cancel()
    assert b"".join(message.data for message in streams[1]) == whole
    # A client that went, and one that was served, leave their places.
    for _ in range(3):
        wait_for(lambda: next(node.call("Backup")).start.index > starts[0].index, "there is room again")


def TestClusterBackupOfDamage(cluster: Cluster) -> None:
    node = cluster.followers()[0]
    cluster.wait_applied(cluster.put("k", "v"), node.name)
    node.call("Snapshot")
    file = images(node)[0]
    flip(file, 2)
    refused = refusal(node.call("Backup"))
    assert refused.code() == grpc.StatusCode.DATA_LOSS and f"SNAP_CORRUPT snap/{file.name}:2: " in refused.details(), refused
    # The node takes another one by itself.
    wait_for(lambda: taken(node), "it gives a backup again")
    assert "it is dropped, and another one taken" in node.log()
    file = images(node)[0]
    file.unlink()
    refused = refusal(node.call("Backup"))
    assert refused.code() == grpc.StatusCode.DATA_LOSS and "No such file" in refused.details(), refused
    cluster.wait_applied(cluster.put("k", "w"), node.name)
    assert taken(node)[0].index > 0


def TestClusterBackupWithoutALeader(cluster: Cluster) -> None:
    node = cluster.followers()[0]
    cluster.wait_applied(cluster.put("k", "v"), node.name)
    for other in cluster.others(node.name):
        other.kill()
    wait_for(lambda: not node.status().leader, "it knows no leader")
    start, data = taken(node)
    assert start.leader == "" and start.index == node.status().last_applied and b'"item"' in data


def TestClusterBackupEndsWithTheNode(cluster: Cluster) -> None:
    """A client that does not read holds no shutdown up."""
    node = cluster.followers()[0]
    fill(cluster)
    stream = node.call("Backup")
    assert next(stream).start.bytes > PIECES * PIECE
    assert node.stop() < 3
    refused = refusal(stream)
    assert refused.code() == grpc.StatusCode.UNAVAILABLE and "shutting down" in refused.details(), refused


# --- batonctl backup ---


def TestClusterBackupFile(cluster: Cluster, tmp_path: Path) -> None:
    node, file = cluster.followers()[0], tmp_path / "backup"
    cluster.worker("w1")
    cluster.wait_online("w1")
    put = cluster.leader().call("Put", key=b"k", value=b"v", session={"client_id": "c", "sequence": 1})
    cluster.wait_applied(put.revision, node.name)  # a follower gives what it has, which may be a moment behind
    with cluster.load(4):
        done = batonctl(cluster, "backup", file, "--from", node.name)
        assert done.returncode == 0, done
    header, row = [line.split() for line in done.stdout.splitlines()]
    assert header == ["FILE", "NODE", "INDEX", "BYTES", "DIGEST"] and row[:2] == [str(file), node.name], done
    index, size, digest = int(row[2]), int(row[3]), row[4]
    assert file.stat().st_size == size and file.stat().st_mode & 0o777 == 0o600
    assert not file.with_name("backup.part").exists()
    cluster.kill_all()  # the check asks nobody
    checked = batonctl(cluster, "backup", "check", file)
    assert checked.returncode == 0, checked
    assert f"cluster test, generation 1, up to index {index}, term " in checked.stdout, checked
    assert f"{size} bytes, digest {digest}: " in checked.stdout and ", 1 workers, " in checked.stdout
    assert re.search(r"members n1=198.18.1.1:7400/gcp, n2=198.18.1.2:7400/gcp, n3=198.18.2.3:7400/aws\n", checked.stdout), checked
    told = json.loads(batonctl(cluster, "backup", "check", file, "-o", "json").stdout)
    records = [json.loads(line) for line in file.read_text().splitlines()]
    for kind in ("session", "worker", "item"):
        counted = sum(kind in record for record in records)
        assert told["keys" if kind == "item" else kind + "s"] == counted > 0, told
    # Nothing is replaced unasked, and nothing is left behind.
    for words in ((), ("--force",)):
        refused = batonctl(cluster, "backup", file, "--timeout", "1s", *words)
        assert refused.returncode == (3 if words else 1), refused
        assert ("no node answers at" if words else "--force to replace it") in refused.stderr, refused
        assert sorted(tmp_path.glob("backup*")) == [file] and file.stat().st_size == size
    cluster.start()
    cluster.wait_applied(cluster.put("k", "w"))
    assert batonctl(cluster, "backup", file, "--force", "-o", "json").returncode == 0
    assert json.loads(batonctl(cluster, "backup", "check", file, "-o", "json").stdout)["index"] > index
    gone = batonctl(cluster, "backup", tmp_path / "other", "--from", "n4")
    assert gone.returncode == 1 and "there is no node n4" in gone.stderr and not (tmp_path / "other").exists(), gone


def TestClusterBackupFileIsDamaged(cluster: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    for number in range(5):
        cluster.put(f"key-{number}", "v" * 100)
    assert batonctl(cluster, "backup", file, "--from", cluster.leader().name).returncode == 0
    whole = file.read_bytes()
    lines = len(whole.splitlines())
    assert lines == 8
    for line in range(1, lines + 1):
        flip(file, line)
        done = batonctl(cluster, "backup", "check", file)
        assert done.returncode == 3 and f"SNAP_CORRUPT {file}:{line}: " in done.stderr and done.stdout == "", done
        file.write_bytes(whole)
    for length in (0, 1, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        done = batonctl(cluster, "backup", "check", file)
        assert done.returncode == 3 and f"SNAP_CORRUPT {file}:" in done.stderr, done
    file.unlink()
    done = batonctl(cluster, "backup", "check", file)
    assert done.returncode == 1 and "No such file" in done.stderr, done


def TestClusterBackupOnAFullDisk(cluster: Cluster, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    fill(cluster)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=True)
    try:
        done = batonctl(cluster, "backup", disk / "backup")
        assert done.returncode == 1 and "No space left on device; no backup was made" in done.stderr, done
        assert not list(disk.iterdir())
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        done = batonctl(cluster, "backup", disk / "backup")
        assert done.returncode == 0 and "backup 90 % of " in done.stderr, done
        assert batonctl(cluster, "backup", "check", disk / "backup").returncode == 0
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
