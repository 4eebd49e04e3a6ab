"""batonctl explain and debug against real clusters: why a leader went, a worker was lost, a write was slow."""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any, Dict, List

from harness import Cluster, wait_for
from test_batonctl import FAILED, NOT_FOUND, Batonctl, batonctl  # noqa: F401


def events(answer: Dict[str, Any]) -> List[str]:
    return [cause["event"] for cause in answer["causes"]]


def TestClusterExplainsElections(cluster: Cluster, batonctl: Batonctl) -> None:  # noqa: F811
    ctl = batonctl
    first = cluster.leader()
    # Handed over.
    second = cluster.lead_by(next(name for name in cluster.nodes if name != first.name))
    answer = ctl.json("explain", "election")
    text = "\n".join(answer["answer"])
    assert f"{second.name} leads term" in text and f"{first.name} led term" in text
    assert f"{first.name} handed leadership over: an operator asked for it." in text
    assert "leadership-handed-over" in events(answer)
    # Killed; then started again.
    second.kill()
    third = cluster.leader(other_than=second.name)
    text = "\n".join(ctl.json("explain", "election")["answer"])
    assert f"to {second.name} broke (" in text and "It does not answer now either" in text
    assert "granted its vote" in text
    assert ctl.json("explain", "election")["missing"] == [second.name]
    second.start()
    wait_for(lambda: second.status().leader, f"{second.name} follows")
    wait_for(
        lambda: "Its process had ended: it was started again at" in "\n".join(ctl.json("explain", "election")["answer"]),
        "explain hears of the second start",
    )
    # Stopped for a while: nobody tells anything, until it goes on.
    third = cluster.leader()
    term = third.status().term
    third.pause()
    fourth = cluster.leader(other_than=third.name)
    text = "\n".join(ctl.json("explain", "election", str(fourth.status().term))["answer"])
    assert f"heard nothing of {third.name} for" in text
    third.resume()
    wait_for(
        lambda: "Its process stood still for" in "\n".join(ctl.json("explain", "election", str(fourth.status().term))["answer"]),
        "the old leader tells that it stood still",
    )
    # Earlier terms, and terms that never were.
    assert f"{third.name} leads term {term}" in "\n".join(ctl.json("explain", "election", str(term))["answer"])
    unknown = ctl.error(NOT_FOUND, "explain", "election", "4711")
    assert "no node that answers has a record of an election in term 4711" in unknown


def TestClusterExplainsASilentMajority(cluster: Cluster, batonctl: Batonctl) -> None:  # noqa: F811
    ctl = batonctl
    leader = cluster.leader()
    with cluster.cut_off(leader.name):
        cluster.leader(other_than=leader.name)
        wait_for(lambda: "voter did not answer" in leader.log(), "the old leader steps down")
    wait_for(
        lambda: any(cause["event"] == "voter-unheard" for cause in ctl.json("explain", "all")["causes"]), "it can be asked again"
    )
    text = "\n".join(ctl.json("explain", "election")["answer"])
    assert f"heard nothing of {leader.name}" in text or f"{leader.name} stepped down: no answer from a majority" in text


def TestClusterExplainsAWorkerAndAWrite(cluster: Cluster, batonctl: Batonctl) -> None:  # noqa: F811
    ctl = batonctl
    worker = cluster.worker("w1")
    cluster.wait_online("w1")
    worker.pause()
    wait_for(lambda: cluster.leader().workers()["w1"]["status"] == "offline", "w1 is offline", deadline=60)
    worker.resume()
    answer = ctl.json("explain", "worker", "w1")
    text = "\n".join(answer["answer"])
    assert "had not heard it for 16" in text and "No other worker was lost with it" in text
    assert "worker-silent" in events(answer) and "worker-offline" in events(answer)
    assert "no record of a worker nobody" in ctl.error(NOT_FOUND, "explain", "worker", "nobody")
    # A write that waits for two followers which stand still.
    leader = cluster.leader()
    followers = cluster.others(leader.name)
    assert ctl.json("explain", "writes")["causes"] == []
    for follower in followers:
        follower.pause()
    writer = ctl.start("put", "slow", "1", "--timeout", "30s", stdout=subprocess.DEVNULL)
    wait_for(lambda: leader.status().last_log_index > leader.status().commit_index, "the write waits")
    stood = leader.status().uptime_ms
    wait_for(lambda: leader.status().uptime_ms > stood + 300, "it has waited")
    for follower in followers:
        follower.resume()
    assert writer.wait(30) == 0
    wait_for(lambda: ctl.json("explain", "writes")["causes"], "the write is told of")
    text = "\n".join(ctl.json("explain", "writes")["answer"])
    assert f"writes of {leader.name}, the leader, took long" in text


def TestClusterDebugGathersAll(cluster: Cluster, batonctl: Batonctl, tmp_path: Path) -> None:  # noqa: F811
    ctl = batonctl
    cluster.put("secret-key", "secret-value")
    cluster["n3"].kill()
    cluster.leader(other_than="n3")
    file = tmp_path / "report.tar"
    assert "reports of 2 nodes" in ctl("debug", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    with tarfile.open(file) as tar:
        contents = {member.name: tar.extractfile(member).read().decode() for member in tar.getmembers()}  # type: ignore
    for name in ("n1", "n2"):
        assert f"--node-id={name}\n" in contents[f"baton-debug/{name}/settings.txt"]
        assert "raft_term " in contents[f"baton-debug/{name}/metrics.txt"]
        assert "event=up" in contents[f"baton-debug/{name}/log.txt"]
    assert "198.18.2.3:7400: cannot connect" in contents["baton-debug/nodes.txt"]
    status = json.loads(contents["baton-debug/status.json"])
    assert sorted(node.get("node") for node in status if node["reachable"]) == ["n1", "n2"]
    assert {cause["node"] for cause in json.loads(contents["baton-debug/journal.json"])} == {"n1", "n2"}
    assert "leads term" in contents["baton-debug/explain.txt"]
    assert not any("secret" in text for text in contents.values())
    assert "exists; give another name, or --force" in ctl.error(FAILED, "debug", str(file))
    ctl("debug", str(file), "--force")
    assert subprocess.run(["tar", "tf", str(file)], stdout=subprocess.DEVNULL).returncode == 0
