"""The metrics pass Prometheus's own checker."""

from __future__ import annotations

import subprocess

import pytest
from harness import ROOT, Cluster

PROMTOOL = ROOT / "build" / "tools" / "promtool"

# Names that are a contract of ours, and why promtool does not like them.
KNOWN = {
    "raft_peer_replication_latency_ms metric names should not contain abbreviated units",
    "raft_replication_latency_ms metric names should not contain abbreviated units",
    'raft_term counter metrics should have "_total" suffix',  # it never falls, and is a counter for that
}


def TestMetricsPleasePromtool(cluster: Cluster) -> None:
    if not PROMTOOL.exists():
        pytest.skip("build/tools/promtool is missing: deploy/tools brings it")
    cluster.put("k", "v")
    cluster.worker("w1")
    cluster.wait_online("w1")
    for node in cluster.nodes.values():
        text = node.get("/metrics")[2]
        told = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        assert set(told.stderr.splitlines()) == KNOWN, told.stderr
        assert told.returncode == 3, told
