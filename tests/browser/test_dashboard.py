"""The dashboard in Chromium: what it shows, that it keeps itself current, and that no script fails on it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, List

from harness import WORKERS, Cluster, wait_for

ROOT = Path(__file__).resolve().parent.parent.parent


def rows(browser: Any, table: str) -> Dict[str, List[str]]:
    """The cells of a table's rows by the first one, read in one go: the page is refreshed every second."""
    script = "return [...document.querySelectorAll(`#${arguments[0]} tbody tr`)].map(r => [...r.cells].map(c => c.innerText))"
    return {row[0]: row[1:] for row in browser.execute_script(script, table)}


def roles(browser: Any) -> Dict[str, str]:
    return {node: cells[0].split()[-1].lower() for node, cells in rows(browser, "nodes").items()}


def TestDashboardShowsTheCluster(cluster: Cluster, browser: Any) -> None:
    for name in WORKERS:
        cluster.worker(name)
    cluster.wait_online(*WORKERS)
    leader, follower = cluster.leader(), cluster.followers()[0]
    browser.get(f"{follower.http}/")

    expected = {name: "leader" if name == leader.name else "follower" for name in cluster.nodes}
    wait_for(lambda: roles(browser) == expected, f"the page shows {expected}")
    wait_for(lambda: [w[0].split()[-1] for w in rows(browser, "workers").values()] == ["online"] * 3, "all workers online")
    nodes = wait_for(lambda: all("ms" in cells[5] for cells in rows(browser, "nodes").values()) and rows(browser, "nodes"),
                     "round trips are shown")
    term, commit = str(leader.status().term), leader.status().commit_index
    assert all(cells[1] == term and int(cells[2]) >= commit - 1 for cells in nodes.values()), nodes
    assert "5" in nodes["n3"][5], nodes  # 50 ms and some to either of the others

    if os.environ.get("BATON_KEEP_SCREENSHOT"):
        browser.save_screenshot(str(ROOT / "docs" / "dashboard.png"))
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


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
    wait_for(lambda: "offline" in rows(browser, "workers")["w1"][0], "w1 is shown as offline")
