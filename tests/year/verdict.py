"""What must hold at the end of a year: nothing lost, nothing doubled, no worker wronged, and everything bounded."""

from __future__ import annotations

import base64
import json
import statistics
import subprocess
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple

import harness
import ledger
import load
import members
import stage
from harness import wait_for

MiB = 1 << 20
RESTART_SECONDS_MAX = 5.0  # ten times what a machine with nothing else to do takes,
RESTART_SECONDS_MAX_BUSY = 30.0  # as one is that also builds: a short year is a test among others
GROWTH_MAX = 1.15  # of the memory in one of the last two quarters, to that in the second
GROWTH_BYTES = 8 * MiB  # and so much is noise: what malloc keeps
SEGMENT_BYTES = 64 * MiB
RETAINED_ENTRIES = 10_000


# --- what the nodes hold ---


def listed(node: harness.Node, **how: Any) -> Iterator[ledger.Item]:
    after = b""
    while True:
        page = node.call("List", start_after=after, **how)
        yield from (ledger.Item(item.key, item.value, item.revision) for item in page.items)
        if not page.more:
            return
        after = page.items[-1].key


def in_image(lines: Iterable[str]) -> Iterator[ledger.Item]:
    for line in lines:
        item = json.loads(line).get("item")
        if item is not None:
            value = base64.b64decode(item.get("value", ""))
            yield ledger.Item(base64.b64decode(item["key"]), value, int(item["revision"]))


def in_snapshot(node: harness.Node, index: int) -> Iterator[ledger.Item]:
    command = [str(harness.BUILD / "batond"), "--dump-snapshot", str(node.data), "--index", str(index)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=load.END_SECONDS)
    assert done.returncode == 0, f"--dump-snapshot of {node.name} ended with {done.returncode}: {done.stderr}"
    return in_image(done.stdout.splitlines())


def snapshots(node: harness.Node) -> List[int]:
    return sorted(int(path.name.split("-")[0]) for path in (node.data / "snap").glob("*.snap"))


def check_contents(cluster: harness.Cluster, ledgers: List[ledger.Ledger]) -> List[str]:
    """Reads all keys: from the leader, from every node's own state, and from every snapshot as of its index."""
    end = 2**63 - 1
    leader = cluster.leader(load.END_SECONDS)
    found = ledger.compare("the leader", listed(leader), ledgers, end)
    cluster.wait_applied(leader.status().commit_index)
    for node in cluster.nodes.values():
        found += ledger.compare(node.name, listed(node, stale=True), ledgers, end)
        for index in snapshots(node):
            found += ledger.compare(f"{node.name}'s snapshot at {index}", in_snapshot(node, index), ledgers, index)
    return found


class Backup(NamedTuple):
    file: Path
    at: int  # its index


def check_backup(backup: Backup, ledgers: List[ledger.Ledger]) -> List[str]:
    """It holds what was acknowledged up to its index, and nothing that came later."""
    with backup.file.open() as lines:
        return ledger.compare(f"the backup at {backup.at}", in_image(lines), ledgers, backup.at)


def check_restored(backup: Backup, ledgers: List[ledger.Ledger]) -> List[str]:
    """A cluster that begins with it has the same state: the same bytes, whose digest is verified by nodes that start from
    them, and all keys on all nodes."""
    where = f"restored from {backup.at}"
    directory = backup.file.with_name(f"{backup.file.name}-restored")
    with members.restored(backup.file, directory, list(stage.EXTRA)) as cluster:
        images = {name: next((node.data / "snap").glob(f"{backup.at:016}-*.snap")) for name, node in cluster.nodes.items()}
        whole = backup.file.read_bytes()
        found = [f"{where}: {name} began with other bytes" for name, image in images.items() if image.read_bytes() != whole]
        leader = cluster.leader(members.PATIENCE)
        found += ledger.compare(where, listed(leader), ledgers, backup.at)
        cluster.wait_applied(leader.status().commit_index, deadline=members.PATIENCE)
        for node in cluster.nodes.values():
            found += ledger.compare(f"{where}, {node.name}", listed(node, stale=True), ledgers, backup.at)
    return found


# --- workers ---


def check_workers(cluster: harness.Cluster, count: int, told: Dict[str, Any]) -> List[str]:
    """All are online under the epoch that they were told; `told` is the fleet's report."""
    found = [f"worker {wronged}" for wronged in told["wronged"]] + [f"worker: {error}" for error in told["errors"]]
    workers = cluster.leader(load.END_SECONDS).call("ListWorkers").workers
    known = {worker.id: worker for worker in workers}
    if len(known) != count:
        found.append(f"{len(known)} of {count} workers are registered")
    for name, epoch in told["epochs"].items():
        worker = known.get(name)
        if worker is not None and (worker.status, worker.epoch) != ("online", epoch):
            found.append(f"{name} is {worker.status} under epoch {worker.epoch}, and was told {epoch}")
    return found


# --- bounds ---


def check_growth(samples: Dict[str, List[load.Sample]], seconds: float) -> List[str]:
    """From the second quarter on the nodes' memory does not rise. A node that joins needs more for a while, one that
    restarts less, so it is the median that counts."""

    def middle(quarter: int) -> float:
        begin, end = seconds * quarter / 4, seconds * (quarter + 1) / 4
        return statistics.median([s.resident for each in samples.values() for s in each if begin <= s.at < end] or [0])

    second, last = middle(1), max(middle(2), middle(3))
    if last > second * GROWTH_MAX + GROWTH_BYTES:
        return [f"memory grows: {second / 1e6:.0f} MB in the second quarter, then {last / 1e6:.0f} MB"]
    return []


def log_bytes(node: harness.Node) -> int:
    """Of the entries after the older snapshot; or of the last that a follower or a Watch may want, if those are more."""
    taken = snapshots(node)
    if not taken:
        return 0
    lines = node.dump_wal(wait_for(node.status, f"{node.name} answers").commit_index).splitlines(keepends=True)
    first = int(json.loads(lines[0])["index"])
    begin = max(0, min(taken[0], taken[-1] - RETAINED_ENTRIES) + 1 - first)
    return sum(map(len, lines[begin:]))


def check_memory(name: str, samples: List[load.Sample], held: int) -> List[str]:
    """At the end of the load: twice the keys and values, the longest log that there was in memory, and 32 MiB. What was
    freed of that log is used for the next entries, and does not go back to the system. Between two looks it may have
    been longer by what comes in that time."""
    logs = [sample.log for sample in samples]
    longest = max(logs) + max((later - earlier for earlier, later in zip(logs, logs[1:])), default=0)
    resident = samples[-1].resident
    if resident > 2 * held + longest + 32 * MiB:
        known = f"{longest / 1e6:.0f} MB of log and {held / 1e6:.0f} MB of keys and values"
        return [f"{name} has {resident / 1e6:.0f} MB resident, with {known}"]
    return []


def check_disk(node: harness.Node) -> List[str]:
    """Two snapshots, the log since the older one and two segments."""
    images = sorted((node.data / "snap").glob("*.snap"))
    allowed = sum(path.stat().st_size for path in images[-2:]) + log_bytes(node) + 2 * SEGMENT_BYTES
    disk = load.disk_of(node.data)
    if images and (disk > allowed or len(images) > 2):
        has = f"{disk / 1e6:.0f} MB on the disk with {len(images)} snapshots"
        return [f"{node.name} has {has}; {allowed / 1e6:.0f} MB are allowed"]
    return []


def check_restarts(seconds: Iterable[float], most: float) -> List[str]:
    slowest = max(seconds, default=0.0)
    return [f"a restart took {slowest:.1f} s"] if slowest > most else []
