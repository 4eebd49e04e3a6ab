"""The cluster of compose.yaml as a test sees it: docker's commands, the published ports, and the containers' logs.

It is a Compose project of its own, with volumes and images of its own; the containers' names are those of compose.yaml.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/cluster"))

from harness import TRANSITION, check_logs, generate_stubs, generated_stubs, wait_for  # noqa: E402

import grpc  # noqa: E402  (after harness, which says how often gRPC looks after a connection)

PROJECT = "baton-acceptance"
CLUSTER = str(ROOT / "deploy/docker/cluster")
WANLINK = ("exec", "wanlink", "wanlink")
SOCKET = ("--socket", "/run/wanlink.sock")
PATIENCE = 60.0  # for what a criterion sets no limit to, on a machine that does other things as well


class Host(NamedTuple):
    cloud: str
    address: str


NODES = {"n1": Host("gcp", "198.19.1.1"), "n2": Host("gcp", "198.19.1.2"), "n3": Host("aws", "198.19.2.3")}
WORKERS = {"w1": Host("gcp", "198.19.1.11"), "w2": Host("gcp", "198.19.1.12"), "w3": Host("aws", "198.19.2.13")}
EVERY_CONTAINER = [*NODES, *WORKERS, "wanlink", "prometheus"]

CERTS = ROOT / "build/docker/certs/operator"  # made when the containers first start
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def pages() -> urllib.request.OpenerDirector:
    """For the nodes' pages, whose certificates it checks."""
    context = ssl.create_default_context(cafile=str(CERTS / "ca.pem"))
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))


def credentials() -> grpc.ChannelCredentials:
    """An operator's."""
    ca, key, cert = ((CERTS / name).read_bytes() for name in ("ca.pem", "key.pem", "cert.pem"))
    return grpc.ssl_channel_credentials(ca, key, cert)


def docker(*words: str, check: bool = True, timeout: float = PATIENCE) -> str:
    """One docker command; its output, both streams."""
    done = subprocess.run(
        ["docker", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout
    )
    output = done.stdout.decode(errors="replace")
    assert not check or done.returncode == 0, f"docker {' '.join(words)} ended with {done.returncode}: {output}"
    return output


def at_once(what: Callable[[str], Any], names: List[str]) -> List[Any]:
    with ThreadPoolExecutor(max_workers=len(names)) as pool:
        return list(pool.map(what, names))


_lock: Any = None  # held open until the process ends


def why_not() -> str:
    """Why these tests cannot run here, or an empty string. Container names are fixed, so only one run is possible at a time."""
    global _lock
    try:
        if subprocess.run(["docker", "info"], stdin=subprocess.DEVNULL, capture_output=True, timeout=20).returncode != 0:
            return "Docker does not answer"
    except (OSError, subprocess.TimeoutExpired):
        return "Docker does not answer"
    _lock = _lock or open(Path(tempfile.gettempdir()) / f"{PROJECT}-{os.getuid()}.lock", "w")
    try:
        fcntl.flock(_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return "another user runs these tests"
    there = set(docker("ps", "--all", "--format", "{{.Names}}").split()) & {*EVERY_CONTAINER, "certs"}
    label = '{{index .Config.Labels "com.docker.compose.project"}}'
    if {docker("inspect", "--format", label, name).strip() for name in there} - {PROJECT}:
        return f"there are containers named {', '.join(sorted(there))} already; make down-docker removes them"
    return ""


class Line(NamedTuple):
    """A log line of a criterion."""

    time: float  # unix time
    text: str


OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
]


class Node:
    """A node by its published ports."""

    def __init__(self, name: str) -> None:
        self.name, self.cloud, self.number = name, NODES[name].cloud, name[1:]
        self._channel: Optional[grpc.Channel] = None

    @property
    def channel(self) -> grpc.Channel:
        """Made when it is first used: certificates are there once the containers are."""
        if self._channel is None:
            self._channel = grpc.secure_channel(f"127.0.0.1:740{self.number}", credentials(), options=OPTIONS)
        return self._channel

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()

    def call(self, method: str, timeout: float = 2.0, **fields: Any) -> Any:
        from baton.v1 import control_pb2 as pb
        from baton.v1 import control_pb2_grpc

        stub = control_pb2_grpc.ControlServiceStub(self.channel)
        return getattr(stub, method)(getattr(pb, f"{method}Request")(**fields), timeout=timeout)

    def status(self) -> Any:
        return self.call("Status", timeout=1.0)

    def page(self, path: str) -> str:
        with pages().open(f"https://127.0.0.1:748{self.number}{path}", timeout=2.0) as reply:
            return str(reply.read().decode())

    def metric(self, name: str) -> float:
        """The sum of a metric's samples; `name` may have labels, in the order of the page."""
        values = re.findall(rf"^{re.escape(name)}(?:\{{[^}}]*\}})? (\S+)$", self.page("/metrics"), re.MULTILINE)
        return sum(map(float, values))


class Cluster:
    def __init__(self) -> None:
        self.nodes = {name: Node(name) for name in NODES}

    # Its life.

    def up(self) -> None:
        docker("rm", "--force", WRITER, check=False)  # what a killed run left
        self._compose("down", "--volumes")
        self._compose("up")

    def down(self) -> None:
        for node in self.nodes.values():
            node.close()
        self._compose("down", "--volumes")

    def _compose(self, *words: str) -> None:
        environment = {**os.environ, "COMPOSE_PROJECT_NAME": PROJECT, "BATON_IMAGES": PROJECT}
        done = subprocess.run([CLUSTER, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, f"deploy/docker/cluster {' '.join(words)}: {done.stdout}{done.stderr}"

    # Logs.

    def log(self, name: str) -> str:
        return docker("logs", name)

    def lines(self, name: str, pattern: str, since: float = 0.0) -> List[Line]:
        """The lines that match, from a time on."""
        found = []
        for line in self.log(name).splitlines():
            stamp = re.match(r"time=(\S+)Z ", line)
            if stamp and re.search(pattern, line):
                at = datetime.fromisoformat(stamp[1] + "+00:00").timestamp()
                if at >= since:
                    found.append(Line(at, line))
        return found

    def elected(self, since: float, other_than: str = "") -> Optional[Tuple[Line, str]]:
        """The first log line since then of a node that became leader, and the node."""
        found = [
            (line, name)
            for name in self.nodes
            if name != other_than
            for line in self.lines(name, r"transitioned from Candidate to Leader", since)
        ]
        return min(found) if found else None

    def wait_elected(self, since: float, other_than: str = "") -> Tuple[float, str]:
        """Seconds from `since` to the log line of a new leader, at most 15, and who it is."""
        line, name = wait_for(lambda: self.elected(since, other_than), "a log says there is a leader", PATIENCE)
        assert line.time - since <= 15, f"{name} became leader only {line.time - since:.1f} s later: {line.text}"
        return line.time - since, name

    def complaints(self) -> List[str]:
        return check_logs({name: self.log(name) for name in self.nodes})

    def leaders_by_term(self) -> Dict[int, List[str]]:
        leaders: Dict[int, List[str]] = {}
        for name in self.nodes:
            for who, _, role, term in TRANSITION.findall(self.log(name)):
                if role == "Leader":
                    leaders.setdefault(int(term), []).append(who)
        return leaders

    # Who leads.

    def leader_now(self) -> Optional[Node]:
        """The node that leads, if a majority agrees in the same term."""
        told = [status for status in at_once(self._status, list(self.nodes)) if status]
        for said in told:
            followed = [status for status in told if status.leader == said.node and status.term == said.term]
            if said.role == "leader" and len(followed) * 2 > len(self.nodes):
                return self.nodes[said.node]
        return None

    def _status(self, name: str) -> Any:
        try:
            return self.nodes[name].status()
        except grpc.RpcError:
            return None

    def leader(self) -> Node:
        found: Node = wait_for(self.leader_now, "a leader that a majority follows", PATIENCE)
        return found

    def followers(self) -> List[Node]:
        leader = self.leader()
        return [node for node in self.nodes.values() if node is not leader]

    def lead(self, name: str) -> Node:
        """Makes that node the leader, by a transfer if needed."""

        def there() -> Optional[Node]:
            leader = self.leader()
            if leader.name == name:
                return leader
            leader.call("TransferLeadership", target=name)
            return None

        found: Node = wait_for(there, f"{name} leads", PATIENCE)
        return found

    # Reading and writing.

    def put(self, key: str, value: str) -> int:
        """Retries until it is acknowledged; returns its revision."""

        def put() -> int:
            revision: int = self.leader().call("Put", key=key.encode(), value=value.encode()).revision
            return revision

        revision: int = wait_for(put, f"a leader takes the write of {key}", PATIENCE)
        return revision

    def get(self, key: str) -> str:
        value: bytes = wait_for(lambda: self.leader().call("Get", key=key.encode()), f"a leader reads {key}", PATIENCE).value
        return value.decode()

    def wait_applied(self, index: int) -> None:
        for name, node in self.nodes.items():
            wait_for(lambda: node.status().last_applied >= index, f"{name} has applied {index}", PATIENCE)

    def workers(self) -> Dict[str, Any]:
        """The leader's /cluster-state, by id."""
        return {worker["id"]: worker for worker in json.loads(self.leader().page("/cluster-state"))}

    # Faults, and their end.

    def wan(self, command: str) -> None:
        docker(*WANLINK, command, *SOCKET)

    def disconnect(self, name: str) -> None:
        docker("network", "disconnect", NODES[name].cloud, name)

    def reconnect(self, name: str) -> None:
        host = {**NODES, **WORKERS}[name]
        docker("network", "connect", "--ip", host.address, host.cloud, name)

    def heal(self) -> None:
        """Waits until everything runs and is connected, with a leader and three workers online."""
        states = json.loads(docker("inspect", *EVERY_CONTAINER))
        for container in states:
            name = container["Name"].lstrip("/")
            if container["State"]["Paused"]:
                docker("unpause", name)
            if not container["State"]["Running"]:
                docker("start", name)
            if name in NODES and not container["NetworkSettings"]["Networks"]:
                self.reconnect(name)
        # Its socket is there a moment after the container is.
        wait_for(lambda: "state=" in docker(*WANLINK, "show", *SOCKET, check=False), "wanlink answers", PATIENCE)
        self.wan("heal")

        def whole() -> bool:
            self.wait_applied(self.leader().status().commit_index)
            workers = self.workers()
            return all(workers.get(name, {}).get("status") == "online" for name in WORKERS)

        wait_for(whole, "the cluster is whole", PATIENCE)


WRITER = "baton-acceptance-writer"
INSIDE_WRITER = """
import sys, time, grpc
from baton.v1 import control_pb2, control_pb2_grpc
ca, key, cert = (open(f"/certs/{name}.pem", "rb").read() for name in ("ca", "key", "cert"))
credentials = grpc.ssl_channel_credentials(ca, key, cert)
stub = control_pb2_grpc.ControlServiceStub(grpc.secure_channel("127.0.0.1:7400", credentials))
for number in range(int(sys.argv[1])):
    began = time.time()
    key = f"minority/{number}"
    try:
        stub.Put(control_pb2.PutRequest(key=key.encode(), value=b"v"), timeout=0.5)
        print("acknowledged", began, key, flush=True)
    except grpc.RpcError as error:
        print("refused", began, key, error.code().name, flush=True)
    time.sleep(0.02)
"""


class InsideWriter:
    """Writes to a node from inside its container's network, like a client that is partitioned with it."""

    def __init__(self, node: str, writes: int) -> None:
        command = ["docker", "run", "--rm", "--name", WRITER, "--network", f"container:{node}"]
        command += ["--volume", f"{generated_stubs()}:/stubs:ro", "--volume", f"{CERTS}:/certs:ro", "--user", str(os.getuid())]
        command += ["--env", "PYTHONPATH=/stubs", "--entrypoint", "python3", f"{PROJECT}-worker"]
        command += ["-c", INSIDE_WRITER, str(writes)]
        self._popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.outcomes: List[Tuple[str, float, str]] = []  # acknowledged or refused, when it began, the key
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._popen.stdout is not None
        for line in self._popen.stdout:
            outcome, began, key = line.split()[:3]
            self.outcomes.append((outcome, float(began), key))

    def count(self, outcome: str, since: float = 0.0) -> int:
        return sum(1 for what, began, _ in list(self.outcomes) if what == outcome and began >= since)

    def close(self) -> None:
        docker("kill", WRITER, check=False)
        self._popen.wait(PATIENCE)
        self._thread.join(PATIENCE)


class Writers:
    """Clients with a session each that together make `rate` writes a second, follow redirects, and repeat a write with its
    sequence until it is acknowledged."""

    def __init__(self, cluster: Cluster, rate: float, count: int = 20) -> None:
        self.cluster = cluster
        self.acknowledged: Dict[str, str] = {}
        self.times: List[float] = []  # of acknowledgements
        self.attempts = 0
        self.failures: List[str] = []
        self._pace = count / rate
        self._stop = threading.Event()
        self._began = time.monotonic()
        self._threads = [threading.Thread(target=self._write, args=(number,), daemon=True) for number in range(count)]
        for thread in self._threads:
            thread.start()

    def _write(self, writer: int) -> None:
        try:
            number = 0
            due = self._began + self._pace * writer / len(self._threads)
            nodes = list(self.cluster.nodes.values())
            while not self._stop.is_set():
                number += 1
                self._write_one(writer, number, nodes)
                due += self._pace
                self._stop.wait(max(0.0, due - time.monotonic()))
        except Exception as error:  # a test's own fault must not pass for success
            self.failures.append(f"writer {writer}: {error!r}")

    def _write_one(self, writer: int, number: int, nodes: List[Node]) -> None:
        key, value = f"rolling/{writer}/{number}", f"{writer}-{number}"
        session = {"client_id": f"rolling-{writer}", "sequence": number, "acknowledged_below": number}
        until = time.monotonic() + PATIENCE
        while True:
            try:
                self.attempts += 1
                nodes[0].call("Put", timeout=1.0, key=key.encode(), value=value.encode(), session=session)
            except grpc.RpcError as error:
                if error.code() == grpc.StatusCode.ABORTED or time.monotonic() > until:
                    raise
                self._turn_to_the_leader(error, nodes)
                continue
            self.acknowledged[key] = value
            self.times.append(time.monotonic())
            return

    def _turn_to_the_leader(self, error: Any, nodes: List[Node]) -> None:
        leader = dict(error.trailing_metadata() or ()).get("baton-leader-id")
        if leader in self.cluster.nodes and nodes[0].name != leader:
            nodes.sort(key=lambda node: node.name != leader)
        else:
            nodes.append(nodes.pop(0))
            self._stop.wait(0.02)

    def stop(self) -> float:
        """Lets each finish its write; acknowledged writes a second."""
        seconds = time.monotonic() - self._began
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * PATIENCE)
        assert not self.failures, "\n".join(self.failures)
        return len(self.acknowledged) / seconds
