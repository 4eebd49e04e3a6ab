"""A cluster of real processes: three batond in two clouds, 50 ms apart, and Python workers.

It lives in the private world its test runs in (tests/cluster/world): deploy/local/net makes the hosts, and whatever happens to
the test, nothing outlives the world. Nodes are asked over gRPC and HTTP from where the test is, without delay.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

# gRPC looks after a connection only while a call waits for it, and otherwise this often (in ms, 5,000 by itself): too seldom
# for a client that polls a starting node. Read at the first call.
os.environ["GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS"] = "20"

import grpc  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BATON_BUILD", ROOT / "build"))
NET = str(ROOT / "deploy/local/net")

DEADLINE = 30.0  # for what should take a moment; tests of a promised limit use their own
ATTEMPT = 2.0  # one of several attempts, the next of which may ask another node
POLL = 0.02
SANITIZERS = {"ASAN_OPTIONS": "exitcode=99", "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1:exitcode=99"}


class Place(NamedTuple):
    cloud: str
    host: str


NODES = {"n1": Place("gcp", "198.18.1.1"), "n2": Place("gcp", "198.18.1.2"), "n3": Place("aws", "198.18.2.3")}
WORKERS = {"w1": Place("gcp", "198.18.1.11"), "w2": Place("gcp", "198.18.1.12"), "w3": Place("aws", "198.18.2.13")}
GRPC_PORT, HTTP_PORT, WORK_PORT = 7400, 7480, 9000


def generated_stubs() -> Path:
    return BUILD / "tests" / "stubs"


def generate_stubs() -> None:
    """Python stubs of proto/, generated for each run."""
    out = generated_stubs()
    out.mkdir(parents=True, exist_ok=True)
    plugin = "--plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin"
    files = sorted(map(str, (ROOT / "proto/baton/v1").glob("*.proto")))
    subprocess.run(
        ["protoc", "-I", str(ROOT / "proto"), f"--python_out={out}", plugin, f"--grpc_python_out={out}", *files], check=True
    )


def wait_for(what: Callable[[], Any], describe: str, deadline: float = DEADLINE) -> Any:
    """Polls until the result is true, and returns it. Errors of gRPC and HTTP count as not yet.

    There is no event to wait for in another process; the answers are cheap, so they are asked for often.
    """
    until = time.monotonic() + deadline
    while True:
        try:
            seen = what()
            if seen:
                return seen
        except (grpc.RpcError, OSError, StopIteration) as error:
            seen = _short(error)
        if time.monotonic() >= until:
            raise AssertionError(f"not within {deadline:g} s: {describe}; last seen: {seen!r}")
        time.sleep(POLL)


def _short(error: BaseException) -> str:
    if isinstance(error, grpc.RpcError):
        return f"{error.code().name}: {error.details()}"
    return f"{type(error).__name__}: {error}"


class Process:
    """One program on one host, which can be started and stopped repeatedly; all runs write one log."""

    def __init__(self, name: str, log: Path, command: List[str], environment: Dict[str, str]) -> None:
        self.name = name
        self.log_path = log
        self.host = name
        self._command = [NET, "run", name, *command]
        self.environment = dict(environment)
        self._popen: Optional[subprocess.Popen[bytes]] = None
        self.expected_exit: Optional[int] = None  # of this life; None: it is meant to run
        self.paused = False

    def run_on(self, host: str) -> None:
        """From its next start; by default a process runs on the host of its own name."""
        self.host = self._command[2] = host

    def start(self) -> None:
        assert not self.running, f"{self.name} runs already"
        self.expected_exit, self.paused = None, False
        # What configures the tests must not configure what they test.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("BATON_")}
        with self.log_path.open("ab") as log:
            self._popen = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**inherited, **self.environment}
            )

    def add_flags(self, *flags: str) -> None:
        """From its next start."""
        self._command += flags

    def drop_flag(self, flag: str) -> None:
        self._command.remove(flag)

    @property
    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def pid(self) -> int:
        """0: it does not run."""
        return self._popen.pid if self._popen is not None and self.running else 0

    @property
    def exit_status(self) -> Optional[int]:
        return self._popen.poll() if self._popen else None

    def signal(self, number: signal.Signals) -> None:
        assert self._popen is not None and self.running, f"{self.name} does not run"
        self._popen.send_signal(number)

    def kill(self) -> None:
        self.expected_exit = -signal.SIGKILL
        self.signal(signal.SIGKILL)
        self.wait()

    def pause(self) -> None:
        self.paused = True
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)
        self.paused = False

    def terminate(self) -> None:
        """SIGTERM, without waiting."""
        self.expected_exit = 0
        self.signal(signal.SIGTERM)

    def stop(self) -> float:
        """SIGTERM; returns how long it took to end. It must exit with 0."""
        began = time.monotonic()
        self.terminate()
        status = self.wait()
        took = time.monotonic() - began
        assert status == 0, f"{self.name} ended with {status} on SIGTERM\n{self.log_tail()}"
        return took

    def wait(self, deadline: float = DEADLINE) -> int:
        assert self._popen is not None
        try:
            return self._popen.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} has not ended within {deadline:g} s\n{self.log_tail()}") from None

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self, lines: int = 60) -> str:
        return "\n".join(self.log().splitlines()[-lines:])


class Node(Process):
    """One batond and its interfaces."""

    credentials: Optional[grpc.ChannelCredentials] = None  # of the next channel; None: plaintext

    def __init__(self, name: str, directory: Path, extra: Iterable[str] = (), by_name: bool = False) -> None:
        """With by_name the other nodes know it as NAME.test, which the test must see to (test_names.py)."""
        self.place = NODES[name]
        self.address = f"{self.place.host}:{GRPC_PORT}"
        self.http = f"http://{self.place.host}:{HTTP_PORT}"
        self.data = directory / name
        known = {node: f"{node}.test" if by_name else place.host for node, place in NODES.items()}
        self.known_as = f"{known[name]}:{GRPC_PORT}"
        peers = ",".join(f"{node}={known[node]}:{GRPC_PORT}/{place.cloud}" for node, place in NODES.items())
        command = [
            str(BUILD / "batond"),
            *("--node-id", name, "--cluster-id", "test", "--cloud", self.place.cloud, "--data-dir", str(self.data)),
            *("--listen", self.address, "--advertise", self.known_as),
            *("--http", f"{self.place.host}:{HTTP_PORT}", "--advertise-http", f"{known[name]}:{HTTP_PORT}"),
            *("--peers", peers, "--bootstrap", "--log-level", "debug", "--insecure"),
            *extra,
        ]
        super().__init__(name, directory / f"{name}.log", command, SANITIZERS)
        self._channel: Optional[grpc.Channel] = None

    @property
    def program(self) -> Path:
        """The batond that the next start runs."""
        return Path(self._command[3])

    @program.setter
    def program(self, program: Path) -> None:
        self._command[3] = str(program)

    @property
    def channel(self) -> grpc.Channel:
        """One connection, made again quickly when the node comes back."""
        channel = self._channel  # a writer's thread asks while the test closes it
        if channel is None:
            options = [
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.min_reconnect_backoff_ms", 500),
                ("grpc.max_reconnect_backoff_ms", 200),
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.enable_http_proxy", 0),
            ]
            if self.credentials is not None:
                channel = grpc.secure_channel(self.address, self.credentials, options=options)
            else:
                channel = grpc.insecure_channel(self.address, options=options)
            self._channel = channel
        return channel

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def call(self, method: str, timeout: float = DEADLINE, **fields: Any) -> Any:
        """One ControlService call to this very node; raises grpc.RpcError."""
        from baton.v1 import control_pb2 as pb
        from baton.v1 import control_pb2_grpc

        stub = control_pb2_grpc.ControlServiceStub(self.channel)
        return getattr(stub, method)(getattr(pb, f"{method}Request")(**fields), timeout=timeout)

    def call_worker_service(self, method: str, **fields: Any) -> Any:
        from baton.v1 import worker_pb2 as pb
        from baton.v1 import worker_pb2_grpc

        stub = worker_pb2_grpc.WorkerServiceStub(self.channel)
        return getattr(stub, method)(getattr(pb, f"{method}Request")(**fields), timeout=DEADLINE)

    def status(self) -> Any:
        return self.call("Status", timeout=1.0)

    def get(self, path: str, timeout: float = 2.0) -> Tuple[int, Any, Any]:
        """HTTP: status, headers, body."""
        try:
            with urllib.request.urlopen(self.http + path, timeout=timeout) as reply:
                return reply.status, reply.headers, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()

    def workers(self) -> Dict[str, Any]:
        """GET /cluster-state, by worker id."""
        status, _, body = self.get("/cluster-state")
        if status != 200:
            raise OSError(f"/cluster-state answers {status}: {body}")
        return {worker["id"]: worker for worker in json.loads(body)}

    def dump_wal(self, to: int) -> bytes:
        """The effective log lines up to an index."""
        done = subprocess.run(
            [str(BUILD / "batond"), "--dump-wal", str(self.data), "--to", str(to)], capture_output=True, timeout=DEADLINE
        )
        assert done.returncode == 0, f"--dump-wal of {self.name} ended with {done.returncode}: {done.stderr.decode()}"
        return done.stdout

    def log_entries(self) -> List[Any]:
        """ReadLog to its end."""
        entries: List[Any] = []
        start = 0
        while True:
            reply = self.call("ReadLog", **{"from": start})
            entries += reply.entries
            if not reply.next:
                return entries
            start = reply.next


class WorkerProcess(Process):
    def __init__(self, name: str, directory: Path, endpoints: Iterable[str]) -> None:
        place = WORKERS[name]
        self.place = place
        self.address = f"{place.host}:{WORK_PORT}"
        command = [
            *(sys.executable, "-m", "baton_worker", "--id", name, "--address", self.address, "--cloud", place.cloud),
            *("--endpoints", ",".join(endpoints), "--log-level", "debug"),
        ]
        super().__init__(name, directory / f"{name}.log", command, {"PYTHONPATH": str(ROOT / "worker")})


class Cluster:
    """Three nodes, the link, and workers. Placement is off, so leadership stays where a test puts it."""

    def __init__(
        self, directory: Path, extra: Iterable[str] = (), placement: str = "off", by_name: bool = False
    ) -> None:
        self.directory = directory
        self.nodes = {name: Node(name, directory, ("--placement", placement, *extra), by_name) for name in NODES}
        self._workers: Dict[str, WorkerProcess] = {}

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    def start(self, *names: str) -> None:
        for name in names or self.nodes:
            self.nodes[name].start()

    def worker(self, name: str, endpoints: Optional[Iterable[str]] = None) -> WorkerProcess:
        """Starts a worker; by default with all nodes as endpoints."""
        addresses = list(endpoints or [node.address for node in self.nodes.values()])
        self._workers[name] = WorkerProcess(name, self.directory, addresses)
        self._workers[name].start()
        return self._workers[name]

    @property
    def processes(self) -> List[Process]:
        return [*self.nodes.values(), *self._workers.values()]

    def others(self, *names: str) -> List[Node]:
        return [node for name, node in self.nodes.items() if name not in names]

    # Who leads.

    def leader_now(self) -> Optional[str]:
        """The node that leads in the highest known term, if a majority agrees; None otherwise."""
        told = []
        for node in self.nodes.values():
            assert node.exit_status in (None, node.expected_exit), f"{node.name} ended by itself with {node.exit_status}"
            if node.running and not node.paused:
                try:
                    told.append(node.status())
                except grpc.RpcError:
                    continue
        term = max((status.term for status in told), default=0)
        leaders = [status.node for status in told if status.role == "leader" and status.term == term]
        followed = [status for status in told if leaders and status.leader == leaders[0] and status.term == term]
        return leaders[0] if leaders and len(followed) * 2 > len(self.nodes) else None

    def leader(self, deadline: float = 15.0, other_than: str = "") -> Node:
        """Waits for one (the issue's limit: 15 s)."""

        def found() -> Optional[str]:
            name = self.leader_now()
            return name if name and name != other_than else None

        return self.nodes[wait_for(found, "a leader that a majority follows", deadline)]

    def followers(self) -> List[Node]:
        return self.others(self.leader().name)

    def lead_by(self, name: str) -> Node:
        """Makes that node the leader, by a transfer if needed."""

        def there() -> Optional[Node]:
            leader = self.leader()
            if leader.name == name:
                return leader
            leader.call("TransferLeadership", target=name, timeout=ATTEMPT)
            return None

        return wait_for(there, f"{name} leads")

    def lead_in(self, cloud: str) -> Node:
        """A leader in that cloud, by a transfer if needed."""

        def there() -> Optional[Node]:
            leader = self.leader()
            if leader.place.cloud == cloud:
                return leader
            target = next(name for name, place in NODES.items() if place.cloud == cloud)
            leader.call("TransferLeadership", target=target, timeout=ATTEMPT)
            return None

        return wait_for(there, f"a leader in {cloud}")

    # Reading and writing.

    def put(self, key: str, value: str, deadline: float = DEADLINE) -> int:
        """Retries until it is acknowledged; returns its revision."""

        def put() -> int:
            leader = self.leader_now()
            if not leader:
                return 0
            return self.nodes[leader].call("Put", key=key.encode(), value=value.encode(), timeout=ATTEMPT).revision

        return wait_for(put, f"a leader takes the write of {key}", deadline)

    def get(self, key: str, deadline: float = DEADLINE) -> str:
        """A linearizable read."""

        def get() -> Any:
            leader = self.leader_now()
            return self.nodes[leader].call("Get", key=key.encode(), timeout=ATTEMPT) if leader else None

        return wait_for(get, f"a leader answers the read of {key}", deadline).value.decode()

    def wait_applied(self, index: int, *names: str, deadline: float = DEADLINE) -> None:
        for name in names or self.nodes:
            node = self.nodes[name]
            wait_for(lambda: node.status().last_applied >= index, f"{name} has applied {index}", deadline)

    def wait_online(self, *names: str, deadline: float = DEADLINE) -> None:
        def online() -> bool:
            workers = self.leader().workers()
            return all(name in workers and workers[name]["status"] == "online" for name in names)

        wait_for(online, f"{', '.join(names)} online", deadline)

    # Faults.

    def kill_all(self) -> None:
        """As simultaneously as possible."""
        running = [node for node in self.nodes.values() if node.running]
        for node in running:
            node.expected_exit = -signal.SIGKILL
            node.signal(signal.SIGKILL)
        for node in running:
            node.wait()

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Cuts the link between the clouds in both directions."""
        net("wan", "cut")
        try:
            yield
        finally:
            net("wan", "heal")

    @contextmanager
    def cut_off(self, name: str) -> Iterator[None]:
        """Disconnects a node's host without closing any connection."""
        port = ["ip", "-n", "baton-wan", "link", "set", self.nodes[name].host]
        subprocess.run([*port, "nomaster"], check=True)
        try:
            yield
        finally:
            subprocess.run([*port, "master", self.nodes[name].place.cloud], check=True)

    @contextmanager
    def load(self, writers: int = 8) -> Iterator[Dict[str, str]]:
        """Writers that put distinct keys as fast as they are acknowledged; yields what was acknowledged so far."""
        acknowledged: Dict[str, str] = {}
        stop = threading.Event()

        def write(writer: int) -> None:
            number = at = 0
            while not stop.is_set():
                key, value = f"load/{writer}/{number}", f"{writer}-{number}"
                number += 1
                nodes = list(self.nodes.values())  # those of now: members come and go
                try:
                    nodes[at % len(nodes)].call("Put", timeout=1.0, key=key.encode(), value=value.encode())
                    acknowledged[key] = value
                except (grpc.RpcError, ValueError):  # ValueError: the channel was closed meanwhile
                    at += 1
                    stop.wait(POLL)

        threads = [threading.Thread(target=write, args=(writer,), daemon=True) for writer in range(writers)]
        for thread in threads:
            thread.start()
        try:
            yield acknowledged
        finally:
            stop.set()
            for thread in threads:
                thread.join(DEADLINE)

    # The end, and what must hold at any end.

    def close(self) -> None:
        """Ends everything and checks the invariants of every cluster: see check_logs."""
        complaints = [
            f"{process.name} ended by itself with {process.exit_status}"
            for process in self.processes
            if process.exit_status not in (None, process.expected_exit)
        ]
        for process in self.processes:
            if process.running:
                process.kill()
        for node in self.nodes.values():
            node.close()
        complaints += check_logs({name: node.log() for name, node in self.nodes.items()})
        assert not complaints, "\n".join(complaints)


TRANSITION = re.compile(r'msg="(\w+) transitioned from (\w+) to (\w+) \(term (\d+)\)"')


def check_logs(logs: Dict[str, str]) -> List[str]:
    """Problems in the nodes' logs: two leaders in one term, a term that fell, a sanitizer's report."""
    complaints = []
    leaders: Dict[int, str] = {}
    for name, log in logs.items():
        term = 0
        for who, _, role, text in TRANSITION.findall(log):
            if int(text) < term:
                complaints.append(f"{name}'s term fell from {term} to {text}")
            term = int(text)
            if role == "Leader" and leaders.setdefault(term, who) != who:
                complaints.append(f"two leaders in term {term}: {leaders[term]} and {who}")
        for line in log.splitlines():
            if re.search(r"Sanitizer|runtime error:|Assertion .* failed", line):
                complaints.append(f"{name}: {line}")
    return complaints


def net(*words: str) -> str:
    """deploy/local/net."""
    done = subprocess.run([NET, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, f"net {' '.join(words)} ended with {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout
