"""Nodes that join, the replacement of one by another, and a cluster that begins anew from a backup: what an operator does
when a machine, its disk, or all of them are lost."""

from __future__ import annotations

import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List

import harness
from harness import BUILD, GRPC_PORT, HTTP_PORT, SANITIZERS, Cluster, Node, Process

PATIENCE = 120.0  # for what takes seconds on a machine with nothing else to do
RESTORED_NUMBER = 70  # of the first port of a restored cluster: beyond those of nodes that joined


class Joiner(Node):
    """A node that is added to a cluster: on the host of another, on ports of its own, without --bootstrap."""

    def __init__(self, name: str, cluster: Cluster, place: harness.Place, host: str, number: int, extra: List[str]) -> None:
        self.place = place
        self.address = self.known_as = f"{place.host}:{GRPC_PORT + number}"
        web = f"{place.host}:{HTTP_PORT + number}"
        self.http = f"http://{web}"
        self.data = cluster.directory / name
        self._channel = None
        command = [
            str(BUILD / "batond"),
            *("--node-id", name, "--cluster-id", "test", "--cloud", place.cloud, "--data-dir", str(self.data)),
            *("--listen", self.address, "--advertise", self.address, "--http", web, "--advertise-http", web, "--insecure"),
            *extra,
        ]
        Process.__init__(self, name, cluster.directory / f"{name}.log", command, SANITIZERS)
        self.run_on(host)

    def restore(self, file: Path, peers: str) -> None:
        """Into its empty directory, before its first start."""
        command = [*self._command, "--restore", str(file), "--peers", peers]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE)
        assert done.returncode == 0, f"--restore for {self.name} ended with {done.returncode}: {done.stdout}{done.stderr}"


def batonctl(cluster: Cluster, *words: str) -> "subprocess.CompletedProcess[str]":
    endpoints = ",".join(node.address for node in cluster.nodes.values() if node.running)
    command = [str(BUILD / "batonctl"), *words, "--endpoints", endpoints]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE)


def insist(cluster: Cluster, *words: str) -> str:
    """A command that may be given again until it succeeds, and what it printed. A leader may be lost meanwhile."""
    until = time.monotonic() + PATIENCE
    while True:
        done = batonctl(cluster, *words)
        if done.returncode == 0:
            return done.stdout
        said = f"{done.stdout}{done.stderr}"
        assert time.monotonic() < until, f"batonctl {' '.join(words)} ended with {done.returncode}: {said}"
        time.sleep(harness.POLL)


def replace(cluster: Cluster, old: Node, new: Joiner, old_is_lost: bool) -> None:
    """The old node's disk is lost first, or it serves until it is removed."""
    if old_is_lost:
        old.kill()
        shutil.rmtree(old.data)
        del cluster.nodes[old.name]  # so that it does not count
    cluster.nodes[new.name] = new
    new.start()
    if not old_is_lost:
        old.expected_exit = 0
    insist(cluster, "member", "replace", old.name, f"{new.name}={new.address}/{new.place.cloud}")
    if not old_is_lost:
        status = old.wait()
        assert status == 0, f"{old.name} was removed, and ended with {status}\n{old.log_tail()}"
        shutil.rmtree(old.data)
        del cluster.nodes[old.name]
    old.close()


@contextmanager
def restored(file: Path, directory: Path, extra: List[str]) -> Iterator[Cluster]:
    """A cluster of three new nodes that begins with a backup, on ports of its own of the same hosts."""
    directory.mkdir()
    cluster = Cluster(directory)
    cluster.nodes = {}
    for number, (host, place) in enumerate(harness.NODES.items()):
        name = f"restored-{number}"
        cluster.nodes[name] = Joiner(name, cluster, place, host, RESTORED_NUMBER + number, extra)
    peers = ",".join(f"{name}={node.address}/{node.place.cloud}" for name, node in cluster.nodes.items())
    for node in cluster.nodes.values():
        assert isinstance(node, Joiner)
        node.restore(file, peers)
    cluster.start()
    try:
        cluster.leader(PATIENCE)
        yield cluster
    finally:
        cluster.close()
