"""What works while a year passes: two writers that keep ledgers, a fleet of workers, and a look at all nodes each second."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Tuple

import harness
import ledger
import plan

VALUE_BYTES = 128
IN_FLIGHT = 512
AHEAD = 1.06  # of the average rate, since nothing is written while a leader is elected
LATE = 1.5  # a machine that is too slow for all writes gets so much of the time, and then makes fewer
LOOK_SECONDS = 0.3  # at one node: the others are looked at in the same second
END_SECONDS = 60.0  # for the writes in flight, and for a child to end


class Background:
    """A process on one host of its own, whose output is collected when it ends."""

    def __init__(self, host: str, command: List[str], directory: Path) -> None:
        self.host, self._command = host, command
        self._out, self._err = directory / f"{host}.out", directory / f"{host}.err"
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(
                [harness.NET, "run", host, *command], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                env={**os.environ, **harness.SANITIZERS},
            )  # fmt: skip

    def end(self, deadline: float) -> Dict[str, Any]:
        """What it printed; it must not have failed."""
        status = self.process.wait(deadline)
        text, said = self._out.read_text(), self._err.read_text()
        assert status == 0, f"{self._command[0]} on {self.host} ended with {status}: {said}{text}"
        found: Dict[str, Any] = json.loads(text)
        return found


class Writer(Background):
    def __init__(self, cluster: harness.Cluster, host: str, of: plan.Plan) -> None:
        share = plan.SHARES[host] / sum(plan.SHARES.values())
        self.prefix, self.keys, self.writes = f"{host}/", round(of.keys * share), round(of.writes * share)
        self.path = cluster.directory / f"{host}.ledger"
        command = [
            str(harness.BUILD / "baton-bench"),
            *("--endpoints", ",".join(node.address for node in cluster.nodes.values())),
            *("--prefix", self.prefix, "--keys", str(self.keys), "--size", str(VALUE_BYTES), "--count", str(self.writes)),
            *("--rate", str(round(self.writes / of.seconds * AHEAD)), "--in-flight", str(IN_FLIGHT)),
            *("--seconds", str(round(of.seconds * LATE)), "--ledger", str(self.path)),
        ]
        super().__init__(host, command, cluster.directory)

    def written(self) -> int:
        """About: what is recorded on the disk."""
        return max(0, self.path.stat().st_size - ledger.HEADER_BYTES) // ledger.RECORD.itemsize if self.path.exists() else 0

    def ledger(self) -> ledger.Ledger:
        return ledger.Ledger(self.path, self.prefix, self.keys, VALUE_BYTES)


class Fleet(Background):
    def __init__(self, cluster: harness.Cluster, count: int) -> None:
        endpoints = ",".join(node.address for node in cluster.nodes.values())
        command = [sys.executable, str(Path(__file__).with_name("fleet.py")), str(count), endpoints]
        super().__init__("w2", command, cluster.directory)

    def stop(self) -> Dict[str, Any]:
        self.process.terminate()
        return self.end(END_SECONDS)


# --- samples ---


class Sample(NamedTuple):
    at: float  # seconds from the start
    resident: int  # bytes of memory
    disk: int  # bytes of the data directory
    log: int  # bytes of the log in memory


def disk_of(directory: Path) -> int:
    """Bytes. Files come and go meanwhile."""
    size = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                size += os.stat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                continue
    return size


def metric(node: harness.Node, name: str, timeout: float = harness.DEADLINE) -> float:
    lines = node.get("/metrics", timeout)[2].splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))


class Sampler:
    """Looks at every node each second, on a thread of its own."""

    def __init__(self, cluster: harness.Cluster) -> None:
        self.began = time.monotonic()
        self.samples: Dict[str, List[Sample]] = {}
        self._cluster, self._over = cluster, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(1.0 - (time.monotonic() - self.began) % 1.0):
            for node in list(self._cluster.nodes.values()):
                try:
                    self.samples.setdefault(node.name, []).append(self._sample(node))
                except (OSError, StopIteration):
                    continue  # it does not run now, or does not answer

    def _sample(self, node: harness.Node) -> Sample:
        pages = int(Path(f"/proc/{node.pid}/statm").read_text().split()[1])
        log = int(metric(node, "raft_log_memory_bytes", LOOK_SECONDS))
        return Sample(time.monotonic() - self.began, pages * os.sysconf("SC_PAGE_SIZE"), disk_of(node.data), log)

    def end(self) -> None:
        self._over.set()
        self._thread.join()
