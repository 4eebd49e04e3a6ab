"""deploy/prometheus/rules.yml: promtool fires each alert, and shows when it does not fire; what the rules ask for is there, and
each alert has its place in docs/operations.md.

A case is what is scraped every ten seconds: {series: values}, in promtool's notation (1x30: 1, and 30 times more; 0+5x30: rising
by 5), with N1, N2 and N3 for the three nodes' labels."""

import json
import pathlib
import re
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROMTOOL = ROOT / "build/tools/promtool"
RULES = ROOT / "deploy/prometheus/rules.yml"
OPERATIONS = (ROOT / "docs/operations.md").read_text()
NODES = {f"N{n}": f'job="baton",instance="n{n}:7480"' for n in (1, 2, 3)}

# How long each case lasts, and when it is looked at.
LASTING, AT = "x240", "40m"


def histogram(name, node, slow):
    """One sample a second that takes up to 1 ms or, if slow, up to a second."""
    low, high = ("0", "0+10") if slow else ("0+10", "0+10")
    return {
        f'{name}_bucket{{{node},le="0.001"}}': f"{low}{LASTING}",
        f'{name}_bucket{{{node},le="1"}}': f"{high}{LASTING}",
        f'{name}_bucket{{{node},le="+Inf"}}': f"{high}{LASTING}",
    }


ONE_LEADS = {"raft_has_leader{N1}": f"1{LASTING}", "raft_is_leader{N1}": f"1{LASTING}", "raft_is_leader{N2}": f"0{LASTING}"}


def workers(online, offline):
    """As the leader has them; the other node has none offline yet."""
    return {
        **ONE_LEADS,
        'baton_workers{N1,cloud="aws",status="online"}': f"{online}{LASTING}",
        'baton_workers{N1,cloud="aws",status="offline"}': f"{offline}{LASTING}",
        'baton_workers{N2,cloud="aws",status="online"}': f"{online + offline}{LASTING}",
        'baton_workers{N2,cloud="aws",status="offline"}': f"0{LASTING}",
    }


DAY = 86400


def expiring(file, left):
    """What the file holds is good for so many seconds more when the case is looked at."""
    return {f'baton_tls_expiry_timestamp_seconds{{N1,file="{file}"}}': f"{40 * 60 + left}{LASTING}"}


# By alert: what fires it, and what does not.
CASES = {
    "BatonNoLeader": (
        {"raft_has_leader{N1}": "1x200 0x39", "raft_has_leader{N2}": "1x200 0x39"},
        {"raft_has_leader{N1}": f"0{LASTING}", "raft_has_leader{N2}": f"1{LASTING}"},
    ),
    "BatonNodeDown": ({"up{N1}": "1x200 0x39"}, {"up{N1}": "1x236 0x3", 'up{job="else",instance="x"}': f"0{LASTING}"}),
    "BatonNodeApart": (
        {"raft_has_leader{N1}": "1x200 0x39", "raft_has_leader{N2}": f"1{LASTING}"},
        {"raft_has_leader{N1}": f"0{LASTING}", "raft_has_leader{N2}": f"0{LASTING}"},
    ),
    "BatonLeaderChangesOften": (
        {"raft_leader_changes_total{N1}": "0x180 1+1x60"},
        {"raft_leader_changes_total{N1}": "0x180 2x60", "raft_leader_changes_total{N2}": "0x180 2x60"},
    ),
    "BatonDiskFull": ({"wal_full{N1}": "0x236 1x3"}, {"wal_full{N1}": f"0{LASTING}"}),
    "BatonDiskSlow": (histogram("wal_fsync_duration_seconds", "N1", True), histogram("wal_fsync_duration_seconds", "N1", False)),
    "BatonSnapshotsFail": (
        {"baton_snapshot_failures_total{N1}": "0x200 1x39"},
        {"baton_snapshot_failures_total{N1}": "0 1x239"},
    ),
    "BatonNodeLags": (
        {"raft_commit_index{N1}": f"50000+100{LASTING}", "raft_applied_index{N1}": f"50000+100{LASTING}", "raft_applied_index{N2}": f"0+100{LASTING}"},
        {"raft_commit_index{N1}": f"50000+100{LASTING}", "raft_applied_index{N1}": f"45000+100{LASTING}", "raft_applied_index{N2}": f"60000+100{LASTING}"},
    ),
    "BatonPeerUnreachable": (
        {'raft_peer_send_failures_total{N1,peer="n2",cloud="aws"}': f"0+5{LASTING}"},
        {'raft_peer_send_failures_total{N1,peer="n2",cloud="aws"}': "0x200 20x39"},
    ),
    "BatonQuarantined": (
        {'baton_quarantined{N1,reason="diverged"}': "0x236 1x3"},
        {'baton_quarantined{N1,reason="diverged"}': f"0{LASTING}"},
    ),
    "BatonDigestsUndecided": ({"baton_digests_undecided{N1}": "0x200 1x39"}, {"baton_digests_undecided{N1}": "0x237 1x2"}),
    "BatonWritesFail": ({"raft_proposals_failed_total{N1}": f"0+20{LASTING}"}, {"raft_proposals_failed_total{N1}": f"0+5{LASTING}"}),
    "BatonWorkersOffline": (workers(10, 11), workers(11, 10)),
    "BatonLoopBusy": (histogram("baton_loop_turn_seconds", "N1", True), histogram("baton_loop_turn_seconds", "N1", False)),
    "BatonFewFilesLeft": (
        {"process_open_fds{N1}": f"81{LASTING}", "process_max_fds{N1}": f"100{LASTING}", "raft_term{N1}": f"1{LASTING}"},
        {'process_open_fds{job="else",instance="x"}': f"81{LASTING}", 'process_max_fds{job="else",instance="x"}': f"100{LASTING}"},
    ),
    "BatonRestartsOften": (
        {"process_start_time_seconds{N1}": "1x200 2x5 3x5 4x5 5x24", "raft_term{N1}": f"1{LASTING}"},
        {"process_start_time_seconds{N1}": "1x200 2x5 3x5 4x30", "raft_term{N1}": f"1{LASTING}"},
    ),
    "BatonCertificateExpires": (expiring("ca", 14 * DAY - 700), {**expiring("cert", 14 * DAY + 60), **expiring("crl", 2 * DAY)}),
    "BatonCertificateNearlyExpired": (expiring("cert", 3 * DAY - 1), {**expiring("cert", 3 * DAY + 60), **expiring("crl", 2 * DAY)}),
    "BatonCertificateUnusable": ({"baton_tls_files_unusable{N1}": "0x170 1x69"}, {"baton_tls_files_unusable{N1}": "0x200 1x39"}),
    "BatonRevocationsOverdue": (expiring("crl", DAY - 700), {**expiring("crl", DAY + 60), **expiring("cert", 60)}),
    "BatonVersionsDiffer": (
        {'baton_build_info{N1,version="1"}': "1x2400", 'baton_build_info{N2,version="2"}': "1x2400"},
        {'baton_build_info{N1,version="1"}': "1x2400", 'baton_build_info{N2,version="2"}': "1x1200 _x100 1x1100"},
    ),
}
LATER = {"BatonVersionsDiffer": "400m"}

# What the recorded series come to.
RECORDED = {
    "baton:workers": (workers(7, 2), 'sum(baton:workers{status="online"})', 7),
    "baton:writes:rate1m": ({"raft_proposals_committed_total{N1}": f"0+100{LASTING}", "raft_proposals_committed_total{N2}": f"0+50{LASTING}"}, "baton:writes:rate1m", 15),
    "baton:commit_latency_ms:p99": (histogram("raft_replication_latency_ms", "N1", True), "baton:commit_latency_ms:p99 > bool 0.9", 1),
    "baton:fsync_seconds:p99": (histogram("wal_fsync_duration_seconds", "N1", True), "baton:fsync_seconds:p99 > bool 0.9", 1),
    "baton:round_trip_seconds:p50": (histogram("raft_peer_round_trip_seconds", 'N1,peer="n2"', True), "baton:round_trip_seconds:p50 > bool 0.4", 1),
    "baton:loop_turn_seconds:p99": (histogram("baton_loop_turn_seconds", "N1", True), "baton:loop_turn_seconds:p99 > bool 0.9", 1),
    "baton:lag_entries": ({"raft_commit_index{N1}": f"9{LASTING}", "raft_applied_index{N2}": f"5{LASTING}"}, "baton:lag_entries", 4),
}


def rules(kind):
    return {rule[kind]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"] if kind in rule}


def named(series):
    return re.sub(r"N[123]", lambda node: NODES[node[0]], series)


def promtool(*arguments):
    if not PROMTOOL.exists():
        pytest.skip("build/tools/promtool is missing: deploy/tools brings it")
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def expect(tmp_path, scraped, at, expression, values):
    """promtool agrees that the expression has these values then, whatever their labels."""
    case = {
        "interval": "10s",
        "input_series": [{"series": named(series), "values": given} for series, given in scraped.items()],
        "promql_expr_test": [{"expr": f"sum({expression})", "eval_time": at, "exp_samples": [{"labels": "{}", "value": value} for value in values]}],
    }
    file = tmp_path / "case.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "10s", "tests": [case]}))
    promtool("test", "rules", str(file))


def test_rules_are_valid():
    promtool("check", "rules", str(RULES))


def test_all_rules_have_cases():
    assert set(rules("alert")) == set(CASES) and set(rules("record")) == set(RECORDED)


@pytest.mark.parametrize("alert", CASES)
def test_alert_fires(alert, tmp_path):
    firing = f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
    fires, quiet = CASES[alert]
    expect(tmp_path, fires, LATER.get(alert, AT), firing, [1])
    expect(tmp_path, quiet, LATER.get(alert, AT), firing, [])


@pytest.mark.parametrize("series", RECORDED)
def test_series_is_recorded(series, tmp_path):
    scraped, expression, value = RECORDED[series]
    expect(tmp_path, scraped, AT, expression, [value])


def test_metrics_of_the_rules_exist():
    """Each is in the table of docs/operations.md, which other tests compare with the source."""
    table = OPERATIONS.split("## Metrics", 1)[1].split("\n## ", 1)[0]
    known = set(re.findall(r"^\| `(\w+)", table, re.MULTILINE)) | {"up"}
    for rule in (*rules("alert").values(), *rules("record").values()):
        expression = re.sub(r"\{[^}]*\}|by \([^)]*\)|(?:on|group_right|group_left) \([^)]*\)|baton:[\w:]+", "", rule["expr"])
        used = set(re.findall(r"\b(?:raft|baton|wal|rpc|process)_\w+|\bup\b", expression))
        assert used <= known | {f"{name}_bucket" for name in known}, rule


def test_alerts_have_a_runbook():
    section = OPERATIONS.split("\n## Alerts\n", 1)[1].split("\n## ", 1)[0]
    assert re.findall(r"^### (\w+)$", section, re.MULTILINE) == list(rules("alert"))
    for name, rule in rules("alert").items():
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{name.lower()}"
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
