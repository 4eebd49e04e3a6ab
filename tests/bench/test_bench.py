"""The measurements run, and what they make of figures is right. Not how fast anything is: that is for a quiet machine."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import math
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BATON_BUILD", ROOT / "build"))

sys.path.insert(0, str(ROOT / "bench"))
import stage  # noqa: E402


def script(name: str) -> Any:
    loader = importlib.machinery.SourceFileLoader(name, str(ROOT / "bench" / name))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def run(*command: str, seconds: float = 300) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BATON_")}
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, env={**environment, "BATON_BUILD": str(BUILD)})


@pytest.fixture
def worlds() -> None:
    if run(str(ROOT / "tests/cluster/world"), "true").returncode != 0:
        pytest.skip("may not make network namespaces")


def test_summary_is_exact() -> None:
    assert stage.summary([]) == {"n": 0, "p50": None, "p90": None, "p99": None, "max": None}
    assert stage.summary(range(100, 0, -1)) == {"n": 100, "p50": 50, "p90": 90, "p99": 99, "max": 100}
    assert stage.summary([7.0]) == {"n": 1, "p50": 7.0, "p90": 7.0, "p99": 7.0, "max": 7.0}


def test_histogram_is_linear_within_a_bucket() -> None:
    before = {1.0: 5.0, 2.0: 5.0, 4.0: 5.0, math.inf: 5.0}
    after = {1.0: 5.0, 2.0: 55.0, 4.0: 105.0, math.inf: 105.0}
    assert stage.histogram_summary(stage.difference(after, before)) == {"n": 100, "p50": 2.0, "p90": 3.6, "p99": 3.96}
    beyond = {1.0: 0.0, math.inf: 3.0}
    assert stage.histogram_summary(beyond) == {"n": 3, "p50": 1.0, "p90": 1.0, "p99": 1.0}
    assert stage.histogram_summary({1.0: 0.0, math.inf: 0.0})["p50"] is None


def test_gap_counts_from_the_fault_on() -> None:
    report = {"began_unix": 100.0, "samples": [(0, 0), (0, 700_000), (0, 900_000), (0, 1_200_000), (0, 1_300_000)]}
    failover = script("failover")
    assert failover.gap_ms(report, 100.0) == pytest.approx(700)
    assert failover.gap_ms(report, 101.0) == pytest.approx(300), "the gap in which the fault lies"


def test_failover_targets() -> None:
    failover = script("failover")
    near = {"old_leader": "n1", "new_leader": "n2", "gap_ms": {"n2": 80.0, "n3": 130.0}, "failed": 0}
    assert failover.met("SIGTERM", "lossless", [near])
    assert not failover.met("SIGTERM", "lossless", [near, {**near, "failed": 1}])
    assert not failover.met("SIGTERM", "lossless", [near, {**near, "gap_ms": {"n2": 81.0, "n3": 100.0}}])
    assert failover.met("SIGKILL", "lossless", [near])
    assert not failover.met("SIGKILL", "lossless", [near, {**near, "gap_ms": {"n2": 10.0, "n3": 351.0}}])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--in-flight", "0"], '--in-flight is "0"; allowed is 1 to 512'),
        (["--count", "-1"], '--count is "-1"'),
        (["--rate"], "--rate needs a value"),
        (["--what"], "unknown option --what"),
        (["more"], "unexpected argument more"),
        (["--endpoints", "nowhere"], "--endpoints"),
    ],
)
def test_baton_bench_refuses(arguments: "list[str]", complaint: str) -> None:
    done = run(str(BUILD / "baton-bench"), *arguments)
    assert done.returncode == 2 and complaint in done.stderr and not done.stdout, done.stderr


def test_baton_bench_reports_that_nobody_answers() -> None:
    done = run(str(BUILD / "baton-bench"), "--endpoints", "127.0.0.1:1", "--seconds", "1", seconds=60)
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert report["acknowledged"] == 0 and report["failed"] == 1 and "not answered" in done.stderr


def test_baseline_quick(worlds: None) -> None:
    baseline = script("baseline")
    done = run(sys.executable, str(ROOT / "bench/baseline"), "--quick", "--name", "test")
    assert done.returncode == 0, done.stdout + done.stderr
    recording = json.loads((BUILD / "baseline/baseline.json").read_text())
    assert len(recording["replication"]) == 2 * len(baseline.LOADS) and len(recording["one_down"]) == 4
    for cell in [*recording["replication"], *recording["one_down"]]:
        measured = [cell["commit"], cell["client"]] + ([] if "down" in cell else [cell["all"]])
        assert all(found["n"] > 0 and 0 < found["p50"] <= found["p99"] for found in measured), cell
        crossing = cell["leader_cloud"] == "aws" or "down" in cell
        assert not crossing or cell["client"]["p50"] >= 50, f"a commit crosses the link: {cell}"
    assert {row["fault"] for row in recording["elections"]} == set(baseline.FAULTS)
    assert all(row["new_leader"] != row["old_leader"] for row in recording["elections"])
    assert "| gcp | 50 ms | 1 | 256 B |" in (BUILD / "baseline/baseline.md").read_text()
    for plot in ("replication.svg", "elections.svg"):
        assert "<svg" in (BUILD / "baseline" / plot).read_text()
    compared = run(sys.executable, str(ROOT / "bench/baseline"), "--compare", str(BUILD / "baseline"), "--name", str(BUILD / "baseline"))
    assert compared.returncode == 0 and "| 1.00 |" in compared.stdout, compared.stderr


def test_failover_quick(worlds: None) -> None:
    done = run(sys.executable, str(ROOT / "bench/failover"), "--quick")
    assert done.returncode == 0, done.stdout + done.stderr
    for kind in ("SIGKILL", "SIGSTOP", "SIGTERM"):
        assert f"| {kind} | lossless | 1 |" in done.stdout, done.stdout
