"""The dashboard in every scene that an operator may meet, light and dark, wide and narrow: nothing sticks out of it, no script
fails, and what matters is said in words."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
from harness import DEADLINE, WORKERS, Cluster, wait_for
from page import check_looks, complaints, ids, open_page, register, roles, rows, text
from test_log import small_disk  # noqa: F401


def wait_for_charts(browser: Any) -> None:
    """There are lines in each: two samples were taken."""
    script = "return [...document.querySelectorAll('figure')].every(f => f.querySelector('polyline, rect.bar'))"
    wait_for(lambda: browser.execute_script(script), "lines in all charts")


def TestViewWithoutWorkers(cluster: Cluster, browser: Any) -> None:
    cluster.put("k", "v")
    open_page(browser, cluster)
    wait_for(lambda: text(browser, "workers-note") == "No worker has registered yet.", "it says that there is none")
    check_looks(browser, "0")
    assert complaints(browser) == []


def TestViewOfAWorkingCluster(cluster: Cluster, browser: Any) -> None:
    for name in WORKERS:
        cluster.worker(name)
    cluster.wait_online(*WORKERS)
    leader = cluster.lead_by("n1")
    for i in range(1200):
        leader.call("Put", key=b"k%d" % i, value=b"v")
    wait_for(lambda: "n1" in json.loads(leader.get("/timeline")[2])["leader"], "a sample has that n1 leads")
    cluster.lead_by("n2")
    open_page(browser, cluster)
    wait_for_charts(browser)
    wait_for(lambda: len(ids(browser)) == 3, "three workers")
    wait_for(lambda: text(browser, "leadership").split()[3:5] == ["n1", "n2"], "both leaders")
    for i in range(1000):
        cluster["n2"].call("Put", key=b"k%d" % i, value=b"v")
    wait_for(lambda: "writes –" not in text(browser, "writes"), "the writes of the new leader")
    check_looks(browser, "3")
    assert complaints(browser) == []


@pytest.mark.parametrize("count", [300, 10000])
def TestViewOfManyWorkers(cluster: Cluster, browser: Any, count: int) -> None:
    leader = cluster.leader()
    register(leader, count)
    open_page(browser, cluster, leader.name)
    wait_for(lambda: len(ids(browser)) == 50, "fifty workers")
    check_looks(browser, str(count))
    assert complaints(browser) == []


def TestViewWithADeadNode(cluster: Cluster, browser: Any) -> None:
    """The leader was killed: who led is in the memory of the others."""
    leader = cluster.leader()
    register(leader, 5)
    dead, seen = leader.name, cluster.followers()[0].name
    wait_for(lambda: dead in json.loads(cluster[seen].get("/timeline")[2])["leader"], f"{seen} remembers that {dead} led")
    cluster[dead].kill()
    cluster.leader(other_than=dead)
    open_page(browser, cluster, seen)
    wait_for(lambda: roles(browser)[dead] == "unreachable", f"{dead} is shown as unreachable")
    wait_for(lambda: f"without the memory of {dead}" in text(browser, "charts-note"), "the charts say whose memory they lack")
    wait_for(lambda: dead in text(browser, "leadership").split(), f"the chart shows that {dead} led")
    assert "1 unreachable" in text(browser, "summary") and "2 of 3 reachable" in text(browser, "nodes-count")
    check_looks(browser, "dead-node")
    assert complaints(browser) == []


def TestViewWithoutALeader(cluster: Cluster, browser: Any) -> None:
    """The one node that is left shows the workers of its own state, and says so; with a leader again it shows the leader's."""
    leader = cluster.lead_by("n1")
    register(leader, 5)
    cluster.wait_applied(leader.status().commit_index)
    open_page(browser, cluster, "n2")
    wait_for(lambda: len(ids(browser)) == 5, "five workers of the leader")
    assert text(browser, "workers-mark") == ""
    for name in ("n1", "n3"):
        cluster[name].kill()
    # Loaded before, and now.
    for load in (lambda: None, lambda: browser.refresh()):
        load()
        mark = wait_for(lambda: text(browser, "workers-mark"), "the workers are marked as this node's own")
        wait_for(lambda: (mark := text(browser, "workers-mark")).startswith("As of 20") and mark.endswith("own last state; no leader."),
                 f"the mark says of when and why: {mark}")
        assert len(ids(browser)) == 5 and "offline" in text(browser, "workers-count")
        wait_for(lambda: text(browser, "summary") == "No leader", "the summary says so, too")
        assert roles(browser)["n1"] == "unreachable"
    check_looks(browser, "no-leader")
    # After a start it does not know what of its log is committed.
    cluster["n2"].kill()
    cluster["n2"].start()
    wait_for(lambda: "applied nothing since its start" in text(browser, "workers-mark"), "the mark says that it knows nothing")
    assert ids(browser) == [] and text(browser, "workers-note") == "It has no worker."
    cluster["n1"].start()
    wait_for(lambda: text(browser, "workers-mark") == "" and len(ids(browser)) == 5, "the leader's list again")
    # But for what its snapshot says: then the time is that of the last command in it, not of the start.
    registered = cluster["n2"].call("Snapshot") and cluster["n2"].get("/workers")[2]
    cluster["n1"].kill()
    cluster["n2"].kill()
    cluster["n2"].start()
    mark = wait_for(lambda: text(browser, "workers-mark"), "this node's own again")
    assert mark.startswith("As of 20") and len(ids(browser)) == 5
    assert json.loads(cluster["n2"].get("/workers")[2])["as_of"] < json.loads(registered)["as_of"]
    assert [e for e in complaints(browser) if "ERR_CONNECTION_REFUSED" not in e["message"]] == []


def TestViewOfAFullDisk(empty_cluster: Cluster, small_disk: Any, browser: Any) -> None:  # noqa: F811
    cluster, full = empty_cluster, empty_cluster["n1"]
    cluster.start()
    cluster.lead_by(full.name)
    with pytest.raises(grpc.RpcError):
        for i in range(100):
            full.call("Put", key=b"big/%d" % i, value=bytes(200_000), timeout=DEADLINE)
    cluster.leader(other_than=full.name)
    open_page(browser, cluster, "n3")
    wait_for(lambda: rows(browser, "nodes")["n1"]["Role"].endswith("disk full"), "n1's disk is shown to be full")
    wait_for(lambda: "n1 has no space for its log" in text(browser, "banners"), "and what that means")
    check_looks(browser, "full-disk")
    assert complaints(browser) == []
