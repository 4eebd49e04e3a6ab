"""The dashboard in Chromium: what it shows of the nodes, that it keeps itself current, and that no script fails on it."""

from __future__ import annotations

import json
import re
from typing import Any, Callable

from harness import WORKERS, Cluster, wait_for
from page import complaints, roles, rows
from test_catching_up import OFTEN, TAIL, cluster_of, is_compacted_beyond, write_many  # noqa: F401
from test_members import change, new_node


def TestDashboardShowsTheCluster(cluster: Cluster, browser: Any) -> None:
    for name in WORKERS:
        cluster.worker(name)
    cluster.wait_online(*WORKERS)
    leader, follower = cluster.leader(), cluster.followers()[0]
    cluster.put("k", "v")
    browser.get(f"{follower.http}/")

    expected = {name: "leader" if name == leader.name else "follower" for name in cluster.nodes}
    wait_for(lambda: roles(browser) == expected, f"the page shows {expected}")
    wait_for(lambda: [w["State"].split()[-1] for w in rows(browser, "workers").values()] == ["online"] * 3, "all workers online")
    nodes = wait_for(lambda: all("ms" in cells["Round trip to the others"] for cells in rows(browser, "nodes").values())
                     and rows(browser, "nodes"), "round trips are shown")
    term, commit = str(leader.status().term), leader.status().commit_index
    assert all(cells["Term"] == term and int(cells["Commit index"]) >= commit - 1 for cells in nodes.values()), nodes
    assert all(int(ms) >= 50 for ms in re.findall(r"(\d+)\sms", nodes["n3"]["Round trip to the others"])), nodes
    assert [cells["Cloud"] for cells in nodes.values()] == ["gcp", "gcp", "aws"]
    wait_for(lambda: {cells["Behind the leader"] for cells in rows(browser, "nodes").values()} == {"up to date"}, "nobody is behind")
    assert {cells["Newest snapshot"] for cells in nodes.values()} == {"none yet"}
    assert all(int(cells["Level"]) >= 1 for cells in nodes.values()), nodes

    taken = leader.call("Snapshot")
    shown = wait_for(lambda: (text := rows(browser, "nodes")[leader.name]["Newest snapshot"]) != "none yet" and text, "a snapshot")
    assert f"at\xa0{taken.index}," in shown and shown.endswith("\xa0s\xa0old"), shown
    # Its age survives a restart: it is the file's.
    leader.stop()
    leader.start()
    status = wait_for(lambda: json.loads(leader.get("/status")[2]), "it serves again")
    assert status["snapshot_index"] == taken.index and status["snapshot_age"] > status["uptime"], status

    assert complaints(browser) == []


def TestDashboardFollowsTheCluster(cluster: Cluster, browser: Any) -> None:
    """Without a reload: a leader's death, its successor, and a worker that deregisters."""
    worker = cluster.worker("w1")
    cluster.wait_online("w1")
    leader, follower = cluster.leader(), cluster.followers()[0]
    browser.get(f"{follower.http}/")
    wait_for(lambda: roles(browser).get(leader.name) == "leader", f"{leader.name} is shown as the leader")
    leader.kill()
    successor = cluster.leader(other_than=leader.name)
    wait_for(lambda: roles(browser).get(successor.name) == "leader", f"{successor.name} is shown as the leader")
    wait_for(lambda: "leader" not in roles(browser).get(leader.name, ""), f"{leader.name} no longer is")
    worker.stop()
    wait_for(lambda: "offline" in rows(browser, "workers")["w1"]["State"], "w1 is shown as offline")


def bar(browser: Any, node: str) -> Any:
    """How full the bar in a node's row is; None while it is hidden."""
    script = """const row = [...document.querySelectorAll("#nodes tbody tr")].find(r => r.dataset.key === arguments[0]);
                const bar = row && row.querySelector("progress"); return bar && !bar.hidden ? bar.value : null"""
    return browser.execute_script(script, node)


def measured(cluster: Cluster, node: str, metric: str) -> float:
    (line,) = [each for each in cluster[node].get("/metrics")[2].splitlines() if each.startswith(metric)]
    return float(line.rsplit(" ", 1)[1])


def TestDashboardShowsALearnerCatchUp(cluster_of: Callable[..., Cluster], browser: Any) -> None:  # noqa: F811
    """A fourth node is added and sent a snapshot, slowly enough to look at it."""
    cluster = cluster_of((*OFTEN, "--snapshot-rate", "256KiB"))
    cluster.start()
    leader = cluster.lead_by("n1")
    write_many(leader, TAIL + 2000, 10, "tail")
    write_many(leader, 4000, 1000)
    wait_for(lambda: is_compacted_beyond(leader, 1), "the log no longer begins with the first entry")
    n4 = new_node(cluster, "n4", 7401)
    browser.get(f"{cluster['n2'].http}/")
    change(cluster, "add", f"n4={n4.address}/gcp")
    wait_for(lambda: roles(browser).get("n4") == "learner", "n4 is shown as a learner")
    half = wait_for(lambda: bar(browser, "n4") and rows(browser, "nodes")["n4"]["Behind the leader"], "a bar shows how far it is")
    assert "snapshot" in half and "% of" in half, half
    assert bar(browser, "n1") is None
    assert 0 < measured(cluster, "n1", 'raft_peer_snapshot_ratio{peer="n4"') <= 1
    assert measured(cluster, "n1", 'raft_peer_is_voter{peer="n4"') == 0 and measured(cluster, "n4", "raft_is_voter ") == 0
    wait_for(lambda: bar(browser, "n4") is None, "the bar goes once it has the snapshot")
    wait_for(lambda: measured(cluster, "n1", 'raft_peer_snapshot_ratio{peer="n4"') == 0, "and the metric says so")
    wait_for(lambda: change(cluster, "promote", "n4", "--dry-run"), "it may be promoted")
    change(cluster, "promote", "n4")
    wait_for(lambda: roles(browser).get("n4") == "follower", "n4 is shown as a follower")
    assert measured(cluster, "n1", 'raft_peer_is_voter{peer="n4"') == 1 and measured(cluster, "n4", "raft_is_voter ") == 1
