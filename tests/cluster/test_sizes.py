"""Clusters of other sizes than three: what they tolerate, and growing and shrinking under load."""

from __future__ import annotations

import collections
import re
from typing import Dict, List

import pytest
from harness import NODES, Cluster, Node, wait_for
from test_members import NewNode, remove, take_in


def of_size(cluster: Cluster, size: int) -> None:
    """Founds it: n1 to n3 where they are, the others on ports of n1's host."""
    nodes: Dict[str, Node] = {name: cluster[name] for name in list(NODES)[:size]}
    for number in range(4, size + 1):
        nodes[f"n{number}"] = NewNode(f"n{number}", cluster.directory, 7400 + number)
    cloud = {name: NODES[name].cloud if name in NODES else "gcp" for name in nodes}
    peers = ",".join(f"{name}={node.address}/{cloud[name]}" for name, node in nodes.items())
    for node in nodes.values():
        command = node._command
        if "--peers" in command:
            command[command.index("--peers") + 1] = peers
        else:
            command += ["--peers", peers, "--bootstrap"]
    cluster.nodes = nodes
    cluster.start()


def has_leader(cluster: Cluster) -> bool:
    return any(node.running and node.status().role == "leader" for node in cluster.nodes.values())


@pytest.mark.parametrize("size", (1, 2, 4, 5, 7))
def TestSizesTolerate(empty_cluster: Cluster, size: int) -> None:
    """A minority may fail, the leader among it; without a majority nobody leads; when the nodes are back, all is there."""
    cluster = empty_cluster
    of_size(cluster, size)
    leader = cluster.leader()
    cluster.put("all", "1")
    tolerated = (size - 1) // 2
    victims: List[Node] = [leader, *cluster.others(leader.name)][: tolerated + 1]  # the last is one too many
    for node in victims[:-1]:
        node.kill()
    if size > 1:
        cluster.put("minority", "1")
    victims[-1].kill()
    wait_for(lambda: not has_leader(cluster), "nobody leads without a majority")
    cluster.start(*(node.name for node in victims))
    revision = cluster.put("back", "1")
    cluster.wait_applied(revision)
    assert cluster.get("all") == "1" and (size == 1 or cluster.get("minority") == "1")
    logs = {node.dump_wal(revision) for node in cluster.nodes.values()}
    assert len(logs) == 1


def all_puts(node: Node) -> "collections.Counter[str]":
    """How often each key is in the log."""
    found = (re.match(r'put "([^"]+)"', entry.summary) for entry in node.log_entries())
    return collections.Counter(match.group(1) for match in found if match)


def TestSizesGrowAndShrinkUnderLoad(cluster: Cluster) -> None:
    """3, 5, and 3 again, with two of the founders gone: each acknowledged write is there once."""
    cluster.lead_by("n1")
    with cluster.load(4) as acknowledged:
        take_in(cluster, "n4", 7404)
        take_in(cluster, "n5", 7405)
        five = len(acknowledged)
        wait_for(lambda: len(acknowledged) > five, "five nodes take writes")
        assert sum(each.voter for each in cluster.leader().status().members) == 5
        remove(cluster, "n1")  # the leader, so it hands over first
        remove(cluster, "n2")
        three = len(acknowledged)
        wait_for(lambda: len(acknowledged) > three, "three nodes take writes")
    revision = cluster.put("last", "1")
    cluster.wait_applied(revision)
    leader = cluster.leader()
    assert [each.id for each in leader.status().members] == ["n3", "n4", "n5"]
    puts = all_puts(leader)
    assert acknowledged and all(puts[key] == 1 for key in acknowledged) and max(puts.values()) == 1
    for key, value in acknowledged.items():
        assert leader.call("Get", key=key.encode()).value.decode() == value
    logs = {node.dump_wal(revision) for node in cluster.nodes.values()}
    assert len(logs) == 1
