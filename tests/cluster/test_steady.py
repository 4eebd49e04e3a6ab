"""No spurious elections: on a bad link, with slow disks, under writes, the term never changes.

For two minutes with a bad link and one with slow disks too, or for BATON_SOAK_SECONDS: `make soak` takes ten minutes, all three
side by side. Data is in memory, so that a disk is as slow as the test makes it: a real one may stall for longer than a leader may
wait for it.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Iterator, List

import harness
import pytest
from harness import NODES, Cluster, net, wait_for

SOAK_SECONDS = int(os.environ.get("BATON_SOAK_SECONDS", "0"))
RATE = 200
STALL_MS = 250


class SlowDisk:
    """One node's disk, which takes 250 ms for one write in each second, while it is slow. For a node that does not run yet."""

    def __init__(self, library: Path, node: harness.Node, directory: Path) -> None:
        self._while, self._told = directory / f"{node.name}.slow", directory / f"{node.name}.told"
        node.environment.update(
            LD_PRELOAD=str(library),
            SLOW_DISK_MS=str(STALL_MS),
            SLOW_DISK_WHILE=str(self._while),
            SLOW_DISK_TOLD=str(self._told),
        )

    def begin(self) -> None:
        self._while.touch()

    def stalls(self) -> int:
        return self._told.stat().st_size if self._told.exists() else 0


@pytest.fixture
def empty_cluster(hosts: None) -> Iterator[Cluster]:
    """Three nodes, not started, on a disk that never stalls where there is one."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as directory:
        cluster = Cluster(Path(directory))
        yield cluster
        cluster.close()


@pytest.fixture
def slow_disks(empty_cluster: Cluster, tmp_path: Path) -> dict[str, SlowDisk]:
    library = tmp_path / "slow_disk.so"
    source = Path(__file__).with_name("slow_disk.c")
    subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    return {name: SlowDisk(library, node, tmp_path) for name, node in empty_cluster.nodes.items()}


@pytest.fixture
def bad_link(empty_cluster: Cluster) -> Iterator[None]:
    """50 +- 20 ms there and back, and one packet in a hundred is lost."""
    net("wan", "set", "--delay", "25ms", "--jitter", "10ms", "--loss", "1%")
    yield
    net("wan", "set", "--delay", "25ms", "--jitter", "0ms", "--loss", "0%")


def terms(cluster: Cluster) -> List[int]:
    return [node.status().term for node in cluster.nodes.values()]


def cpu_waited() -> float:
    """Seconds in which some process of this machine waited for a processor; 0 if the kernel does not report it."""
    path = Path("/proc/pressure/cpu")
    return int(path.read_text().split()[4].split("=")[1]) / 1e6 if path.exists() else 0.0


def write_once(cluster: Cluster, leader: harness.Node, seconds: int) -> List[str]:
    """RATE writes a second from the leader's cloud, of which none fails; the changes of role meanwhile."""
    endpoints = ",".join(node.address for node in cluster.nodes.values())
    writer = ["baton-bench", "--endpoints", endpoints, "--rate", str(RATE), "--in-flight", "256", "--seconds", str(seconds)]
    host = "w1" if leader.place.cloud == "gcp" else "w3"
    term = max(terms(cluster))
    logged = {name: len(node.log()) for name, node in cluster.nodes.items()}
    done = subprocess.run(
        [harness.NET, "run", host, str(harness.BUILD / writer[0]), *writer[1:]],
        capture_output=True,
        text=True,
        timeout=seconds + harness.DEADLINE,
    )
    lines = [line for name, node in cluster.nodes.items() for line in node.log()[logged[name] :].splitlines()]
    changes = [line for line in lines if "transitioned from" in line]
    assert changes or terms(cluster) == [term] * len(NODES)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    print({name: report[name] for name in ("acknowledged", "retried", "latency_ms", "longest_gap_ms")})
    assert report["failed"] == 0 and (changes or report["acknowledged"] >= 0.9 * RATE * seconds), report
    return changes


def write_steadily(cluster: Cluster, leader: harness.Node, seconds: int) -> None:
    """Nobody begins an election meanwhile. On a machine whose processors were wanted by others for half of the time, which
    keeps nodes and link from their heartbeats, it may take three attempts."""
    for attempt in range(3):
        cluster.lead_by(leader.name)
        waited, began = cpu_waited(), time.monotonic()
        changes = write_once(cluster, leader, seconds)
        starved = (cpu_waited() - waited) / (time.monotonic() - began)
        if not changes or starved < 0.5:
            break
        print(f"attempt {attempt + 1}: processors wanted by others for {starved:.0%} of the time:", *changes, sep="\n")
    assert not changes, "\n".join(changes)


def steady_cluster(cluster: Cluster) -> harness.Node:
    """The leader, once all nodes know it."""
    cluster.start()
    leader = cluster.leader()
    wait_for(lambda: all(node.status().leader == leader.name for node in cluster.nodes.values()), "all follow")
    return leader


def TestClusterTermHoldsOverABadLink(empty_cluster: Cluster, bad_link: None) -> None:
    leader = steady_cluster(empty_cluster)
    write_steadily(empty_cluster, leader, SOAK_SECONDS or 120)


@pytest.mark.parametrize("stalled", ["follower", "leader"])
def TestClusterTermHoldsWithASlowDisk(
    empty_cluster: Cluster, slow_disks: dict[str, SlowDisk], bad_link: None, stalled: str
) -> None:
    leader = steady_cluster(empty_cluster)
    follower = next(node for node in empty_cluster.others(leader.name) if node.place.cloud == "gcp")
    disk = slow_disks[leader.name if stalled == "leader" else follower.name]
    disk.begin()
    seconds = SOAK_SECONDS or 60
    write_steadily(empty_cluster, leader, seconds)
    assert disk.stalls() >= seconds * 0.9, "the disk was slow once a second"
