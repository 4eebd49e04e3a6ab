"""What happens to the cluster in a year, one thing at a time, each until all is well again."""

from __future__ import annotations

import json
import random
import time
from typing import Callable, Dict, List, NamedTuple

import harness
import members
import plan
import stage
import verdict
from harness import wait_for

PATIENCE = members.PATIENCE
PLACEMENT = "on"  # as in production: leadership returns to where it serves best


class Happened(NamedTuple):
    at: float  # seconds from the start
    kind: str
    took: float  # seconds until all was well
    what: str


class Restart(NamedTuple):
    at: float
    node: str
    seconds: float  # from its start until it serves


class Happenings:
    def __init__(self, cluster: harness.Cluster, rng: random.Random, now: Callable[[], float]) -> None:
        self.done: List[Happened] = []
        self.restarts: List[Restart] = []
        self.elections: List[float] = []  # seconds until another node led
        self.backups: List[verdict.Backup] = []
        self._cluster, self._rng, self._now = cluster, rng, now
        self._joined = len(cluster.nodes)
        self._kinds: Dict[str, Callable[[], str]] = {
            "rolling restart": self._rolling_restart,
            "replacement": self._replacement,
            "backup": self._backup,
            **{kind: lambda kind=kind: self._loss(kind) for kind in plan.LOSSES},  # type: ignore[misc]
        }

    def happen(self, kind: str) -> Happened:
        began = self._now()
        what = self._kinds[kind]()
        self.settle()
        self.done.append(Happened(began, kind, self._now() - began, what))
        return self.done[-1]

    def settle(self) -> None:
        """All nodes follow one leader and have what it has committed."""
        leader = self._cluster.leader(PATIENCE)
        index = wait_for(leader.status, f"{leader.name} answers").commit_index
        for node in list(self._cluster.nodes.values()):
            self._cluster.wait_applied(index, node.name, deadline=PATIENCE)

    def start(self, node: harness.Node) -> float:
        """Until it knows a leader and serves; with its log on the disk that takes as long as reading the log does."""
        at, began = self._now(), time.monotonic()
        node.start()
        wait_for(lambda: node.get("/readyz")[0] == 200, f"{node.name} serves", PATIENCE)
        self.restarts.append(Restart(at, node.name, time.monotonic() - began))
        return self.restarts[-1].seconds

    # Loss of the leader.

    def _loss(self, kind: str) -> str:
        old = self._cluster.leader(PATIENCE)
        succession = stage.Succession(self._cluster, old)
        began = time.time()
        if kind == "SIGSTOP":
            old.pause()
        elif kind == "SIGKILL":
            old.kill()
        elif kind == "SIGTERM":
            old.terminate()
        if kind == "cut":
            with self._cluster.cut_off(old.name):
                took = self._succeeded(succession, began)
        else:
            took = self._succeeded(succession, began)
        if kind == "SIGSTOP":
            old.resume()
        elif kind != "cut":
            old.wait()
            return f"{old.name}, {took * 1000:.0f} ms without a leader, back in {self.start(old):.2f} s"
        return f"{old.name}, {took * 1000:.0f} ms without a leader"

    def _succeeded(self, succession: stage.Succession, began: float) -> float:
        """Waits for the next leader, and lets it lead for a while before the old one returns."""
        _, took_ms = succession.wait(began)
        self.elections.append(took_ms / 1000)
        time.sleep(self._rng.uniform(0.0, 3.0))  # how long an outage lasts
        return took_ms / 1000

    # Maintenance.

    def _rolling_restart(self) -> str:
        """One node after the other, the leader last."""
        leader = self._cluster.leader(PATIENCE).name
        order = [name for name in self._cluster.nodes if name != leader] + [leader]
        took = []
        for name in order:
            self._cluster[name].stop()
            took.append(f"{name} {self.start(self._cluster[name]):.2f} s")
            self.settle()
        return ", ".join(took)

    def _replacement(self) -> str:
        old = self._cluster[self._rng.choice(sorted(self._cluster.nodes))]
        lost = self._rng.random() < 0.5
        led = self._cluster.leader(PATIENCE).name == old.name
        self._joined += 1
        name = f"n{self._joined}"
        extra = [*stage.EXTRA, "--placement", PLACEMENT]
        new = members.Joiner(name, self._cluster, old.place, old.host, self._joined, extra)
        members.replace(self._cluster, old, new, lost)
        return f"{old.name}{' (the leader)' if led else ''}{', whose disk was lost,' if lost else ''} by {name}"

    def _backup(self) -> str:
        """From any node."""
        node = self._rng.choice(sorted(self._cluster.nodes))
        file = self._cluster.directory / f"backup-{len(self.backups)}"
        members.insist(self._cluster, "backup", str(file), "--from", node, "--force")
        told = json.loads(members.insist(self._cluster, "backup", "check", str(file), "-o", "json"))
        self.backups.append(verdict.Backup(file, told["index"]))
        return f"from {node}: index {told['index']:,}, {told['keys']:,} keys, {told['bytes'] / 1e6:.1f} MB"
