"""Three etcd in the same places, for comparison: the same clients, and those of the same faults that can befall it here.

It is a static program, so that its clock and its disk cannot be changed from outside, and its members are not replaced.
"""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path
from typing import Any, Dict, List, Optional

import harness
from harness import GRPC_PORT, HTTP_PORT, NODES, wait_for
from nodes import PATIENCE, SmallDisk

PROGRAM = harness.BUILD / "tools" / "etcd-peer"


class Node(harness.Process):
    def __init__(self, host: str, directory: Path) -> None:
        self.host_name = host
        self.place = NODES[host]
        self.address = f"{self.place.host}:{GRPC_PORT}"
        self.starts: List[float] = []
        self.disk = SmallDisk(directory / f"disk-{host}")
        peers = {name: f"http://{place.host}:{HTTP_PORT}" for name, place in NODES.items()}
        command = [
            str(PROGRAM),
            *("--name", host, "--data-dir", str(self.disk.path / "data"), "--log-level", "warn"),
            *("--listen-client-urls", f"http://{self.address}", "--advertise-client-urls", f"http://{self.address}"),
            *("--listen-peer-urls", peers[host], "--initial-advertise-peer-urls", peers[host]),
            *("--initial-cluster", ",".join(f"{name}={url}" for name, url in peers.items())),
        ]
        super().__init__(host, directory / f"{host}.log", command, {})

    def start(self) -> None:
        self.starts.append(time.time())
        super().start()

    def metrics(self) -> Dict[str, float]:
        with urllib.request.urlopen(f"http://{self.address}/metrics", timeout=0.5) as reply:
            lines = [line.split() for line in reply.read().decode().splitlines() if line.startswith("etcd_server_")]
        return {line[0]: float(line[1]) for line in lines if len(line) == 2}


class World:
    """What tests/chaos/faults.py needs of it."""

    exits = (0, -15)  # on SIGTERM

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.nodes = [Node(host, directory) for host in NODES]
        self.former: List[Node] = []
        self.load_arguments = ["--etcd"]

    def on(self, host: str) -> Node:
        return next(node for node in self.nodes if node.host_name == host)

    def begin(self) -> None:
        for node in self.nodes:
            node.start()
        self.settle()

    def leader(self) -> Optional[Node]:
        for node in self.nodes:
            try:
                if node.metrics().get("etcd_server_is_leader") == 1:
                    return node
            except (OSError, ValueError):
                continue
        return None

    def wait_serving(self, node: Node) -> None:
        wait_for(node.metrics, f"{node.name} answers", PATIENCE)

    def settle(self, patience: float = PATIENCE) -> None:
        def all_follow() -> bool:
            return all(node.metrics().get("etcd_server_has_leader") == 1 for node in self.nodes)

        wait_for(all_follow, "all have a leader", patience)

    def end(self) -> None:
        for node in self.nodes:
            if node.running:
                node.kill()
            node.disk.remove()

    def logs(self) -> Any:
        return self.directory.glob("*.log")
