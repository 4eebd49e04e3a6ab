"""The measurements run, and what they make of figures is right. Not how fast anything is: that is for a quiet machine."""

from __future__ import annotations

import json
import math
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BATON_BUILD", ROOT / "build"))

sys.path.insert(0, str(ROOT / "bench"))
import stage  # noqa: E402
from stage import script  # noqa: E402


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


def test_turns_of_all_nodes() -> None:
    snapshots = script("snapshots")
    before = {0.01: 5.0, 0.02: 5.0, 0.05: 6.0, math.inf: 6.0}  # the node's long turn was before
    nodes = [{0.01: 9.0, 0.02: 9.0, 0.05: 10.0, math.inf: 10.0}, {0.01: 7.0, 0.02: 9.0, 0.05: 10.0, math.inf: 10.0}]
    one, both = snapshots.added(nodes[:1], [before]), snapshots.added(nodes, [before, before])
    assert snapshots.above(one, 0.01) == 0 and snapshots.longest_bucket(one) == 0.01
    assert snapshots.above(both, 0.01) == 2 and snapshots.longest_bucket(both) == 0.02
    assert snapshots.longest_bucket({0.01: 3.0, math.inf: 4.0}) == math.inf
    assert snapshots.ratio({"without": [{"rate": 100}], "while written": [{"rate": 80}]}) == pytest.approx(0.8)


def test_restart_reads_the_logs(tmp_path: pathlib.Path) -> None:
    restart = script("restart")
    system = restart.Baton(tmp_path)
    system.commands = {"n1": [], "n2": []}
    (tmp_path / "n1.log").write_text(
        'time=1970-01-01T00:01:40.250Z level=info msg="recovered the log" dir=n1\n'
        'time=1970-01-01T00:01:40.800Z level=info msg="n1 transitioned from Candidate to Leader (term 2)"\n'
    )
    (tmp_path / "n2.log").write_text('time=1970-01-01T00:01:40.500Z level=info msg="recovered the log" dir=n2\n')
    assert system.parts(100.0) == {"recovered_ms": 500.0, "elected_ms": 800.0}
    (tmp_path / "n2.log").write_text("")
    assert system.parts(100.0)["recovered_ms"] is None, "n2 has not read its log"
    rounds = [{"served_ms": 10.0}, {"served_ms": 40.0}, {"served_ms": 20.0}]
    assert restart.median_and_worst(rounds, "served_ms") == (20.0, 40.0)
    assert restart.median_and_worst(rounds, "elected_ms") is None


def test_catchup_figures() -> None:
    catchup = script("catchup")
    report = {"began_unix": 100.0, "samples": [(0, 5_000), (1_500_000, 1_520_000), (2_500_000, 2_600_000)]}
    assert [catchup.p99_ms(report, since, since + 1) for since in (100.0, 101.0, 102.0)] == [5, 20, 100]
    with pytest.raises(SystemExit):
        catchup.p99_ms(report, 103.0, 104.0)
    assert catchup.bound({"link_rate": 10e6}) == 10e6
    assert catchup.bound({"link_rate": 100e6}) == 64 * 1024 * 1024, "the nodes send no faster"
    assert catchup.useful(received=120, sent=110, size=100) == 110 and catchup.useful(received=120, sent=90, size=100) == 120


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--in-flight", "0"], '--in-flight is "0"; allowed is 1 to 512'),
        (["--count", "-1"], '--count is "-1"'),
        (["--keys", "0"], '--keys is "0"; allowed is 1 to 1000000000'),
        (["--rate"], "--rate needs a value"),
        (["--what"], "unknown option --what"),
        (["more"], "unexpected argument more"),
        (["--endpoints", "nowhere"], "--endpoints"),
        (["--ledger", "/dev/null"], "--keys is 1; with --ledger allowed is 2048 to 10000000"),
        (["--ledger", "/dev/null", "--keys", "2048", "--size", "127"], "--size is 127; with --ledger allowed is 128 to 65536"),
        (["--ledger", "/dev/null", "--samples", "/dev/null"], "--samples does not go with --ledger"),
        (["--prefix", "p" * 65], "--prefix has more than 64 bytes"),
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


def test_restart_quick() -> None:
    done = run(sys.executable, str(ROOT / "bench/restart"), "--quick", "--only", "baton")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| baton | 20,000 | 2,000 | 1 |" in done.stdout, done.stdout


def test_snapshots_quick() -> None:
    done = run(sys.executable, str(ROOT / "bench/snapshots"), "--quick")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| without | " in done.stdout and "| while written | " in done.stdout, done.stdout


def test_catchup_quick(worlds: None) -> None:
    done = run(sys.executable, str(ROOT / "bench/catchup"), "--quick")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Targets: a share of 0.80" in done.stdout and "caught up in" in done.stderr, done.stdout
