"""The metrics pass Prometheus's own checker, and fill the dashboard when a real Prometheus has scraped them."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Iterator, List

import pytest
from harness import DEADLINE, ROOT, Cluster, wait_for

PROMTOOL = ROOT / "build" / "tools" / "promtool"
PROMETHEUS = ROOT / "build" / "tools" / "prometheus"
LISTEN = "127.0.0.1:9090"  # of this test's own network namespace

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


def asked(expression: str) -> List[Any]:
    """What Prometheus answers to it now."""
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"http://{LISTEN}/api/v1/query?{query}", timeout=DEADLINE) as response:
        found: List[Any] = json.load(response)["data"]["result"]
    return found


@pytest.fixture
def prometheus(cluster: Cluster, tmp_path: Path) -> Iterator[None]:
    """It scrapes the cluster's nodes often, and records the series of deploy/prometheus."""
    if not PROMETHEUS.exists():
        pytest.skip("build/tools/prometheus is missing: deploy/tools brings it")
    config = {
        "global": {"scrape_interval": "200ms", "evaluation_interval": "200ms"},
        "rule_files": [str(ROOT / "deploy/prometheus/rules.yml")],
        "scrape_configs": [{"job_name": "baton", "static_configs": [{"targets": [node.http.removeprefix("http://") for node in cluster.nodes.values()]}]}],
    }
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))
    command = [PROMETHEUS, f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/series", f"--web.listen-address={LISTEN}"]
    with open(tmp_path / "prometheus.log", "w") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    yield
    process.kill()
    process.wait()


def TestMetricsFillTheDashboard(cluster: Cluster, prometheus: None) -> None:
    """Each expression of each panel has an answer, and the workers are counted once, not once a node."""
    cluster.worker("w1")
    cluster.wait_online("w1")
    wait_for(lambda: len(asked("count_over_time(up[1m]) >= 5")) == 3, "five scrapes of each node")
    cluster.put("k", "v")
    dashboard = json.loads((ROOT / "deploy/grafana/baton.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".+").replace("$job", "baton")
            wait_for(lambda: asked(expression), f"{panel['title']}: {expression}")  # noqa: B023
    wait_for(lambda: [row["value"][1] for row in asked('sum(baton:workers{status="online"})')] == ["1"], "one worker is online")
