"""Real nodes to be fed with bad input: plain or encrypted, as released or under sanitizers, and the well-behaved client beside."""

from __future__ import annotations

import http.client
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import frames
import grpc
from pieces import path_of, proto

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILDS = {"release": ROOT / "build/release", "asan": ROOT / "build/asan"}
DEADLINE = 60.0  # for what should take a moment
SANITIZERS = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1:quarantine_size_mb=1:malloc_context_size=6:exitcode=99",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1:exitcode=99",
}
REPORT = r"Sanitizer|runtime error:|Assertion .* failed"


class Variant(NamedTuple):
    """What the nodes of a test are: a build, and with certificates or without."""

    build: str
    certs: pathlib.Path | None  # None: plaintext

    def program(self, name: str) -> str:
        return str(BUILDS[self.build] / "src/cmd" / name)

    @property
    def slow(self) -> bool:
        return self.build == "asan"


VARIANTS = [f"{build}-{transport}" for build in BUILDS for transport in ("plain", "tls")]


def make_certs(directory: pathlib.Path, *names: str, days: int = 10) -> None:
    subprocess.run([ROOT / "deploy/tls/make-certs", "--days", str(days), directory, *names], check=True, timeout=60)


def tls_files(certs: pathlib.Path, name: str) -> list[str]:
    return ["--tls-cert", f"{certs}/{name}.pem", "--tls-key", f"{certs}/{name}-key.pem", "--tls-ca", f"{certs}/ca.pem"]


def client_context(certs: pathlib.Path, name: str | None = "me") -> ssl.SSLContext:
    """For the gRPC port; without a name for the pages, which ask for no certificate."""
    context = ssl.create_default_context(cafile=str(certs / "ca.pem"))
    if name is not None:
        context.load_cert_chain(f"{certs}/{name}.pem", f"{certs}/{name}-key.pem")
        context.set_alpn_protocols(["h2"])
    return context


def environment() -> dict[str, str]:
    """What configures the tests must not configure what they test."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith("BATON_")}, **SANITIZERS}


def free_addresses(count: int) -> list[str]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
    for listener in listeners:
        listener.close()
    return addresses


def split(address: str) -> tuple[str, int]:
    host, port = address.rsplit(":", 1)
    return host, int(port)


def wait_until(what: str, condition: Callable[[], Any], timeout: float = DEADLINE) -> Any:
    """There is no event to wait for in another process; the answers are cheap, so they are asked for often."""
    give_up = time.monotonic() + timeout
    while True:
        seen = condition()
        if seen:
            return seen
        assert time.monotonic() < give_up, f"not within {timeout:g} s: {what}"
        time.sleep(0.01)


class Ended(NamedTuple):
    status: int
    rss_kib: int  # at its most


def ended_within(process: subprocess.Popen[bytes], timeout: float) -> Ended:
    """Waits for one that writes little, and says what memory it took."""
    give_up = time.monotonic() + timeout
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return Ended(process.returncode, usage.ru_maxrss)
        if time.monotonic() > give_up:
            process.kill()
            process.wait()
            raise AssertionError(f"not ended within {timeout:g} s: {process.args!r}")
        time.sleep(0.005)


class Node:
    """One batond of cluster c. `others` are members that do not exist, whom the tests play."""

    def __init__(self, directory: pathlib.Path, variant: Variant, others: tuple[str, ...] = (), flags: tuple[str, ...] = ()) -> None:
        self.variant, self.directory = variant, directory
        self.address, self.http, *theirs = free_addresses(2 + len(others))
        self.data, self.log_path = directory / "data", directory / "log"
        members = [f"n1={self.address}/gcp", *(f"{name}={address}/gcp" for name, address in zip(others, theirs))]
        self.command = [
            *(variant.program("batond"), "--node-id", "n1", "--cluster-id", "c", "--cloud", "gcp", "--data-dir", str(self.data)),
            *("--listen", self.address, "--http", self.http, "--bootstrap", "--peers", ",".join(members), *flags),
        ]
        if variant.certs is not None:
            self.command += ["--tls-required", *tls_files(variant.certs, "n1")]
        self.start()
        self.channel = self.open_channel()

    def start(self) -> None:
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(self.command, stderr=log, stdin=subprocess.DEVNULL, env=environment())
        wait_until("batond is up", lambda: "batond is up" in self.log() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log()

    def open_channel(self, name: str = "me") -> grpc.Channel:
        """A connection of its own, by a well-behaved implementation."""
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
        if self.variant.certs is None:
            return grpc.insecure_channel(self.address, options=options)
        certs = self.variant.certs
        credentials = grpc.ssl_channel_credentials(*((certs / file).read_bytes() for file in ("ca.pem", f"{name}-key.pem", f"{name}.pem")))
        return grpc.secure_channel(self.address, credentials, options=options)

    def call(self, method: str, fields: list[list[Any]] = [], channel: grpc.Channel | None = None) -> bytes:
        unary = (channel or self.channel).unary_unary(path_of(method))
        return unary(proto(fields), timeout=DEADLINE, wait_for_ready=True)  # type: ignore[no-any-return]

    def connect(self, opening: bytes = frames.PREFACE + frames.settings(), name: str = "me", **more: Any) -> frames.Connection:
        """A connection by hand."""
        context = None if self.variant.certs is None else client_context(self.variant.certs, name)
        return frames.Connection(self.address, opening, context=context, **more)

    def connect_http(self) -> socket.socket:
        opened = socket.create_connection(split(self.http), timeout=DEADLINE)
        if self.variant.certs is None:
            return opened
        return client_context(self.variant.certs, None).wrap_socket(opened, server_hostname="127.0.0.1")

    def page(self, path: str) -> tuple[int, str]:
        host, port = split(self.http)
        if self.variant.certs is None:
            asking = http.client.HTTPConnection(host, port, timeout=DEADLINE)
        else:
            asking = http.client.HTTPSConnection(host, port, timeout=DEADLINE, context=client_context(self.variant.certs, None))
        try:
            asking.request("GET", path)
            answer = asking.getresponse()
            return answer.status, answer.read().decode()
        finally:
            asking.close()

    def wait_leads(self) -> None:
        wait_until("n1 leads, and serves", lambda: self.page("/cluster-state")[0] == 200)

    def status(self) -> Any:
        return json.loads(self.page("/status")[1])

    def ctl(self, *arguments: str, timeout: float = DEADLINE, **more: Any) -> subprocess.CompletedProcess[bytes]:
        command = [self.variant.program("batonctl"), "--endpoints", self.address]
        if self.variant.certs is not None:
            command += tls_files(self.variant.certs, "me")
        return subprocess.run([*command, *arguments], capture_output=True, timeout=timeout, env=environment(), **more)

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def rss_kib(self, which: str = "VmRSS") -> int:
        """Resident memory now, or with VmHWM at its most."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{which}:\s+(\d+)", text, re.MULTILINE)[1])  # type: ignore[index]

    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def check_alive(self) -> None:
        assert self.process.poll() is None, f"batond has ended with {self.process.returncode}\n{self.log()[-5000:]}"

    def check_serves(self) -> None:
        """A client that has been there from the beginning writes and reads."""
        self.check_alive()
        value = os.urandom(8)
        self.call("ControlService/Put", [[1, "beside"], [2, "".join(f"\\x{byte:02x}" for byte in value)]])
        assert value in self.call("ControlService/Get", [[1, "beside"]])

    def stop(self) -> None:
        """It must end in order, and the sanitizers must have seen nothing."""
        self.channel.close()
        self.check_alive()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(DEADLINE) == 0, self.log()[-5000:]
        assert not re.search(REPORT, self.log()), self.log()[-5000:]

    def __enter__(self) -> Node:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.stop()
        elif self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Bystander:
    """A well-behaved client that writes without a pause while others misbehave. Each of its writes must be acknowledged in time: it
    retries, as it must when a leader has stepped down, which one does that its machine has starved for 600 ms."""

    def __init__(self, node: Node, slowest: float = 30.0) -> None:
        self.node, self.slowest_allowed = node, slowest
        self.calls, self.retried, self.slowest, self.error = 0, 0, 0.0, ""
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with self.node.open_channel() as channel:
            begin = time.monotonic()
            while not self.done.is_set() or self.calls < 20:
                try:
                    self.node.call("ControlService/Put", [[1, "bystander"], [2, "x"]], channel)
                except grpc.RpcError as error:
                    if error.code() == grpc.StatusCode.UNAVAILABLE and time.monotonic() - begin < self.slowest_allowed:
                        self.retried += 1
                        self.done.wait(0.01)
                        continue
                    self.error = f"{error.code()}: {error.details()}"
                    return
                self.calls += 1
                self.slowest = max(self.slowest, time.monotonic() - begin)
                begin = time.monotonic()

    def __enter__(self) -> Bystander:
        self.thread.start()
        wait_until("the bystander is served", lambda: self.calls > 5 or self.error)
        self.slowest = 0.0  # its own connecting is over
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join(2 * DEADLINE)
        assert not self.error, f"the well-behaved client noticed after {self.calls} calls: {self.error}"
        assert self.slowest < self.slowest_allowed, f"a call of the well-behaved client took {self.slowest:.1f} s"


def peers_of(variant: Variant, directory: pathlib.Path) -> Iterator[Node]:
    """A node that leads nobody, since n2 and n3 are not there: what members say to it is said by a test."""
    with Node(directory, variant, ("n2", "n3")) as node:
        yield node
