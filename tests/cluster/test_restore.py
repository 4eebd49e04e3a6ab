"""batond --restore: a new generation of a cluster, from a backup."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any, Dict, List

import grpc
import pytest

import harness
from harness import DEADLINE, Cluster, Node, wait_for

Done = subprocess.CompletedProcess


def batonctl(cluster: Cluster, *words: Any) -> "Done[str]":
    endpoints = ",".join(node.address for node in cluster.nodes.values())
    command = [str(harness.BUILD / "batonctl"), *map(str, words), "--endpoints", endpoints]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)


def restored(node: Node, file: Path, *more: str, environment: Dict[str, str] = {}) -> "Done[str]":
    """batond --restore with the node's flags."""
    command = [*(word for word in node._command[3:] if word != "--bootstrap"), "--restore", str(file), *more]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=DEADLINE
    )


def batond(*words: Any) -> str:
    command = [str(harness.BUILD / "batond"), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done
    return done.stdout


def images(node: Node) -> List[Path]:
    return sorted((node.data / "snap").glob("*.snap"), reverse=True)


def records(image: Path) -> List[str]:
    """But the first, which has the index."""
    return [re.sub(r',"crc":"[0-9a-f]{8}"}$', "", line) for line in image.read_text().splitlines()[2:-1]]


def entries(node: Node) -> bytes:
    return node.dump_wal(2**63)


def backed_up(cluster: Cluster, file: Path) -> Dict[str, Any]:
    done = batonctl(cluster, "backup", file, "--from", cluster.leader().name)
    assert done.returncode == 0, done
    told: Dict[str, Any] = json.loads(batonctl(cluster, "backup", "check", file, "-o", "json").stdout)
    return told


def TestClusterIsRestored(cluster: Cluster, tmp_path: Path) -> None:
    file, again = tmp_path / "backup", tmp_path / "again"
    write: Dict[str, Any] = {"key": b"k", "value": b"1", "session": {"client_id": "c", "sequence": 1}}
    first = cluster.leader().call("Put", **write).revision
    revisions = {f"key-{number}": cluster.put(f"key-{number}", str(number)) for number in range(20)}
    cluster.worker("w1")
    cluster.wait_online("w1")
    registered = cluster.leader().workers()["w1"]
    told = backed_up(cluster, file)
    cluster.put("lost", "after the backup")
    cluster.kill_all()
    new = Cluster(tmp_path / "new")
    with closing(new):
        for name, node in new.nodes.items():
            node.data.parent.mkdir(exist_ok=True)
            done = restored(node, file)
            assert done.returncode == 0 and done.stderr == "", done
            said = re.search(rf"generation 2 of cluster test begins with entry {told['index'] + 1} in term (\d+),", done.stdout)
            assert said and int(said[1]) > told["term"], done
            assert [image.name for image in images(node)] == [f"{told['index']:016}-{told['term']}.snap"]
            assert images(node)[0].read_bytes() == file.read_bytes(), "its digest is the backup's, and all else"
            assert f"snapshot at {told['index']} " in batond("--check-wal", node.data)
        assert len({entries(node) for node in new.nodes.values()}) == 1, "all begin alike"
        header = json.loads((new["n1"].data / "wal" / f"{1:016}.jsonl").read_text().splitlines()[0])
        assert (header["generation"], header["base_index"], header["base_term"]) == (2, told["index"], told["term"])
        # A second restore of the same backup.
        other = Node("n1", tmp_path / "other")
        other.data.parent.mkdir()
        assert restored(other, file).returncode == 0
        assert entries(other) == entries(new["n1"]) and images(other)[0].read_bytes() == file.read_bytes()
        new.start()
        leader = new.leader()
        assert leader.status().term > int(said[1])
        # Revisions, sessions, workers.
        assert {item.key.decode(): item.revision for item in leader.call("List", prefix=b"key-").items} == revisions
        with pytest.raises(grpc.RpcError) as missing:
            leader.call("Get", key=b"lost")
        assert missing.value.code() == grpc.StatusCode.NOT_FOUND
        wait_for(lambda: leader.get("/cluster-state")[0] == 200, "it has applied its first entry")
        same = ("id", "address", "cloud", "status", "epoch", "instance_id", "slots", "labels")
        worker = leader.workers()["w1"]
        assert [worker[name] for name in same] == [registered[name] for name in same]
        # Nothing but the index has changed, on every node.
        for node in new.nodes.values():
            wait_for(lambda: node.status().last_applied == new.leader().status().commit_index, "it has applied all")
            node.call("Snapshot")
            assert records(images(node)[0]) == records(file)
        # The same write again: its first result, and nothing is written.
        assert new.leader().call("Put", **write).revision == first
        later = backed_up(new, again)
        assert later["generation"] == 2 and later["index"] > told["index"]
        assert [later[kind] for kind in ("keys", "workers", "sessions")] == [told[kind] for kind in ("keys", "workers", "sessions")]
        # It goes on, and begins again as it is.
        revision = new.put("key-0", "anew")
        assert revision > told["index"] + 1
        new.worker("w1")
        wait_for(lambda: new.leader().workers()["w1"]["instance_id"] != registered["instance_id"], "the worker is back")
        assert new.leader().workers()["w1"]["epoch"] > told["index"]
        new.kill_all()
        new.start()
        assert new.get("key-0") == "anew"
        assert not any("WARN" in line and "generation" in line for node in new.nodes.values() for line in node.log().splitlines())


def TestClusterRestoredRefusesTheOld(cluster: Cluster, tmp_path: Path) -> None:
    """A node of the generation before that still runs: nobody believes it, it believes nobody, and it says why."""
    file, old = tmp_path / "backup", cluster["n3"]
    wait_for(lambda: cluster.leader().status().cluster_level, "the cluster's level is raised: the leader writes no more by itself")
    for number in range(120):  # more than the queues between node and client hold
        cluster.put(f"piece-{number}", "v" * 256 * 1024)
    cluster.wait_applied(cluster.put("k", "old"))
    told = backed_up(cluster, file)
    for name in ("n1", "n2"):
        cluster[name].kill()
    streamed = old.call("Backup", timeout=4 * DEADLINE)
    assert next(streamed).start.index == told["index"]
    had = entries(old)
    new = Cluster(tmp_path / "new")
    with closing(new):
        for name in ("n1", "n2"):
            new[name].data.parent.mkdir(exist_ok=True)
            assert restored(new[name], file).returncode == 0
            new[name].start()
        new.put("k", "new")
        wait_for(lambda: "generation" in old.status().quarantine, "the old one hears of it")
        with pytest.raises(grpc.RpcError) as ended:  # it gives no backup any more, also not the rest of one
            list(streamed)
        assert ended.value.code() == grpc.StatusCode.UNAVAILABLE and "generation" in ended.value.details(), ended.value
        for name in ("n1", "n2"):
            wait_for(lambda: "generation" in reason(new[name], "n3"), f"{name} says why it does not reach the old one")
        with pytest.raises(grpc.RpcError):
            old.call("Put", key=b"k", value=b"older", timeout=2.0)
        assert entries(old) == had and old.status().last_applied <= told["index"]
        assert new.get("k") == "new"


def reason(node: Node, member: str) -> str:
    """Why the node does not reach that member."""
    return str(next(seen.unreachable for seen in node.status().members if seen.id == member))


def TestClusterRestoreIsRefused(cluster: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    for number in range(4):
        cluster.put(f"key-{number}", "v" * 100)
    backed_up(cluster, file)
    running = restored(cluster["n1"], file)
    assert running.returncode == 4 and "in use by another process" in running.stderr, running
    cluster.kill_all()
    used = restored(cluster["n1"], file)
    assert used.returncode == 2 and "is not empty: it has a log" in used.stderr, used
    node = Node("n1", tmp_path / "new")
    node.data.parent.mkdir()

    def refused(status: int, words: str, *more: str) -> None:
        done = restored(node, file, *more)
        assert done.returncode == status and words in done.stderr and done.stdout == "", done
        assert not node.data.exists() or not [path for path in node.data.rglob("*") if path.is_file() and path.name != "LOCK"]

    refused(2, "a backup of cluster test, not of other", "--cluster-id", "other")
    whole = file.read_bytes()
    file.write_bytes(whole[:300] + bytes([whole[300] ^ 1]) + whole[301:])
    refused(3, f"SNAP_CORRUPT {file}:")
    file.write_bytes(whole[:-2])
    refused(3, f"SNAP_CORRUPT {file}:")
    file.rename(tmp_path / "elsewhere")
    refused(4, "No such file")
    file.write_bytes(whole)
    at = node._command.index("--peers")
    peers = node._command[at : at + 2]
    del node._command[at : at + 2]
    refused(2, "--restore needs --peers")
    node._command[at:at] = peers
    node.data.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(node.data)], check=True)
    try:
        refused(4, "bytes free")
    finally:
        subprocess.run(["umount", "--lazy", str(node.data)], check=True)
    assert restored(node, file).returncode == 0
    twice = restored(node, file)
    assert twice.returncode == 2 and "start the node without --restore" in twice.stderr, twice


def TestClusterRestoreKeepsTheRemoved(cluster: Cluster, tmp_path: Path) -> None:
    """Ids that were removed are never used again, also in the next generation."""
    file = tmp_path / "backup"
    cluster.lead_by("n1")
    cluster["n3"].expected_exit = 0
    done = batonctl(cluster, "member", "remove", "n3")
    assert done.returncode == 0, done
    cluster["n3"].wait()
    cluster.put("k", "v")
    assert [member["id"] for member in backed_up(cluster, file)["members"]] == ["n1", "n2"]
    cluster.kill_all()
    node = Node("n1", tmp_path / "new")
    node.data.parent.mkdir()
    refused = restored(node, file)
    assert refused.returncode == 2 and "--peers: n3 was removed from this cluster" in refused.stderr, refused
    # One member alone, which may take others in.
    assert restored(node, file, "--peers", f"n1={node.address}/gcp").returncode == 0
    node.start()
    with closing(node):
        wait_for(lambda: node.call("Get", key=b"k").value == b"v", "it leads alone")
        node.kill()


def TestClusterRestoreIsInterrupted(cluster: Cluster, tmp_path: Path) -> None:
    """Killed before each of its calls: the same command completes it, or says that it is complete; a node does not start before."""
    file = tmp_path / "backup"
    cluster.put("k", "v")
    backed_up(cluster, file)
    cluster.kill_all()
    library = tmp_path / "dying_disk.so"
    source = Path(__file__).with_name("dying_disk.c")
    subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    node = Node("n1", tmp_path / "new")
    node.data.parent.mkdir()
    assert restored(node, file).returncode == 0
    expected = entries(node)
    outcomes: List[str] = []
    at = 0
    while True:
        at += 1
        shutil.rmtree(node.data)
        killed = restored(node, file, environment={"LD_PRELOAD": str(library), "DYING_AT": str(at)})
        if killed.returncode == 0:
            break
        assert killed.returncode == -9 and at < 100, killed
        halfway = images(node) != [] and not node_starts(node)
        done = restored(node, file)
        if done.returncode == 0:
            outcomes.append("halfway" if halfway else "begun")
        else:
            assert done.returncode == 2 and "start the node without --restore" in done.stderr, done
            outcomes.append("complete")
        assert entries(node) == expected and images(node)[0].read_bytes() == file.read_bytes(), at
    print(outcomes)
    assert set(outcomes) == {"begun", "halfway", "complete"} and outcomes == sorted(outcomes, key=["begun", "halfway", "complete"].index)


def node_starts(node: Node) -> bool:
    """Whether a node could start there; False: it says what to do. Judged on a copy, as starting writes."""
    copy = Node(node.name, node.data.parent.with_name("copy"))
    shutil.rmtree(copy.data.parent, ignore_errors=True)
    shutil.copytree(node.data, copy.data)
    copy.start()
    refused = wait_for(lambda: copy.exit_status is not None or "batond is up" in copy.log(), "it starts or ends")
    assert refused
    if copy.exit_status is None:
        copy.kill()
        return True
    assert copy.exit_status == 3 and "if --restore was interrupted, run it again" in copy.log(), copy.log_tail()
    return False
