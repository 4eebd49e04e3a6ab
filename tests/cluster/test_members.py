"""Changes of members: nodes are added, promoted, replaced and removed while the cluster works; a wiped disk cannot come back."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import List, Optional, Tuple

from harness import BUILD, DEADLINE, SANITIZERS, Cluster, Node, Process, wait_for


class NewNode(Node):
    """A fourth node, or more: on a port of its own of n1's host, with an empty directory and without --bootstrap."""

    def __init__(self, name: str, directory: Path, port: int, command: Optional[List[str]] = None) -> None:
        self.address = self.known_as = f"198.18.1.1:{port}"
        self.http = f"http://198.18.1.1:{port + 80}"
        self.data = directory / name
        self._channel = None
        command = command or [
            str(BUILD / "batond"),
            *("--node-id", name, "--cluster-id", "test", "--cloud", "gcp", "--data-dir", str(self.data)),
            *("--listen", self.address, "--advertise", self.address, "--http", f"198.18.1.1:{port + 80}"),
            *("--advertise-http", f"198.18.1.1:{port + 80}", "--log-level", "debug", "--insecure", "--placement", "off"),
        ]
        Process.__init__(self, name, directory / f"{name}.log", command, SANITIZERS)
        self._command[2] = "n1"  # whose host it is on


def new_node(cluster: Cluster, name: str, port: int, command: Optional[List[str]] = None) -> NewNode:
    node = NewNode(name, cluster.directory, port, command)
    cluster.nodes[name] = node
    node.start()
    return node


def member(cluster: Cluster, *words: str) -> Tuple[int, str]:
    endpoints = ",".join(node.address for node in cluster.nodes.values() if node.running)
    done = subprocess.run([str(BUILD / "batonctl"), "member", *words, "--endpoints", endpoints], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=DEADLINE)  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def change(cluster: Cluster, *words: str) -> str:
    status, said = member(cluster, *words)
    assert status == 0, said
    return said


def refused(cluster: Cluster, why: str, *words: str) -> None:
    status, said = member(cluster, *words)
    assert status != 0 and why in said, (status, said)


def take_in(cluster: Cluster, name: str, port: int) -> NewNode:
    node = new_node(cluster, name, port)
    change(cluster, "add", f"{name}={node.address}/gcp")

    def promoted() -> bool:
        status, said = member(cluster, "promote", name)
        assert status == 0 or "has not caught up" in said or "another change" in said, said
        return status == 0

    wait_for(promoted, f"{name} has caught up and is promoted")
    return node


def remove(cluster: Cluster, name: str) -> None:
    """The node hears of it and stops by itself."""
    node = cluster[name]
    node.expected_exit = 0
    change(cluster, "remove", name)
    assert node.wait() == 0
    assert "was removed from the cluster and stops" in node.log()
    node.close()
    del cluster.nodes[name]  # so it does not count


def TestMembersANodeIsReplaced(cluster: Cluster) -> None:
    cluster.lead_by("n1")
    revision = cluster.put("before", "1")
    n4 = new_node(cluster, "n4", 7401)
    wait_for(lambda: "waits to be added" in n4.log(), "n4 says that it waits")
    assert "clouds that may be lost: aws" in change(cluster, "add", f"n4={n4.address}/gcp", "--dry-run")
    assert len(cluster["n1"].status().members) == 3
    change(cluster, "add", f"n4={n4.address}/gcp")
    refused(cluster, "n4 is a member already", "add", f"n4={n4.address}/gcp")
    refused(cluster, "n1 has the address", "add", "n5=198.18.1.1:7400/gcp")
    refused(cluster, "stands for all interfaces", "add", "n5=0:7400/gcp")
    refused(cluster, "stands for all interfaces", "update", "n3=[::]:7400")
    cluster.wait_applied(revision, "n4")
    wait_for(lambda: member(cluster, "promote", "n4")[0] == 0, "n4 is promoted")
    remove(cluster, "n2")
    refused(cluster, "n2 was removed once", "add", "n2=198.18.1.2:7400/gcp")
    status = wait_for(lambda: cluster["n1"].status(), "n1 answers")
    assert [(each.id, each.voter) for each in status.members] == [("n1", True), ("n3", True), ("n4", True)]
    cluster["n3"].kill()  # n1 and n4 are a majority of three
    cluster.wait_applied(cluster.put("after", "2"), "n4")


def TestMembersAJoinerIsTheSameAfterAKill(cluster: Cluster) -> None:
    """Who has heard of its incarnation finds the same one, although it has no entry yet: else it could never be added."""
    cluster.lead_by("n1")
    n4 = new_node(cluster, "n4", 7401)
    seen = set()
    for _ in range(3):
        seen.add(wait_for(lambda: n4.status().incarnation, "n4 tells its incarnation"))
        n4.kill()
        n4.start()
    assert len(seen) == 1 and all(seen)
    change(cluster, "add", f"n4={n4.address}/gcp")
    n4.kill()
    n4.start()
    cluster.wait_applied(cluster.put("after", "1"), "n4")
    assert n4.status().incarnation in seen


def TestMembersAForgottenBootstrap(empty_cluster: Cluster) -> None:
    """Waiting to be added is no obstacle to being founded after all."""
    for node in empty_cluster.nodes.values():
        founding = node._command
        node._command = [word for word in founding if word != "--bootstrap"]
        node.start()
        wait_for(lambda: node.status().incarnation, f"{node.name} waits")
        node.stop()
        node._command = founding
    empty_cluster.start()
    empty_cluster.put("founded", "1")


def TestMembersTheLeaderIsRemoved(cluster: Cluster) -> None:
    cluster.lead_by("n1")
    take_in(cluster, "n4", 7401)
    remove(cluster, "n1")
    cluster.wait_applied(cluster.put("after", "1"), "n2", "n3", "n4")


def TestMembersARemovedNodeHearsOfItFromARestartedLeader(cluster: Cluster) -> None:
    """Who leads next has the removal in its log, but has never been connected to the node in this life."""
    cluster.lead_by("n1")
    n4 = take_in(cluster, "n4", 7401)
    n4.pause()
    change(cluster, "remove", "n4")
    for name in ("n1", "n2", "n3"):
        cluster[name].kill()
    n4.resume()
    n4.expected_exit = 0
    cluster.start("n2", "n3")
    assert n4.wait() == 0
    assert "was removed from the cluster and stops" in n4.log()


def TestMembersARemovedNodeHearsOfItWhenItReturns(cluster: Cluster) -> None:
    """It was away for the removal, and the leader that would have told it leads no more: its peers' answers say so."""
    cluster.lead_by("n1")
    n3 = cluster["n3"]
    n3.kill()
    change(cluster, "remove", "n3")
    cluster.wait_applied(cluster.put("after", "1"), "n2")  # so n2 knows that the removal is committed
    cluster.lead_by("n2")
    n3.expected_exit = 0
    n3.start()
    assert n3.wait() == 0
    assert "was removed from the cluster and stops" in n3.log()
    n3.close()
    del cluster.nodes["n3"]  # so it does not count


def is_shown_as_wiped(by: Node, name: str) -> bool:
    return any(each.id == name and "wiped or replaced" in each.unreachable for each in by.status().members)


def cannot_lead_without(cluster: Cluster, name: str, missing: str) -> None:
    """Restarts `name`, which knows `missing` to be down: it would need the vote of a wiped disk."""
    node = cluster[name]
    node.kill()
    before = len(node.log())
    node.start()
    # Said after five seconds: ten elections.
    wait_for(lambda: f'cannot reach a peer" peer={missing}' in node.log()[before:].replace(f" node={name}", ""),
             f"{name} misses {missing} for long")  # fmt: skip
    assert "to Candidate" not in node.log()[before:] and not node.status().leader


def TestMembersDirectoriesAreWrittenOnceAllAreKnown(empty_cluster: Cluster) -> None:
    """Whoever is missing may be of a version that cannot read them."""
    empty_cluster.start("n1", "n2")
    leader = empty_cluster.leader()
    revision = wait_for(lambda: leader.status().uptime_ms > 5000 and empty_cluster.put("without n3", "1"), "some seconds passed")
    empty_cluster.start("n3")
    for node in empty_cluster.nodes.values():
        wait_for(lambda: node.status().configuration_index > 1, f"{node.name} knows the data directories of all members")
        assert node.status().configuration_index > revision


def TestMembersAWipedDiskOfTheFoundersCannotVote(cluster: Cluster) -> None:
    """The members of this cluster never changed; the wiped node is started as it was at first, with --bootstrap."""
    cluster.lead_by("n1")
    for node in cluster.nodes.values():
        wait_for(lambda: node.status().configuration_index > 1, f"{node.name} knows the data directories of all members")
    n3 = cluster["n3"]
    n3.stop()
    shutil.rmtree(n3.data)
    n3.start()
    wait_for(lambda: "this one was wiped or replaced" in n3.log(), "n3 says what happened")
    wait_for(lambda: is_shown_as_wiped(cluster["n1"], "n3"), "n1 says what happened to n3")
    cluster["n2"].kill()  # n1 would need n3's vote
    cannot_lead_without(cluster, "n1", "n2")
    assert n3.status().last_log_index == 1 and n3.status().role != "leader"


def match_index(leader: Node, name: str) -> int:
    return next(each.match_index for each in leader.status().members if each.id == name)


def TestMembersADiskThatIsSetBack(cluster: Cluster) -> None:
    """A follower is started with an older copy of its directory: its leader still knows what it had acknowledged."""
    n1, n3 = cluster.lead_by("n1"), cluster["n3"]
    cluster.wait_applied(cluster.put("before", "1"), "n3")
    n3.stop()
    copy = n3.data.with_name("n3-older")
    shutil.copytree(n3.data, copy)
    n3.start()
    revision = cluster.put("after", "1")
    wait_for(lambda: match_index(n1, "n3") >= revision, "n3 has acknowledged the write")
    n3.kill()
    shutil.rmtree(n3.data)
    shutil.copytree(copy, n3.data)
    n3.start()
    n3.expected_exit = 3
    assert n3.wait() == 3, n3.log_tail()
    assert "has lost entries: this node had acknowledged entry" in n3.log()
    assert "a member has lost entries" in n1.log()
    shown = {each.id: each.unreachable for each in n1.status().members}
    assert "its data directory was set back" in shown["n3"] and not shown["n2"]
    refused(cluster, "no majority", "remove", "n2")
    cluster.put("more", "1")
    # Also without the leader that knows: n2 would be elected by its vote.
    n1.kill()
    n3.start()
    n3.expected_exit = 3
    assert n3.wait() == 3 and "n3/LOST says" in n3.log(), n3.log_tail()
    assert not cluster["n2"].status().leader
    n1.start()
    cluster.lead_by("n1")
    assert cluster.get("more") == "1"


def TestMembersAWipedDiskCannotVote(cluster: Cluster) -> None:
    cluster.lead_by("n1")
    n4 = take_in(cluster, "n4", 7401)
    n4.stop()
    shutil.rmtree(n4.data)
    n4.start()
    wait_for(lambda: "this one was wiped or replaced" in n4.log(), "n4 says what happened")
    wait_for(lambda: is_shown_as_wiped(cluster["n1"], "n4"), "n1 says what happened to n4")
    remove(cluster, "n2")
    cluster["n3"].kill()  # n1 would need n4's vote
    cannot_lead_without(cluster, "n1", "n3")
    assert n4.status().term == 0 and n4.status().last_log_index == 0
