"""What batond tells systemd (sd_notify): its datagrams, received by the test in systemd's place."""

from __future__ import annotations

import ctypes
import signal
import socket
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Iterator

import pytest
from harness import DEADLINE, GRPC_PORT, HTTP_PORT, Cluster, Node, wait_for

INTERVAL = 0.1  # half of the watchdog's limit
SOON = 10 * INTERVAL


class Manager:
    """One datagram is one message."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener

    def hears(self, deadline: float = DEADLINE) -> str:
        """The next message; empty: there was none."""
        self.listener.settimeout(deadline)
        try:
            return self.listener.recv(4096).decode()
        except (TimeoutError, BlockingIOError):
            return ""

    def hears_all(self) -> None:
        """What has come until now."""
        while self.hears(0):
            pass

    def hears_among_others(self, message: str) -> bool:
        until = time.monotonic() + DEADLINE
        said = self.hears()
        while said and said != message and time.monotonic() < until:
            said = self.hears()
        return said == message


def socket_of(node: Node, family: int = socket.AF_UNIX, kind: int = socket.SOCK_DGRAM) -> socket.socket:
    """In the network namespace of the node's host, where an abstract address must be; a socket stays in its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as here, open(f"/run/netns/baton-{node.host}") as there:
        assert libc.setns(there.fileno(), 0) == 0
        try:
            return socket.socket(family, kind)
        finally:
            assert libc.setns(here.fileno(), 0) == 0


@contextmanager
def manager_of(node: Node, address: str = "/run/baton-notify") -> Iterator[Manager]:
    """Listens at an address, with @ at its beginning an abstract one, where the node will find it."""
    with socket_of(node) as listener:
        if not address.startswith("@"):
            Path(address).unlink(missing_ok=True)
        listener.bind("\0" + address[1:] if address.startswith("@") else address)
        node.environment.update(NOTIFY_SOCKET=address)
        yield Manager(listener)


def watched(node: Node, pid: str = "") -> None:
    """As with WatchdogSec=; systemd also gives the process's id."""
    node.environment.update(WATCHDOG_USEC=str(int(2 * INTERVAL * 1e6)))
    if pid:
        node.environment.update(WATCHDOG_PID=pid)


def stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def TestSupervisorReadyWhenThePortsAnswer(empty_cluster: Cluster) -> None:
    node = empty_cluster["n1"]
    with manager_of(node) as manager:
        node.start()
        assert manager.hears() == "READY=1"
        socket.create_connection((node.place.host, GRPC_PORT)).close()
        assert node.get("/livez")[0] == 200
        assert node.status().node == "n1"
        assert manager.hears(SOON) == ""  # no watchdog is asked for


def TestSupervisorOfANodeThatCannotServe(empty_cluster: Cluster) -> None:
    """Both ports are needed: with the second one taken the node ends, and was never ready."""
    node = empty_cluster["n1"]
    with manager_of(node) as manager, socket_of(node, socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # an earlier test's connections may be closing
        taken.bind((node.place.host, HTTP_PORT))
        taken.listen()
        node.start()
        node.expected_exit = 6
        assert node.wait() == 6
        assert manager.hears(0) == ""


def TestSupervisorWatchdogOfTheLoop(empty_cluster: Cluster) -> None:
    node = empty_cluster["n1"]
    watched(node)
    with manager_of(node) as manager:
        node.start()
        assert manager.hears() == "READY=1"
        assert [manager.hears() for _ in range(5)] == ["WATCHDOG=1"] * 5
        node.pause()
        wait_for(lambda: stopped(node.pid), "the process is stopped")
        manager.hears_all()
        assert manager.hears(SOON) == ""
        node.resume()
        assert [manager.hears() for _ in range(5)] == ["WATCHDOG=1"] * 5


def TestSupervisorWatchdogOfAnother(empty_cluster: Cluster) -> None:
    """WATCHDOG_PID names another process: what batond has inherited is not meant for it."""
    node = empty_cluster["n1"]
    watched(node, pid="1")
    with manager_of(node) as manager:
        node.start()
        assert manager.hears() == "READY=1"
        assert manager.hears(SOON) == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def TestSupervisorStopping(cluster: Cluster, number: signal.Signals) -> None:
    """A leader says so before it hands over, and is watched meanwhile."""
    node = cluster.leader()
    node.stop()
    watched(node)
    with manager_of(node) as manager:
        node.start()
        assert manager.hears() == "READY=1"
        cluster.lead_by(node.name)
        manager.hears_all()
        node.expected_exit = 0
        node.signal(number)
        assert manager.hears_among_others("STOPPING=1")
        assert node.wait() == 0
        rest = {manager.hears(0) for _ in range(1000)}
        assert rest <= {"WATCHDOG=1", ""}  # it is told once


def TestSupervisorAbstractSocket(empty_cluster: Cluster) -> None:
    node = empty_cluster["n1"]
    with manager_of(node, "@baton-notify") as manager:
        node.start()
        assert manager.hears() == "READY=1"
        node.terminate()
        assert manager.hears() == "STOPPING=1"
    assert node.wait() == 0


def TestSupervisorOfNobody(empty_cluster: Cluster) -> None:
    """Without NOTIFY_SOCKET nothing is told, and nothing is missed."""
    node = empty_cluster["n1"]
    watched(node)
    with manager_of(node) as manager:
        del node.environment["NOTIFY_SOCKET"]
        node.start()
        wait_for(lambda: node.status().node == "n1", "the node serves")
        node.stop()
        assert manager.hears(0) == ""
    assert "service manager" not in node.log()


def TestSupervisorDoesNotRead(empty_cluster: Cluster) -> None:
    """The loop does not wait for a manager whose queue is full, and READY=1 is not lost."""
    node = empty_cluster["n1"]
    watched(node)
    with manager_of(node) as manager, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                other.sendto(b"of another", node.environment["NOTIFY_SOCKET"])
        node.start()
        wait_for(lambda: "cannot tell the service manager" in node.log(), "the node says that nobody reads")
        assert node.status().node == "n1"
        assert manager.hears_among_others("READY=1")
        assert manager.hears_among_others("WATCHDOG=1")
        wait_for(lambda: node.log().count("cannot tell the service manager") > 10, "the queue is full again")
        assert node.status().node == "n1"
        node.stop()


@pytest.mark.parametrize("address", ["/run/baton-nobody", "@baton-nobody", "nowhere", "/" + 400 * "x"], ids=["path", "abstract", "relative", "long"])
def TestSupervisorGone(empty_cluster: Cluster, address: str) -> None:
    """A node serves whether somebody listens or not."""
    node = empty_cluster["n1"]
    node.environment.update(NOTIFY_SOCKET=address)
    node.start()
    wait_for(lambda: node.status().node == "n1", "the node serves")
    wait_for(lambda: "cannot tell the service manager" in node.log(), "the node says that nobody listens")
    node.stop()
