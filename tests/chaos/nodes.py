"""The cluster that suffers: three batond with certificates, each on a small disk of its own, with a clock that can be set and a
disk that can be slow."""

from __future__ import annotations

import os
import struct
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import grpc
import harness
from harness import GRPC_PORT, HTTP_PORT, NODES, ROOT, SANITIZERS, wait_for

PATIENCE = 120.0  # for what takes seconds on a machine with nothing else to do
DISK_BYTES = 384 << 20
SLOW_DISK_MS = 200
SNAPSHOT_LOG_BYTES = 8 << 20  # small, so that logs are compacted, and nodes that return get snapshots
EARLIER = -86400.0  # certificates are made a day ago, so that a clock that is set back does not see those of the future
HERE = Path(__file__).resolve().parent


class Shims:
    """What is loaded into a program: its clock, and its disk."""

    def __init__(self, directory: Path) -> None:
        self._libraries = []
        for source in (HERE / "stepped_clock.c", HERE.parent / "cluster" / "slow_disk.c"):
            library = directory / f"{source.stem}.so"
            subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-D_GNU_SOURCE", "-o", library, source, "-ldl"], check=True)
            self._libraries.append(str(library))

    def environment(self, clock: Path, slow: Path) -> Dict[str, str]:
        preload = {"LD_PRELOAD": ":".join(self._libraries), "STEPPED_CLOCK": str(clock)}
        return {**preload, "SLOW_DISK_WHILE": str(slow), "SLOW_DISK_MS": str(SLOW_DISK_MS)}


def set_clock(clock: Path, seconds: float) -> None:
    """In place: the file is mapped."""
    with open(clock, "r+b" if clock.exists() else "wb") as file:
        file.write(struct.pack("=q", int(seconds * 1e9)))


class Certificates:
    def __init__(self, directory: Path, shims: Shims) -> None:
        self.directory = directory
        self._names = ["operator/operator", "worker/worker"]
        self._clock = directory.with_suffix(".clock")
        self._shims = shims
        set_clock(self._clock, EARLIER)

    def make(self, *names: str) -> None:
        """Also again: the files are replaced, each atomically."""
        environment = {**os.environ, **self._shims.environment(self._clock, Path("/nonexistent"))}
        command = [str(ROOT / "deploy/tls/make-certs"), str(self.directory), *names]
        subprocess.run(command, check=True, env=environment, stdin=subprocess.DEVNULL, timeout=PATIENCE)

    def name(self, node: str, host: str) -> str:
        """From now on the node has one, too."""
        self._names.append(f"node/{node}={host}")
        return self._names[-1]

    def make_all(self) -> None:
        self.make(*self._names)

    def flags(self, name: str) -> List[str]:
        at = self.directory
        return ["--tls-cert", f"{at}/{name}.pem", "--tls-key", f"{at}/{name}-key.pem", "--tls-ca", f"{at}/ca.pem"]

    def credentials(self) -> grpc.ChannelCredentials:
        read = [(self.directory / name).read_bytes() for name in ("ca.pem", "operator-key.pem", "operator.pem")]
        return grpc.ssl_channel_credentials(*read)


class SmallDisk:
    """A file system of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", path.name, str(path)], check=True)

    @contextmanager
    def full(self) -> Iterator[None]:
        """Up to the last byte; whatever is removed meanwhile leaves room."""
        ballast = self.path / "ballast"
        with open(ballast, "wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                with suppress(OSError):
                    while True:
                        file.write(bytes(size))
        try:
            yield
        finally:
            ballast.unlink()

    def remove(self) -> None:
        subprocess.run(["umount", str(self.path)], check=True)


class Node(harness.Node):
    """One batond. `number` 0 is one of the first three; others are added later, on the host of the one that they replace."""

    def __init__(self, name: str, host: str, number: int, world: "World") -> None:
        self.place = NODES[host]
        self.host_name = host
        self.address = self.known_as = f"{self.place.host}:{GRPC_PORT + number}"
        web = f"{self.place.host}:{HTTP_PORT + number}"
        self.http = f"https://{web}"
        self.disk = SmallDisk(world.directory / f"disk-{name}")
        self.data = self.disk.path / "data"
        self.clock = world.directory / f"{name}.time"
        self.slow = world.directory / f"{name}.slow"
        self.starts: List[float] = []  # unix times
        self._channel = None
        self._certificates = world.certificates
        peers = ",".join(f"{node}={place.host}:{GRPC_PORT}/{place.cloud}" for node, place in NODES.items())
        command = [
            str(world.program),
            *("--node-id", name, "--cluster-id", "chaos", "--cloud", self.place.cloud, "--data-dir", str(self.data)),
            *("--listen", self.address, "--http", web, "--log-level", "info", "--tls-required"),
            *("--snapshot-log-bytes", str(SNAPSHOT_LOG_BYTES)),
            *world.certificates.flags(name),
            *(() if number else ("--bootstrap", "--peers", peers)),
        ]
        set_clock(self.clock, 0.0)
        environment = {**SANITIZERS, **world.shims.environment(self.clock, self.slow)}
        harness.Process.__init__(self, name, world.directory / f"{name}.log", command, environment)
        self.run_on(host)

    def start(self) -> None:
        self.starts.append(time.time())
        super().start()

    @property
    def channel(self) -> grpc.Channel:
        if self._channel is None:
            options = [
                ("grpc.initial_reconnect_backoff_ms", 100), ("grpc.min_reconnect_backoff_ms", 500),
                ("grpc.max_reconnect_backoff_ms", 300), ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0),
            ]  # fmt: skip
            self._channel = grpc.secure_channel(self.address, self._certificates.credentials(), options=options)
        return self._channel

    def step_clock(self, seconds: float) -> None:
        """To so much beside the true time."""
        set_clock(self.clock, seconds)

    def discard(self) -> None:
        """The machine is gone."""
        self.close()
        self.disk.remove()


class World:
    """The nodes of now, and those of before."""

    exits = (0,)  # on SIGTERM

    def __init__(self, directory: Path, program: Path) -> None:
        self.directory, self.program = directory, program
        self.shims = Shims(directory)
        self.certificates = Certificates(directory / "certs", self.shims)
        for host, place in NODES.items():
            self.certificates.name(host, place.host)
        self.certificates.make_all()
        self.load_arguments = ["--certs", str(self.certificates.directory)]
        self.cluster = harness.Cluster(directory)
        self.cluster.nodes = {host: Node(host, host, 0, self) for host in NODES}
        self.former: List[Node] = []
        self.lock = threading.Lock()  # of who is a member
        self._numbers = len(NODES)

    @property
    def nodes(self) -> "List[Node]":
        with self.lock:
            return [node for node in self.cluster.nodes.values() if isinstance(node, Node)]

    def on(self, host: str) -> Node:
        """The member of that host; the newer one while one replaces the other."""
        return [node for node in self.nodes if node.host_name == host][-1]

    def begin(self) -> None:
        self.cluster.start()
        self.cluster.leader(PATIENCE)

    def wait_serving(self, node: Node) -> None:
        """It knows a leader, which may be long after its start if others are down, too: so it only answers."""
        wait_for(node.status, f"{node.name} answers", PATIENCE)

    def join(self, host: str) -> Node:
        with self.lock:
            self._numbers += 1
            name = f"n{self._numbers}"
        self.certificates.make(self.certificates.name(name, NODES[host].host))
        node = Node(name, host, self._numbers, self)
        with self.lock:
            self.cluster.nodes[name] = node
        return node

    def leave(self, node: Node) -> None:
        with self.lock:
            del self.cluster.nodes[node.name]
            self.former.append(node)
        node.discard()

    def leader(self) -> Optional[Node]:
        """As far as somebody knows now; without asking those that are paused for long."""
        known = []
        for node in self.nodes:
            try:
                status = node.call("Status", timeout=0.5)
            except (grpc.RpcError, ValueError):  # ValueError: the channel was closed meanwhile
                continue
            if status.role == "leader":
                known.append((status.term, node))
        return max(known, key=lambda one: one[0])[1] if known else None

    def batonctl(self, *words: str, patience: float = PATIENCE) -> str:
        """A command that may be given again until it succeeds, and what it printed. Everything may fail meanwhile. It is of the
        nodes' version: an older one does not read their backups."""
        until = time.monotonic() + patience
        while True:
            endpoints = ",".join(node.address for node in self.nodes if node.running)
            command = [str(self.program.with_name("batonctl")), *words, "--endpoints", endpoints, *self.certificates.flags("operator")]
            try:
                done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30.0)
                if done.returncode == 0:
                    return done.stdout
                said = f"ended with {done.returncode}: {done.stdout}{done.stderr}"
            except subprocess.TimeoutExpired:
                said = "did not end"
            assert time.monotonic() < until, f"batonctl {' '.join(words)} {said}"
            time.sleep(0.2)

    def settle(self, patience: float = PATIENCE) -> int:
        """All nodes follow one leader, and have applied what it has committed: gives that index."""
        leader = self.cluster.leader(patience)
        index: int = wait_for(leader.status, f"{leader.name} answers", patience).commit_index
        for node in self.nodes:
            self.cluster.wait_applied(index, node.name, deadline=patience)
        return index

    def end(self) -> None:
        for node in self.nodes:
            if node.running:
                node.kill()
            node.discard()
